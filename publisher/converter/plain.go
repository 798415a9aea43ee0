package converter

import (
	"encoding/binary"
	"math"
	"strings"
	"unicode/utf16"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// text is Kafka's StringConverter.
type text struct {
	encode func(dst, text []byte) []byte // from UTF-8; nil keeps it
}

// textOf makes a StringConverter of its options.
func textOf(o options) (record.Converter, error) {
	name := o.get("converter.encoding", "UTF8")
	c := &text{}
	switch strings.ToUpper(strings.NewReplacer("-", "", "_", "").Replace(name)) {
	case "UTF8":
	case "ISO88591", "LATIN1":
		c.encode = singleByte(0x100)
	case "USASCII", "ASCII":
		c.encode = singleByte(0x80)
	case "UTF16", "UTF16BE":
		c.encode = wide(binary.BigEndian, strings.HasSuffix(name, "16"))
	case "UTF16LE":
		c.encode = wide(binary.LittleEndian, false)
	default:
		return nil, errs.E(errs.Invalid, "%s: %q is not an encoding that is spoken; use UTF-8, ISO-8859-1, US-ASCII, UTF-16, UTF-16BE or UTF-16LE", o.name("converter.encoding"), name)
	}
	return c, nil
}

var _ record.Converter = (*text)(nil)

// Append appends the value's toString; null is null.
func (c *text) Append(dst []byte, _ string, _ []record.Header, d record.Data) ([]byte, bool, error) {
	if d.Value.IsNull() {
		return dst, true, nil
	}
	start := len(dst)
	dst = appendJavaString(dst, d.Schema, d.Value)
	if c.encode == nil {
		return append(dst[:start], javaUTF8(dst[start:])...), false, nil
	}
	return c.encode(dst[:start], append([]byte(nil), dst[start:]...)), false, nil
}

// singleByte encodes characters below a limit as themselves, others as question marks.
func singleByte(limit rune) func(dst, text []byte) []byte {
	return func(dst, text []byte) []byte {
		for _, r := range string(javaUTF8(text)) {
			if r >= limit {
				r = '?'
			}
			dst = append(dst, byte(r))
		}
		return dst
	}
}

// wide encodes as UTF-16, with a mark of the byte order in front if so asked.
func wide(order binary.AppendByteOrder, mark bool) func(dst, text []byte) []byte {
	return func(dst, text []byte) []byte {
		if mark {
			dst = order.AppendUint16(dst, 0xFEFF)
		}
		for _, u := range utf16.Encode([]rune(string(javaUTF8(text)))) {
			dst = order.AppendUint16(dst, u)
		}
		return dst
	}
}

// byteArray is Kafka's ByteArrayConverter.
type byteArray struct{}

var _ record.Converter = byteArray{}

// Append appends the bytes.
func (byteArray) Append(dst []byte, _ string, _ []record.Header, d record.Data) ([]byte, bool, error) {
	switch {
	case d.Schema != nil && d.Schema.Type != record.Bytes:
		return dst, false, errs.E(errs.Invalid, "Invalid schema type for ByteArrayConverter: %s", d.Schema.Type)
	case d.Value.IsNull():
		return dst, true, nil
	case d.Value.Kind() != record.BytesKind:
		return dst, false, errs.E(errs.Invalid, "ByteArrayConverter is not compatible with objects of type class %s", d.Value.JavaClass())
	}
	return append(dst, d.Value.Bytes()...), false, nil
}

// number is one of Kafka's number converters, or BooleanConverter.
type number struct {
	class string // short, as errors name it
	typ   record.Type
}

var _ record.Converter = number{}

// Append appends a number big-endian, a boolean as one byte.
func (c number) Append(dst []byte, _ string, _ []record.Header, d record.Data) ([]byte, bool, error) {
	if d.Schema != nil && d.Schema.Type != c.typ {
		return dst, false, errs.E(errs.Invalid, "Invalid schema type for %s: %s", c.class, d.Schema.Type)
	}
	v := d.Value
	if v.IsNull() {
		return dst, true, nil
	}
	switch k := v.Kind(); {
	case c.typ == record.Boolean && k == record.BoolKind:
		if v.Bool() {
			return append(dst, 1), false, nil
		}
		return append(dst, 0), false, nil
	case c.typ == record.Int16 && k == record.IntKind:
		return binary.BigEndian.AppendUint16(dst, uint16(v.Int())), false, nil
	case c.typ == record.Int32 && k == record.IntKind:
		return binary.BigEndian.AppendUint32(dst, uint32(v.Int())), false, nil
	case c.typ == record.Int64 && k == record.IntKind:
		return binary.BigEndian.AppendUint64(dst, uint64(v.Int())), false, nil
	case c.typ == record.Float32 && k == record.FloatKind:
		return binary.BigEndian.AppendUint32(dst, math.Float32bits(float32(v.Float()))), false, nil
	case c.typ == record.Float64 && k == record.FloatKind:
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(v.Float())), false, nil
	}
	return dst, false, errs.E(errs.Invalid, "Failed to serialize to %s (was class %s)", c.typ, v.JavaClass())
}

// delegating is Debezium's ByteArrayConverter and BinaryDataConverter: bytes as they are, all else by another converter.
type delegating struct {
	option string
	other  record.Converter // nil if delegate.converter.type is not set
}

var _ record.Converter = delegating{}

// Append appends the bytes, or what the delegate makes of d.
func (c delegating) Append(dst []byte, topic string, headers []record.Header, d record.Data) ([]byte, bool, error) {
	isBytes := d.Schema == nil || d.Schema.Type == record.Bytes
	switch {
	case isBytes && d.Value.IsNull():
		return dst, true, nil
	case isBytes && d.Value.Kind() == record.BytesKind:
		return append(dst, d.Value.Bytes()...), false, nil
	case c.other == nil:
		what := d.Value.JavaClass()
		if d.Schema != nil {
			what = d.Schema.Type.String()
		}
		return dst, false, errs.E(errs.Invalid, "A record of topic %s holds data of type %s, which requires %s to be configured", topic, what, c.option)
	}
	return c.other.Append(dst, topic, headers, d)
}
