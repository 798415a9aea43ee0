package source

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// readBuffer holds the rows that one read of the socket brings: at 256 KiB a wide row costs a few nanoseconds of system call, and rows up to that
// size are views into it.
const readBuffer = 256 << 10

// Conn is a session on a server. One goroutine uses it. After a context that ended in the middle of a statement it is of no more use.
type Conn struct {
	cfg     Config
	raw     net.Conn
	br      *bufio.Reader
	version string
	id      uint32
	tls     bool

	seq    byte
	peeked int    // bytes of br that the packet handed out last still occupies
	big    []byte // a packet larger than br
	broken error  // why the session cannot be used any more
}

// Connect opens a session. Errors: Denied for credentials and grants, Unavailable for a server that cannot be reached, Invalid for a configuration
// that can never work.
func Connect(ctx context.Context, cfg Config) (*Conn, error) {
	cfg = cfg.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout)
	defer cancel()
	c, err := dial(ctx, cfg, cfg.TLS != TLSDisabled)
	if err != nil && cfg.TLS == TLSPreferred && plainMayWork(err) {
		c, err = dial(ctx, cfg, false)
	}
	if err != nil {
		return nil, connectError(cfg, err)
	}
	if err := c.prepare(ctx); err != nil {
		c.Close()
		return nil, connectError(cfg, err)
	}
	return c, nil
}

func dial(ctx context.Context, cfg Config, encrypt bool) (*Conn, error) {
	var raw net.Conn
	var stop func() bool
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: cfg.KeepAlive, Interval: cfg.KeepAlive}}
	open := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		raw = conn
		// The handshake reads without a deadline of its own: a host that accepts and says nothing would hold it for ever.
		stop = context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
		return conn, nil
	}
	options := []client.Option{func(c *client.Conn) error {
		// With these off, results have one form only: columns, EOF, rows, EOF.
		c.UnsetCapability(mysql.CLIENT_QUERY_ATTRIBUTES)
		c.UnsetCapability(mysql.CLIENT_DEPRECATE_EOF)
		c.BufferSize = 4096 // go-mysql reads the handshake only
		return nil
	}}
	if encrypt {
		t, err := cfg.TLSConfig()
		if err != nil {
			return nil, err
		}
		options = append(options, func(c *client.Conn) error { c.SetTLSConfig(t); return nil })
	}
	gc, err := client.ConnectWithDialer(ctx, "tcp", cfg.Addr, cfg.User, cfg.Password, "", open, options...)
	if raw == nil {
		return nil, err
	}
	if !stop() {
		err = ctx.Err() // go-mysql keeps no cause
	}
	if err == nil {
		err = raw.SetDeadline(time.Time{})
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	conn := gc.Conn.Conn // the TLS connection where there is one
	return &Conn{cfg: cfg, raw: conn, br: bufio.NewReaderSize(conn, readBuffer), version: gc.GetServerVersion(), id: gc.GetConnectionID(), tls: encrypt}, nil
}

// prepare makes the session independent of the server's defaults: first what may be set otherwise, then the user's statements, then what decoding relies on.
func (c *Conn) prepare(ctx context.Context) error {
	if err := c.Exec(ctx, "SET SESSION "+strings.Join(c.tuning(), ", SESSION ")); err != nil {
		return err
	}
	if c.Flavor() == config.MySQL {
		// Newer than the oldest server (5.7.8): unknown there, and then not needed.
		if err := c.execIfKnown(ctx, "SET SESSION max_execution_time=0"); err != nil {
			return err
		}
	}
	for i, s := range c.cfg.Initial {
		if err := c.Exec(ctx, s); err != nil {
			return initialError(c.cfg, i, s, err)
		}
	}
	if err := c.Exec(ctx, "SET NAMES utf8mb4"); err != nil {
		return err
	}
	set := []string{
		"time_zone='+00:00'", // TIMESTAMP as an instant
		"sql_mode=''",        // CHAR unpadded, SHOW CREATE TABLE with backquotes
		"sql_quote_show_create=1",
		"sql_select_limit=18446744073709551615",
	}
	if err := c.Exec(ctx, "SET SESSION "+strings.Join(set, ", SESSION ")); err != nil {
		return err
	}
	if c.Flavor() == config.MySQL { // since 8.0.30
		return c.execIfKnown(ctx, "SET SESSION show_gipk_in_create_table_and_information_schema=ON")
	}
	return nil
}

// tuning are settings that only waiting depends on.
func (c *Conn) tuning() []string {
	set := []string{
		// The server waits this long, in seconds, for a client that does not read. A consumer whose sink is away for a while must find its snapshot
		// alive; dead peers are found by TCP, not by this.
		"net_write_timeout=3600",
		// A session that holds a lock or a read view sits idle while another one reads.
		"wait_timeout=86400",
	}
	if c.Flavor() == config.MariaDB {
		set = append(set, "max_statement_time=0")
	}
	return set
}

// execIfKnown runs a statement that older servers refuse.
func (c *Conn) execIfKnown(ctx context.Context, sql string) error {
	var server *ServerError
	if err := c.Exec(ctx, sql); err != nil && !errors.As(err, &server) {
		return err
	}
	return nil
}

// Flavor says whose server this is, by its version text.
func (c *Conn) Flavor() config.Flavor {
	if strings.Contains(strings.ToLower(c.version), "mariadb") {
		return config.MariaDB
	}
	return config.MySQL
}

// Version returns the server's version text as the handshake has it.
func (c *Conn) Version() string {
	// MariaDB before 11 puts 5.5.5- in front, for replicas of its day.
	return strings.TrimPrefix(strings.TrimRight(c.version, "\x00"), "5.5.5-")
}

// ID is the connection's number on the server, as KILL takes it.
func (c *Conn) ID() uint32 { return c.id }

// Encrypted says whether TLS is in use.
func (c *Conn) Encrypted() bool { return c.tls }

// Config returns what the session was opened with, defaults filled in.
func (c *Conn) Config() Config { return c.cfg }

// Close ends the session. It does not wait for the server.
func (c *Conn) Close() error {
	if c.broken == nil {
		c.broken = errs.E(errs.Unavailable, "the connection to %s is closed", c.cfg.Addr)
		c.raw.SetWriteDeadline(time.Now().Add(time.Second))
		c.raw.Write([]byte{1, 0, 0, 0, mysql.COM_QUIT})
	}
	return c.raw.Close()
}
