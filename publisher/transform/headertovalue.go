package transform

import (
	"slices"
	"strings"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// headerToValue is HeaderToValue: headers become fields, of nested structs too.
type headerToValue struct {
	headers []string
	fields  [][]string
	move    bool
	schemas cache[map[string]*record.Schema]
}

// newEntry is a field that is added.
type newEntry struct {
	path []string
	data record.Data
}

func newHeaderToValue(o options, _ side) (Transform, error) {
	t := &headerToValue{headers: o.list("headers"), move: o.word("operation") == "move"}
	for _, name := range o.list("fields") {
		t.fields = append(t.fields, strings.Split(name, "."))
	}
	if len(t.fields) != len(t.headers) {
		return nil, errs.E(errs.Invalid, "'fields' config must have the same number of elements as 'headers' config.")
	}
	return t, nil
}

func (t *headerToValue) Apply(slab *record.Slab, r *record.Record) (bool, error) {
	if r.Value.Value.IsNull() {
		return true, nil
	}
	s, err := structOf(r.Value, "Header field insertion")
	if err != nil {
		return false, err
	}
	var added []newEntry
	var names strings.Builder
	for _, h := range r.Headers {
		if i := slices.Index(t.headers, h.Name); i >= 0 {
			added = append(added, newEntry{t.fields[i], h.Data})
			names.WriteString(h.Name + "\x00")
		}
	}
	if added == nil {
		return true, nil
	}
	bySet, _ := t.schemas.once(s.Schema, func() (map[string]*record.Schema, error) { return map[string]*record.Schema{}, nil })
	schema := bySet[names.String()]
	if schema == nil {
		if schema, err = addFields(s.Schema, added); err != nil {
			return false, err
		}
		bySet[names.String()] = schema
	}
	r.Value = record.Data{Schema: schema, Value: addValues(slab, s, schema, added)}
	if t.move {
		removeHeaders(slab, r, t.headers)
	}
	return true, nil
}

// inner splits the entries of one struct: those of its own, and those of a struct in it by name, in order.
func inner(added []newEntry) (own []newEntry, names []string, nested map[string][]newEntry) {
	nested = map[string][]newEntry{}
	for _, e := range added {
		if len(e.path) == 1 {
			own = append(own, e)
			continue
		}
		if nested[e.path[0]] == nil {
			names = append(names, e.path[0])
		}
		nested[e.path[0]] = append(nested[e.path[0]], newEntry{e.path[1:], e.data})
	}
	return own, names, nested
}

// addFields derives the schema with more fields. A struct that is missing is made, optional.
func addFields(s *record.Schema, added []newEntry) (*record.Schema, error) {
	own, names, nested := inner(added)
	fields := slices.Clone(s.Fields)
	for i := range fields {
		list := nested[fields[i].Name]
		if list == nil {
			continue
		}
		if fields[i].Schema.Type != record.Struct {
			return nil, errs.E(errs.Invalid, "Field '%s' is a primitive type, not a struct. Cannot add nested field '%s'.", fields[i].Name,
				strings.Join(append([]string{fields[i].Name}, list[0].path...), "."))
		}
		f, err := addFields(fields[i].Schema, list)
		if err != nil {
			return nil, err
		}
		fields[i].Schema = f
	}
	has := func(name string) bool {
		return slices.ContainsFunc(fields, func(f record.Field) bool { return f.Name == name })
	}
	for _, e := range own {
		if !has(e.path[0]) {
			fields = append(fields, record.Field{Name: e.path[0], Schema: e.data.Schema})
		}
	}
	for _, name := range names {
		if has(name) {
			continue
		}
		f, err := addFields(&record.Schema{Type: record.Struct, Optional: true}, nested[name])
		if err != nil {
			return nil, err
		}
		fields = append(fields, record.Field{Name: name, Schema: f.AsOptional(true)})
	}
	return basics(s).WithFields(fields), nil
}

// addValues copies a struct into one with more fields. s is nil for a struct that is made.
func addValues(slab *record.Slab, s *record.StructData, schema *record.Schema, added []newEntry) record.Value {
	own, _, nested := inner(added)
	out := slab.Struct(schema)
	if s != nil {
		for i := range s.Values {
			out.Values[i] = s.At(i)
		}
	}
	for name, list := range nested {
		at := schema.Field(name)
		old := out.Values[at].Struct()
		if old == nil && s != nil && s.Schema.Field(name) >= 0 {
			continue // a null struct stays null
		}
		out.Values[at] = addValues(slab, old, schema.Fields[at].Schema, list)
	}
	for _, e := range own {
		out.Values[schema.Field(e.path[0])] = e.data.Value
	}
	return record.StructOf(out)
}

func (*headerToValue) sharesHeaders() {}
