package capturer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rowmesh/rowmesh/capturer/binlog"
	"github.com/rowmesh/rowmesh/capturer/schema"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/charset"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/row"
	"github.com/rowmesh/rowmesh/services/source"
)

// storeRetry is how long a reader waits before it tries again to store a schema version. Rows that follow a DDL of their table wait for it: a capturer that
// takes over must find the shape that they have.
const storeRetry = time.Second

// errStoreAway ends the feeds of a reader that cannot go on without the schema store.
var errStoreAway = errors.New("the schema store does not take")

// statement takes a statement of the log: it advances the catalogue, stores the new shapes, and then tells the feeds.
func (r *reader) statement(ctx context.Context, ev *binlog.Event) error {
	if ev.InTransaction && writesRows(ev.SQL) {
		// binlog_format=STATEMENT in some session: what the statement did to rows is not in the log.
		r.src.metrics.statements.WithLabelValues(string(r.src.id)).Inc()
		r.logger.Warn("a change was logged as a statement and cannot be captured; set binlog_format=ROW", "database", ev.Database, "file", ev.File, "pos", ev.Pos, "statement", clip(ev.SQL))
		r.uncaptured(ev)
		return nil
	}
	if schema.Administers(ev.SQL) {
		r.tellStatement(ev, ev.Database, func(f *feed) bool { return f.filter.database(ev.Database) })
		return nil
	}
	if !r.tables.catalog.Affects(ev.Database, ev.SQL) {
		return nil
	}
	before := r.tables.names()
	next := r.tables.catalog.Clone() // the statement comes again if its versions cannot be stored
	changes, err := next.Apply(ev.Database, ev.SQL, StatementOptions(r.info, &ev.Session))
	if err == nil && len(changes) == 0 {
		r.tables.catalog = next
		return nil
	}
	if err != nil {
		return r.unknownStatement(ctx, ev, next, err)
	}
	if err := r.keep(ctx, r.versions(ev, changes, before)); err != nil {
		return err
	}
	r.tables.become(next)
	r.altered(changes)
	if r.skip.event > 0 {
		return nil // told before
	}
	for _, f := range r.feeds {
		if !f.dead {
			r.tellDDL(f, ev, changes)
		}
	}
	if ev.InTransaction {
		r.done = cursor{event: uint64(ev.EventIndex) + 1} // told, should the connection break before its rows
	}
	return nil
}

// explicitSinceMySQL is the version before which explicit_defaults_for_timestamp was off unless somebody set it, and the log did not say.
const explicitSinceMySQL = 80002

// StatementOptions says what a statement of a server's log means by what its session was set to.
func StatementOptions(info source.Info, s *binlog.Session) schema.ApplyOptions {
	o := schema.SessionOptions(s.SQLMode, s.ErrorCode)
	if name, cs, ok := charset.ByCollation(s.ServerCollation); ok {
		o.Charset, o.Collation = cs, name
	}
	switch s.Timestamps {
	case binlog.ImplicitTimestamps:
		o.ImplicitTimestamp = true
	case binlog.UnknownTimestamps:
		// MariaDB says when it is on since it is by default.
		o.ImplicitTimestamp = info.Flavor == config.MariaDB || info.Number() < explicitSinceMySQL
	}
	return o
}

// tellStatement sends a statement that changes nothing that is known to the feeds that want all DDL and are concerned.
func (r *reader) tellStatement(ev *binlog.Event, database string, concerns func(*feed) bool) {
	if r.skip.event > 0 {
		return // told before
	}
	for _, f := range r.feeds {
		if f.dead || !f.allDDL() || !concerns(f) {
			continue
		}
		f.flush(r)
		d := r.ddl(ev, &schema.Change{Database: database})
		d.Checkpoint = r.ddlCheckpoint(f, ev, true)
		f.send(r, &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Ddl{Ddl: d}}, d.Checkpoint)
	}
}

// versions are the shapes that hold behind a statement.
func (r *reader) versions(ev *binlog.Event, changes []schema.Change, before [][2]string) []registry.TableVersion {
	from := r.after(ev)
	var out []registry.TableVersion
	// One version of a table, the last: RENAME TABLE t TO x, u TO t takes a name away and gives it again. Were both stored, a reader that meets the statement a second
	// time would find the last one known, and store the first one over it.
	add := func(db, table string, shape *rowv1.Table) {
		v := registry.TableVersion{Database: db, Table: table, ValidFrom: from, Shape: shape}
		if i := slices.IndexFunc(out, sameKey(v)); i >= 0 {
			out[i] = v
			return
		}
		out = append(out, v)
	}
	for _, c := range changes {
		if c.PreviousTable != "" {
			add(c.PreviousDatabase, c.PreviousTable, nil)
		}
	}
	for _, c := range changes {
		switch {
		case c.Type == schema.DropDatabase:
			for _, n := range before {
				if n[0] == c.Database {
					add(n[0], n[1], nil)
				}
			}
		case c.Table != "" && c.Type != schema.TruncateTable && !c.Passing:
			add(c.Database, c.Table, c.After)
		}
	}
	return out
}

// become makes next the catalogue. Shapes have changed: the log describes tables anew.
func (t *tables) become(next *schema.Catalog) {
	t.catalog = next
	clear(t.maps)
}

// keep stores the versions of a statement: at once if a feed wants one of the tables, else in the background.
func (r *reader) keep(ctx context.Context, versions []registry.TableVersion) error {
	if r.keepsAll && len(versions) > 0 {
		return r.store(ctx, versions...)
	}
	for _, v := range versions {
		for _, f := range r.feeds {
			if !f.dead && f.filter.table(v.Database, v.Table)&selected != 0 {
				return r.store(ctx, versions...)
			}
		}
	}
	r.src.history.later(versions...)
	return nil
}

// store puts versions into the schema store. Rows wait for it; when it has taken nothing for as long as subscribers are left without word of their source, they are told.
func (r *reader) store(ctx context.Context, versions ...registry.TableVersion) error {
	for {
		err := r.src.history.put(ctx, versions...)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.flushAll() // what comes before need not wait
		v := &versions[0]
		if r.src.history.failingFor() >= r.src.patience {
			return errs.E(errs.Unavailable, "source %s: %w the shape that table %s.%s has from %s:%d on (%w); its rows wait until the store (etcd) answers and has room",
				r.src.id, errStoreAway, v.Database, v.Table, v.ValidFrom.GetFile(), v.ValidFrom.GetPos(), err)
		}
		r.logger.Warn("schema version not stored; rows wait for it", "database", v.Database, "table", v.Table, "file", r.at.file, "pos", r.at.pos, "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(storeRetry):
		}
	}
}

// unknownStatement forgets the shape of the table of a statement that is not understood. The table's next rows make the reader look for it: in the log's own
// description, or on the server, if the log proves that it has not changed since; else they stop the table, with the statement.
func (r *reader) unknownStatement(ctx context.Context, ev *binlog.Event, next *schema.Catalog, err error) error {
	var unknown *schema.UnknownError
	if !errors.As(err, &unknown) || unknown.Table == "" {
		r.tables.become(next)
		r.logger.Debug("statement not understood", "database", ev.Database, "file", ev.File, "pos", ev.Pos, "error", err)
		return nil
	}
	wanted := slices.ContainsFunc(r.feeds, func(f *feed) bool { return !f.dead && f.wants(unknown.Database, unknown.Table) })
	concerns := func(f *feed) bool {
		return f.concerns(&schema.Change{Database: unknown.Database, Table: unknown.Table})
	}
	if !wanted && r.tables.catalog.Table(unknown.Database, unknown.Table) == nil { // nobody wants its rows, and nothing that was stored becomes wrong
		r.tables.become(next)
		r.tellStatement(ev, unknown.Database, concerns)
		return nil
	}
	gone := registry.TableVersion{Database: unknown.Database, Table: unknown.Table, ValidFrom: r.after(ev)}
	if err := r.keep(ctx, []registry.TableVersion{gone}); err != nil {
		return err
	}
	next.DropTable(unknown.Database, unknown.Table)
	r.tables.become(next)
	r.misunderstood(unknown.Database + "." + unknown.Table)
	r.tables.unknown[[2]string{unknown.Database, unknown.Table}] = unknownStatement{ev.File, ev.Pos, err}
	r.logger.Warn("a statement is not understood; its table's shape is looked for with the next rows", "database", unknown.Database, "table", unknown.Table, "file", ev.File, "pos", ev.Pos, "error", err)
	r.tellStatement(ev, unknown.Database, concerns)
	return nil
}

// after is the place behind a statement; inside a transaction the transaction's start, where a reader that resumes looks.
func (r *reader) after(ev *binlog.Event) *rowv1.Position {
	p := r.at.clone()
	if !ev.InTransaction {
		p.file, p.pos = ev.File, ev.EndPos
		if ev.SID != "" && p.gtids != nil {
			_ = p.gtids.Add(ev.SID, ev.GNO) // advance reports what is wrong with it
		}
	}
	return p.position()
}

// tellDDL sends a feed what concerns it of a statement: one message per change, since a statement that drops three tables is three changes to whoever
// follows one of them.
func (r *reader) tellDDL(f *feed, ev *binlog.Event, changes []schema.Change) {
	var mine []*capturev1.Ddl
	truncates := false
	for i := range changes {
		c := &changes[i]
		truncates = truncates || r.truncates(f, c)
		if f.concerns(c) {
			d := r.ddl(ev, c)
			d.Tables = tablesOf(changes, c.Database)
			mine = append(mine, d)
		}
	}
	if len(mine) > 0 {
		f.flush(r)
	}
	for i, d := range mine {
		d.Checkpoint = r.ddlCheckpoint(f, ev, i == len(mine)-1 && !truncates)
		f.send(r, &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Ddl{Ddl: d}}, d.Checkpoint)
	}
	// Truncates come last: their batch is handed over at a boundary behind the statement, and says so.
	for i := range changes {
		if c := &changes[i]; r.truncates(f, c) {
			r.truncate(f, ev, c)
		}
	}
}

// tablesOf names the tables of a database that a statement changes, as they are called afterwards.
func tablesOf(changes []schema.Change, database string) []string {
	var out []string
	for _, c := range changes {
		if c.Database == database && c.Table != "" {
			out = append(out, c.Table)
		}
	}
	if len(out) < 2 {
		return nil // the message tells all of it
	}
	return out
}

// allDDL says whether a feed wants the statements of its databases, and not only those of its tables.
func (f *feed) allDDL() bool {
	return f.open.Ddl == capturev1.DdlScope_DDL_SCOPE_ALL || f.open.Ddl == capturev1.DdlScope_DDL_SCOPE_DATABASES
}

// concerns says whether a feed is told of a change.
func (f *feed) concerns(c *schema.Change) bool {
	var need answer
	switch f.open.Ddl {
	case capturev1.DdlScope_DDL_SCOPE_NONE:
		return false
	case capturev1.DdlScope_DDL_SCOPE_DATABASES:
		return f.filter.database(c.Database)
	case capturev1.DdlScope_DDL_SCOPE_ALL:
		if !f.filter.database(c.Database) {
			return false // also of a table that left a selected one
		}
		if c.Table == "" {
			return true
		}
		need = selected
	default:
		if c.Table == "" {
			return false
		}
		need = wanted
	}
	return f.filter.table(c.Database, c.Table)&need != 0 || c.PreviousTable != "" && f.filter.table(c.PreviousDatabase, c.PreviousTable)&need != 0
}

// ddl spells a change.
func (r *reader) ddl(ev *binlog.Event, c *schema.Change) *capturev1.Ddl {
	d := &capturev1.Ddl{
		Database: c.Database, Statement: c.Statement, File: ev.File, Pos: ev.Pos, Gtid: gtidText(ev), TimeUs: uint64(ev.Time) * 1e6, ServerId: ev.ServerID, Thread: ev.Thread,
	}
	if ev.CommitUS > 0 {
		d.TimeUs = ev.CommitUS
	}
	if d.Statement == "" {
		d.Statement = ev.SQL
	}
	switch {
	case c.Type == schema.TruncateTable:
		d.Truncated = []string{c.Database + "." + c.Table}
	case c.Table != "":
		d.Changes = []*capturev1.TableChange{tableChange(c)}
	}
	return d
}

func tableChange(c *schema.Change) *capturev1.TableChange {
	out := &capturev1.TableChange{Database: c.Database, Table: c.Table, PreviousDatabase: c.PreviousDatabase, PreviousTable: c.PreviousTable, Passing: c.Passing}
	switch c.Type {
	case schema.CreateTable:
		out.Type = capturev1.ChangeType_CHANGE_TYPE_CREATE
	case schema.DropTable:
		out.Type = capturev1.ChangeType_CHANGE_TYPE_DROP
	default:
		out.Type = capturev1.ChangeType_CHANGE_TYPE_ALTER
	}
	if c.After != nil {
		out.After = schema.Visible(proto.CloneOf(c.After))
	}
	return out
}

// ddlCheckpoint says where to resume after a message of a statement: behind it after the last one, else before it.
func (r *reader) ddlCheckpoint(f *feed, ev *binlog.Event, last bool) *rowv1.Checkpoint {
	t := &r.txn
	before := r.at.position()
	// Debezium's MySQL connector stands behind a statement of its own; in a transaction, and on MariaDB, where a statement is one, behind its first event.
	c := &rowv1.Checkpoint{Offset: &rowv1.SourceOffset{TsSec: t.seconds(ev.Time), File: ev.File, Pos: ev.EndPos, Gtids: before.Gtids, ServerId: ev.ServerID}}
	if ev.InTransaction || r.info.Flavor == config.MariaDB {
		c.Offset.Pos, c.Offset.Event = t.pos, 1
	}
	if !last || ev.InTransaction {
		c.Token = r.at.token(before, f.done, r.at.exact)
		return c
	}
	f.mark = r.boundaries + 1 // the boundary that this statement ends at
	c.Token, c.TransactionEnd = r.at.token(r.after(ev), cursor{}, r.exactAt(ev.File, ev.EndPos)), true
	return c
}

// truncates says whether a change is a truncate that a feed wants as an event; not where no rows of the table were ever sent.
func (r *reader) truncates(f *feed, c *schema.Change) bool {
	return c.Type == schema.TruncateTable && !f.skips[row.Truncate] && f.wants(c.Database, c.Table) && r.tables.catalog.Table(c.Database, c.Table) != nil
}

// truncate puts a truncate into a feed's batch, as an event of its own without rows.
func (r *reader) truncate(f *feed, ev *binlog.Event, c *schema.Change) {
	shape := r.tables.catalog.Table(c.Database, c.Table)
	f.room(r)
	s := r.tell(f, shape)
	f.openBatch(r)
	f.addGroup(r, s, group{op: row.Truncate, event: 1, pos: ev.Pos, time: ev.Time})
	f.commit(r)
}

// uuidLength is the length of a server's uuid, which MariaDB's "domain-server" never has.
const uuidLength = 36

func gtidText(ev *binlog.Event) string {
	if ev.SID == "" {
		return ""
	}
	separator := ":"
	if len(ev.SID) < uuidLength {
		separator = "-" // MariaDB's domain-server-number
	}
	return ev.SID + separator + strconv.FormatUint(ev.GNO, 10)
}

// uncaptured tells the feeds that want tables of the statement's database. Which table it changed only a parser of all of SQL would know.
func (r *reader) uncaptured(ev *binlog.Event) {
	for _, f := range r.feeds {
		key := [2]string{ev.Database, ""}
		if f.dead || f.stopped[key] || !f.filter.database(ev.Database) {
			continue
		}
		f.stopped[key] = true
		f.flush(r)
		e := &capturev1.TableError{Database: ev.Database, Position: &rowv1.Position{File: r.at.file, Pos: ev.Pos, Gtids: string(r.beforeText()), ServerUuid: r.at.uuid},
			Reason: fmt.Sprintf("a change was logged as a statement, and its rows are not in the log (%s): set binlog_format=ROW for all sessions, and take a new snapshot of the table that it changed",
				clip(ev.SQL))}
		f.send(r, &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_TableError{TableError: e}}, nil)
	}
}

// writesRows says whether a statement of a transaction changes rows.
func writesRows(sql string) bool {
	for {
		sql = strings.TrimLeft(sql, " \t\r\n(")
		if !strings.HasPrefix(sql, "/*") || strings.HasPrefix(sql, "/*!") {
			break
		}
		var ok bool
		if _, sql, ok = strings.Cut(sql, "*/"); !ok {
			return false
		}
	}
	end := strings.IndexAny(sql, " \t\r\n/(`")
	if end < 0 {
		return false
	}
	switch strings.ToUpper(sql[:end]) {
	case "INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "WITH":
		return true
	}
	return false
}

// clip shortens a statement for the log.
func clip(sql string) string {
	const most = 200
	if len(sql) <= most {
		return sql
	}
	return strings.ToValidUTF8(sql[:most], "") + "..."
}
