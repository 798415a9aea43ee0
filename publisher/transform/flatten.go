package transform

import (
	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// flatten is Flatten: the fields of nested structs move to the top, their names joined.
type flatten struct {
	on        side
	delimiter string
	plans     cache[*flatPlan]
}

// flatPlan is the schema that comes out and where each of its fields is in what comes in.
type flatPlan struct {
	schema *record.Schema
	paths  [][]int
}

func newFlatten(o options, on side) (Transform, error) {
	return &flatten{on: on, delimiter: o.text("delimiter")}, nil
}

func (t *flatten) join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + t.delimiter + name
}

func (t *flatten) Apply(slab *record.Slab, r *record.Record) (bool, error) {
	d := t.on.of(r)
	switch {
	case d.Value.IsNull():
		return true, nil
	case d.Schema == nil:
		m, err := mapOf(d.Value, "flattening")
		if err != nil {
			return false, err
		}
		out, err := t.entries(nil, m, "")
		d.Value = record.MapOf(out)
		return err == nil, err
	}
	s, err := structOf(*d, "flattening")
	if err != nil {
		return false, err
	}
	plan, err := t.plans.once(d.Schema, func() (*flatPlan, error) {
		p := &flatPlan{}
		fields, err := t.plan(p, nil, d.Schema, "", nil, d.Schema.Optional, d.Schema.Default)
		p.schema = basics(d.Schema).WithFields(fields)
		return p, err
	})
	if err != nil {
		return false, err
	}
	out := slab.Struct(plan.schema)
	for i, path := range plan.paths {
		from, v := s, record.Null
		for depth, at := range path {
			if v = from.At(at); depth < len(path)-1 {
				if from = v.Struct(); from == nil {
					v = record.Null
					break
				}
			}
		}
		out.Values[i] = v
	}
	d.Schema, d.Value = plan.schema, record.StructOf(out)
	return true, nil
}

// plan appends the fields that a struct becomes.
func (t *flatten) plan(p *flatPlan, fields []record.Field, s *record.Schema, prefix string, path []int, optional bool, parent record.Value) ([]record.Field, error) {
	for i, f := range s.Fields {
		name := t.join(prefix, f.Name)
		def := f.Schema.Default
		if d := parent.Struct(); def.IsNull() && d != nil {
			def = d.At(i)
		}
		here := append(append([]int(nil), path...), i)
		fieldOptional := optional || f.Schema.Optional
		switch f.Schema.Type {
		case record.Struct:
			var err error
			if fields, err = t.plan(p, fields, f.Schema, name, here, fieldOptional, def); err != nil {
				return nil, err
			}
		case record.Map:
			return nil, errs.E(errs.Invalid, "Flatten transformation does not support %s for record with schemas (for field %s).", f.Schema.Type, name)
		default:
			c := basics(f.Schema)
			c.Optional, c.Default = fieldOptional, def
			fields = append(fields, record.Field{Name: name, Schema: c})
			p.paths = append(p.paths, here)
		}
	}
	return fields, nil
}

// entries appends the entries that a map becomes.
func (t *flatten) entries(out, m []record.Entry, prefix string) ([]record.Entry, error) {
	for _, e := range m {
		name := t.join(prefix, e.Key.Text())
		switch e.Value.Kind() {
		case record.MapKind:
			var err error
			if out, err = t.entries(out, e.Value.Map(), name); err != nil {
				return nil, err
			}
		case record.StructKind:
			return nil, errs.E(errs.Invalid, "Flatten transformation does not support class %s for record without schemas (for field %s).", javaClass(nil, e.Value), name)
		default:
			out = append(out, record.Entry{Key: record.StringOf(name), Value: e.Value})
		}
	}
	return out, nil
}
