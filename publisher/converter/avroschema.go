package converter

import (
	"strconv"
	"strings"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// avroNamespace is where records without a name of their own are put.
const avroNamespace = "io.confluent.connect.avro"

// avroType is an Avro schema.
type avroType struct {
	kind        string // "int", "record", "union", ...
	space, name string // of a record
	doc         string
	fields      []avroField
	items       *avroType // of an array; the values of a map
	branches    []*avroType
	props       []avroProp
}

// avroProp is a property that Avro itself knows nothing of; its value is JSON.
type avroProp struct {
	name  string
	value []byte
}

type avroField struct {
	name  string
	typ   *avroType
	doc   *string
	def   []byte // JSON; nil if there is none
	props []avroProp
}

func (t *avroType) fullName() string {
	if t.space == "" {
		return t.name
	}
	return t.space + "." + t.name
}

// prop adds a property unless it is there.
func (t *avroType) prop(name string, value []byte) {
	for _, p := range t.props {
		if p.name == name {
			return
		}
	}
	t.props = append(t.props, avroProp{name, value})
}

// avroBuilder makes the Avro schema of one Connect schema.
type avroBuilder struct {
	o       *avroOptions
	records map[string]*avroType // by Connect name: what a struct of that name inside another refers to
	equal   []avroSame           // required structs so far
	seen    map[string]bool      // names that fields' schemas have had
	unnamed int
}

type avroSame struct {
	schema *record.Schema
	typ    *avroType
}

func newAvroBuilder(o *avroOptions) *avroBuilder {
	return &avroBuilder{o: o, records: map[string]*avroType{}, seen: map[string]bool{}}
}

// typeOf returns the type of a schema: a union with null if it is optional.
func (b *avroBuilder) typeOf(s *record.Schema) (*avroType, error) {
	if s == nil {
		return nil, errs.E(errs.Invalid, "a member has no schema, which Avro needs")
	}
	if s.Type == record.Struct {
		return b.structOf(s)
	}
	t, err := b.plain(s)
	if err != nil {
		return nil, err
	}
	if err := b.describe(t, s); err != nil {
		return nil, err
	}
	return optionalAvro(s, t), nil
}

// optionalAvro wraps the type of an optional schema: null comes first, but where there is a default, whose type must.
func optionalAvro(s *record.Schema, t *avroType) *avroType {
	null := &avroType{kind: "null"}
	switch {
	case !s.Optional:
		return t
	case s.Default.IsNull():
		return &avroType{kind: "union", branches: []*avroType{null, t}}
	}
	return &avroType{kind: "union", branches: []*avroType{t, null}}
}

// inner is typeOf for what is inside of a type other than a record, where a struct's name alone says which record is meant.
func (b *avroBuilder) inner(s *record.Schema) (*avroType, error) {
	if s != nil {
		if t, ok := b.records[s.Name]; ok && s.Name != "" {
			return optionalAvro(s, t), nil
		}
	}
	return b.typeOf(s)
}

// structOf returns the record of a struct.
func (b *avroBuilder) structOf(s *record.Schema) (*avroType, error) {
	if s.Optional {
		required := s.AsOptional(false)
		t, err := b.inner(required)
		if err != nil {
			return nil, err
		}
		return &avroType{kind: "union", branches: []*avroType{{kind: "null"}, t}}, nil
	}
	for _, e := range b.equal {
		if e.schema.Equal(s) {
			return e.typ, nil
		}
	}
	t := &avroType{kind: "record"}
	if err := b.nameRecord(t, s.Name); err != nil {
		return nil, err
	}
	if doc, ok := s.Parameter(avroNamespace + ".record.doc"); ok && !b.o.discardDoc {
		t.doc = doc
	}
	if s.Name != "" {
		b.records[s.Name] = t
	}
	for i := range s.Fields {
		f, err := b.field(s, i)
		if err != nil {
			return nil, err
		}
		t.fields = append(t.fields, f)
	}
	if err := b.describe(t, s); err != nil {
		return nil, err
	}
	b.equal = append(b.equal, avroSame{s, t})
	return t, nil
}

func (b *avroBuilder) nameRecord(t *avroType, name string) error {
	if name == "" {
		b.unnamed++
		t.space, t.name = avroNamespace, "ConnectDefault"
		if b.unnamed > 1 {
			t.name += strconv.Itoa(b.unnamed)
		}
		return nil
	}
	parts := strings.Split(strings.TrimRight(name, "."), ".")
	for i := range parts {
		parts[i] = b.scrub(parts[i])
	}
	t.space, t.name = strings.Join(parts[:len(parts)-1], "."), parts[len(parts)-1]
	return checkAvroName(t.name, "schema "+name)
}

func (b *avroBuilder) scrub(name string) string {
	if b.o.scrub {
		return scrub(name, false)
	}
	return name
}

// checkAvroName refuses what Java's Avro refuses: names that are not made of letters, digits and underscores, or begin with a digit.
func checkAvroName(name, what string) error {
	for i, r := range name {
		if !isNameRune(r) || i == 0 && r >= '0' && r <= '9' {
			return errs.E(errs.Invalid, "%s: %q is no name in Avro: set schema.name.adjustment.mode and field.name.adjustment.mode to avro, or the converter's scrub.invalid.names to true", what, name)
		}
	}
	if name == "" {
		return errs.E(errs.Invalid, "%s: Avro needs a name", what)
	}
	return nil
}

func (b *avroBuilder) field(s *record.Schema, i int) (avroField, error) {
	f := &s.Fields[i]
	out := avroField{name: b.scrub(f.Name)}
	if err := checkAvroName(out.name, "field "+f.Name+" of "+s.Name); err != nil {
		return out, err
	}
	again := f.Schema != nil && f.Schema.Name != "" && b.seen[f.Schema.Name]
	var err error
	if f.Schema != nil && f.Schema.Name != "" {
		b.seen[f.Schema.Name] = true
	}
	if out.typ, err = b.typeOf(f.Schema); err != nil {
		return out, err
	}
	if b.o.discardDoc {
		out.doc = f.Schema.Doc
	} else if doc, ok := s.Parameter(avroNamespace + ".field.doc." + f.Name); ok {
		out.doc = &doc
	}
	if !f.Schema.Default.IsNull() {
		if out.def, err = b.defaultJSON(f.Schema, f.Schema.Default); err != nil {
			return out, err
		}
	} else if f.Schema.Optional {
		out.def = []byte("null")
	}
	if again && b.o.metaData && f.Schema.Type == record.Struct {
		if params := b.parameters(f.Schema); params != nil {
			out.props = append(out.props, avroProp{"connect.parameters", params})
		}
	}
	return out, nil
}

// plain returns the type of a schema that is no struct, without properties.
func (b *avroBuilder) plain(s *record.Schema) (*avroType, error) {
	switch s.Type {
	case record.Int8, record.Int16, record.Int32:
		return &avroType{kind: "int"}, nil
	case record.Int64:
		return &avroType{kind: "long"}, nil
	case record.Float32:
		return &avroType{kind: "float"}, nil
	case record.Float64:
		return &avroType{kind: "double"}, nil
	case record.Boolean:
		return &avroType{kind: "boolean"}, nil
	case record.String:
		return &avroType{kind: "string"}, nil
	case record.Bytes:
		return &avroType{kind: "bytes"}, nil
	case record.Array:
		items, err := b.inner(s.Elem)
		return &avroType{kind: "array", items: items}, err
	case record.Map:
		return b.mapOf(s)
	}
	return nil, errs.E(errs.Invalid, "Unknown schema type: %s", s.Type)
}

// textKeys reports whether a map becomes a map in Avro, where keys are texts.
func (o *avroOptions) textKeys(s *record.Schema) bool {
	return s.Key != nil && s.Key.Type == record.String && (!s.Key.Optional || o.optionalKeys)
}

// mapOf returns a map, or an array of records where the keys are not texts.
func (b *avroBuilder) mapOf(s *record.Schema) (*avroType, error) {
	if b.o.textKeys(s) {
		items, err := b.inner(s.Elem)
		return &avroType{kind: "map", items: items}, err
	}
	entry := &avroType{kind: "record", space: avroNamespace, name: "MapEntry"}
	if s.Name != "" {
		if err := b.nameRecord(entry, s.Name); err != nil {
			return nil, err
		}
		entry.prop("connect.internal.type", []byte(`"MapEntry"`))
	}
	pair := &record.Schema{Type: record.Struct, Name: s.Name, Fields: []record.Field{{Name: "key", Schema: s.Key}, {Name: "value", Schema: s.Elem}}}
	for i := range pair.Fields {
		f, err := b.field(pair, i)
		if err != nil {
			return nil, err
		}
		entry.fields = append(entry.fields, f)
	}
	return &avroType{kind: "array", items: entry}, nil
}

// describe adds what Avro has no words for.
func (b *avroBuilder) describe(t *avroType, s *record.Schema) error {
	decimal := strings.EqualFold(s.Name, record.DecimalName) && s.Type == record.Bytes
	scale, precision := 0, 64
	if decimal {
		text, _ := s.Parameter(record.ScaleParameter)
		var err error
		if scale, err = strconv.Atoi(text); err != nil {
			return errs.E(errs.Invalid, "a Decimal has the scale %q, which is no number", text)
		}
		t.prop("scale", strconv.AppendInt(nil, int64(scale), 10))
		if text, ok := s.Parameter("connect.decimal.precision"); ok {
			if precision, err = strconv.Atoi(text); err != nil {
				return errs.E(errs.Invalid, "a Decimal has the precision %q, which is no number", text)
			}
		}
		t.prop("precision", strconv.AppendInt(nil, int64(precision), 10))
	}
	if b.o.metaData {
		if err := b.metaData(t, s); err != nil {
			return err
		}
	}
	logical := ""
	switch {
	case decimal:
		logical = "decimal"
		if _, given := s.Parameter("connect.decimal.precision"); precision <= 0 && given {
			return errs.E(errs.Invalid, "Invalid decimal precision: %d (must be positive)", precision)
		}
	case strings.EqualFold(s.Name, record.DateName):
		logical = "date"
	case strings.EqualFold(s.Name, record.TimeName):
		logical = "time-millis"
	case strings.EqualFold(s.Name, record.TimestampName):
		logical = "timestamp-millis"
	}
	if logical != "" {
		t.prop("logicalType", appendJSONText(nil, logical))
	}
	for _, p := range s.Parameters {
		if strings.HasPrefix(p.Name, "avro") {
			t.prop(p.Name, appendJSONText(nil, p.Value))
		}
	}
	return nil
}

func (b *avroBuilder) metaData(t *avroType, s *record.Schema) error {
	if s.Doc != nil {
		t.prop("connect.doc", appendJSONText(nil, *s.Doc))
	}
	if s.Version != nil {
		t.prop("connect.version", strconv.AppendInt(nil, int64(*s.Version), 10))
	}
	if params := b.parameters(s); params != nil {
		t.prop("connect.parameters", params)
	}
	if !s.Default.IsNull() {
		def, err := b.defaultJSON(s, s.Default)
		if err != nil {
			return err
		}
		t.prop("connect.default", def)
	}
	if s.Name != "" {
		t.prop("connect.name", appendJSONText(nil, s.Name))
	}
	switch s.Type {
	case record.Int8:
		t.prop("connect.type", []byte(`"int8"`))
	case record.Int16:
		t.prop("connect.type", []byte(`"int16"`))
	}
	return nil
}

// parameters returns a schema's parameters as a JSON object, nil if there are none.
func (b *avroBuilder) parameters(s *record.Schema) []byte {
	if len(s.Parameters) == 0 {
		return nil
	}
	out := []byte{'{'}
	for i, p := range s.Parameters {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendJSONText(out, p.Name), ':')
		out = appendJSONText(out, p.Value)
	}
	return append(out, '}')
}
