package source

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"

	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/keystore"
)

// TLSConfig returns what the mode asks of TLS; nil for no TLS. Its errors are Invalid and name the option with the file or the mode.
//
// Who verifies what, as in Connector/J and Debezium's reader of the log:
//
//	preferred, required                     nothing; with a trust store the chain
//	verify_ca                               the chain
//	verify_identity                         the chain and the host name
func (c Config) TLSConfig() (*tls.Config, error) {
	c = c.withDefaults()
	switch c.TLS {
	case TLSDisabled:
		return nil, nil
	case TLSPreferred, TLSRequired, TLSVerifyCA, TLSVerifyIdentity:
	default:
		return nil, errs.E(errs.Invalid, "database.ssl.mode %q: use disabled, preferred, required, verify_ca or verify_identity", c.TLS)
	}
	host, _, _ := net.SplitHostPort(c.Addr)
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	var err error
	if c.KeyStore.File != "" {
		pair, err := keystore.KeyPair(c.KeyStore.File, c.KeyStore.Password)
		if err != nil {
			return nil, errs.E(errs.Invalid, "database.ssl.keystore: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	verified := c.TLS == TLSVerifyCA || c.TLS == TLSVerifyIdentity
	if t.RootCAs, err = c.authorities(verified); err != nil {
		return nil, err
	}
	switch {
	case c.TLS == TLSVerifyIdentity:
	case verified || c.TrustStore.File != "":
		// The chain without the name: crypto/tls has no switch for that, so its own check is off and this one does the chain.
		t.InsecureSkipVerify = true
		t.VerifyConnection = func(s tls.ConnectionState) error { return verifyChain(s, t.RootCAs) }
	default:
		// Servers before MySQL 5.7.35 have nothing newer than TLS 1.1 when built with yaSSL; where the peer is verified, 1.2 is the floor.
		t.InsecureSkipVerify, t.MinVersion = true, tls.VersionTLS10
	}
	return t, nil
}

// authorities returns those that are trusted: of the trust store and, where the mode verifies, of the PEM file; nil for the system's.
func (c *Config) authorities(verified bool) (*x509.CertPool, error) {
	var pool *x509.CertPool
	if c.TrustStore.File != "" {
		list, err := keystore.Certificates(c.TrustStore.File, c.TrustStore.Password)
		if err != nil {
			return nil, errs.E(errs.Invalid, "database.ssl.truststore: %w", err)
		}
		pool = poolOf(nil, list)
	}
	if !verified || c.CAFile == "" {
		return pool, nil
	}
	if _, err := os.Stat(c.CAFile); err != nil {
		return nil, errs.E(errs.Invalid, "read the certificate authorities for database.ssl.mode=%s: %w", c.TLS, err)
	}
	list, err := keystore.Certificates(c.CAFile, "")
	if err != nil {
		return nil, errs.E(errs.Invalid, "rowmesh.ssl.ca.file: %w; database.ssl.mode=%s needs the authority that signed the server's, in PEM form", err, c.TLS)
	}
	return poolOf(pool, list), nil
}

func poolOf(pool *x509.CertPool, list []*x509.Certificate) *x509.CertPool {
	if pool == nil {
		pool = x509.NewCertPool()
	}
	for _, c := range list {
		pool.AddCert(c)
	}
	return pool
}

func verifyChain(s tls.ConnectionState, roots *x509.CertPool) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the server sent no certificate")
	}
	o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range s.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(o)
	return err
}
