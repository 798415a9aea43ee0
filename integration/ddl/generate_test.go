package ddl

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/rowmesh/rowmesh/capturer/schema"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

// primaryName is what servers call the primary key.
const primaryName = "PRIMARY"

// generator makes statements that a server will mostly take. It knows the tables through the catalog under test: where that is wrong, the comparison
// that follows each statement has said so.
type generator struct {
	*rand.Rand
	mariadb bool
	version int // 80036 for 8.0.36
	catalog *schema.Catalog
	// dbs are the databases; the first is the session's own, the last comes and goes.
	dbs []string
	// ansi and plain are ANSI_QUOTES and NO_BACKSLASH_ESCAPES of the session.
	ansi, plain bool
	// queue holds the rest of a sequence of statements that belong together.
	queue []string
}

func (g *generator) pick(of ...string) string { return of[g.IntN(len(of))] }

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

// words puts a keyword into random case.
func (g *generator) words(s string) string {
	if g.chance(30) {
		return strings.ToUpper(s)
	}
	return s
}

// always quotes a name.
func (g *generator) always(name string) string {
	if g.ansi && g.chance(30) {
		return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	}
	return "`" + strings.ReplaceAll(name, "`", "``") + "`"
}

// quote quotes a name where it must be, and sometimes where it need not.
func (g *generator) quote(name string) string {
	if g.chance(40) || strings.ContainsAny(name, " `.-") || name == "select" {
		return g.always(name)
	}
	return name
}

// text is a string literal.
func (g *generator) text(s string) string {
	if !g.ansi && g.chance(10) {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

// column refers to a column of a table, whose case does not matter.
func (g *generator) column(name string) string {
	if g.chance(10) && !strings.ContainsFunc(name, func(r rune) bool { return r > 127 }) {
		name = strings.ToUpper(name)
	}
	return g.always(name)
}

// odd says that the name of a table is spelled otherwise in its file's name.
func odd(name string) bool {
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != ""
}

func (g *generator) table() (string, string) {
	return g.pick(g.dbs...), g.pick("t1", "t2", "t3", "t4", "t5", "Tab6", "select", "t 7", "таблица", "d.e`f", "8t", "$9")
}

// existing returns a table that is there, or nil.
func (g *generator) existing() *rowv1.Table {
	var all []*rowv1.Table
	g.catalog.Tables(func(t *rowv1.Table) bool { all = append(all, t); return true })
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b *rowv1.Table) int { return strings.Compare(a.Database+"."+a.Table, b.Database+"."+b.Table) })
	return all[g.IntN(len(all))]
}

func (g *generator) qualified(database, table string) string {
	if database == g.dbs[0] && g.chance(50) {
		return g.quote(table)
	}
	return g.quote(database) + g.pick(".", ".", ".", " . ") + g.quote(table)
}

func (g *generator) of(t *rowv1.Table) string { return g.qualified(t.Database, t.Table) }

// names are the columns of a table that statements can name.
func names(t *rowv1.Table) []string {
	var out []string
	for _, c := range t.Columns {
		if !c.Hidden {
			out = append(out, c.Name)
		}
	}
	return out
}

func (g *generator) newColumn() string {
	return g.pick("a", "b", "C", "d", "e", "f", "g", "h h", "i`i", "first", "after", "ключ", "key_", "value", "date", "text", "status", "comment", "visible", "1x")
}

// indexList returns some of the columns as the parts of an index.
func (g *generator) indexList(names []string) string {
	names = slices.Clone(names)
	n := 1 + g.IntN(min(2, len(names)))
	g.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	var parts []string
	for _, c := range names[:n] {
		parts = append(parts, g.column(c)+g.pick("", "", "", "(2)", " desc", " asc"))
	}
	if !g.mariadb && g.version >= 80013 && g.chance(5) {
		parts = append(parts, "((1+1))")
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// index returns an index on some of the columns.
func (g *generator) index(names []string) string {
	list := g.indexList(names)
	name := g.pick("", "", " ix1", " `ix 2`", " a")
	return g.pick("primary key"+list, "constraint pk primary key "+list, "unique"+name+list, "unique key"+name+" "+list, "unique index"+name+" using btree "+list,
		"key"+name+list, "index"+name+list+" comment 'i, (x)'", "constraint cc unique"+list, "constraint check (1 > 0)", "constraint named check (2 > 1)", "fulltext key "+list)
}

func (g *generator) tableOptions() string {
	return g.pick("", "", "", "", " engine=InnoDB", " default charset=latin1", " charset utf8mb4 collate utf8mb4_unicode_ci", " collate=utf8mb4_bin", " comment 'x'' y'",
		" row_format=dynamic, comment='z'", " character set cp1251 auto_increment=5", " stats_persistent=0 default collate latin1_bin")
}

func (g *generator) createTable() string {
	db, name := g.table()
	if g.catalog.Table(db, name) != nil && g.chance(80) {
		return g.alterTable()
	}
	head := g.words("create table ")
	if g.mariadb && g.chance(10) {
		head = "create or replace table "
	} else if g.chance(20) {
		head += g.words("if not exists ")
	}
	head += g.qualified(db, name)
	if t := g.existing(); t != nil && g.chance(15) {
		if g.chance(50) {
			return head + " like " + g.of(t)
		}
		return head + " (like " + g.of(t) + ")"
	}
	var parts, names []string
	for range 1 + g.IntN(6) {
		n := g.newColumn()
		if slices.ContainsFunc(names, func(o string) bool { return strings.EqualFold(o, n) }) {
			continue
		}
		parts = append(parts, g.always(n)+" "+g.definition(names))
		names = append(names, n)
	}
	if g.chance(40) {
		parts = append(parts, g.index(names))
	}
	if g.chance(20) {
		parts = append(parts, g.index(names))
	}
	tail := g.tableOptions()
	if g.mariadb && g.chance(6) {
		tail += " with system versioning"
	} else if g.chance(10) {
		tail += g.partitions(names)
	}
	if t := g.existing(); t != nil && g.chance(8) {
		tail += g.pick(" as ", " ", " ignore ", " replace ") + g.query(t)
		if g.chance(50) {
			return head + " " + tail
		}
	}
	return head + " (" + strings.Join(parts, ",\n  ") + ")" + tail
}

// query selects from a table.
func (g *generator) query(t *rowv1.Table) string {
	all := names(t)
	one := g.always(all[g.IntN(len(all))])
	return "select " + g.pick("*", one, one+" as zz, 1 as n", "count(*) as k, max("+one+") as m") + " from " + g.of(t)
}

// partitions divides a table by one of its columns.
func (g *generator) partitions(names []string) string {
	by := g.always(names[g.IntN(len(names))])
	return g.pick(" partition by hash ("+by+") partitions 3", " partition by key ("+by+") partitions 2",
		" partition by range ("+by+") (partition p0 values less than (5), partition p1 values less than (10), partition p2 values less than maxvalue)",
		" partition by list ("+by+") (partition p0 values in (1, 2), partition p1 values in (3))")
}

func (g *generator) alterTable() string {
	t := g.existing()
	if t == nil {
		return g.createTable()
	}
	var clauses []string
	for range 1 + g.IntN(3) {
		clauses = append(clauses, g.clause(t, names(t)))
	}
	if !g.mariadb && g.version < 80020 { // 8.0.15 dies of some columns that are defined and converted at once
		for _, c := range clauses {
			if strings.HasPrefix(c, "convert to") {
				clauses = []string{c}
				break
			}
		}
	}
	if g.chance(10) {
		clauses = append(clauses, g.pick("algorithm=copy", "algorithm = default", "lock=none", "lock default"))
	}
	// MySQL 8.0.15 makes the indexes on a renamed column those of a new column that takes its name in the same statement.
	clauses = slices.DeleteFunc(clauses, func(c string) bool {
		old, renames := strings.CutPrefix(c, "rename column ")
		old, _, _ = strings.Cut(old, " to ")
		return renames && strings.Count(strings.ToLower(strings.Join(clauses, ",")), strings.ToLower(strings.Trim(old, "`\""))) > 1 && len(clauses) > 1
	})
	exists := ""
	if g.mariadb && g.chance(10) {
		exists = "if exists "
	}
	return g.words("alter table ") + exists + g.of(t) + " " + strings.Join(clauses, ", ")
}

// clause returns one clause of ALTER TABLE.
func (g *generator) clause(t *rowv1.Table, names []string) string {
	one := g.column(names[g.IntN(len(names))])
	fresh := g.always(g.newColumn())
	place := g.pick("", "", "", " first", " after "+g.column(names[g.IntN(len(names))]))
	exists, absent := "", ""
	if g.mariadb && g.chance(15) {
		exists, absent = "if exists ", "if not exists "
	}
	switch g.IntN(20) {
	case 0, 1, 2:
		return g.pick("add ", "ADD COLUMN ") + absent + fresh + " " + g.definition(names) + place
	case 3:
		return "add " + absent + "(" + fresh + " " + g.definition(names) + ", x" + fmt.Sprint(g.IntN(9)) + " int)"
	case 4, 5:
		return g.pick("drop ", "drop column ") + exists + one
	case 6, 7:
		return g.pick("modify ", "modify column ") + exists + one + " " + g.definition(nil) + place
	case 8:
		return "change column " + exists + one + " " + fresh + " " + g.definition(nil) + place
	case 9, 10:
		if !g.mariadb && g.version < 80000 {
			return "force"
		}
		return "rename column " + exists + one + " to " + fresh
	case 11:
		return g.alterColumn(t)
	case 12, 13:
		return "add " + g.index(names)
	case 14:
		return g.alterIndex(t, exists)
	case 15:
		if g.mariadb && odd(t.Database+t.Table) {
			return "force" // 11.8 leaves the old name behind where such a table is changed and renamed at once
		}
		db, name := g.table()
		if g.mariadb && odd(db+name) {
			return "force"
		}
		return g.pick("rename to ", "rename as ", "rename ", "rename = ") + g.quote(db) + "." + g.quote(name)
	case 16:
		return g.partitionClause(t, names)
	case 17:
		if g.chance(10) && !slices.ContainsFunc(t.Columns, func(c *rowv1.Column) bool {
			return c.HasDefault && c.Kind == rowv1.Kind_KIND_STRING && c.DefaultExpression != nil
		}) {
			return "convert to character set binary" // a default would be spelled in the bytes of its character set
		}
		if g.mariadb {
			return g.pick("add system versioning", "drop system versioning", "add period for p("+one+", "+fresh+")")
		}
	}
	if (g.mariadb || g.version >= 90000) && g.chance(10) {
		return "collate utf8mb4_bin" // a CHARSET that follows would take it back in 8.0.15
	}
	return g.pick("convert to character set utf8mb4", "convert to charset latin1 collate latin1_bin", "default character set cp1251", "charset=utf8mb4",
		"comment 'new'", "engine=innodb comment='x' default charset latin1", "algorithm=copy", "auto_increment=10", "force", "order by "+one,
		"disable keys", "row_format=compact", "drop check if exists cc", "drop constraint named", "remove partitioning")
}

// alterColumn changes a default or whether the column shows.
func (g *generator) alterColumn(t *rowv1.Table) string {
	c := t.Columns[g.IntN(len(t.Columns))]
	value := "null"
	switch c.Kind {
	case rowv1.Kind_KIND_INT, rowv1.Kind_KIND_UINT, rowv1.Kind_KIND_DECIMAL:
		value = g.pick("1", "'2'", "null")
	case rowv1.Kind_KIND_STRING:
		value = g.text(g.pick("x", "", "it's"))
	case rowv1.Kind_KIND_DATETIME:
		value = "'2021-02-03 04:05:06'"
	}
	if (g.mariadb || g.version >= 80013) && g.chance(15) {
		value = "(1+1)"
	}
	actions := []string{" set default " + value, " set default " + value, " set default " + value}
	if c.Kind != rowv1.Kind_KIND_TIMESTAMP { // which takes the implicit one again on some servers
		actions = append(actions, " drop default")
	}
	if g.version >= 80023 && !g.mariadb {
		actions = append(actions, " set invisible", " set visible")
	}
	return "alter " + g.pick("", "column ") + g.column(c.Name) + g.pick(actions...)
}

// alterIndex drops, renames or hides an index.
func (g *generator) alterIndex(t *rowv1.Table, exists string) string {
	if len(t.Indexes) == 0 {
		return "force"
	}
	ix := t.Indexes[g.IntN(len(t.Indexes))].Name
	if ix == primaryName {
		return "drop primary key"
	}
	switch g.IntN(4) {
	case 0:
		return "rename index " + exists + g.always(ix) + " to " + g.pick("r1", "r2", "a")
	case 1:
		if !g.mariadb && g.version >= 80000 {
			return "alter index " + g.always(ix) + g.pick(" invisible", " visible")
		}
	}
	return g.pick("drop index ", "drop key ", "drop index ") + exists + g.always(ix)
}

// partitionClause changes the partitions of a table.
func (g *generator) partitionClause(t *rowv1.Table, names []string) string {
	clauses := []string{g.partitions(names), "drop partition p1", "truncate partition p0", "truncate partition all", "add partition (partition p3 values in (7, 8))", "add partition partitions 2",
		"coalesce partition 1", "analyze partition p0", "rebuild partition p0, p1", "optimize partition all",
		"reorganize partition p0 into (partition p0 values less than (3), partition p01 values less than (5))", "remove partitioning"}
	if o := g.existing(); o != nil {
		clauses = append(clauses, "exchange partition p0 with table "+g.of(o)+g.pick("", " without validation"))
		if g.mariadb {
			db, name := g.table()
			clauses = append(clauses, "convert partition p1 to table "+g.qualified(db, name), "convert table "+g.of(o)+" to partition p9 values less than (100)")
		}
	}
	return g.pick(clauses...)
}
