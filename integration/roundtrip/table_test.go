package roundtrip

import (
	"fmt"
	"strings"
)

// table is a random table. Its columns tag and ver name a row and count its changes.
type table struct {
	name    string
	mode    int
	columns []*column
	// key are the columns of the message key, as they must come.
	key []int
	// streamed: it is made while the connector streams.
	streamed bool
	partial  bool // updates may be logged as JSON differences
	options  string
	create   string
	tag, ver int // columns
	// states are the rows by phase and tag, as the server selects them.
	states map[int]map[int][]cell
	// defaults are the cells, by tag and column, that an insert left to their defaults.
	defaults map[[2]int]bool
}

// Phases of a table's life; ver holds the phase of a row's last change.
const (
	snapshotPhase = iota + 1
	insertPhase
	updatePhase
	patchPhase
)

// names of columns that need care somewhere: in statements, in JSON, in regular expressions.
var names = []string{"c%d", "C%d_Mixed", "naïve %d", "q`uote%d", "d\"quote%d", "back\\slash%d", "dollar$%d", "order%d", "漢字%d", "per%%cent%d", "dot.%d"}

func ident(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }

func (g *grammar) table(name string, mode int, streamed bool) *table {
	t := &table{name: name, mode: mode, streamed: streamed, states: map[int]map[int][]cell{}, defaults: map[[2]int]bool{}}
	n := 2 + g.r.IntN(10)
	tag, ver := g.r.IntN(n), g.r.IntN(n)
	for i := range n {
		format := "c%d"
		if g.chance(30) {
			format = names[g.r.IntN(len(names))]
		}
		if i == tag {
			t.tag = len(t.columns)
			t.columns = append(t.columns, &column{name: "tag", typ: "int", fam: integer, size: 32})
		}
		if i == ver {
			t.ver = len(t.columns)
			t.columns = append(t.columns, &column{name: "ver", typ: "int", fam: integer, size: 32})
		}
		t.columns = append(t.columns, g.column(fmt.Sprintf(format, i), streamed))
	}
	if g.chance(20) {
		t.columns = append(t.columns, g.generated())
	}
	key := g.key(t)
	var defs []string
	for _, c := range t.columns {
		defs = append(defs, c.definition(g.mariadb))
	}
	if key != "" {
		defs = append(defs, key)
	}
	t.partial = !g.mariadb
	t.options = g.oneOf("", "", " character set latin1", " comment 'random' character set utf8mb4", " row_format=dynamic")
	t.create = fmt.Sprintf("create table %s (%s)%s", name, strings.Join(defs, ", "), t.options)
	return t
}

func (c *column) definition(mariadb bool) string {
	d := ident(c.name) + " " + c.typ
	if c.expr != "" {
		return d + " " + c.expr + c.more
	}
	switch {
	case !c.null && c.fam == geometry && !mariadb && strings.Contains(c.typ, "srid"): // the order that MySQL prints
		d += " not null"
	case !c.null:
		d += " not null"
	case c.fam == timestamp:
		d += " null"
	}
	if c.def != "" {
		d += " default " + c.def
	}
	return d + c.more
}

// generated makes a column that the server computes from the row's name.
func (g *grammar) generated() *column {
	kind := g.oneOf("stored", "virtual")
	switch g.r.IntN(3) {
	case 0:
		return &column{name: "gen", typ: "bigint", fam: integer, size: 64, null: true, expr: "generated always as (tag * 3 - 100) " + kind}
	case 1:
		return &column{name: "gen", typ: "varchar(40) character set utf8mb4", fam: text, size: 40, charset: "utf8mb4", null: true,
			expr: "as (concat('ü-', tag)) " + kind}
	}
	return &column{name: "gen", typ: "decimal(12,3)", fam: decimal, whole: 9, digits: 3, null: true, expr: "as (tag / 8) " + kind}
}

// keyable says whether a column can be part of a key as a whole.
func (c *column) keyable() bool {
	switch c.fam {
	case document, geometry, vector, float32s, float64s:
		return false
	}
	if c.expr != "" || strings.Contains(c.more, "on update") {
		return false
	}
	switch c.fam {
	case text:
		return c.size > 0 && c.size <= 64 && !strings.Contains(c.typ, "text")
	case bytesType:
		return c.size > 0 && c.size <= 255 && !strings.Contains(c.typ, "blob")
	}
	return true
}

// key gives a table a key: of the tag, of another column, of both, a unique one, or none.
func (g *grammar) key(t *table) string {
	var able []int
	for i, c := range t.columns {
		if i != t.tag && i != t.ver && c.keyable() {
			able = append(able, i)
		}
	}
	kind := g.r.IntN(6)
	if kind == 0 {
		return ""
	}
	if len(able) == 0 || kind == 1 {
		t.key = []int{t.tag}
		return "primary key (tag)"
	}
	i := able[g.r.IntN(len(able))]
	c := t.columns[i]
	if c.null, c.noZero = false, true; c.def == "" {
		c.more = strings.Replace(c.more, " invisible", "", 1)
	}
	word := "primary key"
	switch kind {
	case 2:
		t.key = []int{i} // rows that are there already are left out
		return "primary key (" + ident(c.name) + ")"
	case 3:
		word = "unique key uk"
	case 4:
		t.key = []int{t.tag, i}
		return "primary key (tag, " + ident(c.name) + ")"
	}
	t.key = []int{i, t.tag}
	return word + " (" + ident(c.name) + ", tag)"
}

// insert makes a statement that inserts rows with the given names.
func (g *grammar) insert(t *table, m mode, phase int, tags []int) string {
	var cols []string
	for _, c := range t.columns {
		if c.expr == "" {
			cols = append(cols, ident(c.name))
		}
	}
	rows := make([]string, len(tags))
	for i, tag := range tags {
		var values []string
		for j, c := range t.columns {
			switch {
			case c.expr != "":
				continue
			case j == t.tag:
				values = append(values, fmt.Sprint(tag))
			case j == t.ver:
				values = append(values, fmt.Sprint(phase))
			case c.def != "" && g.chance(30):
				values = append(values, "default")
				t.defaults[[2]int{tag, j}] = true
			default:
				values = append(values, g.value(c, m))
			}
		}
		rows[i] = "(" + strings.Join(values, ", ") + ")"
	}
	return fmt.Sprintf("insert ignore into %s (%s) values %s", t.name, strings.Join(cols, ", "), strings.Join(rows, ", "))
}

// update makes a statement that gives some columns of a row other values. The row's version comes last, so that it changes even if the others are refused.
func (g *grammar) update(t *table, m mode, tag int) string {
	var sets []string
	for j, c := range t.columns {
		if j != t.tag && j != t.ver && c.expr == "" && g.chance(50) {
			sets = append(sets, ident(c.name)+" = "+g.value(c, m))
		}
	}
	sets = append(sets, fmt.Sprintf("ver = %d", updatePhase))
	return fmt.Sprintf("update ignore %s set %s where tag = %d", t.name, strings.Join(sets, ", "), tag)
}

// patch makes a statement that changes parts of the JSON columns of a row, or returns none if there are none.
func (g *grammar) patchRow(t *table, tag int) string {
	var sets []string
	for _, c := range t.columns {
		if c.fam == document && g.chance(80) {
			sets = append(sets, ident(c.name)+" = "+g.patch(ident(c.name)))
		}
	}
	if len(sets) == 0 {
		return ""
	}
	return fmt.Sprintf("update ignore %s set %s, ver = %d where tag = %d", t.name, strings.Join(sets, ", "), patchPhase, tag)
}
