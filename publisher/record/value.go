package record

import (
	"bytes"
	"math"
	"unsafe"
)

// Kind is what a Value holds.
type Kind uint8

// Kinds.
const (
	NullKind Kind = iota
	BoolKind
	IntKind
	FloatKind
	StringKind
	BytesKind
	DecimalKind
	ListKind
	MapKind
	StructKind
)

// Value is one value of Connect's data: 24 bytes, cheap to copy, without a schema of its own (only structs know theirs). The zero Value is null.
//
// It is built like slog.Value: a number, or a pointer and a length beside it. A Value refers to memory that somebody else owns and that must not change
// while the Value is in use: the text it was made of, the slice of its members.
type Value struct {
	ref  unsafe.Pointer
	num  uint64
	kind Kind
}

// Null is the null value.
var Null = Value{}

// KeptNull is a null that does not read as its field's default: the database holds it, and the default would be a value that it does not hold.
var KeptNull = Value{num: 1}

// StructData is a struct: as many values as its schema has fields, Null where nothing is set.
type StructData struct {
	Schema *Schema
	Values []Value
}

// Entry is one entry of a map.
type Entry struct{ Key, Value Value }

// BoolOf returns a boolean.
func BoolOf(b bool) Value {
	v := Value{kind: BoolKind}
	if b {
		v.num = 1
	}
	return v
}

// IntOf returns an integer of any width, days of a Date or milliseconds of a Time or Timestamp.
func IntOf(n int64) Value { return Value{kind: IntKind, num: uint64(n)} }

// FloatOf returns a float of any width.
func FloatOf(f float64) Value { return Value{kind: FloatKind, num: math.Float64bits(f)} }

// StringOf returns a text, which is shared.
func StringOf(s string) Value {
	return Value{kind: StringKind, ref: unsafe.Pointer(unsafe.StringData(s)), num: uint64(len(s))}
}

// TextOf returns a text that lies in b, which is shared and must not change.
func TextOf(b []byte) Value {
	return Value{kind: StringKind, ref: unsafe.Pointer(unsafe.SliceData(b)), num: uint64(len(b))}
}

// BytesOf returns bytes, which are shared and must not change.
func BytesOf(b []byte) Value {
	return Value{kind: BytesKind, ref: unsafe.Pointer(unsafe.SliceData(b)), num: uint64(len(b))}
}

// DecimalOf returns a decimal: the unscaled number in big-endian two's complement, which is shared, and its scale.
func DecimalOf(unscaled []byte, scale int32) Value {
	return Value{kind: DecimalKind, ref: unsafe.Pointer(unsafe.SliceData(unscaled)), num: uint64(len(unscaled))<<32 | uint64(uint32(scale))}
}

// ListOf returns an array, whose elements are shared.
func ListOf(elements []Value) Value {
	return Value{kind: ListKind, ref: unsafe.Pointer(unsafe.SliceData(elements)), num: uint64(len(elements))}
}

// MapOf returns a map, whose entries are shared; their order is kept.
func MapOf(entries []Entry) Value {
	return Value{kind: MapKind, ref: unsafe.Pointer(unsafe.SliceData(entries)), num: uint64(len(entries))}
}

// StructOf returns a struct, which is shared.
func StructOf(d *StructData) Value { return Value{kind: StructKind, ref: unsafe.Pointer(d)} }

// Kind returns what v holds.
func (v Value) Kind() Kind { return v.kind }

// IsNull reports whether v is null, kept or not.
func (v Value) IsNull() bool { return v.kind == NullKind }

// Kept reports whether v is KeptNull.
func (v Value) Kept() bool { return v.kind == NullKind && v.num == 1 }

// Bool returns a boolean; false for other kinds.
func (v Value) Bool() bool { return v.kind == BoolKind && v.num == 1 }

// Int returns an integer; 0 for other kinds.
func (v Value) Int() int64 {
	if v.kind != IntKind {
		return 0
	}
	return int64(v.num)
}

// Float returns a float; 0 for other kinds.
func (v Value) Float() float64 {
	if v.kind != FloatKind {
		return 0
	}
	return math.Float64frombits(v.num)
}

// Text returns a string; empty for other kinds. It is a view.
func (v Value) Text() string {
	if v.kind != StringKind {
		return ""
	}
	return unsafe.String((*byte)(v.ref), int(v.num))
}

// Bytes returns the bytes of Bytes and String, and the unscaled number of Decimal; nil for other kinds. It is a view, and read-only.
func (v Value) Bytes() []byte {
	n := v.num
	switch v.kind {
	case StringKind, BytesKind:
	case DecimalKind:
		n >>= 32
	default:
		return nil
	}
	return unsafe.Slice((*byte)(v.ref), int(n))
}

// Scale returns the scale of a decimal.
func (v Value) Scale() int32 {
	if v.kind != DecimalKind {
		return 0
	}
	return int32(uint32(v.num))
}

// List returns the elements of an array; nil for other kinds. Read-only.
func (v Value) List() []Value {
	if v.kind != ListKind {
		return nil
	}
	return unsafe.Slice((*Value)(v.ref), int(v.num))
}

// Map returns the entries of a map; nil for other kinds. Read-only.
func (v Value) Map() []Entry {
	if v.kind != MapKind {
		return nil
	}
	return unsafe.Slice((*Entry)(v.ref), int(v.num))
}

// Struct returns a struct; nil for other kinds. Read-only.
func (v Value) Struct() *StructData {
	if v.kind != StructKind {
		return nil
	}
	return (*StructData)(v.ref)
}

// Get returns a field's value as Java's Struct.get does: the default where the field is null. Unknown fields are null.
func (d *StructData) Get(name string) Value {
	if i := d.Schema.Field(name); i >= 0 {
		return d.At(i)
	}
	return Null
}

// At returns the value of the i-th field, its default where it is null.
func (d *StructData) At(i int) Value {
	return OrDefault(d.Values[i], d.Schema.Fields[i].Schema)
}

// Raw returns a field's value, null if it is null.
func (d *StructData) Raw(name string) Value {
	if i := d.Schema.Field(name); i >= 0 {
		return d.Values[i]
	}
	return Null
}

// OrDefault returns v, or its schema's default where v is null and not kept.
func OrDefault(v Value, s *Schema) Value {
	if v.kind == NullKind && v.num == 0 && s != nil {
		return s.Default
	}
	return v
}

// Equal compares by content. The order of a map's entries counts.
func (v Value) Equal(o Value) bool {
	if v.kind != o.kind {
		return false
	}
	switch v.kind {
	case StringKind, BytesKind:
		return bytes.Equal(v.Bytes(), o.Bytes())
	case DecimalKind:
		return v.Scale() == o.Scale() && bytes.Equal(v.Bytes(), o.Bytes())
	case ListKind:
		return equalValues(v.List(), o.List())
	case MapKind:
		a, b := v.Map(), o.Map()
		if len(a) != len(b) {
			return false
		}
		for i := range a {
			if !a[i].Key.Equal(b[i].Key) || !a[i].Value.Equal(b[i].Value) {
				return false
			}
		}
		return true
	case StructKind:
		a, b := v.Struct(), o.Struct()
		return a == b || a.Schema.Equal(b.Schema) && equalValues(a.Values, b.Values)
	case NullKind:
		return true
	}
	return v.num == o.num
}

func equalValues(a, b []Value) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].Equal(b[i]) {
			return false
		}
	}
	return true
}
