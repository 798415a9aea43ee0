package convert

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
)

// valueOp says how a present cell becomes JSON. One switch over it is the inner loop of the package.
type valueOp uint8

const (
	opInt          valueOp = iota // signed varint as a number
	opUint                        // uvarint as a number
	opUintWrapped                 // uvarint as int64: 2^63 and above wrap
	opUintDecimal                 // uvarint as an unscaled Decimal
	opFloat32                     // as float
	opFloat32Wide                 // binary32 as double
	opFloat64                     // as double
	opDecimalBytes                // unscaled value in base64
	opDecimalNumber
	opDecimalText
	opDecimalDouble
	opString
	opBase64
	opHex
	opDate
	opDateText
	opTimeMicros
	opTimeMillis
	opTimeNanos
	opTimeText
	opDatetimeMillis
	opDatetimeMicros
	opDatetimeNanos
	opDatetimeText
	opInstant
	opBoolBit // BIT(1)
	opBoolInt // BOOL
	opBits
	opEnum
	opSet
	opPoint
	opGeometry
	opVector
	opUUID
	opFlag         // an integer as 0 or 1
	opFloat64Short // as float
	opChanged      // by a mapper
)

// column is one column of a plan: what its cells become, and what describes it in a schema.
type column struct {
	name string // as fields are called: escaped for JSON, adjusted
	op   valueOp

	digits   int              // fraction digits of TIMESTAMP
	scale    int              // of DECIMAL
	bytes    int              // of BIT
	encoding *base64.Encoding // of binary columns
	adjust   bool             // enable.time.adjuster
	members  [][]byte         // of ENUM and SET, escaped, without quotes
	// zero is what the zero TIMESTAMP prints in rows of the log, where that is not what NULL prints: MariaDB's connector takes it for the epoch.
	zero []byte

	schema   schemaNode
	required bool
	kind     rowv1.Kind
	// fallback is a cell for a value that a required column without default should have and has not; nil where the type has none.
	fallback []byte
	// standIn: the placeholder may take the place of a value that the log does not hold.
	standIn bool
	// nullStays: NULL is printed although the schema has a default.
	nullStays bool
	change    *change // what opChanged does
	// source is the column of the table.
	source *rowv1.Column
}

// columnModes are the options that shape columns.
type columnModes struct {
	decimal, bigint, time, binary string
	adjust, comments              bool
	fieldNames                    nameMode
	mariadb                       bool
	booleans                      []booleanConverter
	sinks                         []sinkTypes
}

func modesOf(cfg *config.Connector) columnModes {
	return columnModes{
		decimal: cfg.DecimalMode, bigint: cfg.BigintUnsignedMode, time: cfg.TimeMode, binary: cfg.BinaryMode,
		adjust: cfg.TimeAdjuster, comments: keepsComments(cfg),
		fieldNames: nameMode(cfg.FieldNameMode), mariadb: cfg.Flavor == config.MariaDB,
	}
}

// keepsComments: MySQL's connector keeps comments where include.schema.comments asks for them, MariaDB's always.
func keepsComments(cfg *config.Connector) bool {
	return cfg.IncludeSchemaComments || cfg.Flavor == config.MariaDB
}

// compileColumn decides what a column of a table (database.table) becomes: Debezium's type mapping.
func compileColumn(table string, c *rowv1.Column, m *columnModes) (column, error) {
	out := column{
		name:   string(appendEscaped(nil, []byte(m.fieldNames.field(c.Name)))),
		source: c, kind: c.Kind, required: !c.Nullable, adjust: m.adjust,
	}
	s := &out.schema
	s.optional = c.Nullable
	if m.comments {
		s.doc = c.Comment
	}
	switch c.Kind {
	case rowv1.Kind_KIND_INT, rowv1.Kind_KIND_UINT, rowv1.Kind_KIND_BIT, rowv1.Kind_KIND_YEAR:
		compileInteger(&out, m)
		for i := range m.booleans {
			if m.booleans[i].selects(table, c) {
				out.op, s.typ = opBoolInt, "boolean"
			}
		}
	case rowv1.Kind_KIND_FLOAT32, rowv1.Kind_KIND_FLOAT64, rowv1.Kind_KIND_DECIMAL:
		compileFraction(&out, m)
	case rowv1.Kind_KIND_STRING, rowv1.Kind_KIND_JSON, rowv1.Kind_KIND_BYTES, rowv1.Kind_KIND_ENUM, rowv1.Kind_KIND_SET, rowv1.Kind_KIND_UUID:
		compileText(&out, m)
	case rowv1.Kind_KIND_DATE, rowv1.Kind_KIND_TIME, rowv1.Kind_KIND_DATETIME, rowv1.Kind_KIND_TIMESTAMP:
		compileTemporal(&out, m)
	case rowv1.Kind_KIND_GEOMETRY:
		compileGeometry(&out)
	case rowv1.Kind_KIND_VECTOR:
		out.op = opVector
		s.typ, s.name, s.version = "array", "io.debezium.data.FloatVector", 1
		s.body = `"items":{"type":"float","optional":false},`
		out.fallback = []byte{}
	default:
		return out, fmt.Errorf("column %s has the unknown kind %v", c.Name, c.Kind)
	}
	for i := range m.sinks {
		m.sinks[i].apply(table, &out)
	}
	return out, nil
}

// baseType is the type name without UNSIGNED and ZEROFILL.
func baseType(c *rowv1.Column) string {
	name, _, _ := strings.Cut(c.TypeName, " UNSIGNED")
	name, _, _ = strings.Cut(name, " ZEROFILL")
	return name
}

func compileInteger(out *column, m *columnModes) {
	c, s := out.source, &out.schema
	out.fallback = []byte{0}
	switch c.Kind {
	case rowv1.Kind_KIND_YEAR:
		out.op, s.typ, s.name, s.version = opUint, "int32", "io.debezium.time.Year", 1
		return
	case rowv1.Kind_KIND_BIT:
		n := 1
		if c.Length != nil {
			n = int(*c.Length)
		}
		if n <= 1 {
			out.op, s.typ = opBoolBit, "boolean"
			return
		}
		out.op, out.bytes = opBits, min((n+7)/8, 8)
		s.typ, s.name, s.version = "bytes", "io.debezium.data.Bits", 1
		s.parameters = []parameter{{"length", strconv.Itoa(n)}}
		return
	}
	unsigned := c.Kind == rowv1.Kind_KIND_UINT
	out.op = opInt
	if unsigned {
		out.op = opUint
	}
	switch baseType(c) {
	case "BOOL", "BOOLEAN":
		out.op, s.typ = opBoolInt, "boolean"
	case "TINYINT", "INT1":
		s.typ = "int16"
	case "SMALLINT", "INT2":
		s.typ = "int16"
		if unsigned {
			s.typ = "int32"
		}
	case "MEDIUMINT", "INT3", "MIDDLEINT":
		s.typ = "int32"
	case "INT", "INTEGER", "INT4":
		s.typ = "int32"
		if unsigned {
			s.typ = "int64"
		}
	default:
		s.typ = "int64"
		if unsigned && m.bigint == "precise" {
			out.op = opUintDecimal
			s.decimal(0, 20)
		} else if unsigned {
			out.op = opUintWrapped
		}
	}
}

func compileFraction(out *column, m *columnModes) {
	c, s := out.source, &out.schema
	switch c.Kind {
	case rowv1.Kind_KIND_FLOAT32:
		out.fallback = make([]byte, 4)
		out.op, s.typ = opFloat32, "float"
		if c.Scale != nil { // FLOAT(M,D)
			out.op, s.typ = opFloat32Wide, "double"
		}
		return
	case rowv1.Kind_KIND_FLOAT64:
		out.fallback = make([]byte, 8)
		out.op, s.typ = opFloat64, "double"
		return
	}
	precision := 10
	if c.Length != nil {
		precision = int(*c.Length)
	}
	if c.Scale != nil {
		out.scale = int(*c.Scale)
	}
	out.fallback = []byte{0}
	switch m.decimal {
	case "double":
		out.op, s.typ = opDecimalDouble, "double"
	case "string":
		out.op, s.typ = opDecimalText, "string"
	default:
		out.op = opDecimalBytes
		s.decimal(out.scale, precision)
	}
}

func compileText(out *column, m *columnModes) {
	c, s := out.source, &out.schema
	out.fallback = []byte{}
	out.standIn = c.Kind == rowv1.Kind_KIND_STRING || c.Kind == rowv1.Kind_KIND_JSON || c.Kind == rowv1.Kind_KIND_BYTES
	s.typ = "string"
	out.op = opString
	switch c.Kind {
	case rowv1.Kind_KIND_JSON:
		s.name, s.version = "io.debezium.data.Json", 1
		out.fallback = []byte("{}")
	case rowv1.Kind_KIND_UUID:
		out.op = opUUID
		s.name, s.version = "io.debezium.data.Uuid", 1
		out.fallback = make([]byte, 16)
	case rowv1.Kind_KIND_ENUM, rowv1.Kind_KIND_SET:
		out.op = opEnum
		s.name, s.version = "io.debezium.data.Enum", 1
		if c.Kind == rowv1.Kind_KIND_SET {
			out.op, s.name = opSet, "io.debezium.data.EnumSet"
		}
		out.fallback = []byte{0}
		escape := strings.NewReplacer(`\`, `\\`, `,`, `\,`)
		allowed := make([]string, len(c.Members))
		for i, member := range c.Members {
			out.members = append(out.members, appendEscaped(nil, []byte(member)))
			allowed[i] = escape.Replace(member)
		}
		s.parameters = []parameter{{"allowed", strings.Join(allowed, ",")}}
	case rowv1.Kind_KIND_BYTES:
		out.op, out.encoding = opBase64, base64.StdEncoding
		switch m.binary {
		case "base64":
		case "base64-url-safe":
			out.encoding = base64.URLEncoding
		case "hex":
			out.op = opHex
		default:
			s.typ = "bytes"
		}
	}
}

func doc(text string) *string { return &text }

func compileGeometry(out *column) {
	s := &out.schema
	s.typ, s.version = "struct", 1
	if out.source.TypeName == "POINT" {
		out.op = opPoint
		s.name, s.doc = "io.debezium.data.geometry.Point", doc("Geometry (POINT)")
		s.body = `"fields":[{"type":"double","optional":false,"field":"x"},{"type":"double","optional":false,"field":"y"},` +
			`{"type":"bytes","optional":true,"field":"wkb"},{"type":"int32","optional":true,"field":"srid"}],`
		return
	}
	out.op = opGeometry
	s.name, s.doc = "io.debezium.data.geometry.Geometry", doc("Geometry")
	s.optional = true // Debezium's builder says so even for NOT NULL columns
	s.body = `"fields":[{"type":"bytes","optional":false,"field":"wkb"},{"type":"int32","optional":true,"field":"srid"}],`
}
