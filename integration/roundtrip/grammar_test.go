package roundtrip

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// family is a group of types whose values are generated, selected and compared in one way.
type family int

const (
	integer family = iota
	bit
	float32s
	float64s
	decimal
	text
	bytesType
	date
	timeOfDay
	datetime
	timestamp
	year
	enum
	set
	document
	geometry
	vector
	uuid
	inet
)

// column is a column of a random table.
type column struct {
	name string
	typ  string // as the statement spells it
	fam  family
	// bits of integers and BIT, width of BINARY, most bytes or characters of others, dimensions of VECTOR.
	size     int
	unsigned bool
	digits   int // behind the point of DECIMAL, of the fraction of a second
	whole    int // before the point of DECIMAL
	fixed    bool
	wide     bool // FLOAT(M,D), which events hold as double
	boolean  bool // BOOL, which an event holds as such if the definition is of the log: the server prints another one
	real     bool // REAL, of which the same is true
	narrow   bool // REAL that events hold as float
	charset  string
	members  []string
	shape    string // of geometries
	srid     int
	null     bool
	def      string // literal of the default; empty: none
	expr     string // what a generated column, or one whose default is an expression, computes
	more     string // INVISIBLE, COMMENT and the like
	noZero   bool   // no zero dates: the column is part of a key, or has a default
}

// grammar makes columns for one server.
type grammar struct {
	r        *rand.Rand
	mariadb  bool
	charsets []charsetOf
}

// charsetOf is a character set of the server.
type charsetOf struct {
	name       string
	collations []string
	letters    []rune // characters that it has
	maxBytes   int
}

func (g *grammar) oneOf(values ...string) string { return values[g.r.IntN(len(values))] }

func (g *grammar) chance(percent int) bool { return g.r.IntN(100) < percent }

// column makes a column of a random type. streamed says that its definition is read from the log, where no name is lost.
func (g *grammar) column(name string, streamed bool) *column {
	c := &column{name: name, null: g.chance(60)}
	kinds := []func(*column){g.integer, g.integer, g.integer, g.bit, g.float, g.double, g.decimal, g.decimal, g.char, g.char, g.char, g.text, g.binary, g.blob,
		g.date, g.time, g.time, g.datetime, g.datetime, g.timestamp, g.timestamp, g.year, g.jsonType, g.geometry, g.vector}
	if g.mariadb {
		kinds = append(kinds, g.uuid, g.inet)
	}
	kinds = append(kinds, func(c *column) { g.members(c, streamed) }, func(c *column) { g.members(c, streamed) })
	kinds[g.r.IntN(len(kinds))](c)
	c.boolean, c.narrow = c.boolean && streamed, c.real && streamed
	if g.chance(25) {
		c.def = g.literalDefault(c)
		c.noZero = c.def != ""
	}
	if g.chance(10) && (c.null || c.def != "") { // MariaDB wants to know what statements that do not name it mean
		c.more += " invisible"
	}
	if g.chance(10) {
		c.more += ` comment 'it''s "odd" \\ ünï'`
	}
	return c
}

func (g *grammar) integer(c *column) {
	c.fam = integer
	i := g.r.IntN(6)
	if i == 5 && g.chance(50) {
		c.typ, c.size, c.boolean = g.oneOf("bool", "boolean"), 8, true
		return
	}
	i %= 5
	c.size = []int{8, 16, 24, 32, 64}[i]
	c.typ = []string{g.oneOf("tinyint", "int1"), g.oneOf("smallint", "int2"), g.oneOf("mediumint", "int3", "middleint"), g.oneOf("int", "integer", "int4"),
		g.oneOf("bigint", "int8")}[i]
	if g.chance(20) {
		c.typ += fmt.Sprintf("(%d)", 1+g.r.IntN(20))
	}
	switch g.r.IntN(5) {
	case 0, 1:
		c.typ, c.unsigned = c.typ+" unsigned", true
	case 2:
		c.typ, c.unsigned = c.typ+" zerofill", true
	}
}

func (g *grammar) bit(c *column) {
	c.fam, c.size, c.unsigned = bit, 1+g.r.IntN(64), true
	if g.chance(40) {
		c.size = []int{1, 8, 9, 63, 64}[g.r.IntN(5)]
	}
	c.typ = fmt.Sprintf("bit(%d)", c.size)
	if c.size == 1 && g.chance(50) {
		c.typ = "bit"
	}
}

func (g *grammar) float(c *column) {
	c.fam, c.size = float32s, 32
	switch g.r.IntN(4) {
	case 0:
		c.typ, c.wide = "float(7,3)", true
		c.whole, c.digits = 4, 3
	case 1:
		c.typ = "float(10)"
	case 2:
		c.typ = g.oneOf("float", "float4")
		if c.unsigned = g.chance(50); c.unsigned {
			c.typ += " unsigned"
		}
	default:
		c.typ = "float"
	}
}

func (g *grammar) double(c *column) {
	c.fam, c.size = float64s, 64
	switch g.r.IntN(5) {
	case 0:
		c.typ, c.whole, c.digits = "double(12,4)", 8, 4
	case 1:
		c.typ = "float(30)"
	case 2:
		c.typ, c.real = "real", true
	default:
		c.typ = g.oneOf("double", "double precision", "float8")
		if c.unsigned = g.chance(30); c.unsigned {
			c.typ += " unsigned"
		}
	}
}

func (g *grammar) decimal(c *column) {
	c.fam = decimal
	precision := 1 + g.r.IntN(65)
	if g.chance(30) {
		precision = []int{1, 9, 10, 18, 19, 65}[g.r.IntN(6)]
	}
	c.digits = g.r.IntN(min(precision, 30) + 1)
	c.whole = precision - c.digits
	c.typ = fmt.Sprintf("%s(%d,%d)", g.oneOf("decimal", "numeric", "dec", "fixed"), precision, c.digits)
	switch g.r.IntN(6) {
	case 0:
		c.typ, c.whole, c.digits = "decimal", 10, 0
	case 1:
		c.typ, c.unsigned = c.typ+" unsigned", true
	case 2:
		c.typ, c.unsigned = c.typ+" zerofill", true
	}
}

// characters gives a column a character set and perhaps a collation.
func (g *grammar) characters(c *column) {
	cs := g.charsets[g.r.IntN(len(g.charsets))]
	if g.chance(30) {
		for i := range g.charsets {
			if g.charsets[i].name == "utf8mb4" {
				cs = g.charsets[i]
			}
		}
	}
	c.charset = cs.name
	c.typ += " character set " + cs.name
	if g.chance(60) {
		c.typ += " collate " + g.oneOf(cs.collations...)
	}
}

func (g *grammar) char(c *column) {
	c.fam = text
	switch g.r.IntN(6) {
	case 0, 1:
		c.size = []int{0, 1, 10, 63, 64, 255}[g.r.IntN(6)]
		c.typ, c.fixed = fmt.Sprintf("char(%d)", c.size), true
	case 2:
		c.size, c.charset, c.typ = 30, "utf8", g.oneOf("nchar(30)", "national varchar(30)", "nvarchar(30)")
		c.fixed = c.typ == "nchar(30)"
		return
	default:
		c.size = []int{0, 1, 20, 63, 64, 127, 255, 256, 400}[g.r.IntN(9)]
		c.typ = fmt.Sprintf("varchar(%d)", c.size)
	}
	g.characters(c)
}

func (g *grammar) text(c *column) {
	c.fam, c.size = text, 400
	if c.typ = g.oneOf("tinytext", "text", "mediumtext", "longtext", "text(200)"); c.typ == "tinytext" {
		c.size = 50
	}
	g.characters(c)
}

func (g *grammar) binary(c *column) {
	c.fam = bytesType
	if c.fixed = g.chance(50); c.fixed {
		c.size = []int{0, 1, 8, 16, 255}[g.r.IntN(5)]
		c.typ = fmt.Sprintf("binary(%d)", c.size)
		return
	}
	c.size = []int{0, 1, 20, 255, 256, 600}[g.r.IntN(6)]
	c.typ = fmt.Sprintf("varbinary(%d)", c.size)
}

func (g *grammar) blob(c *column) {
	c.fam, c.size = bytesType, 500
	if c.typ = g.oneOf("tinyblob", "blob", "mediumblob", "longblob", "blob(300)"); c.typ == "tinyblob" {
		c.size = 255
	}
}

func (g *grammar) date(c *column) { c.fam, c.typ = date, "date" }

// fraction gives a temporal type digits of a fraction.
func (g *grammar) fraction(c *column, name string) {
	c.digits = g.r.IntN(7)
	if c.typ = fmt.Sprintf("%s(%d)", name, c.digits); c.digits == 0 && g.chance(70) {
		c.typ = name
	}
}

func (g *grammar) time(c *column)     { c.fam = timeOfDay; g.fraction(c, "time") }
func (g *grammar) datetime(c *column) { c.fam = datetime; g.fraction(c, "datetime") }

func (g *grammar) timestamp(c *column) {
	c.fam = timestamp
	g.fraction(c, "timestamp")
	if !c.null && g.chance(30) {
		now := fmt.Sprintf("current_timestamp(%d)", c.digits)
		c.more = " default " + now + " on update " + now
		c.noZero = true
	}
}

func (g *grammar) year(c *column) { c.fam, c.typ = year, g.oneOf("year", "year(4)") }

func (g *grammar) jsonType(c *column) {
	c.typ, c.fam = "json", document
	if g.mariadb {
		c.fam, c.charset, c.size = text, "utf8mb4", 0 // LONGTEXT with a check
	}
}

func (g *grammar) geometry(c *column) {
	c.fam = geometry
	c.shape = g.oneOf("geometry", "point", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection")
	c.typ = c.shape
	if c.srid = []int{0, 0, 4326, 3857}[g.r.IntN(4)]; !g.mariadb && g.chance(30) {
		c.typ += fmt.Sprintf(" srid %d", c.srid)
	}
}

func (g *grammar) vector(c *column) {
	c.fam, c.size = vector, 1+g.r.IntN(8)
	c.typ = fmt.Sprintf("vector(%d)", c.size)
}

func (g *grammar) uuid(c *column) { c.fam, c.typ, c.size = uuid, "uuid", 16 }

func (g *grammar) inet(c *column) {
	c.fam, c.typ, c.size = inet, "inet6", 16
	if g.chance(50) {
		c.typ, c.size = "inet4", 4
	}
}

// members makes an ENUM or a SET. Definitions that the server prints hold no characters beyond U+FFFF, so only those of the log get them.
func (g *grammar) members(c *column, streamed bool) {
	cs := g.charsets[g.r.IntN(len(g.charsets))]
	c.fam, c.charset = enum, cs.name
	n := 1 + g.r.IntN(12)
	if g.chance(10) {
		n = 300
	}
	if g.chance(50) {
		c.fam, n = set, min(n, 64)
	}
	for i := range n {
		var m strings.Builder
		for range g.r.IntN(6) {
			if l := cs.letters[g.r.IntN(len(cs.letters))]; l > ' ' && l != 0x7f && (l < 0x10000 || streamed) && (l != ',' || c.fam == enum) {
				m.WriteRune(l)
			}
		}
		// Different under every collation: what is equal but for case or accents is not allowed.
		fmt.Fprintf(&m, "%d", i)
		c.members = append(c.members, m.String())
	}
	if c.fam == enum && g.chance(20) {
		c.members[g.r.IntN(n)] = ""
	}
	quoted := make([]string, n)
	for i, m := range c.members {
		quoted[i] = quote(m)
	}
	name := "enum"
	if c.fam == set {
		name = "set"
	}
	c.typ = name + "(" + strings.Join(quoted, ",") + ") character set " + cs.name
}

// quote spells a string as a literal.
func quote(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'" }

// literalDefault is a default that every value of the type's modes can be converted to; empty for types that cannot have one.
func (g *grammar) literalDefault(c *column) string {
	if strings.Contains(c.more, "default") {
		return ""
	}
	switch c.fam {
	case integer:
		return g.oneOf("0", "1", "7")
	case bit:
		return g.oneOf("b'0'", "b'1'")
	case float32s, float64s:
		return g.oneOf("0", "1.5", "2.25")
	case decimal:
		if c.whole == 0 {
			return "0"
		}
		return g.oneOf("0", "1", "5")
	case text:
		if c.size > 0 && !strings.Contains(c.typ, "text") {
			return g.oneOf("''", "'a'")
		}
	case bytesType:
		if c.size > 0 && !strings.Contains(c.typ, "blob") {
			return g.oneOf("''", "'a'")
		}
	case date:
		return g.oneOf("'2024-02-29'", "'1970-01-01'")
	case timeOfDay:
		return g.oneOf("'00:00:00'", "'12:34:56'")
	case datetime:
		return g.oneOf("'2024-02-29 12:34:56'", "'1970-01-01 00:00:00'")
	case timestamp:
		return "'2024-02-29 12:34:56'"
	case year:
		return g.oneOf("'1999'", "2024")
	case enum:
		if m := c.members[0]; strings.IndexFunc(m, func(r rune) bool { return r == '\'' || r == '\\' }) < 0 {
			return quote(m)
		}
	case set:
		return "''"
	}
	return ""
}
