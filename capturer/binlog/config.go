package binlog

import (
	"crypto/tls"
	"time"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// Config says how to reach a server and how to read its log.
type Config struct {
	// Addr is host:port.
	Addr string
	// User and Password log in; the user needs REPLICATION SLAVE.
	User, Password string
	// TLS secures the connection; nil: plain text.
	TLS *tls.Config
	// Flavor is the kind of server.
	Flavor config.Flavor
	// ServerID is the id that this reader has among the replicas of the server; not 0, and unique among them.
	ServerID uint32
	// Heartbeat is how often an idle server says so. Default 5 s.
	Heartbeat time.Duration
	// ReadTimeout ends a stream that heard nothing for so long. Default and least: three heartbeats, so that one late heartbeat is not an outage.
	ReadTimeout time.Duration
	// ConnectTimeout bounds connecting, logging in and the set-up statements together. Default 30 s, as connect.timeout.ms.
	ConnectTimeout time.Duration
	// VerifyChecksum compares the CRC32 of each event that has one. It costs about 0.03 us for a kilobyte.
	VerifyChecksum bool
	// MaxEventBytes bounds one event. Default 1 GiB and 1 MiB: max_allowed_packet, the server's own bound, ends at 1 GiB.
	MaxEventBytes int
	// MaxHeldBytes bounds what is held of prepared XA transactions that wait for their outcome; the rows of others are read again from the log. Default 16 MiB:
	// thousands of ordinary ones, a few rows each.
	MaxHeldBytes int
}

const (
	defaultHeartbeat      = 5 * time.Second
	defaultConnectTimeout = 30 * time.Second
	defaultMaxEventBytes  = 1<<30 + 1<<20
	defaultMaxHeldBytes   = 16 << 20
)

func (c Config) withDefaults() Config {
	if c.Flavor == "" {
		c.Flavor = config.MySQL
	}
	if c.Heartbeat <= 0 {
		c.Heartbeat = defaultHeartbeat
	}
	c.ReadTimeout = max(c.ReadTimeout, 3*c.Heartbeat)
	if c.ConnectTimeout <= 0 {
		c.ConnectTimeout = defaultConnectTimeout
	}
	if c.MaxEventBytes <= 0 {
		c.MaxEventBytes = defaultMaxEventBytes
	}
	if c.MaxHeldBytes <= 0 {
		c.MaxHeldBytes = defaultMaxHeldBytes
	}
	return c
}

// Validate checks what has no default.
func (c Config) Validate() error {
	switch {
	case c.Addr == "":
		return errs.E(errs.Invalid, "binlog reader: no server address given")
	case c.ServerID == 0:
		return errs.E(errs.Invalid, "binlog reader of %s: server id 0 is not a replica's; give a positive, unique one", c.Addr)
	}
	return nil
}

// Start is where reading begins.
type Start struct {
	// File and Pos are used without GTIDs: the first event is the one at Pos. Pos 0 is the beginning of the file; an empty File the server's oldest.
	File string
	Pos  uint64
	// GTIDs is the executed set: the first transaction is the oldest one that is not in it. MySQL's or MariaDB's text form.
	GTIDs string
}
