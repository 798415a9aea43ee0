package transform

import (
	"strings"
	"testing"

	"github.com/rowmesh/rowmesh/publisher/record"
)

const debezium = "io.debezium.transforms."

// TestDebezium has a case for what each of Debezium's transforms does.
func TestDebezium(t *testing.T) {
	const unwrap = "u.type=" + debezium + "ExtractNewRecordState\n"
	create, update, remove, truncate := event("null", one, "c"), event(one, two, "u"), event(two, "null", "d"), event("null", "null", "t")
	for _, c := range []struct{ name, transforms, in, want string }{
		{"unwrap a create", unwrap, create, `{"id":1} ` + one},
		{"unwrap a delete", unwrap, remove, `{"id":1} null`},
		{"unwrap a tombstone", unwrap, "", "dropped"},
		{"unwrap a truncate", unwrap, truncate, "dropped"},
		{"unwrap, drop", unwrap + "u.delete.tombstone.handling.mode=drop", remove, "dropped"},
		{"unwrap, tombstones of deletes", unwrap + "u.delete.tombstone.handling.mode=delete-to-tombstone", remove, `{"id":1} <null>`},
		{"unwrap, rewrite", unwrap + "u.delete.tombstone.handling.mode=rewrite", remove, `{"id":1} ` + strings.TrimSuffix(two, "}") + `,"__deleted":"true"}`},
		{"unwrap, rewrite a create", unwrap + "u.delete.tombstone.handling.mode=rewrite", create,
			`{"id":1} ` + strings.Replace(strings.TrimSuffix(one, "}"), `"name":null`, `"name":"dflt"`, 1) + `,"__deleted":"false"}`},
		{"unwrap, rewrite with nulls", unwrap + "u.delete.tombstone.handling.mode=rewrite-with-tombstone\nu.replace.null.with.default=false", create,
			`{"id":1} ` + strings.TrimSuffix(one, "}") + `,"__deleted":"false"}`},
		{"unwrap, keep tombstones", unwrap + "u.delete.tombstone.handling.mode=rewrite-with-tombstone\nu.add.headers=op,db", "", `{"id":1} <null> __op=d`},
		{"unwrap, add", unwrap + "u.add.fields=op,table,source.ts_ms:when,transaction.id,nosuch\nu.add.fields.prefix=_\nu.add.headers=db,source.snapshot", update,
			`{"id":1} ` + strings.TrimSuffix(two, "}") + `,"_op":"u","_table":"t","_when":5,"_transaction_id":null} __db=db __source_snapshot=`},
		{"unwrap, add from a struct that is not", unwrap + "u.add.fields=nowhere.x", update, "error: nowhere is not a valid field name"},
		{"unwrap, route", unwrap + "u.route.by.field=name", update, `x {"id":1} ` + two},
		{"unwrap, route by null", unwrap + "u.route.by.field=name", create, `dflt {"id":1} ` + one},
		{"unwrap, route by a number", unwrap + "u.route.by.field=id", update, "error: Field 'id' is not of type STRING"},
		{"unwrap, drop fields", "c.type=" + debezium + "ExtractChangedRecordState\nc.header.unchanged.name=same\n" + unwrap + "u.drop.fields.header.name=same\nu.drop.fields.from.key=true\n" +
			"u.drop.fields.keep.schema.compatible=false", update,
			`{} {"name":"x","price":null,"at":null,"raw":null,"flag":null,"ratio":-2.75,"list":null,"home":null} same=["id"]`},
		{"unwrap a row", unwrap + "v.type=" + debezium + "ExtractNewRecordState", create, `{"id":1} ` + one},
		{"unwrap in a mode that is not", unwrap + "u.delete.tombstone.handling.mode=none", create,
			"config: transform u (io.debezium.transforms.ExtractNewRecordState): transforms.u.delete.tombstone.handling.mode: \"none\" is none of drop, tombstone, rewrite, " +
				"rewrite-with-tombstone, delete-to-tombstone"},
		{"changed", "c.type=" + debezium + "ExtractChangedRecordState\nc.header.changed.name=C\nc.header.unchanged.name=U", update,
			`{"id":1} ` + update + ` C=["name","price","at","raw","flag","ratio","list","home"] U=["id"]`},
		{"changed in a create", "c.type=" + debezium + "ExtractChangedRecordState\nc.header.changed.name=C", create, `{"id":1} ` + create + " C=[]"},
		{"logical", "r.type=" + debezium + "ByLogicalTableRouter\nr.topic.regex=srv\\.(.*)\\.t\nr.topic.replacement=$1_all", update,
			`db_all {"id":1,"__dbz__physicalTableIdentifier":"srv.db.t"} ` + update},
		{"logical, named", "r.type=" + debezium + "ByLogicalTableRouter\nr.topic.regex=.*\nr.topic.replacement=all\nr.key.field.name=k\nr.key.field.regex=(.*)\\.t\nr.key.field.replacement=$1", "",
			`all {"id":1,"k":"srv.db"} <null>`},
		{"logical, keys as they are", "r.type=" + debezium + "ByLogicalTableRouter\nr.topic.regex=.*\nr.topic.replacement=all\nr.key.enforce.uniqueness=false", "", `all {"id":1} <null>`},
		{"logical, another topic", "r.type=" + debezium + "ByLogicalTableRouter\nr.topic.regex=x\nr.topic.replacement=all", "", `{"id":1} <null>`},
		{"header to value", "h.type=" + kafka + "InsertHeader\nh.header=n\nh.value.literal=5\nv.type=" + debezium + "HeaderToValue\nv.headers=n\nv.fields=after.extra\nv.operation=move",
			event("null", two, "c"), `{"id":1} ` + strings.Replace(event("null", two, "c"), `"home":null}`, `"home":null,"extra":5}`, 1)},
		{"header to a number", "h.type=" + kafka + "InsertHeader\nh.header=n\nh.value.literal=5\nv.type=" + debezium + "HeaderToValue\nv.headers=n\nv.fields=op.x\nv.operation=copy", create,
			"error: Field 'op' is a primitive type, not a struct. Cannot add nested field 'op.x'."},
		{"partition", "p.type=" + debezium + "partitions.PartitionRouting\np.partition.payload.fields=change.id,source.table\np.partition.topic.num=8", update, `[5] {"id":1} ` + update},
		{"partition of a delete", "p.type=" + debezium + "partitions.PartitionRouting\np.partition.payload.fields=change.name\np.partition.topic.num=7", remove, `[1] {"id":1} ` + remove},
		{"partition of nothing", "p.type=" + debezium + "partitions.PartitionRouting\np.partition.payload.fields=change.nosuch\np.partition.topic.num=7", create, `{"id":1} ` + create},
		{"partition through null", "p.type=" + debezium + "partitions.PartitionRouting\np.partition.payload.fields=before.id\np.partition.topic.num=7", create,
			`error: Unprocessable message: record of topic srv.db.t with key {"id":1}: before is null`},
		{"read to insert", "r.type=io.debezium.connector.mysql.transforms.ReadToInsertEvent", event("null", two, "r"), `{"id":1} ` + event("null", two, "c")},
		{"time zone", "z.type=" + debezium + "TimezoneConverter\nz.converted.timezone=America/New_York", create, `{"id":1} ` + strings.Replace(create, "1700000000000", "1700018000000", 1)},
		{"time zone of an offset", "z.type=" + debezium + "TimezoneConverter\nz.converted.timezone=+02:00\nz.include.list=source:t:at", create,
			`{"id":1} ` + strings.Replace(create, "1700000000000", "1699992800000", 1)},
		{"time zone, excluded", "z.type=" + debezium + "TimezoneConverter\nz.converted.timezone=+02:00\nz.exclude.list=topic:srv.db.t:at", create, `{"id":1} ` + create},
		{"time zone, other table", "z.type=" + debezium + "TimezoneConverter\nz.converted.timezone=+02:00\nz.include.list=source:other", create, `{"id":1} ` + create},
		{"time zone of the source", "z.type=" + debezium + "TimezoneConverter\nz.converted.timezone=+02:00\nz.include.list=source:t:source.ts_ms", create,
			`{"id":1} ` + strings.Replace(create, `"ts_ms":5}`, `"ts_ms":7200005}`, 1)},
		{"time zone that is not", "z.type=" + debezium + "TimezoneConverter\nz.converted.timezone=Mars", create,
			"config: transform z (io.debezium.transforms.TimezoneConverter): Invalid timezone format. Please specify either a geographic timezone (e.g. America/Los_Angeles) or a UTC offset " +
				"in the format of +/-hh:mm, (e.g. +08:00)."},
		{"size", "s.type=" + debezium + "EnforceRecordSize\ns.max.bytes=100000", create, `{"id":1} ` + create},
		{"schema block", "s.type=" + debezium + "ExtractSchemaToNewRecord", create,
			`error: Ensure that enable configurations "column.propagate.source.type" or "datatype.propagate.source.type" and the value is set to ".*"`},
		{"filter", "f.type=" + debezium + "Filter\nf.language=cel\nf.condition=value.op == 'c' && value.after.id > 0", create, `{"id":1} ` + create},
		{"filter out", "f.type=" + debezium + "Filter\nf.language=cel\nf.condition=value.after.home.city == 'Ulm'", create, "dropped"},
		{"filter by null", "f.type=" + debezium + "Filter\nf.language=cel\nf.condition=value.before == null && topic.startsWith('srv') && has(value.after.price) && value.after.price < 2.5", create, `{"id":1} ` + create},
		{"filter a tombstone", "f.type=" + debezium + "Filter\nf.language=cel\nf.condition=false", "", `{"id":1} <null>`},
		{"filter by what is not there", "f.type=" + debezium + "Filter\nf.language=cel\nf.condition=value.after.nosuch == 1", create,
			`error: Error while evaluating expression 'value.after.nosuch == 1' for record of topic srv.db.t with key {"id":1}: no such key: nosuch`},
		{"filter to a number", "f.type=" + debezium + "Filter\nf.language=cel\nf.condition=value.after.id", create,
			"error: Value '1' returned by the expression 'value.after.id' is not a boolean"},
		{"filter in Groovy", "f.type=" + debezium + "Filter\nf.language=jsr223.groovy\nf.condition=true", create,
			"config: transform f (io.debezium.transforms.Filter): transforms.f.language: jsr223.groovy needs a Java runtime, which there is none of: set language=cel and write condition in the " +
				"Common Expression Language, for example value.op == 'u' && value.after.id > 2"},
		{"route by content", "f.type=" + debezium + "ContentBasedRouter\nf.language=cel\nf.topic.expression=value.after.id > 0 ? topic + '-' + valueSchema.name : null", create, `srv.db.t-srv.db.t.Envelope {"id":1} ` + create},
		{"route to null", "f.type=" + debezium + "ContentBasedRouter\nf.language=cel\nf.topic.expression=value.after.id > 5 ? topic : null", create, `{"id":1} ` + create},
		{"route only some topics", "f.type=" + debezium + "ContentBasedRouter\nf.language=cel\nf.topic.expression='x'\nf.topic.regex=other", create, `{"id":1} ` + create},
		{"a transform that cannot be", "f.type=" + debezium + "tracing.ActivateTracingSpan", create,
			"config: transforms.f.type: io.debezium.transforms.tracing.ActivateTracingSpan is not supported: it propagates spans of a Java tracer; remove it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := applied(t, c.transforms, change(t, c.in)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// outboxSchema is an envelope of an outbox table.
const outboxRow = `{"type":"struct","fields":[{"type":"string","optional":false,"field":"id"},{"type":"string","optional":false,"field":"aggregatetype"},` +
	`{"type":"string","optional":false,"field":"aggregateid"},{"type":"string","optional":true,"field":"payload"},{"type":"int32","optional":true,"field":"part"},` +
	`{"type":"int64","optional":true,"name":"io.debezium.time.MicroTimestamp","version":1,"field":"at"}],"optional":true,"name":"srv.db.outbox.Value"`

func outboxRecord(t testing.TB, payload, op string) *record.Record {
	schema := `{"type":"struct","fields":[` + outboxRow + `,"field":"before"},` + outboxRow + `,"field":"after"},{"type":"string","optional":false,"field":"op"},` +
		`{"type":"int64","optional":true,"field":"ts_ms"}],"optional":false,"name":"srv.db.outbox.Envelope"}`
	r := change(t, "")
	r.Value = data(t, schema, `{"before":null,"after":{"id":"e1","aggregatetype":"Order","aggregateid":"42","payload":`+payload+`,"part":3,"at":7000000},"op":"`+op+`","ts_ms":9}`)
	return r
}

func TestOutbox(t *testing.T) {
	const router = "o.type=" + debezium + "outbox.EventRouter\n"
	const expand = router + "o.table.expand.json.payload=true\n"
	for _, c := range []struct{ name, transforms, payload, op, want string }{
		{"defaults", router, `"text"`, "c", `outbox.event.Order @9 "42" "text" id=e1`},
		{"a delete", router, `"text"`, "d", "dropped"},
		{"an update", router, `"text"`, "u", "dropped"},
		{"an update that is fatal", router + "o.table.op.invalid.behavior=fatal", `"text"`, "u", `error: Unexpected update message received record of topic srv.db.t with key {"id":1}, fail.`},
		{"empty", router + "o.route.tombstone.on.empty.payload=true", `null`, "c", `outbox.event.Order @9 "42" <null> id=e1`},
		{"placed", router + "o.table.fields.additional.placement=part:partition,aggregatetype:header:kind,at:envelope\no.table.field.event.timestamp=at\no.route.topic.replacement=x", `"p"`, "c",
			`x [3] @7000 "42" {"payload":"p","at":7000000} id=e1 kind=Order`},
		{"placed badly", router + "o.table.fields.additional.placement=part", `"p"`, "c",
			"config: transform o (io.debezium.transforms.outbox.EventRouter): Invalid value part for configuration table.fields.additional.placement: A comma-separated list of valid String pairs " +
				"or trios is expected but got: [part]"},
		{"no payload", router + "o.table.field.event.payload=nosuch", `"p"`, "c", "error: Unable to find payload field nosuch in event"},
		{"expanded", expand, `"{\"a\":1,\"b\":[{\"c\":null},{\"c\":\"x\"}],\"d\":5000000000,\"e\":[],\"f\":[1.5,2.5]}"`, "c",
			`outbox.event.Order @9 "42" {"a":1,"b":[{"c":null},{"c":"x"}],"d":5000000000,"f":[1.5,2.5]} id=e1`},
		{"expanded, with nulls", expand + "o.table.json.payload.null.behavior=optional_bytes", `"{\"a\":null,\"b\":{\"a\":true}}"`, "c", `outbox.event.Order @9 "42" {"a":null,"b":{"a":true}} id=e1`},
		{"a scalar stays", expand, `"7"`, "c", `outbox.event.Order @9 "42" "7" id=e1`},
		{"an array fails", expand, `"[1]"`, "c", `outbox.event.Order @9 "42" <Invalid type for ARRAY: java.lang.String> id=e1`},
		{"an array of unlike elements stays", expand, `"{\"a\":[1,\"x\"]}"`, "c", `outbox.event.Order @9 "42" "{\"a\":[1,\"x\"]}" id=e1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := applied(t, c.transforms, outboxRecord(t, c.payload, c.op)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestSchemaChangeFilter(t *testing.T) {
	const schema = `{"type":"struct","fields":[{"type":"string","optional":true,"field":"ddl"},{"type":"array","items":{"type":"struct","fields":[{"type":"string","optional":false,"field":"type"}],` +
		`"optional":false},"optional":false,"field":"tableChanges"}],"optional":false,"name":"io.debezium.connector.mysql.SchemaChangeValue","version":1}`
	const filter = "f.type=" + debezium + "SchemaChangeEventFilter\nf.schema.change.event.exclude.list=DROP, DATABASE"
	for changes, kept := range map[string]bool{`[]`: false, `[{"type":"DROP"}]`: false, `[{"type":"ALTER"}]`: true} {
		r := change(t, "")
		r.Value = data(t, schema, `{"ddl":"x","tableChanges":`+changes+`}`)
		if got := applied(t, filter, r); (got != "dropped") != kept {
			t.Errorf("%s: %s", changes, got)
		}
	}
	if got := applied(t, strings.Replace(filter, "DROP", "drop", 1), change(t, "")); !strings.Contains(got, "No enum constant io.debezium.schema.SchemaChangeEvent.SchemaChangeEventType.drop") {
		t.Error(got)
	}
}

func TestVectorsAndGeometries(t *testing.T) {
	const schema = `{"type":"struct","fields":[{"type":"array","items":{"type":"float","optional":false},"optional":true,"name":"io.debezium.data.FloatVector","version":1,"field":"v"},` +
		`{"type":"struct","fields":[{"type":"bytes","optional":false,"field":"wkb"},{"type":"int32","optional":true,"field":"srid"}],"optional":true,"name":"io.debezium.data.geometry.Geometry","version":1,"field":"g"}],"optional":false}`
	// A point (1, 2) in little endian, and the same with the reference system 4326.
	const plain, extended = "AQEAAAAAAAAAAADwPwAAAAAAAABA", "AQEAACDmEAAAAAAAAAAA8D8AAAAAAAAAQA=="
	value := func(wkb string) string { return `{"v":[1.5,-0.25],"g":{"wkb":"` + wkb + `","srid":4326}}` }
	for _, c := range []struct{ transforms, in, want string }{
		{"v.type=" + debezium + "VectorToJsonConverter", value(plain), strings.Replace(value(plain), "[1.5,-0.25]", `"{ \"values\": [1.5, -0.25] }"`, 1)},
		{"g.type=" + debezium + "SwapGeometryCoordinates", value(plain), value("AQEAAAAAAAAAAAAAQAAAAAAAAPA/")},
		{"g.type=" + debezium + "SwapGeometryCoordinates\ng.srids=1", value(plain), value(plain)},
		{"g.type=" + debezium + "GeometryFormatTransformer", value(plain), value(extended)},
		{"g.type=" + debezium + "GeometryFormatTransformer", value(extended), value(plain)},
		{"g.type=" + debezium + "SwapGeometryCoordinates", value("AQEAAAAA"), "error: Failed to swap EWKB/WKB coordinates: the geometry of 6 bytes is wrong at byte 5"},
	} {
		r := change(t, "")
		r.Value = data(t, schema, c.in)
		want := `{"id":1} ` + c.want
		if strings.HasPrefix(c.want, "error") {
			want = c.want
		}
		if got := applied(t, c.transforms, r); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", c.transforms, got, want)
		}
	}
}

// TestSharedHeaders: what is added to an event in place is in its tombstone too, until a transform makes a new record.
func TestSharedHeaders(t *testing.T) {
	for lines, want := range map[string]int{
		"c.type=" + debezium + "ExtractChangedRecordState\nc.header.changed.name=C":                                                                  1,
		"i.type=" + kafka + "InsertHeader\ni.header=h\ni.value.literal=1\nc.type=" + debezium + "ExtractChangedRecordState\nc.header.changed.name=C": 0,
	} {
		c, err := chain(lines)
		if err != nil {
			t.Fatal(err)
		}
		r := change(t, event(one, "null", "d"))
		r.SharesHeaders = true
		if _, err := c.Apply(&record.Slab{}, r); err != nil || len(r.Shared) != want {
			t.Errorf("%s: %d shared, %v", lines, len(r.Shared), err)
		}
	}
}
