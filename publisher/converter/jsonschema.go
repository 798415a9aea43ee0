package converter

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/rowmesh/rowmesh/publisher/jsontext"
	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// jsonOptions are the options of JsonSchemaConverter that change schemas and values.
type jsonOptions struct {
	closed         bool // object.additional.properties=false
	decimalText    bool // decimal.format=NUMERIC
	ignoreDefaults bool // ignore.default.for.nullables
}

func jsonOptionsOf(o options) jsonOptions {
	return jsonOptions{closed: !o.is("object.additional.properties", true), decimalText: strings.EqualFold(o.get("decimal.format", ""), "NUMERIC"),
		ignoreDefaults: o.is("ignore.default.for.nullables", false)}
}

// jsonSchema writes Confluent's JSON Schema: the values as Kafka's JsonConverter writes them without schemas.
type jsonSchema struct {
	o      jsonOptions
	values record.JSON
}

var _ format = (*jsonSchema)(nil)

func newJSONSchema(o jsonOptions) *jsonSchema {
	return &jsonSchema{o: o, values: record.JSON{DecimalText: o.decimalText, NullDefault: !o.ignoreDefaults}}
}

func (*jsonSchema) kind() sr.SchemaType { return sr.TypeJSON }

// null is a JSON text where the schema allows it.
func (f *jsonSchema) null(s *record.Schema) bool {
	return !s.Optional && (s.Default.IsNull() || f.o.ignoreDefaults)
}

func (f *jsonSchema) compile(s *record.Schema) (*plan, error) {
	text, err := f.schema(s, -1)
	if err != nil {
		return nil, err
	}
	p := &plan{text: string(text), name: s.Name}
	if s.Type == record.Struct && s.Optional {
		p.name = "" // the title is inside
	}
	p.write = func(dst []byte, v record.Value) ([]byte, error) { return f.values.AppendPayload(dst, s, v) }
	return p, nil
}

// reads accepts the registry's schema as it is: values are not written by it.
func (f *jsonSchema) reads(_ *record.Schema, own *plan, _ string) (*plan, error) { return own, nil }

// jsonMember is a member of an object, its value rendered.
type jsonMember struct {
	name  string
	value []byte
}

func (m jsonMember) key() string { return m.name }

func jsonText(s string) []byte { return appendJSONText(nil, s) }

// appendMembers appends members behind those that are there.
func appendMembers(dst []byte, members []jsonMember) []byte {
	for _, m := range members {
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(append(appendJSONText(dst, m.name), ':'), m.value...)
	}
	return dst
}

// jsonNode is a schema on its way to a text. The printer of Java's library writes what it knows, then what it does not, then what is inside.
type jsonNode struct {
	head  []jsonMember // in order
	other []jsonMember // the converter's own words, in the order of a HashMap
	tail  []jsonMember
}

// text renders the schema; index is its place in a struct, negative if it is in none.
func (n *jsonNode) text(index int) []byte {
	other := n.other
	if index >= 0 {
		other = append(other, jsonMember{"connect.index", strconv.AppendInt(nil, int64(index), 10)})
	}
	other = inHashOrder(inHashOrder(other, defaultCapacity, jsonMember.key), copyCapacity(len(other)), jsonMember.key)
	dst := appendMembers([]byte{'{'}, n.head)
	dst = appendMembers(dst, other)
	return append(appendMembers(dst, n.tail), '}')
}

// copyCapacity is the capacity of a HashMap that was made of another with n members.
func copyCapacity(n int) int { return int(float32(n)/0.75 + 1) }

// nullOr renders a choice between null and another schema.
func nullOr(other []byte, index int) []byte {
	n := jsonNode{tail: []jsonMember{{"oneOf", append(append([]byte(`[{"type":"null"},`), other...), ']')}}}
	return n.text(index)
}

// schema renders a schema; index is its place in a struct, negative if it is in none.
func (f *jsonSchema) schema(s *record.Schema, index int) ([]byte, error) {
	if s == nil {
		return nil, errs.E(errs.Invalid, "a member has no schema, which JSON Schema needs")
	}
	if s.Type == record.Struct && s.Optional {
		inside, err := f.schema(s.AsOptional(false), -1)
		return nullOr(inside, index), err
	}
	n, err := f.node(s)
	if err != nil {
		return nil, err
	}
	if s.Name != "" {
		n.head = append(n.head, jsonMember{"title", jsonText(s.Name)})
	}
	if s.Doc != nil {
		n.head = append(n.head, jsonMember{"description", jsonText(*s.Doc)})
	}
	if !s.Default.IsNull() {
		def, err := f.defaultOf(s)
		if err != nil {
			return nil, err
		}
		n.head = append(n.head, jsonMember{"default", def})
	}
	if s.Version != nil {
		n.other = append(n.other, jsonMember{"connect.version", strconv.AppendInt(nil, int64(*s.Version), 10)})
	}
	if params := connectParameters(s); params != nil {
		n.other = append(n.other, jsonMember{"connect.parameters", params})
	}
	if s.Optional {
		return nullOr(n.text(-1), index), nil
	}
	return n.text(index), nil
}

// connectParameters renders a schema's parameters but those that are the converter's own; nil if there are none.
func connectParameters(s *record.Schema) []byte {
	var list []jsonMember
	for _, p := range s.Parameters {
		if !strings.HasPrefix(p.Name, "io.confluent.connect.json") {
			list = append(list, jsonMember{p.Name, jsonText(p.Value)})
		}
	}
	if len(list) == 0 {
		return nil
	}
	list = inHashOrder(inHashOrder(list, defaultCapacity, jsonMember.key), len(list), jsonMember.key)
	return append(appendMembers([]byte{'{'}, list), '}')
}

// node renders what a type says of itself.
func (f *jsonSchema) node(s *record.Schema) (*jsonNode, error) {
	typed := func(name string) *jsonNode { return &jsonNode{head: []jsonMember{{"type", jsonText(name)}}} }
	connect := func(n *jsonNode, name string) *jsonNode {
		n.other = append(n.other, jsonMember{"connect.type", jsonText(name)})
		return n
	}
	switch s.Type {
	case record.Int8, record.Int16, record.Int32, record.Int64:
		return connect(typed("integer"), s.Type.JSONName()), nil
	case record.Float32:
		return connect(typed("number"), "float32"), nil
	case record.Float64:
		return connect(typed("number"), "float64"), nil
	case record.Boolean:
		return &jsonNode{tail: []jsonMember{{"type", jsonText("boolean")}}}, nil // which the printer writes last
	case record.String:
		return typed("string"), nil
	case record.Bytes:
		if s.Name == record.DecimalName && f.o.decimalText {
			return connect(typed("number"), "bytes"), nil
		}
		return connect(typed("string"), "bytes"), nil
	case record.Array:
		items, err := f.schema(s.Elem, -1)
		n := typed("array")
		n.tail = []jsonMember{{"items", items}}
		return n, err
	case record.Map:
		if s.Key == nil || s.Key.Type != record.String || s.Key.Optional {
			return nil, errs.E(errs.Invalid, "a map whose keys may be null or are no texts is not written in JSON Schema here: turn it into a list of structs")
		}
		value, err := f.schema(s.Elem, -1)
		n := connect(typed("object"), "map")
		n.tail = []jsonMember{{"additionalProperties", value}}
		return n, err
	case record.Struct:
		return f.object(s, typed("object"))
	}
	return nil, errs.E(errs.Invalid, "Unsupported type %s", s.Type)
}

func (f *jsonSchema) object(s *record.Schema, n *jsonNode) (*jsonNode, error) {
	if f.o.closed {
		n.head = append(n.head, jsonMember{"additionalProperties", []byte("false")})
	}
	var properties []jsonMember
	for i := range s.Fields {
		p, err := f.schema(s.Fields[i].Schema, i)
		if err != nil {
			return nil, err
		}
		properties = append(properties, jsonMember{s.Fields[i].Name, p})
	}
	if len(properties) > 0 {
		text := appendMembers([]byte{'{'}, inHashOrder(properties, defaultCapacity, jsonMember.key))
		n.tail = []jsonMember{{"properties", append(text, '}')}}
	}
	return n, nil
}

// defaultOf renders a default value, numbers as org.json writes them.
func (f *jsonSchema) defaultOf(s *record.Schema) ([]byte, error) {
	v := s.Default
	switch k := v.Kind(); {
	case k == record.FloatKind:
		n := v.Float()
		bits := 64
		if s.Type == record.Float32 {
			bits = 32
		}
		if math.IsNaN(n) || math.IsInf(n, 0) {
			return nil, errs.E(errs.Invalid, "the default %v cannot be expressed in JSON", n)
		}
		return defaultNumber(string(jsontext.AppendFloat(nil, n, bits)))
	case k == record.StringKind:
		return appendJSONText(nil, v.Bytes()), nil
	case k == record.DecimalKind && f.o.decimalText:
		return defaultNumber(string(record.AppendDecimal(nil, v)))
	case k == record.DecimalKind:
		return jsontext.AppendBase64(nil, base64.StdEncoding, v.Bytes()), nil
	}
	return f.values.AppendPayload(nil, s, v)
}

// defaultNumber renders a number as it comes out of org.json, which drops zeros behind the point, and of Jackson, which reads it as a BigDecimal.
func defaultNumber(text string) ([]byte, error) {
	if !strings.Contains(text, ".") {
		return []byte(text), nil
	}
	if !strings.Contains(text, "E") {
		return []byte(strings.TrimSuffix(strings.TrimRight(text, "0"), ".")), nil
	}
	v, err := record.ParseDecimal(text)
	return record.AppendDecimal(nil, v), err
}
