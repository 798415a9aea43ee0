package convert

import (
	"encoding/binary"
	"math"
	"testing"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/row"
)

// encoding is a value of a type, and the options that shape what it becomes.
type encoding struct {
	name string
	col  *rowv1.Column
	data []byte
	set  func(*config.Connector)
	// allocates: the value is one of the few whose digits take arithmetic of any precision. All others encode without allocating.
	allocates bool
}

func encodings() []encoding {
	n := func(v uint32) *uint32 { return &v }
	decimals := func(mode string) func(*config.Connector) { return func(c *config.Connector) { c.DecimalMode = mode } }
	times := func(mode string) func(*config.Connector) { return func(c *config.Connector) { c.TimeMode = mode } }
	sink := func(selector string) func(*config.Connector) {
		return func(c *config.Connector) {
			c.Raw = map[string]string{"converters": "j", "j.type": sinkClass, "j.selector." + selector: ".*", "j.treat.real.as.double": "false"}
		}
	}
	price := &rowv1.Column{Kind: rowv1.Kind_KIND_DECIMAL, TypeName: "DECIMAL", Length: n(12), Scale: n(2)}
	moment := &rowv1.Column{Kind: rowv1.Kind_KIND_DATETIME, TypeName: "DATETIME", Length: n(6)}
	at := row.AppendDatetime(nil, row.PackDatetime(row.PackDate(2024, 2, 29), 12, 34, 56, 123456))
	clock := &rowv1.Column{Kind: rowv1.Kind_KIND_TIME, TypeName: "TIME", Length: n(6)}
	members := []string{"small", "medium", "large"}
	point := append([]byte{0, 0, 0, 0, 1, 1, 0, 0, 0}, binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, math.Float64bits(1.5)), math.Float64bits(-2.25))...)
	return []encoding{
		{name: "int", col: &rowv1.Column{Kind: rowv1.Kind_KIND_INT, TypeName: "INT"}, data: row.AppendInt(nil, -123456)},
		{name: "bigint unsigned", col: &rowv1.Column{Kind: rowv1.Kind_KIND_UINT, TypeName: "BIGINT UNSIGNED"}, data: row.AppendUint(nil, math.MaxUint64)},
		{name: "bigint unsigned precise", col: &rowv1.Column{Kind: rowv1.Kind_KIND_UINT, TypeName: "BIGINT UNSIGNED"}, data: row.AppendUint(nil, math.MaxUint64),
			set: func(c *config.Connector) { c.BigintUnsignedMode = "precise" }},
		{name: "bool", col: &rowv1.Column{Kind: rowv1.Kind_KIND_INT, TypeName: "BOOL"}, data: row.AppendInt(nil, 1)},
		{name: "bool for a sink", col: &rowv1.Column{Kind: rowv1.Kind_KIND_INT, TypeName: "BOOL"}, data: row.AppendInt(nil, 1), set: sink("boolean")},
		{name: "double for a sink", col: &rowv1.Column{Kind: rowv1.Kind_KIND_FLOAT64, TypeName: "DOUBLE"}, data: binary.LittleEndian.AppendUint64(nil, math.Float64bits(0.1)), set: sink("real")},
		{name: "bit(17)", col: &rowv1.Column{Kind: rowv1.Kind_KIND_BIT, TypeName: "BIT", Length: n(17)}, data: row.AppendUint(nil, 99999)},
		{name: "year", col: &rowv1.Column{Kind: rowv1.Kind_KIND_YEAR, TypeName: "YEAR"}, data: row.AppendUint(nil, 2024)},
		{name: "float", col: &rowv1.Column{Kind: rowv1.Kind_KIND_FLOAT32, TypeName: "FLOAT"}, data: binary.LittleEndian.AppendUint32(nil, math.Float32bits(3.14))},
		{name: "double", col: &rowv1.Column{Kind: rowv1.Kind_KIND_FLOAT64, TypeName: "DOUBLE"}, data: binary.LittleEndian.AppendUint64(nil, math.Float64bits(1e-10))},
		{name: "double, a power of two", col: &rowv1.Column{Kind: rowv1.Kind_KIND_FLOAT64, TypeName: "DOUBLE"}, data: binary.LittleEndian.AppendUint64(nil, math.Float64bits(0x1p-40)),
			allocates: true},
		{name: "decimal precise", col: price, data: []byte{0x0f, 0x42, 0x40}},
		{name: "decimal string", col: price, data: []byte{0x0f, 0x42, 0x40}, set: decimals("string")},
		{name: "decimal double", col: price, data: []byte{0x0f, 0x42, 0x40}, set: decimals("double")},
		{name: "varchar", col: &rowv1.Column{Kind: rowv1.Kind_KIND_STRING, TypeName: "VARCHAR"}, data: []byte("sixty characters of text, more or less, in a varchar column")},
		{name: "varchar of many scripts", col: &rowv1.Column{Kind: rowv1.Kind_KIND_STRING, TypeName: "VARCHAR"}, data: []byte("съешь \"ещё\" этих 漢字 😀\n")},
		{name: "json", col: &rowv1.Column{Kind: rowv1.Kind_KIND_JSON, TypeName: "JSON"}, data: []byte(`{"a":1,"b":"two","c":[1,2,3]}`)},
		{name: "blob", col: &rowv1.Column{Kind: rowv1.Kind_KIND_BYTES, TypeName: "BLOB"}, data: make([]byte, 60)},
		{name: "blob hex", col: &rowv1.Column{Kind: rowv1.Kind_KIND_BYTES, TypeName: "BLOB"}, data: make([]byte, 60), set: func(c *config.Connector) { c.BinaryMode = "hex" }},
		{name: "enum", col: &rowv1.Column{Kind: rowv1.Kind_KIND_ENUM, TypeName: "ENUM", Members: members}, data: row.AppendUint(nil, 2)},
		{name: "set", col: &rowv1.Column{Kind: rowv1.Kind_KIND_SET, TypeName: "SET", Members: members}, data: row.AppendUint(nil, 5)},
		{name: "date", col: &rowv1.Column{Kind: rowv1.Kind_KIND_DATE, TypeName: "DATE"}, data: row.AppendUint(nil, row.PackDate(2024, 2, 29))},
		{name: "date isostring", col: &rowv1.Column{Kind: rowv1.Kind_KIND_DATE, TypeName: "DATE"}, data: row.AppendUint(nil, row.PackDate(2024, 2, 29)), set: times("isostring")},
		{name: "time", col: clock, data: row.AppendInt(nil, 45_296_123_456)},
		{name: "time connect", col: clock, data: row.AppendInt(nil, 45_296_123_456), set: times("connect")},
		{name: "time isostring", col: clock, data: row.AppendInt(nil, 45_296_123_456), set: times("isostring")},
		{name: "datetime", col: moment, data: at},
		{name: "datetime isostring", col: moment, data: at, set: times("isostring")},
		{name: "datetime nanoseconds", col: moment, data: at, set: times("nanoseconds")},
		{name: "timestamp", col: &rowv1.Column{Kind: rowv1.Kind_KIND_TIMESTAMP, TypeName: "TIMESTAMP", Length: n(6)}, data: row.AppendInt(nil, 1_700_000_000_123_456)},
		{name: "point", col: &rowv1.Column{Kind: rowv1.Kind_KIND_GEOMETRY, TypeName: "POINT"}, data: point},
		{name: "geometry", col: &rowv1.Column{Kind: rowv1.Kind_KIND_GEOMETRY, TypeName: "GEOMETRY"}, data: point},
		{name: "vector(3)", col: &rowv1.Column{Kind: rowv1.Kind_KIND_VECTOR, TypeName: "VECTOR", Length: n(3)}, data: point[:12]},
		{name: "uuid", col: &rowv1.Column{Kind: rowv1.Kind_KIND_UUID, TypeName: "UUID"}, data: []byte("0123456789abcdef")},
	}
}

// encode compiles the type and returns what encodes its value once.
func (e *encoding) encode(tb testing.TB) func() {
	tb.Helper()
	cfg := testConfig("p")
	if e.set != nil {
		e.set(cfg)
	}
	modes := modesOf(cfg)
	var err error
	if modes.sinks, err = sinkConverters(cfg.Raw); err != nil {
		tb.Fatal(err)
	}
	e.col.Name, e.col.Nullable = "c", true
	c, err := compileColumn("d.t", e.col, &modes)
	if err != nil {
		tb.Fatalf("%s: %v", e.name, err)
	}
	cell, dst := &row.Cell{Data: e.data, Present: true}, make([]byte, 0, 1<<12)
	return func() {
		if _, err := c.appendValue(dst[:0], cell, false); err != nil {
			tb.Fatalf("%s: %v", e.name, err)
		}
	}
}

// BenchmarkEncode encodes a value of each type; the unit is one value.
func BenchmarkEncode(b *testing.B) {
	for _, e := range encodings() {
		b.Run(e.name, func(b *testing.B) {
			encode := e.encode(b)
			b.ReportAllocs()
			for b.Loop() {
				encode()
			}
		})
	}
}

// No value costs an allocation, but for powers of two that are printed with an exponent: Java prints a digit more than is needed there (powerOfTwoDigits).
func TestNoEncodingAllocates(t *testing.T) {
	for _, e := range encodings() {
		if n := testing.AllocsPerRun(50, e.encode(t)); n > 0 && !e.allocates {
			t.Errorf("%s: %.0f allocations, want none", e.name, n)
		}
	}
}
