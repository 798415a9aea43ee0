package converter

import (
	"math"
	"strconv"
	"strings"

	"github.com/rowmesh/rowmesh/publisher/jsontext"
	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// defaultJSON returns a default value as Avro writes it.
func (b *avroBuilder) defaultJSON(s *record.Schema, v record.Value) ([]byte, error) {
	if v.IsNull() {
		return []byte("null"), nil
	}
	switch k := v.Kind(); {
	case s.Type.Integer() && k == record.IntKind:
		return strconv.AppendInt(nil, v.Int(), 10), nil
	case s.Type.Float() && k == record.FloatKind:
		f := v.Float()
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, errs.E(errs.Invalid, "the default %v cannot be expressed in Avro", f)
		}
		if s.Type == record.Float32 {
			return jsontext.AppendFloat(nil, f, 32), nil
		}
		return jsontext.AppendFloat(nil, f, 64), nil
	case s.Type == record.Boolean && k == record.BoolKind:
		return strconv.AppendBool(nil, v.Bool()), nil
	case s.Type == record.String && k == record.StringKind:
		return appendJSONText(nil, v.Bytes()), nil
	case s.Type == record.Bytes && (k == record.BytesKind || k == record.DecimalKind):
		return appendJSONText(nil, latin1(v.Bytes())), nil
	case s.Type == record.Array && k == record.ListKind:
		return b.defaultList(s, v)
	case s.Type == record.Struct && k == record.StructKind:
		return b.defaultStruct(v.Struct())
	}
	return nil, errs.E(errs.Invalid, "Invalid type used for default value of %s field: class %s", s.Type, v.JavaClass())
}

func (b *avroBuilder) defaultList(s *record.Schema, v record.Value) ([]byte, error) {
	out := []byte{'['}
	for i, e := range v.List() {
		if i > 0 {
			out = append(out, ',')
		}
		text, err := b.defaultJSON(s.Elem, e)
		if err != nil {
			return nil, err
		}
		out = append(out, text...)
	}
	return append(out, ']'), nil
}

func (b *avroBuilder) defaultStruct(d *record.StructData) ([]byte, error) {
	out := []byte{'{'}
	for i := range d.Values {
		if i > 0 {
			out = append(out, ',')
		}
		f := &d.Schema.Fields[i]
		text, err := b.defaultJSON(f.Schema, d.At(i))
		if err != nil {
			return nil, err
		}
		out = append(append(appendJSONText(out, b.scrub(f.Name)), ':'), text...)
	}
	return append(out, '}'), nil
}

// latin1 returns bytes as a text of as many characters, which is how Avro writes them in JSON.
func latin1(b []byte) string {
	var out strings.Builder
	for _, c := range b {
		out.WriteRune(rune(c))
	}
	return out.String()
}
