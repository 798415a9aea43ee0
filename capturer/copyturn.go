package capturer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rowmesh/rowmesh/capturer/chunk"
	"github.com/rowmesh/rowmesh/capturer/snapshot"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/source"
	"golang.org/x/sync/errgroup"
)

// turn is the reading of one table, from where its job stands, until it is read, or what is read is of no use.
type turn struct {
	*copier
	job  *job
	pool *rangesPool

	gen   int
	since chunk.Mark // the table is watched from here on
	seen  *schemaState
	key   chunk.Key
	sizer *chunk.Sizer
	size  sync.Mutex // guards sizer
	began uint64     // server's time
	sent  int        // parts
}

// read is a chunk that was read.
type read struct {
	rows *snapshot.Rows
	from stand
	last bool // nothing of the table is left
}

// span is a part of the table that one connection reads, chunk by chunk.
type span struct {
	chunk.Range
	last   bool // up to the end of the table
	chunks chan read
}

// errAgain says that the table has to be looked at anew: it changed, or a command came.
var errAgain = errors.New("read again")

// run copies what is left of the table. nil: it is complete, or has to be looked at again.
func (t *turn) run(ctx context.Context) error {
	ready, err := t.prepare(ctx)
	defer t.unwatchAll()
	if err != nil || !ready {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, gctx := errgroup.WithContext(ctx)
	threads := t.threadsFor()
	spans := make(chan *span)          // to the connections
	order := make(chan *span, threads) // to deliver, in the order of the key
	g.Go(func() error { return t.plan(gctx, threads, spans, order) })
	for range threads {
		g.Go(func() error {
			for s := range spans {
				if err := t.read(gctx, s); err != nil {
					return err
				}
			}
			return nil
		})
	}
	g.Go(func() error { return t.deliver(gctx, order) })
	err = g.Wait()
	t.closeLeft(order)
	if errors.Is(err, errAgain) {
		return nil
	}
	return err
}

// closeLeft closes the windows of chunks that nobody took.
func (t *turn) closeLeft(order chan *span) {
	for s := range order {
		for c := range s.chunks {
			t.touched.Close(c.from.mark)
		}
	}
}

func (t *turn) unwatchAll() {
	if t.since != notWatched {
		t.unwatch(t.job.table)
	}
	t.forgetStands()
}

// notWatched is no mark that a reader reaches.
const notWatched = ^chunk.Mark(0)

// threadsFor is how many connections read the table: one for a table that is read in two chunks anyway.
func (t *turn) threadsFor() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.job.estimate < 2*uint64(t.sizer.Rows(0)) {
		return 1
	}
	return max(t.threads, 1)
}

// prepare finds out what the table is, and where its reading stands. false: there is nothing to read.
func (t *turn) prepare(ctx context.Context) (bool, error) {
	c, j := t.copier, t.job
	t.since = notWatched
	c.mu.Lock()
	t.gen = j.gen
	ending := j.ending
	c.mu.Unlock()
	if ending != nil {
		return false, t.end(ctx, ending.State, ending.Error)
	}
	st, err := c.ask(ctx, ask{watch: j})
	if err != nil {
		return false, err
	}
	t.since = st.mark
	defer c.touched.Close(st.mark)
	if st.shape == nil {
		return false, t.discover(ctx)
	}
	var isNew bool
	if t.seen, isNew = c.feed.schema(st.shape); isNew {
		c.untold(t.seen)
	}
	if j.initial && j.cursor.Chunks == 0 && !chunkable(c.feed.open.Snapshot, st.shape) {
		// It was read before the log, or has come since, and the log has its rows.
		return false, t.end(ctx, capturev1.SnapshotState_SNAPSHOT_STATE_SUCCEEDED, "")
	}
	if t.key, err = chunk.KeyOf(t.seen.shape, j.cursor.SurrogateKey); err != nil {
		return false, t.end(ctx, capturev1.SnapshotState_SNAPSHOT_STATE_NO_PRIMARY_KEY, fmt.Sprintf("table %s cannot be read in chunks: %v; name a surrogate key, or take a snapshot with "+
			"snapshot.locking.mode=minimal", j.table, err))
	}
	db, name := split(j.table)
	return true, t.pool.use(ctx, func(r Ranges) error {
		rows, rowBytes, err := r.Estimate(ctx, db, name)
		if err != nil {
			return err
		}
		t.sizer = chunk.NewSizer(chunkBytes, int(j.cursor.ChunkRows), rowBytes)
		if t.began, err = r.Now(ctx); err != nil {
			return err
		}
		c.mu.Lock()
		j.estimate, j.since, j.readHere = rows, time.Now(), 0
		c.mu.Unlock()
		if j.initial || len(j.cursor.Last) > 0 {
			return nil
		}
		b, err := r.Border(ctx, snapshot.Range{Table: t.seen.shape, Key: t.key, Condition: j.cursor.Condition}, 0, true)
		if err != nil || b == nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		j.cursor.Last, j.cursor.MaxKey = b.Literals, b.Text
		c.encode()
		return nil
	})
}

// discover finds the shape of a table that the reader does not know, and lets the job be looked at again. What there is no table of ends its job.
func (t *turn) discover(ctx context.Context) error {
	c, j := t.copier, t.job
	session, err := c.src.access().Connect(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	shapes, at, err := session.Shapes(ctx, func(db, name string) bool { return db+"."+name == j.table }, 1)
	if err != nil {
		return err
	}
	if len(shapes) == 0 {
		return t.end(ctx, capturev1.SnapshotState_SNAPSHOT_STATE_UNKNOWN_SCHEMA, fmt.Sprintf("table %s is not there, or what it is is not understood", j.table))
	}
	where, err := newPlace(session.Info().Flavor, at)
	if err != nil {
		return err
	}
	where.server = session.Info().ServerID
	if err := c.src.history.put(ctx, version(shapes[0], at)); err != nil {
		return errs.E(errs.Unavailable, "store what table %s is: %w", j.table, err)
	}
	st, err := c.ask(ctx, ask{past: &where, watch: j, shape: shapes[0]})
	if err != nil {
		return err
	}
	c.touched.Close(st.mark)
	c.unwatch(j.table)
	return nil
}

// query is the part of the table that is left, with what is common to all statements.
func (t *turn) query(r chunk.Range) snapshot.Range {
	return snapshot.Range{Table: t.seen.shape, Key: t.key, Range: r, Condition: t.job.cursor.Condition, MaxBytes: maxChunkBytes, PartBytes: t.feed.maxBytes(),
		Alloc: t.feed.pool.Payload}
}

// plan cuts what is left into spans: one for a single connection, else parts of some chunks each, whose borders the server finds.
func (t *turn) plan(ctx context.Context, threads int, spans, order chan *span) error {
	defer close(spans)
	defer close(order)
	t.mu.Lock()
	left := chunk.Range{After: t.job.cursor.Border, UpTo: t.job.cursor.Last}
	t.mu.Unlock()
	give := func(s *span) error {
		s.chunks = make(chan read, 1)
		select {
		case order <- s:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case spans <- s:
			return nil
		case <-ctx.Done():
			close(s.chunks)
			return ctx.Err()
		}
	}
	if threads == 1 {
		return give(&span{Range: left, last: true})
	}
	return t.pool.use(ctx, func(r Ranges) error {
		for {
			b, err := r.Border(ctx, t.query(left), t.rowsPerSpan()-1, false)
			if err != nil {
				return t.readError(ctx, err, nil)
			}
			if b == nil || !b.More {
				return give(&span{Range: left, last: true})
			}
			if err := give(&span{Range: chunk.Range{After: left.After, UpTo: b.Literals}}); err != nil {
				return err
			}
			left.After = b.Literals
		}
	})
}

func (t *turn) rowsPerSpan() int {
	t.size.Lock()
	defer t.size.Unlock()
	return t.sizer.Rows(0)
}

// read reads a span chunk by chunk.
func (t *turn) read(ctx context.Context, s *span) error {
	defer close(s.chunks)
	return t.pool.use(ctx, func(r Ranges) error {
		for left := s.Range; ; {
			if err := t.rest(ctx); err != nil {
				return err
			}
			from, err := t.window(ctx, r.Info(), t.since)
			if err != nil {
				return err
			}
			q := t.query(left)
			q.Limit, q.Small = t.limit(), len(left.After) == 0
			q.After, q.Reached = from.at.position(), func(p *rowv1.Position) bool { return comparePositions(p.File, p.Pos, from.at.file, from.at.pos) >= 0 }
			rows, err := t.readChunk(ctx, r, q, &from.at)
			if err != nil {
				t.touched.Close(from.mark)
				return t.readError(ctx, err, &from)
			}
			t.size.Lock()
			t.sizer.Took(rows.Rows, rows.Bytes)
			t.size.Unlock()
			t.rate.Took(time.Now(), uint64(rows.Rows), uint64(rows.Bytes))
			select {
			case s.chunks <- read{rows, from, s.last && rows.All}:
			case <-ctx.Done():
				t.touched.Close(from.mark)
				return ctx.Err()
			}
			if rows.All {
				return nil
			}
			left.After = rows.Parts[len(rows.Parts)-1].Border
		}
	})
}

// readChunk reads a chunk, on the server that the log comes from.
func (t *turn) readChunk(ctx context.Context, r Ranges, q snapshot.Range, at *place) (*snapshot.Rows, error) {
	if at.moved(r.Info()) {
		return nil, errs.E(errs.Unavailable, "the log comes from another server now than the one that this connection is to")
	}
	return r.Read(ctx, q)
}

// limit is how many rows the next chunk has: with a limit on the rate no more than a second's.
func (t *turn) limit() int {
	t.size.Lock()
	defer t.size.Unlock()
	return t.sizer.Rows(t.rate.State().Limits.RowsPerSecond)
}

// rest waits as long as the limits say, and says whether the turn still counts.
func (t *turn) rest(ctx context.Context) error {
	for {
		if !t.counts() {
			return errAgain
		}
		wait := t.rate.Wait(time.Now())
		if wait <= 0 {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// counts says whether what the turn reads is still wanted.
func (t *turn) counts() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.job.gen == t.gen && !t.job.paused
}

// readError says what an error of a statement means. A table that is no longer what it was is looked at again, once the reader has come to what changed it.
func (t *turn) readError(ctx context.Context, err error, from *stand) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if k := errs.KindOf(err); k == errs.Unavailable || k == errs.Busy {
		return err
	}
	session, e := t.src.access().Connect(ctx)
	if e != nil {
		return e
	}
	head, e := session.Head(ctx)
	info := session.Info()
	session.Close()
	if e != nil {
		return e
	}
	end, e := newPlace(info.Flavor, head)
	if e != nil {
		return e
	}
	end.server = info.ServerID
	st, e := t.ask(ctx, ask{past: &end})
	if e != nil {
		return e
	}
	t.touched.Close(st.mark)
	if !t.counts() {
		return errAgain
	}
	return err
}

// rangesPool keeps connections between chunks and tables.
type rangesPool struct {
	server func() Server

	mu   sync.Mutex
	free []Ranges
}

// use lends a connection. One that failed is not used again.
func (p *rangesPool) use(ctx context.Context, f func(Ranges) error) error {
	p.mu.Lock()
	var r Ranges
	if n := len(p.free); n > 0 {
		r, p.free = p.free[n-1], p.free[:n-1]
	}
	p.mu.Unlock()
	if r == nil {
		var err error
		if r, err = p.server().Ranges(ctx); err != nil {
			return err
		}
	}
	err := f(r)
	if err != nil && source.ErrorCode(err) == 0 && !errors.Is(err, errAgain) {
		r.Close()
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, r)
	return err
}

func (p *rangesPool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.free {
		r.Close()
	}
	p.free = nil
}
