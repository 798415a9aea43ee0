package transform

import (
	"slices"
	"strings"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// projection says which fields of a struct go where: most transforms copy a struct into one of another schema.
type projection struct {
	schema *record.Schema
	from   []int // index in the old struct of each field of the new one, -1: null
}

// apply copies a struct.
func (p *projection) apply(slab *record.Slab, s *record.StructData, nullDefault bool) *record.StructData {
	out := slab.Struct(p.schema)
	for i, from := range p.from {
		if from >= 0 {
			out.Values[i] = fieldAt(s, from, nullDefault)
		}
	}
	return out
}

// add adds a field to a schema that is being made.
func (p *projection) add(fields []record.Field, f record.Field, from int) []record.Field {
	p.from = append(p.from, from)
	return append(fields, f)
}

// replaceField is ReplaceField: it filters and renames fields of the top level.
type replaceField struct {
	on               side
	exclude, include []string
	renames          map[string]string
	nullDefault      bool
	plans            cache[*projection]
}

func newReplaceField(o options, on side) (Transform, error) {
	t := &replaceField{on: on, exclude: o.list("exclude"), include: o.list("include"), renames: map[string]string{}, nullDefault: o.nullDefault()}
	for _, mapping := range o.list("renames") {
		parts := strings.Split(mapping, ":")
		if len(parts) != 2 {
			return nil, errs.E(errs.Invalid, "Invalid value [%s] for configuration renames: Invalid rename mapping: %s", strings.Join(o.list("renames"), ", "), mapping)
		}
		t.renames[parts[0]] = parts[1]
	}
	return t, nil
}

// named returns a field's new name, false where it is left out.
func (t *replaceField) named(name string) (string, bool) {
	if slices.Contains(t.exclude, name) || len(t.include) > 0 && !slices.Contains(t.include, name) {
		return "", false
	}
	if to, ok := t.renames[name]; ok {
		return to, true
	}
	return name, true
}

func (t *replaceField) Apply(slab *record.Slab, r *record.Record) (bool, error) {
	d := t.on.of(r)
	switch {
	case d.Value.IsNull():
		return true, nil
	case d.Schema == nil:
		m, err := mapOf(d.Value, "field replacement")
		if err != nil {
			return false, err
		}
		out := slab.Entries(len(m))[:0]
		for _, e := range m {
			if to, ok := t.named(e.Key.Text()); ok {
				out = append(out, record.Entry{Key: record.StringOf(to), Value: e.Value})
			}
		}
		d.Value = record.MapOf(out)
		return true, nil
	}
	s, err := structOf(*d, "field replacement")
	if err != nil {
		return false, err
	}
	plan, _ := t.plans.once(s.Schema, func() (*projection, error) {
		p := &projection{}
		var fields []record.Field
		for i, f := range s.Schema.Fields {
			if to, ok := t.named(f.Name); ok {
				fields = p.add(fields, record.Field{Name: to, Schema: f.Schema}, i)
			}
		}
		p.schema = basics(s.Schema).WithFields(fields)
		return p, nil
	})
	d.Schema, d.Value = plan.schema, record.StructOf(plan.apply(slab, s, t.nullDefault))
	return true, nil
}

// setSchemaMetadata is SetSchemaMetadata.
type setSchemaMetadata struct {
	on          side
	name        string
	version     *int
	nullDefault bool
	schemas     cache[*record.Schema]
}

func newSetSchemaMetadata(o options, on side) (Transform, error) {
	t := &setSchemaMetadata{on: on, name: o.text("schema.name"), nullDefault: o.nullDefault()}
	n, ok, err := o.number("schema.version")
	if err != nil {
		return nil, err
	}
	if ok {
		t.version = &n
	}
	if _, named := o.lookup("schema.name"); !named && !ok {
		return nil, errs.E(errs.Invalid, "Neither schema name nor version configured")
	}
	return t, nil
}

func (t *setSchemaMetadata) Apply(slab *record.Slab, r *record.Record) (bool, error) {
	d := t.on.of(r)
	if d.Missing() {
		return true, nil
	}
	if d.Schema == nil {
		return false, errs.E(errs.Invalid, "Schema required for [updating schema metadata]")
	}
	schema, _ := t.schemas.once(d.Schema, func() (*record.Schema, error) {
		c := *d.Schema
		if t.name != "" {
			c.Name = t.name
		}
		if t.version != nil {
			c.Version = t.version
		}
		return &c, nil
	})
	if s := d.Value.Struct(); s != nil {
		out := slab.Struct(schema)
		for i := range out.Values {
			out.Values[i] = fieldAt(s, i, t.nullDefault)
		}
		d.Value = record.StructOf(out)
	}
	d.Schema = schema
	return true, nil
}
