package record

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/big"
	"strconv"

	"github.com/rowmesh/rowmesh/publisher/jsontext"
	"github.com/rowmesh/rowmesh/services/errs"
)

// JSON is Kafka's JsonConverter for keys, values and headers.
type JSON struct {
	// Schemas is schemas.enable: each text holds the schema and the payload.
	Schemas bool
	// DecimalText is decimal.format=NUMERIC: decimals are numbers, not base64.
	DecimalText bool
	// NullDefault is replace.null.with.default: a null field prints as its schema's default.
	NullDefault bool

	texts map[*Schema][]byte
}

var _ Converter = (*JSON)(nil)

// maxSchemaTexts bounds the rendered schemas that are kept. A lane has a few schemas per table version, and each text is 2 to 10 KB.
const maxSchemaTexts = 1000

// Append writes d as JsonConverter.fromConnectData does. Data without schema and value is null in both modes; null with a schema is a text.
func (j *JSON) Append(dst []byte, _ string, _ []Header, d Data) ([]byte, bool, error) {
	if d.Missing() {
		return dst, true, nil
	}
	start := len(dst)
	if j.Schemas {
		dst = append(dst, `{"schema":`...)
		dst = append(dst, j.text(d.Schema)...)
		dst = append(dst, `,"payload":`...)
	}
	dst, err := j.AppendPayload(dst, d.Schema, d.Value)
	if err != nil {
		return dst[:start], false, err
	}
	if j.Schemas {
		dst = append(dst, '}')
	}
	return dst, false, nil
}

// text returns the rendered schema.
func (j *JSON) text(s *Schema) []byte {
	if t, ok := j.texts[s]; ok {
		return t
	}
	t := j.AppendSchema(nil, s)
	if j.texts == nil || len(j.texts) >= maxSchemaTexts {
		j.texts = map[*Schema][]byte{}
	}
	j.texts[s] = t
	return t
}

// AppendSchema appends a schema, null if there is none.
func (j *JSON) AppendSchema(dst []byte, s *Schema) []byte {
	if s == nil {
		return append(dst, "null"...)
	}
	return append(j.appendSchema(dst, s), '}')
}

// appendSchema appends a schema without its closing brace, as a field's name may follow.
func (j *JSON) appendSchema(dst []byte, s *Schema) []byte {
	dst = append(append(append(dst, `{"type":"`...), s.Type.JSONName()...), '"')
	switch s.Type {
	case Array:
		dst = j.AppendSchema(append(dst, `,"items":`...), s.Elem)
	case Map:
		dst = j.AppendSchema(append(dst, `,"keys":`...), s.Key)
		dst = j.AppendSchema(append(dst, `,"values":`...), s.Elem)
	case Struct:
		dst = append(dst, `,"fields":[`...)
		for i := range s.Fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(j.appendSchema(dst, s.Fields[i].Schema), `,"field":`...)
			dst = append(jsontext.AppendString(dst, s.Fields[i].Name), '}')
		}
		dst = append(dst, ']')
	}
	dst = append(dst, `,"optional":`...)
	dst = strconv.AppendBool(dst, s.Optional)
	if s.Name != "" {
		dst = jsontext.AppendString(append(dst, `,"name":`...), s.Name)
	}
	if s.Version != nil {
		dst = strconv.AppendInt(append(dst, `,"version":`...), int64(*s.Version), 10)
	}
	if s.Doc != nil {
		dst = jsontext.AppendString(append(dst, `,"doc":`...), *s.Doc)
	}
	if len(s.Parameters) > 0 {
		dst = append(dst, `,"parameters":{`...)
		for i, p := range s.Parameters {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(jsontext.AppendString(dst, p.Name), ':')
			dst = jsontext.AppendString(dst, p.Value)
		}
		dst = append(dst, '}')
	}
	if !s.Default.IsNull() {
		dst = append(dst, `,"default":`...)
		if with, err := j.AppendPayload(dst, s, s.Default); err == nil {
			return with
		}
		return append(dst, "null"...)
	}
	return dst
}

// AppendPayload appends a value. Errors, of kind Invalid, are worded as JsonConverter's: a null for a required schema, a decimal of another scale than
// its schema's, a value that is not of its schema's type.
func (j *JSON) AppendPayload(dst []byte, s *Schema, v Value) ([]byte, error) {
	if v.IsNull() {
		switch {
		case s == nil:
		case !s.Default.IsNull() && !v.Kept() && j.NullDefault:
			return j.AppendPayload(dst, s, s.Default)
		case !s.Optional:
			return dst, errs.E(errs.Invalid, "Conversion error: null value for field that is required and has no default value")
		}
		return append(dst, "null"...), nil
	}
	if s == nil {
		return j.appendNatural(dst, v)
	}
	switch {
	case s.Type.Integer() && v.kind == IntKind:
		return strconv.AppendInt(dst, v.Int(), 10), nil
	case s.Type == Float32 && v.kind == FloatKind:
		return jsontext.AppendFloat(dst, v.Float(), 32), nil
	case s.Type == Float64 && v.kind == FloatKind:
		return jsontext.AppendFloat(dst, v.Float(), 64), nil
	case s.Type == Boolean && v.kind == BoolKind:
		return strconv.AppendBool(dst, v.Bool()), nil
	case s.Type == String && v.kind == StringKind:
		return appendText(dst, v.Bytes()), nil
	case s.Type == Bytes && v.kind == BytesKind:
		return jsontext.AppendBase64(dst, base64.StdEncoding, v.Bytes()), nil
	case s.Type == Bytes && v.kind == DecimalKind:
		return j.appendDecimal(dst, s, v)
	case s.Type == Array && v.kind == ListKind:
		dst = append(dst, '[')
		for i, e := range v.List() {
			if i > 0 {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = j.AppendPayload(dst, s.Elem, e); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	case s.Type == Map && v.kind == MapKind:
		return j.appendMap(dst, s, v.Map())
	case s.Type == Struct && v.kind == StructKind:
		return j.appendStruct(dst, s, v.Struct())
	}
	return dst, errs.E(errs.Invalid, "Invalid type for %s: %s", s.Type, v.JavaClass())
}

func (j *JSON) appendStruct(dst []byte, s *Schema, d *StructData) ([]byte, error) {
	if d.Schema != s && !d.Schema.Equal(s) {
		return dst, errs.E(errs.Invalid, "Mismatching schema.")
	}
	dst = append(dst, '{')
	for i := range s.Fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		if i < len(s.members) {
			dst = append(dst, s.members[i]...)
		} else {
			dst = append(jsontext.AppendString(dst, s.Fields[i].Name), ':')
		}
		var err error
		if dst, err = j.AppendPayload(dst, s.Fields[i].Schema, d.Values[i]); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// appendMap appends a map: an object if its keys are strings, else pairs.
func (j *JSON) appendMap(dst []byte, s *Schema, entries []Entry) ([]byte, error) {
	object := true
	key, elem := (*Schema)(nil), (*Schema)(nil)
	if s != nil {
		key, elem = s.Key, s.Elem
		object = key.Type == String
	} else {
		for _, e := range entries {
			object = object && e.Key.kind == StringKind
		}
	}
	open, shut := byte('{'), byte('}')
	if !object {
		open, shut = '[', ']'
	}
	dst = append(dst, open)
	for i, e := range entries {
		if i > 0 {
			dst = append(dst, ',')
		}
		if !object {
			dst = append(dst, '[')
		}
		var err error
		if dst, err = j.AppendPayload(dst, key, e.Key); err != nil {
			return dst, err
		}
		if object {
			dst = append(dst, ':')
		} else {
			dst = append(dst, ',')
		}
		if dst, err = j.AppendPayload(dst, elem, e.Value); err != nil {
			return dst, err
		}
		if !object {
			dst = append(dst, ']')
		}
	}
	return append(dst, shut), nil
}

// appendNatural appends a value without a schema.
func (j *JSON) appendNatural(dst []byte, v Value) ([]byte, error) {
	switch v.kind {
	case BoolKind:
		return strconv.AppendBool(dst, v.Bool()), nil
	case IntKind:
		return strconv.AppendInt(dst, v.Int(), 10), nil
	case FloatKind:
		return jsontext.AppendFloat(dst, v.Float(), 64), nil
	case StringKind:
		return appendText(dst, v.Bytes()), nil
	case BytesKind:
		return jsontext.AppendBase64(dst, base64.StdEncoding, v.Bytes()), nil
	case DecimalKind:
		return j.appendDecimal(dst, nil, v)
	case ListKind:
		dst = append(dst, '[')
		for i, e := range v.List() {
			if i > 0 {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = j.AppendPayload(dst, nil, e); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	case MapKind:
		return j.appendMap(dst, nil, v.Map())
	}
	d := v.Struct()
	return j.appendStruct(dst, d.Schema, d)
}

// appendText appends a text. Halves of characters, see appendSurrogate, are escaped as Jackson escapes them.
func appendText(dst, text []byte) []byte {
	rest := text
	for from := 0; ; {
		i := bytes.IndexByte(rest[from:], 0xED)
		if i < 0 {
			break
		}
		i += from
		if i+2 >= len(rest) || rest[i+1] < 0xA0 {
			from = i + 1
			continue
		}
		if len(rest) == len(text) {
			dst = append(dst, '"')
		}
		dst = jsontext.AppendEscaped(dst, rest[:i])
		dst = fmt.Appendf(dst, `\u%04X`, 0xD000|int(rest[i+1]&0x3F)<<6|int(rest[i+2]&0x3F))
		rest, from = rest[i+3:], 0
	}
	if len(rest) == len(text) {
		return jsontext.AppendString(dst, text)
	}
	return append(jsontext.AppendEscaped(dst, rest), '"')
}

// appendDecimal appends a decimal: its unscaled bytes in base64, or its digits.
func (j *JSON) appendDecimal(dst []byte, s *Schema, v Value) ([]byte, error) {
	if s != nil {
		if s.Name != DecimalName {
			return dst, errs.E(errs.Invalid, "Invalid type for bytes type: class java.math.BigDecimal")
		}
		if text, _ := s.Parameter(ScaleParameter); text != strconv.Itoa(int(v.Scale())) && !j.DecimalText {
			return dst, errs.E(errs.Invalid, "Decimal value has mismatching scale for given Decimal schema. Schema has scale %s, value has scale %d.", text, v.Scale())
		}
	}
	if !j.DecimalText {
		return jsontext.AppendBase64(dst, base64.StdEncoding, v.Bytes()), nil
	}
	return AppendDecimal(dst, v), nil
}

// AppendDecimal appends a decimal as Java's BigDecimal.toString: plain, or scientific where the scale is negative or the number below 1e-6.
func AppendDecimal(dst []byte, v Value) []byte {
	n := BigInt(v.Bytes())
	if n.Sign() < 0 {
		dst = append(dst, '-')
		n.Neg(n)
	}
	digits := n.String()
	scale := int(v.Scale())
	exponent := len(digits) - 1 - scale
	switch {
	case scale == 0:
		return append(dst, digits...)
	case scale > 0 && exponent >= -6:
		if point := len(digits) - scale; point > 0 {
			return append(append(append(dst, digits[:point]...), '.'), digits[point:]...)
		}
		dst = append(dst, "0."...)
		for range scale - len(digits) {
			dst = append(dst, '0')
		}
		return append(dst, digits...)
	}
	dst = append(dst, digits[0])
	if len(digits) > 1 {
		dst = append(append(dst, '.'), digits[1:]...)
	}
	if exponent == 0 {
		return dst
	}
	dst = append(dst, 'E')
	if exponent > 0 {
		dst = append(dst, '+')
	}
	return strconv.AppendInt(dst, int64(exponent), 10)
}

// BigInt reads a big-endian two's complement number.
func BigInt(b []byte) *big.Int {
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(len(b))*8))
	}
	return n
}

// TwosComplement returns the shortest big-endian two's complement form, as Java's BigInteger.toByteArray.
func TwosComplement(n *big.Int) []byte {
	if n.Sign() >= 0 {
		b := n.Bytes()
		if len(b) == 0 || b[0]&0x80 != 0 {
			b = append([]byte{0}, b...)
		}
		return b
	}
	// -2^(8k-1) needs k bytes, so its size follows from the number plus one.
	size := new(big.Int).Add(n, big.NewInt(1)).BitLen()/8 + 1
	b := new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(size)*8)).Bytes()
	for len(b) < size {
		b = append([]byte{0}, b...)
	}
	return b
}

// javaClasses are the classes that values have in Java, as errors print them.
var javaClasses = [...]string{NullKind: "null", BoolKind: "java.lang.Boolean", IntKind: "java.lang.Long", FloatKind: "java.lang.Double", StringKind: "java.lang.String",
	BytesKind: "java.nio.HeapByteBuffer", DecimalKind: "java.math.BigDecimal", ListKind: "java.util.ArrayList", MapKind: "java.util.HashMap", StructKind: "org.apache.kafka.connect.data.Struct"}

// JavaClass returns the name of the class that a value without schema has in Java, as errors print it.
func (v Value) JavaClass() string {
	if int(v.kind) < len(javaClasses) {
		return javaClasses[v.kind]
	}
	return fmt.Sprint(v.kind)
}
