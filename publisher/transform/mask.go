package transform

import (
	"slices"
	"strconv"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// maskField is MaskField: fields become what is empty in their type, or a replacement.
type maskField struct {
	on          side
	fields      []string
	replacement string
	replace     bool
	nullDefault bool
	masked      cache[[]bool]
}

func newMaskField(o options, on side) (Transform, error) {
	text, ok := o.lookup("replacement")
	return &maskField{on: on, fields: o.list("fields"), replacement: text, replace: ok, nullDefault: o.nullDefault()}, nil
}

func (t *maskField) Apply(slab *record.Slab, r *record.Record) (bool, error) {
	d := t.on.of(r)
	if d.Schema == nil {
		m, err := mapOf(d.Value, "mask fields")
		if err != nil {
			return false, err
		}
		for _, name := range t.fields {
			v, _ := entry(m, name)
			if v, err = t.mask(nil, v); err != nil {
				return false, err
			}
			m = withEntry(slab, m, name, v)
		}
		d.Value = record.MapOf(m)
		return true, nil
	}
	s, err := structOf(*d, "mask fields")
	if err != nil {
		return false, err
	}
	masked, _ := t.masked.once(s.Schema, func() ([]bool, error) {
		m := make([]bool, len(s.Schema.Fields))
		for i, f := range s.Schema.Fields {
			m[i] = slices.Contains(t.fields, f.Name)
		}
		return m, nil
	})
	out := slab.Struct(s.Schema)
	for i := range out.Values {
		v := fieldAt(s, i, t.nullDefault)
		if masked[i] {
			if v, err = t.mask(s.Schema.Fields[i].Schema, v); err != nil {
				return false, err
			}
		}
		out.Values[i] = v
	}
	d.Value = record.StructOf(out)
	return true, nil
}

// mask returns what stands for a value; null stays null.
func (t *maskField) mask(s *record.Schema, v record.Value) (record.Value, error) {
	if v.IsNull() {
		return v, nil
	}
	if t.replace {
		return t.replaced(s, v)
	}
	switch v.Kind() {
	case record.BoolKind:
		return record.BoolOf(false), nil
	case record.IntKind:
		return record.IntOf(0), nil
	case record.FloatKind:
		return record.FloatOf(0), nil
	case record.StringKind:
		return record.StringOf(""), nil
	case record.DecimalKind: // Java's BigDecimal.ZERO, which has no scale
		return record.DecimalOf([]byte{0}, 0), nil
	case record.ListKind:
		return record.ListOf(nil), nil
	case record.MapKind:
		return record.MapOf(nil), nil
	}
	return v, errs.E(errs.Invalid, "Cannot mask value of type: class %s", javaClass(s, v))
}

// replaced returns the replacement in the type of a value.
func (t *maskField) replaced(s *record.Schema, v record.Value) (record.Value, error) {
	class := javaClass(s, v)
	switch kind := v.Kind(); {
	case kind == record.StringKind:
		return record.StringOf(t.replacement), nil
	case class == "java.util.Date", kind == record.BoolKind, kind == record.BytesKind, kind > record.DecimalKind:
		return v, errs.E(errs.Invalid, "Cannot mask value of type class %s with custom replacement.", class)
	}
	n, err := record.ParseDecimal(t.replacement)
	if err != nil {
		if v.Kind() == record.DecimalKind {
			return v, errs.E(errs.Invalid, "Unable to convert %s (class java.lang.String) to number", t.replacement)
		}
		return v, errs.E(errs.Invalid, "Unable to convert %s (class java.lang.String) to a number", t.replacement)
	}
	switch v.Kind() {
	case record.DecimalKind:
		return n, nil
	case record.FloatKind:
		bits := 64
		if class == "java.lang.Float" {
			bits = 32
		}
		f, _ := strconv.ParseFloat(t.replacement, bits)
		return record.FloatOf(f), nil
	}
	i, _ := whole(n)
	return record.IntOf(narrow(low64(i), typeOf(s))), nil
}

// typeOf returns a schema's type, that of a long without one.
func typeOf(s *record.Schema) record.Type {
	if s == nil {
		return record.Int64
	}
	return s.Type
}

// narrow returns an integer in a narrower type, as Java's casts do: the low bits.
func narrow(n int64, t record.Type) int64 {
	switch t {
	case record.Int8:
		return int64(int8(n))
	case record.Int16:
		return int64(int16(n))
	case record.Int32:
		return int64(int32(n))
	}
	return n
}
