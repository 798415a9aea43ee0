package binlog

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/rowmesh/rowmesh/services/errs"
)

// prepared knows the XA transactions whose outcome is not in the log yet.
//
// The server logs an XA transaction's rows at XA PREPARE, under a GTID of its own; the outcome follows later under another GTID, perhaps much later and
// in another file. Small ones are kept as they came, and read again at XA COMMIT. Of what does not fit into the bound only the place in the log is kept: its
// rows are read from there once more, on a connection of their own, while the reader stands at the XA COMMIT. Nothing of this is persistent: a stream that
// meets an XA COMMIT whose PREPARE it has not seen reads the log backwards, file by file, until it finds the place.
type prepared struct {
	held  map[string]*heldTxn
	bytes int // of all events held, and heldOverhead for each transaction
	// Of a stream that looks for one transaction, or reads one again.
	only  string // know this id and no other
	until uint64 // the position of the XA COMMIT in question; 0: in another file
	again bool   // hand out the events of only as they come
	// find looks up where an XA transaction that is prepared before a position begins, reread reads one again from its place. They are nil in a stream that itself does
	// one or the other.
	find   func(file string, before uint64, xid string) (*heldTxn, error)
	reread func(at *heldTxn, xid string) (innerSource, error)
}

// heldTxn is a prepared transaction: where its group begins in the log, and its events unless they were too many.
type heldTxn struct {
	file   string
	pos    uint64
	events []byte
	spilt  bool // events are not held
}

// heldOverhead is what a transaction costs beside its events: its id of up to 140 bytes, its entry in the map, and the place.
const heldOverhead = 512

// start begins a transaction. One that does not even fit with its place alone is not known: it is looked up at its outcome.
func (p *prepared) start(xid string, at *heldTxn, limit int) {
	p.drop(xid)
	if p.only != "" && p.only != xid || p.bytes+heldOverhead > limit {
		return
	}
	at.spilt = p.only != ""
	p.held[xid] = at
	p.bytes += heldOverhead
}

func (p *prepared) hold(xid string, event []byte, limit int) {
	t := p.held[xid]
	if t == nil || t.spilt {
		return
	}
	if p.bytes+len(event) > limit {
		p.bytes -= len(t.events)
		t.events, t.spilt = nil, true
		return
	}
	at := len(t.events)
	t.events = append(t.events, event...)
	trueSize(t.events[at:], len(event))
	p.bytes += len(event)
}

// trueSize corrects the size in an event's header: it counts a checksum that was cut off.
func trueSize(event []byte, n int) { binary.LittleEndian.PutUint32(event[9:], uint32(n)) }

func (p *prepared) drop(xid string) {
	if t := p.held[xid]; t != nil {
		p.bytes -= len(t.events) + heldOverhead
		delete(p.held, xid)
	}
}

// heldEvents replays held events.
type heldEvents struct{ rest []byte }

func (h *heldEvents) more() bool { return len(h.rest) > 0 }

func (h *heldEvents) next() ([]byte, error) {
	if len(h.rest) == 0 {
		return nil, io.EOF
	}
	n := int(parseHeader(h.rest).size)
	e := h.rest[:n]
	h.rest = h.rest[n:]
	return e, nil
}

// ended is events, and a made-up XID event behind them that ends their transaction.
type ended struct {
	innerSource
	end []byte
}

func (e *ended) more() bool { return e.end != nil }

func (e *ended) next() ([]byte, error) {
	if e.end == nil {
		return nil, io.EOF
	}
	b, err := e.innerSource.next()
	if err == io.EOF {
		b, err, e.end = e.end, nil, nil
	}
	return b, err
}

// xaPrepareSQL begins the statement that the end of a prepared transaction is told as.
const xaPrepareSQL = "XA PREPARE "

// rereadEvents are the events of a transaction that are read from the log once more.
type rereadEvents struct {
	st  *Stream
	xid string
}

func (r *rereadEvents) more() bool { return true }

func (r *rereadEvents) next() ([]byte, error) {
	for {
		emit, err := r.st.step()
		switch {
		case err != nil:
			err = r.st.fail(err)
			r.st.Close()
			return nil, fmt.Errorf("read the rows of the prepared XA transaction %s again: %w", r.xid, err)
		case r.st.raw != nil:
			b := r.st.raw
			r.st.raw = nil
			return b, nil
		case emit && r.st.ev.Kind == Query && r.st.ev.SQL == xaPrepareSQL+r.xid:
			r.st.Close()
			return nil, io.EOF
		case emit && (r.st.ev.Kind == Query || r.st.ev.Kind == Commit || r.st.ev.Kind == Rollback):
			r.st.Close()
			return nil, errs.E(errs.Gap, "the prepared XA transaction %s is not where it was in the log: %s:%d holds another one; check that %s is one server, and take a "+
				"new snapshot", r.xid, r.st.ev.File, r.st.ev.Pos, r.st.cfg.Addr)
		}
	}
}

// holds says which events of an XA transaction are kept: those that the replay needs.
func (s *Stream) holds(t eventType) bool {
	switch t {
	case tableMapEvent, rowsQueryEvent, mariaAnnotateRows, partialUpdateRowsEvent, writeRowsV0, updateRowsV0, deleteRowsV0, writeRowsV1, updateRowsV1,
		deleteRowsV1, writeRowsV2, updateRowsV2, deleteRowsV2, mariaWriteCompressedV1, mariaUpdateCompressedV1, mariaDeleteCompressedV1,
		mariaWriteCompressedV2, mariaUpdateCompressedV2, mariaDeleteCompressedV2:
		return true
	}
	return false
}

// xaStart begins a transaction whose rows are held.
func (s *Stream) xaStart(h header, q *queryInfo, at place) error {
	xid, err := xidOf(q.sql)
	if err != nil {
		return errs.E(errs.Corrupt, "at %d: %w", at.pos, err)
	}
	if s.txn.open { // MariaDB: the GTID event has begun it
		s.txn.index++
		return nil
	}
	s.open(h, at, 0)
	s.txn.xid = xid
	s.xaHold(at)
	return nil
}

// xaHold begins to hold the transaction at hand, whose group begins at a place.
func (s *Stream) xaHold(at place) {
	s.xa.start(s.txn.xid, &heldTxn{file: s.file, pos: at.pos}, s.cfg.MaxHeldBytes)
}

// xaPrepare ends the group that holds the rows: XA PREPARE, or XA COMMIT ... ONE PHASE. A byte says which, then the id.
func (s *Stream) xaPrepare(h header, body []byte, at place) (bool, error) {
	c := cursor{b: body}
	onePhase := c.u8() != 0
	if c.failed {
		return false, errShort
	}
	if !s.txn.open || s.txn.xid == "" {
		return false, errs.E(errs.Corrupt, "XA PREPARE at %d stands outside of an XA transaction", at.pos)
	}
	xid := s.txn.xid
	switch {
	case onePhase && s.xa.only == "":
		at.pos = s.txn.pos
		if s.xa.held[xid] == nil {
			s.xa.held[xid] = &heldTxn{file: s.file, pos: at.pos, spilt: true}
			s.xa.bytes += heldOverhead // for as long as it takes to go on
		}
		return s.xaOutcome(h, xid, at)
	case onePhase && !s.xa.again:
		s.xa.drop(xid)
	}
	s.event(h, Query, at)
	s.ev.SQL = xaPrepareSQL + xid
	s.finish()
	return true, nil
}

// xaCommit brings the rows of a prepared transaction, under the GTID of the commit and at its place.
func (s *Stream) xaCommit(h header, q *queryInfo, at place) (bool, error) {
	xid, err := xidOf(q.sql)
	if err != nil {
		return false, errs.E(errs.Corrupt, "at %d: %w", at.pos, err)
	}
	if s.xa.only != "" {
		if xid == s.xa.only && (s.xa.until == 0 || at.pos < s.xa.until) {
			s.xa.drop(xid)
		}
		s.emitStatement(h, q, at)
		return true, nil
	}
	if s.gtid.sid != "" && s.gtid.flags != 0 {
		at.pos = s.txn.pos // MariaDB: the GTID event
	}
	return s.xaOutcome(h, xid, at)
}

// xaOutcome begins a transaction that the prepared events fill.
func (s *Stream) xaOutcome(h header, xid string, at place) (bool, error) {
	t := s.xa.held[xid]
	if t == nil {
		if s.xa.find == nil {
			return false, errs.E(errs.Gap, "XA COMMIT %s at %d: its XA PREPARE has not been read", xid, at.pos)
		}
		var err error
		if t, err = s.xa.find(s.file, at.pos, xid); err != nil {
			return false, err
		}
	}
	s.xa.drop(xid)
	var events innerSource = &heldEvents{rest: t.events}
	if t.spilt {
		if s.xa.reread == nil {
			return false, errs.E(errs.Internal, "XA COMMIT %s at %d: the rows of its XA PREPARE at %s:%d cannot be read again here", xid, at.pos, t.file, t.pos)
		}
		var err error
		if events, err = s.xa.reread(t, xid); err != nil {
			return false, fmt.Errorf("XA COMMIT %s at %d: read its rows again from %s:%d: %w", xid, at.pos, t.file, t.pos, err)
		}
	}
	end := make([]byte, headerSize)
	binary.LittleEndian.PutUint32(end, h.time)
	end[4] = byte(xidEvent)
	binary.LittleEndian.PutUint32(end[5:], h.serverID)
	binary.LittleEndian.PutUint32(end[9:], headerSize)
	s.inner, s.outer = &ended{innerSource: events, end: end}, at
	return s.open(h, at, 0), nil
}

func (s *Stream) xaRollback(q *queryInfo) {
	if xid, err := xidOf(q.sql); err == nil {
		s.xa.drop(xid)
	}
}

// lookup returns what finds prepared transactions by reading the log backwards.
func lookup(ctx context.Context, cfg Config) func(file string, before uint64, xid string) (*heldTxn, error) {
	return func(file string, before uint64, xid string) (*heldTxn, error) {
		conn, err := dialServer(ctx, cfg)
		if err != nil {
			return nil, err
		}
		files, err := logFiles(conn)
		conn.Close()
		if err != nil {
			return nil, classify("list the logs of "+cfg.Addr, err)
		}
		end := before
		for i := len(files) - 1; i >= 0; i-- {
			if files[i] > file {
				continue
			}
			if files[i] != file {
				end = 0 // the whole file
			}
			found, err := searchFile(ctx, cfg, files[i], end, xid)
			if found != nil || err != nil {
				return found, err
			}
		}
		return nil, errs.E(errs.Gap, "XA COMMIT %s at %s:%d: its XA PREPARE is in no log that the server still has; take a new snapshot", xid, file, before)
	}
}

// again returns what reads the rows of a prepared transaction once more.
func again(ctx context.Context, cfg Config) func(at *heldTxn, xid string) (innerSource, error) {
	return func(at *heldTxn, xid string) (innerSource, error) {
		st, err := dialStream(ctx, cfg, Start{File: at.file, Pos: at.pos})
		if err != nil {
			return nil, err
		}
		st.cancel = stopper(context.AfterFunc(ctx, func() { st.Close() }))
		st.xa.only, st.xa.again = xid, true
		return &rereadEvents{st: st, xid: xid}, nil
	}
}

func stopper(stop func() bool) context.CancelFunc { return func() { stop() } }

func logFiles(conn *client.Conn) ([]string, error) {
	r, err := conn.Execute("SHOW BINARY LOGS")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var files []string
	for i := range r.RowNumber() {
		f, err := r.GetString(i, 0)
		if err != nil {
			return nil, err
		}
		files = append(files, string(append([]byte(nil), f...)))
	}
	return files, nil
}

// searchFile reads one file up to a position (0: to its end) and returns the transaction that is prepared there and not ended; nil if none is.
func searchFile(ctx context.Context, cfg Config, file string, end uint64, xid string) (*heldTxn, error) {
	st, err := dialStream(ctx, cfg, Start{File: file, Pos: firstPos})
	if err != nil {
		return nil, err
	}
	defer st.Close()
	stop := context.AfterFunc(ctx, func() { st.Close() })
	defer stop()
	st.xa.only, st.xa.until = xid, end
	for {
		ev, err := st.Next()
		if err != nil {
			return nil, err
		}
		if ev.File != file || ev.Kind == Heartbeat || end > 0 && ev.EndPos >= end {
			return st.xa.held[xid], nil
		}
	}
}
