package history

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/integration/check"
)

// logWriter writes a log as a server does.
type logWriter struct{ bytes.Buffer }

func newLogWriter() *logWriter {
	w := &logWriter{}
	w.WriteString("\xfebin")
	body := make([]byte, 2+50+4+1+40)
	body[0] = 4
	w.event(eventFormat, append(body, 1)) // checksums of CRC32
	return w
}

func (w *logWriter) event(kind byte, body []byte) {
	header := make([]byte, headerBytes)
	header[4] = kind
	binary.LittleEndian.PutUint32(header[5:], 7) // server_id
	binary.LittleEndian.PutUint32(header[9:], uint32(headerBytes+len(body)+4))
	all := append(header, body...)
	w.Write(binary.LittleEndian.AppendUint32(all, crc32.ChecksumIEEE(all)))
}

func (w *logWriter) query(text string) {
	w.event(eventQuery, append(append(make([]byte, 4+4+1+2+2), 0), text...))
}

// begin is a GTID event and BEGIN.
func (w *logWriter) begin(gno uint64) {
	w.event(eventGTID, binary.LittleEndian.AppendUint64(append([]byte{1}, bytes.Repeat([]byte{0xab}, 16)...), gno))
	w.query("BEGIN")
}

// table describes db.r0 (k bigint, version bigint, writer int, pad varchar(200)).
func (w *logWriter) table() {
	b := append(make([]byte, 8), "\x02db\x00\x02r0\x00\x04"...)
	b[0] = 42
	b = append(b, typeLongLong, typeLongLong, typeLong, typeVarchar, 2)
	w.event(eventTableMap, append(binary.LittleEndian.AppendUint16(b, 200), 0))
}

// rows writes images of four columns; pad "" is NULL.
func (w *logWriter) rows(kind byte, images ...[]any) {
	b := append(make([]byte, 8), 2, 0, 4, 0x0f)
	b[0] = 42
	if kind == eventUpdate2 {
		b = append(b, 0x0f)
	}
	for _, im := range images {
		pad := im[3].(string)
		if pad == "" {
			b = append(b, 0x08)
		} else {
			b = append(b, 0)
		}
		b = binary.LittleEndian.AppendUint64(b, uint64(int64(im[0].(int))))
		b = binary.LittleEndian.AppendUint64(b, uint64(int64(im[1].(int))))
		b = binary.LittleEndian.AppendUint32(b, uint32(int32(im[2].(int))))
		if pad != "" {
			b = append(append(b, byte(len(pad))), pad...)
		}
	}
	w.event(kind, b)
}

func everything(string) bool { return true }

func transactionsOf(t *testing.T, log []byte) []*Txn {
	t.Helper()
	var out []*Txn
	if err := decode(bytes.NewReader(log), "binlog.000001", everything, func(x *Txn) error { out = append(out, x); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func sample() *logWriter {
	w := newLogWriter()
	w.begin(1)
	w.table()
	w.rows(eventWrite2, []any{5, 1, -3, "new"}, []any{-6, 1, 0, ""})
	w.rows(eventUpdate2, []any{5, 1, -3, "new"}, []any{5, 2, -3, "xx"})
	w.event(eventXID, make([]byte, 8))
	w.begin(2)
	w.table()
	w.rows(eventDelete2, []any{5, 2, -3, "xx"})
	w.event(eventXID, make([]byte, 8))
	w.event(eventGTID, binary.LittleEndian.AppendUint64(append([]byte{1}, bytes.Repeat([]byte{0xab}, 16)...), 3))
	w.query("create table x (k int)")
	w.begin(4)
	w.query("ROLLBACK")
	return w
}

func TestLogIsDecoded(t *testing.T) {
	txns := transactionsOf(t, sample().Bytes())
	if len(txns) != 3 {
		t.Fatalf("%d transactions, want 3", len(txns))
	}
	want := []Row{
		{Table: "db.r0", After: []Value{{Text: "5"}, {Text: "1"}, {Text: "-3"}, {Text: "new"}}},
		{Table: "db.r0", After: []Value{{Text: "-6"}, {Text: "1"}, {Text: "0"}, {Null: true}}},
		{Table: "db.r0", Before: []Value{{Text: "5"}, {Text: "1"}, {Text: "-3"}, {Text: "new"}}, After: []Value{{Text: "5"}, {Text: "2"}, {Text: "-3"}, {Text: "xx"}}},
	}
	if diff := cmp.Diff(want, txns[0].Rows); diff != "" {
		t.Error(diff)
	}
	if got := txns[1].GTID; got != "abababab-abab-abab-abab-abababababab:2" {
		t.Errorf("GTID %s", got)
	}
	if txns[0].End != txns[1].Start || len(txns[2].Rows) != 0 {
		t.Errorf("places %+v", txns)
	}
	c, err := Run{}.changes(&txns[1].Rows[0], 2)
	if err != nil || len(c) != 1 || c[0].Op != 'd' || c[0].Version != 3 || c[0].Key != 5 || c[0].Hash != hashOf(want[2].After) {
		t.Errorf("delete: %+v, %v", c, err)
	}
	at := places{ends: []end{{"binlog.000001", txns[0].End}, {"binlog.000001", txns[1].End}, {"binlog.000002", 300}}}
	for pos, n := range map[uint64]int{4: 0, txns[0].End: 1, txns[0].End + 1: 1, txns[1].End: 2} {
		if got := at.count("binlog.000001", pos); got != n {
			t.Errorf("%d transactions before %d, want %d", got, pos, n)
		}
	}
	if got := at.count("binlog.000002", 4); got != 2 {
		t.Errorf("%d transactions before the second file, want 2", got)
	}
}

// A log that is damaged, or that has what the decoder does not know, is refused; one that ends in the middle of an event is still being written.
func TestLogIsRefused(t *testing.T) {
	good := sample().Bytes()
	for i := range good {
		_ = decode(bytes.NewReader(good[:i]), "f", everything, func(*Txn) error { return nil }) // must not panic
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 4
	if err := decode(bytes.NewReader(flipped), "f", everything, func(*Txn) error { return nil }); err == nil {
		t.Error("a flipped bit is not noticed")
	}
	for _, kind := range []byte{eventPayload, eventXAPrepare, eventIncident, eventMariaPacked} {
		w := newLogWriter()
		w.event(kind, make([]byte, 20))
		if err := decode(bytes.NewReader(w.Bytes()), "f", everything, func(*Txn) error { return nil }); err == nil {
			t.Errorf("event type %d is passed over", kind)
		}
	}
	w := newLogWriter()
	w.begin(1)
	w.rows(eventWrite2, []any{1, 1, 1, "x"})
	if err := decode(bytes.NewReader(w.Bytes()), "f", everything, func(*Txn) error { return nil }); err == nil || !strings.Contains(err.Error(), "not described") {
		t.Errorf("rows of an unknown table: %v", err)
	}
}

// What the log says and what an event says are the same image.
func TestEventsAndLogAgree(t *testing.T) {
	row := Row{Table: "db.r0", Before: []Value{{Text: "5"}, {Text: "1"}, {Text: "-3"}, {Null: true}}, After: []Value{{Text: "5"}, {Text: "2"}, {Text: "-3"}, {Text: "é\"x"}}}
	value := []byte(`{"before":{"k":5,"version":1,"writer":-3,"pad":null},"after":{"k":5,"version":2,"writer":-3,"pad":"é\"x"},"op":"u"}`)
	key, version, err := Newest(value)
	if err != nil || key != 5 || version != 2 {
		t.Fatalf("%d, %d, %v", key, version, err)
	}
	after, err := members([]byte(`{"k":5,"version":2,"writer":-3,"pad":"é\"x"}`))
	if err != nil || hashOf(after) != hashOf(row.After) {
		t.Errorf("%v, %v; want %v", after, err, row.After)
	}
	before, err := members([]byte(`{"k":5,"version":1,"writer":-3,"pad":null}`))
	if err != nil || hashOf(before) != hashOf(row.Before) || slices.Equal(before, after) {
		t.Errorf("%v, %v; want %v", before, err, row.Before)
	}
	j := check.New()
	if c, err := (Run{}).changes(&Row{Table: "db.r0", After: row.Before}, 1); err != nil || j.Change(&c[0]) != nil {
		t.Errorf("%+v, %v", c, err)
	}
	if got := j.Versions("db.r0", 5); got != 1 {
		t.Errorf("%d versions", got)
	}
}

// A row that gets another key is two changes, and a transfer moves money.
func TestChangesOfRows(t *testing.T) {
	r := Run{Database: "db", Accounts: "account"}
	image := func(values ...string) (out []Value) {
		for _, v := range values {
			out = append(out, Value{Text: v})
		}
		return out
	}
	got, err := r.changes(&Row{Table: "db.r0", Before: image("5", "3"), After: image("6", "1")}, 9)
	want := []check.Change{
		{Table: "db.r0", Key: 5, Version: 4, Op: 'd', Hash: hashOf(image("5", "3")), Before: hashOf(image("5", "3")), Txn: 9},
		{Table: "db.r0", Key: 6, Version: 1, Op: 'c', Hash: hashOf(image("6", "1")), Txn: 9},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	got, err = r.changes(&Row{Table: "db.account1", Before: image("5", "3", "100"), After: image("5", "4", "70")}, 9)
	want = []check.Change{{Table: "db.account1", Key: 5, Version: 4, Op: 'u', Hash: hashOf(image("5", "4", "70")), Before: hashOf(image("5", "3", "100")), Moves: -30, Txn: 9}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// Places of checkpoints become numbers of transactions, by file and position and by sets of GTIDs of both kinds.
func TestPlacesByGTID(t *testing.T) {
	p := places{gtids: map[string][]int64{}}
	for _, g := range []string{"aa-1:3", "aa-1:4", "bb-2:1", "aa-1:7", "0-1-5", "0-2-6", "1-1-1"} {
		if err := p.add(&Txn{GTID: g}); err != nil {
			t.Fatal(err)
		}
	}
	for set, want := range map[string]int{"": 0, "aa-1:1-3": 1, "aa-1:1-4": 2, "AA-1:1-2:4-7,\nbb-2:1": 3, "aa-1:5": 0, "0-2-5": 1, "0-1-6,1-1-1": 3, "2-1-9": 0} {
		if got, err := p.countSet(set); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", set, got, err, want)
		}
	}
	for _, bad := range []string{"aa-1:x", "aa-1:1-x", "0-1-x"} {
		if _, err := p.countSet(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if p.add(&Txn{GTID: "aa-1:7"}) == nil {
		t.Error("a transaction comes twice in R")
	}
}

func TestOwnersOfLogs(t *testing.T) {
	log := `time=2026-11-24T12:00:01.500Z level=INFO msg="lane runs" member=publisher-1 connector=c task=2 generation=7 confirmed=2026-11-24T12:00:01.250Z position=... snapshot=false
time=2026-11-24T12:00:02.000Z level=INFO msg="lane runs" member=publisher-1 connector=other task=2 generation=7 confirmed=2026-11-24T12:00:01.250Z
time=2026-11-24T12:00:03.000Z level=INFO msg="something else" member=publisher-1 connector=c
`
	got, err := owners(nil, strings.NewReader(log), "c")
	at := time.Date(2026, 11, 24, 12, 0, 1, 0, time.UTC).UnixMilli()
	want := []check.Owner{{Lane: "c/2", Member: "publisher-1", Generation: 7, AskedMS: at + 250, AtMS: at + 500}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}
