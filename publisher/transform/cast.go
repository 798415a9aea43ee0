package transform

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"

	"github.com/rowmesh/rowmesh/publisher/jsontext"
	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// cast is Cast: fields, or the whole, in another type.
type cast struct {
	on          side
	types       map[string]record.Type
	whole       record.Type // 0: fields
	nullDefault bool
	plans       cache[*castPlan]
}

// castPlan is the schema that comes out, and the type to which each field is cast, 0 for none.
type castPlan struct {
	schema *record.Schema
	to     []record.Type
}

func newCast(o options, on side) (Transform, error) {
	t := &cast{on: on, types: map[string]record.Type{}, nullDefault: o.nullDefault()}
	spec := o.list("spec")
	for _, part := range spec {
		name, word, isField := strings.Cut(part, ":")
		if !isField {
			word = part
		}
		to, err := castType(strings.TrimSpace(word))
		if err != nil {
			return nil, err
		}
		if isField {
			t.types[strings.TrimSpace(name)] = to
		} else {
			t.whole = to
		}
	}
	if t.whole != 0 && len(spec) > 1 {
		return nil, errs.E(errs.Invalid, "Cast transformations that specify a type to cast the entire value to may only specify a single cast in their spec")
	}
	return t, nil
}

// castType reads the name of a type that can be cast to.
func castType(word string) (record.Type, error) {
	for t := record.Int8; t <= record.Struct; t++ {
		if strings.EqualFold(t.String(), word) {
			if t > record.String {
				return 0, errs.E(errs.Invalid, "Cast transformation does not support casting to %s; supported types are [INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING]", t)
			}
			return t, nil
		}
	}
	return 0, errs.E(errs.Invalid, "Invalid type found in casting spec: %s", word)
}

func (t *cast) Apply(slab *record.Slab, r *record.Record) (bool, error) {
	d := t.on.of(r)
	switch {
	case d.Value.IsNull():
		return true, nil
	case d.Schema == nil:
		return t.schemaless(slab, d)
	}
	plan, err := t.plans.once(d.Schema, func() (*castPlan, error) { return t.plan(d.Schema) })
	if err != nil {
		return false, err
	}
	if t.whole != 0 {
		v, err := castValue(slab, d.Schema, d.Value, t.whole)
		d.Schema, d.Value = plan.schema, v
		return err == nil, err
	}
	s, err := structOf(*d, "cast types")
	if err != nil {
		return false, err
	}
	out := slab.Struct(plan.schema)
	for i := range out.Values {
		v := fieldAt(s, i, t.nullDefault)
		if to := plan.to[i]; to != 0 {
			if v, err = castValue(slab, s.Schema.Fields[i].Schema, v, to); err != nil {
				return false, err
			}
		}
		out.Values[i] = v
	}
	d.Schema, d.Value = plan.schema, record.StructOf(out)
	return true, nil
}

func (t *cast) schemaless(slab *record.Slab, d *record.Data) (bool, error) {
	if t.whole != 0 {
		v, err := castValue(slab, nil, d.Value, t.whole)
		d.Value = v
		return err == nil, err
	}
	m, err := mapOf(d.Value, "cast types")
	if err != nil {
		return false, err
	}
	for name, to := range t.types {
		v, _ := entry(m, name)
		if v, err = castValue(slab, nil, v, to); err != nil {
			return false, err
		}
		m = withEntry(slab, m, name, v)
	}
	d.Value = record.MapOf(m)
	return true, nil
}

func (t *cast) plan(s *record.Schema) (*castPlan, error) {
	p := &castPlan{}
	if t.whole != 0 {
		c := *basics(s)
		c.Type, c.Fields, c.Key, c.Elem = t.whole, nil, nil, nil
		p.schema = &c
		return p, castDefault(p.schema, s, t.whole)
	}
	if s.Type != record.Struct {
		return p, nil // the value is no struct, which is what the error will say
	}
	p.to = make([]record.Type, len(s.Fields))
	fields := make([]record.Field, len(s.Fields))
	for i, f := range s.Fields {
		fields[i] = f
		if to, ok := t.types[f.Name]; ok {
			p.to[i] = to
			fields[i].Schema = record.Of(to, false)
			if err := castDefault(fields[i].Schema, f.Schema, to); err != nil {
				return nil, err
			}
		}
	}
	p.schema = basics(s).WithFields(fields)
	p.schema.Optional, p.schema.Default = s.Optional, s.Default
	return p, nil
}

// castDefault gives a new schema what the old one has besides its type.
func castDefault(to, from *record.Schema, t record.Type) error {
	to.Optional = from.Optional
	if from.Default.IsNull() {
		return nil
	}
	v, err := castValue(&record.Slab{}, from, from.Default, t)
	to.Default = v
	return err
}

// castValue casts a value; null stays null.
func castValue(slab *record.Slab, s *record.Schema, v record.Value, to record.Type) (record.Value, error) {
	if v.IsNull() {
		return v, nil
	}
	if k := v.Kind(); k > record.DecimalKind {
		from := map[record.Kind]record.Type{record.ListKind: record.Array, record.MapKind: record.Map, record.StructKind: record.Struct}[k]
		return v, errs.E(errs.Invalid, "Cast transformation does not support casting from %s; supported types are [INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING, BYTES]", from)
	}
	if to == record.String {
		return castText(slab, s, v), nil
	}
	if v.Kind() == record.BytesKind {
		return v, errs.E(errs.Invalid, "Unexpected type in Cast transformation: class %s", javaClass(s, v))
	}
	switch to {
	case record.Boolean:
		return castBool(v), nil
	case record.Float32, record.Float64:
		return castFloat(v, to)
	}
	return castInt(v, to)
}

func castBool(v record.Value) record.Value {
	switch v.Kind() {
	case record.StringKind:
		return record.BoolOf(strings.EqualFold(v.Text(), "true"))
	case record.IntKind:
		return record.BoolOf(v.Int() != 0)
	case record.FloatKind:
		return record.BoolOf(truncateTo(v.Float(), 64) != 0)
	case record.DecimalKind:
		n, _ := whole(v)
		return record.BoolOf(low64(n) != 0)
	}
	return v
}

func castFloat(v record.Value, to record.Type) (record.Value, error) {
	bits := 64
	if to == record.Float32 {
		bits = 32
	}
	var f float64
	switch v.Kind() {
	case record.BoolKind:
		if v.Bool() {
			f = 1
		}
	case record.IntKind:
		f = float64(v.Int())
		if bits == 32 {
			f = float64(float32(v.Int()))
		}
	case record.FloatKind:
		f = v.Float()
	case record.DecimalKind:
		f, _ = strconv.ParseFloat(string(record.AppendDecimal(nil, v)), bits)
	case record.StringKind:
		text := strings.TrimSpace(v.Text())
		word := strings.TrimLeft(text, "+-")
		parsed, err := strconv.ParseFloat(text, bits)
		// Java knows NaN and Infinity in this spelling only, no underscores, and hexadecimal numbers only with an exponent, as Go does.
		if err != nil && !math.IsInf(parsed, 0) || strings.ContainsRune(text, '_') || word != "" && strings.ContainsAny(word[:1], "iInN") && word != "Infinity" && word != "NaN" {
			return v, castRange(v)
		}
		f = parsed
	}
	if bits == 32 {
		f = float64(float32(f))
	}
	return record.FloatOf(f), nil
}

func castInt(v record.Value, to record.Type) (record.Value, error) {
	switch v.Kind() {
	case record.BoolKind:
		if v.Bool() {
			return record.IntOf(1), nil
		}
		return record.IntOf(0), nil
	case record.IntKind:
		return record.IntOf(narrow(v.Int(), to)), nil
	case record.FloatKind: // bytes and shorts by way of an int, as in Java
		bits := 32
		if to == record.Int64 {
			bits = 64
		}
		return record.IntOf(narrow(truncateTo(v.Float(), bits), to)), nil
	case record.DecimalKind:
		n, _ := whole(v)
		return record.IntOf(narrow(low64(n), to)), nil
	}
	bits := map[record.Type]int{record.Int8: 8, record.Int16: 16, record.Int32: 32, record.Int64: 64}[to]
	n, err := strconv.ParseInt(v.Text(), 10, bits)
	if err != nil {
		return v, castRange(v)
	}
	return record.IntOf(n), nil
}

func castRange(v record.Value) error {
	return errs.E(errs.Invalid, "Value (%s) was out of range for requested data type", v.Text())
}

// castText returns a value as text: bytes in base64, Connect's dates and times in ISO 8601, the rest as Java's toString.
func castText(slab *record.Slab, s *record.Schema, v record.Value) record.Value {
	var buf [64]byte
	b := buf[:0]
	switch v.Kind() {
	case record.StringKind:
		return v
	case record.BytesKind:
		out := slab.Bytes(base64.StdEncoding.EncodedLen(len(v.Bytes())))
		base64.StdEncoding.Encode(out, v.Bytes())
		return record.TextOf(out)
	case record.FloatKind:
		bits := 64
		if s != nil && s.Type == record.Float32 {
			bits = 32
		}
		b = jsontext.AppendFloat(b, v.Float(), bits)
		if b[0] == '"' {
			b = b[1 : len(b)-1]
		}
	default:
		b = record.AppendText(b, record.Data{Schema: s, Value: v})
	}
	return record.TextOf(slab.Copy(b))
}
