package keystore

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	jks "github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"
)

// maxFile bounds a file: the store of all authorities that a JVM brings has 0.2 MB.
const maxFile = 4 << 20

// kind is a format.
type kind string

const (
	pemFile    kind = "PEM"
	jksFile    kind = "JKS"
	jceksFile  kind = "JCEKS"
	pkcs12File kind = "PKCS12"
)

// kindOf tells a format by how it begins: Java's stores by their magic numbers, PKCS12 by the DER sequence that it is.
func kindOf(b []byte) (kind, bool) {
	switch {
	case bytes.HasPrefix(b, []byte{0xFE, 0xED, 0xFE, 0xED}):
		return jksFile, true
	case bytes.HasPrefix(b, []byte{0xCE, 0xCE, 0xCE, 0xCE}):
		return jceksFile, true
	case bytes.Contains(b, []byte("-----BEGIN ")):
		return pemFile, true
	case bytes.HasPrefix(b, []byte{0x30}):
		return pkcs12File, true
	}
	return "", false
}

func read(file string) ([]byte, kind, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, "", err // names the file
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, "", err
	}
	if len(b) > maxFile {
		return nil, "", fmt.Errorf("%s is larger than %d bytes, which no key store is", file, maxFile)
	}
	k, ok := kindOf(b)
	switch {
	case !ok:
		return nil, "", fmt.Errorf("%s is neither PEM nor a JKS or PKCS12 key store", file)
	case k == jceksFile:
		return nil, "", fmt.Errorf("%s is a JCEKS key store, which is not read: convert it with keytool -importkeystore -deststoretype PKCS12", file)
	}
	return b, k, nil
}

// Certificates returns the certificates that a trust store holds, at least one. A password is needed for JKS and PKCS12.
func Certificates(file, password string) ([]*x509.Certificate, error) {
	b, k, err := read(file)
	if err != nil {
		return nil, err
	}
	var out []*x509.Certificate
	switch k {
	case pemFile:
		out, err = pemCertificates(b)
	case jksFile:
		out, err = jksCertificates(b, password)
	default:
		out, err = pkcs12Certificates(b, password)
	}
	if err != nil {
		return nil, fmt.Errorf("%s (%s): %w", file, k, err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s (%s) holds no certificate", file, k)
	}
	return out, nil
}

// KeyPair returns the first private key of a key store, with its certificates. A password is needed for JKS and PKCS12; it is the key's too.
func KeyPair(file, password string) (tls.Certificate, error) {
	b, k, err := read(file)
	if err != nil {
		return tls.Certificate{}, err
	}
	var out tls.Certificate
	switch k {
	case pemFile:
		out, err = pemKeyPair(b)
	case jksFile:
		out, err = jksKeyPair(b, password)
	default:
		out, err = pkcs12KeyPair(b, password)
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s (%s): %w", file, k, err)
	}
	return out, nil
}

func pemCertificates(b []byte) (out []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return out, nil
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
}

func pemKeyPair(b []byte) (tls.Certificate, error) {
	if bytes.Contains(b, []byte("ENCRYPTED")) {
		return tls.Certificate{}, errors.New("its private key is encrypted, which is not read: write the key plainly, or use a PKCS12 key store")
	}
	return tls.X509KeyPair(b, b)
}

// loadJKS reads a store, whose password guards it against changes.
func loadJKS(b []byte, password string) (jks.KeyStore, error) {
	ks := jks.New(jks.WithOrderedAliases())
	if password == "" {
		return ks, errors.New("a JKS key store needs its password")
	}
	if err := ks.Load(bytes.NewReader(b), []byte(password)); err != nil {
		return ks, fmt.Errorf("wrong password, or a broken file: %w", err)
	}
	return ks, nil
}

func jksCertificates(b []byte, password string) (out []*x509.Certificate, err error) {
	ks, err := loadJKS(b, password)
	if err != nil {
		return nil, err
	}
	add := func(c jks.Certificate) error {
		x, err := x509.ParseCertificate(c.Content)
		if err == nil {
			out = append(out, x)
		}
		return err
	}
	for _, alias := range ks.Aliases() {
		switch {
		case ks.IsTrustedCertificateEntry(alias):
			e, err := ks.GetTrustedCertificateEntry(alias)
			if err == nil {
				err = add(e.Certificate)
			}
			if err != nil {
				return nil, fmt.Errorf("entry %s: %w", alias, err)
			}
		case ks.IsPrivateKeyEntry(alias): // Java trusts the certificate of an own key too
			chain, err := ks.GetPrivateKeyEntryCertificateChain(alias)
			if err == nil && len(chain) > 0 {
				err = add(chain[0])
			}
			if err != nil {
				return nil, fmt.Errorf("entry %s: %w", alias, err)
			}
		}
	}
	return out, nil
}

func jksKeyPair(b []byte, password string) (tls.Certificate, error) {
	ks, err := loadJKS(b, password)
	if err != nil {
		return tls.Certificate{}, err
	}
	for _, alias := range ks.Aliases() {
		if !ks.IsPrivateKeyEntry(alias) {
			continue
		}
		e, err := ks.GetPrivateKeyEntry(alias, []byte(password))
		if err != nil {
			return tls.Certificate{}, fmt.Errorf("entry %s, whose password must be that of the store: %w", alias, err)
		}
		key, err := x509.ParsePKCS8PrivateKey(e.PrivateKey)
		if err != nil {
			return tls.Certificate{}, fmt.Errorf("entry %s: %w", alias, err)
		}
		out := tls.Certificate{PrivateKey: key}
		for _, c := range e.CertificateChain {
			out.Certificate = append(out.Certificate, c.Content)
		}
		return out, nil
	}
	return tls.Certificate{}, errors.New("holds no private key")
}

// pkcs12Certificates reads a store of certificates only as keytool makes it, else one of a key with its chain, whose authorities are meant.
func pkcs12Certificates(b []byte, password string) ([]*x509.Certificate, error) {
	out, err := pkcs12.DecodeTrustStore(b, password)
	if err == nil {
		return out, nil
	}
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return nil, errors.New("wrong password")
	}
	_, own, chain, chainErr := pkcs12.DecodeChain(b, password)
	if chainErr != nil {
		return nil, fmt.Errorf("%w; certificates alone are read from PEM, or from a store that keytool -importcert made", err)
	}
	return append([]*x509.Certificate{own}, chain...), nil
}

func pkcs12KeyPair(b []byte, password string) (tls.Certificate, error) {
	key, own, chain, err := pkcs12.DecodeChain(b, password)
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return tls.Certificate{}, errors.New("wrong password")
	}
	if err != nil {
		return tls.Certificate{}, err
	}
	out := tls.Certificate{PrivateKey: key, Certificate: [][]byte{own.Raw}, Leaf: own}
	for _, c := range chain {
		out.Certificate = append(out.Certificate, c.Raw)
	}
	return out, nil
}
