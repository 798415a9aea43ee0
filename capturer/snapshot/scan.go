package snapshot

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
	"github.com/rowmesh/rowmesh/services/source"
)

// progressEvery is how often a long scan is reported: often enough for a live view, rare next to hundreds of batches a second.
const progressEvery = 100 * time.Millisecond

const (
	// firstBatchBytes is room for some rows.
	firstBatchBytes = 4 << 10
	// rowSlack is room at the end of a batch for the row that passes the limit; a larger one makes the payload grow.
	rowSlack = 4 << 10
)

// readRows scans the wanted tables one after another.
func (r *run) readRows(ctx context.Context, c *cutSession) error {
	r.wanted = slices.DeleteFunc(r.wanted, func(t *table) bool { return !r.Snapshot.Data || t.shape == nil || !r.choose.readsRows(t.id()) })
	if len(r.wanted) == 0 {
		return nil
	}
	if err := r.estimateRows(ctx, c.view); err != nil {
		return err
	}
	if err := r.emit(progressMessage(&capturev1.SnapshotProgress{Tables: uint32(len(r.wanted))})); err != nil {
		return err
	}
	for i, t := range r.wanted {
		s := &scan{run: r, table: t, first: i == 0}
		if err := s.read(ctx, c.view); err != nil {
			return err
		}
		r.done++
		if err := r.progress(t, s.rows, true); err != nil {
			return err
		}
	}
	if len(r.held) > 0 {
		// The last row is a group of its own: its marker differs from those before it.
		m := r.held[0].GetBatch().GroupMarker
		m[len(m)-1] = byte(rowv1.Marker_MARKER_LAST)
	}
	return r.release()
}

// hold keeps the end of a table back, and what is sent after it, until the next row: it is the end of the snapshot if all tables after it are empty.
func (r *run) hold(m *capturev1.SubscribeResponse) { r.held = append(r.held, m) }

// release sends what is held.
func (r *run) release() error {
	held := r.held
	r.held = nil
	for _, m := range held {
		if err := r.out(m); err != nil {
			return err
		}
	}
	return nil
}

// emit sends a message, behind what is held.
func (r *run) emit(m *capturev1.SubscribeResponse) error {
	if len(r.held) > 0 {
		r.hold(m)
		return nil
	}
	return r.out(m)
}

func (r *run) progress(t *table, rows uint64, complete bool) error {
	r.reported = time.Now()
	return r.emit(progressMessage(&capturev1.SnapshotProgress{Table: t.id(), RowsDone: rows, RowsEstimated: t.estimate, TableComplete: complete,
		Tables: uint32(len(r.wanted)), TablesDone: r.done}))
}

// scan is the reading of one table.
type scan struct {
	*run
	table *table
	first bool // among the snapshot's tables, empty ones included
	shape *rowv1.Table
	rows  uint64 // read so far

	batch *rowv1.Batch
	// pending says that the last row of the payload is in no group yet: whether it is the table's last is known when the next one comes, or does not.
	pending bool
	begun   bool         // a batch of this table was sent
	marker  rowv1.Marker // of the group that is open; unspecified without one
}

func (s *scan) read(ctx context.Context, view *source.Conn) (err error) {
	if s.shape, err = s.Version(s.table.shape); err != nil {
		return err
	}
	if err := s.emit(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Schema{Schema: cloneTable(s.shape)}}); err != nil {
		return err
	}
	if s.scanTime, err = now(ctx, view); err != nil {
		return err
	}
	// A transaction keeps the tables that it read from being altered, and whoever waits to alter one keeps all others from it. Going back to a savepoint
	// gives them free without losing the view (mysqldump --single-transaction does the same).
	if err := view.Exec(ctx, "SAVEPOINT rowmesh"); err != nil {
		return err
	}
	if err := s.readAll(ctx, view); err != nil {
		return err
	}
	if err := s.checkUnchanged(ctx, view); err != nil {
		return err
	}
	return view.Exec(ctx, "ROLLBACK TO SAVEPOINT rowmesh")
}

func (s *scan) readAll(ctx context.Context, view *source.Conn) error {
	query, override := s.query()
	rows, err := view.Stream(ctx, query)
	if err != nil {
		return scanError(s.table, err)
	}
	p, err := newPlan(s.shape, rows.Columns, override)
	if err != nil {
		rows.Close()
		return scanError(s.table, err)
	}
	s.batch = s.newBatch()
	for rows.Next() {
		if err := s.add(p, rows.Raw()); err != nil {
			rows.Close()
			return err
		}
	}
	if err := rows.Close(); err != nil {
		return scanError(s.table, err)
	}
	return s.finish(p)
}

// checkUnchanged makes sure that the table read is the table defined. The server finds most changes by itself, yet a column that was dropped and added
// again without a rebuild (ALGORITHM=INSTANT) after the lock was gone reads as the new one. While the transaction has the table, nothing changes any more.
func (s *scan) checkUnchanged(ctx context.Context, view *source.Conn) error {
	create, err := showCreate(ctx, view, s.table)
	if err != nil {
		return scanError(s.table, err)
	}
	if create == s.table.create {
		return nil
	}
	now, err := s.Parse(Defaults{Info: s.info, Database: s.table.database}, create)
	if err == nil && slices.EqualFunc(now.Columns, s.table.shape.Columns, func(a, b *rowv1.Column) bool { return proto.Equal(a, b) }) {
		return nil // AUTO_INCREMENT counters, indexes, partitions
	}
	return changedError(s.table, errors.New("its columns are not those at the cut"))
}

func (s *scan) add(p *plan, raw []byte) error {
	if s.pending {
		s.group(p, false)
		if len(s.batch.Payload) >= s.MaxBatchBytes {
			if err := s.flush(p, false); err != nil {
				return err
			}
		}
	}
	payload, err := p.appendRow(s.batch.Payload, raw)
	if err != nil {
		return errs.E(errs.KindOf(err), "snapshot of %s, row %d: %w", s.table.id(), s.rows+1, err)
	}
	s.batch.Payload, s.pending = payload, true
	s.rows++
	s.total++
	return nil
}

// group closes the pending row: into the group before it if they are marked alike, else into one of its own.
func (s *scan) group(p *plan, last bool) {
	b := s.batch
	m := s.mark(last)
	end := uint32(len(b.Payload))
	s.pending = false
	if n := len(b.GroupRows); n > 0 && s.marker == m {
		b.GroupRows[n-1]++
		b.GroupEnd[n-1] = end
		return
	}
	s.marker = m
	b.GroupSchema = append(b.GroupSchema, s.shape.SchemaId)
	b.GroupOp = append(b.GroupOp, byte(row.Read))
	b.GroupFlags = append(b.GroupFlags, p.flags)
	b.GroupRows = append(b.GroupRows, 1)
	b.GroupEnd = append(b.GroupEnd, end)
	b.GroupPos = append(b.GroupPos, s.cut.Pos)
	b.GroupEvent = append(b.GroupEvent, 0)
	b.GroupFirstRow = append(b.GroupFirstRow, 0)
	b.GroupTime = append(b.GroupTime, uint32(s.scanTime/1e6))
	b.GroupTxn = append(b.GroupTxn, 0)
	b.GroupMarker = append(b.GroupMarker, byte(m))
}

// mark places the pending row as Debezium does: the beginning of the whole snapshot before the ends of a table, an end before a beginning. Whether a
// table's end is that of the snapshot is known later: see hold.
func (s *scan) mark(last bool) rowv1.Marker {
	first := s.rows == 1
	switch {
	case first && s.first:
		return rowv1.Marker_MARKER_FIRST
	case last:
		return rowv1.Marker_MARKER_LAST_IN_DATA_COLLECTION
	case first:
		return rowv1.Marker_MARKER_FIRST_IN_DATA_COLLECTION
	}
	return rowv1.Marker_MARKER_TRUE
}

// newBatch starts a batch. The rows of a table are one transaction of no source, begun with the scan.
func (s *scan) newBatch() *rowv1.Batch {
	// Most tables are small: the first batch grows with its rows, those after it are full but for the last.
	size := firstBatchBytes
	if s.begun {
		size = s.MaxBatchBytes + rowSlack
	}
	return &rowv1.Batch{
		File: s.cut.File, Snapshot: true,
		TxnSid: []uint32{0}, TxnGno: []uint64{0}, TxnCommitUs: []uint64{s.scanTime}, TxnPos: []uint64{s.cut.Pos}, TxnThread: []uint32{0}, TxnServerId: []uint32{0},
		Payload: make([]byte, 0, size),
	}
}

func (s *scan) flush(p *plan, last bool) error {
	b := s.batch
	var flags byte
	if !s.begun {
		flags |= row.TxnBegins
	}
	if last {
		flags |= row.TxnEnds
	}
	if len(b.Payload) < cap(b.Payload)/2 {
		b.Payload = bytes.Clone(b.Payload) // queues count what is used, not what is reserved
	}
	b.TxnFlags, b.Checkpoint = []byte{flags}, s.checkpoint(true)
	if err := s.release(); err != nil {
		return err
	}
	s.begun, s.marker = true, rowv1.Marker_MARKER_UNSPECIFIED
	m := &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Batch{Batch: b}}
	s.batch = nil
	if last {
		s.hold(m)
		return nil
	}
	if err := s.emit(m); err != nil {
		return err
	}
	s.batch = s.newBatch()
	if time.Since(s.reported) < progressEvery {
		return nil
	}
	return s.progress(s.table, s.rows, false)
}

func (s *scan) finish(p *plan) error {
	if !s.pending {
		return nil // an empty table
	}
	s.group(p, true)
	return s.flush(p, true)
}

// now is the server's clock, in microseconds; whole seconds, as CURRENT_TIMESTAMP has them.
func now(ctx context.Context, c *source.Conn) (uint64, error) {
	res, err := c.Query(ctx, "SELECT CURRENT_TIMESTAMP")
	if err != nil {
		return 0, err
	}
	us, err := parseTimestamp([]byte(res.Rows[0][0].Text))
	return uint64(us), err
}
