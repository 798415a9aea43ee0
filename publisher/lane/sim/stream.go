package sim

import (
	"io"
	"regexp"

	"google.golang.org/protobuf/proto"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
)

// Stream is a capturer's subscription. Its messages come when Next is called.
type Stream struct {
	s      *Source
	open   *capturev1.Open
	at     spot
	seq    uint64
	queue  []*capturev1.SubscribeResponse
	tables map[string]uint32 // wanted, with their schema ids
	told   map[string]bool
	stops  map[string]bool
	server *server
	end    error
	only   bool
	acked  uint64
	inTxn  bool // rows of the open transaction were sent
	last   *rowv1.SourceOffset
	idle   int // transaction that progress was told for
}

// Subscribe opens a subscription.
func (s *Source) Subscribe(open *capturev1.Open) (*Stream, error) {
	if s.w.Chance(12) {
		return nil, errs.E(errs.Unavailable, "the capturer does not answer")
	}
	st := &Stream{s: s, open: open, tables: map[string]uint32{}, told: map[string]bool{}, stops: map[string]bool{}, server: s.server, idle: -1}
	for i, name := range s.names {
		sh := open.Tables.Shard
		if sh != nil && LaneOf(sh.Count, sh.Pins, name) != sh.Index || excluded(open.Tables.ExcludeTables, name) {
			continue
		}
		st.tables[name] = uint32(i + 1)
	}
	var why string
	opened := &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Opened{Opened: &capturev1.Opened{Flavor: "mysql"}}}
	switch at := open.Start.At.(type) {
	case *capturev1.Start_Token:
		p, valid := s.parse(at.Token)
		if !valid {
			return nil, errs.E(errs.Invalid, "token %q", at.Token)
		}
		st.at, why = s.resolve(p)
		for _, token := range open.Delivered { // these tables' places must be in this log too
			if p, valid := s.parse(token); why == "" {
				if !valid {
					return nil, errs.E(errs.Invalid, "delivered token %q", token)
				}
				_, why = s.resolve(p)
			}
		}
	case *capturev1.Start_Offset:
		st.at, why = s.find(at.Offset)
	case *capturev1.Start_Snapshot:
		st.say(opened)
		st.snapshot()
		return st, nil
	default:
		return nil, errs.E(errs.Invalid, "start %v", open.Start)
	}
	st.inTxn = st.at.event+st.at.row > 0
	if why != "" {
		s.w.Trace("gap for %s at %v: %s", open.Consumer, st.at, why)
		s.Gaps++
		st.say(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Gap{Gap: &capturev1.Gap{Reason: why}}})
		st.end = io.EOF
		return st, nil
	}
	st.say(opened)
	return st, nil
}

func excluded(patterns []string, name string) bool {
	for _, x := range patterns {
		if x == "(?-i:"+regexp.QuoteMeta(name)+")" {
			return true
		}
	}
	return false
}

// find is the place of an offset as Debezium writes it.
func (s *Source) find(o *rowv1.SourceOffset) (spot, string) {
	v := s.server
	if s.wasReset { // numbers that are given again cannot be told from those before; capturers are trusted to see it
		return spot{}, "the log was reset"
	}
	for i := range v.pos {
		if s.GTIDs && v.gtids(i) == o.Gtids || !s.GTIDs && v.file[i] == o.File && v.pos[i] == o.Pos {
			return s.resolve(spot{v.n, i, int(o.Event), int(o.Row)})
		}
	}
	return spot{}, "the log does not have the offset"
}

func (st *Stream) say(m *capturev1.SubscribeResponse) { st.queue = append(st.queue, m) }

// snapshot queues the rows of all wanted tables at one cut, the end of the log.
func (st *Stream) snapshot() {
	s, v := st.s, st.server
	cut := len(v.txns)
	st.at = spot{v.n, cut, 0, 0}
	for _, name := range s.names {
		if st.tables[name] == 0 {
			continue
		}
		if from, broken := s.broken[name]; broken && from <= cut {
			st.stop(name, cut)
			continue
		}
		s.w.Judge.cut(name, cut)
		for _, c := range s.state(name, cut) {
			st.schema(name)
			st.seq++
			b := &rowv1.Batch{Seq: st.seq, Epoch: st.open.Epoch, Snapshot: true, File: v.file[cut], Checkpoint: &rowv1.Checkpoint{TransactionEnd: true, Offset: st.offsetAt(cut)}}
			b.Checkpoint.Offset.Snapshot = "INITIAL"
			addTxn(b, nil, 0)
			addGroup(b, st.tables[name], c, 1, 0, 0)
			b.GroupMarker = []byte{byte(rowv1.Marker_MARKER_TRUE)}
			st.say(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Batch{Batch: b}})
		}
	}
	st.only = st.open.Snapshot.Only
	st.say(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Snapshot{Snapshot: &capturev1.SnapshotProgress{Complete: true,
		Checkpoint: &rowv1.Checkpoint{Token: s.token(st.at), TransactionEnd: true, Offset: st.offsetAt(cut)}}}})
}

// offsetAt is the place before a transaction as Debezium spells it.
func (st *Stream) offsetAt(i int) *rowv1.SourceOffset {
	o := &rowv1.SourceOffset{TsSec: 1, File: st.server.file[i], Pos: st.server.pos[i], ServerId: uint32(st.server.n)}
	if st.s.GTIDs {
		o.Gtids = st.server.gtids(i)
	}
	return o
}

func (st *Stream) schema(name string) {
	if st.told[name] {
		return
	}
	st.told[name] = true
	st.say(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Schema{Schema: Table(name, st.tables[name])}})
}

func (st *Stream) stop(name string, txn int) {
	st.stops[name] = true
	st.say(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_TableError{TableError: &capturev1.TableError{Database: "db", Table: name[3:],
		Reason: "its rows have another shape", Position: &rowv1.Position{File: st.server.file[txn], Pos: st.server.pos[txn]}}}})
}

// Table is the shape of all tables.
func Table(name string, id uint32) *rowv1.Table {
	return &rowv1.Table{SchemaId: id, Database: "db", Table: name[3:], Key: []uint32{0}, Columns: []*rowv1.Column{
		{Name: "k", Kind: rowv1.Kind_KIND_INT, TypeName: "BIGINT", TypeExpression: "BIGINT", Position: 1},
		{Name: "v", Kind: rowv1.Kind_KIND_INT, TypeName: "BIGINT", TypeExpression: "BIGINT", Position: 2},
	}}
}

// Next returns the next message; none without an error says that there is nothing now.
func (st *Stream) Next() (*capturev1.SubscribeResponse, error) {
	s := st.s
	if len(st.queue) > 0 {
		m := st.queue[0]
		st.queue = st.queue[1:]
		return m, nil
	}
	if st.end != nil {
		return nil, st.end
	}
	if st.only {
		return nil, io.EOF
	}
	if st.server != s.server || s.w.Chance(150) {
		st.end = errs.E(errs.Unavailable, "the stream broke")
		return nil, st.end
	}
	if st.at.txn < st.server.purged { // a capturer that reads notices when it comes there
		st.end = errs.E(errs.Unavailable, "the server has no such log any more")
		return nil, st.end
	}
	st.read()
	if len(st.queue) == 0 {
		return nil, nil
	}
	m := st.queue[0]
	st.queue = st.queue[1:]
	return m, nil
}

// read queues a batch of what comes next in the log, or progress.
func (st *Stream) read() {
	s, v := st.s, st.server
	b := &rowv1.Batch{File: v.file[min(st.at.txn, len(v.file)-1)]}
	limit := 1 + s.w.Rand.IntN(6)
	for rows := 0; rows < limit && st.at.txn < len(v.txns) && v.file[st.at.txn] == b.File; {
		before := len(b.GroupRows)
		if !st.transaction(b, &rows, limit) {
			break
		}
		if len(b.GroupRows) == before && len(b.GroupRows) > 0 && s.w.Rand.IntN(2) == 0 {
			break
		}
	}
	if len(b.TxnPos) > 0 {
		st.seq++
		b.Seq, b.Epoch = st.seq, st.open.Epoch

		b.Checkpoint = &rowv1.Checkpoint{Token: s.token(st.at), TransactionEnd: !st.inTxn, Offset: proto.CloneOf(st.last)}
		st.say(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Batch{Batch: b}})
		return
	}
	if !st.inTxn && len(st.queue) == 0 && (st.idle != st.at.txn || s.w.Rand.IntN(20) == 0) && (st.at.txn == len(v.txns) || s.w.Rand.IntN(3) == 0) {
		st.idle = st.at.txn
		st.say(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Progress{Progress: &capturev1.Progress{CaughtUp: st.at.txn == len(v.txns),
			Checkpoint: &rowv1.Checkpoint{Token: s.token(st.at), TransactionEnd: true, Offset: st.offsetAt(st.at.txn)}}}})
	}
}

// transaction adds rows of the transaction at st.at to a batch, up to a limit of rows; it returns false where the batch must end before it.
func (st *Stream) transaction(b *rowv1.Batch, rows *int, limit int) bool {
	s, v := st.s, st.server
	i := st.at.txn
	t := v.txns[i]
	if t == nil {
		st.at = spot{v.n, i + 1, 0, 0}
		return true
	}
	opened := false
	first := 0
	for e, n := range v.events[i] {
		if e < st.at.event {
			first += n
			continue
		}
		c := t.changes[first]
		skip := 0
		if e == st.at.event {
			skip = st.at.row
		}
		if from, broken := s.broken[c.table]; broken && i >= from && st.tables[c.table] != 0 && !st.stops[c.table] && skip < n {
			if len(b.TxnPos) > 0 { // what is before the error goes first
				return false
			}
			st.stop(c.table, i)
		}
		if st.tables[c.table] == 0 || st.stops[c.table] || skip >= n {
			first += n
			st.at.event, st.at.row = e+1, 0
			continue
		}
		for skip < n {
			if *rows >= limit {
				return false
			}
			st.schema(c.table)
			if !opened {
				opened = true
				addTxn(b, t, v.pos[i])
				if !s.GTIDs {
					b.TxnSid[len(b.TxnSid)-1] = 0
				}
			}
			take := min(n-skip, limit-*rows, 1+s.w.Rand.IntN(3))
			addGroup(b, st.tables[c.table], change{}, 0, e, skip)
			g := len(b.GroupRows) - 1
			b.GroupOp[g] = c.op
			for _, c := range t.changes[first+skip : first+skip+take] {
				appendRow(b, c)
			}
			b.GroupRows[g], b.GroupEnd[g] = uint32(take), uint32(len(b.Payload))
			*rows += take
			skip += take
			st.at.event, st.at.row = e, skip
			st.inTxn = true
			st.last = st.offsetAt(i)
			st.last.Event, st.last.Row = uint64(e), uint64(skip)
		}
		first += n
	}
	if st.inTxn && !opened { // the end alone falls into this batch
		addTxn(b, t, v.pos[i])
		if !s.GTIDs {
			b.TxnSid[len(b.TxnSid)-1] = 0
		}
	}
	if st.inTxn && st.last == nil {
		st.last = st.offsetAt(i)
		st.last.Event, st.last.Row = uint64(st.at.event), uint64(st.at.row)
	}
	st.at = spot{v.n, i + 1, 0, 0}
	st.inTxn = false
	return true
}

func addTxn(b *rowv1.Batch, t *txn, pos uint64) {
	var sid uint32
	var gno, us uint64
	if t != nil {
		us = uint64(commitTime(t).Microseconds())
		gno = t.gno
		for i, x := range b.Sids {
			if x == t.sid {
				sid = uint32(i + 1)
			}
		}
		if sid == 0 {
			b.Sids = append(b.Sids, t.sid)
			sid = uint32(len(b.Sids))
		}
	}
	b.TxnSid, b.TxnGno, b.TxnCommitUs = append(b.TxnSid, sid), append(b.TxnGno, gno), append(b.TxnCommitUs, us)
	b.TxnPos, b.TxnThread, b.TxnServerId = append(b.TxnPos, pos), append(b.TxnThread, 1), append(b.TxnServerId, 1)
	b.TxnFlags = append(b.TxnFlags, row.TxnBegins|row.TxnEnds)
}

// addGroup adds a group; with rows 1 it holds c.
func addGroup(b *rowv1.Batch, schema uint32, c change, rows, event, first int) {
	b.GroupSchema, b.GroupOp, b.GroupFlags = append(b.GroupSchema, schema), append(b.GroupOp, c.op), append(b.GroupFlags, 0)
	if rows == 1 {
		appendRow(b, c)
	}
	b.GroupRows, b.GroupEnd = append(b.GroupRows, uint32(rows)), append(b.GroupEnd, uint32(len(b.Payload)))
	pos := uint64(0)
	if len(b.TxnPos) > 0 {
		pos = b.TxnPos[len(b.TxnPos)-1] + uint64(event)
	}
	b.GroupPos, b.GroupEvent, b.GroupFirstRow = append(b.GroupPos, pos), append(b.GroupEvent, uint32(event)), append(b.GroupFirstRow, uint32(first))
	b.GroupTime, b.GroupTxn = append(b.GroupTime, 1), append(b.GroupTxn, uint32(len(b.TxnPos)-1))
}

// appendRow adds the images of a change; the one before an update or of a delete has the version before.
func appendRow(b *rowv1.Batch, c change) {
	image := func(version int64) {
		b.Payload = append(b.Payload, 0)
		b.Payload = row.AppendInt(b.Payload, c.key)
		b.Payload = row.AppendInt(b.Payload, version)
	}
	switch c.op {
	case 'u':
		image(c.version - 1)
		image(c.version)
	case 'd':
		image(c.version - 1)
	default:
		image(c.version)
	}
}

// Ack notes what is acknowledged.
func (st *Stream) Ack(seq uint64) error {
	if seq > st.seq {
		st.s.w.Fail("%s acknowledges %d, and %d were sent", st.open.Consumer, seq, st.seq)
	}
	st.acked = seq
	return nil
}

// Snapshot is not simulated: no connector of the simulator asks for one.
func (st *Stream) Snapshot(*capturev1.SnapshotCommand) error { return nil }

// Close ends the subscription.
func (st *Stream) Close() error {
	st.end = errs.E(errs.Unavailable, "closed")
	st.queue = nil
	return nil
}
