package transform

import (
	"strings"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// insertField is InsertField: it adds what the record knows besides its value, and a constant.
type insertField struct {
	on                                       side
	topic, partition, offset, timestamp, own *insertion
	value                                    string
	nullDefault                              bool
	plans                                    cache[*projection]
}

// insertion is a field that is added.
type insertion struct {
	name   string
	schema *record.Schema
}

// insertionOf reads a name that may end in "!", required, or "?", optional, which it is without.
func insertionOf(o options, option string, schema func(optional bool) *record.Schema) *insertion {
	spec := o.text(option)
	if spec == "" {
		return nil
	}
	if name, ok := strings.CutSuffix(spec, "?"); ok {
		return &insertion{name, schema(true)}
	}
	if name, ok := strings.CutSuffix(spec, "!"); ok {
		return &insertion{name, schema(false)}
	}
	return &insertion{spec, schema(true)}
}

func newInsertField(o options, on side) (Transform, error) {
	of := func(t record.Type) func(bool) *record.Schema {
		return func(optional bool) *record.Schema { return record.Of(t, optional) }
	}
	t := &insertField{
		on: on, nullDefault: o.nullDefault(), value: o.text("static.value"),
		topic: insertionOf(o, "topic.field", of(record.String)), partition: insertionOf(o, "partition.field", of(record.Int32)),
		offset: insertionOf(o, "offset.field", of(record.Int64)), timestamp: insertionOf(o, "timestamp.field", record.TimestampSchema),
		own: insertionOf(o, "static.field", of(record.String)),
	}
	if t.topic == nil && t.partition == nil && t.offset == nil && t.timestamp == nil && t.own == nil {
		return nil, errs.E(errs.Invalid, "No field insertion configured")
	}
	if _, ok := o.lookup("static.value"); t.own != nil && !ok {
		return nil, errs.E(errs.Invalid, "Invalid value null for configuration static.value: No value specified for static field: %s", t.own.name)
	}
	return t, nil
}

// each calls do with each insertion and its value for a record; the value is null where the record does not have it.
func (t *insertField) each(r *record.Record, do func(i *insertion, v record.Value)) {
	if t.topic != nil {
		do(t.topic, record.StringOf(r.Topic))
	}
	if t.partition != nil {
		v := record.Null
		if r.Partition != record.NoPartition {
			v = record.IntOf(int64(r.Partition))
		}
		do(t.partition, v)
	}
	if t.timestamp != nil {
		v := record.Null
		if r.Timestamp != nil {
			v = record.IntOf(*r.Timestamp)
		}
		do(t.timestamp, v)
	}
	if t.own != nil {
		do(t.own, record.StringOf(t.value))
	}
}

func (t *insertField) Apply(slab *record.Slab, r *record.Record) (bool, error) {
	d := t.on.of(r)
	if d.Value.IsNull() {
		return true, nil
	}
	if t.offset != nil {
		return false, errs.E(errs.Invalid, "Only SinkRecord supported for [field insertion], found: org.apache.kafka.connect.source.SourceRecord")
	}
	if d.Schema == nil {
		m, err := mapOf(d.Value, "field insertion")
		if err != nil {
			return false, err
		}
		t.each(r, func(i *insertion, v record.Value) {
			if !v.IsNull() {
				m = withEntry(slab, m, i.name, v)
			}
		})
		d.Value = record.MapOf(m)
		return true, nil
	}
	s, err := structOf(*d, "field insertion")
	if err != nil {
		return false, err
	}
	plan, err := t.plans.once(s.Schema, func() (*projection, error) { return t.plan(s.Schema, r) })
	if err != nil {
		return false, err
	}
	out := plan.apply(slab, s, t.nullDefault)
	at := len(s.Values)
	t.each(r, func(_ *insertion, v record.Value) {
		out.Values[at] = v
		at++
	})
	d.Schema, d.Value = plan.schema, record.StructOf(out)
	return true, nil
}

func (t *insertField) plan(s *record.Schema, r *record.Record) (*projection, error) {
	p := &projection{}
	var fields []record.Field
	for i, f := range s.Fields {
		fields = p.add(fields, f, i)
	}
	var err error
	t.each(r, func(i *insertion, _ record.Value) {
		for _, f := range fields {
			if f.Name == i.name {
				err = twice(i.name)
			}
		}
		fields = p.add(fields, record.Field{Name: i.name, Schema: i.schema}, -1)
	})
	p.schema = basics(s).WithFields(fields)
	return p, err
}

// twice is SchemaBuilder's error of a field that there is already.
func twice(name string) error {
	return errs.E(errs.Invalid, "Cannot create field because of field name duplication %s", name)
}
