package transform

import (
	"strings"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// path is where a field is: one name, or with field.syntax.version=V2 the names of the structs around it too.
type path []string

// newPath reads field.syntax.version and a path in it.
func newPath(o options, name string) (path, error) {
	text := o.text(name)
	if !strings.EqualFold(o.word("field.syntax.version"), "v2") {
		return path{text}, nil
	}
	return parsePath(text)
}

// parsePath splits a path at dots. A name that holds a dot stands between backticks; a backtick that a dot follows is escaped by a backslash.
func parsePath(text string) (path, error) {
	var steps path
	rest := text
	for rest != "" {
		if rest[0] != '`' {
			name, after, dot := strings.Cut(rest, ".")
			steps = append(steps, name)
			rest = after
			if dot && after == "" {
				steps = append(steps, "")
			}
			continue
		}
		name, after, ok := quoted(rest[1:])
		if !ok {
			return nil, errs.E(errs.Invalid, "Incomplete backtick pair in path: [%s], consider adding a backslash before backtick at position %d to escape it", text,
				len(text)-len(rest))
		}
		steps = append(steps, name)
		if strings.HasPrefix(after, ".") && len(after) == 1 {
			steps = append(steps, "")
		}
		rest = strings.TrimPrefix(after, ".")
	}
	if steps == nil {
		steps = path{""}
	}
	return steps, nil
}

// quoted reads a name up to the backtick that ends the text or that a dot follows.
func quoted(s string) (name, after string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		last := i == len(s)-1
		switch {
		case s[i] != '`':
			b.WriteByte(s[i])
		case !last && s[i+1] != '.':
			b.WriteByte('`')
		case i > 0 && s[i-1] == '\\':
			if last {
				return "", "", false
			}
			unescaped := strings.TrimSuffix(b.String(), `\`)
			b.Reset()
			b.WriteString(unescaped)
			b.WriteByte('`')
		default:
			return b.String(), s[i+1:], true
		}
	}
	return "", "", false
}

// schema returns the schema of the field, nil if there is none.
func (p path) schema(s *record.Schema) *record.Schema {
	for _, name := range p {
		if s == nil || s.Type != record.Struct {
			return nil
		}
		s = s.FieldSchema(name)
	}
	return s
}

// value returns the value of the field; null if a struct around it is.
func (p path) value(d *record.StructData, nullDefault bool) (record.Value, error) {
	for i, name := range p {
		at := d.Schema.Field(name)
		if at < 0 {
			return record.Null, nil
		}
		if i == len(p)-1 {
			return fieldAt(d, at, nullDefault), nil
		}
		v := d.At(at)
		if v.IsNull() {
			return record.Null, nil
		}
		var err error
		if d, err = structOf(record.Data{Schema: d.Schema.Fields[at].Schema, Value: v}, "nested field access"); err != nil {
			return record.Null, err
		}
	}
	return record.Null, nil
}

// entry returns the value of the field in a map.
func (p path) entry(m []record.Entry) (record.Value, error) {
	for i, name := range p {
		v, _ := entry(m, name)
		if i == len(p)-1 || v.IsNull() {
			return v, nil
		}
		var err error
		if m, err = mapOf(v, "nested field access"); err != nil {
			return record.Null, err
		}
	}
	return record.Null, nil
}

// extractField is ExtractField: the value of one field takes the place of the whole.
type extractField struct {
	on          side
	name        string
	path        path
	nullDefault bool
}

func newExtractField(o options, on side) (Transform, error) {
	p, err := newPath(o, "field")
	return &extractField{on, o.text("field"), p, o.nullDefault()}, err
}

func (t *extractField) Apply(_ *record.Slab, r *record.Record) (bool, error) {
	d := t.on.of(r)
	if d.Schema == nil {
		if d.Value.IsNull() {
			return true, nil
		}
		m, err := mapOf(d.Value, "field extraction")
		if err != nil {
			return false, err
		}
		d.Value, err = t.path.entry(m)
		return err == nil, err
	}
	var s *record.StructData
	if !d.Value.IsNull() {
		var err error
		if s, err = structOf(*d, "field extraction"); err != nil {
			return false, err
		}
	}
	schema := t.path.schema(d.Schema)
	if schema == nil {
		return false, errs.E(errs.Invalid, "Unknown field: %s", t.name)
	}
	d.Schema, d.Value = schema, record.Null
	if s == nil {
		return true, nil
	}
	var err error
	d.Value, err = t.path.value(s, t.nullDefault)
	return err == nil, err
}

// hoistField is HoistField: the whole becomes the one field of a struct or a map, null too.
type hoistField struct {
	on      side
	name    string
	schemas cache[*record.Schema]
}

func newHoistField(o options, on side) (Transform, error) {
	return &hoistField{on: on, name: o.text("field")}, nil
}

func (t *hoistField) Apply(slab *record.Slab, r *record.Record) (bool, error) {
	d := t.on.of(r)
	if d.Schema == nil {
		d.Value = record.MapOf(withEntry(slab, nil, t.name, d.Value))
		return true, nil
	}
	schema, _ := t.schemas.once(d.Schema, func() (*record.Schema, error) {
		return record.NewStruct([]record.Field{{Name: t.name, Schema: d.Schema}}), nil
	})
	s := slab.Struct(schema)
	s.Values[0] = d.Value
	d.Schema, d.Value = schema, record.StructOf(s)
	return true, nil
}

// valueToKey is ValueToKey: fields of the value become the key.
type valueToKey struct {
	fields      []string
	nullDefault bool
	plans       cache[*keyPlan]
}

// keyPlan is a key's schema and where its fields are in the value.
type keyPlan struct {
	schema *record.Schema
	from   []int
}

func newValueToKey(o options, _ side) (Transform, error) {
	return &valueToKey{fields: o.list("fields"), nullDefault: o.nullDefault()}, nil
}

func (t *valueToKey) Apply(slab *record.Slab, r *record.Record) (bool, error) {
	const purpose = "copying fields from value to key"
	if r.Value.Schema == nil {
		m, err := mapOf(r.Value.Value, purpose)
		if err != nil {
			return false, err
		}
		var key []record.Entry
		for _, name := range t.fields {
			v, _ := entry(m, name)
			key = withEntry(slab, key, name, v)
		}
		r.Key = record.Data{Value: record.MapOf(key)}
		return true, nil
	}
	s, err := structOf(r.Value, purpose)
	if err != nil {
		return false, err
	}
	plan, err := t.plans.once(s.Schema, func() (*keyPlan, error) { return t.plan(s.Schema) })
	if err != nil {
		return false, err
	}
	key := slab.Struct(plan.schema)
	for i, from := range plan.from {
		key.Values[i] = fieldAt(s, from, t.nullDefault)
	}
	r.Key = record.Data{Schema: plan.schema, Value: record.StructOf(key)}
	return true, nil
}

func (t *valueToKey) plan(s *record.Schema) (*keyPlan, error) {
	p := &keyPlan{}
	var fields []record.Field
	for _, name := range t.fields {
		at := s.Field(name)
		if at < 0 {
			return nil, errs.E(errs.Invalid, "Field does not exist: %s", name)
		}
		fields = append(fields, s.Fields[at])
		p.from = append(p.from, at)
	}
	p.schema = record.NewStruct(fields)
	return p, nil
}
