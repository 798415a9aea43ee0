package converter

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// avroNode writes values of one Connect schema as one Avro type: what a compiled plan is made of.
type avroNode struct {
	schema *record.Schema
	what   string // for errors: the field, or empty at the top
	kind   string
	write  avroWrite
	// Where the type is a union: the encoded numbers of the branches. null is empty if there is none.
	null, value []byte
	scale       int32 // of a decimal
	fields      []avroMember
	key, elem   *avroNode
	ignoreDef   bool
}

// avroMember is a field of the Avro record: from is the struct's field that it is written from, negative if there is none and null is written.
type avroMember struct {
	from int
	node *avroNode
}

type avroWrite func(n *avroNode, dst []byte, v record.Value) ([]byte, error)

// compileAvro plans how values of s are written as t, which is s's own type or one that a registry holds. Fields are found by name.
func compileAvro(o *avroOptions, s *record.Schema, t *avroType, what string) (*avroNode, error) {
	n := &avroNode{schema: s, what: what, ignoreDef: o.ignoreDefaults}
	if t.kind == "union" {
		value := -1
		for i, branch := range t.branches {
			switch {
			case branch.kind == "null":
				n.null = appendAvroLong(nil, int64(i))
			case value < 0 && avroFits(o, s, branch):
				value = i
			}
		}
		if value < 0 {
			return nil, n.mismatch(t)
		}
		n.value, t = appendAvroLong(nil, int64(value)), t.branches[value]
	}
	if !avroFits(o, s, t) {
		return nil, n.mismatch(t)
	}
	n.kind = t.kind
	var err error
	switch t.kind {
	case "boolean":
		n.write = writeAvroBool
	case "int", "long":
		n.write = writeAvroInt
	case "float":
		n.write = writeAvroFloat
	case "double":
		n.write = writeAvroDouble
	case "string":
		n.write = writeAvroText
	case "bytes":
		n.write = writeAvroBytes
		if s.Name == record.DecimalName {
			n.write = writeAvroDecimal
			text, _ := s.Parameter(record.ScaleParameter)
			scale, err := strconv.ParseInt(text, 10, 32)
			if err != nil {
				return nil, errs.E(errs.Invalid, "%s: a Decimal has the scale %q, which is no number", what, text)
			}
			n.scale = int32(scale)
		}
	case "array":
		if s.Type == record.Map {
			n.write = writeAvroPairs
			if err = n.pair(o, t.items); err != nil {
				return nil, err
			}
			break
		}
		n.write = writeAvroList
		n.elem, err = compileAvro(o, s.Elem, t.items, what+"[]")
	case "map":
		n.write = writeAvroMap
		n.elem, err = compileAvro(o, s.Elem, t.items, what+"{}")
	case "record":
		n.write = writeAvroRecord
		err = n.record(o, t)
	}
	return n, err
}

// avroFits reports whether values of s can be written as t, records by their fields later.
func avroFits(o *avroOptions, s *record.Schema, t *avroType) bool {
	switch s.Type {
	case record.Int8, record.Int16, record.Int32:
		return t.kind == "int" || t.kind == "long"
	case record.Int64:
		return t.kind == "long"
	case record.Float32:
		return t.kind == "float" || t.kind == "double"
	case record.Float64:
		return t.kind == "double"
	case record.Boolean:
		return t.kind == "boolean"
	case record.String:
		return t.kind == "string"
	case record.Bytes:
		return t.kind == "bytes"
	case record.Array:
		return t.kind == "array"
	case record.Map:
		if o.textKeys(s) {
			return t.kind == "map"
		}
		return t.kind == "array" && t.items.kind == "record"
	case record.Struct:
		return t.kind == "record"
	}
	return false
}

func (n *avroNode) mismatch(t *avroType) error {
	return errs.E(errs.Invalid, "%s of type %s cannot be written as the registry's Avro type %.300s", n.named(), n.schema.Type, renderAvro(t))
}

func (n *avroNode) named() string {
	if n.what == "" {
		return "the value"
	}
	return "field " + n.what
}

// record plans the fields of a record. One that the struct lacks is written as null, if it may be; one that the record lacks is left out, which is what a
// consumer of that schema expects.
func (n *avroNode) record(o *avroOptions, t *avroType) error {
	byName := make(map[string]int, len(n.schema.Fields))
	for i := range n.schema.Fields {
		name := n.schema.Fields[i].Name
		if o.scrub {
			name = scrub(name, false)
		}
		byName[name] = i
	}
	for _, f := range t.fields {
		path := f.name
		if n.what != "" {
			path = n.what + "." + f.name
		}
		from, ok := byName[f.name]
		if !ok {
			null := nullBranch(f.typ)
			if null < 0 {
				return errs.E(errs.Invalid, "the registry's schema has the field %s, which the data lacks and which may not be null: register a schema of which it is optional, or set auto.register.schemas=true", path)
			}
			n.fields = append(n.fields, avroMember{-1, &avroNode{null: appendAvroLong(nil, int64(null))}})
			continue
		}
		node, err := compileAvro(o, n.schema.Fields[from].Schema, f.typ, path)
		if err != nil {
			return err
		}
		n.fields = append(n.fields, avroMember{from, node})
	}
	return nil
}

func nullBranch(t *avroType) int {
	for i, b := range t.branches {
		if b.kind == "null" {
			return i
		}
	}
	return -1
}

func (n *avroNode) pair(o *avroOptions, entry *avroType) (err error) {
	for _, f := range entry.fields {
		switch f.name {
		case "key":
			n.key, err = compileAvro(o, n.schema.Key, f.typ, n.what+".key")
		case "value":
			n.elem, err = compileAvro(o, n.schema.Elem, f.typ, n.what+".value")
		}
		if err != nil {
			return err
		}
	}
	if n.key == nil || n.elem == nil {
		return errs.E(errs.Invalid, "the registry's schema of %s has no entries of key and value", n.named())
	}
	return nil
}

// append writes a value.
func (n *avroNode) append(dst []byte, v record.Value) ([]byte, error) {
	if v.IsNull() {
		if n.null == nil {
			return dst, errs.E(errs.Invalid, "Found null value for non-optional schema: %s", n.named())
		}
		return append(dst, n.null...), nil
	}
	return n.write(n, append(dst, n.value...), v)
}

func (n *avroNode) wrong(v record.Value) error {
	return errs.E(errs.Invalid, "Invalid type for %s: class %s: %s", n.schema.Type, v.JavaClass(), n.named())
}

func writeAvroBool(n *avroNode, dst []byte, v record.Value) ([]byte, error) {
	if v.Kind() != record.BoolKind {
		return dst, n.wrong(v)
	}
	if v.Bool() {
		return append(dst, 1), nil
	}
	return append(dst, 0), nil
}

func writeAvroInt(n *avroNode, dst []byte, v record.Value) ([]byte, error) {
	if v.Kind() != record.IntKind {
		return dst, n.wrong(v)
	}
	return appendAvroLong(dst, v.Int()), nil
}

func writeAvroFloat(n *avroNode, dst []byte, v record.Value) ([]byte, error) {
	if v.Kind() != record.FloatKind {
		return dst, n.wrong(v)
	}
	return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(v.Float()))), nil
}

func writeAvroDouble(n *avroNode, dst []byte, v record.Value) ([]byte, error) {
	if v.Kind() != record.FloatKind {
		return dst, n.wrong(v)
	}
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v.Float())), nil
}

func writeAvroText(n *avroNode, dst []byte, v record.Value) ([]byte, error) {
	if v.Kind() != record.StringKind {
		return dst, n.wrong(v)
	}
	text := javaUTF8(v.Bytes())
	return append(appendAvroLong(dst, int64(len(text))), text...), nil
}

func writeAvroBytes(n *avroNode, dst []byte, v record.Value) ([]byte, error) {
	if v.Kind() != record.BytesKind {
		return dst, n.wrong(v)
	}
	b := v.Bytes()
	return append(appendAvroLong(dst, int64(len(b))), b...), nil
}

func writeAvroDecimal(n *avroNode, dst []byte, v record.Value) ([]byte, error) {
	if v.Kind() != record.DecimalKind {
		return dst, errs.E(errs.Invalid, "Invalid type for Decimal, expected BigDecimal but was class %s: %s", v.JavaClass(), n.named())
	}
	if v.Scale() != n.scale {
		return dst, errs.E(errs.Invalid, "Decimal value has mismatching scale for given Decimal schema. Schema has scale %d, value has scale %d: %s", n.scale, v.Scale(), n.named())
	}
	b := v.Bytes()
	return append(appendAvroLong(dst, int64(len(b))), b...), nil
}

func writeAvroList(n *avroNode, dst []byte, v record.Value) (_ []byte, err error) {
	if v.Kind() != record.ListKind {
		return dst, n.wrong(v)
	}
	list := v.List()
	if len(list) > 0 {
		dst = appendAvroLong(dst, int64(len(list)))
		for _, e := range list {
			if dst, err = n.elem.append(dst, e); err != nil {
				return dst, err
			}
		}
	}
	return append(dst, 0), nil
}

func writeAvroMap(n *avroNode, dst []byte, v record.Value) (_ []byte, err error) {
	if v.Kind() != record.MapKind {
		return dst, n.wrong(v)
	}
	entries := v.Map()
	if len(entries) > 0 {
		dst = appendAvroLong(dst, int64(len(entries)))
		for _, e := range entries {
			if e.Key.Kind() != record.StringKind {
				return dst, n.wrong(e.Key)
			}
			text := javaUTF8(e.Key.Bytes())
			dst = append(appendAvroLong(dst, int64(len(text))), text...)
			if dst, err = n.elem.append(dst, e.Value); err != nil {
				return dst, err
			}
		}
	}
	return append(dst, 0), nil
}

func writeAvroPairs(n *avroNode, dst []byte, v record.Value) (_ []byte, err error) {
	if v.Kind() != record.MapKind {
		return dst, n.wrong(v)
	}
	entries := v.Map()
	if len(entries) > 0 {
		dst = appendAvroLong(dst, int64(len(entries)))
		for _, e := range entries {
			if dst, err = n.key.append(dst, e.Key); err != nil {
				return dst, err
			}
			if dst, err = n.elem.append(dst, e.Value); err != nil {
				return dst, err
			}
		}
	}
	return append(dst, 0), nil
}

func writeAvroRecord(n *avroNode, dst []byte, v record.Value) (_ []byte, err error) {
	d := v.Struct()
	if d == nil {
		return dst, n.wrong(v)
	}
	if d.Schema != n.schema && !sameFields(d.Schema, n.schema) {
		return dst, errs.E(errs.Invalid, "Mismatching struct schema: %s", n.named())
	}
	for i := range n.fields {
		m := &n.fields[i]
		if m.from < 0 {
			dst = append(dst, m.node.null...)
			continue
		}
		field := d.Values[m.from]
		if field.IsNull() && !n.ignoreDef {
			field = record.OrDefault(field, m.node.schema)
		}
		if dst, err = m.node.append(dst, field); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// sameFields reports whether structs of two schemas can be written by one plan; whether they are optional is another matter.
func sameFields(a, b *record.Schema) bool {
	return a != nil && b != nil && a.AsOptional(b.Optional).Equal(b)
}

// appendAvroLong appends a zigzag varint.
func appendAvroLong(dst []byte, n int64) []byte {
	return binary.AppendUvarint(dst, uint64(n)<<1^uint64(n>>63))
}
