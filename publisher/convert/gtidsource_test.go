package convert

import (
	"testing"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

func TestRowsOfOtherSourcesAreLeftOut(t *testing.T) {
	batch := func() *rowv1.Batch {
		b := oneGroup('c', 0, 1, image(false, 1, "a", 1, "NULL"))
		b.Sids, b.TxnFlags = []string{"uuid-a", "uuid-b:tag"}, []byte{0, 0, 0}
		b.TxnSid, b.TxnGno = []uint32{1, 2, 0}, []uint64{5, 6, 0}
		for i := range 2 {
			b.GroupSchema, b.GroupOp, b.GroupFlags, b.GroupRows = append(b.GroupSchema, 7), append(b.GroupOp, 'c'), append(b.GroupFlags, 0), append(b.GroupRows, 1)
			b.Payload = append(b.Payload, image(false, i+2, "a", 1, "NULL")...)
			b.GroupEnd, b.GroupPos, b.GroupTime, b.GroupTxn = append(b.GroupEnd, uint32(len(b.Payload))), append(b.GroupPos, 100), append(b.GroupTime, 1), append(b.GroupTxn, uint32(i+1))
		}
		return b
	}
	for _, c := range []struct {
		options []string
		want    string
	}{
		{nil, `{"id":1}{"id":2}{"id":3}`},
		{[]string{"gtid.source.includes=UUID-A"}, `{"id":1}{"id":3}`},
		{[]string{"gtid.source.includes=.*-b,x"}, `{"id":2}{"id":3}`},
		{[]string{"gtid.source.excludes=uuid-.*"}, `{"id":3}`},
		{[]string{"gtid.source.excludes=uuid-.*", "gtid.source.filter.dml.events=false"}, `{"id":1}{"id":2}{"id":3}`},
	} {
		enc := parsed(t, c.options...)
		if err := enc.AddTable(smallTable()); err != nil {
			t.Fatal(err)
		}
		var out Output
		if err := enc.Batch(batch(), &out); err != nil {
			t.Fatal(err)
		}
		got := ""
		for i := range out.Records {
			got += string(out.Bytes(out.Records[i].Key))
		}
		if got != c.want {
			t.Errorf("%v: %s, want %s", c.options, got, c.want)
		}
	}
}
