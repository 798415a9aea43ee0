package source

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
)

// TLSMode says how a connection is encrypted, in MySQL's words (--ssl-mode).
type TLSMode string

// Modes.
const (
	TLSDisabled       TLSMode = "disabled"        // never
	TLSPreferred      TLSMode = "preferred"       // if the server can; nothing is verified
	TLSRequired       TLSMode = "required"        // always; nothing is verified
	TLSVerifyCA       TLSMode = "verify_ca"       // always; the certificate chain is verified
	TLSVerifyIdentity TLSMode = "verify_identity" // always; chain and host name are verified
)

// Config says how a server is reached. The zero value of a field means its default.
type Config struct {
	Addr     string // host:port; without a port 3306
	User     string
	Password string
	TLS      TLSMode // default preferred
	CAFile   string  // PEM with the authorities that verify_ca and verify_identity trust; default the system's

	// ConnectTimeout bounds dialling, TLS and authentication together. Default 30 s, as Debezium's connect.timeout.ms.
	ConnectTimeout time.Duration
	// KeepAlive is the period of TCP keep-alive probes; a peer that is silent for about ten of them is gone. Default 15 s, as Go's.
	KeepAlive time.Duration
	// TimeZone is what the connector says of the server's zone. Sessions are in UTC whatever it says.
	TimeZone string
}

// FromConnector returns how c's server is reached. Its ID is what registry.SourceOf makes of the same config, references resolved.
func FromConnector(c *config.Connector) Config {
	return Config{
		Addr: net.JoinHostPort(strings.TrimSpace(c.Hostname), strconv.Itoa(cmp.Or(c.Port, 3306))), User: c.User, Password: c.Password,
		TLS: TLSMode(strings.ToLower(c.SSLMode)), CAFile: c.SSLCAFile,
		ConnectTimeout: c.ConnectTimeout, KeepAlive: c.KeepAlive, TimeZone: c.TimeZone,
	}
}

func (c Config) withDefaults() Config {
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		c.Addr = net.JoinHostPort(strings.Trim(c.Addr, "[]"), "3306")
	}
	c.TLS = cmp.Or(c.TLS, TLSPreferred)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 30*time.Second)
	c.KeepAlive = cmp.Or(c.KeepAlive, 15*time.Second)
	return c
}

// ID returns the name of the source: "host:port" in lower case.
func (c Config) ID() registry.SourceID {
	return registry.SourceID(strings.ToLower(c.withDefaults().Addr))
}

// TLSConfig returns what the mode asks of TLS; nil for no TLS. Its errors are Invalid and name the file or the mode.
func (c Config) TLSConfig() (*tls.Config, error) {
	c = c.withDefaults()
	host, _, _ := net.SplitHostPort(c.Addr)
	// Servers before MySQL 5.7.35 have nothing newer than TLS 1.1 when built with yaSSL; where the peer is verified, 1.2 is the floor.
	switch c.TLS {
	case TLSDisabled:
		return nil, nil
	case TLSPreferred, TLSRequired:
		return &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, ServerName: host}, nil
	case TLSVerifyCA, TLSVerifyIdentity:
	default:
		return nil, errs.E(errs.Invalid, "database.ssl.mode %q: use disabled, preferred, required, verify_ca or verify_identity", c.TLS)
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, errs.E(errs.Invalid, "read the certificate authorities for database.ssl.mode=%s: %w", c.TLS, err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errs.E(errs.Invalid, "%s holds no certificate in PEM form; database.ssl.mode=%s needs the authority that signed the server's", c.CAFile, c.TLS)
		}
	}
	if c.TLS == TLSVerifyCA {
		// The chain without the name: crypto/tls has no switch for that, so its own check is off and this one does the chain.
		t.InsecureSkipVerify = true
		t.VerifyConnection = func(s tls.ConnectionState) error { return verifyChain(s, t.RootCAs) }
	}
	return t, nil
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

// Quote quotes an identifier.
func Quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// QuoteTable quotes database.table.
func QuoteTable(database, table string) string { return Quote(database) + "." + Quote(table) }

// QuoteText quotes a string literal. It holds under the empty sql_mode that Connect sets.
func QuoteText(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", "''", "\x00", `\0`).Replace(s) + "'"
}
