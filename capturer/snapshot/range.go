package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rowmesh/rowmesh/capturer/chunk"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
	"github.com/rowmesh/rowmesh/services/source"
)

const (
	// viewTries bound the wait for a view that shows what the log's readers have seen: a commit takes milliseconds from the log to its visibility, and with
	// semi-synchronous replication as long as a replica takes to answer, 10 s by default.
	viewWait = 30 * time.Second
	viewStep = 2 * time.Millisecond
)

// Ranges reads tables part by part, each part with one short statement. One goroutine uses it. After an error of kind Unavailable it is of no more use.
type Ranges struct {
	conn  *source.Conn
	info  source.Info
	shown string // GTIDs that are known to be shown
}

// OpenRanges opens a session for reading parts of tables.
func OpenRanges(ctx context.Context, cfg source.Config) (*Ranges, error) {
	conn, err := source.Connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	r := &Ranges{conn: conn}
	if r.info, err = source.Describe(ctx, conn); err == nil {
		// A consistent read of committed rows, whatever the server's default is.
		err = conn.Exec(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return r, nil
}

// Info is what the server is.
func (r *Ranges) Info() source.Info { return r.info }

// Now is the server's clock, microseconds since the Unix epoch; whole seconds.
func (r *Ranges) Now(ctx context.Context) (uint64, error) { return now(ctx, r.conn) }

// Close ends the session.
func (r *Ranges) Close() error { return r.conn.Close() }

// Range says what is read.
type Range struct {
	// Table is the version to pack rows in; its columns are those that are selected.
	Table *rowv1.Table
	Key   chunk.Key // of Table
	Range chunk.Range
	// Condition is an SQL expression that the rows must meet; empty: all.
	Condition string
	// Limit is how many rows are read; of those the first that have MaxBytes or a little more are kept, in parts of PartBytes each.
	Limit, MaxBytes, PartBytes int
	// Small says that there may be few rows: buffers begin small.
	Small bool
	// Alloc lends buffers for the parts; nil: make.
	Alloc func(capacity int) []byte
	// After is a place in the log: what comes before it must be shown. Reached says whether a place of the view is there (MariaDB). Without GTIDs MySQL cannot say: the
	// caller waits.
	After   *rowv1.Position
	Reached func(view *rowv1.Position) bool
}

// Rows are what was read of a range.
type Rows struct {
	Parts       []chunk.Part
	Rows, Bytes int
	// All says that nothing of the range is left behind the last part.
	All    bool
	Layout chunk.Layout
	// End is a place in the log behind all that the rows show.
	End *rowv1.Position
}

// Read reads the beginning of a range, in the order of its key. The error of a table that has changed says so: see Changed.
func (r *Ranges) Read(ctx context.Context, q Range) (*Rows, error) {
	out := &Rows{Layout: chunk.Layout{Row: row.NewLayout(q.Table.Columns), Columns: len(q.Table.Columns), Key: q.Key}}
	var err error
	if out.End, err = r.open(ctx, q); err != nil {
		return nil, err
	}
	err = r.rows(ctx, q, out)
	if r.info.Flavor == config.MariaDB && errs.KindOf(err) != errs.Unavailable {
		if e := r.conn.Exec(ctx, "COMMIT"); err == nil {
			err = e
		}
	}
	if err != nil {
		return nil, err
	}
	if out.End == nil {
		out.End, err = source.Head(ctx, r.conn)
	}
	return out, err
}

// open sees to it that what is before q.After is shown by the statement that follows. MariaDB says which place of the log a view is of; on MySQL a statement opens
// its own view, and the end of the log behind it is asked for afterwards.
func (r *Ranges) open(ctx context.Context, q Range) (*rowv1.Position, error) {
	if r.info.Flavor == config.MariaDB {
		return r.openView(ctx, q)
	}
	set := q.After.GetGtids()
	if set == "" || set == r.shown {
		return nil, nil
	}
	for deadline := time.Now().Add(viewWait); ; {
		// A GTID counts as executed after its transaction can be seen.
		res, err := r.conn.Query(ctx, "SELECT WAIT_FOR_EXECUTED_GTID_SET("+source.QuoteText(set)+", 1)")
		if err != nil {
			return nil, err
		}
		if res.Rows[0][0].Text == "0" {
			r.shown = set
			return nil, nil
		}
		if time.Now().After(deadline) {
			return nil, notShown()
		}
	}
}

func notShown() error {
	return errs.E(errs.Busy, "transactions that are in the log are not shown by the server after %s: a replica that has to acknowledge them does not (semi-synchronous replication), or this server lags", viewWait)
}

// openView opens a view on MariaDB.
func (r *Ranges) openView(ctx context.Context, q Range) (*rowv1.Position, error) {
	for deadline := time.Now().Add(viewWait); ; {
		if err := r.conn.Exec(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"); err != nil {
			return nil, err
		}
		at, err := viewPlace(ctx, r.conn)
		if err != nil {
			return nil, err
		}
		if q.Reached == nil || q.Reached(at) {
			return at, nil
		}
		if err := r.conn.Exec(ctx, "ROLLBACK"); err != nil {
			return nil, err
		}
		if time.Now().After(deadline) {
			return nil, notShown()
		}
		select {
		case <-time.After(viewStep):
		case <-ctx.Done():
			return nil, errs.E(errs.Unavailable, "read a table: %w", ctx.Err())
		}
	}
}

// rows runs the statement.
func (r *Ranges) rows(ctx context.Context, q Range, out *Rows) error {
	exprs := make([]string, len(q.Table.Columns))
	for i, c := range q.Table.Columns {
		exprs[i] = selectExpr(c)
	}
	// One row more says whether that is all.
	rows, err := r.conn.Stream(ctx, q.statement(exprs, "", q.Limit+1, 0))
	if err != nil {
		return err
	}
	p, err := newPlan(q.Table, rows.Columns, false)
	if err != nil {
		rows.Close()
		return err
	}
	k := &packer{q: q, plan: p, out: out}
	for rows.Next() {
		if err := k.add(rows.Raw()); err != nil {
			rows.Close()
			return err
		}
	}
	if err := rows.Close(); err != nil {
		return err
	}
	out.All = k.seen == out.Rows
	return k.finish()
}

// statement spells a SELECT of the range.
func (q Range) statement(exprs []string, direction string, limit, offset int) string {
	var b strings.Builder
	b.WriteString("SELECT " + strings.Join(exprs, ", ") + " FROM " + source.QuoteTable(q.Table.Database, q.Table.Table))
	if q.primary() {
		b.WriteString(" FORCE INDEX (`PRIMARY`)") // a sort of the whole table looks cheaper to some servers
	}
	names := q.Key.Names(q.Table)
	where := q.Range.Where(names)
	if q.Condition != "" {
		if where != "" {
			where += " AND "
		}
		where += "(" + q.Condition + ")"
	}
	if where != "" {
		b.WriteString(" WHERE " + where)
	}
	b.WriteString(" ORDER BY ")
	for i, n := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(n + direction)
	}
	b.WriteString(" LIMIT " + strconv.Itoa(limit))
	if offset > 0 {
		b.WriteString(" OFFSET " + strconv.Itoa(offset))
	}
	return b.String()
}

// primary says whether the range is of the primary key.
func (q Range) primary() bool {
	if len(q.Key.Columns) != len(q.Table.Key) {
		return false
	}
	for i, c := range q.Key.Columns {
		if int(q.Table.Key[i]) != c {
			return false
		}
	}
	return slices.ContainsFunc(q.Table.Indexes, func(x *rowv1.Index) bool { return x.Name == "PRIMARY" })
}

// Border is a row's key.
type Border struct {
	Literals []string
	Text     string
	// More says that other rows follow.
	More bool
}

// Border returns the key of the row that has offset rows of the range before it, or, with last, of the range's last row; nil if there is none.
func (r *Ranges) Border(ctx context.Context, q Range, offset int, last bool) (*Border, error) {
	mini := &rowv1.Table{Database: q.Table.Database, Table: q.Table.Table}
	var key chunk.Key
	var exprs []string
	for i, c := range q.Key.Columns {
		mini.Columns = append(mini.Columns, q.Table.Columns[c])
		exprs = append(exprs, selectExpr(q.Table.Columns[c]))
		key.Columns = append(key.Columns, i)
	}
	direction := ""
	if last {
		direction = " DESC"
	}
	rows, err := r.conn.Stream(ctx, q.statement(exprs, direction, 2, offset))
	if err != nil {
		return nil, err
	}
	p, err := newPlan(mini, rows.Columns, false)
	if err != nil {
		rows.Close()
		return nil, err
	}
	var image []byte
	seen := 0
	for rows.Next() {
		if seen++; seen > 1 {
			continue
		}
		if image, err = p.appendRow(nil, rows.Raw()); err != nil {
			rows.Close()
			return nil, err
		}
	}
	if err := rows.Close(); err != nil || image == nil {
		return nil, err
	}
	cells := make([]row.Cell, len(mini.Columns))
	if _, err := row.NewLayout(mini.Columns).Split(cells, image, false); err != nil {
		return nil, err
	}
	return &Border{key.Literals(mini, cells), key.Text(mini, cells), seen > 1}, nil
}

// Estimate returns the server's estimate of a table's rows, and the bytes that one takes; 0 where it has none.
func (r *Ranges) Estimate(ctx context.Context, database, table string) (rows uint64, rowBytes int, err error) {
	res, err := r.conn.Query(ctx, "SELECT TABLE_ROWS, AVG_ROW_LENGTH FROM information_schema.TABLES WHERE TABLE_SCHEMA = "+source.QuoteText(database)+
		" AND TABLE_NAME = "+source.QuoteText(table))
	if err != nil || len(res.Rows) == 0 {
		return 0, 0, err
	}
	rows, _ = strconv.ParseUint(res.Rows[0][0].Text, 10, 64)
	rowBytes, _ = strconv.Atoi(res.Rows[0][1].Text)
	return rows, rowBytes, nil
}

// AnyRows says whether one of some tables, "database.table" each, has a row. Tables that are gone have none.
func (r *Ranges) AnyRows(ctx context.Context, tables func(yield func(database, table string) bool)) (bool, error) {
	var found bool
	var failed error
	tables(func(database, table string) bool {
		res, err := r.conn.Query(ctx, "SELECT 1 FROM "+source.QuoteTable(database, table)+" LIMIT 1")
		switch {
		case err != nil && source.ErrorCode(err) == 0:
			failed = err
		case err == nil:
			found = len(res.Rows) > 0
		}
		return !found && failed == nil
	})
	return found, failed
}

// packer packs rows into parts.
type packer struct {
	q    Range
	plan *plan
	out  *Rows
	part chunk.Part
	seen int // rows that the server sent
	full bool
}

func (k *packer) add(raw []byte) error {
	k.seen++
	if k.full || k.out.Rows == k.q.Limit {
		return nil // read again with the next chunk
	}
	if len(k.part.Payload) >= k.q.PartBytes {
		if err := k.cut(); err != nil {
			return err
		}
	}
	p := &k.part
	if p.Payload == nil {
		p.Payload = k.alloc()
	}
	at := len(p.Payload)
	payload, err := k.plan.appendRow(p.Payload, raw)
	if err != nil {
		return errs.E(errs.KindOf(err), "row %d of a chunk of %s.%s: %w", k.seen, k.q.Table.Database, k.q.Table.Table, err)
	}
	p.Payload, p.Last = payload, at
	p.Rows++
	k.out.Rows++
	k.out.Bytes += len(payload) - at
	k.full = k.out.Bytes >= k.q.MaxBytes
	return nil
}

// alloc returns a buffer for a part: as large as a full one, unless the chunk may be small.
func (k *packer) alloc() []byte {
	size := k.q.PartBytes + rowSlack
	if k.q.Small && len(k.out.Parts) == 0 {
		size = min(size, firstBatchBytes*4)
	}
	if k.q.Alloc != nil {
		return k.q.Alloc(size)
	}
	return make([]byte, 0, size)
}

// cut ends a part.
func (k *packer) cut() error {
	p := &k.part
	if p.Rows == 0 {
		return nil
	}
	cells := make([]row.Cell, len(k.q.Table.Columns))
	if _, err := k.out.Layout.Row.Split(cells, p.Payload[p.Last:], false); err != nil {
		return fmt.Errorf("last row of a chunk of %s.%s: %w", k.q.Table.Database, k.q.Table.Table, err)
	}
	p.Border, p.To = k.q.Key.Literals(k.q.Table, cells), k.q.Key.Text(k.q.Table, cells)
	k.out.Parts = append(k.out.Parts, *p)
	k.part = chunk.Part{}
	return nil
}

func (k *packer) finish() error { return k.cut() }

// viewPlace returns the place of the view that the session has open (MariaDB).
func viewPlace(ctx context.Context, view *source.Conn) (*rowv1.Position, error) {
	res, err := view.Query(ctx, "SHOW STATUS WHERE Variable_name IN ('Binlog_snapshot_file', 'Binlog_snapshot_position')")
	if err != nil {
		return nil, err
	}
	p := &rowv1.Position{}
	for i := range res.Rows {
		switch v := res.Rows[i][1].Text; strings.ToLower(res.Rows[i][0].Text) {
		case "binlog_snapshot_file":
			p.File = v
		case "binlog_snapshot_position":
			p.Pos, _ = strconv.ParseUint(v, 10, 64)
		}
	}
	if p.File == "" {
		return source.Head(ctx, view) // no log: says so
	}
	return p, nil
}

// Changed says whether an error of Read or Border means that the table is no longer what it was: a column or the table is gone.
func Changed(err error) bool { return changedUnderScan(err) }
