package convert

import (
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
)

var transactionParts = regexp.MustCompile(`"transaction":(null|\{[^}]*\})|"status":".*"ts_ms":\d+`)

// parts returns what records say of transactions.
func parts(o *Output) (out []string) {
	for i := range o.Records {
		out = append(out, transactionParts.FindString(string(o.Bytes(o.Records[i].Value))))
	}
	return out
}

func metadata(c *config.Connector) { c.TransactionMetadata, c.TransactionTopic = true, "tx" }

// twoInserts are rows 1 and 2 in a transaction of the given flags.
func twoInserts(flags byte) *rowv1.Batch {
	b := oneGroup('c', 0, 2, image(false, 1, "a", 1, "NULL"), image(false, 2, "b", 2, "NULL"))
	b.Sids, b.TxnSid, b.TxnGno, b.TxnFlags, b.TxnPos = []string{"u-u"}, []uint32{1}, []uint64{9}, []byte{flags}, []uint64{4}
	return b
}

func TestTransactionMetadata(t *testing.T) {
	enc := newEncoder(t, metadata)
	if err := enc.AddTable(smallTable()); err != nil {
		t.Fatal(err)
	}
	var out Output
	if err := enc.Batch(twoInserts(row.TxnBegins), &out); err != nil {
		t.Fatal(err)
	}
	want := []string{`"status":"BEGIN","id":"u-u:9","event_count":null,"data_collections":null,"ts_ms":1700000000000`,
		`"transaction":{"id":"u-u:9","total_order":1,"data_collection_order":1}`, `"transaction":{"id":"u-u:9","total_order":2,"data_collection_order":2}`}
	if d := cmp.Diff(want, parts(&out)); d != "" {
		t.Error(d)
	}
	if r := out.Records[0]; r.Topic.Name != "p.tx" || r.Context || string(out.Bytes(r.Key)) != `{"id":"u-u:9"}` {
		t.Errorf("%+v with key %s", r, out.Bytes(r.Key))
	}
	// Another encoder goes on in the middle, and is told the end in a batch without rows.
	open := enc.Transaction()
	if d := cmp.Diff(&Transaction{"u-u:9", []Collection{{"db.t", 2}}}, open); d != "" {
		t.Error(d)
	}
	enc = newEncoder(t, metadata)
	enc.Resume(open)
	if err := enc.AddTable(smallTable()); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := enc.Batch(twoInserts(0), &out); err != nil {
		t.Fatal(err)
	}
	end := twoInserts(row.TxnEnds)
	end.GroupSchema, end.GroupOp, end.GroupRows, end.GroupEnd, end.GroupTxn, end.GroupFlags, end.Payload = nil, nil, nil, nil, nil, nil, nil
	if err := enc.Batch(end, &out); err != nil {
		t.Fatal(err)
	}
	want = []string{`"transaction":{"id":"u-u:9","total_order":3,"data_collection_order":3}`, `"transaction":{"id":"u-u:9","total_order":4,"data_collection_order":4}`,
		`"status":"END","id":"u-u:9","event_count":4,"data_collections":[{"data_collection":"db.t","event_count":4}`}
	got := parts(&out)
	for i := range got {
		got[i] = got[i][:min(len(got[i]), len(want[i]))]
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if enc.Transaction() != nil {
		t.Errorf("still open: %+v", enc.Transaction())
	}
}

func TestTransactionsWithoutGTIDsSnapshotsAndRowsThatFail(t *testing.T) {
	enc := newEncoder(t, func(c *config.Connector) {
		metadata(c)
		c.TimeMode, c.ConvertFailure = "connect", "fail" // a time of 25 hours does not fit
	})
	enc.opts.Tolerate = true
	if err := enc.AddTable(smallTable()); err != nil {
		t.Fatal(err)
	}
	var out Output
	b := oneGroup('c', 0, 2, image(false, 1, "a", 1, 25*3600*1_000_000), image(false, 2, "b", 2, "NULL"))
	b.TxnSid, b.TxnGno, b.TxnFlags, b.TxnPos = []uint32{0}, []uint64{0}, []byte{row.TxnBegins | row.TxnEnds}, []uint64{4}
	if err := enc.Batch(b, &out); err != nil {
		t.Fatal(err)
	}
	want := []string{`"status":"BEGIN","id":"file=f.1,pos=4","event_count":null,"data_collections":null,"ts_ms":1700000000000`,
		`"transaction":{"id":"file=f.1,pos=4","total_order":1,"data_collection_order":1}`, ``}
	got := parts(&out)
	if len(got) == 3 {
		got[2] = ""
	}
	if d := cmp.Diff(want, got); d != "" || len(out.Failed) != 1 {
		t.Errorf("%d failed\n%s", len(out.Failed), d)
	}
	out.Reset()
	b.Snapshot, b.GroupOp = true, []byte{'r'}
	if err := enc.Batch(b, &out); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{`"transaction":null`}, parts(&out)); d != "" {
		t.Error(d)
	}
	b.Snapshot, b.GroupTxn = false, []uint32{5}
	if err := enc.Batch(b, &out); errs.KindOf(err) != errs.Corrupt {
		t.Errorf("a group of a transaction that is not there: %v", err)
	}
}

func TestTablesInHashOrder(t *testing.T) {
	var x transactions
	for _, table := range []string{"be_opt_transaction_metadata.t", "be_opt_transaction_metadata.u"} {
		x.count(table)
	}
	if got := x.hashOrder(); got[0].Name != "be_opt_transaction_metadata.u" {
		t.Errorf("got %v, recorded is u before t", got)
	}
}
