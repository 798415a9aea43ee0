package capturer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/rowmesh/rowmesh/capturer/binlog"
	"github.com/rowmesh/rowmesh/capturer/schema"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/row"
	"github.com/rowmesh/rowmesh/services/source"
)

// tables is what a reader knows of the tables at its place in the log.
type tables struct {
	catalog *schema.Catalog
	// guesses are shapes that a table has later; better than today's where nothing earlier is known.
	guesses map[[2]string]*rowv1.Table
	// unknown holds the statements that are not understood, by their table.
	unknown map[[2]string]unknownStatement
	// maps holds what is known of each description of a table in the log. It is bounded by cacheEntries, and emptied by DDL.
	maps map[*binlog.TableMap]*tableState
}

// tableState is a table as the log describes it.
type tableState struct {
	shape   *rowv1.Table
	plan    Plan
	err     error // why its rows cannot be decoded
	known   bool  // shape, plan and err are valid
	hidden  bool  // it has columns that the server keeps to itself
	end     int   // place of the hidden row_end, or -1
	feeds   []*feed
	members uint64 // reader's count for which feeds is valid
}

// newTables loads the shapes at the reader's place.
func newTables(ctx context.Context, r *reader, session Session) (*tables, error) {
	if err := r.src.history.load(ctx); err != nil {
		return nil, fmt.Errorf("load the schema versions of source %s: %w", r.src.id, err)
	}
	t := &tables{catalog: NewCatalog(r.info), guesses: make(map[[2]string]*rowv1.Table), unknown: make(map[[2]string]unknownStatement), maps: make(map[*binlog.TableMap]*tableState)}
	databases, err := session.Databases(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range databases {
		t.catalog.SetDatabase(d.Name, d.Charset, d.Collation)
	}
	known, guesses := r.src.history.at(r.info.Flavor, &r.at)
	for _, v := range known {
		t.catalog.SetTable(v)
	}
	for _, v := range guesses {
		t.guesses[[2]string{v.Database, v.Table}] = v
	}
	return t, nil
}

// NewCatalog returns an empty catalogue for a server.
func NewCatalog(info source.Info) *schema.Catalog {
	return schema.NewCatalog(schema.Options{Flavor: info.Flavor, Version: info.Number(), LowerCaseNames: info.LowerCaseNames, ServerCharset: info.Charset, ServerCollation: info.Collation})
}

// names lists the tables that are known.
func (t *tables) names() [][2]string {
	var out [][2]string
	t.catalog.Tables(func(v *rowv1.Table) bool {
		out = append(out, [2]string{v.Database, v.Table})
		return true
	})
	return out
}

// rows hands the rows of an event to the feeds that want them. Rows that nobody wants are not decoded.
func (r *reader) rows(ctx context.Context, ev *binlog.Event) error {
	if uint64(ev.EventIndex) < r.skip.event {
		return nil
	}
	st := r.tables.state(r, ev.Table)
	if len(st.feeds) == 0 {
		return nil
	}
	if !st.known {
		r.tables.leaveUnknown(r, ev, st)
		if len(st.feeds) == 0 {
			return nil
		}
		if err := r.tables.resolve(ctx, r, ev.Table, st); err != nil {
			return err // the server or the store does not answer: the transaction is read again
		}
	}
	if len(st.feeds) == 0 {
		return nil
	}
	if st.err != nil {
		r.stopTable(ev, st, st.err)
		return nil
	}
	if err := r.note(ev, st); err != nil {
		return r.badRows(ev, st, err)
	}
	first := 0
	if uint64(ev.EventIndex) == r.skip.event {
		first = int(r.skip.row)
	}
	if first > 0 {
		n, all, err := skipRows(st.plan, ev, first, &r.scratch)
		if err != nil {
			return r.badRows(ev, st, err)
		}
		if all {
			return nil
		}
		first = n
	}
	if f := r.single(st, ev.Op); f != nil {
		return r.rowsTo(f, ev, st, first)
	}
	return r.rowsToAll(ev, st, first)
}

// skipRows finds out whether an event has rows after the first n.
func skipRows(p Plan, ev *binlog.Event, n int, scratch *[]byte) (at int, all bool, err error) {
	for at < n {
		out, rows, done, err := p.Append((*scratch)[:0], ev, at, 1)
		*scratch = out[:0]
		at += rows
		if err != nil || done {
			return at, true, err
		}
		if rows == 0 {
			return at, true, fmt.Errorf("the decoder makes no progress at row %d", at)
		}
	}
	return at, false, nil
}

// single returns the only feed that wants an event and takes its rows as they are, or nil.
func (r *reader) single(st *tableState, op row.Op) *feed {
	var only *feed
	for _, f := range st.feeds {
		if f.dead || f.skips[op] {
			continue
		}
		if only != nil || len(f.columns) > 0 || st.hidden {
			return nil
		}
		only = f
	}
	return only
}

// rowsTo decodes an event straight into the batch of one feed.
func (r *reader) rowsTo(f *feed, ev *binlog.Event, st *tableState, first int) error {
	for {
		room := f.room(r)
		if f.dead {
			return nil
		}
		s := r.tell(f, st.shape)
		b := f.openBatch(r)
		f.grow(min(room, firstPayload))
		before := len(b.Payload)
		out, n, done, err := st.plan.Append(b.Payload, ev, first, room)
		b.Payload = out
		if n > 0 {
			f.addGroup(r, s, groupOf(ev, st, first, n))
			r.handed(ev, first+n, n, len(out)-before)
		}
		if err != nil {
			b.Payload = b.Payload[:groupsEnd(b)]
			return r.badRows(ev, st, err)
		}
		first += n
		if done {
			return nil
		}
		if n == 0 && len(b.GroupSchema) == 0 {
			return errs.E(errs.Internal, "rows of %s.%s at %s:%d: the decoder makes no progress at row %d", st.shape.Database, st.shape.Table, ev.File, ev.Pos, first)
		}
		if n == 0 {
			f.flush(r)
		}
	}
}

// rowsToAll decodes an event piece by piece, and copies each piece into the batches of the feeds that want it.
func (r *reader) rowsToAll(ev *binlog.Event, st *tableState, first int) error {
	piece := 0
	for _, f := range st.feeds {
		if !f.dead && st.takes(f, ev.Op) && (piece == 0 || f.maxBytes() < piece) {
			piece = f.maxBytes()
		}
	}
	if piece == 0 {
		return nil
	}
	for done := false; !done; {
		out, n, end, err := st.plan.Append(r.scratch[:0], ev, first, piece)
		r.scratch = out
		if err == nil && n == 0 && !end {
			err = fmt.Errorf("the decoder makes no progress at row %d", first)
		}
		g := groupOf(ev, st, first, n)
		for _, f := range st.feeds {
			if n == 0 || f.dead || !st.takes(f, ev.Op) {
				continue
			}
			var err error
			if st.end >= 0 {
				err = r.copyVersioned(f, st, out, g)
			} else {
				err = r.copyTo(f, st, out, g)
			}
			if err != nil {
				return r.badRows(ev, st, err)
			}
		}
		if n > 0 {
			r.handed(ev, first+n, n, len(out))
		}
		if err != nil {
			return r.badRows(ev, st, err)
		}
		first += n
		done = end
	}
	if cap(r.scratch) > maxScratch {
		r.scratch = nil
	}
	return nil
}

// takes says whether a feed takes rows of an operation, or of another one that it is logged as.
func (st *tableState) takes(f *feed, op row.Op) bool {
	return !f.skips[op] || st.end >= 0 && op == row.Update && !f.skips[row.Delete]
}

// maxScratch is the buffer for decoding that stays allocated; one row may have needed more.
const maxScratch = 8 << 20

// copyTo appends decoded rows to a feed's batch.
func (r *reader) copyTo(f *feed, st *tableState, rows []byte, g group) error {
	if room := f.room(r); room < len(rows) && f.batch != nil {
		f.flush(r)
	}
	if f.dead {
		return nil
	}
	s := r.tell(f, st.shape)
	b := f.openBatch(r)
	f.grow(len(rows))
	if s.keep == nil {
		b.Payload = append(b.Payload, rows...)
	} else {
		var err error
		if b.Payload, err = s.projectRows(b.Payload, rows, len(st.shape.Columns), g.flags, g.op); err != nil {
			return err
		}
	}
	f.addGroup(r, s, g)
	return nil
}

// handed notes what the feeds got of an event.
func (r *reader) handed(ev *binlog.Event, upTo, rows, bytes int) {
	r.done = cursor{uint64(ev.EventIndex), uint64(upTo)}
	r.alive = true
	r.pending.rows += rows
	r.pending.bytes += bytes
}

func groupOf(ev *binlog.Event, st *tableState, first, n int) group {
	return group{op: ev.Op, flags: st.plan.Flags(ev), rows: n, first: first, event: ev.EventIndex, pos: ev.Pos, time: ev.Time, query: ev.Query}
}

func groupsEnd(b *rowv1.Batch) int {
	if n := len(b.GroupEnd); n > 0 {
		return int(b.GroupEnd[n-1])
	}
	return 0
}

// tell makes sure that a feed's subscriber knows a table version.
func (r *reader) tell(f *feed, shape *rowv1.Table) *schemaState {
	s, isNew := f.schema(shape)
	if isNew {
		t := proto.CloneOf(s.shape)
		t.SchemaId = s.id
		f.send(r, &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Schema{Schema: t}}, nil)
	}
	return s
}

// state returns what is known of a table, with the feeds that want it.
func (t *tables) state(r *reader, tm *binlog.TableMap) *tableState {
	st := t.maps[tm]
	if st == nil {
		if len(t.maps) >= cacheEntries {
			clear(t.maps)
		}
		st = &tableState{}
		t.maps[tm] = st
		st.members = r.members + 1
	}
	if st.members != r.members {
		st.members, st.feeds = r.members, st.feeds[:0]
		for _, f := range r.feeds {
			if !f.dead && f.wants(tm.Database, tm.Name) && !t.catalog.IsSequence(tm.Database, tm.Name) {
				st.feeds = append(st.feeds, f)
			}
		}
	}
	return st
}

// resolve finds the shape of a table and compiles its decoder. st.err is for what only a person can mend; the returned error for what may pass.
func (t *tables) resolve(ctx context.Context, r *reader, tm *binlog.TableMap, st *tableState) error {
	if v, ok := r.src.history.unstored(tm.Database, tm.Name); ok { // nobody wanted the table when its shape changed
		if err := r.store(ctx, v); err != nil {
			return err
		}
	}
	shape := t.catalog.Table(tm.Database, tm.Name)
	how := "schema history"
	if shape == nil {
		var err error
		shape, how, err = t.find(ctx, r, tm)
		if isSequence(r.info.Flavor, tm, err) {
			t.catalog.SetSequence(tm.Database, tm.Name)
			st.feeds, st.err, st.known = nil, errSequence, true
			return nil
		}
		if err != nil {
			if k := errs.KindOf(err); k == errs.Unavailable || k == errs.Busy {
				return err
			}
			st.err, st.known = err, true
			return nil
		}
	}
	plan, err := r.src.access().Compile(tm, shape)
	if err != nil {
		if full, ok := binlog.ShapeFromMetadata(tm); ok {
			r.logger.Warn("the log's own description of a table is used instead of the history's", "database", tm.Database, "table", tm.Name, "error", err)
			shape, how = full, "log metadata"
			plan, err = r.src.access().Compile(tm, shape)
		} else if how == "schema history" {
			shape, plan, err = t.changedOutside(ctx, r, tm, err)
			if k := errs.KindOf(err); err != nil && (k == errs.Unavailable || k == errs.Busy) {
				return err
			}
		}
	}
	if err != nil {
		st.err, st.known = fmt.Errorf("shape from %s: %w", how, err), true
		return nil
	}
	if t.catalog.Table(tm.Database, tm.Name) != shape {
		if err := r.store(ctx, registry.TableVersion{Database: tm.Database, Table: tm.Name, ValidFrom: r.at.position(), Shape: shape}); err != nil {
			return err
		}
		t.catalog.SetTable(shape)
	}
	st.known, st.shape, st.plan, st.hidden, st.end = true, shape, plan, hasHidden(shape), periodEnd(shape)
	return nil
}

// find gets a shape where the history has none for this place: from the log's full metadata, from a later version, or from the server's catalogue of today.
// The caller compares it with the log's type vector in any case.
func (t *tables) find(ctx context.Context, r *reader, tm *binlog.TableMap) (*rowv1.Table, string, error) {
	// What a subscription stored after this reader had loaded the history.
	if shape := r.src.history.table(r.info.Flavor, &r.at, tm.Database, tm.Name); shape != nil {
		return shape, "schema history", nil
	}
	if shape, ok := binlog.ShapeFromMetadata(tm); ok {
		return shape, "log metadata", nil
	}
	name := tm.Database + "." + tm.Name
	if shape := t.guesses[[2]string{tm.Database, tm.Name}]; shape != nil {
		r.logger.Warn("no schema version is known for this place in the log; a later one is used", "table", name, "file", r.at.file, "pos", r.at.pos)
		return shape, "a later version", nil
	}
	shape, err := t.today(ctx, r, tm)
	if err == nil {
		return shape, "SHOW CREATE TABLE of today", nil
	}
	if k := errs.KindOf(err); k == errs.Unavailable || k == errs.Busy || errors.Is(err, errSequence) {
		return nil, "", err
	}
	if u, ok := t.unknown[[2]string{tm.Database, tm.Name}]; ok {
		return nil, "", fmt.Errorf("the statement at %s:%d is not understood, and the table's shape behind it cannot be told: %w; %w; %s", u.file, u.pos, u.err, err, waysOn)
	}
	if errors.Is(err, errChanged) { // the type vector decides
		r.logger.Warn("no schema version is known for this place in the log; the table as it is today is used", "table", name, "file", r.at.file, "pos", r.at.pos, "error", err)
		return shape, "SHOW CREATE TABLE of today", nil
	}
	return nil, "", fmt.Errorf("table %s: no schema version is known for %s:%d: %w; %s", name, r.at.file, r.at.pos, err, waysOn)
}

// badRows treats rows that do not decode.
func (r *reader) badRows(ev *binlog.Event, st *tableState, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	r.stopTable(ev, st, err)
	return nil
}

// stopTable tells the feeds that want a table that its rows are not sent from here on, and those that would rather do without an event that only its are not.
func (r *reader) stopTable(ev *binlog.Event, st *tableState, why error) {
	var stop, skip []*feed
	for _, f := range st.feeds {
		if f.open.SkipBadRows {
			skip = append(skip, f)
		} else {
			stop = append(stop, f)
		}
	}
	if len(stop) > 0 {
		r.tableError(ev.Table.Database, ev.Table.Name, ev.Pos, why, stop)
	}
	for _, f := range skip {
		r.tellSkipped(f, ev, &capturev1.TableError{Reason: why.Error(), Skipped: true})
	}
	st.feeds = skip
	st.members = r.members
}

// tellSkipped tells a feed that an event is left out.
func (r *reader) tellSkipped(f *feed, ev *binlog.Event, e *capturev1.TableError) {
	if f.dead {
		return
	}
	f.flush(r)
	e.Database, e.Table = ev.Table.Database, ev.Table.Name
	e.Position = &rowv1.Position{File: r.at.file, Pos: ev.Pos, Gtids: string(r.beforeText()), ServerUuid: r.at.uuid}
	f.send(r, &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_TableError{TableError: e}}, nil)
}

// leaveUnknown takes those feeds from a table that want no rows of it unless its shape is known.
func (t *tables) leaveUnknown(r *reader, ev *binlog.Event, st *tableState) {
	if !slices.ContainsFunc(st.feeds, func(f *feed) bool { return f.open.KnownTablesOnly }) || t.knows(r, ev.Table) {
		return
	}
	st.feeds = slices.DeleteFunc(st.feeds, func(f *feed) bool {
		if !f.open.KnownTablesOnly {
			return false
		}
		if key := [2]string{ev.Table.Database, ev.Table.Name}; !f.unknown[key] {
			f.unknown[key] = true
			r.tellSkipped(f, ev, &capturev1.TableError{Skipped: true, Unknown: true,
				Reason: "no statement in the log and no snapshot has told its shape; its rows are left out until one does; take a snapshot of it (snapshot.mode=no_data is enough)"})
		}
		return true
	})
}

// knows says whether the shape of a table is known without asking the server what it is today.
func (t *tables) knows(r *reader, tm *binlog.TableMap) bool {
	if t.catalog.Table(tm.Database, tm.Name) != nil || r.src.history.table(r.info.Flavor, &r.at, tm.Database, tm.Name) != nil {
		return true
	}
	if _, ok := r.src.history.unstored(tm.Database, tm.Name); ok {
		return true
	}
	_, ok := binlog.ShapeFromMetadata(tm)
	return ok
}

func (r *reader) tableError(database, table string, pos uint64, why error, feeds []*feed) {
	r.logger.Error("table stopped", "database", database, "table", table, "file", r.at.file, "pos", pos, "error", why)
	r.src.metrics.tableErrors.WithLabelValues(string(r.src.id)).Inc()
	for _, f := range feeds {
		key := [2]string{database, table}
		if f.dead || f.stopped[key] {
			continue
		}
		f.stopped[key] = true
		f.flush(r)
		e := &capturev1.TableError{Database: database, Table: table, Reason: why.Error() + "; its rows are not sent from here on, those of other tables are",
			Position: &rowv1.Position{File: r.at.file, Pos: pos, Gtids: string(r.beforeText()), ServerUuid: r.at.uuid}}
		f.send(r, &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_TableError{TableError: e}}, nil)
	}
}
