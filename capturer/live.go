package capturer

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rowmesh/rowmesh/capturer/binlog"
	"github.com/rowmesh/rowmesh/capturer/schema"
	"github.com/rowmesh/rowmesh/capturer/snapshot"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/source"
)

// heartbeat is how often an idle server says so. It is the clock of a reader at the end of the log: Progress, joins that did not work at once, and positions of
// which only a heartbeat tells wait for it. A packet of some 60 bytes a second costs nothing.
const heartbeat = time.Second

// liveServer is a real server.
type liveServer struct {
	cfg     source.Config
	replica source.Config // what snapshots read in place of it; without Addr none
	plain   atomic.Bool   // ssl.mode=preferred, and the server cannot TLS
}

var (
	_ Server  = (*liveServer)(nil)
	_ Session = (*liveSession)(nil)
)

// NewServer returns the access to the server that a connector names, and the replica id that it asks for (0: none).
func NewServer(connector string, cfg map[string]string) (Server, uint32, error) {
	c, res := config.Parse(connector, cfg)
	if err := res.Err(); err != nil {
		return nil, 0, err
	}
	s := &liveServer{cfg: source.FromConnector(c)}
	if c.Snapshot.Host != "" {
		s.replica = s.cfg
		s.replica.Addr = c.Snapshot.Host
	}
	return s, c.ServerID, nil
}

// Connect implements Server.
func (s *liveServer) Connect(ctx context.Context) (Session, error) {
	conn, err := source.Connect(ctx, s.cfg)
	if err != nil {
		return nil, err
	}
	info, err := source.Describe(ctx, conn)
	if err != nil {
		conn.Close()
		return nil, err
	}
	s.plain.Store(conn.Config().TLS == source.TLSPreferred && !conn.Encrypted())
	return &liveSession{conn, info}, nil
}

// Dial implements Server.
func (s *liveServer) Dial(ctx context.Context, info source.Info, serverID uint32, start binlog.Start) (Log, error) {
	cfg := binlog.Config{
		Addr: string(s.cfg.ID()), User: s.cfg.User, Password: s.cfg.Password, Flavor: info.Flavor, ServerID: serverID,
		Heartbeat: heartbeat, ReadTimeout: 10 * heartbeat, ConnectTimeout: s.cfg.ConnectTimeout, VerifyChecksum: true,
	}
	if !s.plain.Load() {
		var err error
		if cfg.TLS, err = s.cfg.TLSConfig(); err != nil {
			return nil, err
		}
	}
	return binlog.Dial(ctx, cfg, start)
}

// Compile implements Server.
func (s *liveServer) Compile(tm *binlog.TableMap, shape *rowv1.Table) (Plan, error) {
	return binlog.Compile(tm, shape)
}

// Ranges implements Server.
func (s *liveServer) Ranges(ctx context.Context) (Ranges, error) {
	return snapshot.OpenRanges(ctx, s.cfg)
}

// Snapshot implements Server.
func (s *liveServer) Snapshot(ctx context.Context, o snapshot.Options, emit snapshot.Emit) (*snapshot.Result, error) {
	o.Source, o.Replica = s.cfg, s.replica
	return snapshot.Run(ctx, o, emit)
}

// liveSession is a session on a real server.
type liveSession struct {
	conn *source.Conn
	info source.Info
}

// Info implements Session.
func (s *liveSession) Info() source.Info { return s.info }

// Close implements Session.
func (s *liveSession) Close() error { return s.conn.Close() }

// Head implements Session.
func (s *liveSession) Head(ctx context.Context) (*rowv1.Position, error) {
	return source.Head(ctx, s.conn)
}

// Logs implements Session.
func (s *liveSession) Logs(ctx context.Context) ([]source.BinaryLog, error) {
	return source.BinaryLogs(ctx, s.conn)
}

// Oldest implements Session.
func (s *liveSession) Oldest(ctx context.Context) (*rowv1.Position, error) {
	logs, err := source.BinaryLogs(ctx, s.conn)
	if err != nil {
		return nil, err
	}
	if len(logs) == 0 {
		return nil, errs.E(errs.Unsupported, "the server at %s keeps no binary log", s.conn.Config().Addr)
	}
	p := &rowv1.Position{File: logs[0].Name, Pos: binlogHeader, ServerUuid: s.info.ServerUUID}
	if s.info.Flavor == config.MariaDB {
		p.Gtids, err = s.Before(ctx, p.File, p.Pos)
		return p, err
	}
	p.Gtids, err = source.Purged(ctx, s.conn)
	return p, err
}

// Before implements Session: MariaDB computes it, MySQL shows the event that each file begins with.
func (s *liveSession) Before(ctx context.Context, file string, pos uint64) (string, error) {
	if s.info.Flavor == config.MariaDB {
		res, err := s.conn.Query(ctx, "SELECT BINLOG_GTID_POS("+source.QuoteText(file)+", "+strconv.FormatUint(pos, 10)+")")
		if err != nil || len(res.Rows) != 1 {
			return "", err
		}
		return strings.ReplaceAll(res.Rows[0][0].Text, "\n", ""), nil
	}
	res, err := s.conn.Query(ctx, "SHOW BINLOG EVENTS IN "+source.QuoteText(file)+" LIMIT 3")
	if err != nil {
		return "", err
	}
	for i := range res.Rows {
		if res.Get(i, "Event_type") == "Previous_gtids" {
			return strings.ReplaceAll(res.Get(i, "Info"), "\n", ""), nil
		}
	}
	return "", nil
}

// ShowCreate implements Session.
func (s *liveSession) ShowCreate(ctx context.Context, database, table string) (string, error) {
	res, err := s.conn.Query(ctx, "SHOW CREATE TABLE "+source.QuoteTable(database, table))
	if err != nil {
		return "", err
	}
	text := ""
	if len(res.Rows) == 1 {
		text = res.Get(0, "Create Table")
	}
	if text == "" {
		return "", errs.E(errs.NotFound, "%s.%s is no table", database, table)
	}
	return text, nil
}

// shapesLockWait is how long Shapes waits for a table that DDL has locked. Whoever waits behind it waits as long.
const shapesLockWait = 1 // seconds

// Shapes implements Session. A transaction that has used a table keeps DDL away from it until it ends, and DDL that was before has reached the log: so
// the tables are what the log has them at the place that is read meanwhile.
func (s *liveSession) Shapes(ctx context.Context, wants func(database, table string) bool, most int) ([]*rowv1.Table, *rowv1.Position, error) {
	sizes, err := s.Sizes(ctx)
	if err != nil {
		return nil, nil, err
	}
	sizes = slices.DeleteFunc(sizes, func(t *capturev1.TableInfo) bool { return !wants(t.Database, t.Table) })
	if len(sizes) == 0 || len(sizes) > most {
		return nil, nil, nil
	}
	for _, sql := range []string{"SET SESSION lock_wait_timeout=" + strconv.Itoa(shapesLockWait), "START TRANSACTION READ ONLY"} {
		if err := s.conn.Exec(ctx, sql); err != nil {
			return nil, nil, err
		}
	}
	defer s.conn.Exec(ctx, "ROLLBACK")
	for _, t := range sizes {
		if err := s.conn.Exec(ctx, "SELECT 1 FROM "+source.QuoteTable(t.Database, t.Table)+" LIMIT 0"); err != nil {
			return nil, nil, err
		}
	}
	at, err := s.Head(ctx)
	if err != nil {
		return nil, nil, err
	}
	options := NewCatalog(s.info).Options()
	var out []*rowv1.Table
	for _, t := range sizes {
		text, err := s.ShowCreate(ctx, t.Database, t.Table)
		if err != nil {
			return nil, nil, err
		}
		if shape, err := schema.ParseCreate(options, t.Database, text); err == nil { // one that is not understood is found out when it has rows
			out = append(out, shape)
		}
	}
	return out, at, nil
}

// Sizes implements Session.
func (s *liveSession) Sizes(ctx context.Context) ([]*capturev1.TableInfo, error) {
	res, err := s.conn.Query(ctx, "SELECT table_schema, table_name, table_rows, data_length FROM information_schema.tables WHERE table_type='BASE TABLE'")
	if err != nil {
		return nil, err
	}
	var out []*capturev1.TableInfo
	for _, row := range res.Rows {
		if len(row) != 4 {
			continue
		}
		t := &capturev1.TableInfo{Database: row[0].Text, Table: row[1].Text}
		t.Rows, _ = strconv.ParseUint(row[2].Text, 10, 64) // NULL for tables that cannot tell
		t.Bytes, _ = strconv.ParseUint(row[3].Text, 10, 64)
		out = append(out, t)
	}
	return out, nil
}

// Databases implements Session.
func (s *liveSession) Databases(ctx context.Context) ([]snapshot.Database, error) {
	res, err := s.conn.Query(ctx, "SELECT schema_name, default_character_set_name, default_collation_name FROM information_schema.schemata")
	if err != nil {
		return nil, err
	}
	var out []snapshot.Database
	for _, row := range res.Rows {
		if len(row) == 3 {
			out = append(out, snapshot.Database{Name: row[0].Text, Charset: row[1].Text, Collation: row[2].Text})
		}
	}
	return out, nil
}
