package record

import (
	"encoding/base64"
	"math"
	"strconv"
)

// DecodePayload reads a payload as JsonConverter writes it for the schema, decimals in base64 or as numbers; nil is no schema. Texts are views of payload
// where they can be; all else comes from the slab.
func DecodePayload(payload []byte, schema *Schema, slab *Slab) (Value, error) {
	s := scanner{src: payload, slab: slab}
	v, err := s.value(schema, 0)
	if err != nil {
		return Null, err
	}
	if s.peek() != 0 {
		return Null, s.fail("something follows the value")
	}
	return v, nil
}

// value takes a value of a schema.
func (s *scanner) value(schema *Schema, depth int) (Value, error) {
	c := s.peek()
	if c == 'n' && s.word("null") {
		return Null, nil
	}
	if schema == nil {
		return s.natural(depth)
	}
	switch schema.Type {
	case Int8, Int16, Int32, Int64:
		n, err := s.integer()
		return IntOf(n), err
	case String:
		t, err := s.text()
		return TextOf(t), err
	case Boolean:
		if s.word("true") {
			return BoolOf(true), nil
		}
		if s.word("false") {
			return BoolOf(false), nil
		}
		return Null, s.fail("a boolean is missing")
	case Float32, Float64:
		return s.float(schema.Type)
	case Bytes:
		return s.bytes(schema)
	case Array:
		return s.list(schema.Elem, depth)
	case Map:
		return s.entries(schema.Key, schema.Elem, depth)
	case Struct:
		return s.structure(schema, depth)
	}
	return Null, s.fail("the schema has no type")
}

// float takes a number, or the text of one that JSON has not.
func (s *scanner) float(t Type) (Value, error) {
	if s.peek() == '"' {
		text, err := s.text()
		if err != nil {
			return Null, err
		}
		switch string(text) {
		case "NaN":
			return FloatOf(math.NaN()), nil
		case "Infinity":
			return FloatOf(math.Inf(1)), nil
		case "-Infinity":
			return FloatOf(math.Inf(-1)), nil
		}
		return Null, s.fail("a text is no number")
	}
	text, err := s.number()
	if err != nil {
		return Null, err
	}
	bits := 64
	if t == Float32 {
		bits = 32
	}
	f, err := strconv.ParseFloat(string(text), bits)
	if err != nil && !math.IsInf(f, 0) {
		return Null, s.fail("a number is none")
	}
	return FloatOf(f), nil
}

// bytes takes base64, or a decimal.
func (s *scanner) bytes(schema *Schema) (Value, error) {
	scale := int32(0)
	decimal := schema.Name == DecimalName
	if decimal {
		text, _ := schema.Parameter(ScaleParameter)
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return Null, s.fail("a decimal's schema has no scale")
		}
		scale = int32(n)
	}
	if decimal && s.peek() != '"' {
		text, err := s.number()
		if err != nil {
			return Null, err
		}
		return ParseDecimal(string(text))
	}
	text, err := s.text()
	if err != nil {
		return Null, err
	}
	b := s.slab.Bytes(base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(b, text)
	if err != nil {
		return Null, s.fail("a text is not base64")
	}
	if decimal {
		return DecimalOf(b[:n], scale), nil
	}
	return BytesOf(b[:n]), nil
}

// small is how many elements of a list or a map are collected before memory of the right size is taken.
const small = 16

func (s *scanner) list(elem *Schema, depth int) (Value, error) {
	if depth > maxDepth {
		return Null, s.fail("it is nested too deep")
	}
	if err := s.expect('['); err != nil {
		return Null, err
	}
	var few [small]Value
	all := few[:0]
	for !s.take(']') {
		v, err := s.value(elem, depth+1)
		if err != nil {
			return Null, err
		}
		all = append(all, v)
		if !s.take(',') && s.peek() != ']' {
			return Null, s.expect(']')
		}
	}
	out := s.slab.Values(len(all))
	copy(out, all)
	return ListOf(out), nil
}

// entries takes a map: an object, or pairs.
func (s *scanner) entries(key, elem *Schema, depth int) (Value, error) {
	if depth > maxDepth {
		return Null, s.fail("it is nested too deep")
	}
	var few [small]Entry
	all := few[:0]
	object := s.take('{')
	shut := byte('}')
	if !object {
		shut = ']'
		if err := s.expect('['); err != nil {
			return Null, err
		}
	}
	for !s.take(shut) {
		var e Entry
		var err error
		if object {
			var t []byte
			t, err = s.text()
			e.Key = TextOf(t)
		} else if err = s.expect('['); err == nil {
			e.Key, err = s.value(key, depth+1)
		}
		if err != nil {
			return Null, err
		}
		between := byte(':')
		if !object {
			between = ','
		}
		if err = s.expect(between); err != nil {
			return Null, err
		}
		if e.Value, err = s.value(elem, depth+1); err != nil {
			return Null, err
		}
		if !object {
			if err = s.expect(']'); err != nil {
				return Null, err
			}
		}
		all = append(all, e)
		if !s.take(',') && s.peek() != shut {
			return Null, s.expect(shut)
		}
	}
	out := s.slab.Entries(len(all))
	copy(out, all)
	return MapOf(out), nil
}

func (s *scanner) structure(schema *Schema, depth int) (Value, error) {
	if depth > maxDepth {
		return Null, s.fail("it is nested too deep")
	}
	if err := s.expect('{'); err != nil {
		return Null, err
	}
	d := s.slab.Struct(schema)
	for i := 0; !s.take('}'); i++ {
		at, err := i, error(nil) // members come in the schema's order, nearly always
		if i >= len(schema.members) || !s.literal(schema.members[i]) {
			if at, err = s.member(schema); err != nil {
				return Null, err
			}
		}
		if d.Values[at], err = s.value(schema.Fields[at].Schema, depth+1); err != nil {
			return Null, err
		}
		if !s.take(',') && s.peek() != '}' {
			return Null, s.expect('}')
		}
	}
	return StructOf(d), nil
}

// member takes a member's name and returns the index of its field.
func (s *scanner) member(schema *Schema) (int, error) {
	name, err := s.text()
	if err != nil {
		return 0, err
	}
	if err := s.expect(':'); err != nil {
		return 0, err
	}
	at := schema.Field(string(name))
	if at < 0 {
		return 0, s.fail("the schema has no field " + strconv.Quote(string(name)))
	}
	return at, nil
}

// natural takes a value without a schema: integers are Int, other numbers Float, objects maps.
func (s *scanner) natural(depth int) (Value, error) {
	switch s.peek() {
	case '"':
		t, err := s.text()
		return TextOf(t), err
	case '[':
		return s.list(nil, depth)
	case '{':
		return s.entries(nil, nil, depth)
	case 't', 'f':
		if s.word("true") {
			return BoolOf(true), nil
		}
		if s.word("false") {
			return BoolOf(false), nil
		}
		return Null, s.fail("a value is missing")
	}
	text, err := s.number()
	if err != nil {
		return Null, err
	}
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		return IntOf(n), nil
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil && !math.IsInf(f, 0) {
		return Null, s.fail("a number is none")
	}
	return FloatOf(f), nil
}
