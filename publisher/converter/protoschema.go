package converter

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// protoMessage is a message type.
type protoMessage struct {
	name   string
	fields []protoField
	nested []*protoMessage
}

// protoField is a field of a message.
type protoField struct {
	name     string
	number   int
	typ      string // as it stands in the text
	label    string // "", "optional", "repeated"
	meta     []record.Parameter
	schema   *record.Schema // of the value, of an element where it is repeated
	message  *protoMessage  // of structs and maps
	wrapped  bool           // the value is in a wrapper of google.protobuf
	repeated bool
}

// protoBuilder makes the messages of one Connect schema.
type protoBuilder struct {
	o       *protoOptions
	imports []string
	unnamed int
}

// Files and types of Connect's logical types and of wrappers, as Confluent's converter uses them.
const (
	protoDecimal   = "confluent.type.Decimal"
	protoDate      = "google.type.Date"
	protoTime      = "google.type.TimeOfDay"
	protoTimestamp = "google.protobuf.Timestamp"
	wrapperFile    = "google/protobuf/wrappers.proto"
)

// logicalProto returns the type and the file of a logical type.
func logicalProto(name string) (typ, file string) {
	switch name {
	case record.DecimalName:
		return protoDecimal, "confluent/type/decimal.proto"
	case record.DateName:
		return protoDate, "google/type/date.proto"
	case record.TimeName:
		return protoTime, "google/type/timeofday.proto"
	case record.TimestampName:
		return protoTimestamp, "google/protobuf/timestamp.proto"
	}
	return "", ""
}

// scalarProto returns the type of a primitive and of its wrapper.
func scalarProto(t record.Type) (typ, wrapper string) {
	switch t {
	case record.Int8, record.Int16, record.Int32:
		return "int32", "google.protobuf.Int32Value"
	case record.Int64:
		return "int64", "google.protobuf.Int64Value"
	case record.Float32:
		return "float", "google.protobuf.FloatValue"
	case record.Float64:
		return "double", "google.protobuf.DoubleValue"
	case record.Boolean:
		return "bool", "google.protobuf.BoolValue"
	case record.String:
		return "string", "google.protobuf.StringValue"
	case record.Bytes:
		return "bytes", "google.protobuf.BytesValue"
	}
	return "", ""
}

// split returns the package and the name of a schema.
func (b *protoBuilder) split(name string) (pkg, last string) {
	parts := strings.Split(strings.TrimRight(b.orDefault(name), "."), ".")
	for i := range parts {
		parts[i] = b.scrub(parts[i])
	}
	return strings.Join(parts[:len(parts)-1], "."), parts[len(parts)-1]
}

func (b *protoBuilder) orDefault(name string) string {
	if name != "" {
		return name
	}
	b.unnamed++
	return "ConnectDefault" + strconv.Itoa(b.unnamed)
}

func (b *protoBuilder) scrub(name string) string {
	if b.o.scrub {
		return scrub(name, true)
	}
	return name
}

// unqualified returns the last part of a schema's name.
func (b *protoBuilder) unqualified(name string) string {
	name = b.orDefault(name)
	return b.scrub(name[strings.LastIndexByte(name, '.')+1:])
}

func checkProtoName(name, what string) error {
	for i := range len(name) {
		if !isNameByte(name[i]) || i == 0 && name[i] >= '0' && name[i] <= '9' {
			return errs.E(errs.Invalid, "Invalid protobuf schema definition: %s: %q is not a valid identifier: set schema.name.adjustment.mode and field.name.adjustment.mode to avro, or the converter's scrub.invalid.names to true", what, name)
		}
	}
	if name == "" {
		return errs.E(errs.Invalid, "Invalid protobuf schema definition: %s has no name", what)
	}
	return nil
}

// message makes the message of a struct. around are the names that it may refer to besides its own: only its parent's.
func (b *protoBuilder) message(name string, s *record.Schema) (*protoMessage, error) {
	if err := checkProtoName(name, "message "+name); err != nil {
		return nil, err
	}
	m := &protoMessage{name: name}
	next := 1
	for i := range s.Fields {
		number := next
		if tag, ok := s.Fields[i].Schema.Parameter("io.confluent.connect.protobuf.Tag"); ok {
			n, err := strconv.Atoi(tag)
			if err != nil || n < 1 || n > 1<<29-1 {
				return nil, errs.E(errs.Invalid, "field %s of %s: the tag %q is no field number of Protobuf", s.Fields[i].Name, name, tag)
			}
			number = n
		} else {
			next++
		}
		f, err := b.field(m, s, s.Fields[i].Schema, b.scrub(s.Fields[i].Name), number)
		if err != nil {
			return nil, err
		}
		m.fields = append(m.fields, f)
	}
	return m, nil
}

// field makes a field, and in m the message that it is of. inside is the struct that m is made of.
func (b *protoBuilder) field(m *protoMessage, inside, s *record.Schema, name string, number int) (protoField, error) {
	f := protoField{name: name, number: number, schema: s}
	if err := checkProtoName(name, "field "+m.name+"."+name); err != nil {
		return f, err
	}
	switch {
	case s.Type == record.Array:
		f.label, f.repeated = "repeated", true
		s = s.Elem
		f.schema = s
		if s.Type == record.Array {
			return f, errs.E(errs.Invalid, "field %s.%s: Array cannot be nested", m.name, name)
		}
	case s.Type == record.Map:
		f.label, f.repeated = "repeated", true
	case b.o.optional && s.Optional:
		f.label = "optional"
	}
	if typ, file := logicalProto(s.Name); typ != "" {
		f.typ = typ
		if s.Name == record.DecimalName {
			f.meta = decimalMeta(s)
		}
		b.use(file)
		return f, nil
	}
	var err error
	switch s.Type {
	case record.Struct:
		err = b.structField(m, inside, &f)
	case record.Map:
		err = b.mapField(m, &f)
	default:
		b.scalarField(&f)
	}
	return f, err
}

func (b *protoBuilder) scalarField(f *protoField) {
	typ, wrapper := scalarProto(f.schema.Type)
	f.typ = typ
	switch f.schema.Type {
	case record.Int8:
		f.meta = []record.Parameter{{Name: "connect.type", Value: "int8"}}
	case record.Int16:
		f.meta = []record.Parameter{{Name: "connect.type", Value: "int16"}}
	}
	if b.o.wrap && f.schema.Optional {
		f.typ, f.wrapped = wrapper, true
		b.use(wrapperFile)
	}
}

// structField makes the field of a struct. Its message is made once in each message; a struct named as the message around is that message again.
func (b *protoBuilder) structField(m *protoMessage, inside *record.Schema, f *protoField) (err error) {
	f.typ = b.unqualified(f.schema.Name)
	if f.typ == f.name {
		f.typ += "Message"
	}
	if f.typ == m.name {
		if !sameFields(f.schema, inside) {
			return errs.E(errs.Invalid, "field %s.%s: two structs are named %s, and in Protobuf one of them would be read as the other: rename one with the transform SetSchemaMetadata", m.name, f.name, f.typ)
		}
		f.message = m
		return nil
	}
	for _, n := range m.nested {
		if n.name == f.typ {
			f.message = n
			return nil
		}
	}
	at := len(m.nested)
	m.nested = append(m.nested, nil)
	if f.message, err = b.message(f.typ, f.schema); err != nil {
		return err
	}
	m.nested[at] = f.message
	return nil
}

// mapField makes the field of a map: its entries are messages of key and value.
func (b *protoBuilder) mapField(m *protoMessage, f *protoField) error {
	f.typ = b.unqualified(f.schema.Name)
	if strings.Contains(f.typ, "_") {
		words := strings.Split(f.typ, "_")
		for i, word := range words {
			words[i] = strings.ToUpper(word[:min(1, len(word))]) + strings.ToLower(word[min(1, len(word)):])
		}
		f.typ = strings.Join(words, "")
	}
	f.typ += "Entry"
	e := &protoMessage{name: f.typ}
	key, err := b.field(e, nil, f.schema.Key, "key", 1)
	if err != nil {
		return err
	}
	value, err := b.field(e, nil, f.schema.Elem, "value", 2)
	if err != nil {
		return err
	}
	if key.repeated || value.repeated {
		return errs.E(errs.Invalid, "field %s.%s: a map of lists or maps cannot be written in Protobuf", m.name, f.name)
	}
	key.label, value.label = "", "" // presence is not kept in entries
	e.fields = []protoField{key, value}
	m.nested = append(m.nested, e)
	f.message = e
	return nil
}

func (b *protoBuilder) use(file string) {
	if !slices.Contains(b.imports, file) {
		b.imports = append(b.imports, file)
	}
}

func decimalMeta(s *record.Schema) []record.Parameter {
	var out []record.Parameter
	if v, ok := s.Parameter("connect.decimal.precision"); ok {
		out = append(out, record.Parameter{Name: "precision", Value: v})
	}
	if v, ok := s.Parameter(record.ScaleParameter); ok {
		out = append(out, record.Parameter{Name: "scale", Value: v})
	}
	return inHashOrder(out, defaultCapacity, func(p record.Parameter) string { return p.Name })
}

// renderProto renders a file as ProtobufSchema.canonicalString does.
func renderProto(pkg string, imports []string, m *protoMessage) string {
	var w strings.Builder
	w.WriteString("syntax = \"proto3\";\n")
	if pkg != "" {
		fmt.Fprintf(&w, "package %s;\n", pkg)
	}
	w.WriteByte('\n')
	for _, file := range imports {
		fmt.Fprintf(&w, "import %q;\n", file)
	}
	if len(imports) > 0 {
		w.WriteByte('\n')
	}
	m.render(&w, "")
	return w.String()
}

func (m *protoMessage) render(w *strings.Builder, indent string) {
	fmt.Fprintf(w, "%smessage %s {\n", indent, m.name)
	for i := range m.fields {
		m.fields[i].render(w, indent+"  ")
	}
	if len(m.nested) > 0 {
		if len(m.fields) > 0 {
			w.WriteString(indent + "\n")
		}
		for _, n := range m.nested {
			n.render(w, indent+"  ")
		}
	}
	w.WriteString(indent + "}\n")
}

func (f *protoField) render(w *strings.Builder, indent string) {
	w.WriteString(indent)
	if f.label != "" {
		w.WriteString(f.label + " ")
	}
	fmt.Fprintf(w, "%s %s = %d", f.typ, f.name, f.number)
	if len(f.meta) > 0 {
		fmt.Fprintf(w, " [(confluent.field_meta) = {\n%s  params: [\n", indent)
		for i, p := range f.meta {
			comma := ","
			if i == len(f.meta)-1 {
				comma = ""
			}
			first, second := fmt.Sprintf("key: %q", p.Name), fmt.Sprintf("value: %q", p.Value)
			if p.Name == "precision" || p.Name == "scale" { // as Confluent's converter wrote them first, and keeps to
				first, second = second, first
			}
			fmt.Fprintf(w, "%s    {\n%s      %s,\n%s      %s\n%s    }%s\n", indent, indent, first, indent, second, indent, comma)
		}
		fmt.Fprintf(w, "%s  ]\n%s}]", indent, indent)
	}
	w.WriteString(";\n")
}
