package transform

import (
	"strconv"
	"strings"

	"github.com/rowmesh/rowmesh/publisher/convert"
	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// jsonExpander makes Connect data of JSON texts: objects become structs whose names are the path to them, and all is optional.
type jsonExpander struct {
	nullBytes    bool // null is a field of bytes; else it is left out
	emptyStrings bool // an empty array is one of strings; else it is left out
	fieldNames   string

	known map[string]*record.Schema // by their JSON: converters know schemas by their address
}

// maxExpanded bounds the schemas that are remembered: documents of one kind have few, those of any kind no end.
const maxExpanded = 1024

// intern returns the one schema of those that are equal.
func (x *jsonExpander) intern(s *record.Schema) *record.Schema {
	text := string((&record.JSON{}).AppendSchema(nil, s))
	if known := x.known[text]; known != nil {
		return known
	}
	if x.known == nil || len(x.known) >= maxExpanded {
		x.known = map[string]*record.Schema{}
	}
	x.known[text] = s
	return s
}

// expand reads an object, or an array. found says that the schema could be made, even if an error says that the value could not: an array that stands alone, or
// one whose objects do not agree.
func (x *jsonExpander) expand(slab *record.Slab, name, text string) (d record.Data, found bool, err error) {
	if !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "[") {
		if text == "" {
			return d, false, errs.E(errs.Invalid, "the payload is empty")
		}
		return d, false, errs.E(errs.Invalid, "Unable to parse payload starting with '%c'", []rune(text)[0])
	}
	node, err := record.DecodePayload([]byte(text), nil, slab)
	if err != nil {
		return d, false, err
	}
	if d.Schema, err = x.schema(name, node); err != nil {
		return d, false, err
	}
	if d.Schema = x.intern(d.Schema); d.Schema == nil || d.Schema.Type != record.Struct {
		return d, true, errs.E(errs.Invalid, "Not a struct schema: %s", d.Schema)
	}
	d.Value, err = x.object(slab, node, d.Schema)
	return d, true, err
}

// schema derives the schema of a node; nil where it is left out. path is the name that an object gets.
func (x *jsonExpander) schema(path string, node record.Value) (*record.Schema, error) {
	switch node.Kind() {
	case record.StringKind:
		return record.Of(record.String, true), nil
	case record.BoolKind:
		return record.Of(record.Boolean, true), nil
	case record.FloatKind:
		return record.Of(record.Float64, true), nil
	case record.IntKind:
		if n := node.Int(); n == int64(int32(n)) {
			return record.Of(record.Int32, true), nil
		}
		return record.Of(record.Int64, true), nil
	case record.ListKind:
		return x.arraySchema(path, node.List())
	case record.MapKind:
		return x.objectSchema(path, node.Map())
	}
	if x.nullBytes {
		return record.Of(record.Bytes, true), nil
	}
	return nil, nil
}

func (x *jsonExpander) objectSchema(path string, entries []record.Entry) (*record.Schema, error) {
	var fields []record.Field
	for _, e := range entries {
		name := convert.AdjustFieldName(x.fieldNames, strings.Clone(e.Key.Text()))
		inner := name
		if strings.TrimSpace(path) != "" {
			inner = path + "." + name
		}
		s, err := x.schema(inner, e.Value)
		if err != nil {
			return nil, err
		}
		if s != nil && fieldIndex(fields, name) < 0 {
			fields = append(fields, record.Field{Name: name, Schema: s})
		}
	}
	s := record.NewStruct(fields)
	s.Name, s.Optional = path, true
	return s, nil
}

func fieldIndex(fields []record.Field, name string) int {
	for i := range fields {
		if fields[i].Name == name {
			return i
		}
	}
	return -1
}

func (x *jsonExpander) arraySchema(path string, list []record.Value) (*record.Schema, error) {
	if len(list) == 0 {
		if x.emptyStrings {
			return &record.Schema{Type: record.Array, Optional: true, Elem: record.Of(record.String, true)}, nil
		}
		return nil, nil
	}
	sample, err := x.sample(list)
	if err != nil {
		return nil, err
	}
	var elem *record.Schema
	if sample.Kind() != record.MapKind {
		if elem, err = x.schema("", sample); err != nil {
			return nil, err
		}
		if elem == nil {
			return nil, errs.E(errs.Invalid, "Array '' has unrecognized member schema.")
		}
	} else {
		for _, e := range list {
			if e.Kind() != record.MapKind {
				continue
			}
			s, err := x.schema(path, e)
			if err != nil {
				return nil, err
			}
			elem = merged(elem, s)
		}
	}
	return &record.Schema{Type: record.Array, Optional: true, Elem: elem}, nil
}

// merged is the schema of objects of either schema. A field that was bytes, for want of anything but nulls, takes the other's type.
func merged(a, b *record.Schema) *record.Schema {
	if a == nil || a.Equal(b) {
		return b
	}
	fields := append([]record.Field(nil), a.Fields...)
	for _, f := range b.Fields {
		switch at := fieldIndex(fields, f.Name); {
		case at < 0:
			fields = append(fields, f)
		case fields[at].Schema.Type == record.Bytes && f.Schema.Type != record.Bytes:
			fields[at] = f
		}
	}
	return basics(a).WithFields(fields)
}

// jsonType is the name of a node's type in errors.
func jsonType(v record.Value) string {
	return [...]string{record.NullKind: "NULL", record.BoolKind: "BOOLEAN", record.IntKind: "NUMBER", record.FloatKind: "NUMBER", record.StringKind: "STRING",
		record.BytesKind: "", record.DecimalKind: "NUMBER", record.ListKind: "ARRAY", record.MapKind: "OBJECT", record.StructKind: ""}[v.Kind()]
}

// jsonText is a scalar as text; objects and arrays have none.
func jsonText(v record.Value) string {
	switch v.Kind() {
	case record.ListKind, record.MapKind:
		return ""
	case record.IntKind:
		return strconv.FormatInt(v.Int(), 10)
	}
	return string(record.AppendText(nil, record.Data{Value: v}))
}

// sample returns the first element that is not null. All others must be of its type.
func (x *jsonExpander) sample(list []record.Value) (record.Value, error) {
	first := record.Null
	for _, e := range list {
		if e.IsNull() {
			continue
		}
		if first.IsNull() {
			first = e
		}
		if jsonType(first) != jsonType(e) {
			return first, errs.E(errs.Invalid, "Field is not a homogenous array (%s x %s).", jsonText(first), jsonType(e))
		}
		if jsonType(e) == "NUMBER" {
			a, _ := x.schema("", first)
			b, _ := x.schema("", e)
			if a.Type != b.Type {
				return first, errs.E(errs.Invalid, "Field is not a homogenous array (%s x %s), different number types (%s x %s)", jsonText(first), jsonText(e), a, b)
			}
		}
	}
	return first, nil
}

// object makes the struct of an object.
func (x *jsonExpander) object(slab *record.Slab, node record.Value, s *record.Schema) (record.Value, error) {
	out := slab.Struct(s)
	for i, f := range s.Fields {
		for _, e := range node.Map() { // of members with one name the last one counts
			if e.Key.Text() != f.Name {
				continue
			}
			v, err := x.value(slab, e.Value, f.Schema)
			if err != nil {
				return record.Null, errs.E(errs.Invalid, "field %s: %w", f.Name, err)
			}
			out.Values[i] = v
		}
	}
	return record.StructOf(out), nil
}

// value makes the value of a node in a schema, which is of another type where the objects of an array do not agree.
func (x *jsonExpander) value(slab *record.Slab, node record.Value, s *record.Schema) (record.Value, error) {
	kind := node.Kind()
	switch {
	case kind == record.NullKind:
		return record.Null, nil
	case kind == record.MapKind && s.Type == record.Struct:
		return x.object(slab, node, s)
	case kind == record.ListKind && s.Type == record.Array:
		list := slab.Values(len(node.List()))
		for i, e := range node.List() {
			v, err := x.value(slab, e, s.Elem)
			if err != nil {
				return record.Null, err
			}
			list[i] = v
		}
		return record.ListOf(list), nil
	case kind == record.StringKind && s.Type == record.String, kind == record.BoolKind && s.Type == record.Boolean, kind == record.FloatKind && s.Type == record.Float64:
		return node, nil
	case kind == record.IntKind && (s.Type == record.Int32) == (node.Int() == int64(int32(node.Int()))) && s.Type.Integer():
		return node, nil
	}
	return record.Null, errs.E(errs.Invalid, "Invalid Java object for schema with type %s: %s", s.Type, jsonType(node))
}
