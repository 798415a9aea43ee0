package converter

import (
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// cloudEvents is Debezium's CloudEventsConverter: change events as CloudEvents 1.0 in structured mode. Other records, keys among them, become null, as there.
type cloudEvents struct {
	option string
	meta   metadataSource

	// event writes the event; data writes its data where that is not part of the event's own JSON.
	event, data record.Converter
	eventAvro   bool
	dataAvro    bool
	// splice says that data is JSON with its schema, which takes the place of an empty object in the event.
	splice bool

	uriBase    string // of dataschema
	adjust     string // schema.name.adjustment.mode
	name       string // schema.cloudevents.name
	tracing    bool   // opentelemetry.tracing.attributes.enable
	extensions bool   // extension.attributes.enable

	plans map[*record.Schema]*cloudPlan

	// Scratch of Append.
	values, members []record.Value
	whole, around   record.StructData
	record          cloudRecord
	texts, encoded  []byte
}

var _ record.Converter = (*cloudEvents)(nil)

// maxCloudPlans bounds the schemas that are kept, as record.JSON does.
const maxCloudPlans = 1000

func cloudEventsOf(role Role, o options, done <-chan struct{}) (record.Converter, error) {
	c := &cloudEvents{
		option: strings.TrimSuffix(o.prefix, "."), eventAvro: strings.EqualFold(o.get("serializer.type", "json"), "avro"),
		dataAvro: strings.EqualFold(o.get("data.serializer.type", "json"), "avro"),
		adjust:   strings.ToLower(o.get("schema.name.adjustment.mode", "avro")), name: o.get("schema.cloudevents.name", ""),
		tracing: o.is("opentelemetry.tracing.attributes.enable", false), extensions: o.is("extension.attributes.enable", true),
		plans: map[*record.Schema]*cloudPlan{},
	}
	var err error
	if c.meta, err = metadataSourceOf(o, c.tracing); err != nil {
		return nil, err
	}
	if c.eventAvro && !c.dataAvro {
		return nil, o.invalid("data.serializer.type", "Cannot use 'application/json' data content type within Avro events: set it to avro, or serializer.type to json")
	}
	jsonOptions := o.under("json.")
	if !c.eventAvro {
		inner := config.NewConverter("json", jsonOptions.of)
		c.event = &record.JSON{DecimalText: inner.DecimalText, NullDefault: inner.NullDefault}
		if !c.dataAvro && inner.Schemas {
			c.splice = true
			c.data = &record.JSON{Schemas: true, DecimalText: inner.DecimalText, NullDefault: inner.NullDefault}
		}
	}
	if c.dataAvro {
		err = c.useAvro(role, o, done)
	}
	return c, err
}

// useAvro makes the Avro converter, which writes values whatever the role.
func (c *cloudEvents) useAvro(role Role, o options, done <-chan struct{}) error {
	avroOptions := o.under("avro.")
	if _, given := avroOptions.of["apicurio.registry.url"]; given {
		return avroOptions.invalid("apicurio.registry.url", "Apicurio's converter is not spoken: set %s to the registry's address with /apis/ccompat/v7", avroOptions.name("schema.registry.url"))
	}
	if avroOptions.get("schema.registry.url", "") == "" {
		return avroOptions.invalid("schema.registry.url", "Need URL(s) for schema registry instances for CloudEvents when using Apache Avro")
	}
	r, err := newRegistry(avroOptions, false, done)
	if err != nil {
		return err
	}
	f := &avro{avroOptionsOf(avroOptions)}
	c.uriBase = strings.Join(r.urls, ",")
	c.data = newRegistered(f, r, false)
	if c.eventAvro {
		c.event = c.data
	}
	return nil
}

// Append appends the event.
func (c *cloudEvents) Append(dst []byte, topic string, headers []record.Header, d record.Data) ([]byte, bool, error) {
	if d.Schema == nil || d.Value.IsNull() {
		return dst, true, nil
	}
	if c.meta.headers {
		if header(headers, "source").IsNull() || header(headers, "op").IsNull() {
			return dst, true, nil
		}
	} else if !strings.HasSuffix(d.Schema.Name, ".Envelope") {
		return dst, true, nil
	}
	start := len(dst)
	err := c.read(&c.record, headers, d)
	if err == nil {
		dst, err = c.write(dst, topic, d.Schema, &c.record)
	}
	if err != nil {
		return dst[:start], false, errs.E(errs.KindOf(err), "%s, topic %s: %w", c.option, topic, err)
	}
	return dst, false, nil
}

// write appends the event of a record.
func (c *cloudEvents) write(dst []byte, topic string, s *record.Schema, r *cloudRecord) ([]byte, error) {
	p, err := c.plan(s, r)
	if err != nil {
		return dst, err
	}
	c.members = c.members[:0]
	for _, i := range p.from {
		c.members = append(c.members, r.data.Values[i])
	}
	c.whole = record.StructData{Schema: p.data, Values: c.members}
	whole := record.Data{Schema: p.data, Value: record.StructOf(&c.whole)}
	if c.data != nil {
		to := topic
		if c.eventAvro {
			to += "-data" // the data's subject stands beside the event's
		}
		if c.encoded, _, err = c.data.Append(c.encoded[:0], to, nil, whole); err != nil {
			return dst, err
		}
	}
	c.values = c.attributes(r)
	switch {
	case c.dataAvro:
		c.values = append(c.values, record.BytesOf(c.encoded))
	case c.splice:
		c.values = append(c.values, record.StructOf(p.empty))
	default:
		c.values = append(c.values, whole.Value)
	}
	c.around = record.StructData{Schema: p.event, Values: c.values}
	dst, _, err = c.event.Append(dst, topic, nil, record.Data{Schema: p.event, Value: record.StructOf(&c.around)})
	if err == nil && c.splice {
		dst = append(append(dst[:len(dst)-len("{}}")], c.encoded...), '}')
	}
	return dst, err
}

// attributes returns the values before data, in the order of planEvent.
func (c *cloudEvents) attributes(r *cloudRecord) []record.Value {
	c.texts = c.texts[:0]
	values := c.values[:0]
	src := r.source
	id := r.id
	if id.IsNull() {
		id = c.text("name:", src.Get("name"), ";file:", src.Get("file"), ";pos:", src.Get("pos"))
	}
	kind := r.kind
	if kind.IsNull() {
		kind = c.text("io.debezium.connector.", src.Get("connector"), ".DataChangeEvent", record.Null, "", record.Null)
	}
	from := c.text("/debezium/", src.Get("connector"), "/", src.Get("name"), "", record.Null)
	at := len(c.texts)
	c.texts = time.UnixMilli(src.Get("ts_ms").Int()).UTC().AppendFormat(c.texts, "2006-01-02T15:04:05.000Z07:00")
	content := "application/json"
	if c.dataAvro {
		content = "application/avro"
	}
	values = append(values, id, from, record.StringOf("1.0"), kind, record.TextOf(c.texts[at:]), record.StringOf(content))
	if c.dataAvro {
		at = len(c.texts)
		c.texts = strconv.AppendUint(append(append(c.texts, c.uriBase...), "/schemas/ids/"...), uint64(binary.BigEndian.Uint32(c.encoded[1:])), 10)
		values = append(values, record.TextOf(c.texts[at:]))
	}
	if c.tracing {
		values = append(values, r.trace)
	}
	if c.extensions {
		values = append(values, r.op)
		for i := range src.Schema.Fields {
			v := src.At(i)
			if src.Schema.Fields[i].Schema.Type == record.Int64 {
				v = c.number(v)
			}
			values = append(values, v)
		}
		for _, name := range transactionFields {
			if r.txn == nil {
				values = append(values, record.Null)
				continue
			}
			values = append(values, c.number(r.txn.Get(name)))
		}
	}
	return values
}

// text joins words and values.
func (c *cloudEvents) text(a string, x record.Value, b string, y record.Value, d string, z record.Value) record.Value {
	at := len(c.texts)
	for _, part := range [...]struct {
		word  string
		value record.Value
	}{{a, x}, {b, y}, {d, z}} {
		c.texts = append(c.texts, part.word...)
		if part.value.Kind() == record.IntKind {
			c.texts = strconv.AppendInt(c.texts, part.value.Int(), 10)
		} else {
			c.texts = append(c.texts, part.value.Bytes()...)
		}
	}
	return record.TextOf(c.texts[at:])
}

// number returns a 64-bit integer as a text; other values as they are.
func (c *cloudEvents) number(v record.Value) record.Value {
	if v.Kind() != record.IntKind {
		return v
	}
	at := len(c.texts)
	c.texts = strconv.AppendInt(c.texts, v.Int(), 10)
	return record.TextOf(c.texts[at:])
}
