package capturer

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rowmesh/rowmesh/capturer/chunk"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/failpoint"
	"github.com/rowmesh/rowmesh/services/row"
)

// piece is what the pump sends for a copy between two messages of the log: rows of a chunk, the end of a table, or a message.
type piece struct {
	job *job
	gen int
	// after is how many messages of the log come first.
	after uint64
	done  chan bool // whether it counted; has room for one
	// void is set before the window of the rows closes without their being sent.
	void *atomic.Bool

	// Rows.
	part   *chunk.Part
	layout chunk.Layout
	seen   *schemaState
	from   stand // window of the rows, and the transaction before them
	began  uint64
	first  bool         // no row of the table was sent before
	marker rowv1.Marker // of the last row, in the snapshot that the subscription began with
	// chunk is set with the last rows of a chunk: how many it had.
	chunk *chunkEnd
	// ends: behind it the table is complete.
	ends  bool
	state capturev1.SnapshotState
	why   string

	message *capturev1.SubscribeResponse
}

// chunkEnd describes a chunk that was read.
type chunkEnd struct {
	rows     int
	from, to string
}

// give hands a piece to the pump and waits until it is sent. It says whether it counted: a part is of no use if what it was read for has changed.
func (c *copier) give(ctx context.Context, p *piece) (bool, error) {
	if err := c.hand(ctx, p); err != nil {
		return false, err
	}
	return c.sent(ctx, p)
}

// hand hands pieces to the pump, which sends them one by one until one does not count.
func (c *copier) hand(ctx context.Context, pieces ...*piece) error {
	for _, p := range pieces {
		p.done = make(chan bool, 1)
	}
	select {
	case c.out <- pieces:
		return nil
	case <-c.feed.ended:
		return context.Canceled
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sent waits until a piece is sent, and says whether it counted.
func (c *copier) sent(ctx context.Context, p *piece) (bool, error) {
	select {
	case ok := <-p.done:
		return ok, nil
	case <-c.feed.ended:
		return false, context.Canceled
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// deliver gives the chunks to the pump, in the order of the key. While one is sent the next one waits for its place.
func (t *turn) deliver(ctx context.Context, order chan *span) error {
	var before *delivered
	from := ""
	for s := range order {
		for r := range s.chunks {
			d, pieces, err := t.place(ctx, r, from)
			e := t.settle(ctx, before)
			if before = d; err == nil {
				err = e
			}
			if err == nil && len(pieces) > 0 {
				err = t.hand(ctx, pieces...)
			}
			if err != nil {
				t.touched.Close(r.from.mark) // the pump has no piece of it
				return err
			}
			from = d.to
		}
	}
	return t.settle(ctx, before)
}

// delivered is a chunk that was handed to the pump.
type delivered struct {
	from stand
	last *piece // nil: it has no rows
	to   string
	ends bool // nothing of the table is left
	void atomic.Bool
}

// settle waits until a chunk is sent, and does what its end asks for.
func (t *turn) settle(ctx context.Context, d *delivered) error {
	if d == nil {
		return nil
	}
	defer t.touched.Close(d.from.mark)
	defer d.void.Store(true)
	if d.last != nil {
		ok, err := t.copier.sent(ctx, d.last)
		if err != nil {
			return err
		}
		if !ok {
			return errAgain
		}
		t.sent++
	}
	switch {
	case d.ends && d.last == nil:
		state := capturev1.SnapshotState_SNAPSHOT_STATE_SUCCEEDED
		if t.job.cursor.Chunks == 0 {
			state = capturev1.SnapshotState_SNAPSHOT_STATE_EMPTY
		}
		return t.end(ctx, state, "")
	case !d.ends && t.stops():
		if err := t.end(ctx, capturev1.SnapshotState_SNAPSHOT_STATE_STOPPED, ""); err != nil {
			return err
		}
		return errAgain
	}
	return nil
}

// place waits until the reader has passed what a chunk shows, and cuts the chunk into pieces.
func (t *turn) place(ctx context.Context, r read, from string) (*delivered, []*piece, error) {
	if !t.counts() {
		return nil, nil, errAgain
	}
	end, err := newPlace(r.from.flavor, r.rows.End)
	if err != nil {
		return nil, nil, err
	}
	end.server = r.from.at.server
	st, err := t.ask(ctx, ask{past: &end})
	if err != nil {
		return nil, nil, err
	}
	t.touched.Close(st.mark)
	marker := rowv1.Marker_MARKER_TRUE
	if r.last && t.job.initial && len(r.rows.Parts) > 0 {
		if marker, err = t.lastMarker(ctx); err != nil {
			return nil, nil, err
		}
	}
	d := &delivered{from: r.from, to: from, ends: r.last}
	var pieces []*piece
	for i := range r.rows.Parts {
		p := &piece{job: t.job, gen: t.gen, after: st.pushed, part: &r.rows.Parts[i], layout: r.rows.Layout, seen: t.seen, from: r.from, began: t.began, void: &d.void}
		d.to = p.part.To
		if i == len(r.rows.Parts)-1 {
			p.chunk = &chunkEnd{r.rows.Rows, from, d.to}
			p.marker, p.ends, p.state = marker, r.last, capturev1.SnapshotState_SNAPSHOT_STATE_SUCCEEDED
			d.last = p
		}
		pieces = append(pieces, p)
	}
	return d, pieces, nil
}

func (t *turn) stops() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.job.stopping
}

// lastMarker is the marker of the table's last row: whether it is the snapshot's last depends on the tables behind.
func (t *turn) lastMarker(ctx context.Context) (rowv1.Marker, error) {
	t.mu.Lock()
	var later []string
	for _, j := range t.jobs {
		if j.initial && j != t.job {
			later = append(later, j.table)
		}
	}
	t.mu.Unlock()
	more := false
	err := t.pool.use(ctx, func(r Ranges) (err error) {
		more, err = r.AnyRows(ctx, func(yield func(database, table string) bool) {
			for _, table := range later {
				if db, name := split(table); !yield(db, name) {
					return
				}
			}
		})
		return err
	})
	if more || err != nil {
		return rowv1.Marker_MARKER_LAST_IN_DATA_COLLECTION, err
	}
	return rowv1.Marker_MARKER_LAST, nil
}

// end ends the table without another row.
func (t *turn) end(ctx context.Context, state capturev1.SnapshotState, why string) error {
	_, err := t.give(ctx, &piece{job: t.job, gen: t.gen, ends: true, state: state, why: why})
	return err
}

// fail ends a job that the server, or what the table is, makes impossible.
func (c *copier) fail(ctx context.Context, j *job, why error) error {
	c.src.logger.Warn("snapshot of a table ends", "consumer", c.feed.open.Consumer, "table", j.table, "error", why)
	c.mu.Lock()
	gen := j.gen
	c.mu.Unlock()
	_, err := c.give(ctx, &piece{job: j, gen: gen, ends: true, state: capturev1.SnapshotState_SNAPSHOT_STATE_SQL_EXCEPTION, why: fmt.Sprintf("snapshot of %s: %v", j.table, why)})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// pumped is what the pump knows of where the subscriber is.
type pumped struct {
	out    capture.Sender
	taken  uint64 // messages taken from the feed's queue
	token  []byte // of the last checkpoint sent, without what is said of snapshots
	offset *rowv1.SourceOffset
	end    bool            // no transaction is open there
	told   map[uint32]bool // schemas
	ready  chan struct{}   // closed
}

// newPumped returns one for a subscriber that is at a place, skip into the next transaction.
func newPumped(f *feed, at *place, skip cursor, out capture.Sender) *pumped {
	p := &pumped{out: out, end: skip.zero(), told: map[uint32]bool{}, token: at.token(f.start, skip, false), ready: make(chan struct{}),
		offset: &rowv1.SourceOffset{File: f.start.File, Pos: f.start.Pos, Gtids: f.start.Gtids}}
	close(p.ready)
	return p
}

// log notes a message of the log before it is sent, and puts into it how far the snapshots are.
func (p *pumped) log(c *copier, m *capturev1.SubscribeResponse) error {
	p.taken++
	var cp *rowv1.Checkpoint
	switch m := m.Message.(type) {
	case *capturev1.SubscribeResponse_Schema:
		p.told[m.Schema.SchemaId] = true
	case *capturev1.SubscribeResponse_Batch:
		if c.hasUntold.Load() {
			if err := p.tell(c.takeUntold()...); err != nil {
				return err
			}
		}
		cp = m.Batch.Checkpoint
	case *capturev1.SubscribeResponse_Ddl:
		cp = m.Ddl.Checkpoint
	case *capturev1.SubscribeResponse_Progress:
		cp = m.Progress.Checkpoint
	}
	if cp == nil || len(cp.Token) == 0 {
		return nil
	}
	p.token, p.end = cp.Token, cp.TransactionEnd
	p.offset = cp.Offset
	c.stamp(cp)
	return nil
}

// tell sends the table versions among these that the subscriber does not know.
func (p *pumped) tell(versions ...*schemaState) error {
	for _, v := range versions {
		if p.told[v.id] {
			continue
		}
		p.told[v.id] = true
		t := proto.CloneOf(v.shape)
		t.SchemaId = v.id
		if err := p.out.Send(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Schema{Schema: t}}); err != nil {
			return err
		}
	}
	return nil
}

// checkpoint is where the subscriber is now, between two messages of the log.
func (p *pumped) checkpoint(c *copier) *rowv1.Checkpoint {
	cp := &rowv1.Checkpoint{Token: p.token, TransactionEnd: true, Offset: proto.CloneOf(p.offset)}
	if cp.Offset != nil {
		cp.Offset.Snapshot = ""
	}
	c.stamp(cp)
	return cp
}

// may says whether a piece may be sent now: all before its place is, and no transaction is open.
func (p *pumped) may(x *piece) bool { return p.end && p.taken >= x.after }

// piece sends the first of some pieces, and returns those that are left.
func (p *pumped) piece(c *copier, pieces []*piece) ([]*piece, error) {
	ok, err := p.send(c, pieces[0])
	pieces[0].done <- ok
	if ok {
		return pieces[1:], err
	}
	for _, x := range pieces[1:] {
		x.done <- false
	}
	return nil, err
}

func (p *pumped) send(c *copier, x *piece) (bool, error) {
	if x.message != nil {
		if s := x.message.GetSnapshot(); s != nil && s.Complete {
			s.Checkpoint = p.checkpoint(c)
		}
		return true, p.out.Send(x.message)
	}
	c.mu.Lock()
	stale := x.job.gen != x.gen
	c.mu.Unlock()
	if stale {
		return false, nil
	}
	if x.part != nil {
		var broken bool
		var err error
		c.touched.At(x.job.table, x.from.mark, func(v chunk.View) {
			if broken = v.Broken || x.void.Load(); !broken {
				err = x.layout.Drop(x.part, v)
			}
		})
		if broken || err != nil {
			return false, err
		}
		if ok, err := p.rows(c, x); err != nil || !ok {
			return false, err
		}
	}
	for _, m := range c.progress(p, x) {
		if m.GetSnapshot().GetComplete() {
			if err := failpoint.At(failpoint.SnapshotAfter); err != nil {
				return false, err
			}
		}
		if err := p.out.Send(m); err != nil {
			return false, err
		}
	}
	return true, nil
}

// rows sends the rows of a piece that nothing has touched, and moves the border.
func (p *pumped) rows(c *copier, x *piece) (bool, error) {
	c.mu.Lock()
	j := x.job
	if j.gen != x.gen {
		c.mu.Unlock()
		return false, nil
	}
	j.cursor.Border = x.part.Border
	if x.chunk != nil {
		j.cursor.Chunks++
		j.perChunk = uint64(x.chunk.rows)
	}
	x.first = j.rows == 0
	j.rows += uint64(x.part.Rows)
	j.readHere += uint64(x.part.Rows)
	if x.ends {
		c.remove(j)
	}
	first := x.first && j.initial && !c.initial.begun
	if j.initial && x.part.Rows > 0 {
		c.initial.begun = true
	}
	begin := c.initial.begin
	c.encode()
	c.mu.Unlock()
	c.src.metrics.copied(c.src.id, x.part.Rows, len(x.part.Payload))
	if x.part.Rows == 0 {
		return true, nil
	}
	if err := p.tell(x.seen); err != nil {
		return false, err
	}
	b := x.incremental()
	if j.initial {
		b = x.snapshot(begin, first)
	}
	b.Checkpoint = p.checkpoint(c)
	if err := failpoint.At(failpoint.SnapshotSend); err != nil {
		return false, err
	}
	return true, p.out.Send(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Batch{Batch: b}})
}

// snapshot makes a batch of rows of the snapshot that the subscription began with: they are dated at its begin, and marked as Debezium marks them.
func (x *piece) snapshot(begin *rowv1.Position, first bool) *rowv1.Batch {
	b := &rowv1.Batch{File: begin.GetFile(), Snapshot: true, TxnSid: []uint32{0}, TxnGno: []uint64{0}, TxnCommitUs: []uint64{x.began}, TxnPos: []uint64{begin.GetPos()},
		TxnThread: []uint32{0}, TxnServerId: []uint32{0}, TxnFlags: []byte{0}, Payload: x.part.Payload}
	group := func(rows, end int, m rowv1.Marker) {
		b.GroupSchema = append(b.GroupSchema, x.seen.id)
		b.GroupOp = append(b.GroupOp, byte(row.Read))
		b.GroupFlags = append(b.GroupFlags, 0)
		b.GroupRows = append(b.GroupRows, uint32(rows))
		b.GroupEnd = append(b.GroupEnd, uint32(end))
		b.GroupPos = append(b.GroupPos, begin.GetPos())
		b.GroupEvent = append(b.GroupEvent, 0)
		b.GroupFirstRow = append(b.GroupFirstRow, 0)
		b.GroupTime = append(b.GroupTime, uint32(x.began/1e6))
		b.GroupTxn = append(b.GroupTxn, 0)
		b.GroupMarker = append(b.GroupMarker, byte(m))
	}
	begins := rowv1.Marker_MARKER_TRUE
	switch {
	case first:
		begins = rowv1.Marker_MARKER_FIRST
	case x.first:
		begins = rowv1.Marker_MARKER_FIRST_IN_DATA_COLLECTION
	}
	rows, end := x.part.Rows, len(x.part.Payload)
	ends := x.ends
	if rows == 1 && ends && first && x.marker != rowv1.Marker_MARKER_LAST {
		ends = false // the beginning of the whole counts more than the end of a table
	}
	if !ends {
		group(rows, end, begins)
		return b
	}
	if rows > 1 {
		group(rows-1, x.part.Last, begins)
	}
	group(1, end, x.marker)
	return b
}

// incremental makes a batch of rows that a command asked for: they are dated at the transaction that the log had before them.
func (x *piece) incremental() *rowv1.Batch {
	t := &x.from.txn
	b := &rowv1.Batch{File: x.from.at.file, TxnSid: []uint32{0}, TxnGno: []uint64{t.gno}, TxnCommitUs: []uint64{uint64(time.Now().UnixMicro())}, TxnPos: []uint64{t.pos},
		TxnThread: []uint32{t.thread}, TxnServerId: []uint32{t.serverID}, TxnFlags: []byte{0}, Payload: x.part.Payload,
		GroupSchema: []uint32{x.seen.id}, GroupOp: []byte{byte(row.Read)}, GroupFlags: []byte{0}, GroupRows: []uint32{uint32(x.part.Rows)},
		GroupEnd: []uint32{uint32(len(x.part.Payload))}, GroupPos: []uint64{x.from.at.pos}, GroupEvent: []uint32{0}, GroupFirstRow: []uint32{0},
		GroupTime: []uint32{uint32(time.Now().Unix())}, GroupTxn: []uint32{0}, GroupMarker: []byte{byte(rowv1.Marker_MARKER_INCREMENTAL)}}
	if t.sid != "" {
		b.Sids, b.TxnSid[0] = []string{t.sid}, 1
	}
	return b
}

// progress returns what is told behind a piece: how far the table is, and what is complete.
func (c *copier) progress(p *pumped, x *piece) []*capturev1.SubscribeResponse {
	if x.chunk == nil && !x.ends {
		return nil
	}
	c.mu.Lock()
	j := x.job
	if x.ends && x.part == nil {
		c.remove(j)
	}
	s := c.describe(j)
	if x.chunk != nil {
		s.FromKey, s.ToKey = x.chunk.from, x.chunk.to
	}
	s.State = capturev1.SnapshotState_SNAPSHOT_STATE_RUNNING
	out := []*capturev1.SubscribeResponse{snapshotMessage(s)}
	over := false
	if x.ends {
		s.State, s.Error = x.state, x.why
		s.TableComplete, s.ChunksLeft, s.LeftMs = true, 0, 0
		over = c.over(j.id, j.initial)
	}
	if over && j.initial {
		c.initial.open = false
	}
	done, tables := c.initial.done, c.initial.tables
	c.mu.Unlock()
	if x.ends && j.initial && x.why != "" {
		db, name := split(j.table)
		out = append([]*capturev1.SubscribeResponse{{Message: &capturev1.SubscribeResponse_TableError{TableError: &capturev1.TableError{Database: db, Table: name, Reason: x.why,
			Position: c.initial.begin}}}}, out...)
	}
	if over {
		all := &capturev1.SnapshotProgress{Id: j.id, Incremental: !j.initial, Complete: true, State: capturev1.SnapshotState_SNAPSHOT_STATE_SUCCEEDED, Checkpoint: p.checkpoint(c)}
		if x.state == capturev1.SnapshotState_SNAPSHOT_STATE_STOPPED {
			all.State = x.state
		}
		if j.initial {
			all.Tables, all.TablesDone = tables, done
		}
		out = append(out, snapshotMessage(all))
	}
	return out
}

func snapshotMessage(s *capturev1.SnapshotProgress) *capturev1.SubscribeResponse {
	return &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Snapshot{Snapshot: s}}
}

// describe says how far a job is. Requires: mu.
func (c *copier) describe(j *job) *capturev1.SnapshotProgress {
	s := &capturev1.SnapshotProgress{Table: j.table, RowsDone: j.rows, RowsEstimated: j.estimate, Id: j.id, Incremental: !j.initial, ChunksDone: j.cursor.Chunks,
		MaxKey: j.cursor.MaxKey, State: capturev1.SnapshotState_SNAPSHOT_STATE_RUNNING, Resting: c.rate.State().Resting}
	if j.paused {
		s.State = capturev1.SnapshotState_SNAPSHOT_STATE_PAUSED
	}
	if j.initial {
		s.Tables, s.TablesDone = c.initial.tables, c.initial.done
	}
	left := uint64(0)
	if j.estimate > j.rows {
		left = j.estimate - j.rows
	}
	if j.perChunk > 0 {
		s.ChunksLeft = (left + j.perChunk - 1) / j.perChunk
	}
	if spent := time.Since(j.since); j.readHere > 0 && spent > 0 && !j.since.IsZero() {
		s.RowsPerSecond = uint64(float64(j.readHere) / spent.Seconds())
		if s.RowsPerSecond > 0 {
			s.LeftMs = left * 1000 / s.RowsPerSecond
		}
	}
	return s
}

// tell sends a message between those of the log.
func (c *copier) say(ctx context.Context, s *capturev1.SnapshotProgress) error {
	_, err := c.give(ctx, &piece{message: snapshotMessage(s)})
	return err
}

// surrogate returns the column that a table is read by, where that is not its key.
func (c *copier) surrogate(table string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.IndexFunc(c.jobs, func(j *job) bool { return j.table == table }); i >= 0 {
		return c.jobs[i].cursor.SurrogateKey
	}
	return ""
}
