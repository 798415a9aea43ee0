package binlog

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// Dump flags (COM_BINLOG_DUMP of the servers).
const (
	dumpThroughGTID  = 0x04 // MySQL: the GTID set in the command says where to begin
	dumpSendAnnotate = 0x02 // MariaDB: send ANNOTATE_ROWS
)

// Dial connects to the server, and asks it for its log from start on. ctx bounds the dialling only; Close ends the stream.
//
// Each stream says that it is a replica with a random uuid: the server ends an older dump of a replica whose uuid, or on MariaDB whose server id,
// comes again, and two readers of ours must not end each other.
func Dial(ctx context.Context, cfg Config, start Start) (*Stream, error) {
	s, err := dialStream(ctx, cfg, start)
	if err != nil {
		return nil, err
	}
	// Prepared transactions are looked up and read again inside Next, which has no context: Close ends it.
	var background context.Context
	background, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.xa.find, s.xa.reread = lookup(background, s.cfg), again(background, s.cfg)
	return s, nil
}

func dialStream(ctx context.Context, cfg Config, start Start) (*Stream, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout)
	defer cancel()
	conn, err := dialServer(ctx, cfg)
	if err != nil {
		return nil, err
	}
	d := dialer{cfg: cfg, conn: conn}
	stop := context.AfterFunc(ctx, func() { conn.Conn.Conn.SetDeadline(time.Unix(1, 0)) })
	err = d.prepare(start)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Conn.Conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, classify("ask "+cfg.Addr+" for its binlog", err)
	}
	raw := conn.Conn.Conn
	if err := raw.SetDeadline(time.Time{}); err != nil {
		raw.Close()
		return nil, classify("ask "+cfg.Addr+" for its binlog", err)
	}
	s := newStream(newPacketReader(raw, cfg.ReadTimeout, cfg.MaxEventBytes), cfg)
	s.begin(d.start)
	return s, nil
}

// dialServer logs in.
func dialServer(ctx context.Context, cfg Config) (*client.Conn, error) {
	netDialer := &net.Dialer{KeepAlive: 30 * time.Second}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := netDialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if deadline, ok := ctx.Deadline(); ok {
			err = c.SetDeadline(deadline)
		}
		return c, err
	}
	options := []client.Option{}
	if cfg.TLS != nil {
		options = append(options, func(c *client.Conn) error { c.SetTLSConfig(cfg.TLS); return nil })
	}
	conn, err := client.ConnectWithDialer(ctx, "tcp", cfg.Addr, cfg.User, cfg.Password, "", dial, options...)
	if err != nil {
		return nil, classify("connect to "+cfg.Addr+" as "+cfg.User, err)
	}
	return conn, nil
}

// dialer is a connection on its way into dump mode.
type dialer struct {
	cfg   Config
	conn  *client.Conn
	start Start
}

func (d *dialer) prepare(start Start) error {
	d.start = start
	if err := d.session(); err != nil {
		return err
	}
	if start.GTIDs == "" && start.File == "" {
		if err := d.oldest(); err != nil {
			return err
		}
	}
	if err := d.register(); err != nil {
		return err
	}
	if start.GTIDs != "" && d.cfg.Flavor == config.MySQL {
		return d.dumpGTID()
	}
	return d.dump()
}

// session sets what the dump thread looks at.
func (d *dialer) session() error {
	r, err := d.conn.Execute("SELECT @@global.binlog_checksum")
	if err != nil {
		return err
	}
	checksum, err := r.GetString(0, 0)
	r.Close()
	if err != nil {
		return err
	}
	id, err := randomUUID()
	if err != nil {
		return err
	}
	// The servers read the names of their time; user variables that they do not know do no harm.
	vars := fmt.Sprintf("SET @master_binlog_checksum='%[1]s', @source_binlog_checksum='%[1]s', @master_heartbeat_period=%[2]d, "+
		"@source_heartbeat_period=%[2]d, @slave_uuid='%[3]s', @replica_uuid='%[3]s'", checksum, d.cfg.Heartbeat.Nanoseconds(), id)
	if d.cfg.Flavor == config.MariaDB {
		// Capability 4: the replica understands GTID events. Without strict mode the server silently goes on behind a GTID that its log lacks.
		vars += ", @mariadb_slave_capability=4"
		if d.start.GTIDs != "" {
			if strings.ContainsAny(d.start.GTIDs, "'\\") {
				return errs.E(errs.Invalid, "GTID position %q holds a quote", d.start.GTIDs)
			}
			vars += fmt.Sprintf(", @slave_connect_state='%s', @slave_gtid_strict_mode=1, @slave_gtid_ignore_duplicates=0", d.start.GTIDs)
		}
	}
	if err := d.exec(vars); err != nil {
		return err
	}
	// A reader that does not read for a while (back-pressure) must not be cut off by the server's net_write_timeout of 60 s.
	return d.exec("SET SESSION net_write_timeout=86400")
}

func (d *dialer) exec(sql string) error {
	r, err := d.conn.Execute(sql)
	if err == nil {
		r.Close()
	}
	return err
}

// oldest begins with the first file that the server still has.
func (d *dialer) oldest() error {
	r, err := d.conn.Execute("SHOW BINARY LOGS")
	if err != nil {
		return err
	}
	defer r.Close()
	if r.RowNumber() == 0 {
		return errs.E(errs.Unsupported, "the server has no binary log; start it with log_bin")
	}
	file, err := r.GetString(0, 0)
	d.start.File = strings.Clone(file)
	return err
}

// register makes the reader visible in SHOW REPLICAS.
func (d *dialer) register() error {
	b := make([]byte, packetHeader, packetHeader+32)
	b = append(b, byte(mysql.COM_REGISTER_SLAVE))
	b = binary.LittleEndian.AppendUint32(b, d.cfg.ServerID)
	const host = "rowmesh"
	b = append(b, byte(len(host)))
	b = append(b, host...)
	b = append(b, 0, 0)                   // user and password: empty
	b = append(b, 0, 0)                   // port
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0) // rank and source id
	d.conn.ResetSequence()
	if err := d.conn.WritePacket(b); err != nil {
		return err
	}
	_, err := d.conn.ReadOKPacket()
	return err
}

// dump asks by file and position (and on MariaDB, by @slave_connect_state if that is set). The command has 32 bits for the position: to begin
// behind 4 GiB, the file is read from its start and skipped up to there.
func (d *dialer) dump() error {
	pos := d.start.Pos
	if pos < firstPos || pos > math.MaxUint32 {
		pos = firstPos
	}
	flags := uint16(0)
	if d.cfg.Flavor == config.MariaDB {
		flags = dumpSendAnnotate
	}
	b := make([]byte, packetHeader, packetHeader+16+len(d.start.File))
	b = append(b, byte(mysql.COM_BINLOG_DUMP))
	b = binary.LittleEndian.AppendUint32(b, uint32(pos))
	b = binary.LittleEndian.AppendUint16(b, flags)
	id, err := d.dumpServerID()
	if err != nil {
		return err
	}
	b = binary.LittleEndian.AppendUint32(b, id)
	if d.start.GTIDs == "" {
		b = append(b, d.start.File...)
	}
	d.conn.ResetSequence()
	return d.conn.WritePacket(b)
}

// dumpServerID is the id in the dump command. MySQL ends an older dump with the same uuid; MariaDB one with the same id in the command, whatever was
// registered, so there each stream takes its own from the upper half, which hand-given ids seldom use.
func (d *dialer) dumpServerID() (uint32, error) {
	if d.cfg.Flavor != config.MariaDB {
		return d.cfg.ServerID, nil
	}
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b[:]) | 1<<31, nil
}

// dumpGTID asks a MySQL server for what is not in the set.
func (d *dialer) dumpGTID() error {
	set, err := mysql.ParseMysqlGTIDSet(d.start.GTIDs)
	if err != nil {
		return errs.E(errs.Invalid, "GTID set %q: %w", d.start.GTIDs, err)
	}
	data := set.Encode()
	b := make([]byte, packetHeader, packetHeader+32+len(data))
	b = append(b, byte(mysql.COM_BINLOG_DUMP_GTID))
	b = binary.LittleEndian.AppendUint16(b, dumpThroughGTID)
	b = binary.LittleEndian.AppendUint32(b, d.cfg.ServerID)
	b = binary.LittleEndian.AppendUint32(b, 0) // no file name: the set decides
	b = binary.LittleEndian.AppendUint64(b, firstPos)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	b = append(b, data...)
	d.conn.ResetSequence()
	return d.conn.WritePacket(b)
}

func randomUUID() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // version 4, RFC 9562
	return formatUUID(b[:]), nil
}

// formatUUID writes 16 bytes as a UUID.
func formatUUID(b []byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// fatalReading tells the meanings of error 1236 apart by their text, which is all that the server gives.
func fatalReading(message string) errs.Kind {
	m := strings.ToLower(message)
	for _, sign := range []string{"purged", "could not find first log file", "impossible position", "client requested", "more gtids",
		"not in the", "binlog hole", "diverged", "could not find gtid state"} {
		if strings.Contains(m, sign) {
			return errs.Gap
		}
	}
	return errs.Unavailable
}
