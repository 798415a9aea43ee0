package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rowmesh/rowmesh/capturer/chunk"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/source"
)

const (
	// firstBatchBytes is room for some rows: most tables are small.
	firstBatchBytes = 4 << 10
	// rowSlack is room at the end of a batch for the row that passes the limit; a larger one makes the payload grow.
	rowSlack = 4 << 10
)

// part is what a reader has read: some rows of a table, or the end of a range, or both.
type part struct {
	table *tableScan
	at    time.Time // when the range was begun, by our clock

	payload   []byte // moved: the reader has no more use of it
	rows      uint32
	firstEnd  uint32 // where the first row ends
	lastStart uint32 // where the last row starts
	flags     byte   // of the rows

	done  bool  // the range is read, or will not be
	total int   // ranges of the table, where that is known now; otherwise 0
	err   error // why it is not read to its end
}

// reader reads ranges through one of the views.
type reader struct {
	*run
	cut  *cut
	view *source.Conn
	work *workload
	out  chan<- *part
}

// readAll reads until nothing is left. An error ends the snapshot; what concerns one table only is told in a part.
func (r *reader) readAll(ctx context.Context) error {
	for {
		t := r.work.take()
		if t == nil {
			return nil
		}
		end := &part{table: t, at: time.Now()}
		limits, err := t.next(ctx, &Ranges{conn: r.view, info: r.info})
		total := 0
		if t.spent {
			total = t.given
		}
		t.mu.Unlock()
		if err == nil {
			end, err = r.read(ctx, t, limits, end.at)
		}
		if err == nil {
			err = r.free(ctx, t)
		}
		if err != nil {
			if end, err = r.failed(ctx, t, err); err != nil {
				return err
			}
			total = t.spend()
		}
		end.done, end.total = true, total
		if err := r.send(ctx, end); err != nil {
			return err
		}
		if err := r.rest(ctx, uint64(end.rows), uint64(len(end.payload))); err != nil {
			return err
		}
	}
}

// failed is the end of a range that is not read, for a reason that concerns its table alone. The error ends the snapshot.
func (r *reader) failed(ctx context.Context, t *tableScan, err error) (*part, error) {
	if ends(err) {
		return nil, scanError(t.table, err)
	}
	about, err := r.judge(ctx, t, err)
	if err != nil {
		return nil, err
	}
	return &part{table: t, at: time.Now(), err: about}, r.back(ctx)
}

func (r *reader) send(ctx context.Context, p *part) error {
	select {
	case r.out <- p:
		return nil
	case <-ctx.Done():
		return errs.E(errs.Unavailable, "snapshot: %w", ctx.Err())
	}
}

// read reads a range and sends what it holds, but for its end: that waits until it is sure that the table is what it was at the cut.
func (r *reader) read(ctx context.Context, t *tableScan, limits chunk.Range, at time.Time) (*part, error) {
	if err := r.rest(ctx, 0, 0); err != nil {
		return nil, err
	}
	rows, err := r.view.Stream(ctx, t.query(limits))
	if err != nil {
		return nil, err
	}
	p, err := newPlan(t.shape, rows.Columns, t.override != "")
	if err != nil {
		return nil, r.abandon(ctx, rows, err)
	}
	b := &part{table: t, at: at, flags: p.flags}
	room, batchRows := firstBatchBytes, r.batchRows()
	for rows.Next() {
		if len(b.payload) >= r.MaxBatchBytes || uint64(b.rows) >= batchRows {
			if err := r.full(ctx, b); err != nil {
				rows.Close()
				return nil, err
			}
			room = r.MaxBatchBytes + rowSlack
			b = &part{table: t, at: at, flags: p.flags}
		}
		if b.payload == nil {
			b.payload = r.Payload(room)
		}
		start := len(b.payload)
		if b.payload, err = p.appendRow(b.payload, rows.Raw()); err != nil {
			return nil, r.abandon(ctx, rows, err)
		}
		b.rows++
		if b.lastStart = uint32(start); start == 0 {
			b.firstEnd = uint32(len(b.payload))
		}
	}
	if err := rows.Close(); err != nil {
		return nil, err
	}
	if len(b.payload) < cap(b.payload)/2 {
		b.payload = bytes.Clone(b.payload) // queues count what is used, not what is reserved
	}
	return b, nil
}

// full sends a batch and rests for as long as the limits say.
func (r *reader) full(ctx context.Context, b *part) error {
	rows, size := uint64(b.rows), uint64(len(b.payload))
	if err := r.send(ctx, b); err != nil {
		return err
	}
	return r.rest(ctx, rows, size)
}

// rest accounts for what was read and waits while the limits say so.
func (r *reader) rest(ctx context.Context, rows, size uint64) error {
	for wait := r.Pace.Took(time.Now(), rows, size); wait > 0; wait = r.Pace.Wait(time.Now()) {
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
	return nil
}

// abandon ends a result in the middle and keeps the session, which has the view.
func (r *reader) abandon(ctx context.Context, rows *source.Rows, err error) error {
	if e := r.cut.kill(ctx, r.view.ID()); e != nil {
		r.Log.Debug("a statement is read to its end since it cannot be ended", "source", r.Source.ID(), "error", e)
	}
	for rows.Next() {
	}
	if e := rows.Close(); e != nil && source.ErrorCode(e) == 0 {
		return e
	}
	// The kill may have come behind the last row: it must not meet the statement that comes next.
	if e := r.view.Exec(ctx, "DO 1"); e != nil && source.ErrorCode(e) == 0 {
		return e
	}
	return err
}

// free makes sure that the table read is the table defined, and gives it free. A transaction keeps the tables that it read from being altered, and whoever waits to alter one
// keeps all others from it; going back to a savepoint gives them free without losing the view (mysqldump --single-transaction does the same).
func (r *reader) free(ctx context.Context, t *tableScan) error {
	if err := r.checkUnchanged(ctx, t); err != nil {
		return err
	}
	return r.back(ctx)
}

func (r *reader) back(ctx context.Context) error {
	return r.view.Exec(ctx, "ROLLBACK TO SAVEPOINT "+savepoint)
}

// checkUnchanged compares the definition with the one that the cut has. The server finds most changes by itself, yet a column that was dropped and added
// again without a rebuild (ALGORITHM=INSTANT) after the lock was gone reads as the new one. While the transaction has the table, nothing changes any more.
func (r *reader) checkUnchanged(ctx context.Context, t *tableScan) error {
	create, err := showCreate(ctx, r.view, t.table)
	if err != nil || create == t.create {
		return err
	}
	now, err := r.Parse(Defaults{Info: r.info, Database: t.database}, create)
	if err == nil && slices.EqualFunc(now.Columns, t.table.shape.Columns, func(a, b *rowv1.Column) bool { return proto.Equal(a, b) }) {
		return nil // AUTO_INCREMENT counters, indexes, partitions
	}
	return errChanged
}

var errChanged = errors.New("its columns are not those at the cut")

// ends says of an error whether it ends the snapshot: the session is gone, or somebody else is in the way. Others are about one table.
func ends(err error) bool {
	if errors.Is(err, errChanged) || changedUnderScan(err) {
		return false
	}
	switch errs.KindOf(err) {
	case errs.Unavailable, errs.Busy, errs.Internal:
		return true
	}
	return false
}

// changedUnderScan says of an error in the middle of a scan whether the table's definition changed under it.
func changedUnderScan(err error) bool {
	switch source.ErrorCode(err) {
	case 1412, 1054, 1146, 1049: // ER_TABLE_DEF_CHANGED, ER_BAD_FIELD_ERROR, ER_NO_SUCH_TABLE, ER_BAD_DB_ERROR
		return true
	}
	return false
}

// judge says what an error is about one table: that it changed, and is to be read again, or what stops it. The other error ends the snapshot.
func (r *reader) judge(ctx context.Context, t *tableScan, err error) (about, fatal error) {
	changed := errors.Is(err, errChanged) || changedUnderScan(err)
	if changed && t.override != "" && source.ErrorCode(err) != 1412 {
		// Whether it is the table that has gone or the statement that never was right, the table itself tells.
		e := r.checkUnchanged(ctx, t)
		if e != nil && ends(e) {
			return nil, scanError(t.table, e)
		}
		changed = e != nil
	}
	switch {
	case changed:
		return fmt.Errorf("%w: %w", errChanged, err), nil
	case t.override != "":
		return errs.E(errs.KindOf(err), "the statement of snapshot.select.statement.overrides.%s cannot be used: correct it, then ask for a snapshot of the table again: %w", t.id(), err), nil
	}
	return tableProblem(t.table, err), nil
}

// tableProblem says what to do about a table that cannot be read.
func tableProblem(t *table, err error) error {
	next := ""
	if errs.KindOf(err) == errs.Denied {
		next = fmt.Sprintf(": run GRANT SELECT ON %s TO the connector's user, then ask for the table's snapshot again", source.QuoteTable(t.database, t.name))
	}
	return errs.E(errs.KindOf(err), "snapshot of %s: %w%s", t.id(), err, next)
}

func scanError(t *table, err error) error {
	if changedUnderScan(err) {
		return errs.E(errs.Busy, "the definition of %s changed while the snapshot read it: the snapshot has to start again: %w", t.id(), err)
	}
	return errs.E(errs.KindOf(err), "snapshot of %s: %w", t.id(), err)
}

// override returns the user's statement for a table; empty if there is none.
func (r *run) override(t *table) string {
	for id, q := range r.Snapshot.SelectOverrides {
		if strings.EqualFold(id, t.id()) {
			return q
		}
	}
	return ""
}
