package record

import (
	"encoding/base64"
	"strconv"
	"time"

	"github.com/rowmesh/rowmesh/publisher/jsontext"
)

// Simple is Kafka's SimpleHeaderConverter: texts as they are, numbers and booleans as text, bytes in base64, lists, maps and structs in a form close to
// JSON, Connect's dates and times in ISO 8601.
type Simple struct{}

var _ Converter = Simple{}

// Append writes d; null is null whatever the schema.
func (Simple) Append(dst []byte, _ string, _ []Header, d Data) ([]byte, bool, error) {
	if d.Value.IsNull() {
		return dst, true, nil
	}
	return appendSimple(dst, d.Schema, d.Value, false), false, nil
}

// AppendText appends a value as Kafka's Values.convertToString: what Simple writes, "null" for null.
func AppendText(dst []byte, d Data) []byte { return appendSimple(dst, d.Schema, d.Value, false) }

// appendSimple appends a value; embedded ones have quotes around texts.
func appendSimple(dst []byte, s *Schema, v Value, embedded bool) []byte {
	name := ""
	if s != nil {
		name = s.Name
	}
	switch v.kind {
	case NullKind:
		return append(dst, "null"...)
	case BoolKind:
		return strconv.AppendBool(dst, v.Bool())
	case IntKind:
		return appendSimpleInt(dst, name, v.Int())
	case FloatKind:
		start := len(dst)
		dst = appendJavaFloat(dst, s, v.Float())
		if dst[start] == '"' { // NaN and the infinities have no quotes in Java
			dst = append(dst[:start], dst[start+1:len(dst)-1]...)
		}
		return dst
	case StringKind:
		if !embedded {
			return append(dst, v.Bytes()...)
		}
		return appendSimpleText(dst, v.Text())
	case BytesKind:
		if !embedded {
			return base64.StdEncoding.AppendEncode(dst, v.Bytes())
		}
		return jsontext.AppendBase64(dst, base64.StdEncoding, v.Bytes())
	case DecimalKind:
		return AppendDecimal(dst, v)
	case ListKind:
		return appendSimpleList(dst, s, v.List())
	case MapKind:
		return appendSimpleMap(dst, s, v.Map())
	}
	d := v.Struct()
	dst = append(dst, '{')
	for i := range d.Values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendSimpleText(dst, d.Schema.Fields[i].Name), ':')
		dst = appendSimple(dst, d.Schema.Fields[i].Schema, d.At(i), true)
	}
	return append(dst, '}')
}

func appendJavaFloat(dst []byte, s *Schema, f float64) []byte {
	bits := 64
	if s != nil && s.Type == Float32 {
		bits = 32
	}
	return jsontext.AppendFloat(dst, f, bits)
}

func appendSimpleList(dst []byte, s *Schema, list []Value) []byte {
	var elem *Schema
	if s != nil {
		elem = s.Elem
	}
	dst = append(dst, '[')
	for i, e := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendSimple(dst, elem, e, true)
	}
	return append(dst, ']')
}

func appendSimpleMap(dst []byte, s *Schema, entries []Entry) []byte {
	var key, elem *Schema
	if s != nil {
		key, elem = s.Key, s.Elem
	}
	dst = append(dst, '{')
	for i, e := range entries {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendSimple(dst, key, e.Key, true), ':')
		dst = appendSimple(dst, elem, e.Value, true)
	}
	return append(dst, '}')
}

// appendSimpleText appends a quoted text, of which only the quote and the backslash are escaped.
func appendSimpleText(dst []byte, text string) []byte {
	dst = append(dst, '"')
	for i := range len(text) {
		if c := text[i]; c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, text[i])
	}
	return append(dst, '"')
}

// appendSimpleInt appends an integer, or what it means as one of Connect's dates and times.
func appendSimpleInt(dst []byte, name string, n int64) []byte {
	switch name {
	case DateName:
		return time.Unix(n*secondsPerDay, 0).UTC().AppendFormat(dst, time.DateOnly)
	case TimeName:
		return time.UnixMilli(n).UTC().AppendFormat(dst, "15:04:05.000Z")
	case TimestampName:
		t := time.UnixMilli(n).UTC()
		if n%millisPerDay == 0 {
			return t.AppendFormat(dst, time.DateOnly)
		}
		return t.AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	}
	return strconv.AppendInt(dst, n, 10)
}

const (
	secondsPerDay = 24 * 60 * 60
	millisPerDay  = secondsPerDay * 1000
)
