package transform

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/config"
)

// rowSchema is the schema of the rows of these tests: one column of each kind that transforms treat differently.
const rowSchema = `{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"},{"type":"string","optional":true,"default":"dflt","field":"name"},` +
	`{"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"},"field":"price"},` +
	`{"type":"int64","optional":true,"name":"org.apache.kafka.connect.data.Timestamp","version":1,"field":"at"},{"type":"bytes","optional":true,"field":"raw"},` +
	`{"type":"boolean","optional":true,"field":"flag"},{"type":"double","optional":true,"field":"ratio"},` +
	`{"type":"array","items":{"type":"int32","optional":false},"optional":true,"field":"list"},` +
	`{"type":"struct","fields":[{"type":"string","optional":true,"field":"city"},{"type":"int16","optional":true,"field":"zip"}],"optional":true,"field":"home"}],` +
	`"optional":OPTIONAL,"name":"srv.db.t.Value"`

const sourceFields = `{"type":"struct","fields":[{"type":"string","optional":false,"field":"db"},{"type":"string","optional":true,"field":"table"},` +
	`{"type":"string","optional":true,"default":"false","field":"snapshot"},{"type":"int64","optional":false,"field":"ts_ms"}],"optional":false,"name":"io.debezium.connector.mysql.Source","field":"source"}`

func optionalRow(optional string) string { return strings.Replace(rowSchema, "OPTIONAL", optional, 1) }

var envelopeSchema = `{"type":"struct","fields":[` + optionalRow("true") + `,"field":"before"},` + optionalRow("true") + `,"field":"after"},` + sourceFields + `,` +
	`{"type":"struct","fields":[{"type":"string","optional":false,"field":"id"}],"optional":true,"name":"event.block","version":1,"field":"transaction"},` +
	`{"type":"string","optional":false,"field":"op"},{"type":"int64","optional":true,"field":"ts_ms"}],"optional":false,"name":"srv.db.t.Envelope","version":2}`

const keySchema = `{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"}],"optional":false,"name":"srv.db.t.Key"}`

const (
	one = `{"id":1,"name":null,"price":"AMg=","at":1700000000000,"raw":"AQI=","flag":true,"ratio":1.5,"list":[1,2],"home":{"city":"Bonn","zip":7}}`
	two = `{"id":1,"name":"x","price":null,"at":null,"raw":null,"flag":null,"ratio":-2.75,"list":null,"home":null}`
	src = `"source":{"db":"db","table":"t","snapshot":null,"ts_ms":5},"transaction":null`
)

// event is an envelope.
func event(before, after, op string) string {
	return fmt.Sprintf(`{"before":%s,"after":%s,%s,"op":%q,"ts_ms":9}`, before, after, src, op)
}

func parsed(t testing.TB, schema string) *record.Schema {
	t.Helper()
	s, err := record.ParseSchema([]byte(schema))
	if err != nil {
		t.Fatalf("%v: %s", err, schema)
	}
	return s
}

func data(t testing.TB, schema, payload string) record.Data {
	t.Helper()
	if payload == "" {
		return record.Data{}
	}
	var s *record.Schema
	if schema != "" {
		s = parsed(t, schema)
	}
	v, err := record.DecodePayload([]byte(payload), s, &record.Slab{})
	if err != nil {
		t.Fatalf("%v: %s", err, payload)
	}
	return record.Data{Schema: s, Value: v}
}

// change is a record of table t: an event, or a tombstone.
func change(t testing.TB, value string) *record.Record {
	return &record.Record{Topic: "srv.db.t", Partition: record.NoPartition, Key: data(t, keySchema, `{"id":1}`), Value: data(t, envelopeSchema, value)}
}

// plainRow is a record whose value is a row.
func plainRow(t testing.TB, value string) *record.Record {
	r := change(t, "")
	r.Value = data(t, optionalRow("false")+"}", value)
	return r
}

// chain builds transforms from "alias.option=value" lines; each alias is listed in the order of its first line.
func chain(lines string) (*Chain, error) {
	raw := map[string]string{}
	var names, predicates []string
	for line := range strings.Lines(lines) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			continue
		}
		if rest, isPredicate := strings.CutPrefix(name, "?"); isPredicate {
			alias, _, _ := strings.Cut(rest, ".")
			if raw["predicates."+alias+".type"] == "" {
				predicates = append(predicates, alias)
			}
			raw["predicates."+rest] = value
			continue
		}
		alias, _, _ := strings.Cut(name, ".")
		if raw["transforms."+alias+".type"] == "" {
			names = append(names, alias)
		}
		raw["transforms."+name] = value
	}
	raw["transforms"], raw["predicates"] = strings.Join(names, ","), strings.Join(predicates, ",")
	return New(raw, Env{Now: func() time.Time { return time.UnixMilli(1_700_000_000_000) }})
}

// show prints what a record is: what differs from the usual topic and partition, the key, the value and the headers, without schemas.
func show(t testing.TB, r *record.Record) string {
	t.Helper()
	text := func(d record.Data) string {
		if d.Missing() {
			return "<null>"
		}
		b, _, err := (&record.JSON{}).Append(nil, "", nil, d)
		if err != nil {
			return "<" + err.Error() + ">"
		}
		return string(b)
	}
	var b strings.Builder
	if r.Topic != "srv.db.t" {
		b.WriteString(r.Topic + " ")
	}
	if r.Partition != record.NoPartition {
		fmt.Fprintf(&b, "[%d] ", r.Partition)
	}
	if r.Timestamp != nil {
		fmt.Fprintf(&b, "@%d ", *r.Timestamp)
	}
	b.WriteString(text(r.Key) + " " + text(r.Value))
	for _, h := range r.Headers {
		header, _, _ := record.Simple{}.Append(nil, "", nil, h.Data)
		fmt.Fprintf(&b, " %s=%s", h.Name, header)
	}
	return b.String()
}

// applied runs transforms over a record and prints the result: "dropped", or "error: " and its text without the transform's name.
func applied(t testing.TB, lines string, r *record.Record) string {
	t.Helper()
	c, err := chain(lines)
	if err != nil {
		return "config: " + err.Error()
	}
	keep, err := c.Apply(&record.Slab{}, r)
	switch {
	case err != nil:
		_, text, _ := strings.Cut(err.Error(), "): ")
		return "error: " + text
	case !keep:
		return "dropped"
	}
	return show(t, r)
}

const kafka = "org.apache.kafka.connect.transforms."

// TestKafka has a case for what each of Kafka's transforms does to a row, to null and to data without a schema.
func TestKafka(t *testing.T) {
	row := func() *record.Record { return plainRow(t, one) }
	sparse := func() *record.Record { return plainRow(t, two) }
	tombstone := func() *record.Record { return change(t, "") }
	loose := func() *record.Record {
		r := change(t, "")
		r.Key, r.Value = data(t, "", `{"k":1}`), data(t, "", `{"a":1,"b":{"c":"x"},"t":1700000000000}`)
		return r
	}
	for _, c := range []struct {
		name, transforms string
		in               func() *record.Record
		want             string
	}{
		{"cast fields", "a.type=" + kafka + "Cast$Value\na.spec=id:string,flag:int8,ratio:int32,raw:string,at:string,price:float64,list:string", row,
			"error: Cast transformation does not support casting from ARRAY; supported types are [INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING, BYTES]"},
		{"cast fields", "a.type=" + kafka + "Cast$Value\na.spec=id:string,flag:int8,ratio:int32,raw:string,at:string,price:float64", row,
			`{"id":1} {"id":"1","name":"dflt","price":2.0,"at":"2023-11-14T22:13:20.000Z","raw":"AQI=","flag":1,"ratio":1,"list":[1,2],"home":{"city":"Bonn","zip":7}}`},
		{"cast narrows", "a.type=" + kafka + "Cast$Value\na.spec=at:int16,ratio:int64,id:boolean", row,
			`{"id":1} {"id":true,"name":"dflt","price":"AMg=","at":26624,"raw":"AQI=","flag":true,"ratio":1,"list":[1,2],"home":{"city":"Bonn","zip":7}}`},
		{"cast text to a number", "a.type=" + kafka + "Cast$Value\na.spec=name:int32", sparse, "error: Value (dflt) was out of range for requested data type"},
		{"cast a whole key", "x.type=" + kafka + "ExtractField$Key\nx.field=id\na.type=" + kafka + "Cast$Key\na.spec=string", row, `"1" ` + strings.Replace(one, `"name":null`, `"name":null`, 1)},
		{"cast a tombstone", "a.type=" + kafka + "Cast$Value\na.spec=id:string", tombstone, `{"id":1} <null>`},
		{"cast to bytes", "a.type=" + kafka + "Cast$Value\na.spec=id:bytes", row,
			"config: transform a (org.apache.kafka.connect.transforms.Cast$Value): Cast transformation does not support casting to BYTES; supported types are [INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING]"},
		{"extract", "a.type=" + kafka + "ExtractField$Value\na.field=name", row, `{"id":1} "dflt"`},
		{"extract without defaults", "a.type=" + kafka + "ExtractField$Value\na.field=name\na.replace.null.with.default=false", row, `{"id":1} null`},
		{"extract nested", "a.type=" + kafka + "ExtractField$Value\na.field=home.city\na.field.syntax.version=V2", row, `{"id":1} "Bonn"`},
		{"extract what is not there", "a.type=" + kafka + "ExtractField$Value\na.field=nosuch", row, "error: Unknown field: nosuch"},
		{"extract from a map", "a.type=" + kafka + "ExtractField$Value\na.field=b.c\na.field.syntax.version=V2", loose, `{"k":1} "x"`},
		{"extract of a tombstone", "a.type=" + kafka + "ExtractField$Value\na.field=id", tombstone, `{"id":1} <null>`},
		{"filter", "a.type=" + kafka + "Filter", row, "dropped"},
		{"flatten", "a.type=" + kafka + "Flatten$Value\na.delimiter=_", row,
			`{"id":1} {"id":1,"name":"dflt","price":"AMg=","at":1700000000000,"raw":"AQI=","flag":true,"ratio":1.5,"list":[1,2],"home_city":"Bonn","home_zip":7}`},
		{"flatten a null struct", "a.type=" + kafka + "Flatten$Value", sparse,
			`{"id":1} {"id":1,"name":"x","price":null,"at":null,"raw":null,"flag":null,"ratio":-2.75,"list":null,"home.city":null,"home.zip":null}`},
		{"flatten a map", "a.type=" + kafka + "Flatten$Value", loose, `{"k":1} {"a":1,"b.c":"x","t":1700000000000}`},
		{"hoist", "a.type=" + kafka + "HoistField$Key\na.field=k", row, `{"k":{"id":1}} ` + one},
		{"hoist a tombstone", "a.type=" + kafka + "HoistField$Value\na.field=v", tombstone, `{"id":1} {"v":null}`},
		{"insert", "a.type=" + kafka + "InsertField$Value\na.topic.field=topic!\na.static.field=env\na.static.value=prod\na.partition.field=p\na.timestamp.field=ts?", sparse,
			`{"id":1} {"id":1,"name":"x","price":null,"at":null,"raw":null,"flag":null,"ratio":-2.75,"list":null,"home":null,"topic":"srv.db.t","p":null,"ts":null,"env":"prod"}`},
		{"insert the offset", "a.type=" + kafka + "InsertField$Value\na.offset.field=o", row,
			"error: Only SinkRecord supported for [field insertion], found: org.apache.kafka.connect.source.SourceRecord"},
		{"insert nothing", "a.type=" + kafka + "InsertField$Value", row, "config: transform a (org.apache.kafka.connect.transforms.InsertField$Value): No field insertion configured"},
		{"insert twice", "a.type=" + kafka + "InsertField$Value\na.topic.field=id", row, "error: Cannot create field because of field name duplication id"},
		{"insert into a map", "a.type=" + kafka + "InsertField$Value\na.topic.field=t\na.timestamp.field=ts", loose, `{"k":1} {"a":1,"b":{"c":"x"},"t":"srv.db.t"}`},
		{"insert into a tombstone", "a.type=" + kafka + "InsertField$Value\na.topic.field=t", tombstone, `{"id":1} <null>`},
		{"mask", "a.type=" + kafka + "MaskField$Value\na.fields=id,name,at,flag,ratio,list", row,
			`{"id":1} {"id":0,"name":"","price":"AMg=","at":0,"raw":"AQI=","flag":false,"ratio":0.0,"list":[],"home":{"city":"Bonn","zip":7}}`},
		{"mask nulls", "a.type=" + kafka + "MaskField$Value\na.fields=price,raw,home", sparse, `{"id":1} ` + two},
		{"mask bytes", "a.type=" + kafka + "MaskField$Value\na.fields=raw", row, "error: Cannot mask value of type: class java.nio.HeapByteBuffer"},
		{"mask a struct", "a.type=" + kafka + "MaskField$Value\na.fields=home", row, "error: Cannot mask value of type: class org.apache.kafka.connect.data.Struct"},
		{"mask with a number", "a.type=" + kafka + "MaskField$Value\na.fields=id,name,ratio,price\na.replacement=7", row,
			`{"id":1} <Decimal value has mismatching scale for given Decimal schema. Schema has scale 2, value has scale 0.>`},
		{"mask with text", "a.type=" + kafka + "MaskField$Value\na.fields=id\na.replacement=no", row, "error: Unable to convert no (class java.lang.String) to a number"},
		{"mask a date", "a.type=" + kafka + "MaskField$Value\na.fields=at\na.replacement=1", row, "error: Cannot mask value of type class java.util.Date with custom replacement."},
		{"mask a tombstone", "a.type=" + kafka + "MaskField$Value\na.fields=id", tombstone, "error: Only Map objects supported in absence of schema for [mask fields], found: null"},
		{"replace", "a.type=" + kafka + "ReplaceField$Value\na.include=id,name,ratio\na.exclude=ratio\na.renames=id:key,name:label", row, `{"id":1} {"key":1,"label":"dflt"}`},
		{"replace with a bad rename", "a.type=" + kafka + "ReplaceField$Value\na.renames=id", row,
			"config: transform a (org.apache.kafka.connect.transforms.ReplaceField$Value): Invalid value [id] for configuration renames: Invalid rename mapping: id"},
		{"replace in a map", "a.type=" + kafka + "ReplaceField$Value\na.exclude=a\na.renames=t:time", loose, `{"k":1} {"b":{"c":"x"},"time":1700000000000}`},
		{"schema metadata", "a.type=" + kafka + "SetSchemaMetadata$Value\na.schema.name=N", tombstone, `{"id":1} <null>`},
		{"schema metadata of a map", "a.type=" + kafka + "SetSchemaMetadata$Value\na.schema.name=N", loose, "error: Schema required for [updating schema metadata]"},
		{"schema metadata of nothing", "a.type=" + kafka + "SetSchemaMetadata$Value", row,
			"config: transform a (org.apache.kafka.connect.transforms.SetSchemaMetadata$Value): Neither schema name nor version configured"},
		{"value to key", "a.type=" + kafka + "ValueToKey\na.fields=name,id", sparse, `{"name":"x","id":1} ` + two},
		{"value to key without a field", "a.type=" + kafka + "ValueToKey\na.fields=nosuch", row, "error: Field does not exist: nosuch"},
		{"value to key of a tombstone", "a.type=" + kafka + "ValueToKey\na.fields=id", tombstone,
			"error: Only Map objects supported in absence of schema for [copying fields from value to key], found: null"},
		{"header from", "a.type=" + kafka + "HeaderFrom$Value\na.fields=name,price\na.headers=n,p\na.operation=move", row,
			`{"id":1} {"id":1,"at":1700000000000,"raw":"AQI=","flag":true,"ratio":1.5,"list":[1,2],"home":{"city":"Bonn","zip":7}} n=dflt p=2.00`},
		{"header copied", "a.type=" + kafka + "HeaderFrom$Key\na.fields=id\na.headers=key\na.operation=copy", row, `{"id":1} ` + one + ` key=1`},
		{"headers that do not fit", "a.type=" + kafka + "HeaderFrom$Key\na.fields=id\na.headers=a,b\na.operation=copy", row,
			"config: transform a (org.apache.kafka.connect.transforms.HeaderFrom$Key): 'fields' config must have the same number of elements as 'headers' config."},
		{"headers", "a.type=" + kafka + "InsertHeader\na.header=h\na.value.literal=[1, 2.5]\nb.type=" + kafka + "InsertHeader\nb.header=i\nb.value.literal=text, with\nc.type=" + kafka +
			"DropHeaders\nc.headers=h", tombstone, `{"id":1} <null> i=text, with`},
		{"regex", `a.type=` + kafka + `RegexRouter` + "\n" + `a.regex=(.*)\.(.*)\.t` + "\n" + `a.replacement=$2-\$$10-x`, tombstone, `db-$srv0-x {"id":1} <null>`},
		{"regex that does not match", "a.type=" + kafka + "RegexRouter\na.regex=db\na.replacement=x", tombstone, `{"id":1} <null>`},
		{"regex with a group that is not", "a.type=" + kafka + "RegexRouter\na.regex=(.*)\na.replacement=$2", tombstone,
			"config: transform a (org.apache.kafka.connect.transforms.RegexRouter): transforms.a.replacement: No group 2"},
		{"timestamp to text", "a.type=" + kafka + "TimestampConverter$Value\na.field=at\na.target.type=string\na.format=EEE, dd MMM yyyy h:mm a 'o''clock'", row,
			`{"id":1} ` + strings.Replace(strings.Replace(one, "1700000000000", `"Tue, 14 Nov 2023 10:13 PM o'clock"`, 1), `"name":null`, `"name":"dflt"`, 1)},
		{"timestamp to date", "a.type=" + kafka + "TimestampConverter$Value\na.field=at\na.target.type=Date\na.replace.null.with.default=false", row,
			`{"id":1} ` + strings.Replace(one, "1700000000000", "19675", 1)},
		{"timestamp to seconds", "a.type=" + kafka + "TimestampConverter$Value\na.field=at\na.target.type=unix\na.unix.precision=seconds\na.replace.null.with.default=false", row,
			`{"id":1} ` + strings.Replace(one, "1700000000000", "1700000000", 1)},
		{"timestamp of a wrong type", "a.type=" + kafka + "TimestampConverter$Value\na.field=id\na.target.type=unix", row,
			"error: Schema Schema{INT32} does not correspond to a known timestamp type format"},
		{"timestamp in a map", "a.type=" + kafka + "TimestampConverter$Value\na.field=t\na.target.type=string\na.format=yyyy-MM-dd'T'HH:mm:ss.SSSXXX", loose,
			`{"k":1} {"a":1,"b":{"c":"x"},"t":"2023-11-14T22:13:20.000Z"}`},
		{"timestamp without a format", "a.type=" + kafka + "TimestampConverter$Value\na.target.type=string", row,
			"config: transform a (org.apache.kafka.connect.transforms.TimestampConverter$Value): TimestampConverter requires format option to be specified when using string timestamps"},
		{"timestamp router", "a.type=" + kafka + "TimestampRouter", tombstone, `error: Timestamp missing on record: record of topic srv.db.t with key {"id":1}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := applied(t, c.transforms, c.in()); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestPredicates: a transform applies where its predicate holds, or does not with negate.
func TestPredicates(t *testing.T) {
	const hoist = "a.type=" + kafka + "HoistField$Key\na.field=k\na.predicate=p\n"
	for _, c := range []struct {
		predicate string
		tombstone bool
		negate    bool
		want      bool
	}{
		{"?p.type=" + kafka + "predicates.RecordIsTombstone", true, false, true},
		{"?p.type=" + kafka + "predicates.RecordIsTombstone", false, false, false},
		{"?p.type=" + kafka + "predicates.RecordIsTombstone", false, true, true},
		{"?p.type=" + kafka + "predicates.TopicNameMatches\n?p.pattern=.*\\.t", false, false, true},
		{"?p.type=" + kafka + "predicates.TopicNameMatches\n?p.pattern=db", false, false, false},
		{"?p.type=" + kafka + "predicates.HasHeaderKey\n?p.name=h", false, false, true},
		{"?p.type=" + kafka + "predicates.HasHeaderKey\n?p.name=i", false, false, false},
	} {
		r := plainRow(t, one)
		if c.tombstone {
			r.Value = record.Data{}
		}
		r.Headers = []record.Header{{Name: "h"}}
		got := applied(t, hoist+fmt.Sprintf("a.negate=%v\n", c.negate)+c.predicate, r)
		if hoisted := strings.HasPrefix(got, `{"k":`); hoisted != c.want {
			t.Errorf("%s, tombstone %v, negate %v: applies is %v: %s", c.predicate, c.tombstone, c.negate, hoisted, got)
		}
	}
	if got := applied(t, hoist, change(t, "")); !strings.Contains(got, `there is no predicate "p"`) {
		t.Errorf("a predicate that is not there: %s", got)
	}
}

// TestEveryPluginIsThere: what a connector may configure can be built.
func TestEveryPluginIsThere(t *testing.T) {
	for _, p := range config.Plugins(config.Transformation) {
		if p.Class != config.ForeignTransform && constructor(p.Class) == nil {
			t.Errorf("nothing builds %s", p.Class)
		}
	}
	for _, p := range config.Plugins(config.Predicate) {
		raw := map[string]string{"predicates": "p", "predicates.p.type": p.Class, "predicates.p.name": "n", "predicates.p.pattern": "x"}
		if _, err := New(raw, Env{}); err != nil {
			t.Errorf("%s: %v", p.Class, err)
		}
	}
}
