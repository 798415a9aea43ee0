package source

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key = a.sign(t, "authority", true)
	return a
}

func (a *authority) sign(t *testing.T, host string, isCA bool) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, NotAfter: time.Now().Add(time.Hour),
		IsCA: isCA, BasicConstraintsValid: isCA, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

// pemOf writes a certificate, and its key if it has one, as PEM.
func pemOf(t *testing.T, cert *x509.Certificate, key *ecdsa.PrivateKey) string {
	t.Helper()
	var b bytes.Buffer
	pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	if key != nil {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	file := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// handshake runs a TLS handshake between a client with cfg and a server with a certificate for host, and returns the client's certificate.
func handshake(t *testing.T, cfg Config, a *authority, host string) (string, error) {
	t.Helper()
	client, err := cfg.TLSConfig()
	if err != nil {
		t.Fatal(err)
	}
	cert, key := a.sign(t, host, false)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}, ClientAuth: tls.RequestClientCert})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	shown := make(chan string, 1)
	go func() {
		name := ""
		if conn, err := l.Accept(); err == nil {
			defer conn.Close()
			server := conn.(*tls.Conn)
			if server.HandshakeContext(t.Context()) == nil && len(server.ConnectionState().PeerCertificates) > 0 {
				name = server.ConnectionState().PeerCertificates[0].Subject.CommonName
			}
		}
		shown <- name
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = tls.Client(conn, client).HandshakeContext(t.Context())
	return <-shown, err
}

func TestModesVerifyWhatTheySay(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	trust := config.KeyStore{File: pemOf(t, ours.cert, nil)}
	for _, c := range []struct {
		mode       TLSMode
		trust      config.KeyStore
		by         *authority
		host, what string
	}{
		{TLSPreferred, config.KeyStore{}, theirs, "other", ""},
		{TLSRequired, config.KeyStore{}, theirs, "other", ""},
		{TLSPreferred, trust, ours, "other", ""},
		{TLSPreferred, trust, theirs, "other", "authority"},
		{TLSRequired, trust, theirs, "db", "authority"},
		{TLSRequired, trust, ours, "other", ""},
		{TLSVerifyCA, trust, ours, "other", ""},
		{TLSVerifyCA, trust, theirs, "db", "authority"},
		{TLSVerifyIdentity, trust, ours, "db", ""},
		{TLSVerifyIdentity, trust, ours, "other", "name"},
		{TLSVerifyIdentity, trust, theirs, "db", "authority"},
	} {
		_, err := handshake(t, Config{Addr: "db:3306", TLS: c.mode, TrustStore: c.trust}, c.by, c.host)
		if (err == nil) != (c.what == "") || err != nil && (!notTrusted(err) || plainMayWork(err)) {
			t.Errorf("%s, trust store %t, certificate for %s: %v, want %q", c.mode, c.trust.File != "", c.host, err, c.what)
		}
	}
}

func TestKeyStoreIsShown(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.sign(t, "client", false)
	got, err := handshake(t, Config{Addr: "db:3306", TLS: TLSRequired, KeyStore: config.KeyStore{File: pemOf(t, cert, key)}}, a, "db")
	if err != nil || got != "client" {
		t.Errorf("shown %q, %v", got, err)
	}
}

func TestBadStores(t *testing.T) {
	missing := config.KeyStore{File: filepath.Join(t.TempDir(), "no.jks"), Password: "hush"}
	for option, c := range map[string]Config{
		"database.ssl.keystore": {TLS: TLSRequired, KeyStore: missing}, "database.ssl.truststore": {TLS: TLSPreferred, TrustStore: missing},
		"rowmesh.ssl.ca.file": {TLS: TLSVerifyCA, CAFile: "tls_test.go"},
	} {
		_, err := c.TLSConfig()
		if errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), option) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", option, err)
		}
	}
}

// dataFile returns a file of the server's data directory that can be read here.
func dataFile(t *testing.T, c *Conn, name string) string {
	t.Helper()
	dir, err := c.variable(t.Context(), "@@datadir")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, name)
	if _, err := os.Stat(file); err != nil {
		t.Skipf("the server's %s is not readable here: %v", name, err)
	}
	return file
}

func TestRealServerTrustStore(t *testing.T) {
	addr := server(t, "ROWMESH_TEST_MYSQL")
	ca := dataFile(t, connect(t, Config{Addr: addr, User: "root"}), "ca.pem")
	stranger := pemOf(t, newAuthority(t).cert, nil)
	for _, mode := range []TLSMode{TLSPreferred, TLSRequired, TLSVerifyCA} {
		c := connect(t, Config{Addr: addr, User: "root", TLS: mode, TrustStore: config.KeyStore{File: ca}})
		if !c.Encrypted() {
			t.Errorf("%s: not encrypted", mode)
		}
		if _, err := Connect(t.Context(), Config{Addr: addr, User: "root", TLS: mode, TrustStore: config.KeyStore{File: stranger}}); errs.KindOf(err) != errs.Denied {
			t.Errorf("%s with another authority: %v", mode, err)
		}
	}
}

func TestRealServerAsksForCertificate(t *testing.T) {
	addr := server(t, "ROWMESH_TEST_MYSQL")
	root := connect(t, Config{Addr: addr, User: "root"})
	var both []byte
	for _, name := range []string{"client-cert.pem", "client-key.pem"} {
		b, err := os.ReadFile(dataFile(t, root, name))
		if err != nil {
			t.Skip(err)
		}
		both = append(append(both, b...), '\n')
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, both, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"DROP USER IF EXISTS source_x509", "CREATE USER source_x509 IDENTIFIED BY 'pw' REQUIRE X509"} {
		if err := root.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { root.Exec(context.Background(), "DROP USER source_x509") })
	cfg := Config{Addr: addr, User: "source_x509", Password: "pw", TLS: TLSRequired}
	if _, err := Connect(t.Context(), cfg); errs.KindOf(err) != errs.Denied {
		t.Errorf("without a certificate: %v", err)
	}
	cfg.KeyStore.File = file
	connect(t, cfg)
}

func TestRealServerInitialStatements(t *testing.T) {
	for _, v := range servers {
		t.Run(v, func(t *testing.T) {
			addr := server(t, v)
			c := connect(t, Config{Addr: addr, User: "root", Initial: []string{"SET @mine=';'", "SET SESSION net_write_timeout=77, time_zone='+05:00', sql_mode='ANSI'", "SET NAMES latin1"}})
			res, err := c.Query(t.Context(), "SELECT @mine, @@session.net_write_timeout, @@session.time_zone, @@session.sql_mode, @@session.character_set_results")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range res.Rows[0] {
				got = append(got, v.Text)
			}
			if want := ";|77|+00:00||utf8mb4"; strings.Join(got, "|") != want {
				t.Errorf("got %q, want %s", got, want)
			}
			_, err = Connect(t.Context(), Config{Addr: addr, User: "root", Initial: []string{"SET @a=1", "SELEC 1"}})
			if errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), "database.initial.statements: statement 2, SELEC 1") {
				t.Errorf("a bad statement: %v", err)
			}
		})
	}
}
