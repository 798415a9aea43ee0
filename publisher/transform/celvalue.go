package transform

import (
	"reflect"
	"strconv"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/rowmesh/rowmesh/publisher/record"
)

// celRecord gives an expression the parts of a record that it asks for; nothing else is converted.
type celRecord struct{ r *record.Record }

var _ cel.Activation = (*celRecord)(nil)

// ResolveName implements cel.Activation.
func (c *celRecord) ResolveName(name string) (any, bool) {
	switch name {
	case "key":
		return celValue(c.r.Key.Value), true
	case "value":
		return celValue(c.r.Value.Value), true
	case "keySchema":
		return celSchema(c.r.Key.Schema), true
	case "valueSchema":
		return celSchema(c.r.Value.Schema), true
	case "topic":
		return types.String(c.r.Topic), true
	case "header":
		m := map[ref.Val]ref.Val{}
		for _, h := range c.r.Headers {
			m[types.String(h.Name)] = types.NewRefValMap(types.DefaultTypeAdapter, map[ref.Val]ref.Val{
				types.String("value"): celValue(h.Value), types.String("schema"): celSchema(h.Schema)})
		}
		return types.NewRefValMap(types.DefaultTypeAdapter, m), true
	}
	return nil, false
}

// Parent implements cel.Activation.
func (c *celRecord) Parent() cel.Activation { return nil }

// isNullValue reports whether an expression's result is null.
func isNullValue(v any) bool {
	_, ok := v.(structpb.NullValue)
	return ok
}

// celValue is a value as CEL sees it.
func celValue(v record.Value) ref.Val {
	switch v.Kind() {
	case record.BoolKind:
		return types.Bool(v.Bool())
	case record.IntKind:
		return types.Int(v.Int())
	case record.FloatKind:
		return types.Double(v.Float())
	case record.StringKind:
		return types.String(v.Text())
	case record.BytesKind:
		return types.Bytes(v.Bytes())
	case record.DecimalKind:
		f, err := strconv.ParseFloat(string(record.AppendDecimal(nil, v)), 64)
		if err != nil {
			return types.NewErr("decimal: %v", err)
		}
		return types.Double(f)
	case record.ListKind:
		list := make([]ref.Val, len(v.List()))
		for i, e := range v.List() {
			list[i] = celValue(e)
		}
		return types.NewRefValList(types.DefaultTypeAdapter, list)
	case record.MapKind:
		m := make(map[ref.Val]ref.Val, len(v.Map()))
		for _, e := range v.Map() {
			m[celValue(e.Key)] = celValue(e.Value)
		}
		return types.NewRefValMap(types.DefaultTypeAdapter, m)
	case record.StructKind:
		return celStruct{v.Struct()}
	}
	return types.NullValue
}

// celSchema is a schema as a map of name, version, type and fields.
func celSchema(s *record.Schema) ref.Val {
	if s == nil {
		return types.NullValue
	}
	m := map[ref.Val]ref.Val{types.String("type"): types.String(s.Type.String()), types.String("optional"): types.Bool(s.Optional), types.String("name"): types.NullValue,
		types.String("version"): types.NullValue}
	if s.Name != "" {
		m[types.String("name")] = types.String(s.Name)
	}
	if s.Version != nil {
		m[types.String("version")] = types.Int(*s.Version)
	}
	fields := make([]ref.Val, len(s.Fields))
	for i, f := range s.Fields {
		fields[i] = types.String(f.Name)
	}
	m[types.String("fields")] = types.NewRefValList(types.DefaultTypeAdapter, fields)
	return types.NewRefValMap(types.DefaultTypeAdapter, m)
}

// celStruct is a struct as a map by field name, whose values are converted when they are asked for.
type celStruct struct{ d *record.StructData }

var _ traits.Mapper = celStruct{}

// Find implements traits.Mapper.
func (c celStruct) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(key), false
	}
	at := c.d.Schema.Field(string(name))
	if at < 0 {
		return nil, false
	}
	return celValue(c.d.At(at)), true
}

// Get implements traits.Indexer.
func (c celStruct) Get(key ref.Val) ref.Val {
	if v, ok := c.Find(key); ok {
		return v
	}
	return types.NewErr("%v is not a valid field name", key.Value())
}

// Contains implements traits.Container.
func (c celStruct) Contains(key ref.Val) ref.Val {
	_, ok := c.Find(key)
	return types.Bool(ok)
}

// Size implements traits.Sizer.
func (c celStruct) Size() ref.Val { return types.Int(len(c.d.Values)) }

// Iterator implements traits.Iterable: it yields the names of fields.
func (c celStruct) Iterator() traits.Iterator {
	names := make([]ref.Val, len(c.d.Schema.Fields))
	for i, f := range c.d.Schema.Fields {
		names[i] = types.String(f.Name)
	}
	return types.NewRefValList(types.DefaultTypeAdapter, names).(traits.Iterable).Iterator()
}

// ConvertToNative implements ref.Val.
func (c celStruct) ConvertToNative(t reflect.Type) (any, error) {
	if t.Kind() == reflect.Interface && reflect.TypeOf(c).Implements(t) {
		return c, nil
	}
	return nil, types.NewErr("a struct has no other form").(error)
}

// ConvertToType implements ref.Val.
func (c celStruct) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case types.MapType:
		return c
	case types.TypeType:
		return types.MapType
	}
	return types.NewErr("type conversion error from struct to '%s'", t)
}

// Equal implements ref.Val.
func (c celStruct) Equal(other ref.Val) ref.Val {
	o, ok := other.(celStruct)
	return types.Bool(ok && record.StructOf(c.d).Equal(record.StructOf(o.d)))
}

// Type implements ref.Val.
func (celStruct) Type() ref.Type { return types.MapType }

// Value implements ref.Val.
func (c celStruct) Value() any { return c.d }
