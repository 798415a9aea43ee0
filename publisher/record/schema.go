package record

import (
	"slices"
	"strconv"

	"github.com/rowmesh/rowmesh/publisher/jsontext"
)

// Type is the type of a schema.
type Type uint8

// Types, in the order of Kafka Connect's Schema.Type.
const (
	Int8 Type = iota + 1
	Int16
	Int32
	Int64
	Float32
	Float64
	Boolean
	String
	Bytes
	Array
	Map
	Struct
)

// typeNames are the names in JSON schemas, which for floats differ from Java's constants.
var typeNames = [...]string{"", "int8", "int16", "int32", "int64", "float", "double", "boolean", "string", "bytes", "array", "map", "struct"}

// constantNames are the names of Java's constants, as errors print them.
var constantNames = [...]string{"", "INT8", "INT16", "INT32", "INT64", "FLOAT32", "FLOAT64", "BOOLEAN", "STRING", "BYTES", "ARRAY", "MAP", "STRUCT"}

// String returns the name of Java's constant: "INT32", "STRUCT".
func (t Type) String() string {
	if int(t) < len(constantNames) {
		return constantNames[t]
	}
	return "UNKNOWN"
}

// JSONName returns the name in a JSON schema: "int32", "double".
func (t Type) JSONName() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return ""
}

// Integer reports whether values are Int.
func (t Type) Integer() bool { return t >= Int8 && t <= Int64 }

// Float reports whether values are Float.
func (t Type) Float() bool { return t == Float32 || t == Float64 }

// Names of Connect's logical types. Their version is 1; Decimal has its scale as a parameter.
const (
	DecimalName   = "org.apache.kafka.connect.data.Decimal"
	DateName      = "org.apache.kafka.connect.data.Date"
	TimeName      = "org.apache.kafka.connect.data.Time"
	TimestampName = "org.apache.kafka.connect.data.Timestamp"
)

// ScaleParameter is the parameter of Decimal that holds its scale.
const ScaleParameter = "scale"

// Schema describes values. A nil *Schema stands for "no schema".
//
// Invariant: a schema does not change once it is part of a record; schemas are compared by pointer first, and caches are keyed by the pointer. To
// derive one, copy the struct (Schema values may be copied; NewStruct must be used where Fields change).
type Schema struct {
	Type     Type
	Optional bool
	// Name is empty if there is none.
	Name string
	// Version and Doc are nil if there is none; a column's empty comment is a Doc.
	Version *int
	Doc     *string
	// Parameters in order; read-only.
	Parameters []Parameter
	// Default is Null if there is none.
	Default Value
	// Key is the schema of a map's keys, Elem that of its values or of an array's elements.
	Key, Elem *Schema
	// Fields of a struct, in order; read-only.
	Fields []Field

	// byName finds fields of wide structs; nil for narrow ones. members are the names of the fields as JSON has them: quoted, with the colon.
	byName  map[string]int
	members []string
}

// Parameter is one of a schema's parameters.
type Parameter struct{ Name, Value string }

// Field is a member of a struct's schema. Its index is its place in Fields.
type Field struct {
	Name   string
	Schema *Schema
}

// wideStruct is the number of fields from which a map finds one faster than looking at each, which costs about 2 ns.
const wideStruct = 12

// NewStruct returns the schema of a struct with these fields, required, without a name. The fields are moved.
func NewStruct(fields []Field) *Schema {
	s := &Schema{Type: Struct, Fields: fields}
	s.index()
	return s
}

// WithFields returns a copy of a struct's schema that has other fields. The fields are moved.
func (s *Schema) WithFields(fields []Field) *Schema {
	c := *s
	c.Fields = fields
	c.index()
	return &c
}

func (s *Schema) index() {
	s.byName = nil
	s.members = make([]string, len(s.Fields))
	for i := range s.Fields {
		s.members[i] = string(append(jsontext.AppendString(nil, s.Fields[i].Name), ':'))
	}
	if len(s.Fields) < wideStruct {
		return
	}
	s.byName = make(map[string]int, len(s.Fields))
	for i := range s.Fields {
		if _, twice := s.byName[s.Fields[i].Name]; !twice {
			s.byName[s.Fields[i].Name] = i
		}
	}
}

// Field returns the index of a field, -1 if there is none.
func (s *Schema) Field(name string) int {
	if s.byName != nil {
		if i, ok := s.byName[name]; ok {
			return i
		}
		return -1
	}
	for i := range s.Fields {
		if s.Fields[i].Name == name {
			return i
		}
	}
	return -1
}

// FieldSchema returns the schema of a field, nil if there is none.
func (s *Schema) FieldSchema(name string) *Schema {
	if i := s.Field(name); i >= 0 {
		return s.Fields[i].Schema
	}
	return nil
}

// Parameter returns a parameter.
func (s *Schema) Parameter(name string) (string, bool) {
	for i := range s.Parameters {
		if s.Parameters[i].Name == name {
			return s.Parameters[i].Value, true
		}
	}
	return "", false
}

// AsOptional returns the schema itself if it is optional as wanted, else a copy that is.
func (s *Schema) AsOptional(optional bool) *Schema {
	if s == nil || s.Optional == optional {
		return s
	}
	c := *s
	c.Optional = optional
	return &c
}

// Equal compares by content. Order of fields counts, that of parameters does not, as in Java.
func (s *Schema) Equal(o *Schema) bool {
	if s == o {
		return true
	}
	if s == nil || o == nil || s.Type != o.Type || s.Optional != o.Optional || s.Name != o.Name || !same(s.Doc, o.Doc) || !same(s.Version, o.Version) ||
		len(s.Parameters) != len(o.Parameters) || len(s.Fields) != len(o.Fields) {
		return false
	}
	for _, p := range s.Parameters {
		if v, ok := o.Parameter(p.Name); !ok || v != p.Value {
			return false
		}
	}
	if !s.Default.Equal(o.Default) || !s.Key.Equal(o.Key) || !s.Elem.Equal(o.Elem) {
		return false
	}
	return slices.EqualFunc(s.Fields, o.Fields, func(a, b Field) bool { return a.Name == b.Name && a.Schema.Equal(b.Schema) })
}

func same[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// version1 is the version of logical types.
func version1() *int { v := 1; return &v }

// DateSchema returns the schema of Connect's Date.
func DateSchema(optional bool) *Schema {
	return &Schema{Type: Int32, Optional: optional, Name: DateName, Version: version1()}
}

// TimeSchema returns the schema of Connect's Time.
func TimeSchema(optional bool) *Schema {
	return &Schema{Type: Int32, Optional: optional, Name: TimeName, Version: version1()}
}

// TimestampSchema returns the schema of Connect's Timestamp.
func TimestampSchema(optional bool) *Schema {
	return &Schema{Type: Int64, Optional: optional, Name: TimestampName, Version: version1()}
}

// Of returns a plain schema of a type.
func Of(t Type, optional bool) *Schema { return &Schema{Type: t, Optional: optional} }

// DecimalSchema returns the schema of Connect's Decimal.
func DecimalSchema(scale int32, optional bool) *Schema {
	return &Schema{Type: Bytes, Optional: optional, Name: DecimalName, Version: version1(), Parameters: []Parameter{{ScaleParameter, strconv.Itoa(int(scale))}}}
}

// String is Java's ConnectSchema.toString: "Schema{name:STRUCT}", or the type alone.
func (s *Schema) String() string {
	switch {
	case s == nil:
		return "null"
	case s.Name != "":
		return "Schema{" + s.Name + ":" + s.Type.String() + "}"
	}
	return "Schema{" + s.Type.String() + "}"
}
