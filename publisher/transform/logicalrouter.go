package transform

import (
	"strings"

	"github.com/rowmesh/rowmesh/publisher/convert"
	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// logicalRouter is ByLogicalTableRouter: topics of many tables become one, the schemas take its name, and keys say which table they are from.
type logicalRouter struct {
	topic    *rewrite
	unique   bool
	keyField string
	keyName  *rewrite // nil: the topic as it was
	mode     string

	topics, names topicCache
	keys          cache[*record.Schema]
	envelopes     cache[*record.Schema]
}

func newLogicalRouter(o options, _ side) (Transform, error) {
	t := &logicalRouter{unique: o.flag("key.enforce.uniqueness"), keyField: o.text("key.field.name"), mode: o.word("schema.name.adjustment.mode")}
	if t.keyField == "" {
		t.keyField = "__dbz__physicalTableIdentifier"
	}
	var err error
	if t.topic, err = newRewrite(o, "topic.regex", "topic.replacement"); err != nil {
		return nil, err
	}
	if strings.TrimSpace(o.text("key.field.regex")) == "" {
		return t, nil
	}
	if strings.TrimSpace(o.text("key.field.replacement")) == "" {
		return nil, errs.E(errs.Invalid, "key.field.replacement must be non-empty if key.field.regex is set.")
	}
	t.keyName, err = newRewrite(o, "key.field.regex", "key.field.replacement")
	return t, err
}

// unrouted marks topics that the pattern does not match; no topic has this name.
const unrouted = "\x00"

func (t *logicalRouter) Apply(slab *record.Slab, r *record.Record) (bool, error) {
	old := r.Topic
	topic := t.topics.once(old, func() string {
		to, ok := t.topic.apply(old)
		if !ok || to == "" {
			return unrouted
		}
		return to
	})
	if topic == unrouted {
		return true, nil
	}
	r.Topic = topic
	if r.Key.Value.IsNull() {
		r.Key = record.Data{}
	} else {
		key, err := structOf(r.Key, "Updating schema")
		if err != nil {
			return false, err
		}
		r.Key = t.key(slab, key, topic, old)
	}
	if r.Value.Value.IsNull() || !isEnvelope(r.Value) {
		return true, nil
	}
	e, err := structOf(r.Value, "Updating schema")
	if err != nil {
		return false, err
	}
	schema, _ := t.envelopes.once(e.Schema, func() (*record.Schema, error) { return t.envelopeSchema(e.Schema, topic), nil })
	out := slab.Struct(schema)
	for i, f := range schema.Fields {
		v := e.At(i)
		if row := v.Struct(); row != nil && (f.Name == fieldBefore || f.Name == fieldAfter) {
			renamed := slab.Struct(f.Schema)
			copy(renamed.Values, row.Values)
			v = record.StructOf(renamed)
		}
		out.Values[i] = v
	}
	r.Value = record.Data{Schema: schema, Value: record.StructOf(out)}
	return true, nil
}

func (t *logicalRouter) key(slab *record.Slab, key *record.StructData, topic, old string) record.Data {
	schema, _ := t.keys.once(key.Schema, func() (*record.Schema, error) {
		fields := append([]record.Field(nil), key.Schema.Fields...)
		if t.unique {
			fields = append(fields, record.Field{Name: t.keyField, Schema: record.Of(record.String, false)})
		}
		s := key.Schema.WithFields(fields)
		s.Name, s.Default = t.schemaName(topic+".Key"), record.Null
		return s, nil
	})
	out := slab.Struct(schema)
	copy(out.Values, key.Values)
	if t.unique {
		table := old
		if t.keyName != nil {
			table = t.names.once(old, func() string {
				to, _ := t.keyName.apply(old)
				return to
			})
		}
		out.Values[len(key.Values)] = record.StringOf(table)
	}
	return record.Data{Schema: schema, Value: record.StructOf(out)}
}

func (t *logicalRouter) envelopeSchema(s *record.Schema, topic string) *record.Schema {
	at := max(s.Field(fieldBefore), 0)
	if s.Field(fieldBefore) < 0 {
		at = max(s.Field(fieldAfter), 0)
	}
	row := *s.Fields[at].Schema
	row.Name, row.Default = t.schemaName(topic+".Value"), record.Null
	fields := append([]record.Field(nil), s.Fields...)
	for i := range fields {
		if n := fields[i].Name; n == fieldBefore || n == fieldAfter {
			fields[i].Schema = &row
		}
	}
	out := s.WithFields(fields)
	out.Name, out.Default = t.schemaName(topic+".Envelope"), record.Null
	return out
}

func (t *logicalRouter) schemaName(name string) string { return convert.AdjustSchemaName(t.mode, name) }
