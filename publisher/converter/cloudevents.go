package converter

import (
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/rowmesh/rowmesh/publisher/convert"
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

// metadataSource says where attributes come from: metadata.source.
type metadataSource struct {
	headers                  bool // the source block, the operation and the transaction
	id, kind, trace, dataSet cloudSource
}

type cloudSource uint8

const (
	fromValue cloudSource = iota
	fromHeader
	generated
)

func metadataSourceOf(o options, tracing bool) (metadataSource, error) {
	parts := o.list("metadata.source")
	if len(parts) == 0 {
		parts = []string{"value", "id:generate", "type:generate", "traceparent:header", "dataSchemaName:generate"}
	}
	sources := map[string]cloudSource{"value": fromValue, "header": fromHeader, "generate": generated}
	global, ok := sources[strings.ToLower(parts[0])]
	if !ok || global == generated {
		return metadataSource{}, o.invalid("metadata.source", "Global metadata source can't be %s: begin with value or header", parts[0])
	}
	m := metadataSource{headers: global == fromHeader, id: global, kind: global, trace: global, dataSet: global}
	for _, part := range parts[1:] {
		name, text, _ := strings.Cut(part, ":")
		source, ok := sources[strings.ToLower(strings.TrimSpace(text))]
		if !ok || source == fromValue {
			return m, o.invalid("metadata.source", "Field source `%s` is not valid: use header or generate", text)
		}
		switch name {
		case "id":
			m.id = source
		case "type":
			m.kind = source
		case "traceparent":
			m.trace = source
		case "dataSchemaName":
			m.dataSet = source
		default:
			return m, o.invalid("metadata.source", "Field `%s` is not allowed to set custom source: use id, type, traceparent or dataSchemaName", name)
		}
	}
	if m.dataSet == fromHeader && !o.is("schema.data.name.source.header.enable", false) {
		m.dataSet = generated
	}
	return m, nil
}

// cloudRecord is what one record says of itself.
type cloudRecord struct {
	data        *record.StructData
	source, txn *record.StructData
	op          record.Value
	id, kind    record.Value // null where they are generated
	trace       record.Value
	dataName    string
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
	r, err := c.read(headers, d)
	if err == nil {
		dst, err = c.write(dst, topic, d.Schema, r)
	}
	if err != nil {
		return dst[:start], false, errs.E(errs.KindOf(err), "%s, topic %s: %w", c.option, topic, err)
	}
	return dst, false, nil
}

func header(headers []record.Header, name string) record.Value {
	for i := len(headers) - 1; i >= 0; i-- {
		if headers[i].Name == name {
			return headers[i].Value
		}
	}
	return record.Null
}

// read takes the attributes from where metadata.source says.
func (c *cloudEvents) read(headers []record.Header, d record.Data) (r cloudRecord, err error) {
	if r.data = d.Value.Struct(); r.data == nil {
		return r, errs.E(errs.Invalid, "Mismatching schema")
	}
	if c.meta.headers {
		r.source, r.op, r.txn = header(headers, "source").Struct(), header(headers, "op"), header(headers, "transaction").Struct()
	} else {
		r.source, r.op, r.txn = r.data.Get("source").Struct(), r.data.Get("op"), r.data.Get("transaction").Struct()
	}
	if r.source == nil {
		return r, errs.E(errs.Invalid, "the record has no source block: set metadata.source to header where a transform moved it there")
	}
	for _, a := range []struct {
		name string
		from cloudSource
		to   *record.Value
	}{{"id", c.meta.id, &r.id}, {"type", c.meta.kind, &r.kind}} {
		switch a.from {
		case fromHeader:
			if *a.to = header(headers, a.name); a.to.IsNull() {
				return r, errs.E(errs.Invalid, "Header `%s` was not provided", a.name)
			}
		case fromValue:
			return r, errs.E(errs.Invalid, "Invalid value: null used for required field: %q, schema type: STRING: set metadata.source to value,id:generate,type:generate", a.name)
		}
	}
	if c.tracing {
		if c.meta.trace != fromHeader {
			return r, errs.E(errs.Invalid, "Value for `traceparent` CloudEvents field currently can't be obtained from a record value and can only be obtained from a record header")
		}
		if r.trace = header(headers, "traceparent"); r.trace.IsNull() {
			return r, errs.E(errs.Invalid, "Header `traceparent` was not provided")
		}
	}
	if c.meta.dataSet == fromHeader {
		v := header(headers, "dataSchemaName")
		if v.Kind() != record.StringKind {
			return r, errs.E(errs.Invalid, "Header `dataSchemaName` was not provided")
		}
		r.dataName = v.Text()
	}
	return r, nil
}

// cloudPlan is the schema of the events of one table.
type cloudPlan struct {
	event *record.Schema
	data  *record.Schema
	empty *record.StructData // what data's text replaces
	from  []int              // the fields of the record that data has
	// What names were made of; another value means another plan.
	server, database, dataName string
	source                     *record.Schema
}

func (c *cloudEvents) plan(s *record.Schema, r *cloudRecord) (*cloudPlan, error) {
	server, database := r.source.Get("name").Text(), r.source.Get("db").Text()
	connector := r.source.Get("connector").Text()
	if p, ok := c.plans[s]; ok && p.server == server && p.database == database && p.dataName == r.dataName && p.source == r.source.Schema {
		return p, nil
	}
	if connector != "mysql" && connector != "mariadb" {
		return nil, errs.E(errs.Invalid, "No usable CloudEvents converters for connector type %q", connector)
	}
	p := &cloudPlan{server: strings.Clone(server), database: strings.Clone(database), dataName: strings.Clone(r.dataName), source: r.source.Schema}
	if err := c.planData(p, s, connector, r.dataName); err != nil {
		return nil, err
	}
	if err := c.planEvent(p, r.source.Schema); err != nil {
		return nil, err
	}
	if len(c.plans) >= maxCloudPlans {
		clear(c.plans)
	}
	c.plans[s] = p
	return p, nil
}

// planData makes the schema of the data: before and after for MySQL, all of the envelope for MariaDB, all of the record where the metadata are in headers.
func (c *cloudEvents) planData(p *cloudPlan, s *record.Schema, connector, name string) error {
	var fields []record.Field
	if connector == "mysql" && !c.meta.headers {
		for _, name := range []string{"before", "after"} {
			i := s.Field(name)
			if i < 0 {
				return errs.E(errs.Invalid, "the envelope %s has no field %s", s.Name, name)
			}
			fields, p.from = append(fields, s.Fields[i]), append(p.from, i)
		}
	} else {
		for i := range s.Fields {
			fields, p.from = append(fields, s.Fields[i]), append(p.from, i)
		}
	}
	p.data = record.NewStruct(fields)
	if p.data.Name = name; name == "" {
		p.data.Name = "io.debezium.connector." + connector + ".Data"
	}
	return nil
}

func (c *cloudEvents) planEvent(p *cloudPlan, source *record.Schema) error {
	text := record.Of(record.String, false)
	var fields []record.Field
	add := func(name string, s *record.Schema) { fields = append(fields, record.Field{Name: name, Schema: s}) }
	for _, name := range []string{"id", "source", "specversion", "type", "time", "datacontenttype"} {
		add(name, text)
	}
	if c.dataAvro {
		add("dataschema", text)
	}
	if c.tracing {
		add("traceparent", text)
	}
	if c.extensions {
		add(extensionName("op"), text)
		for i := range source.Fields {
			s, err := extensionSchema(source.Fields[i].Schema)
			if err != nil {
				return err
			}
			add(extensionName(source.Fields[i].Name), s)
		}
		for _, name := range transactionFields {
			add(extensionName("tx"+name), record.Of(record.String, true))
		}
	}
	switch {
	case c.dataAvro:
		add("data", record.Of(record.Bytes, false))
	case c.splice:
		p.empty = &record.StructData{Schema: record.NewStruct(nil)}
		add("data", p.empty.Schema)
	default:
		add("data", p.data)
	}
	p.event = record.NewStruct(fields)
	if p.event.Name = c.name; c.name == "" {
		p.event.Name = p.server + "." + p.database + ".CloudEvents.Envelope"
	}
	p.event.Name = convert.AdjustSchemaName(c.adjust, p.event.Name)
	return nil
}

// transactionFields are those of the transaction block.
var transactionFields = [...]string{"id", "total_order", "data_collection_order"}

// extensionName makes an attribute's name: letters and digits.
func extensionName(name string) string {
	out := []byte("iodebezium")
	for i := range len(name) {
		if c := name[i]; isNameByte(c) && c != '_' {
			out = append(out, c)
		}
	}
	return string(out)
}

// extensionSchema returns the schema of a source field as an attribute: CloudEvents has no 64-bit integers, so they are texts.
func extensionSchema(s *record.Schema) (*record.Schema, error) {
	switch s.Type {
	case record.Boolean:
		return record.Of(record.Boolean, s.Optional), nil
	case record.Int8, record.Int16, record.Int32:
		return record.Of(record.Int32, s.Optional), nil
	case record.String, record.Int64:
		return record.Of(record.String, s.Optional), nil
	}
	return nil, errs.E(errs.Invalid, "Source field of type %s cannot be converted into CloudEvents extension attribute.", s.Type)
}

// write appends the event of a record.
func (c *cloudEvents) write(dst []byte, topic string, s *record.Schema, r cloudRecord) ([]byte, error) {
	p, err := c.plan(s, &r)
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
	c.values = c.attributes(&r)
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
