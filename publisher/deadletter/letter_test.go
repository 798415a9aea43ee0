package deadletter

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
)

func letter(payload int) *Letter {
	n := uint32(1)
	return &Letter{Connector: "c", Task: 2, Topic: "srv.db.t", Stage: "TRANSFORMATION", Class: "org.x.T", Exception: "org.x.E", Message: "it failed", Position: "binlog.000001:4 row 0",
		GTID: "a:1", Key: []byte(`{"id":1}`), Value: []byte(`{"v":1}`),
		Row: &rowv1.FailedRow{Table: &rowv1.Table{Database: "db", Table: "t"}, Batch: &rowv1.Batch{File: "binlog.000001", Payload: bytes.Repeat([]byte("x"), payload)}, Record: &n}}
}

// join reads records as a reader of the queue does.
func join(t *testing.T, records []Record) []*Letter {
	t.Helper()
	var out []*Letter
	j := joiner{open: map[string]*pieces{}}
	for i, r := range records {
		m := &kafka.Message{Key: r.Key, Value: r.Value, TopicPartition: kafka.TopicPartition{Offset: kafka.Offset(i)}}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, kafka.Header{Key: h.Name, Value: h.Value})
		}
		if l := j.take(m); l != nil {
			out = append(out, l)
		}
	}
	return out
}

// A letter comes back as it was written, in one record or spread over several, none of which is larger than allowed.
func TestLettersRoundTrip(t *testing.T) {
	for _, c := range []struct{ payload, limit, records int }{{10, MaxBytes, 1}, {10, 1500, 1}, {5000, 2000, 0}, {3 << 20, MaxBytes, 4}} {
		want := letter(c.payload)
		records, err := want.Records(c.limit)
		if err != nil {
			t.Fatal(err)
		}
		if c.records > 0 && len(records) != c.records || c.records == 0 && len(records) < 2 {
			t.Errorf("%d bytes: %d records", c.payload, len(records))
		}
		for i := range records {
			if n := records[i].size(); n > c.limit {
				t.Errorf("%d bytes: record %d has %d, more than %d", c.payload, i, n, c.limit)
			}
		}
		got := join(t, records)
		if len(got) != 1 {
			t.Fatalf("%d letters", len(got))
		}
		if !proto.Equal(want.Row, got[0].Row) {
			t.Errorf("%d bytes: the row is another one", c.payload)
		}
		want.Row, got[0].Row = nil, nil
		if d := cmp.Diff(want, got[0]); d != "" {
			t.Errorf("%d bytes: %s", c.payload, d)
		}
	}
}

// What does not fit is left out, and what is broken or cut off is no letter.
func TestLettersThatDoNotFit(t *testing.T) {
	l := letter(10)
	l.Key, l.Value, l.Message = bytes.Repeat([]byte("k"), 1<<20), bytes.Repeat([]byte("v"), 1<<20), strings.Repeat("é", 10_000)
	records, err := l.Records(MaxBytes)
	if err != nil {
		t.Fatal(err)
	}
	got := join(t, records)
	if len(got) != 1 || got[0].Key != nil || got[0].Value != nil || got[0].Row == nil || len(got[0].Message) > maxText+3 {
		t.Errorf("%d records", len(records))
	}
	if _, err := letter(10).Records(100); errs.KindOf(err) != errs.Invalid {
		t.Errorf("no room: %v", err)
	}
	huge := letter(maxParts * 2000)
	if records, err = huge.Records(2000); err != nil || len(records) != 1 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	if got := join(t, records); len(got) != 1 || got[0].Row != nil {
		t.Error("a row that is too large has become something")
	}
	parts, _ := letter(5000).Records(2000)
	if got := join(t, parts[1:]); len(got) != 0 {
		t.Error("a letter without its beginning was read")
	}
	if got := join(t, append([]Record{parts[0]}, parts[2:]...)); len(got) != 0 {
		t.Error("a letter with a hole was read")
	}
	for _, r := range []Record{{}, {Headers: []Header{{partHeader, []byte("9999/3")}, {connectorHeader, []byte("c")}, {stageHeader, []byte("s")}}}, letter(1).Mark("sent")} {
		if got := join(t, []Record{r}); len(got) != 0 {
			t.Errorf("%v is read as a letter", r)
		}
	}
}

// A row is cut out of a batch with its group's and its transaction's numbers.
func TestCut(t *testing.T) {
	table := &rowv1.Table{SchemaId: 7, Database: "db", Table: "t", Columns: []*rowv1.Column{{Name: "id", Kind: rowv1.Kind_KIND_INT, Position: 1}, {Name: "v", Kind: rowv1.Kind_KIND_STRING, Position: 2}}}
	image := func(id int64) []byte { return row.AppendBytes(row.AppendInt([]byte{0}, id), fmt.Sprint("v", id)) }
	b := &rowv1.Batch{Seq: 1, File: "binlog.000002", GroupSchema: []uint32{3, 7}, GroupOp: []byte{'c', 'u'}, GroupFlags: []byte{0, 0}, GroupRows: []uint32{1, 2}, GroupPos: []uint64{10, 20},
		GroupFirstRow: []uint32{0, 5}, GroupTime: []uint32{1, 2}, GroupTxn: []uint32{0, 1}, Sids: []string{"a", "b"}, TxnSid: []uint32{1, 2}, TxnGno: []uint64{8, 9}, TxnServerId: []uint32{1, 2}}
	b.Payload = append(b.Payload, image(1)...)
	b.GroupEnd = []uint32{uint32(len(b.Payload))}
	for id := int64(2); id <= 5; id++ {
		b.Payload = append(b.Payload, image(id)...)
	}
	b.GroupEnd = append(b.GroupEnd, uint32(len(b.Payload)))
	got, err := Cut(b, table, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	c := got.Batch
	if want := append(image(4), image(5)...); !bytes.Equal(c.Payload, want) || c.GroupEnd[0] != uint32(len(want)) || c.GroupRows[0] != 1 {
		t.Errorf("images %x, want %x", c.Payload, want)
	}
	if c.GroupFirstRow[0] != 6 || c.GroupPos[0] != 20 || c.Sids[0] != "b" || c.TxnSid[0] != 1 || c.TxnGno[0] != 9 || c.TxnServerId[0] != 2 || c.GroupSchema[0] != 7 || c.File != b.File {
		t.Errorf("%v", c)
	}
	if _, err := Cut(b, table, 9, 0); err == nil {
		t.Error("a group that is not there was cut")
	}
	b.Payload = b.Payload[:len(b.Payload)-3]
	b.GroupEnd[1] -= 3
	if _, err := Cut(b, table, 1, 1); errs.KindOf(err) != errs.Corrupt {
		t.Errorf("a short payload: %v", err)
	}
}
