package transform

import (
	"slices"
	"strconv"

	"github.com/rowmesh/rowmesh/publisher/jsontext"
	"github.com/rowmesh/rowmesh/publisher/record"
)

// Names of Debezium's types of vectors and of JSON text.
const (
	doubleVector       = "io.debezium.data.DoubleVector"
	floatVector        = "io.debezium.data.FloatVector"
	sparseDoubleVector = "io.debezium.data.SparseDoubleVector"
	jsonName           = "io.debezium.data.Json"
)

// vectorToJSON is VectorToJsonConverter: vectors become JSON text.
type vectorToJSON struct{ schemas cache[*record.Schema] }

func newVectorToJSON(options, side) (Transform, error) { return &vectorToJSON{}, nil }

func (t *vectorToJSON) Apply(slab *record.Slab, r *record.Record) (bool, error) {
	if r.Value.Value.IsNull() {
		return true, nil
	}
	s, err := structOf(r.Value, "Value should be a struct")
	if err != nil {
		return false, err
	}
	schema, _ := t.schemas.once(s.Schema, func() (*record.Schema, error) { return vectorSchema(s.Schema), nil })
	r.Value = record.Data{Schema: schema, Value: record.StructOf(vectorValues(slab, s, schema))}
	return true, nil
}

func isVector(s *record.Schema) bool {
	return s.Name == doubleVector || s.Name == floatVector || s.Name == sparseDoubleVector
}

// vectorSchema derives the schema. Structs in it lose what says that they are optional, as Debezium's do.
func vectorSchema(s *record.Schema) *record.Schema {
	one := 1
	fields := slices.Clone(s.Fields)
	for i := range fields {
		switch f := fields[i].Schema; {
		case isVector(f):
			fields[i].Schema = &record.Schema{Type: record.String, Optional: f.Optional, Name: jsonName, Version: &one}
		case f.Type == record.Struct:
			fields[i].Schema = vectorSchema(f)
		}
	}
	return basics(s).WithFields(fields)
}

func vectorValues(slab *record.Slab, s *record.StructData, schema *record.Schema) *record.StructData {
	out := slab.Struct(schema)
	for i, f := range s.Schema.Fields {
		v := s.At(i)
		switch {
		case v.IsNull():
		case isVector(f.Schema):
			v = record.TextOf(slab.Copy(appendVectorJSON(nil, f.Schema, v)))
		case v.Kind() == record.StructKind:
			v = record.StructOf(vectorValues(slab, v.Struct(), schema.Fields[i].Schema))
		}
		out.Values[i] = v
	}
	return out
}

func appendVectorJSON(dst []byte, s *record.Schema, v record.Value) []byte {
	if d := v.Struct(); d != nil {
		dst = append(dst, `{ "dimensions": `...)
		dst = strconv.AppendInt(dst, d.Get("dimensions").Int(), 10)
		dst = append(dst, `, "vector": { `...)
		entries := slices.Clone(d.Get("vector").Map())
		slices.SortFunc(entries, func(a, b record.Entry) int { return int(a.Key.Int() - b.Key.Int()) })
		for i, e := range entries {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = append(dst, '"')
			dst = strconv.AppendInt(dst, e.Key.Int(), 10)
			dst = jsontext.AppendFloat(append(dst, `": `...), e.Value.Float(), 64)
		}
		return append(dst, " } }"...)
	}
	bits := 64
	if s.Name == floatVector {
		bits = 32
	}
	dst = append(dst, `{ "values": [`...)
	for i, e := range v.List() {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = jsontext.AppendFloat(dst, e.Float(), bits)
	}
	return append(dst, "] }"...)
}

func (*vectorToJSON) sharesHeaders() {}
