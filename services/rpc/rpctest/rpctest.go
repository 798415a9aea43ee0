// Package rpctest makes certificates for tests.
package rpctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates, which lie with their keys as PEM files in a folder of the test.
type Authority struct {
	t    testing.TB
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	next int64
}

// NewAuthority makes an authority; its certificate is ca.pem.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, dir: t.TempDir(), next: 1}
	a.Renew()
	return a
}

// Renew gives the authority another key: what it has issued is worth nothing to who has the new ca.pem.
func (a *Authority) Renew() {
	a.t.Helper()
	a.key, a.cert = a.make("ca", &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true}, nil, nil)
}

// Issue makes FILE.pem and FILE.key for 127.0.0.1 under a common name.
func (a *Authority) Issue(file, commonName string) (cert, key string) {
	a.t.Helper()
	a.make(file, &x509.Certificate{Subject: pkix.Name{CommonName: commonName}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}, a.cert, a.key)
	return a.Path(file + ".pem"), a.Path(file + ".key")
}

// Path returns the path of a file in the folder.
func (a *Authority) Path(name string) string { return filepath.Join(a.dir, name) }

// Write writes a file in the folder.
func (a *Authority) Write(name string, b []byte) {
	a.t.Helper()
	if err := os.WriteFile(a.Path(name), b, 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// make signs a certificate; by nil signs it with its own key.
func (a *Authority) make(file string, c, by *x509.Certificate, byKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *x509.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(a.next), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	a.next++
	if by == nil {
		by, byKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, &key.PublicKey, byKey)
	if err != nil {
		a.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.Write(file+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	a.Write(file+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	out, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, out
}
