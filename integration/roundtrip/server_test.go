package roundtrip

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/rowmesh/rowmesh/integration/harness"
)

// cell is what a column of a row holds: event is the text that an event decodes to, log what go-mysql's value spells. The two differ where the log holds a
// number or bytes for what is a name or a text.
type cell struct {
	null       bool
	zero       bool // a zero or partial date, which events cannot hold
	unknown    bool // a text that the log does not hold: events have a placeholder
	event, log string
}

// session is a connection for values: no zone but UTC, nothing refused, text as UTF-8.
func session(t testing.TB, addr, database string) *client.Conn {
	c := harness.Root(t, addr)
	harness.Exec(t, c, "set names utf8mb4", "set time_zone = '+00:00'", "set sql_mode = ''", "use "+database)
	return c
}

// pool are characters of many scripts; a column gets those that its character set has.
const pool = "abcXYZ019 '\"\\`%_.,;\n\t\r\b\x00\x01\x1f\x7f~£¥§°ßäöüÄÖÜéèñøåæçÿŁłąęśźőűşğıİČčžřďťабвЯЖёЁіїαβγΩώάאבגשדابتثجกขคงจ€™‰–—…‹›„“”†‡Œœ¡¿½¼¾×÷±µ¶·¸ªº«»¬" +
	"あいうアイウガパーｱｲｳﾞ漢字国語中文龍丂亜唖娃熙凜鷗、。「」々〆①②③Ⅰ㍻㈱가나다한글뷁힣ㄱㄴ─│┌█▓░♥♪♂♀←↑→↓∞≠≤≥∀∂∫√😀🎉🏳𠀀𝄞"

// charsetsOf asks the server for its character sets, their collations, and the characters that they have.
func charsetsOf(t testing.TB, c *client.Conn) []charsetOf {
	t.Helper()
	var out []charsetOf
	r := query(t, c, "select character_set_name, maxlen from information_schema.character_sets where character_set_name <> 'binary' order by 1")
	for i := range r.Values {
		cs := charsetOf{name: str(t, r, i, 0)}
		n, err := r.GetInt(i, 1)
		if err != nil {
			t.Fatal(err)
		}
		cs.maxBytes = int(n)
		var exprs []string
		for _, l := range pool {
			exprs = append(exprs, fmt.Sprintf("hex(convert(convert(_utf8mb4 x'%x' using %s) using utf8mb4))", string(l), cs.name))
		}
		back := query(t, c, "select "+strings.Join(exprs, ", "))
		for j, l := range []rune(pool) {
			if strings.EqualFold(str(t, back, 0, j), hex.EncodeToString([]byte(string(l)))) {
				cs.letters = append(cs.letters, l)
			}
		}
		all := query(t, c, "select collation_name from information_schema.collations where character_set_name = '"+cs.name+"' order by 1")
		for i := range all.Values {
			cs.collations = append(cs.collations, str(t, all, i, 0))
		}
		out = append(out, cs)
	}
	return out
}

func query(t testing.TB, c *client.Conn, q string, args ...any) *mysql.Result {
	t.Helper()
	r, err := c.Execute(q, args...)
	if err != nil {
		t.Fatalf("%.300s: %v", q, err)
	}
	return r
}

func str(t testing.TB, r *mysql.Result, row, col int) string {
	t.Helper()
	s, err := r.GetString(row, col)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Clone(s)
}

// selects are the expressions that give a column's value without loss: numbers come in the binary protocol, which prints nothing.
func (c *column) selects() []string {
	n := ident(c.name)
	switch c.fam {
	case bit:
		return []string{"cast(" + n + " as unsigned)"}
	case text:
		return []string{n, "hex(cast(" + n + " as binary))"}
	case enum, set:
		return []string{n, "cast(" + n + " as unsigned)"}
	case bytesType, geometry, vector:
		return []string{"hex(" + n + ")"}
	case uuid, inet:
		return []string{"cast(" + n + " as char)", fmt.Sprintf("hex(cast(%s as binary(%d)))", n, c.size)}
	case date, timeOfDay, datetime, timestamp, document:
		return []string{"cast(" + n + " as char character set utf8mb4)"}
	case year:
		return []string{n + " + 0"}
	}
	return []string{n}
}

// selectRows reads the rows of a table by tag.
func selectRows(t testing.TB, c *client.Conn, tb *table, m mode) map[int][]cell {
	t.Helper()
	var exprs []string
	at := make([]int, len(tb.columns))
	for i, col := range tb.columns {
		at[i] = len(exprs)
		exprs = append(exprs, col.selects()...)
	}
	r := query(t, c, fmt.Sprintf("select %s from %s where tag >= ?", strings.Join(exprs, ", "), tb.name), 0)
	out := map[int][]cell{}
	for i := range r.Values {
		cells := make([]cell, len(tb.columns))
		for j, col := range tb.columns {
			v := r.Values[i][at[j]].Value()
			if v == nil {
				cells[j] = cell{null: true}
				continue
			}
			second := ""
			if len(col.selects()) > 1 {
				second = spell(r.Values[i][at[j]+1].Value())
			}
			cells[j] = col.cell(v, second, m)
		}
		tag, err := strconv.Atoi(cells[tb.tag].event)
		if err != nil {
			t.Fatal(err)
		}
		out[tag] = cells
	}
	return out
}

func spell(v any) string {
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return fmt.Sprint(v)
}

// cell makes of selected values what an event of the mode and the log must hold.
func (c *column) cell(v any, second string, m mode) cell {
	s := spell(v)
	out := cell{event: s, log: s}
	switch c.fam {
	case integer:
		out = c.integerCell(s, m)
	case float32s, float64s:
		f, _ := v.(float64)
		out.log = float(f, c.size)
		out.event = out.log
		if c.wide {
			out.event = float(float64(float32(f)), 64)
		}
		if c.narrow {
			out.event = float(float64(float32(f)), 32)
		}
	case decimal:
		if m.decimal == "double" {
			f, _ := strconv.ParseFloat(s, 64) // the server prints numbers only
			out.event = float(f, 64)
		}
	case text:
		out.log = strings.ToLower(second)
	case bytesType:
		s = strings.ToLower(s)
		out.event, out.log = s, s
		b, _ := hex.DecodeString(s) // the server made it
		switch m.binary {
		case "base64":
			out.event = base64.StdEncoding.EncodeToString(b)
		case "base64-url-safe":
			out.event = base64.URLEncoding.EncodeToString(b)
		}
	case geometry, vector:
		out.event, out.log = strings.ToLower(s), strings.ToLower(s)
	case enum, set:
		out.log = second
	case date, datetime, timestamp:
		out.zero = strings.Contains(s, "-00") || strings.HasPrefix(s, "0000")
		out.event, out.log = trimFraction(s), trimFraction(s)
		if m.time == "connect" && c.fam == datetime {
			out.event = milliseconds(s)
		}
	case timeOfDay:
		out.event, out.log = trimFraction(s), trimFraction(s)
		if m.time == "connect" {
			out.event = milliseconds(s)
		}
	case uuid, inet:
		out.log = strings.ToLower(second)
	}
	return out
}

func (c *column) integerCell(s string, m mode) cell {
	out := cell{event: s, log: s}
	if u, err := strconv.ParseUint(s, 10, 64); err == nil && c.unsigned && c.size == 64 && m.bigint != "precise" {
		out.event = strconv.FormatInt(int64(u), 10) // as Debezium's long
	}
	if c.boolean && s != "0" {
		out.event = "1"
	}
	return out
}

func float(f float64, bits int) string {
	if f == 0 && math.Signbit(f) {
		return "-0"
	}
	return strconv.FormatFloat(f, 'g', -1, bits)
}

// trimFraction cuts zeros at the end of a fraction.
func trimFraction(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// milliseconds cuts a fraction to three digits.
func milliseconds(s string) string {
	if i := strings.IndexByte(s, '.'); i >= 0 && len(s) > i+4 {
		s = s[:i+4]
	}
	return trimFraction(s)
}
