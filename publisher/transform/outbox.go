package transform

import (
	"strings"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// outbox is outbox.EventRouter: rows of an outbox table become events of topics that the rows name.
type outbox struct {
	env                                  Env
	invalid                              string
	id, key, payload, timestamp, version string
	routeBy                              string
	route                                *rewrite
	topics                               topicCache
	tombstone, expand                    bool
	expander                             jsonExpander
	additional                           []additionalField
	missingIgnored                       bool
	enveloped                            bool // a field goes into the envelope, so there is one
	warned                               map[string]bool

	schemas   []payloadSchema
	versioned map[int64]*record.Schema
}

// additionalField is an element of table.fields.additional.placement.
type additionalField struct{ column, placement, alias string }

// payloadSchema is the schema of an envelope around a payload.
type payloadSchema struct{ payload, whole *record.Schema }

// maxPayloadSchemas bounds the schemas that are remembered.
const maxPayloadSchemas = 256

func newOutbox(o options, _ side) (Transform, error) {
	t := &outbox{
		env: o.env, invalid: o.word("table.op.invalid.behavior"), id: o.text("table.field.event.id"), key: o.text("table.field.event.key"),
		payload: o.text("table.field.event.payload"), timestamp: o.text("table.field.event.timestamp"), version: o.text("table.field.event.schema.version"),
		routeBy: o.text("route.by.field"), tombstone: o.flag("route.tombstone.on.empty.payload"), expand: o.flag("table.expand.json.payload"),
		missingIgnored: o.word("table.field.additional.missing") == "ignore", warned: map[string]bool{}, versioned: map[int64]*record.Schema{},
		expander: jsonExpander{
			nullBytes: o.word("table.json.payload.null.behavior") == "optional_bytes", emptyStrings: o.word("table.json.payload.empty.array.behavior") == "optional_string",
			fieldNames: o.word("field.name.adjustment.mode"),
		},
	}
	for _, spec := range splitList(o.text("table.fields.additional.placement")) {
		parts := strings.Split(spec, ":")
		if len(parts) != 2 && len(parts) != 3 {
			return nil, errs.E(errs.Invalid, "Invalid value %s for configuration table.fields.additional.placement: A comma-separated list of valid String pairs or trios is expected but got: [%[1]s]",
				o.text("table.fields.additional.placement"))
		}
		f := additionalField{strings.TrimSpace(parts[0]), strings.ToLower(strings.TrimSpace(parts[1])), strings.TrimSpace(parts[0])}
		if len(parts) == 3 {
			f.alias = strings.TrimSpace(parts[2])
		}
		switch f.placement {
		case "envelope":
			t.enveloped = true
		case "header", "partition":
		default:
			return nil, errs.E(errs.Invalid, "%stable.fields.additional.placement: %s is none of header, envelope, partition", o.prefix, f.placement)
		}
		t.additional = append(t.additional, f)
	}
	var err error
	t.route, err = newRewrite(o, "route.topic.regex", "route.topic.replacement")
	return t, err
}

func (t *outbox) Apply(slab *record.Slab, r *record.Record) (bool, error) {
	if r.Value.Value.IsNull() {
		return false, nil
	}
	if !isEnvelope(r.Value) {
		return true, nil
	}
	e, err := structOf(r.Value, "Detect Debezium Operation")
	if err != nil {
		return false, err
	}
	switch operation(e) {
	case "d":
		return false, nil
	case "u":
		if t.invalid == "fatal" {
			return false, errs.E(errs.Invalid, "Unexpected update message received %s, fail.", describe(r))
		}
		t.warn("Unexpected update message received and ignored", "topic", r.Topic)
		return false, nil
	}
	row := e.Get(fieldAfter).Struct()
	if row == nil { // a truncate
		return false, errs.E(errs.Invalid, "Only Struct objects supported for [Read Outbox Event], found: null")
	}
	return true, t.event(slab, r, e, row)
}

// warn logs a cause once.
func (t *outbox) warn(message string, args ...any) {
	if t.env.Log != nil && !t.warned[message] {
		t.env.Log.Warn(message, args...)
	}
	t.warned[message] = true
}

// event makes the event of a row.
func (t *outbox) event(slab *record.Slab, r *record.Record, e, row *record.StructData) error {
	at := row.Schema.Field(t.payload)
	if at < 0 {
		return errs.E(errs.Invalid, "Unable to find payload field %s in event", t.payload)
	}
	payload := record.Data{Schema: row.Schema.Fields[at].Schema, Value: row.At(at)}
	timestamp, err := t.eventTime(e, row)
	if err != nil {
		return err
	}
	idSchema := row.Schema.FieldSchema(t.id)
	if idSchema == nil {
		return errs.E(errs.Invalid, "Unable to find event-id field %s in event", t.id)
	}
	addInPlace(slab, r, record.Header{Name: "id", Data: record.Data{Schema: idSchema, Value: row.Get(t.id)}})
	if t.expand {
		t.expandPayload(slab, &payload)
	}
	topic, _, err := textField(row, t.routeBy)
	if err != nil {
		return err
	}
	value := payload
	if t.enveloped {
		if value, err = t.envelope(slab, row, payload, topic); err != nil {
			return err
		}
	}
	if err := t.place(slab, r, row, value.Value.Struct()); err != nil {
		return err
	}
	r.Value = value
	if t.tombstone && empty(payload.Value) {
		r.Value = record.Data{}
	}
	r.Key = record.Data{Schema: row.Schema.FieldSchema(t.key), Value: record.Null}
	if r.Key.Schema == nil {
		return errs.E(errs.Invalid, "%s is not a valid field name", t.key)
	}
	r.Key.Value = row.Get(t.key)
	r.Timestamp = timestamp
	r.Topic = t.topics.once(topic, func() string {
		to, _ := t.route.apply(topic)
		return to
	})
	return nil
}

func empty(v record.Value) bool {
	switch v.Kind() {
	case record.NullKind:
		return true
	case record.StringKind:
		return strings.TrimSpace(v.Text()) == ""
	}
	return false
}

// expandPayload replaces JSON text by what it holds. Where that cannot be, the value stays text; if only its value could not be made, its schema has
// changed already, and the converter refuses the record: so it is in Debezium.
func (t *outbox) expandPayload(slab *record.Slab, payload *record.Data) {
	switch payload.Value.Kind() {
	case record.NullKind:
	case record.StringKind:
		expanded, found, err := t.expander.expand(slab, t.payload, payload.Value.Text())
		if found {
			payload.Schema = expanded.Schema
		}
		if err != nil {
			t.warn("JSON expansion failed", "error", err)
			return
		}
		payload.Value = expanded.Value
	default:
		t.warn("Expand JSON payload is turned on but payload is not a string")
	}
}

// place puts additional fields where they belong; out is the envelope.
func (t *outbox) place(slab *record.Slab, r *record.Record, row, out *record.StructData) error {
	r.Partition = record.NoPartition
	for _, f := range t.additional {
		at := row.Schema.Field(f.column)
		if at < 0 {
			if t.missingIgnored {
				continue
			}
			return errs.E(errs.Invalid, "%s is not a valid field name", f.column)
		}
		schema, v := row.Schema.Fields[at].Schema, row.At(at)
		switch f.placement {
		case "envelope":
			out.Values[out.Schema.Field(f.alias)] = v
		case "header":
			addInPlace(slab, r, record.Header{Name: f.alias, Data: record.Data{Schema: schema, Value: v}})
		default:
			if schema.Type != record.Int32 {
				return errs.E(errs.Invalid, "Field '%s' is not of type INT32", f.column)
			}
			if !v.IsNull() {
				r.Partition = int32(v.Int())
			}
		}
	}
	return nil
}

// eventTime returns the record's timestamp: that of the row if a column has it, else that of the event.
func (t *outbox) eventTime(e, row *record.StructData) (*int64, error) {
	at := func(v record.Value, per int64) (*int64, error) {
		if v.IsNull() {
			return nil, nil
		}
		ms := v.Int() / per
		return &ms, nil
	}
	if t.timestamp == "" {
		return at(e.Get(fieldTsMs), 1)
	}
	schema := row.Schema.FieldSchema(t.timestamp)
	if schema == nil {
		return nil, errs.E(errs.Invalid, "Unable to find timestamp field %s in event", t.timestamp)
	}
	v, err := typedField(row, t.timestamp, record.Int64)
	if err != nil {
		return nil, err
	}
	if v.IsNull() {
		return at(e.Get(fieldTsMs), 1)
	}
	switch schema.Name {
	case "":
		return nil, errs.E(errs.Invalid, "Unsupported field type %s (without logical schema name) for event timestamp", schema.Type)
	case "io.debezium.time.Timestamp":
		return at(v, 1)
	case "io.debezium.time.MicroTimestamp":
		return at(v, 1e3)
	case "io.debezium.time.NanoTimestamp":
		return at(v, 1e6)
	}
	return nil, errs.E(errs.Invalid, "Unsupported field type %s for event timestamp", schema.Name)
}

// envelope puts a payload into a struct that has fields of the row beside it.
func (t *outbox) envelope(slab *record.Slab, row *record.StructData, payload record.Data, topic string) (record.Data, error) {
	schema, err := t.envelopeSchema(row, payload.Schema, topic)
	if err != nil {
		return record.Data{}, err
	}
	out := slab.Struct(schema)
	out.Values[0] = payload.Value
	return record.Data{Schema: schema, Value: record.StructOf(out)}, nil
}

// envelopeSchema returns the schema around a payload's. As in Debezium it bears the name of the first topic that had such a payload.
func (t *outbox) envelopeSchema(row *record.StructData, payload *record.Schema, topic string) (*record.Schema, error) {
	if t.version != "" {
		v, err := typedField(row, t.version, record.Int32)
		if err != nil {
			return nil, err
		}
		if s := t.versioned[v.Int()]; s != nil {
			return s, nil
		}
		s, err := t.newEnvelopeSchema(row.Schema, payload, topic)
		if err != nil {
			return nil, err
		}
		if n := int(v.Int()); !v.IsNull() {
			s.Version = &n
		}
		if len(t.versioned) >= maxPayloadSchemas {
			clear(t.versioned)
		}
		t.versioned[v.Int()] = s
		return s, nil
	}
	for _, known := range t.schemas {
		if known.payload.Equal(payload) {
			return known.whole, nil
		}
	}
	s, err := t.newEnvelopeSchema(row.Schema, payload, topic)
	if err != nil {
		return nil, err
	}
	if len(t.schemas) >= maxPayloadSchemas {
		t.schemas = nil
	}
	t.schemas = append(t.schemas, payloadSchema{payload, s})
	return s, nil
}

func (t *outbox) newEnvelopeSchema(row, payload *record.Schema, topic string) (*record.Schema, error) {
	fields := []record.Field{{Name: "payload", Schema: payload}}
	for _, f := range t.additional {
		if f.placement != "envelope" {
			continue
		}
		schema := row.FieldSchema(f.column)
		if schema == nil {
			if t.missingIgnored {
				continue
			}
			return nil, errs.E(errs.Invalid, "Unable to find field %s in event", f.column)
		}
		fields = append(fields, record.Field{Name: f.alias, Schema: schema})
	}
	s := record.NewStruct(fields)
	s.Name = strings.Clone(topic)
	if at := strings.LastIndexByte(row.Name, '.'); row.Name != "" {
		s.Name = row.Name[:at+1] + topic + "." + row.Name[at+1:]
	}
	return s, nil
}
