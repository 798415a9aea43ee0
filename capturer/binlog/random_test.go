package binlog

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/rowmesh/rowmesh/services/config"
)

// randomType is a column type and what makes values for it.
type randomType struct {
	sql   string
	value func(r *rand.Rand) string
}

func number(bits int, unsigned bool) func(r *rand.Rand) string {
	return func(r *rand.Rand) string {
		v := r.Uint64() >> (64 - bits)
		switch r.IntN(5) {
		case 0:
			v = 0
		case 1:
			v = 1<<bits - 1
		}
		if bits == 64 && r.IntN(5) == 1 {
			v = math.MaxUint64
		}
		if unsigned {
			return strconv.FormatUint(v, 10)
		}
		return strconv.FormatInt(int64(v<<(64-bits))>>(64-bits), 10)
	}
}

func pick(values ...string) func(r *rand.Rand) string {
	return func(r *rand.Rand) string { return values[r.IntN(len(values))] }
}

func hexBytes(limit int) func(r *rand.Rand) string {
	return func(r *rand.Rand) string {
		b := make([]byte, r.IntN(limit+1))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return fmt.Sprintf("x'%x'", b)
	}
}

func word(limit int, alphabet string) func(r *rand.Rand) string {
	letters := []rune(alphabet)
	return func(r *rand.Rand) string {
		w := make([]rune, r.IntN(limit+1))
		for i := range w {
			w[i] = letters[r.IntN(len(letters))]
		}
		return "'" + string(w) + "'"
	}
}

func decimal(whole, fraction int) func(r *rand.Rand) string {
	return func(r *rand.Rand) string {
		var b strings.Builder
		if r.IntN(2) == 0 {
			b.WriteByte('-')
		}
		b.WriteByte('0')
		for range r.IntN(whole + 1) {
			b.WriteByte(byte('0' + r.IntN(10)))
		}
		if fraction > 0 {
			b.WriteByte('.')
			for range 1 + r.IntN(fraction) {
				b.WriteByte(byte('0' + r.IntN(10)))
			}
		}
		return b.String()
	}
}

func clock(digits int) func(r *rand.Rand) string {
	return func(r *rand.Rand) string {
		sign := ""
		if r.IntN(2) == 0 {
			sign = "-"
		}
		return fmt.Sprintf("'%s%d:%02d:%02d.%0*d'", sign, r.IntN(838), r.IntN(60), r.IntN(60), max(digits, 1), r.IntN(int(math.Pow10(max(digits, 1)))))
	}
}

func moment(from, to int, digits int) func(r *rand.Rand) string {
	return func(r *rand.Rand) string {
		return fmt.Sprintf("'%04d-%02d-%02d %02d:%02d:%02d.%0*d'", from+r.IntN(to-from), 1+r.IntN(12), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60),
			max(digits, 1), r.IntN(int(math.Pow10(max(digits, 1)))))
	}
}

func document(r *rand.Rand) string {
	var gen func(depth int) any
	gen = func(depth int) any {
		switch n := r.IntN(10); {
		case n == 0:
			return nil
		case n == 1:
			return r.IntN(2) == 0
		case n == 2:
			return int64(r.Uint64()) >> r.IntN(64)
		case n == 3:
			return math.Float64frombits(binary.LittleEndian.Uint64([]byte{1, 2, 3, 4, 5, 6, byte(r.IntN(256)), byte(0x30 + r.IntN(0x20))}))
		case n < 6 || depth > 3:
			return strings.Repeat("sä\"\\\n", r.IntN(40))
		case n < 8:
			a := []any{}
			for range r.IntN(6) {
				a = append(a, gen(depth+1))
			}
			return a
		}
		o := map[string]any{}
		for i := range r.IntN(6) {
			o[strings.Repeat("k", i)+strconv.Itoa(i)] = gen(depth + 1)
		}
		return o
	}
	b, _ := json.Marshal(gen(0))
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(string(b)) + "'"
}

func randomTypes(flavor config.Flavor) []randomType {
	types := []randomType{
		{"float", pick("0", "1.5", "-3.4e38", "1e-30", "7")}, {"double", pick("0", "-1.7e308", "2.5", "1e-300")},
		{"year", pick("0", "1901", "2155", "2024")}, {"date", pick("'0000-00-00'", "'1000-01-01'", "'9999-12-31'", "'2024-02-29'")},
		{"enum('a','b','c')", pick("'a'", "'c'", "''")}, {"set('x','y','z')", pick("''", "'x,z'", "'y'")},
		{"bit(1)", pick("0", "1")}, {"bit(17)", number(17, true)}, {"bit(64)", number(64, true)},
		{"varchar(20)", word(20, "abcé漢😀 ")}, {"varchar(300)", word(200, "xyzü")}, {"char(10)", word(10, "abß ")}, {"char(255)", word(255, "aé漢")},
		{"varchar(40) character set latin1", word(40, "abcäöü€")}, {"text character set utf16", word(30, "aé漢😀")},
		{"varchar(30) character set sjis", word(30, "aｱ漢字")}, {"varchar(30) character set gbk", word(30, "a漢字")},
		{"tinytext", word(60, "q漢")}, {"mediumtext", word(2000, "long ")}, {"longtext", word(500, "é")},
		{"binary(8)", hexBytes(8)}, {"binary(255)", hexBytes(255)}, {"varbinary(300)", hexBytes(300)}, {"tinyblob", hexBytes(200)}, {"blob", hexBytes(3000)},
		{"geometry", pick("ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('LINESTRING(0 0,1 1,2 3)')")},
	}
	for i, n := range []string{"tinyint", "smallint", "mediumint", "int", "bigint"} {
		bits := []int{8, 16, 24, 32, 64}[i]
		types = append(types, randomType{n, number(bits, false)}, randomType{n + " unsigned", number(bits, true)})
	}
	for _, d := range [][2]int{{1, 0}, {9, 0}, {10, 3}, {18, 9}, {18, 0}, {19, 4}, {30, 30}, {65, 30}, {65, 0}, {38, 10}, {5, 5}} {
		types = append(types, randomType{fmt.Sprintf("decimal(%d,%d)", d[0], d[1]), decimal(d[0]-d[1], d[1])})
	}
	for n := range 7 {
		types = append(types, randomType{fmt.Sprintf("time(%d)", n), clock(n)}, randomType{fmt.Sprintf("datetime(%d)", n), moment(1, 9999, n)},
			randomType{fmt.Sprintf("timestamp(%d) null", n), moment(1971, 2037, n)})
	}
	if flavor == config.MySQL {
		types = append(types, randomType{"json", document}, randomType{"json", document})
	}
	return types
}

// randomTable makes a table and changes it.
func randomTable(s *server, r *rand.Rand, name string) {
	types := randomTypes(s.flavor)
	columns := 1 + r.IntN(24)
	var def strings.Builder
	chosen := make([]randomType, columns)
	for i := range chosen {
		chosen[i] = types[r.IntN(len(types))]
		fmt.Fprintf(&def, ", c%d %s", i, chosen[i].sql)
	}
	s.exec(fmt.Sprintf("set session binlog_row_image=%s", pick("full", "full", "minimal", "noblob")(r)))
	s.exec(fmt.Sprintf("create table %s (id int primary key%s)", name, def.String()))
	tuple := func(id int) string {
		vals := []string{strconv.Itoa(id)}
		for _, c := range chosen {
			if v := c.value(r); r.IntN(6) == 0 {
				vals = append(vals, "null")
			} else {
				vals = append(vals, v)
			}
		}
		return "(" + strings.Join(vals, ",") + ")"
	}
	for i := range 6 {
		s.exec(fmt.Sprintf("insert into %s values %s,%s,%s", name, tuple(3*i), tuple(3*i+1), tuple(3*i+2)))
	}
	for range 6 {
		c := r.IntN(columns)
		s.exec(fmt.Sprintf("update %s set c%d=%s where id%%%d=0", name, c, chosen[c].value(r), 1+r.IntN(4)))
	}
	s.exec(fmt.Sprintf("delete from %s where id>%d", name, r.IntN(18)))
}
