package schema

import (
	"strconv"
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"

	"github.com/rowmesh/rowmesh/services/config"
)

// family groups types that take the same arguments and attributes.
type family uint8

const (
	familyOther   family = iota
	familyInteger        // (width) [SIGNED | UNSIGNED] [ZEROFILL]
	familyFloat          // (p) or (m, d) [UNSIGNED] [ZEROFILL]
	familyDecimal        // (m, d) [UNSIGNED] [ZEROFILL]; (10, 0) by default
	familyText           // (n) CHARACTER SET, COLLATE
	familyMembers        // ('a', 'b') CHARACTER SET, COLLATE
	familyBinary         // (n)
	familyTime           // (fractional digits)
)

// columnType is what is known of a type name.
type columnType struct {
	family family
	kind   rowv1.Kind
	// fixed: a length of 1 is implied.
	fixed bool
	// binary is the type that it turns into with CHARACTER SET binary.
	binary string
	// mariadb: only there.
	mariadb bool
}

var columnTypes = map[string]columnType{
	"TINYINT": {family: familyInteger}, "SMALLINT": {family: familyInteger}, "MEDIUMINT": {family: familyInteger}, "MIDDLEINT": {family: familyInteger},
	"INT": {family: familyInteger}, "INTEGER": {family: familyInteger}, "BIGINT": {family: familyInteger}, "INT1": {family: familyInteger},
	"INT2": {family: familyInteger}, "INT3": {family: familyInteger}, "INT4": {family: familyInteger}, "INT8": {family: familyInteger},
	"BOOL": {kind: rowv1.Kind_KIND_INT}, "BOOLEAN": {kind: rowv1.Kind_KIND_INT}, "SERIAL": {kind: rowv1.Kind_KIND_UINT},

	"FLOAT": {family: familyFloat}, "FLOAT4": {family: familyFloat}, "FLOAT8": {family: familyFloat},
	"DOUBLE": {family: familyFloat}, "DOUBLE PRECISION": {family: familyFloat}, "REAL": {family: familyFloat},
	"DECIMAL": {family: familyDecimal}, "DEC": {family: familyDecimal}, "NUMERIC": {family: familyDecimal}, "FIXED": {family: familyDecimal},
	"NUMBER": {family: familyDecimal, mariadb: true},

	"BIT": {family: familyOther, kind: rowv1.Kind_KIND_BIT, fixed: true},

	"DATE":      {family: familyTime, kind: rowv1.Kind_KIND_DATE},
	"TIME":      {family: familyTime, kind: rowv1.Kind_KIND_TIME},
	"DATETIME":  {family: familyTime, kind: rowv1.Kind_KIND_DATETIME},
	"TIMESTAMP": {family: familyTime, kind: rowv1.Kind_KIND_TIMESTAMP},
	"YEAR":      {family: familyTime, kind: rowv1.Kind_KIND_YEAR},

	"CHAR":                   {family: familyText, fixed: true, binary: "BINARY"},
	"CHARACTER":              {family: familyText, fixed: true, binary: "BINARY"},
	"NCHAR":                  {family: familyText, fixed: true},
	"NATIONAL CHAR":          {family: familyText, fixed: true},
	"NATIONAL CHARACTER":     {family: familyText, fixed: true},
	"VARCHAR":                {family: familyText, binary: "VARBINARY"},
	"VARCHAR2":               {family: familyText, binary: "VARBINARY", mariadb: true},
	"VARCHARACTER":           {family: familyText, binary: "VARBINARY"},
	"CHAR VARYING":           {family: familyText, binary: "VARBINARY"},
	"CHARACTER VARYING":      {family: familyText, binary: "VARBINARY"},
	"NVARCHAR":               {family: familyText},
	"NCHAR VARCHAR":          {family: familyText},
	"NCHAR VARYING":          {family: familyText},
	"NATIONAL VARCHAR":       {family: familyText},
	"NATIONAL VARCHARACTER":  {family: familyText},
	"NATIONAL CHAR VARYING":  {family: familyText},
	"TINYTEXT":               {family: familyText, binary: "TINYBLOB"},
	"TEXT":                   {family: familyText, binary: "BLOB"},
	"MEDIUMTEXT":             {family: familyText, binary: "MEDIUMBLOB"},
	"LONGTEXT":               {family: familyText, binary: "LONGBLOB"},
	"CLOB":                   {family: familyText, binary: "LONGBLOB", mariadb: true},
	"LONG":                   {family: familyText, binary: "MEDIUMBLOB"},
	"LONG VARCHAR":           {family: familyText, binary: "MEDIUMBLOB"},
	"LONG VARCHARACTER":      {family: familyText, binary: "MEDIUMBLOB"},
	"LONG CHAR VARYING":      {family: familyText, binary: "MEDIUMBLOB"},
	"LONG CHARACTER VARYING": {family: familyText, binary: "MEDIUMBLOB"},

	"ENUM": {family: familyMembers, kind: rowv1.Kind_KIND_ENUM},
	"SET":  {family: familyMembers, kind: rowv1.Kind_KIND_SET},

	"BINARY": {family: familyBinary, fixed: true}, "VARBINARY": {family: familyBinary}, "TINYBLOB": {family: familyBinary}, "BLOB": {family: familyBinary},
	"MEDIUMBLOB": {family: familyBinary}, "LONGBLOB": {family: familyBinary}, "LONG VARBINARY": {family: familyBinary},
	"RAW": {family: familyBinary, mariadb: true},

	"JSON":   {kind: rowv1.Kind_KIND_JSON},
	"VECTOR": {kind: rowv1.Kind_KIND_VECTOR},

	"GEOMETRY": {kind: rowv1.Kind_KIND_GEOMETRY}, "POINT": {kind: rowv1.Kind_KIND_GEOMETRY}, "LINESTRING": {kind: rowv1.Kind_KIND_GEOMETRY},
	"POLYGON": {kind: rowv1.Kind_KIND_GEOMETRY}, "MULTIPOINT": {kind: rowv1.Kind_KIND_GEOMETRY}, "MULTILINESTRING": {kind: rowv1.Kind_KIND_GEOMETRY},
	"MULTIPOLYGON": {kind: rowv1.Kind_KIND_GEOMETRY}, "GEOMETRYCOLLECTION": {kind: rowv1.Kind_KIND_GEOMETRY},
	"GEOMCOLLECTION": {kind: rowv1.Kind_KIND_GEOMETRY},

	"UUID":    {kind: rowv1.Kind_KIND_UUID, mariadb: true},
	"INET4":   {kind: rowv1.Kind_KIND_STRING, mariadb: true},
	"INET6":   {kind: rowv1.Kind_KIND_STRING, mariadb: true},
	"XMLTYPE": {family: familyText, mariadb: true},
}

// maxTypeWords is the length of the longest type name.
const maxTypeWords = 3

// typeName takes the longest type name that comes next.
func (p *parser) typeName() (string, columnType) {
	name, found, n := "", columnType{}, 0
	words := ""
	for i := range maxTypeWords {
		t := p.peek(i)
		if t.kind != tokenWord {
			break
		}
		if i > 0 {
			words += " "
		}
		words += strings.ToUpper(t.text)
		if ct, ok := columnTypes[words]; ok && (!ct.mariadb || p.flavor == config.MariaDB) {
			name, found, n = words, ct, i+1
		}
	}
	if n == 0 {
		p.fail()
	}
	p.pos += n
	return name, found
}

// dataType takes a type with its arguments and the attributes that belong to it into the column. The character set stays as it is written:
// resolve completes it.
func (p *parser) dataType(d *columnDef) {
	name, ct := p.typeName()
	c := d.column
	d.family = ct.family
	switch ct.family {
	case familyMembers:
		p.members(c, name == "SET")
	default:
		p.lengths(d, name)
	}
	if p.failed {
		return
	}
	if c.Length == nil && ct.fixed {
		c.Length = ptr(uint32(1))
	}
	zerofill := false
	switch ct.family {
	case familyInteger, familyFloat, familyDecimal:
		for more := true; more; {
			switch p.acceptAny("SIGNED", "UNSIGNED", "ZEROFILL") {
			case "UNSIGNED":
				c.Unsigned = true
			case "ZEROFILL":
				c.Unsigned, zerofill = true, true
			case "":
				more = false
			}
		}
	}
	switch {
	case name == "SERIAL":
		// BIGINT UNSIGNED NOT NULL AUTO_INCREMENT UNIQUE
		c.Unsigned, c.AutoIncrement, c.Generated = true, true, true
		d.notNull, d.unique = true, true
	case strings.HasPrefix(name, "N") && ct.family == familyText:
		d.charset = charset{name: "utf8mb3"}
	}
	c.TypeName = name
	if c.Unsigned && name != "SERIAL" {
		c.TypeName += " UNSIGNED"
	}
	if zerofill {
		c.TypeName += " ZEROFILL"
	}
	d.binaryType = ct.binary
	c.Kind = p.kindOf(ct, name, c)
	if ct.family == familyText || ct.family == familyMembers {
		p.textAttributes(d)
	}
}

// kindOf chooses the packing of a numeric, text or binary type; the others say it themselves.
func (p *parser) kindOf(ct columnType, name string, c *rowv1.Column) rowv1.Kind {
	switch ct.family {
	case familyInteger:
		if c.Unsigned {
			return rowv1.Kind_KIND_UINT
		}
		return rowv1.Kind_KIND_INT
	case familyDecimal:
		return rowv1.Kind_KIND_DECIMAL
	case familyFloat:
		switch name {
		case "FLOAT", "FLOAT4":
			// FLOAT(25..53) is stored as DOUBLE; FLOAT(m,d) is not, whatever m.
			if c.Scale == nil && c.GetLength() > 24 {
				return rowv1.Kind_KIND_FLOAT64
			}
			return rowv1.Kind_KIND_FLOAT32
		case "REAL":
			if p.RealAsFloat {
				return rowv1.Kind_KIND_FLOAT32
			}
		}
		return rowv1.Kind_KIND_FLOAT64
	case familyText:
		return rowv1.Kind_KIND_STRING
	case familyBinary:
		return rowv1.Kind_KIND_BYTES
	}
	if ct.kind == rowv1.Kind_KIND_JSON && p.flavor == config.MariaDB {
		// An alias of LONGTEXT with a check.
		return rowv1.Kind_KIND_STRING
	}
	return ct.kind
}

// lengths takes (n) or (n, m).
func (p *parser) lengths(d *columnDef, name string) {
	c := d.column
	if d.family == familyDecimal {
		c.Length, c.Scale = ptr(uint32(10)), ptr(uint32(0))
	}
	if !p.accept("(") {
		return
	}
	if p.accept("*") { // NUMBER(*) of MariaDB's Oracle mode
		p.skipToComma()
		p.expect(")")
		return
	}
	c.Length = p.length()
	if p.accept(",") {
		c.Scale = p.length()
	}
	// VARCHAR2(n CHAR) of MariaDB's Oracle mode
	p.acceptAny("CHAR", "BYTE")
	p.expect(")")
	switch {
	case p.flavor != config.MySQL || c.GetLength() != 0:
	case d.family == familyDecimal, name == "CHAR", name == "VARCHAR", name == "BINARY", name == "VARBINARY":
		// DECIMAL(0) is DECIMAL(10). Debezium's model says the same of CHAR(0) and its like; nothing but its schema-change events shows it.
		c.Length = ptr(uint32(10))
	}
}

func (p *parser) length() *uint32 {
	t := p.cur()
	n, err := strconv.ParseUint(t.text, 10, 32)
	if t.kind != tokenNumber || err != nil {
		p.fail()
		return nil
	}
	p.advance()
	return ptr(uint32(n))
}

// members takes the list of ENUM and SET.
func (p *parser) members(c *rowv1.Column, set bool) {
	p.expect("(")
	for !p.atEnd() {
		if t := p.cur(); t.kind == tokenHex {
			c.Members = append(c.Members, hexText(p.advance().text))
		} else {
			text, _, ok := p.stringText()
			if !ok {
				p.fail()
				return
			}
			// The server cuts trailing blanks off members.
			c.Members = append(c.Members, strings.TrimRight(text, " "))
		}
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	// Debezium's model: an ENUM is one long, a SET as long as all its members with their commas if each were one long.
	c.Length = ptr(uint32(1))
	if set && len(c.Members) > 0 {
		c.Length = ptr(uint32(2*len(c.Members) - 1))
	}
}

// textAttributes takes what may stand between a text type and the column attributes.
func (p *parser) textAttributes(d *columnDef) {
	for {
		switch {
		case p.charsetClause(&d.charset):
		case p.accept("ASCII"):
			d.charset.name = "latin1"
		case p.accept("UNICODE"):
			d.charset.name = "ucs2"
		case p.accept("BYTE"):
			d.charset.name = "binary"
		case p.accept("BINARY"):
			d.binaryCollation = true
		case p.accept("COMPRESSED"):
			p.accept("=")
			p.accept("ZLIB")
		default:
			return
		}
	}
}

func ptr[T any](v T) *T { return &v }
