package converter

import (
	"strings"
	"testing"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// TestEventFromHeaders: metadata.source=header takes all from where transforms put it. The event is what Debezium 3.6.1's converter wrote for the same record.
func TestEventFromHeaders(t *testing.T) {
	text := record.Of(record.String, false)
	source := record.NewStruct([]record.Field{{Name: "connector", Schema: text}, {Name: "name", Schema: text}, {Name: "ts_ms", Schema: record.Of(record.Int64, false)},
		{Name: "snapshot", Schema: &record.Schema{Type: record.String, Optional: true, Default: record.StringOf("false")}}, {Name: "db", Schema: text}, {Name: "file", Schema: text},
		{Name: "pos", Schema: record.Of(record.Int64, false)}, {Name: "row", Schema: record.Of(record.Int32, false)}})
	txn := record.NewStruct([]record.Field{{Name: "id", Schema: text}, {Name: "total_order", Schema: record.Of(record.Int64, false)}, {Name: "data_collection_order", Schema: record.Of(record.Int64, false)}})
	of := func(s *record.Schema, vs ...record.Value) record.Data {
		return record.Data{Schema: s, Value: record.StructOf(&record.StructData{Schema: s, Values: vs})}
	}
	said := func(s string) record.Data { return record.Data{Schema: text, Value: record.StringOf(s)} }
	headers := []record.Header{{Name: "id", Data: said("another")}, {Name: "id", Data: said("my-id")}, {Name: "type", Data: said("my.type")},
		{Name: "source", Data: of(source, record.StringOf("mysql"), record.StringOf("srv"), record.IntOf(1_700_000_000_123), record.Null, record.StringOf("shop-1"), record.StringOf("b.1"), record.IntOf(5), record.IntOf(0))},
		{Name: "op", Data: said("u")}, {Name: "transaction", Data: of(txn, record.StringOf("t1"), record.IntOf(3), record.IntOf(1))}, {Name: "traceparent", Data: said("00-1-2-01")}, {Name: "dataSchemaName", Data: said("my.Data")}}
	row := record.NewStruct([]record.Field{{Name: "id", Schema: record.Of(record.Int32, false)}, {Name: "n", Schema: record.Of(record.String, true)}})
	row.Name = "srv.shop.t.Value"
	c := newConverter(t, Value, "cloudevents", "metadata.source=header", "opentelemetry.tracing.attributes.enable=true", "schema.data.name.source.header.enable=true")
	const want = `{"id":"my-id","source":"/debezium/mysql/srv","specversion":"1.0","type":"my.type","time":"2023-11-14T22:13:20.123Z","datacontenttype":"application/json","traceparent":"00-1-2-01",` +
		`"iodebeziumop":"u","iodebeziumconnector":"mysql","iodebeziumname":"srv","iodebeziumtsms":"1700000000123","iodebeziumsnapshot":"false","iodebeziumdb":"shop-1","iodebeziumfile":"b.1","iodebeziumpos":"5",` +
		`"iodebeziumrow":0,"iodebeziumtxid":"t1","iodebeziumtxtotalorder":"3","iodebeziumtxdatacollectionorder":"1","data":{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"},` +
		`{"type":"string","optional":true,"field":"n"}],"optional":false,"name":"my.Data"},"payload":{"id":1,"n":"x"}}}`
	d := of(row, record.IntOf(1), record.StringOf("x"))
	for range 2 { // what was left from the first changes nothing
		got, null, err := c.Append([]byte("-"), "t", headers, d)
		if string(got) != "-"+want || null || err != nil {
			t.Fatalf("%v, %v%s", null, err, difference(string(got), "-"+want))
		}
	}
	if _, null, err := c.Append(nil, "t", nil, d); !null || err != nil {
		t.Errorf("a record without headers: %v, %v", null, err)
	}
	if _, _, err := c.Append(nil, "t", headers[3:], d); err == nil || errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), "Header `id` was not provided") {
		t.Errorf("a record without an id: %v", err)
	}
}

// TestWhatIsNoEvent: keys, tombstones and records that are no change events become null.
func TestWhatIsNoEvent(t *testing.T) {
	c := newConverter(t, Value, "cloudevents")
	plain := numbers(person("a"), 1)
	for name, d := range map[string]record.Data{"tombstone": {}, "null": {Schema: plain.Schema}, "no schema": {Value: record.IntOf(1)}, "no envelope": plain} {
		if got, null, err := c.Append([]byte("-"), "t", nil, d); !null || err != nil || string(got) != "-" {
			t.Errorf("%s: %q, %v, %v", name, got, null, err)
		}
	}
}
