package roundtrip

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// mode is a set of conversion options, and the connector that has it.
type mode struct{ decimal, time, binary, bigint string }

// value makes the literal of a random value, often one at a boundary.
func (g *grammar) value(c *column, m mode) string {
	if c.null && g.chance(15) {
		return "null"
	}
	switch c.fam {
	case integer, bit:
		return g.number(c.size, c.unsigned)
	case float32s, float64s:
		return g.real(c)
	case decimal:
		return g.digits(c.whole, c.digits, !c.unsigned)
	case text:
		if c.typ == "json" { // MariaDB
			return quote(g.json(0, 3))
		}
		return g.word(c)
	case bytesType:
		return g.bytes(c.size)
	case date:
		return g.day(c)
	case timeOfDay:
		return g.clock(c, m.time == "connect" || m.time == "isostring")
	case datetime:
		return g.moment(c, m.time == "nanoseconds")
	case timestamp:
		return g.instant(c)
	case year:
		return g.oneOf("0", "1901", "1999", "2000", "2155", strconv.Itoa(1901+g.r.IntN(254)))
	case enum:
		if g.chance(5) && !c.noZero {
			return "''" // the error value, or the member of that name
		}
		return strconv.Itoa(1 + g.r.IntN(len(c.members)))
	case set:
		v := g.r.Uint64() & (1<<len(c.members) - 1)
		if len(c.members) == 64 {
			v = g.r.Uint64()
		}
		return strconv.FormatUint(v, 10)
	case document:
		return g.document()
	case geometry:
		return g.shape(c)
	case vector:
		return g.vectorValue(c.size)
	case uuid:
		return fmt.Sprintf("'%08x-%04x-%x%03x-%x%03x-%012x'", g.r.Uint32(), g.r.IntN(1<<16), g.r.IntN(9), g.r.IntN(1<<12), g.r.IntN(16), g.r.IntN(1<<12), g.r.Uint64()>>16)
	}
	return g.address(c)
}

func (g *grammar) number(bits int, unsigned bool) string {
	v := g.r.Uint64() >> (64 - bits) >> g.r.IntN(bits)
	switch g.r.IntN(6) {
	case 0:
		v = 0
	case 1:
		v = 1<<bits - 1 // all bits: the highest, or -1
	case 2:
		v = 1 << (bits - 1) // the lowest of signed numbers
	case 3:
		v = 1<<(bits-1) - 1 // the highest of signed numbers
	}
	if unsigned {
		return strconv.FormatUint(v, 10)
	}
	return strconv.FormatInt(int64(v<<(64-bits))>>(64-bits), 10)
}

func (g *grammar) real(c *column) string {
	if c.whole > 0 {
		return g.digits(c.whole, c.digits, !c.unsigned)
	}
	for {
		f := math.Float64frombits(g.r.Uint64())
		size := 64
		if c.fam == float32s || c.real {
			f, size = float64(math.Float32frombits(g.r.Uint32())), 32
		}
		switch g.r.IntN(8) {
		case 0:
			f = float64(g.r.IntN(2000)-1000) / 8
		case 1:
			f = []float64{0, math.Copysign(0, -1), 1, -1, 1e7, 9999999, 0.001, 0.0009999, 1.5, 16777216, 16777217, 3.14}[g.r.IntN(12)]
		case 2:
			f = []float64{math.MaxFloat32, math.SmallestNonzeroFloat32, 1.1754943508222875e-38}[g.r.IntN(3)]
		case 3:
			if size == 64 {
				f = []float64{math.MaxFloat64, math.SmallestNonzeroFloat64, 2.2250738585072014e-308, 1 << 53, 1e23}[g.r.IntN(5)]
			}
		}
		if c.unsigned {
			f = math.Abs(f)
		}
		if !math.IsNaN(f) && !math.IsInf(f, 0) {
			return strconv.FormatFloat(f, 'e', -1, size)
		}
	}
}

// digits spells a decimal number with at most so many digits before and behind the point.
func (g *grammar) digits(whole, fraction int, signs bool) string {
	var b strings.Builder
	if signs && g.chance(50) {
		b.WriteByte('-')
	}
	nines := g.chance(15)
	digit := func() {
		if nines {
			b.WriteByte('9')
		} else {
			b.WriteByte(byte('0' + g.r.IntN(10)))
		}
	}
	n := whole
	if !nines {
		n = g.r.IntN(whole + 1)
	}
	if n == 0 {
		b.WriteByte('0')
	}
	for range n {
		digit()
	}
	if fraction > 0 {
		b.WriteByte('.')
		for range fraction {
			digit()
		}
	}
	return b.String()
}

func (g *grammar) lettersOf(charset string) []rune {
	for i := range g.charsets {
		if g.charsets[i].name == charset || charset == "utf8" && g.charsets[i].name == "utf8mb3" {
			return g.charsets[i].letters
		}
	}
	return []rune("abc")
}

func (g *grammar) word(c *column) string {
	letters := g.lettersOf(c.charset)
	n := g.r.IntN(c.size + 1)
	switch g.r.IntN(4) {
	case 0:
		n = c.size
	case 1:
		n = min(n, 3)
	}
	var b strings.Builder
	for range n {
		b.WriteRune(letters[g.r.IntN(len(letters))])
	}
	if n == 0 {
		return "''"
	}
	return fmt.Sprintf("_utf8mb4 x'%x'", b.String())
}

func (g *grammar) bytes(limit int) string {
	b := make([]byte, g.r.IntN(limit+1))
	if g.chance(20) {
		b = make([]byte, limit)
	}
	zeros := g.chance(20)
	for i := range b {
		if b[i] = byte(g.r.Uint32()); zeros && i > len(b)/2 {
			b[i] = 0
		}
	}
	if len(b) == 0 {
		return "''"
	}
	return fmt.Sprintf("x'%x'", b)
}

func (g *grammar) day(c *column) string {
	if !c.noZero && g.chance(10) {
		return g.oneOf("'0000-00-00'", "'2024-00-10'", "'2024-05-00'")
	}
	if g.chance(40) {
		return g.oneOf("'0001-01-01'", "'0099-12-31'", "'1000-01-01'", "'1969-12-31'", "'1970-01-01'", "'1582-10-10'", "'2000-02-29'", "'9999-12-31'")
	}
	return fmt.Sprintf("'%04d-%02d-%02d'", 1+g.r.IntN(9998), 1+g.r.IntN(12), 1+g.r.IntN(28))
}

// fractionText spells a fraction of a second, always with as many digits as the type has.
func (g *grammar) fractionText(digits int) string {
	if digits == 0 || g.chance(15) {
		return ""
	}
	v := g.r.IntN(int(math.Pow10(digits)))
	switch g.r.IntN(5) {
	case 0:
		v = int(math.Pow10(digits)) - 1
	case 1:
		v = 1
	}
	return fmt.Sprintf(".%0*d", digits, v)
}

func (g *grammar) clock(c *column, day bool) string {
	f := g.fractionText(c.digits)
	if day {
		return fmt.Sprintf("'%02d:%02d:%02d%s'", g.r.IntN(24), g.r.IntN(60), g.r.IntN(60), f)
	}
	switch g.r.IntN(6) {
	case 0:
		return g.oneOf("'838:59:59'", "'-838:59:59'", "'00:00:00'", "'24:00:00'")
	case 1:
		return "'-00:00:00" + f + "'"
	}
	return fmt.Sprintf("'%s%02d:%02d:%02d%s'", g.oneOf("", "-"), g.r.IntN(838), g.r.IntN(60), g.r.IntN(60), f)
}

func (g *grammar) moment(c *column, nanos bool) string {
	if !c.noZero && g.chance(8) {
		return g.oneOf("'0000-00-00 00:00:00'", "'2024-00-10 01:02:03'", "'2024-10-00 00:00:00'")
	}
	f := g.fractionText(c.digits)
	first, last := 1, 9999
	if nanos { // what fits 64 bits
		first, last = 1678, 2261
	} else if g.chance(25) {
		return "'" + g.oneOf("0001-01-01 00:00:00", "9999-12-31 23:59:59", "1969-12-31 23:59:59", "1970-01-01 00:00:00", "1582-10-10 12:00:00") + f + "'"
	}
	return fmt.Sprintf("'%04d-%02d-%02d %02d:%02d:%02d%s'", first+g.r.IntN(last-first), 1+g.r.IntN(12), 1+g.r.IntN(28), g.r.IntN(24), g.r.IntN(60), g.r.IntN(60), f)
}

func (g *grammar) instant(c *column) string {
	if !c.noZero && g.chance(8) {
		return "'0000-00-00 00:00:00'"
	}
	f := g.fractionText(c.digits)
	if g.chance(25) {
		return "'" + g.oneOf("1970-01-01 00:00:01", "2038-01-19 03:14:06", "2000-02-29 23:59:59") + f + "'"
	}
	return fmt.Sprintf("'%04d-%02d-%02d %02d:%02d:%02d%s'", 1971+g.r.IntN(66), 1+g.r.IntN(12), 1+g.r.IntN(28), g.r.IntN(24), g.r.IntN(60), g.r.IntN(60), f)
}

func (g *grammar) address(c *column) string {
	if c.typ == "inet4" {
		return g.oneOf("'0.0.0.0'", "'255.255.255.255'", "'10.0.0.0'", fmt.Sprintf("'%d.%d.%d.%d'", g.r.IntN(256), g.r.IntN(256), g.r.IntN(256), g.r.IntN(256)))
	}
	return g.oneOf("'::'", "'::1'", "'::ffff:1.2.3.4'", "'::1.2.3.4'", "'1:2:3:0:5:6:7:8'", "'1:0:0:2::3'", "'2001:db8::'", "'fe80::1:0:0:1'",
		fmt.Sprintf("'%x:%x::%x:0:%x'", g.r.IntN(1<<16), g.r.IntN(1<<16), g.r.IntN(1<<16), g.r.IntN(1<<16)))
}

func (g *grammar) vectorValue(dimensions int) string {
	v := make([]string, dimensions)
	for i := range v {
		v[i] = g.oneOf("0", "1.5", "-3.25", "1e-10", "3.4e38", strconv.FormatFloat(g.r.NormFloat64(), 'g', 6, 32))
	}
	if g.mariadb {
		return "VEC_FromText('[" + strings.Join(v, ",") + "]')"
	}
	return "STRING_TO_VECTOR('[" + strings.Join(v[:1+g.r.IntN(dimensions)], ",") + "]')"
}

func (g *grammar) shape(c *column) string {
	shape := c.shape
	if shape == "geometry" {
		shape = g.oneOf("point", "linestring", "polygon", "multipoint", "geometrycollection")
	}
	p := func() string {
		return g.oneOf("0 0", "1 2", "-1.5 2.25", fmt.Sprintf("%d.%d %d.%d", g.r.IntN(80)-40, g.r.IntN(1e6), g.r.IntN(80)-40, g.r.IntN(1e6)))
	}
	var t string
	switch shape {
	case "point":
		t = "POINT(" + p() + ")"
	case "linestring":
		t = "LINESTRING(" + p() + ",3 4,5.5 6)"
	case "polygon":
		t = g.oneOf("POLYGON((0 0,0 9,9 9,9 0,0 0))", "POLYGON((0 0,0 9,9 9,9 0,0 0),(1 1,1 2,2 2,1 1))")
	case "multipoint":
		t = "MULTIPOINT(1 1,2 2)"
	case "multilinestring":
		t = "MULTILINESTRING((0 0,1 1),(2 2,3 3,4 4.5))"
	case "multipolygon":
		t = "MULTIPOLYGON(((0 0,0 9,9 9,9 0,0 0)),((20 20,20 21,21 21,20 20)))"
	default:
		t = "GEOMETRYCOLLECTION(POINT(" + p() + "),LINESTRING(0 0,1 1))"
		if !g.mariadb { // which has no such values
			t = g.oneOf(t, "GEOMETRYCOLLECTION EMPTY", "GEOMETRYCOLLECTION(GEOMETRYCOLLECTION(POINT("+p()+")))")
		}
	}
	return fmt.Sprintf("ST_GeomFromText('%s',%d)", t, c.srid)
}

// keys of random documents; some need quotes in a path.
var keys = []string{"a", "b", "k0", "longer_key", "", "a b", "ü", `q"uote`, `back\slash`, "😀", "$", "a.b", "[0]", "\n"}

// json makes the text of a random document.
func (g *grammar) json(depth, most int) string {
	switch n := g.r.IntN(13); {
	case n == 0 && depth > 0:
		return g.oneOf("null", "true", "false")
	case n == 1:
		return strconv.FormatInt(int64(g.r.Uint64())>>g.r.IntN(64), 10)
	case n == 2:
		return g.oneOf("0", "-1", "32767", "-32768", "32768", "65535", "65536", "2147483647", "2147483648", "4294967295", "4294967296", "-9223372036854775808",
			"9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616")
	case n == 3:
		return g.oneOf("1.0", "0.1", "-0.0", "1e-7", "1.7976931348623157e308", "5e-324", "123456789.125", "1e23", "9999999.0", "10000000.0",
			strconv.FormatFloat(g.r.NormFloat64()*1e3, 'g', -1, 64))
	case n < 6 || depth >= most:
		s := g.oneOf("", "x", "sä\"\\\n\t\r\b\f/", "\u0001\u001f\u007f", "漢字😀", strings.Repeat("long ", g.r.IntN(60)))
		b, _ := json.Marshal(s) // a string cannot fail
		return string(b)
	case n < 9:
		a := make([]string, g.r.IntN(5))
		for i := range a {
			a[i] = g.json(depth+1, most)
		}
		return "[" + strings.Join(a, ", ") + "]"
	}
	var o []string
	for _, k := range keys {
		if g.chance(25) {
			b, _ := json.Marshal(k)
			o = append(o, string(b)+": "+g.json(depth+1, most))
		}
	}
	if g.chance(2) {
		o = append(o, fmt.Sprintf(`"huge": %q`, strings.Repeat("h", 70_000))) // offsets of four bytes
	}
	return "{" + strings.Join(o, ", ") + "}"
}

// opaque makes an SQL value that JSON has no type for.
func (g *grammar) opaque() string {
	f := g.r.IntN(1e6)
	return g.oneOf(
		fmt.Sprintf("cast('2024-02-29 12:34:56.%06d' as datetime(6))", f), "cast('0001-01-01 00:00:00' as datetime)", "cast('9999-12-31' as date)",
		fmt.Sprintf("cast('-838:59:58.%06d' as time(6))", f), "cast('12:34:56' as time)", fmt.Sprintf("timestamp('2001-02-03 04:05:06.%06d')", f),
		"cast(1.50 as decimal(10,3))", "cast("+g.digits(30, 20, true)+" as decimal(60,20))", "cast(0 as decimal(5,5))", "x'00ff7f'", "b'101'", "cast('bin' as binary)",
		"ST_GeomFromText('POINT(1 2.5)')", "cast(18446744073709551615 as unsigned)")
}

// document makes an expression whose value is a JSON document.
func (g *grammar) document() string {
	d := quote(g.json(0, 4))
	switch g.r.IntN(6) {
	case 0:
		return fmt.Sprintf("json_object('o', %s, 'd', cast(%s as json))", g.opaque(), d)
	case 1:
		return fmt.Sprintf("json_array(%s, %s, null)", g.opaque(), g.opaque())
	}
	return d
}

// path makes a path into a document.
func (g *grammar) path() string {
	p := "$"
	for range 1 + g.r.IntN(3) {
		if g.chance(30) {
			p += fmt.Sprintf("[%d]", g.r.IntN(4))
			continue
		}
		b, _ := json.Marshal(keys[g.r.IntN(len(keys))])
		p += "." + string(b)
	}
	return quote(p)
}

// patch makes an expression that changes a part of a JSON column, which the server may log as a difference.
func (g *grammar) patch(column string) string {
	value := func() string {
		switch g.r.IntN(4) {
		case 0:
			return "cast(" + quote(g.json(0, 2)) + " as json)"
		case 1:
			return g.opaque()
		}
		return g.oneOf("1", "'text'", "null", "1.5", "true")
	}
	e := column
	for range 1 + g.r.IntN(3) {
		switch g.r.IntN(4) {
		case 0:
			e = fmt.Sprintf("json_set(%s, %s, %s)", e, g.path(), value())
		case 1:
			e = fmt.Sprintf("json_replace(%s, %s, %s)", e, g.path(), value())
		case 2:
			e = fmt.Sprintf("json_remove(%s, %s)", e, g.path())
		default:
			e = fmt.Sprintf("json_set(%s, '$.a', %s)", e, value())
		}
	}
	return e
}
