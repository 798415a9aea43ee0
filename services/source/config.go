package source

import (
	"cmp"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/rowmesh/rowmesh/services/config"
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
	// TrustStore holds authorities too. With it the server's certificate must be signed by one of them whatever the mode, but for disabled.
	TrustStore config.KeyStore
	// KeyStore holds the key and certificate that are shown to a server that asks for one.
	KeyStore config.KeyStore
	// Initial are statements that each session runs before it is used. What decoding relies on (character set, time zone, sql_mode) is set behind them.
	Initial []string

	// ConnectTimeout bounds dialling, TLS and authentication together. Default 30 s, as Debezium's connect.timeout.ms.
	ConnectTimeout time.Duration
	// KeepAlive is the period of TCP keep-alive probes; a peer that is silent for about ten of them is gone. Default 15 s, as Go's.
	KeepAlive time.Duration
	// QueryTimeout is how long a statement may take until its first row comes, or it is done; 0: as long as it needs.
	QueryTimeout time.Duration
	// TimeZone is what the connector says of the server's zone. Sessions are in UTC whatever it says.
	TimeZone string
}

// FromConnector returns how c's server is reached. Its ID is what registry.SourceOf makes of the same config, references resolved.
func FromConnector(c *config.Connector) Config {
	return Config{
		Addr: net.JoinHostPort(strings.TrimSpace(c.Hostname), strconv.Itoa(cmp.Or(c.Port, 3306))), User: c.User, Password: c.Password,
		TLS: TLSMode(strings.ToLower(c.SSLMode)), CAFile: c.SSLCAFile, TrustStore: c.SSLTrustStore, KeyStore: c.SSLKeyStore, Initial: c.InitialStatements,
		ConnectTimeout: c.ConnectTimeout, KeepAlive: c.KeepAlive, QueryTimeout: c.QueryTimeout, TimeZone: c.TimeZone,
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

// Quote quotes an identifier.
func Quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// QuoteTable quotes database.table.
func QuoteTable(database, table string) string { return Quote(database) + "." + Quote(table) }

// QuoteText quotes a string literal. It holds under the empty sql_mode that Connect sets.
func QuoteText(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", "''", "\x00", `\0`).Replace(s) + "'"
}
