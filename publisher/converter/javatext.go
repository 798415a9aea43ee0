package converter

import (
	"fmt"
	"strconv"
	"time"

	"github.com/rowmesh/rowmesh/publisher/jsontext"
	"github.com/rowmesh/rowmesh/publisher/record"
)

// appendJavaString appends what toString of a value's class in Java returns: Struct{a=1,b=x} without fields that are null, [1, 2], {k=v}, the class and sizes of a
// buffer of bytes.
func appendJavaString(dst []byte, s *record.Schema, v record.Value) []byte {
	switch v.Kind() {
	case record.NullKind:
		return append(dst, "null"...)
	case record.BoolKind:
		return strconv.AppendBool(dst, v.Bool())
	case record.IntKind:
		return appendJavaInt(dst, s, v.Int())
	case record.FloatKind:
		return appendJavaFloat(dst, s, v.Float())
	case record.StringKind:
		return append(dst, v.Bytes()...)
	case record.BytesKind:
		n := len(v.Bytes())
		return fmt.Appendf(dst, "java.nio.HeapByteBuffer[pos=0 lim=%d cap=%d]", n, n)
	case record.DecimalKind:
		return record.AppendDecimal(dst, v)
	case record.ListKind:
		dst = append(dst, '[')
		for i, e := range v.List() {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = appendJavaString(dst, elemOf(s), e)
		}
		return append(dst, ']')
	case record.MapKind:
		dst = append(dst, '{')
		for i, e := range v.Map() {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = append(appendJavaString(dst, keyOf(s), e.Key), '=')
			dst = appendJavaString(dst, elemOf(s), e.Value)
		}
		return append(dst, '}')
	}
	return appendJavaStruct(dst, v.Struct())
}

func appendJavaStruct(dst []byte, d *record.StructData) []byte {
	dst = append(dst, "Struct{"...)
	first := true
	for i, v := range d.Values {
		if v.IsNull() {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		f := &d.Schema.Fields[i]
		dst = append(append(dst, f.Name...), '=')
		dst = appendJavaString(dst, f.Schema, v)
	}
	return append(dst, '}')
}

func appendJavaInt(dst []byte, s *record.Schema, n int64) []byte {
	if s == nil {
		return strconv.AppendInt(dst, n, 10)
	}
	t := time.UnixMilli(n)
	switch s.Name {
	case record.DateName:
		t = time.Unix(n*24*60*60, 0)
	case record.TimeName, record.TimestampName:
	default:
		return strconv.AppendInt(dst, n, 10)
	}
	return t.UTC().AppendFormat(dst, "Mon Jan 02 15:04:05 UTC 2006")
}

// appendJavaFloat appends a float with the digits of its width. NaN and the infinities have no quotes here.
func appendJavaFloat(dst []byte, s *record.Schema, f float64) []byte {
	bits := 64
	if s != nil && s.Type == record.Float32 {
		bits = 32
	}
	start := len(dst)
	dst = jsontext.AppendFloat(dst, f, bits)
	if dst[start] == '"' {
		return append(dst[:start], dst[start+1:len(dst)-1]...)
	}
	return dst
}

func elemOf(s *record.Schema) *record.Schema {
	if s == nil {
		return nil
	}
	return s.Elem
}

func keyOf(s *record.Schema) *record.Schema {
	if s == nil {
		return nil
	}
	return s.Key
}
