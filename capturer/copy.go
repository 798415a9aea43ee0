package capturer

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rowmesh/rowmesh/capturer/chunk"
	"github.com/rowmesh/rowmesh/capturer/throttle"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
)

const (
	// touchedBytes bounds the keys that a copy remembers of the log: the rows of a second of heavy writing have a tenth of it. A transaction with more breaks the
	// chunks that are under way, which are read again behind it.
	touchedBytes = 16 << 20
	// chunkBytes is about what a chunk has: large enough that its few round trips to the server are a percent of its cost, small enough that memory, the window
	// and what a kill repeats stay small.
	chunkBytes = 4 << 20
	// maxChunkBytes cuts a chunk whose rows are wider than those before.
	maxChunkBytes = chunkBytes + chunkBytes/2
	// maxCopyThreads bounds the connections of one copy.
	maxCopyThreads = 32
)

// copier copies tables into the stream of one feed while that reads the log: package chunk has the proof.
//
//	run: table after table ── reading: chunks on several connections ──> deliver, in the order of the key ──> feed.pump
//	                                └── ask: where is the reader? ──> the reader, at its next boundary
//
// The reader notes the keys of the rows that pass (note), the pump leaves those out that were touched, and puts how far the copy is into every token that it sends.
type copier struct {
	src     *dbSource
	feed    *feed
	touched *chunk.Touched
	rate    *throttle.Throttle
	out     chan []*piece // to the pump, a chunk at a time
	wake    chan struct{}
	threads int

	chunkRows uint32 // of the snapshot that the subscription begins with; 0: by bytes

	watching atomic.Bool // some table is watched: the reader has to note
	asked    atomic.Bool // asks are open

	hasUntold atomic.Bool // versions is not empty

	asks []*ask // guarded by src.mu

	mu      sync.Mutex
	jobs    []*job
	initial initialCopy
	tail    []byte // what a token gets appended: see encode
	// versions are tables that the copier was the first to name, so that the reader does not tell of them.
	versions []*schemaState
	stands   []recent
	still    stillness
}

// initialCopy is what the tables of the snapshot that a subscription began with have in common.
type initialCopy struct {
	open         bool // it is not complete
	begin        *rowv1.Position
	begun        bool // a row was sent
	tables, done uint32
	listed       bool // it is of certain tables only
}

// job is one table of a snapshot.
type job struct {
	id, table string // table is "database.table"
	initial   bool
	cursor    *rowv1.SnapshotCursor
	gen       int // raised when what is being read is of no use
	paused    bool
	stopping  bool // ends with the chunk that is under way
	rows      uint64
	estimate  uint64
	since     time.Time // when its reading began here
	readHere  uint64    // rows since then
	perChunk  uint64    // rows of the last chunk

	// What the table is at the reader's place, from its turn on.
	full   *rowv1.Table
	ending *capturev1.SnapshotProgress // set when the log says that it is over: dropped, truncated, renamed
}

func newCopier(s *dbSource, f *feed) *copier {
	return &copier{src: s, feed: f, touched: chunk.NewTouched(touchedBytes), rate: throttle.New(throttle.Limits{}), out: make(chan []*piece), wake: make(chan struct{}, 1), threads: 1}
}

// start takes over what a token, or a snapshot that begins, has to copy. Requires: nobody uses the copier yet.
func (c *copier) start(cursors []*rowv1.SnapshotCursor) {
	for _, cur := range cursors {
		c.jobs = append(c.jobs, &job{id: cur.Id, table: cur.Table, cursor: cur, paused: cur.Paused, rows: cur.Rows})
		c.threads = max(c.threads, int(min(cur.Threads, maxCopyThreads)))
	}
	c.encode()
}

// begin adds the tables of the snapshot that a subscription begins with, in reading order; cur says how far its first one is, nil: nothing is read.
func (c *copier) begin(tables []string, done int, at *rowv1.Position, cur *rowv1.SnapshotCursor, listed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.initial = initialCopy{open: true, begin: at, begun: cur.GetBegun(), tables: uint32(len(tables) + done), done: uint32(done), listed: listed}
	var jobs []*job
	for _, t := range tables {
		j := &job{table: t, initial: true, cursor: &rowv1.SnapshotCursor{Table: t, ChunkRows: c.chunkRows}}
		if cur.GetTable() == t {
			j.cursor.Border, j.cursor.Rows, j.cursor.Chunks, j.rows = cur.Border, cur.Rows, cur.Chunks, cur.Rows
		}
		jobs = append(jobs, j)
	}
	c.jobs = append(jobs, c.jobs...)
	c.encode()
}

// encode renders the part of resume tokens that says how far the snapshots are: one cursor for the tables that the subscription began with, which have an order, and
// one for each other table. Requires: mu, or nobody else.
func (c *copier) encode() {
	t := &rowv1.ResumeToken{}
	first := true
	for _, j := range c.jobs {
		cur := j.cursor
		cur.Paused, cur.Rows = j.paused, j.rows
		if !j.initial {
			t.Snapshots = append(t.Snapshots, cur)
			continue
		}
		if c.initial.listed && !first {
			last := t.Snapshots[0]
			last.Tables = append(last.Tables, j.table)
		}
		if first {
			first = false
			one := proto.CloneOf(cur)
			one.Begin, one.Begun, one.TablesDone, one.Tables = c.initial.begin, c.initial.begun, c.initial.done, nil
			if c.initial.listed {
				one.Tables = []string{j.table}
			}
			t.Snapshots = slices.Insert(t.Snapshots, 0, one)
		}
	}
	c.tail = nil
	if len(t.Snapshots) > 0 {
		c.tail, _ = proto.Marshal(t) // fields that are appended to a message are merged into it
	}
}

// stamp puts into a checkpoint how far the snapshots are. The checkpoint is the caller's own.
func (c *copier) stamp(cp *rowv1.Checkpoint) {
	if cp == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.tail) > 0 && len(cp.Token) > 0 {
		cp.Token = append(slices.Clip(cp.Token), c.tail...)
	}
	if c.initial.open && cp.Offset != nil {
		cp.Offset.Snapshot = initialOffset
	}
}

// stamped returns a token with how far the snapshots are.
func (c *copier) stamped(token []byte) []byte {
	cp := &rowv1.Checkpoint{Token: token}
	c.stamp(cp)
	return cp.Token
}

// initialOffset is how Debezium's part of an offset says that a snapshot runs: it would begin again.
const initialOffset = "INITIAL"

// next returns the first job that may run, once there is one; nil when ctx ends.
func (c *copier) next(ctx context.Context) *job {
	for {
		c.mu.Lock()
		i := slices.IndexFunc(c.jobs, func(j *job) bool { return !j.paused })
		var j *job
		if i >= 0 {
			j = c.jobs[i]
		}
		c.mu.Unlock()
		if j != nil {
			return j
		}
		select {
		case <-c.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *copier) wakeUp() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run copies tables until ctx ends. Its error ends the subscription.
func (c *copier) run(ctx context.Context) error {
	pool := &rangesPool{server: c.src.access}
	defer pool.close()
	var failing time.Time
	backoff := time.Duration(0)
	for {
		j := c.next(ctx)
		if j == nil {
			return nil
		}
		t := &turn{copier: c, job: j, pool: pool}
		err := t.run(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			backoff, failing = 0, time.Time{}
			continue
		}
		switch errs.KindOf(err) {
		case errs.Unavailable, errs.Busy, errs.Internal:
			if t.sent > 0 || failing.IsZero() {
				failing, backoff = time.Now(), 0
			}
			if j.initial && time.Since(failing) > c.src.patience {
				return err
			}
			c.src.logger.Warn("chunk of a snapshot is read again", "consumer", c.feed.open.Consumer, "table", j.table, "retry_in", backoff, "error", err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(backoff):
			}
			backoff = min(max(2*backoff, minBackoff), maxBackoff)
		default:
			if err := c.fail(ctx, j, err); err != nil {
				return err
			}
		}
	}
}

// untold notes a table version that the subscriber was not told of.
func (c *copier) untold(v *schemaState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.versions = append(c.versions, v)
	c.hasUntold.Store(true)
}

func (c *copier) takeUntold() []*schemaState {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.versions
	c.versions = nil
	c.hasUntold.Store(false)
	return out
}

// split cuts "database.table".
func split(table string) (database, name string) {
	database, name, _ = strings.Cut(table, ".")
	return database, name
}

// remove takes a job away. Requires: mu.
func (c *copier) remove(j *job) bool {
	i := slices.Index(c.jobs, j)
	if i < 0 {
		return false
	}
	c.jobs = slices.Delete(c.jobs, i, i+1)
	j.gen++
	if j.initial {
		c.initial.done++
	}
	c.encode()
	return true
}

// over says whether a command, or the snapshot that the subscription began with, has no job left. Requires: mu.
func (c *copier) over(id string, initial bool) bool {
	return !slices.ContainsFunc(c.jobs, func(j *job) bool { return j.initial == initial && j.id == id })
}
