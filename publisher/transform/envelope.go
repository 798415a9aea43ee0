package transform

import (
	"strings"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// Names of fields of Debezium's envelope.
const (
	fieldBefore      = "before"
	fieldAfter       = "after"
	fieldSource      = "source"
	fieldOp          = "op"
	fieldTransaction = "transaction"
	fieldTsMs        = "ts_ms"
)

// isEnvelope reports whether a value is a change event: its schema's name says so.
func isEnvelope(d record.Data) bool {
	return d.Schema != nil && strings.HasSuffix(d.Schema.Name, ".Envelope")
}

// isSchemaChange reports whether a value is an event of the schema change topic.
func isSchemaChange(d record.Data) bool {
	return d.Schema != nil && strings.HasSuffix(d.Schema.Name, ".SchemaChangeValue")
}

// textField returns a field that must be text, with Java's errors where it is not one. ok is false where it is null.
func textField(d *record.StructData, name string) (text string, ok bool, err error) {
	v, err := typedField(d, name, record.String)
	if err != nil || v.IsNull() {
		return "", false, err
	}
	return v.Text(), true, nil
}

// typedField is Java's Struct.getString and its like.
func typedField(d *record.StructData, name string, t record.Type) (record.Value, error) {
	at := d.Schema.Field(name)
	switch {
	case at < 0:
		return record.Null, errs.E(errs.Invalid, "%s is not a valid field name", name)
	case d.Schema.Fields[at].Schema.Type != t:
		return record.Null, errs.E(errs.Invalid, "Field '%s' is not of type %s", name, t)
	}
	return d.At(at), nil
}

// operation returns the operation of an envelope.
func operation(d *record.StructData) string { return d.Raw(fieldOp).Text() }

// with returns a copy of a struct in which one field has another value.
func with(slab *record.Slab, d *record.StructData, at int, v record.Value) *record.StructData {
	out := slab.Struct(d.Schema)
	copy(out.Values, d.Values)
	out.Values[at] = v
	return out
}

// readToInsert is ReadToInsertEvent: a row of a snapshot reads as one that was inserted.
type readToInsert struct{}

func newReadToInsert(options, side) (Transform, error) { return readToInsert{}, nil }

func (readToInsert) Apply(slab *record.Slab, r *record.Record) (bool, error) {
	d := r.Value.Value.Struct()
	if d == nil || !isEnvelope(r.Value) || operation(d) != "r" {
		return true, nil
	}
	r.Value.Value = record.StructOf(with(slab, d, d.Schema.Field(fieldOp), record.StringOf("c")))
	return true, nil
}

// schemaChangeFilter is SchemaChangeEventFilter.
type schemaChangeFilter map[string]bool

// schemaChangeTypes are the names of Debezium's SchemaChangeEventType.
var schemaChangeTypes = []string{"CREATE", "ALTER", "DROP", "TRUNCATE", "DATABASE"}

func newSchemaChangeFilter(o options, _ side) (Transform, error) {
	t := schemaChangeFilter{}
	for _, name := range strings.Split(o.text("schema.change.event.exclude.list"), ",") {
		name = strings.TrimSpace(name)
		known := false
		for _, k := range schemaChangeTypes {
			known = known || k == name
		}
		if !known {
			return nil, errs.E(errs.Invalid, "No enum constant io.debezium.schema.SchemaChangeEvent.SchemaChangeEventType.%s", name)
		}
		t[name] = true
	}
	return t, nil
}

func (t schemaChangeFilter) Apply(_ *record.Slab, r *record.Record) (bool, error) {
	d := r.Value.Value.Struct()
	if d == nil || !isSchemaChange(r.Value) {
		return true, nil
	}
	changes := d.Get("tableChanges")
	if changes.IsNull() {
		return false, nil
	}
	kind := "DATABASE"
	if list := changes.List(); len(list) > 0 {
		kind = list[0].Struct().Get("type").Text()
	}
	return !t[kind], nil
}

func (readToInsert) sharesHeaders() {}

func (schemaChangeFilter) sharesHeaders() {}
