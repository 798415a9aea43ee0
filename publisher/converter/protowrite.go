package converter

import (
	"encoding/binary"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// protoWriter writes structs of one schema as messages.
type protoWriter struct {
	schema    *record.Schema
	name      string
	fields    []protoMember // by field number
	ignoreDef bool
}

// protoMember writes one field of a struct.
type protoMember struct {
	from     int
	number   protowire.Number
	repeated bool
	entries  *protoWriter // of a map: of its entries
	value    *protoValue
}

// protoValue writes one value, or one element, with its field's tag.
type protoValue struct {
	schema   *record.Schema
	name     string
	message  *protoWriter // of structs
	wrapped  bool
	explicit bool // zero is written too
	scale    int32
	field    func(dst []byte, number protowire.Number, v record.Value) ([]byte, error)
}

// protoCompiler keeps the writers of messages that refer to themselves.
type protoCompiler struct {
	o    *protoOptions
	made map[*protoMessage]*protoWriter
}

func compileProto(o *protoOptions, s *record.Schema, m *protoMessage) (*protoWriter, error) {
	return (&protoCompiler{o, map[*protoMessage]*protoWriter{}}).message(s, m)
}

func (c *protoCompiler) message(s *record.Schema, m *protoMessage) (*protoWriter, error) {
	if w, ok := c.made[m]; ok && sameFields(w.schema, s) {
		return w, nil
	}
	w := &protoWriter{schema: s, name: m.name, ignoreDef: c.o.ignoreDefaults}
	if _, ok := c.made[m]; !ok {
		c.made[m] = w
	}
	if len(s.Fields) != len(m.fields) {
		return nil, errs.E(errs.Invalid, "two structs with other fields share the name %s, and in Protobuf one of them would be read as the other: rename one with the transform SetSchemaMetadata", m.name)
	}
	for i := range m.fields {
		f := &m.fields[i]
		member := protoMember{from: i, number: protowire.Number(f.number), repeated: f.repeated}
		at := s.Fields[i].Schema
		if at.Type != f.typeOf() {
			return nil, errs.E(errs.Invalid, "two structs with other fields share the name %s: field %s is %s in one and %s in the other: rename one with the transform SetSchemaMetadata", m.name, f.name, at.Type, f.typeOf())
		}
		var err error
		switch {
		case at.Type == record.Map:
			member.entries, err = c.entries(at, f)
		case at.Type == record.Array:
			member.value, err = c.value(at.Elem, f, m.name)
			if err == nil {
				member.value.explicit = true
			}
		default:
			member.value, err = c.value(at, f, m.name)
		}
		if err != nil {
			return nil, err
		}
		w.fields = append(w.fields, member)
	}
	slices.SortFunc(w.fields, func(a, b protoMember) int { return int(a.number - b.number) })
	return w, nil
}

// typeOf returns the type of the schema that a field was made of.
func (f *protoField) typeOf() record.Type {
	if f.repeated && f.schema.Type != record.Map {
		return record.Array
	}
	return f.schema.Type
}

// entries plans a map as messages of key and value.
func (c *protoCompiler) entries(s *record.Schema, f *protoField) (*protoWriter, error) {
	w := &protoWriter{schema: s, name: f.message.name, ignoreDef: c.o.ignoreDefaults}
	for i, part := range []*record.Schema{s.Key, s.Elem} {
		pf := &f.message.fields[i]
		v, err := c.value(part, pf, f.message.name)
		if err != nil {
			return nil, err
		}
		w.fields = append(w.fields, protoMember{from: i, number: protowire.Number(pf.number), value: v})
	}
	return w, nil
}

func (c *protoCompiler) value(s *record.Schema, f *protoField, inside string) (*protoValue, error) {
	n := &protoValue{schema: s, name: inside + "." + f.name, wrapped: f.wrapped, explicit: f.label == "optional"}
	if s.Type == record.Struct {
		var err error
		if n.message, err = c.message(s, f.message); err != nil {
			return nil, err
		}
		n.field = n.appendStruct
		return n, nil
	}
	return n, n.plan()
}

// scalarWriter plans a primitive that stands alone.
func scalarWriter(s *record.Schema, explicit bool) (*protoValue, error) {
	n := &protoValue{schema: s, name: "the value", explicit: explicit}
	return n, n.plan()
}

func (n *protoValue) plan() error {
	switch n.schema.Name {
	case record.DecimalName:
		text, _ := n.schema.Parameter(record.ScaleParameter)
		scale, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return errs.E(errs.Invalid, "field %s: a Decimal has the scale %q, which is no number", n.name, text)
		}
		n.scale, n.field = int32(scale), n.appendDecimal
		return nil
	case record.DateName:
		n.field = n.appendDate
		return nil
	case record.TimeName:
		n.field = n.appendTime
		return nil
	case record.TimestampName:
		n.field = n.appendTimestamp
		return nil
	}
	var plain func(dst []byte, number protowire.Number, v record.Value) ([]byte, error)
	switch n.schema.Type {
	case record.Int8, record.Int16, record.Int32, record.Int64:
		plain = n.appendInt
	case record.Float32:
		plain = n.appendFloat
	case record.Float64:
		plain = n.appendDouble
	case record.Boolean:
		plain = n.appendBool
	case record.String:
		plain = n.appendText
	case record.Bytes:
		plain = n.appendBytes
	default:
		return errs.E(errs.Invalid, "field %s: values of type %s cannot be written in Protobuf here", n.name, n.schema.Type)
	}
	n.field = plain
	if n.wrapped {
		n.field = func(dst []byte, number protowire.Number, v record.Value) ([]byte, error) {
			dst, mark := beginMessage(dst, number)
			dst, err := plain(dst, 1, v)
			return endMessage(dst, mark), err
		}
		n.explicit = false // within a wrapper zero is left out
	}
	return nil
}

// beginMessage appends a tag and room for a short length; endMessage sets the length, and makes room for a longer one.
func beginMessage(dst []byte, number protowire.Number) ([]byte, int) {
	dst = append(protowire.AppendTag(dst, number, protowire.BytesType), 0)
	return dst, len(dst)
}

func endMessage(dst []byte, mark int) []byte {
	n := len(dst) - mark
	if n < 0x80 {
		dst[mark-1] = byte(n)
		return dst
	}
	var length [binary.MaxVarintLen64]byte
	size := binary.PutUvarint(length[:], uint64(n))
	dst = append(dst, length[:size-1]...)
	copy(dst[mark+size-1:], dst[mark:mark+n])
	copy(dst[mark-1:], length[:size])
	return dst
}

// append writes a struct's fields.
func (w *protoWriter) append(dst []byte, v record.Value) (_ []byte, err error) {
	d := v.Struct()
	if d == nil {
		return dst, errs.E(errs.Invalid, "Invalid type for STRUCT: class %s: message %s", v.JavaClass(), w.name)
	}
	if d.Schema != w.schema && !sameFields(d.Schema, w.schema) {
		return dst, errs.E(errs.Invalid, "Mismatching struct schema: message %s", w.name)
	}
	for i := range w.fields {
		m := &w.fields[i]
		field := d.Values[m.from]
		if field.IsNull() {
			if !w.ignoreDef {
				field = record.OrDefault(field, w.schema.Fields[m.from].Schema)
			}
			if field.IsNull() { // what a reader sees as not set
				continue
			}
		}
		if dst, err = m.append(dst, field); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func (m *protoMember) append(dst []byte, v record.Value) (_ []byte, err error) {
	switch {
	case m.entries != nil:
		return m.appendMap(dst, v)
	case !m.repeated:
		return m.value.field(dst, m.number, v)
	case v.Kind() != record.ListKind:
		return dst, m.value.wrong(v)
	}
	list := v.List()
	for _, e := range list {
		if e.IsNull() {
			return dst, errs.E(errs.Invalid, "field %s: a list holds null, which cannot be written in Protobuf", m.value.name)
		}
	}
	if len(list) == 0 || !m.value.packed() {
		for _, e := range list {
			if dst, err = m.value.field(dst, m.number, e); err != nil {
				return dst, err
			}
		}
		return dst, nil
	}
	dst, mark := beginMessage(dst, m.number)
	for _, e := range list {
		if dst, err = m.value.element(dst, e); err != nil {
			return dst, err
		}
	}
	return endMessage(dst, mark), nil
}

// packed reports whether the elements of a list stand behind one tag.
func (n *protoValue) packed() bool {
	t := n.schema.Type
	name, _ := logicalProto(n.schema.Name)
	return (t.Integer() || t.Float() || t == record.Boolean) && name == "" && !n.wrapped
}

// element appends a number without a tag: the value of a field is its tag, which has one byte for number 1, and the element.
func (n *protoValue) element(dst []byte, v record.Value) ([]byte, error) {
	at := len(dst)
	dst, err := n.field(dst, 1, v)
	return append(dst[:at], dst[min(at+1, len(dst)):]...), err
}

func (m *protoMember) appendMap(dst []byte, v record.Value) (_ []byte, err error) {
	if v.Kind() != record.MapKind {
		return dst, errs.E(errs.Invalid, "Invalid type for MAP: class %s: message %s", v.JavaClass(), m.entries.name)
	}
	for _, e := range v.Map() {
		var mark int
		dst, mark = beginMessage(dst, m.number)
		for i, part := range [2]record.Value{e.Key, e.Value} {
			if part.IsNull() {
				continue
			}
			f := &m.entries.fields[i]
			if dst, err = f.value.field(dst, f.number, part); err != nil {
				return dst, err
			}
		}
		dst = endMessage(dst, mark)
	}
	return dst, nil
}
