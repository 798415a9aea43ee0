package binlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

func testConfig() Config {
	return Config{Addr: "db:3306", ServerID: 1, Flavor: config.MySQL, VerifyChecksum: true}.withDefaults()
}

// events reads a log as lines; the error that ends it comes last, except at the end of the packets.
func events(s *Stream) ([]string, error) {
	var lines []string
	for {
		ev, err := s.Next()
		if err != nil {
			if m := s.src.(*memory); m.at == len(m.packets) && strings.HasSuffix(err.Error(), "EOF") {
				return lines, nil
			}
			return lines, err
		}
		line := fmt.Sprintf("%s %s:%d-%d", ev.Kind, ev.File, ev.Pos, ev.EndPos)
		if ev.SID != "" {
			line += fmt.Sprintf(" %s:%d", ev.SID, ev.GNO)
		}
		if ev.CommitUS != 0 {
			line += fmt.Sprintf(" us=%d", ev.CommitUS)
		}
		if ev.Kind != Rotate && ev.Kind != Heartbeat {
			line += fmt.Sprintf(" txn=%d thread=%d", ev.TxnPos, ev.Thread)
		}
		switch ev.Kind {
		case Rows:
			line += fmt.Sprintf(" %c %s.%s event=%d", ev.Op, ev.Table.Database, ev.Table.Name, ev.EventIndex)
			if ev.Query != nil {
				line += " by " + string(ev.Query)
			}
		case Query:
			line += fmt.Sprintf(" %s: %s inside=%t", ev.Database, ev.SQL, ev.InTransaction)
		}
		lines = append(lines, line)
	}
}

func narrowMap(id uint64) []byte {
	return tableMapBody(id, "d", "t", []byte{byte(typeLong)}, nil, nil)
}

func narrowRows(id uint64, values ...byte) []byte {
	images := make([][]byte, len(values))
	for i, v := range values {
		images[i] = []byte{0, v, 0, 0, 0}
	}
	return rowsBodyV2(id, 1, [][]byte{{1}}, images...)
}

func start(w *logWriter, st Start) *Stream {
	s := newStream(&memory{packets: w.packets}, testConfig())
	s.begin(st)
	return s
}

func TestGrammar(t *testing.T) {
	w := newLog("binlog.000001")
	g := w.add(gtidEvent, gtidBody(5, 1_700_000_000_000_001, 1_600_000_000_000_002))
	q := w.add(queryEvent, queryBody(9, "d", "BEGIN"))
	w.add(rowsQueryEvent, append([]byte{6}, "insert"...))
	w.add(tableMapEvent, narrowMap(1))
	r1 := w.add(writeRowsV2, narrowRows(1, 1))
	r2 := w.add(deleteRowsV2, narrowRows(1, 1))
	x := w.add(xidEvent, make([]byte, 8))
	w.add(gtidEvent, gtidBody(6, 3, 3))
	d := w.add(queryEvent, queryBody(10, "d", "create table t2 (id int)"))
	w.add(anonymousGtidEvent, gtidBody(0, 4, 4))
	b := w.add(queryEvent, queryBody(11, "d", "BEGIN"))
	w.add(tableMapEvent, narrowMap(1))
	r3 := w.add(writeRowsV2, narrowRows(1, 2))
	c := w.add(queryEvent, queryBody(11, "d", "COMMIT"))
	w.add(rotateEvent, append(binary.LittleEndian.AppendUint64(nil, 4), "binlog.000002"...))
	w.fakeRotate("binlog.000002", 4)
	w.add(formatDescriptionEvent, formatDescription(1))
	w.packet(eventBytes(heartbeatEvent, 0, 7, uint32(w.pos), flagArtificial, []byte("binlog.000002"), true))

	const f = "binlog.000001"
	own, other := testSID+":5 us=1600000000000002", testSID+":6 us=3"
	want := []string{
		fmt.Sprintf("Begin %s:%d-%d %s txn=%d thread=9", f, q.pos, q.end, own, g.end),
		fmt.Sprintf("Rows %s:%d-%d %s txn=%d thread=9 c d.t event=3 by insert", f, r1.pos, r1.end, own, g.end),
		fmt.Sprintf("Rows %s:%d-%d %s txn=%d thread=9 d d.t event=4 by insert", f, r2.pos, r2.end, own, g.end),
		fmt.Sprintf("Commit %s:%d-%d %s txn=%d thread=9", f, x.pos, x.end, own, g.end),
		fmt.Sprintf("Query %s:%d-%d %s txn=%d thread=10 d: create table t2 (id int) inside=false", f, d.pos, d.end, other, d.pos),
		fmt.Sprintf("Begin %s:%d-%d us=4 txn=%d thread=11", f, b.pos, b.end, b.pos),
		fmt.Sprintf("Rows %s:%d-%d us=4 txn=%d thread=11 c d.t event=2", f, r3.pos, r3.end, b.pos),
		fmt.Sprintf("Commit %s:%d-%d us=4 txn=%d thread=11", f, c.pos, c.end, b.pos),
		"Rotate binlog.000002:4-4",
		fmt.Sprintf("Heartbeat binlog.000002:%d-%d", w.pos, w.pos),
	}
	got, err := events(start(w, Start{File: f, Pos: 4}))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

// What ends a stream says what it met, and where.
func TestErrors(t *testing.T) {
	begin := func(w *logWriter) {
		w.add(gtidEvent, gtidBody(5, 1, 1))
		w.add(queryEvent, queryBody(9, "d", "BEGIN"))
	}
	for _, c := range []struct {
		name  string
		write func(w *logWriter)
		kind  errs.Kind
		says  string
	}{
		{"flipped byte", func(w *logWriter) {
			w.add(queryEvent, queryBody(9, "d", "create table t (id int)"))
			p := w.packets[len(w.packets)-1]
			p[len(p)-10] ^= 1
		}, errs.Corrupt, "checksum"},
		{"incident", func(w *logWriter) { w.add(incidentEvent, append([]byte{1, 0, 4}, "lost"...)) }, errs.Gap, `"lost"`},
		{"unknown event", func(w *logWriter) { w.add(eventType(99), nil) }, errs.Unsupported, "type 99"},
		{"rows outside of a transaction", func(w *logWriter) { w.add(writeRowsV2, narrowRows(1, 1)) }, errs.Invalid, "middle"},
		{"rows without a table map", func(w *logWriter) { begin(w); w.add(writeRowsV2, narrowRows(1, 1)) }, errs.Corrupt, "table id 1"},
		{"table map of another transaction", func(w *logWriter) {
			begin(w)
			w.add(tableMapEvent, narrowMap(1))
			w.add(xidEvent, make([]byte, 8))
			begin(w)
			w.add(writeRowsV2, narrowRows(1, 1))
		}, errs.Corrupt, "table id 1"},
		{"other number of columns", func(w *logWriter) {
			begin(w)
			w.add(tableMapEvent, narrowMap(1))
			w.add(writeRowsV2, rowsBodyV2(1, 2, [][]byte{{3}}))
		}, errs.Corrupt, "d.t"},
		{"wrong size", func(w *logWriter) {
			w.add(xidEvent, make([]byte, 8))
			p := w.packets[len(w.packets)-1]
			w.packets[len(w.packets)-1] = append(p, 0)
		}, errs.Corrupt, "packet"},
		{"error packet", func(w *logWriter) {
			w.packets = append(w.packets, append([]byte{0xff, 0xd4, 0x04}, "#HY000Cannot replicate because the source purged required binary logs."...))
		}, errs.Gap, "purged"},
		{"end of the dump", func(w *logWriter) { w.packets = append(w.packets, []byte{0xfe, 0, 0, 0, 0}) }, errs.Unavailable, "ended"},
		{"XA COMMIT of an unknown transaction", func(w *logWriter) { w.add(queryEvent, queryBody(9, "", "XA COMMIT X'61',X'',1")) }, errs.Gap, "x'61',x'',1"},
		{"unknown compression", func(w *logWriter) { begin(w); w.add(transactionPayloadEvent, []byte{2, 1, 7, 0}) }, errs.Unsupported, "compression 7"},
	} {
		w := newLog("binlog.000001")
		c.write(w)
		_, err := events(start(w, Start{File: "binlog.000001", Pos: 4}))
		if err == nil || errs.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "binlog.000001:") {
			t.Errorf("%s: got %v (%s), want %s, %q and the position", c.name, err, errs.KindOf(err), c.kind, c.says)
		}
	}
}

func TestUnknownEventThatMayBeIgnored(t *testing.T) {
	w := newLog("binlog.000001")
	w.packet(eventBytes(eventType(99), 0, 7, uint32(w.pos)+headerSize+4, flagIgnorable, nil, true))
	w.pos += headerSize + 4
	d := w.add(queryEvent, queryBody(9, "d", "drop table t"))
	got, err := events(start(w, Start{File: "binlog.000001", Pos: 4}))
	if err != nil || len(got) != 1 || !strings.HasPrefix(got[0], fmt.Sprintf("Query binlog.000001:%d-", d.pos)) {
		t.Errorf("got %q, %v", got, err)
	}
}

// Headers hold 32 bits of the position; the file goes on behind 4 GiB.
func TestPositionsBehind4GiB(t *testing.T) {
	w := newLog("binlog.000001")
	w.fakeRotate("binlog.000001", math.MaxUint32-100)
	a := w.add(queryEvent, queryBody(9, "d", "create table a (id int)"))
	b := w.add(queryEvent, queryBody(9, "d", "create table b (id int)"))
	w.pos += 1000 // events that the server left out
	c := w.add(queryEvent, queryBody(9, "d", "create table c (id int)"))
	if b.end <= math.MaxUint32 {
		t.Fatal("the test does not reach its border")
	}
	got, err := events(start(w, Start{File: "binlog.000001", Pos: math.MaxUint32 - 100}))
	if err != nil {
		t.Fatal(err)
	}
	for i, at := range []place{a, b, c} {
		if want := fmt.Sprintf(":%d-%d", at.pos, at.end); !strings.Contains(got[len(got)-3+i], want) {
			t.Errorf("event %d: got %s, want %s", i, got[len(got)-3+i], want)
		}
	}
}

// The dump command cannot begin behind 4 GiB: events in front of the start are passed over.
func TestStartBehind4GiB(t *testing.T) {
	w := newLog("binlog.000001")
	w.add(queryEvent, queryBody(9, "d", "create table a (id int)"))
	w.pos = math.MaxUint32 - 50
	w.add(queryEvent, queryBody(9, "d", "create table b (id int)"))
	c := w.add(queryEvent, queryBody(9, "d", "create table c (id int)"))
	got, err := events(start(w, Start{File: "binlog.000001", Pos: c.pos}))
	if err != nil || len(got) != 1 || !strings.Contains(got[0], "create table c") {
		t.Errorf("got %q, %v; want the third statement only", got, err)
	}
	_, err = events(start(w, Start{File: "binlog.000001", Pos: c.pos + 1}))
	if errs.KindOf(err) != errs.Gap {
		t.Errorf("a start inside of an event: %v", err)
	}
}

// MariaDB 11.4 writes 0 for the positions inside of transactions.
func TestMariaDBPositions(t *testing.T) {
	w := newLog("binlog.000001")
	gtid := binary.LittleEndian.AppendUint64(nil, 12)
	gtid = append(gtid, 3, 0, 0, 0, 0)
	g := w.add(mariaGtid, append(gtid, make([]byte, 6)...))
	inner := func(kind eventType, body []byte) place {
		size := uint64(headerSize + len(body) + checksumBytes)
		at := place{w.pos, w.pos + size}
		w.packet(eventBytes(kind, 1, 7, 0, 0, body, true))
		w.pos = at.end
		return at
	}
	inner(mariaAnnotateRows, []byte("insert"))
	inner(tableMapEvent, narrowMap(1))
	r := inner(writeRowsV1, append(append(appendN(nil, 1, 6), 1, 0, 1, 1), 0, 5, 0, 0, 0))
	x := w.add(xidEvent, make([]byte, 8))
	s := start(w, Start{File: "binlog.000001", Pos: 4})
	s.cfg.Flavor = config.MariaDB
	got, err := events(s)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		fmt.Sprintf("Begin binlog.000001:%d-%d 3-7:12 txn=%d thread=0", g.pos, g.end, g.pos),
		fmt.Sprintf("Rows binlog.000001:%d-%d 3-7:12 txn=%d thread=0 c d.t event=2 by insert", r.pos, r.end, g.pos),
		fmt.Sprintf("Commit binlog.000001:%d-%d 3-7:12 txn=%d thread=0", x.pos, x.end, g.pos),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

// payloadBody compresses events into a transaction.
func payloadBody(t testing.TB, events ...[]byte) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer enc.Close()
	packed := enc.EncodeAll(bytes.Join(events, nil), nil)
	return append([]byte{payloadCompression, 1, payloadZstd, payloadEnd}, packed...)
}

func innerEvent(kind eventType, body []byte) []byte { return eventBytes(kind, 1, 7, 0, 0, body, false) }

func TestCompressedTransaction(t *testing.T) {
	w := newLog("binlog.000001")
	g := w.add(gtidEvent, gtidBody(5, 1, 1))
	big := bytes.Repeat([]byte{0, 1, 2, 3, 4}, 300_000) // an inner event longer than a read
	p := w.add(transactionPayloadEvent, payloadBody(t, innerEvent(queryEvent, queryBody(9, "d", "BEGIN")), innerEvent(tableMapEvent, narrowMap(1)),
		innerEvent(writeRowsV2, narrowRows(1, 1, 2)), innerEvent(writeRowsV2, rowsBodyV2(1, 1, [][]byte{{1}}, big)), innerEvent(xidEvent, make([]byte, 8))))
	w.add(queryEvent, queryBody(9, "d", "drop table t"))
	s := start(w, Start{File: "binlog.000001", Pos: 4})
	got, err := events(s)
	if err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("binlog.000001:%d-%d %s:5 us=1 txn=%d thread=9", p.pos, p.end, testSID, g.end)
	want := []string{"Begin " + at, "Rows " + at + " c d.t event=2", "Rows " + at + " c d.t event=3", "Commit " + at}
	if d := cmp.Diff(want, got[:4]); d != "" || len(got) != 5 {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if len(s.payload.buf) > 1<<20 {
		// The buffer goes once events are small again.
		if _, err := s.payload.next(); err == nil {
			t.Error("an event behind the end")
		}
		if cap(s.payload.buf) > 1<<20 {
			t.Errorf("%d bytes kept", cap(s.payload.buf))
		}
	}
}

func TestCompressedTransactionWithoutEnd(t *testing.T) {
	w := newLog("binlog.000001")
	w.add(gtidEvent, gtidBody(5, 1, 1))
	w.add(transactionPayloadEvent, payloadBody(t, innerEvent(queryEvent, queryBody(9, "d", "BEGIN"))))
	w.add(queryEvent, queryBody(9, "d", "drop table t"))
	if _, err := events(start(w, Start{File: "binlog.000001", Pos: 4})); errs.KindOf(err) != errs.Corrupt {
		t.Errorf("got %v", err)
	}
}

// A server that died while it wrote leaves a transaction without end; its successor begins a new file.
func TestCutOffTransaction(t *testing.T) {
	w := newLog("binlog.000001")
	w.add(gtidEvent, gtidBody(5, 1, 1))
	w.add(queryEvent, queryBody(9, "d", "BEGIN"))
	w.add(tableMapEvent, narrowMap(1))
	w.add(writeRowsV2, narrowRows(1, 1))
	w.add(gtidEvent, gtidBody(6, 1, 1))
	w.add(queryEvent, queryBody(9, "d", "drop table t"))
	got, err := events(start(w, Start{File: "binlog.000001", Pos: 4}))
	if err != nil {
		t.Fatal(err)
	}
	kinds := make([]string, len(got))
	for i, l := range got {
		kinds[i], _, _ = strings.Cut(l, " ")
	}
	if d := cmp.Diff([]string{"Begin", "Rows", "Rollback", "Query"}, kinds); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if !strings.Contains(got[2], ":5 ") || !strings.Contains(got[3], ":6 ") {
		t.Errorf("GTIDs of %q", got)
	}
}

func TestXAInMemory(t *testing.T) {
	prepare := append([]byte{0}, append(appendN(nil, 1, 4), append(appendN(appendN(nil, 1, 4), 0, 4), 'a')...)...)
	write := func(w *logWriter) {
		w.add(gtidEvent, gtidBody(5, 1, 1))
		w.add(queryEvent, queryBody(9, "", "XA START X'61',X'',1"))
		w.add(tableMapEvent, narrowMap(1))
		w.add(writeRowsV2, narrowRows(1, 1))
		w.add(queryEvent, queryBody(9, "", "XA END X'61',X'',1"))
		w.add(xaPrepareEvent, prepare)
	}
	w := newLog("binlog.000001")
	write(w)
	w.add(gtidEvent, gtidBody(6, 1, 1))
	w.add(tableMapEvent, narrowMap(1)) // the same table elsewhere must not leak into the replay
	q := w.add(queryEvent, queryBody(9, "", "XA COMMIT X'61',X'',1"))
	got, err := events(start(w, Start{File: "binlog.000001", Pos: 4}))
	if err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("binlog.000001:%d-%d %s:6 us=1 txn=%d thread=0", q.pos, q.end, testSID, q.pos)
	if d := cmp.Diff([]string{"Begin " + at, "Rows " + at + " c d.t event=2", "Commit " + at}, got[1:]); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if !strings.Contains(got[0], "XA PREPARE x'61',x'',1 inside=false") {
		t.Errorf("got %q first", got[0])
	}

}

// A transaction that is larger than what may be held is read again from where it stands; others beside it are held.
func TestXAReadAgain(t *testing.T) {
	prepare := func(id byte) []byte {
		return append(append([]byte{0}, appendN(appendN(appendN(nil, 1, 4), 1, 4), 0, 4)...), id)
	}
	w := newLog("binlog.000001")
	group := func(gno uint64, id byte, rows int) {
		w.add(gtidEvent, gtidBody(gno, 1, 1))
		w.add(queryEvent, queryBody(9, "", fmt.Sprintf("XA START X'%02x',X'',1", id)))
		for range rows {
			w.add(tableMapEvent, narrowMap(1))
			w.add(writeRowsV2, narrowRows(1, id))
		}
		w.add(queryEvent, queryBody(9, "", fmt.Sprintf("XA END X'%02x',X'',1", id)))
		w.add(xaPrepareEvent, prepare(id))
	}
	outcome := func(gno uint64, sql string, id byte) {
		w.add(gtidEvent, gtidBody(gno, 1, 1))
		w.add(queryEvent, queryBody(9, "", fmt.Sprintf("%s X'%02x',X'',1", sql, id)))
	}
	group(5, 'a', 1)
	group(6, 'b', 200)
	group(7, 'c', 200)
	outcome(8, "XA COMMIT", 'b')
	outcome(9, "XA ROLLBACK", 'c')
	outcome(10, "XA COMMIT", 'a')
	const limit = 2 << 10
	s := start(w, Start{File: "binlog.000001", Pos: 4})
	s.cfg.MaxHeldBytes = limit
	rereads := 0
	s.xa.reread = func(at *heldTxn, xid string) (innerSource, error) {
		rereads++
		from := newLog(at.file)
		from.fakeRotate(at.file, at.pos)
		packets := append(from.packets[len(from.packets)-1:], from.packets[1]) // the rotation and the format, as a dump of the middle of a file begins
		for _, p := range w.packets[2:] {
			if end := binary.LittleEndian.Uint32(p[14:]); uint64(end)-uint64(len(p)-1) >= at.pos {
				packets = append(packets, bytes.Clone(p))
			}
		}
		st := newStream(&memory{packets: packets}, testConfig())
		st.begin(Start{File: at.file, Pos: at.pos})
		st.xa.only, st.xa.again = xid, true
		return &rereadEvents{st: st, xid: xid}, nil
	}
	most, rows := 0, map[string]int{}
	for {
		ev, err := s.Next()
		if err != nil {
			if !strings.HasSuffix(err.Error(), "EOF") {
				t.Fatal(err)
			}
			break
		}
		most = max(most, s.xa.bytes)
		if ev.Kind == Rows {
			rows[fmt.Sprintf("%d", ev.GNO)]++
		}
	}
	if d := cmp.Diff(map[string]int{"8": 200, "10": 1}, rows); d != "" {
		t.Errorf("row events by GTID (-want +got):\n%s", d)
	}
	if rereads != 1 || most > limit || s.xa.bytes != 0 || len(s.xa.held) != 0 {
		t.Errorf("%d read again, %d bytes held at most and %d at the end", rereads, most, s.xa.bytes)
	}
}

func TestTaggedGTID(t *testing.T) {
	varlen := func(v uint64) []byte {
		if v < 1<<7 {
			return []byte{byte(v << 1)}
		}
		if v < 1<<14 {
			return appendN(nil, v<<2|1, 2)
		}
		return append([]byte{0xff}, binary.LittleEndian.AppendUint64(nil, v)...)
	}
	var b []byte
	for _, v := range []uint64{1, 90, 8, taggedFlags, 1, taggedUUID} {
		b = append(b, varlen(v)...)
	}
	for _, x := range testUUID {
		b = append(b, varlen(uint64(x))...)
	}
	b = append(append(b, varlen(taggedGNO)...), varlen(77<<1)...)
	b = append(append(append(b, varlen(taggedTag)...), varlen(5)...), "mytag"...)
	b = append(append(b, varlen(taggedImmediateCommit)...), varlen(1_700_000_000_000_000)...)
	var s sidCache
	g, err := s.parseTaggedGTID(b)
	if err != nil || g.sid != testSID+":mytag" || g.gno != 77 || g.commitUS != 1_700_000_000_000_000 {
		t.Errorf("got %+v, %v", g, err)
	}
}
