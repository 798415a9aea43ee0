package snapshot

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/row"
)

// progressEvery is how often a long scan is reported: often enough for a live view, rare next to hundreds of batches a second.
const progressEvery = 100 * time.Millisecond

// readRows reads the wanted tables of a cut through its views.
func (r *run) readRows(ctx context.Context, c *cut) error {
	tables, err := r.scans(ctx, c)
	if err != nil || len(tables) == 0 {
		return err
	}
	r.count += uint32(len(tables))
	again := len(r.names) > 0
	for _, t := range tables {
		if !again || !slices.Contains(r.names, t.id()) {
			r.names = append(r.names, t.id())
		}
	}
	if err := r.emit(progressMessage(&capturev1.SnapshotProgress{Tables: r.count, TablesDone: r.finished, TableNames: slices.Clone(r.names)})); err != nil {
		return err
	}
	rctx, stop := context.WithCancel(ctx)
	defer stop()
	unwatch := r.watchLoad(rctx, c.lock)
	g, gctx := errgroup.WithContext(rctx)
	parts := make(chan *part, len(c.views)) // one for each reader, so that it reads on while another's is sent
	work := &workload{tables: tables}
	for _, view := range c.views {
		g.Go(func() error { return (&reader{run: r, cut: c, view: view, work: work, out: parts}).readAll(gctx) })
	}
	read := make(chan error, 1)
	go func() {
		defer close(parts)
		read <- g.Wait()
	}()
	for p := range parts {
		if err == nil {
			if err = r.take(p); err != nil {
				stop() // and what readers still send is dropped
			}
		}
	}
	stop()
	unwatch()
	return cmp.Or(err, <-read)
}

// scans prepares the tables whose rows are read, in the order in which they are.
func (r *run) scans(ctx context.Context, c *cut) ([]*tableScan, error) {
	var wanted []*table
	for _, t := range c.wanted {
		if r.Snapshot.Data && t.shape != nil && t.problem == nil && r.choose.readsRows(t.id()) && (r.Leave == nil || !r.Leave(t.shape)) {
			wanted = append(wanted, t)
		}
	}
	if err := r.estimateRows(ctx, c.views[0], wanted); err != nil {
		return nil, err
	}
	r.sortByRows(wanted)
	tables := make([]*tableScan, len(wanted))
	for i, t := range wanted {
		s := &tableScan{table: t, override: r.override(t)}
		var err error
		if s.shape, err = r.Version(t.shape); err != nil {
			return nil, err
		}
		if len(c.views) > 1 && s.override == "" && !r.Snapshot.WholeTables {
			s.key = rangeKey(t.shape)
		}
		s.size = cmp.Or(r.rangeRows, rangeRows(t.estimate, len(c.views), r.multiplier(t)))
		tables[i] = s
	}
	if len(tables) > 0 {
		tables[0].first = true
	}
	r.parallel, r.ahead = len(c.views) > 1, c.ahead
	return tables, nil
}

// take sends what a reader has read.
func (r *run) take(p *part) error {
	t := p.table
	if !t.told {
		t.told = true
		t.scanTime = uint64(p.at.Add(r.ahead).Truncate(time.Second).UnixMicro()) // whole seconds, as CURRENT_TIMESTAMP has them
		if err := r.emit(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Schema{Schema: cloneTable(t.shape)}}); err != nil {
			return err
		}
	}
	if p.rows > 0 {
		t.rows += uint64(p.rows)
		r.total += uint64(p.rows)
		before := t.last
		t.last = p
		if before != nil {
			if err := r.sendPart(before, false); err != nil {
				return err
			}
		}
	}
	if !p.done {
		return nil
	}
	t.done++
	if p.total > 0 {
		t.total = p.total
	}
	if t.err == nil {
		t.err = p.err
	}
	if t.done != t.total {
		return nil
	}
	return r.finish(t)
}

// finish sends the end of a table.
func (r *run) finish(t *tableScan) error {
	p := t.last
	t.last = nil
	if t.err == nil {
		if p != nil {
			if err := r.sendPart(p, true); err != nil {
				return err
			}
		}
		r.finished++
		return r.progress(t, true)
	}
	if p != nil {
		if err := r.sendPart(p, false); err != nil {
			return err
		}
	}
	if errors.Is(t.err, errChanged) {
		r.Log.Info("table changed while the snapshot read it; it is read once more at the end", "database", t.database, "table", t.name, "reason", t.err)
		r.changed = append(r.changed, t.table)
		r.count--
		return nil
	}
	r.finished++
	if err := r.tableFailed(t.table, t.err); err != nil {
		return err
	}
	return r.progress(t, true)
}

// sendPart sends rows of a table. The last ones are kept back, with what follows them, until it is known whether they are the snapshot's.
func (r *run) sendPart(p *part, last bool) error {
	m := &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Batch{Batch: r.batch(p, last)}}
	if err := r.release(); err != nil {
		return err
	}
	if last {
		r.hold(m)
		return nil
	}
	if err := r.emit(m); err != nil {
		return err
	}
	if time.Since(r.reported) < progressEvery {
		return nil
	}
	return r.progress(p.table, false)
}

// batch makes a batch of rows. The first row of a table and its last are groups of their own where they are marked otherwise than those between them.
func (r *run) batch(p *part, last bool) *rowv1.Batch {
	t := p.table
	first := !t.begun
	t.begun = true
	var flags byte
	if first {
		flags |= row.TxnBegins
	}
	if last {
		flags |= row.TxnEnds
	}
	r.scanTime = t.scanTime
	b := &rowv1.Batch{
		// The rows of a table are one transaction of no source, begun with the scan.
		File: r.cut.File, Snapshot: true, Payload: p.payload, Checkpoint: r.checkpoint(true),
		TxnSid: []uint32{0}, TxnGno: []uint64{0}, TxnCommitUs: []uint64{t.scanTime}, TxnPos: []uint64{r.cut.Pos}, TxnThread: []uint32{0}, TxnServerId: []uint32{0}, TxnFlags: []byte{flags},
	}
	rows, end := p.rows, uint32(len(p.payload))
	if first && (rows > 1 || !last || r.opens(t)) {
		r.group(b, p, 1, p.firstEnd, r.opening(t))
		rows--
	}
	if last && rows > 0 {
		if rows > 1 {
			r.group(b, p, rows-1, p.lastStart, rowv1.Marker_MARKER_TRUE)
		}
		r.group(b, p, 1, end, rowv1.Marker_MARKER_LAST_IN_DATA_COLLECTION)
	} else if rows > 0 {
		r.group(b, p, rows, end, rowv1.Marker_MARKER_TRUE)
	}
	return b
}

// opens says whether the first row of a table is the snapshot's: that of its first table, and if that is empty none, as Debezium has it. With several readers it is the row that is sent first.
func (r *run) opens(t *tableScan) bool { return t.first && !r.opened || r.parallel && !r.opened }

// opening is the mark of a table's first row.
func (r *run) opening(t *tableScan) rowv1.Marker {
	if r.opens(t) {
		r.opened = true
		return rowv1.Marker_MARKER_FIRST
	}
	return rowv1.Marker_MARKER_FIRST_IN_DATA_COLLECTION
}

func (r *run) group(b *rowv1.Batch, p *part, rows, end uint32, m rowv1.Marker) {
	b.GroupSchema = append(b.GroupSchema, p.table.shape.SchemaId)
	b.GroupOp = append(b.GroupOp, byte(row.Read))
	b.GroupFlags = append(b.GroupFlags, p.flags)
	b.GroupRows = append(b.GroupRows, rows)
	b.GroupEnd = append(b.GroupEnd, end)
	b.GroupPos = append(b.GroupPos, r.cut.Pos)
	b.GroupEvent = append(b.GroupEvent, 0)
	b.GroupFirstRow = append(b.GroupFirstRow, 0)
	b.GroupTime = append(b.GroupTime, uint32(p.table.scanTime/1e6))
	b.GroupTxn = append(b.GroupTxn, 0)
	b.GroupMarker = append(b.GroupMarker, byte(m))
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

// endRows marks the last row of all, which is a group of its own, and sends what is held.
func (r *run) endRows() error {
	if len(r.held) > 0 {
		m := r.held[0].GetBatch().GroupMarker
		m[len(m)-1] = byte(rowv1.Marker_MARKER_LAST)
	}
	return r.release()
}

// emit sends a message, behind what is held.
func (r *run) emit(m *capturev1.SubscribeResponse) error {
	if len(r.held) > 0 {
		r.hold(m)
		return nil
	}
	return r.out(m)
}

func (r *run) progress(t *tableScan, complete bool) error {
	r.reported = time.Now()
	return r.emit(progressMessage(&capturev1.SnapshotProgress{Table: t.id(), RowsDone: t.rows, RowsEstimated: t.estimate, TableComplete: complete,
		Tables: r.count, TablesDone: r.finished}))
}

// kill ends a statement of another session, through the one that is free.
func (c *cut) kill(ctx context.Context, id uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.definitions.Exec(ctx, "KILL QUERY "+strconv.FormatUint(uint64(id), 10))
}
