package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/rowmesh/rowmesh/services/errs"
)

// Security names PEM files; all empty means plain text.
type Security struct {
	CertFile, KeyFile string // own certificate
	CAFile            string // authority of the others; set: both sides must show a certificate of it
	AccessFile        string // what clients may do; see Access; empty: everything
	Insecure          bool   // plain text on any address
}

// TLS reads the files; nil means plain text. Errors name the file.
func (s Security) TLS() (*tls.Config, error) {
	if s.CertFile == "" && s.KeyFile == "" && s.CAFile == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS13}
	if s.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("certificate %s with key %s: %w", s.CertFile, s.KeyFile, err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	if s.CAFile != "" {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, fmt.Errorf("certificate authority: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, errs.E(errs.Invalid, "certificate authority %s: no certificate in it", s.CAFile)
		}
		c.RootCAs, c.ClientCAs, c.ClientAuth = pool, pool, tls.RequireAndVerifyClientCert
	}
	return c, nil
}

// credentials reads the files once, so that a wrong name is told at the start.
func (s Security) credentials() (credentials.TransportCredentials, error) {
	c, err := s.TLS()
	if err != nil {
		return nil, err
	}
	if c == nil {
		return insecure.NewCredentials(), nil
	}
	return fresh{credentials.NewTLS(c), s}, nil
}

// fresh reads the files again for each connection: a certificate lives days or hours, a process months. Connections are few and the files small.
type fresh struct {
	credentials.TransportCredentials
	s Security
}

func (f fresh) now() (credentials.TransportCredentials, error) {
	c, err := f.s.TLS()
	if err != nil {
		return nil, err
	}
	return credentials.NewTLS(c), nil
}

// ClientHandshake implements credentials.TransportCredentials.
func (f fresh) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, err := f.now()
	if err != nil {
		return nil, nil, err
	}
	return c.ClientHandshake(ctx, authority, conn)
}

// ServerHandshake implements credentials.TransportCredentials.
func (f fresh) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, err := f.now()
	if err != nil {
		return nil, nil, err
	}
	return c.ServerHandshake(conn)
}

// Clone implements credentials.TransportCredentials.
func (f fresh) Clone() credentials.TransportCredentials {
	return fresh{f.TransportCredentials.Clone(), f.s}
}
