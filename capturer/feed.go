package capturer

import (
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/row"
)

const (
	// queueMessages bounds what waits between a reader and one subscriber: four batches keep the sender busy while the reader decodes the next, and
	// hold 1 MiB at the default batch size.
	queueMessages = 4
	// defaultProgress is Open.progress_interval_ms where it says nothing.
	defaultProgress = 5 * time.Second
	// minProgress keeps a subscriber that asks for Progress too often, or a server with many small transactions of foreign tables, from costing
	// a message per transaction.
	minProgress = 100 * time.Millisecond
	// promptProgress is how soon after the last message a subscriber hears that skipped transactions are behind it. Sooner is of no use for resuming.
	promptProgress = time.Second
	// firstPayload is the room that the payload of a batch has at first; a single row change has a few hundred bytes.
	firstPayload = 4 << 10
	// fullPayload is the size from which on a batch says that the subscriber is under load.
	fullPayload = 64 << 10
	// maxGroups bounds the groups and transactions of a batch: their header costs up to 60 bytes each, which must not outgrow the payload.
	maxGroups = 8 << 10
)

// feed is one subscription as its reader sees it: what it wants, the batch being built, and the queue to its sender.
//
// The reader's goroutine owns all fields but those marked otherwise; after the feed has moved to another reader, that one's.
type feed struct {
	open     *capturev1.Open
	filter   *filter
	skips    [256]bool // operations not wanted
	columns  patterns  // columns left out
	progress time.Duration
	pool     *capture.Pool

	queue chan *capturev1.SubscribeResponse // reader to sender
	gone  chan struct{}                     // closed when the subscriber has left

	endOnce sync.Once
	ended   chan struct{}                // closed when nothing more comes after what is queued
	last    *capturev1.SubscribeResponse // sent after the queue; nil: none. Set before ended is closed, as lastErr.
	lastErr error

	start       *rowv1.Position // where it began; set before the subscriber's first message
	sent, acked atomic.Uint64   // for DescribeSource
	taken       atomic.Int64    // when the sender took the newest message from the queue, nanoseconds since the Unix epoch

	copy   *copier       // copies tables into the stream; nil: nobody can ask for that
	pushed atomic.Uint64 // messages that went into the queue

	reader *reader // guarded by source.mu: who feeds it
	dead   bool    // ended or gone: the reader passes it over until it takes it from its list

	schemaMu sync.Mutex // guards the three: copies tell of tables too
	schemas  map[*rowv1.Table]*schemaState
	names    map[[2]string]*schemaState // the latest version of each table that was sent
	schemaID uint32
	stopped  map[[2]string]bool // tables with a TableError
	unknown  map[[2]string]bool // tables that were told to be left out until their shape is known

	batch  *rowv1.Batch
	sids   map[string]uint32  // index plus 1 in batch.sids
	txn    int                // index of the open transaction in batch; -1: not there yet
	inTxn  bool               // rows of the open transaction were sent
	offset rowv1.SourceOffset // of the last row in batch, without GTIDs
	before []byte             // GTIDs before its transaction
	done   cursor             // rows of it that are in batch or were sent

	lastBytes, lastGroups, lastTxns int  // sizes of the last batch
	atEnd                           bool // the last thing in batch is a transaction's end

	mark     uint64    // reader's boundary count at the last checkpoint told
	token    []byte    // last checkpoint queued
	lastSent time.Time // last message queued
}

// schemaState is a table version as one subscription knows it.
type schemaState struct {
	shape *rowv1.Table // as sent, without schema id
	id    uint32
	keep  []int // columns kept; nil: all
	lay   *row.Layout
}

// newFeed compiles what open asks for. Errors are Invalid and name the field.
func newFeed(open *capturev1.Open, pool *capture.Pool) (*feed, error) {
	f := &feed{
		open: open, pool: pool, progress: defaultProgress,
		queue: make(chan *capturev1.SubscribeResponse, queueMessages), gone: make(chan struct{}), ended: make(chan struct{}),
		schemas: make(map[*rowv1.Table]*schemaState), names: make(map[[2]string]*schemaState), stopped: make(map[[2]string]bool), unknown: make(map[[2]string]bool),
		sids: make(map[string]uint32), txn: -1, schemaID: 1,
	}
	var err error
	if f.filter, err = newFilter(open.Tables); err != nil {
		return nil, err
	}
	if f.columns, err = compilePatterns("exclude_columns", open.ExcludeColumns); err != nil {
		return nil, err
	}
	for _, op := range open.SkipOperations {
		f.skips[op] = true
	}
	if open.ProgressIntervalMs > 0 {
		f.progress = max(time.Duration(open.ProgressIntervalMs)*time.Millisecond, minProgress)
	}
	return f, nil
}

// maxBytes is where batches are cut.
func (f *feed) maxBytes() int { return int(f.open.MaxBatchBytes) }

// wants says whether rows of a table are sent.
func (f *feed) wants(database, table string) bool {
	return f.filter.table(database, table)&wanted != 0 && (len(f.stopped) == 0 || !f.stopped[[2]string{database, table}])
}

// end ends the feed: what is queued is sent, then last, then the subscription returns err. The first call counts.
func (f *feed) end(last *capturev1.SubscribeResponse, err error) {
	f.endOnce.Do(func() {
		f.last, f.lastErr = last, err
		close(f.ended)
	})
}

// schema returns how the subscriber knows a table version, and whether it must be told first.
func (f *feed) schema(shape *rowv1.Table) (s *schemaState, isNew bool) {
	f.schemaMu.Lock()
	defer f.schemaMu.Unlock()
	if s := f.schemas[shape]; s != nil {
		return s, false
	}
	if len(f.schemas) >= cacheEntries {
		clear(f.schemas) // versions that come again are found by name, or told again
	}
	key := [2]string{shape.Database, shape.Table}
	s = project(shape, f.columns)
	if old := f.names[key]; old != nil && proto.Equal(old.shape, s.shape) {
		f.schemas[shape] = old
		return old, false
	}
	s.id = f.schemaID
	f.schemaID++
	f.schemas[shape], f.names[key] = s, s
	return s, true
}

// addGroup describes rows that are in the payload already.
func (f *feed) addGroup(r *reader, s *schemaState, g group) {
	b := f.openBatch(r)
	i := f.openTxn(r)
	b.GroupSchema = append(b.GroupSchema, s.id)
	b.GroupOp = append(b.GroupOp, byte(g.op))
	b.GroupFlags = append(b.GroupFlags, g.flags)
	b.GroupRows = append(b.GroupRows, uint32(g.rows))
	b.GroupEnd = append(b.GroupEnd, uint32(len(b.Payload)))
	b.GroupPos = append(b.GroupPos, g.pos)
	b.GroupEvent = append(b.GroupEvent, g.event)
	b.GroupFirstRow = append(b.GroupFirstRow, uint32(g.first))
	b.GroupTime = append(b.GroupTime, g.time)
	b.GroupTxn = append(b.GroupTxn, uint32(i))
	if f.open.IncludeQuery && len(g.query) > 0 {
		// Filled up to here with empty texts: most batches have no statement at all.
		for len(b.GroupQuery) < len(b.GroupSchema)-1 {
			b.GroupQuery = append(b.GroupQuery, "")
		}
		b.GroupQuery = append(b.GroupQuery, string(g.query))
	} else if len(b.GroupQuery) > 0 {
		b.GroupQuery = append(b.GroupQuery, "")
	}
	f.inTxn, f.atEnd = true, false
	f.done = cursor{uint64(g.event), uint64(g.first + g.rows)}
	t := &r.txn
	f.before = append(f.before[:0], r.beforeText()...)
	o := &f.offset
	o.TsSec, o.File, o.Pos, o.ServerId = t.seconds(g.time), r.at.file, t.pos, t.serverID
	o.Event, o.Row = f.done.event, f.done.row
}

// group is a run of rows of one log event.
type group struct {
	op          row.Op
	flags       byte
	rows, first int
	event       uint32
	pos         uint64
	time        uint32
	query       []byte
}

// openBatch returns the batch being built. A new one gets as much room as the last one needed: under load batches are full, at other times small.
func (f *feed) openBatch(r *reader) *rowv1.Batch {
	if f.batch != nil {
		return f.batch
	}
	capacity := firstPayload
	if f.lastBytes > fullPayload {
		capacity = f.maxBytes() + f.maxBytes()/4
	}
	g, t := f.lastGroups, f.lastTxns
	f.batch = &rowv1.Batch{
		File: r.at.file, Payload: f.pool.Payload(capacity),
		GroupSchema: make([]uint32, 0, g), GroupOp: make([]byte, 0, g), GroupFlags: make([]byte, 0, g), GroupRows: make([]uint32, 0, g), GroupEnd: make([]uint32, 0, g),
		GroupPos: make([]uint64, 0, g), GroupEvent: make([]uint32, 0, g), GroupFirstRow: make([]uint32, 0, g), GroupTime: make([]uint32, 0, g), GroupTxn: make([]uint32, 0, g),
		TxnSid: make([]uint32, 0, t), TxnGno: make([]uint64, 0, t), TxnCommitUs: make([]uint64, 0, t), TxnPos: make([]uint64, 0, t),
		TxnThread: make([]uint32, 0, t), TxnServerId: make([]uint32, 0, t), TxnFlags: make([]byte, 0, t),
	}
	f.txn = -1
	return f.batch
}

// openTxn returns the index of the reader's transaction in the batch.
func (f *feed) openTxn(r *reader) int {
	if f.txn >= 0 {
		return f.txn
	}
	b, t := f.batch, &r.txn
	var sid uint32
	if t.sid != "" {
		if sid = f.sids[t.sid]; sid == 0 {
			b.Sids = append(b.Sids, t.sid)
			sid = uint32(len(b.Sids))
			f.sids[t.sid] = sid
		}
	}
	var flags byte
	if !f.inTxn {
		flags = row.TxnBegins
	}
	f.txn = len(b.TxnSid)
	b.TxnSid = append(b.TxnSid, sid)
	b.TxnGno = append(b.TxnGno, t.gno)
	b.TxnCommitUs = append(b.TxnCommitUs, t.commitUS)
	b.TxnPos = append(b.TxnPos, t.pos)
	b.TxnThread = append(b.TxnThread, t.thread)
	b.TxnServerId = append(b.TxnServerId, t.serverID)
	b.TxnFlags = append(b.TxnFlags, flags)
	return f.txn
}

// commit marks the end of the reader's transaction. Where a cut separated it from its last rows, or those were sent before a restart, the batch says
// so in a transaction without groups.
func (f *feed) commit(r *reader) {
	if !f.inTxn {
		return
	}
	b := f.openBatch(r)
	b.TxnFlags[f.openTxn(r)] |= row.TxnEnds
	f.inTxn, f.atEnd, f.txn = false, true, -1
	f.done = cursor{}
}

// room makes room for more payload: it returns how many bytes may be appended before the batch is cut, after cutting one that is full.
func (f *feed) room(r *reader) int {
	if b := f.batch; b != nil && (len(b.Payload) >= f.maxBytes() || len(b.GroupSchema) >= maxGroups || len(b.TxnSid) >= maxGroups) {
		f.flush(r)
	}
	if f.batch == nil {
		return f.maxBytes()
	}
	return f.maxBytes() - len(f.batch.Payload)
}

// grow gives the payload a buffer of the pool with room for n more bytes.
func (f *feed) grow(n int) {
	b := f.batch
	if cap(b.Payload)-len(b.Payload) >= n {
		return
	}
	old := b.Payload
	b.Payload = append(f.pool.Payload(max(len(old)+n, 4*len(old))), old...)
	f.pool.Put(&old)
}

// flush hands the batch over, if there is one.
func (f *feed) flush(r *reader) {
	b := f.batch
	if b == nil {
		return
	}
	f.batch, f.txn = nil, -1
	f.lastBytes, f.lastGroups, f.lastTxns = len(b.Payload), len(b.GroupSchema), len(b.TxnSid)
	clear(f.sids)
	b.Checkpoint = f.checkpoint(r)
	f.send(r, &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Batch{Batch: b}}, b.Checkpoint)
}

// checkpoint says where the subscription stands after the batch.
func (f *feed) checkpoint(r *reader) *rowv1.Checkpoint {
	o := proto.Clone(&f.offset).(*rowv1.SourceOffset)
	o.Gtids = string(f.before)
	if f.atEnd {
		// Nothing of a transaction that may be open is in the batch, so the last boundary is the place, wherever the reader is.
		f.mark = r.boundaries
		return &rowv1.Checkpoint{Token: r.at.token(r.at.position(), cursor{}, r.at.exact), TransactionEnd: true, Offset: o}
	}
	start := &rowv1.Position{File: r.at.file, Pos: r.at.pos, ServerUuid: r.at.uuid, Gtids: string(r.beforeText())}
	return &rowv1.Checkpoint{Token: r.at.token(start, f.done, r.at.exact), Offset: o}
}

// send queues a message. It waits while the queue is full: see reader.push for how long.
func (f *feed) send(r *reader, m *capturev1.SubscribeResponse, c *rowv1.Checkpoint) {
	if f.dead {
		return
	}
	if !r.push(f, m) {
		f.dead = true
		return
	}
	f.pushed.Add(1)
	f.lastSent = r.now()
	if c != nil {
		f.token = c.Token
	}
}
