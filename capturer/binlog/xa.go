package binlog

import (
	"context"
	"encoding/binary"
	"io"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/rowmesh/rowmesh/services/errs"
)

// prepared holds the row events of XA transactions until their outcome is in the log.
//
// The server logs an XA transaction's rows at XA PREPARE, under a GTID of its own; the outcome follows later under another GTID, perhaps much later and
// in another file. The rows are kept as they came and read again at XA COMMIT. Nothing of this is persistent: a stream that meets an XA COMMIT whose
// PREPARE it has not seen reads the log backwards, file by file, until it finds it.
type prepared struct {
	held  map[string][]byte
	bytes int
	// Of a stream that looks a transaction up.
	only  string // hold this id and no other
	until uint64 // the position of the XA COMMIT in question; 0: in another file
	// find looks up the events of an XA transaction in the log before a position; nil in a stream that is itself such a look-up.
	find func(file string, before uint64, xid string) ([]byte, error)
}

func (p *prepared) start(xid string) {
	p.drop(xid)
	if p.only == "" || p.only == xid {
		p.held[xid] = []byte{}
	}
}

func (p *prepared) hold(xid string, event []byte, limit int) error {
	events, ok := p.held[xid]
	if !ok {
		return nil
	}
	if p.bytes+len(event) > limit {
		return errs.E(errs.Unsupported, "prepared XA transactions hold more than %d bytes of rows (the one that grew is %s); commit or roll back those that "+
			"XA RECOVER lists, or raise the limit", limit, xid)
	}
	// The size in the header counts a checksum that was cut off; the replay needs the true one.
	at := len(events)
	events = append(events, event...)
	binary.LittleEndian.PutUint32(events[at+9:], uint32(len(event)))
	p.held[xid] = events
	p.bytes += len(event)
	return nil
}

func (p *prepared) drop(xid string) {
	p.bytes -= len(p.held[xid])
	delete(p.held, xid)
}

// heldEvents replays held events.
type heldEvents struct {
	rest []byte
	end  []byte // a made-up XID event that ends the transaction
}

func (h *heldEvents) more() bool { return len(h.rest) > 0 || h.end != nil }

func (h *heldEvents) next() ([]byte, error) {
	if len(h.rest) == 0 {
		if h.end == nil {
			return nil, io.EOF
		}
		e := h.end
		h.end = nil
		return e, nil
	}
	n := int(parseHeader(h.rest).size)
	e := h.rest[:n]
	h.rest = h.rest[n:]
	return e, nil
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
	s.xa.start(xid)
	return nil
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
	if onePhase {
		at.pos = s.txn.pos
		return s.replay(h, xid, at), nil
	}
	s.event(h, Query, at)
	s.ev.SQL = "XA PREPARE " + xid
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
	if _, ok := s.xa.held[xid]; !ok {
		if s.xa.find == nil {
			return false, errs.E(errs.Gap, "XA COMMIT %s at %d: its XA PREPARE has not been read", xid, at.pos)
		}
		events, err := s.xa.find(s.file, at.pos, xid)
		if err != nil {
			return false, err
		}
		s.xa.held[xid] = events
		s.xa.bytes += len(events)
	}
	if s.gtid.sid != "" && s.gtid.flags != 0 {
		at.pos = s.txn.pos // MariaDB: the GTID event
	}
	return s.replay(h, xid, at), nil
}

// replay begins a transaction that the held events fill.
func (s *Stream) replay(h header, xid string, at place) bool {
	events := s.xa.held[xid]
	s.xa.drop(xid)
	end := make([]byte, headerSize)
	binary.LittleEndian.PutUint32(end, h.time)
	end[4] = byte(xidEvent)
	binary.LittleEndian.PutUint32(end[5:], h.serverID)
	binary.LittleEndian.PutUint32(end[9:], headerSize)
	s.inner, s.outer = &heldEvents{rest: events, end: end}, at
	return s.open(h, at, 0)
}

func (s *Stream) xaRollback(q *queryInfo) {
	if xid, err := xidOf(q.sql); err == nil {
		s.xa.drop(xid)
	}
}

// lookup returns what finds prepared transactions by reading the log backwards.
func lookup(ctx context.Context, cfg Config) func(file string, before uint64, xid string) ([]byte, error) {
	return func(file string, before uint64, xid string) ([]byte, error) {
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
			events, err := searchFile(ctx, cfg, files[i], end, xid)
			if events != nil || err != nil {
				return events, err
			}
		}
		return nil, errs.E(errs.Gap, "XA COMMIT %s at %s:%d: its XA PREPARE is in no log that the server still has; take a new snapshot", xid, file, before)
	}
}

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

// searchFile reads one file up to a position (0: to its end) and returns the events of a transaction that is prepared there and not ended; nil if none is.
func searchFile(ctx context.Context, cfg Config, file string, end uint64, xid string) ([]byte, error) {
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
