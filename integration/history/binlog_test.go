package history

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

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
	c, err := changeOf(&txns[1].Rows[0], 2)
	if err != nil || c.Op != 'd' || c.Version != 3 || c.Key != 5 || c.Hash != hashOf(want[2].After) {
		t.Errorf("delete: %+v, %v", c, err)
	}
	at := places{{"binlog.000001", txns[0].End}, {"binlog.000001", txns[1].End}, {"binlog.000002", 300}}
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
	if c, err := changeOf(&Row{Table: "db.r0", After: row.Before}, 1); err != nil || j.Change(&c) != nil {
		t.Errorf("%+v, %v", c, err)
	}
	if got := j.Versions("db.r0", 5); got != 1 {
		t.Errorf("%d versions", got)
	}
}
