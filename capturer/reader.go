package capturer

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rowmesh/rowmesh/capturer/binlog"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/failpoint"
	"github.com/rowmesh/rowmesh/services/source"
)

const (
	// lookEvery is the number of boundaries after which a reader that is never idle looks after its feeds: it sends small batches that wait and tells progress. After
	// as many events of rows, 8 MB as servers cut them, it sends what waits: a transaction may take minutes.
	lookEvery = 1024
	// foreignRun is how many transactions without a wanted row make a log one that is about others, and foreignPause how long such a reader rests between looks: the
	// shortest that a timer of the Go runtime can be, a fraction of what a commit takes to reach a consumer.
	foreignRun   = 64
	foreignPause = time.Millisecond
	// Reconnecting starts at once and slows down to a try every ten seconds: a server that restarts is met soon, one that is away is left in peace.
	minBackoff = 200 * time.Millisecond
	maxBackoff = 10 * time.Second
	// patience is how long a server may be away, or answer in a way that leads nowhere, before the subscribers hear of it. A restart takes less. Longer silence would
	// look like a source where nothing happens.
	patience = 30 * time.Second
	// connectTimeout bounds all that is asked of the server before its log comes. It answers in milliseconds; a network that swallows packets never does.
	connectTimeout = time.Minute
)

// errJoined ends a reader whose feeds have moved to the shared one.
var errJoined = errors.New("joined the shared reader")

// reader is one binlog connection and the feeds that it serves.
//
// All the feeds stand at the same place of the log. The reader takes an event, hands it to each feed that wants it, and goes on; where a feed cannot take
// more, the reader waits, the socket fills and the server's dump thread waits too. At each boundary between transactions it may stop for others: see join.go.
//
// The fields are the goroutine's of run, but for those marked as guarded by source.mu. While parked is true the reader is at a boundary and touches
// neither at nor feeds: whoever holds the mutex then may add and remove feeds.
type reader struct {
	src      *dbSource
	serverID uint32
	log      Log
	info     source.Info
	logger   *slog.Logger

	at         place     // the last boundary
	boundaries uint64    // counts them
	wantedAt   uint64    // boundary before the newest row that a feed wanted
	rowEvents  uint64    // counts events of rows
	atBoundary bool      // no transaction is open
	headAt     place     // end of the log when the connection was made
	byGTID     bool      // the connection began at a GTID set
	skip       cursor    // what of the next transaction was handed out before this connection
	done       cursor    // what of the open transaction is handed out
	resumed    bool      // the subscriber had a part of the open transaction before it came
	keepsAll   bool      // versions of all tables are stored at once, whoever wants them
	txn        txn       // the open transaction
	text       []byte    // at's GTIDs; see beforeText
	textFor    uint64    // boundary of text
	eventTime  time.Time // of the newest event
	tables     *tables
	members    uint64 // raised when feeds changes
	scratch    []byte
	pending    counts
	alive      bool      // the connection brought something new, or word that there is nothing
	failedJoin time.Time // last join that did not work
	joinWait   time.Duration

	attention atomic.Bool // park at the next boundary: somebody waits
	caughtUp  atomic.Bool // headAt was reached

	// Guarded by source.mu.
	feeds  []*feed // read by run without the mutex: others change it only while parked
	live   int     // feeds that have neither left nor ended
	parked bool
	gate   *gate
	closed bool // takes no more feeds
	stop   context.CancelFunc
}

// txn is the open transaction.
type txn struct {
	sid      string
	gno      uint64
	commitUS uint64
	pos      uint64
	thread   uint32
	serverID uint32
}

// seconds is the time that Debezium gives a row of the transaction: that of the original commit where the log has it, else the event's.
func (t *txn) seconds(header uint32) int64 {
	if t.commitUS > 0 {
		return int64(t.commitUS / 1e6)
	}
	return int64(header)
}

// run reads until ctx ends, the last feed leaves, or the feeds have joined another reader. Connections that break are made again.
func (r *reader) run(ctx context.Context) {
	defer r.close()
	r.logger.Info("reading the log", "file", r.at.file, "pos", r.at.pos)
	backoff := time.Duration(0)
	var failing time.Time // since when nothing came; zero: all is well
	for ctx.Err() == nil {
		r.alive = false
		err := r.connect(ctx)
		if err == nil {
			r.src.metrics.connected(r.src.id, 1)
			err = r.read(ctx)
			r.src.metrics.connected(r.src.id, -1)
			r.log.Close()
		}
		if errors.Is(err, errJoined) {
			r.logger.Debug("caught up, reads through the shared connection", "file", r.at.file, "pos", r.at.pos)
			return
		}
		if ctx.Err() != nil {
			return
		}
		r.flushAll() // what is decoded need not wait for the server to come back
		switch {
		case r.alive:
			backoff, failing = 0, time.Time{}
		case failing.IsZero():
			failing = r.now()
		}
		if !r.again(err) || !failing.IsZero() && r.now().Sub(failing) > r.src.patience {
			r.fail(err)
			return
		}
		r.src.metrics.reconnects.WithLabelValues(string(r.src.id)).Inc()
		r.logger.Warn("binlog connection lost", "file", r.at.file, "pos", r.at.pos, "retry_in", backoff, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
		backoff = min(max(2*backoff, minBackoff), maxBackoff)
	}
}

// again classifies an error of the connection: whether another try can help.
func (r *reader) again(err error) bool {
	if errors.Is(err, errStoreAway) {
		return false // it was tried long enough; the subscribers try again
	}
	switch errs.KindOf(err) {
	case errs.Unavailable, errs.Busy:
		return true
	case errs.Internal:
		// What the server or the network said and nobody recognised; a defect of ours would come again and stay visible in the log.
		return true
	}
	// Gap, Denied, Corrupt, Unsupported, Invalid: the subscriber must know, and a person must act.
	return false
}

// fail ends all feeds for good.
func (r *reader) fail(err error) {
	r.logger.Error("source stopped", "file", r.at.file, "pos", r.at.pos, "error", err)
	for _, f := range r.feeds {
		switch {
		case errs.KindOf(err) != errs.Gap:
			f.end(nil, err)
		case f.open.Start.GetGtidSources() != nil: // what is missing may be of sources that do not count for it: its next start says
			reset := &capturev1.Reset{Token: f.token, Reason: err.Error() + "; open again with the last token"}
			f.end(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Reset_{Reset_: reset}}, nil)
		default:
			f.end(gapMessage(err), nil)
		}
	}
}

// connect checks that the server still has what comes after the last boundary, and opens its log there.
func (r *reader) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	session, err := r.src.access().Connect(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	r.info = session.Info()
	if err := r.src.checkLineage(ctx, session, &r.at); err != nil {
		return err
	}
	head, err := session.Head(ctx)
	if err != nil {
		return err
	}
	if r.headAt, err = newPlace(r.info.Flavor, head); err != nil {
		return err
	}
	if !r.info.HasGTIDs() {
		r.at.countGTIDs(r.info)
		r.headAt.countGTIDs(r.info)
	}
	if r.at.moved(r.info) && r.at.gtids != nil {
		r.otherServer()
	}
	r.at.uuid, r.at.server = r.info.ServerUUID, r.info.ServerID
	start, err := r.dumpFrom(ctx, session)
	if err != nil {
		return err
	}
	r.byGTID = start.GTIDs != ""
	if r.tables == nil {
		if r.tables, err = newTables(ctx, r, session); err != nil {
			return err
		}
	}
	if err := failpoint.At(failpoint.DialBefore); err != nil {
		return err
	}
	log, err := r.src.access().Dial(ctx, r.info, r.serverID, start)
	if err != nil {
		return err
	}
	r.log = log
	r.skip, r.atBoundary = r.done, true
	r.caughtUp.Store(false)
	return nil
}

// otherServer gives up what holds on the server before only: names of its files, and, in the middle of a transaction, how far in its events the reader was. The log
// of another server has the same transactions, but not necessarily the same events in them. So the transaction comes again from its start, and who has a part
// of it already begins again, or would have that part twice.
func (r *reader) otherServer() {
	r.at.file, r.at.pos, r.at.exact = "", 0, false // the log's first event has this one's
	for _, f := range r.feeds {
		if !f.dead && len(f.open.Delivered) > 0 { // its start is in this log, but are they?
			r.reset(f, "another server of source "+string(r.src.id)+" answers")
		}
	}
	if r.done.zero() {
		return
	}
	r.logger.Warn("another server answers in the middle of a transaction: its rows come again from its start", "server_uuid", r.info.ServerUUID)
	r.done = cursor{}
	for _, f := range r.feeds {
		if !f.dead && (f.inTxn || r.resumed) {
			r.reset(f, "another server of source "+string(r.src.id)+" answers in the middle of a transaction")
		}
	}
}

// dumpFrom says where to ask for the log. GTIDs hold on any server, but MySQL looks for them from the beginning of a file, which takes a second where the
// file has some 500 MB. On the server that the place was taken from, file and position name it as well, and at once.
func (r *reader) dumpFrom(ctx context.Context, session Session) (binlog.Start, error) {
	start := binlog.Start{File: r.at.file, Pos: r.at.pos}
	if r.at.gtids == nil {
		return start, nil
	}
	if r.at.exact && r.info.Flavor == config.MySQL {
		logs, err := session.Logs(ctx)
		if err != nil {
			return start, err
		}
		if slices.ContainsFunc(logs, func(l source.BinaryLog) bool { return l.Name == r.at.file && l.Size >= r.at.pos }) {
			return start, nil
		}
	}
	start.GTIDs = r.at.gtids.String()
	return start, nil
}

// read takes events until the connection breaks.
func (r *reader) read(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { r.log.Close() })
	defer stop()
	for {
		if r.atBoundary {
			if err := r.boundary(ctx); err != nil {
				return err
			}
		}
		ev, err := r.log.Next()
		r.unpark(ctx)
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.take(ctx, ev); err != nil {
			return err
		}
	}
}

// boundary looks after the feeds and after whoever waits, between two transactions. Before a transaction that is half handed out already nobody may
// join or be told that its beginning is where to resume.
func (r *reader) boundary(ctx context.Context) error {
	if !r.skip.zero() {
		return nil
	}
	idle := !r.log.Buffered()
	if idle || r.boundaries%lookEvery == 0 {
		if idle && !r.caughtUp.Load() && (r.at.compare(&r.headAt) >= 0 || r.at.same(&r.headAt)) {
			r.caughtUp.Store(true)
		}
		r.flushAll()
		r.tellProgress(idle && r.caughtUp.Load(), false)
		r.observe()
	}
	if idle || r.attention.Load() {
		r.answer()
		if idle {
			if err := r.tryJoin(ctx); err != nil || !r.atBoundary {
				return err // without joining it may have read into a transaction
			}
		}
		r.park(ctx)
		if idle {
			r.rest()
		}
	}
	return nil
}

// rest lets more of the log come where nobody wants what comes. Being woken costs more than what is then done with one small transaction: 24 000 of them were 0.6 s
// of CPU, taken from the server that writes them. The price is at most foreignPause for the first row that somebody wants.
func (r *reader) rest() {
	if r.boundaries-r.wantedAt >= foreignRun {
		time.Sleep(foreignPause)
	}
}

// take hands one event on.
func (r *reader) take(ctx context.Context, ev *binlog.Event) error {
	r.pending.events++
	if ev.Time > 0 {
		r.eventTime = time.Unix(int64(ev.Time), 0)
	}
	switch ev.Kind {
	case binlog.Begin:
		r.txn = txn{ev.SID, ev.GNO, ev.CommitUS, ev.TxnPos, ev.Thread, ev.ServerID}
		r.atBoundary, r.done = false, r.skip
		if ev.File != r.at.file { // the first transaction after a start by GTIDs
			r.flushAll()
			r.at.file, r.at.pos, r.at.exact = ev.File, ev.Pos, false
		}
	case binlog.Rows:
		if r.rowEvents++; r.rowEvents%lookEvery == 0 {
			r.flushAll()
			r.observe()
		}
		before := r.pending.rows
		err := r.rows(ctx, ev)
		if r.pending.rows != before {
			r.wantedAt = r.boundaries
		}
		return err
	case binlog.Commit, binlog.Rollback:
		for _, f := range r.feeds {
			if !f.dead {
				f.commit(r)
			}
		}
		r.pending.transactions++
		return r.advance(ev.File, ev.EndPos, ev.SID, ev.GNO)
	case binlog.Query:
		if ev.InTransaction {
			return r.statement(ctx, ev)
		}
		r.txn = txn{ev.SID, ev.GNO, ev.CommitUS, ev.TxnPos, ev.Thread, ev.ServerID}
		if err := r.statement(ctx, ev); err != nil {
			return err
		}
		return r.advance(ev.File, ev.EndPos, ev.SID, ev.GNO)
	case binlog.Rotate:
		if ev.File != r.at.file {
			r.flushAll() // a batch has one file
		}
		r.move(ev.File, ev.Pos)
	case binlog.Heartbeat:
		r.move(ev.File, ev.Pos)
		r.alive = true
		r.caughtUp.Store(true)
		r.tellProgress(true, true)
	}
	return nil
}

// advance makes the end of a transaction the last boundary.
func (r *reader) advance(file string, end uint64, sid string, gno uint64) error {
	r.skip, r.done, r.resumed = cursor{}, cursor{}, false
	if sid != "" && r.at.gtids != nil {
		if err := r.at.gtids.Add(sid, gno); err != nil {
			return errs.E(errs.Corrupt, "%s:%d: %w", file, end, err)
		}
	}
	r.at.file, r.at.pos, r.at.exact = file, end, r.exactAt(file, end)
	r.boundaries++
	for _, f := range r.feeds {
		if f.copy != nil && f.copy.watching.Load() {
			f.copy.touched.Ended()
		}
	}
	r.atBoundary, r.alive = true, true
	return nil
}

// exactAt says whether the end of a transaction is an exact place. Reading by GTIDs delivers what is not in a set, in the order of this log; others that are in the set
// may come behind it. All of those are before the end that the log had when the connection was made, so from there on file and position say it all.
func (r *reader) exactAt(file string, end uint64) bool {
	return r.at.uuid != "" && (!r.byGTID || comparePositions(file, end, r.headAt.file, r.headAt.pos) >= 0)
}

// move moves the boundary over what is not a transaction.
func (r *reader) move(file string, pos uint64) {
	if !r.atBoundary || comparePositions(file, pos, r.at.file, r.at.pos) <= 0 {
		return
	}
	r.at.file, r.at.pos = file, pos
	r.boundaries++
}

// beforeText is the text of the GTIDs before the open transaction. It is rendered once per transaction, and only if a feed wants rows of it.
func (r *reader) beforeText() []byte {
	if r.at.gtids == nil {
		return nil
	}
	if r.textFor != r.boundaries+1 {
		r.text = r.at.gtids.AppendText(r.text[:0])
		r.textFor = r.boundaries + 1
	}
	return r.text
}
