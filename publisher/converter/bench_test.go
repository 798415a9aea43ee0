package converter

import (
	"testing"

	"github.com/rowmesh/rowmesh/publisher/record"
)

// wideUpdate is an update of a table of seven columns: an id, a number, two texts, a time, a decimal and a document.
func wideUpdate(b *testing.B) record.Data {
	version := 1
	column := func(name string, s *record.Schema) record.Field { return record.Field{Name: name, Schema: s} }
	decimal := &record.Schema{Type: record.Bytes, Optional: true, Name: record.DecimalName, Version: &version,
		Parameters: []record.Parameter{{Name: "scale", Value: "2"}, {Name: "connect.decimal.precision", Value: "10"}}}
	row := record.NewStruct([]record.Field{
		column("id", record.Of(record.Int64, false)), column("n", record.Of(record.Int32, true)), column("name", record.Of(record.String, true)), column("note", record.Of(record.String, true)),
		column("at", &record.Schema{Type: record.Int64, Optional: true, Name: "io.debezium.time.MicroTimestamp", Version: &version}), column("price", decimal),
		column("doc", &record.Schema{Type: record.String, Optional: true, Name: "io.debezium.data.Json", Version: &version})})
	row.Name, row.Optional = "shop.shop.orders.Value", true
	source := record.NewStruct([]record.Field{
		column("version", record.Of(record.String, false)), column("connector", record.Of(record.String, false)), column("name", record.Of(record.String, false)), column("ts_ms", record.Of(record.Int64, false)),
		column("snapshot", &record.Schema{Type: record.String, Optional: true, Default: record.StringOf("false")}), column("db", record.Of(record.String, false)), column("sequence", record.Of(record.String, true)),
		column("ts_us", record.Of(record.Int64, true)), column("ts_ns", record.Of(record.Int64, true)), column("table", record.Of(record.String, true)), column("server_id", record.Of(record.Int64, false)),
		column("gtid", record.Of(record.String, true)), column("file", record.Of(record.String, false)), column("pos", record.Of(record.Int64, false)), column("row", record.Of(record.Int32, false)),
		column("thread", record.Of(record.Int64, true)), column("query", record.Of(record.String, true))})
	source.Name = "io.debezium.connector.mysql.Source"
	envelope := record.NewStruct([]record.Field{column("before", row), column("after", row), column("source", source), column("op", record.Of(record.String, false)),
		column("ts_ms", record.Of(record.Int64, true)), column("ts_us", record.Of(record.Int64, true)), column("ts_ns", record.Of(record.Int64, true))})
	envelope.Name = "shop.shop.orders.Envelope"
	image := func(n int64) record.Value {
		return record.StructOf(&record.StructData{Schema: row, Values: []record.Value{record.IntOf(n), record.IntOf(42), record.StringOf("a name of some thirty characters"),
			record.StringOf("a note that is longer: it goes on for a line, as notes of customers do, and says little"), record.IntOf(1_700_000_000_123_456), record.DecimalOf([]byte{0x1e, 0x85, 0x0f}, 2),
			record.StringOf(`{"colour": "blue", "size": [1, 2, 3], "tags": {"new": true}}`)}})
	}
	at := record.IntOf(1_700_000_000_000)
	from := record.StructOf(&record.StructData{Schema: source, Values: []record.Value{record.StringOf("3.6.1.Final"), record.StringOf("mysql"), record.StringOf("shop"), at, record.StringOf("false"),
		record.StringOf("shop"), record.Null, record.IntOf(1_700_000_000_000_000), record.IntOf(1_700_000_000_000_000_000), record.StringOf("orders"), record.IntOf(1),
		record.StringOf("453a28ca-e69b-11f1-8913-02fc00000001:730"), record.StringOf("binlog.000001"), record.IntOf(237_914), record.IntOf(0), record.IntOf(17), record.Null}})
	return record.Data{Schema: envelope, Value: record.StructOf(&record.StructData{Schema: envelope, Values: []record.Value{image(1), image(1), from, record.StringOf("u"), at,
		record.IntOf(1_700_000_000_000_123), record.IntOf(1_700_000_000_000_123_456)}})}
}

func BenchmarkWideUpdate(b *testing.B) {
	registry := newFakeRegistry(b)
	for _, c := range []struct {
		name, kind string
		options    []string
	}{
		{"avro", "avro", nil}, {"protobuf", "protobuf", nil}, {"jsonschema", "jsonschema", nil},
		{"cloudevents", "cloudevents", nil}, {"cloudevents-avro", "cloudevents", []string{"serializer.type=avro", "data.serializer.type=avro", "avro.schema.registry.url=" + registry.URL}},
		{"json", "json", nil}, {"json-plain", "json", []string{"schemas.enable=false"}}, {"string", "string", nil},
	} {
		b.Run(c.name, func(b *testing.B) {
			conv := newConverter(b, Value, c.kind, append(c.options, "schema.registry.url="+registry.URL)...)
			d := wideUpdate(b)
			dst, _, err := conv.Append(nil, "shop.shop.orders", nil, d)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(dst)))
			b.ReportAllocs()
			for b.Loop() {
				if dst, _, err = conv.Append(dst[:0], "shop.shop.orders", nil, d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
