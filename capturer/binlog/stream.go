package binlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync/atomic"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// firstPos is where the first event of a file stands, after the magic number.
const firstPos = 4

// checksumBytes is the size of the CRC32 behind an event.
const checksumBytes = 4

// Stream reads a server's log. One goroutine calls Next; Close may come from another.
type Stream struct {
	src    packetSource
	cfg    Config
	closed atomic.Bool
	cancel context.CancelFunc // ends a look-up of prepared transactions; nil if there is none
	err    error              // what ended the stream

	file   string
	pos    uint64 // end of the outer event read last
	skipTo uint64 // events before this position are not wanted
	ev     Event

	checksum    bool
	tableIDSize int

	gtid  gtidInfo // of the GTID event read last; empty once its transaction is complete
	sids  sidCache
	txn   txn
	query []byte // ROWS_QUERY or ANNOTATE_ROWS of the statement at hand

	tables  tableCache
	inner   innerSource // events inside the event at hand; nil if there are none
	outer   place       // of the event that inner belongs to
	payload *payloadReader
	xa      prepared
	raw     []byte // an event of a transaction that is read again
	saved   saved
	inflate inflater

	again []byte // an event to be handled once more: it ended a transaction that was cut off
	at    place  // of again
}

// txn is the transaction at hand.
type txn struct {
	open   bool
	thread uint32
	pos    uint64
	index  uint32 // events completed, BEGIN as 1
	xid    string // an XA transaction: its events are held
	gen    uint64 // tells the table maps of one transaction from those of others
}

// innerSource gives events that stand inside another event, header first and without checksum. io.EOF ends it, and errNoMore does where it has put another
// source, or none, into its place.
type innerSource interface {
	next() ([]byte, error)
	more() bool
}

var errNoMore = errors.New("no more events of this source")

func newStream(src packetSource, cfg Config) *Stream {
	return &Stream{src: src, cfg: cfg, tableIDSize: 6, tables: tableCache{byID: map[uint64]*cachedTable{}, mariadb: cfg.Flavor == config.MariaDB}, xa: prepared{held: map[string]*heldTxn{}}}
}

// begin sets where the stream stands before its first event.
func (s *Stream) begin(start Start) {
	if start.GTIDs != "" {
		return
	}
	s.file, s.pos = start.File, max(start.Pos, firstPos)
	if start.Pos > math.MaxUint32 {
		s.pos, s.skipTo = firstPos, start.Pos
	}
}

// Close ends the stream and a Next that waits.
func (s *Stream) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	if s.cancel != nil {
		s.cancel()
	}
	return s.src.Close()
}

// Buffered says that Next has something to work on without waiting for the network: bytes of the next event are here, or the event at hand holds more.
func (s *Stream) Buffered() bool {
	if s.inner != nil && s.inner.more() || s.again != nil {
		return true
	}
	return s.src.buffered()
}

// Next returns the next event. After an error every call returns that error.
func (s *Stream) Next() (*Event, error) {
	for s.err == nil {
		emit, err := s.step()
		if err != nil {
			s.err = s.fail(err)
			break
		}
		if emit {
			return &s.ev, nil
		}
	}
	return nil, s.err
}

// fail gives an error its place and kind.
func (s *Stream) fail(err error) error {
	if s.closed.Load() {
		return fmt.Errorf("binlog stream of %s is closed: %w", s.cfg.Addr, io.ErrClosedPipe)
	}
	doing := fmt.Sprintf("read binlog of %s at %s:%d", s.cfg.Addr, s.file, s.pos)
	if errors.Is(err, errShort) {
		return errs.E(errs.Corrupt, "%s: %w", doing, err)
	}
	return classify(doing, err)
}

// step handles one event, and says whether it made s.ev.
func (s *Stream) step() (bool, error) {
	if s.again != nil {
		b := s.again
		s.again = nil
		return s.dispatch(b, s.at)
	}
	if s.inner != nil {
		b, err := s.inner.next()
		switch err {
		case nil:
			return s.dispatch(b, s.outer)
		case errNoMore:
			return false, nil
		}
		s.inner = nil
		if err != io.EOF {
			return false, err
		}
		if s.txn.open {
			return false, errs.E(errs.Corrupt, "the transaction inside the event at %d has no end", s.outer.pos)
		}
	}
	b, err := s.packet()
	if err != nil || b == nil {
		return false, err
	}
	h := parseHeader(b)
	if int(h.size) != len(b) {
		return false, errs.E(errs.Corrupt, "a %s event of %d bytes came in a packet of %d", h.kind, h.size, len(b))
	}
	if b, err = s.verify(h, b); err != nil {
		return false, err
	}
	at := s.place(h)
	if s.skipTo > 0 && s.skip(h, at) {
		return false, s.skipError(at)
	}
	return s.dispatch(b, at)
}

// packet returns the next event with its header.
func (s *Stream) packet() ([]byte, error) {
	b, err := s.src.next()
	if err != nil {
		return nil, err
	}
	switch {
	case len(b) == 0:
		return nil, errs.E(errs.Corrupt, "an empty packet")
	case b[0] == 0xff:
		return nil, serverError(b)
	case b[0] == 0xfe && len(b) < 9:
		return nil, errs.E(errs.Unavailable, "the server ended the dump")
	case b[0] != 0:
		return nil, errs.E(errs.Corrupt, "a packet that begins with byte %#x", b[0])
	case len(b) < 1+headerSize:
		return nil, errs.E(errs.Corrupt, "an event of %d bytes", len(b)-1)
	}
	return b[1:], nil
}

// dispatch handles one event, header first.
func (s *Stream) dispatch(b []byte, at place) (bool, error) {
	h, body := parseHeader(b), b[headerSize:]
	if s.txn.xid != "" && s.holds(h.kind) {
		s.txn.index++
		if s.xa.again {
			if s.txn.xid == s.xa.only {
				trueSize(b, len(b))
				s.raw = b
			}
			return false, nil
		}
		s.xa.hold(s.txn.xid, b, s.cfg.MaxHeldBytes)
		return false, nil
	}
	if s.saved.on && (s.holds(h.kind) || h.kind == xidEvent) {
		if h.kind == xidEvent {
			s.release(b, at)
		} else {
			s.save(b, at)
		}
		return false, nil
	}
	switch h.kind {
	case tableMapEvent:
		s.txn.index++
		return false, s.tables.add(body, s.tableIDSize, s.txn.gen)
	case writeRowsV2, updateRowsV2, deleteRowsV2, writeRowsV1, updateRowsV1, deleteRowsV1, writeRowsV0, updateRowsV0, deleteRowsV0,
		mariaWriteCompressedV1, mariaUpdateCompressedV1, mariaDeleteCompressedV1, mariaWriteCompressedV2, mariaUpdateCompressedV2,
		mariaDeleteCompressedV2, partialUpdateRowsEvent:
		return s.rows(h, body, at)
	case xidEvent:
		return s.end(h, at, Commit), nil
	case gtidEvent, anonymousGtidEvent, gtidTaggedEvent, mariaGtid:
		if s.txn.open {
			return s.cutOff(h, b, at), nil
		}
		return s.gtidSeen(h, body, at)
	case queryEvent, mariaQueryCompressed:
		return s.statement(h, b, at)
	case executeLoadQueryEvent:
		return s.loadStatement(h, body, at)
	case rowsQueryEvent:
		s.txn.index++
		if len(body) > 0 { // one byte of length that is too short for long statements, and not used
			s.query = append(s.query[:0], body[1:]...)
		}
	case mariaAnnotateRows:
		s.query = append(s.query[:0], body...)
	case transactionPayloadEvent:
		return false, s.openPayload(body, at)
	case xaPrepareEvent:
		return s.xaPrepare(h, body, at)
	default:
		return s.control(h, b, at)
	}
	return false, nil
}

// control handles the events that are not part of a transaction, and those that carry nothing for us.
func (s *Stream) control(h header, b []byte, at place) (bool, error) {
	body := b[headerSize:]
	switch h.kind {
	case rotateEvent:
		return s.rotate(h, body)
	case formatDescriptionEvent:
		c := cursor{b: body}
		c.skip(2 + 50)
		created := c.u32()
		if s.txn.open && created != 0 && h.flags&flagArtificial == 0 && h.logPos != 0 {
			return s.cutOff(h, b, at), nil
		}
		return false, s.formatDescription(body)
	case heartbeatEvent, heartbeatV2Event:
		if s.txn.open || s.gtid.gno != 0 {
			return false, nil
		}
		if h.logPos != 0 && h.kind == heartbeatEvent {
			if end := s.pos&^math.MaxUint32 | uint64(h.logPos); end > s.pos {
				s.pos = end // the server skipped what the reader has
			}
		}
		s.event(h, Heartbeat, place{s.pos, s.pos})
		return true, nil
	case incidentEvent:
		c := cursor{b: body}
		number := c.u16()
		message := c.take(int(c.u8()))
		return false, errs.E(errs.Gap, "incident %d %q: the server lost events here; take a new snapshot of the tables it wrote to, and start behind it", number, message)
	case stopEvent, ignorableEvent, previousGtidsEvent, mariaGtidList, mariaBinlogCheckpoint, mariaStartEncryption:
		return false, nil
	case intvarEvent, randEvent, userVarEvent, beginLoadQueryEvent, viewChangeEvent, transactionContextEvent:
		// Context of statement-based events, and of group replication.
		s.txn.index++
		return false, nil
	}
	if h.flags&flagIgnorable != 0 {
		s.txn.index++
		return false, nil
	}
	return false, errs.E(errs.Unsupported, "event %s at %d is not known here and the server says that it matters; a newer version of the reader is needed", h.kind, at.pos)
}

// event fills what all events have.
func (s *Stream) event(h header, k Kind, at place) {
	e := &s.ev
	e.Kind, e.File, e.Pos, e.EndPos, e.Time, e.ServerID = k, s.file, at.pos, at.end, h.time, h.serverID
	e.SID, e.GNO, e.CommitUS, e.Thread, e.TxnPos = s.gtid.sid, s.gtid.gno, s.gtid.commitUS, s.txn.thread, s.txn.pos
	e.Table, e.Query, e.SQL, e.Database, e.InTransaction, e.EventIndex = nil, nil, "", "", false, 0
}

// open begins a transaction.
func (s *Stream) open(h header, at place, thread uint32) bool {
	s.txn = txn{open: true, thread: thread, pos: at.pos, index: 1, gen: s.txn.gen + 1}
	s.saved.reset()
	s.query = s.query[:0]
	s.event(h, Begin, at)
	return true
}

// end ends the transaction at hand.
func (s *Stream) end(h header, at place, k Kind) bool {
	if !s.txn.open {
		return false
	}
	s.event(h, k, at)
	s.finish()
	return true
}

func (s *Stream) finish() {
	s.txn = txn{gen: s.txn.gen + 1}
	s.saved.reset()
	s.gtid = gtidInfo{}
	s.query = s.query[:0]
}

// cutOff ends a transaction that has no end in the log, as a replica would: the server died while it wrote. The event at hand comes again after that.
func (s *Stream) cutOff(h header, b []byte, at place) bool {
	if s.txn.xid != "" {
		s.xa.drop(s.txn.xid)
	}
	s.again, s.at = b, at
	return s.end(h, place{at.pos, at.pos}, Rollback)
}

func (s *Stream) gtidSeen(h header, body []byte, at place) (bool, error) {
	var err error
	switch h.kind {
	case gtidEvent:
		s.gtid, err = s.sids.parseGTID(body)
	case anonymousGtidEvent:
		s.gtid, err = s.sids.parseGTID(body)
		s.gtid.sid, s.gtid.gno = "", 0
	case gtidTaggedEvent:
		s.gtid, err = s.sids.parseTaggedGTID(body)
	case mariaGtid:
		s.gtid, err = s.sids.parseMariaGTID(body, h.serverID)
		if err != nil {
			return false, err
		}
		if s.gtid.flags&mariaStandalone == 0 {
			s.open(h, at, 0)
			if s.gtid.flags&mariaPreparedXA != 0 {
				s.txn.xid = s.gtid.xid
				s.xaHold(at)
				return false, nil
			}
			return true, nil
		}
		s.txn.pos = at.pos
	}
	return false, err
}

func (s *Stream) rotate(h header, body []byte) (bool, error) {
	c := cursor{b: body}
	pos := c.u64()
	name := c.b
	if c.failed || len(name) == 0 {
		return false, errShort
	}
	if s.skipTo > 0 && string(name) == s.file {
		return false, nil
	}
	if s.skipTo > 0 && s.file != "" && h.logPos != 0 {
		return false, errs.E(errs.Gap, "%s ends before position %d; take a new snapshot", s.file, s.skipTo)
	}
	if string(name) == s.file && pos == s.pos {
		return false, nil
	}
	s.file, s.pos = string(name), pos
	if s.txn.open {
		return false, nil // cut off by the next format description
	}
	s.event(h, Rotate, place{pos, pos})
	return true, nil
}

// formatDescription reads the lengths of the fixed parts of events: that of TABLE_MAP tells the width of table ids.
func (s *Stream) formatDescription(body []byte) error {
	c := cursor{b: body}
	version := c.u16()
	c.skip(50 + 4)
	headerLength := c.u8()
	if c.failed || version != 4 || headerLength != headerSize {
		return errs.E(errs.Unsupported, "binlog version %d with headers of %d bytes; version 4 of MySQL 5.0 and later is needed", version, headerLength)
	}
	s.tableIDSize = 6
	if i := int(tableMapEvent) - 1; i < len(c.b) && c.b[i] == 6 {
		s.tableIDSize = 4
	}
	return nil
}
