package record

import (
	"math"
	"strconv"

	"github.com/rowmesh/rowmesh/services/errs"
)

// Check reports what is wrong with a schema that somebody else has made: members that its type needs, fields of one name, names of Connect's logical types on
// other types than theirs, a default that does not fit. Schemas of this program need no check.
func (s *Schema) Check() error { return s.check(0) }

func (s *Schema) check(depth int) error {
	if depth > maxDepth {
		return errs.E(errs.Invalid, "the schema is nested too deep")
	}
	if err := s.checkName(); err != nil {
		return err
	}
	switch s.Type {
	case Array, Map:
		if s.Elem == nil || s.Type == Map && s.Key == nil {
			return errs.E(errs.Invalid, "the schema of a %s says nothing of its elements", s.Type.JSONName())
		}
		if s.Type == Map {
			if err := s.Key.check(depth + 1); err != nil {
				return err
			}
		}
		if err := s.Elem.check(depth + 1); err != nil {
			return err
		}
	case Struct:
		names := make(map[string]bool, len(s.Fields))
		for _, f := range s.Fields {
			if f.Schema == nil || names[f.Name] {
				return errs.E(errs.Invalid, "the schema of a struct has a field %.100q twice, or without a schema", f.Name)
			}
			names[f.Name] = true
			if err := f.Schema.check(depth + 1); err != nil {
				return err
			}
		}
	}
	if !s.Default.IsNull() {
		return Check(s, s.Default)
	}
	return nil
}

// checkName checks the name of a logical type against the type.
func (s *Schema) checkName() error {
	want := s.Type
	switch s.Name {
	case DecimalName:
		want = Bytes
		text, _ := s.Parameter(ScaleParameter)
		if _, err := strconv.ParseInt(text, 10, 32); err != nil {
			return errs.E(errs.Invalid, "the schema of a decimal has no scale")
		}
	case DateName, TimeName:
		want = Int32
	case TimestampName:
		want = Int64
	}
	if s.Type != want {
		return errs.E(errs.Invalid, "the schema %s is of type %s, not %s", s.Name, s.Type.JSONName(), want.JSONName())
	}
	return nil
}

// Check reports where a value does not fit its schema: a null that is required, a number that is too large for its type.
func Check(s *Schema, v Value) error {
	if v.IsNull() {
		if !s.Optional && s.Default.IsNull() {
			return errs.E(errs.Invalid, "null value for a %s that is required and has no default value", s.Type.JSONName())
		}
		return nil
	}
	switch s.Type {
	case Int8, Int16, Int32:
		if bits := 8<<(s.Type-Int8) - 1; v.Int()>>bits != 0 && v.Int()>>bits != -1 {
			return errs.E(errs.Invalid, "%d is no %s", v.Int(), s.Type.JSONName())
		}
	case Float32:
		if f := v.Float(); !math.IsInf(f, 0) && math.IsInf(float64(float32(f)), 0) {
			return errs.E(errs.Invalid, "%g is no float", f)
		}
	case Array:
		for _, e := range v.List() {
			if err := Check(s.Elem, e); err != nil {
				return err
			}
		}
	case Map:
		for _, e := range v.Map() {
			if err := Check(s.Key, e.Key); err != nil {
				return err
			}
			if err := Check(s.Elem, e.Value); err != nil {
				return err
			}
		}
	case Struct:
		for i, f := range v.Struct().Values {
			if err := Check(s.Fields[i].Schema, f); err != nil {
				return errs.E(errs.Invalid, "%s: %w", s.Fields[i].Name, err)
			}
		}
	}
	return nil
}

// KeepNulls marks all nulls of a value as kept, in place, and returns it: for values of which each null is meant, though its schema may have a default.
func KeepNulls(s *Schema, v Value) Value {
	switch v.kind {
	case NullKind:
		if s != nil && !s.Default.IsNull() {
			return KeptNull
		}
	case StructKind:
		d := v.Struct()
		for i := range d.Values {
			d.Values[i] = KeepNulls(d.Schema.Fields[i].Schema, d.Values[i])
		}
	case ListKind:
		if s != nil {
			list := v.List()
			for i := range list {
				list[i] = KeepNulls(s.Elem, list[i])
			}
		}
	case MapKind:
		if s != nil {
			entries := v.Map()
			for i := range entries {
				entries[i].Value = KeepNulls(s.Elem, entries[i].Value)
			}
		}
	}
	return v
}
