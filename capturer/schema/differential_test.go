package schema

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"

	"github.com/rowmesh/rowmesh/services/config"
)

// dataType returns the column's type as information_schema.columns.data_type names it, all sizes of TEXT as one: CONVERT TO makes room for the longer
// characters by choosing a larger one, which changes nothing for rows.
func dataType(c *rowv1.Column) string {
	name := strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(c.TypeName, " ZEROFILL"), " UNSIGNED"))
	aliases := map[string]string{"integer": "int", "int1": "tinyint", "int2": "smallint", "int3": "mediumint", "int4": "int", "int8": "bigint",
		"middleint": "mediumint", "bool": "tinyint", "boolean": "tinyint", "serial": "bigint", "dec": "decimal", "numeric": "decimal", "fixed": "decimal",
		"real": "double", "double precision": "double", "float4": "float", "float8": "double", "character": "char", "nchar": "char", "national char": "char",
		"character varying": "varchar", "char varying": "varchar", "nvarchar": "varchar", "national varchar": "varchar", "long": "text",
		"long varchar": "text", "long varbinary": "mediumblob", "geometrycollection": "geomcollection"}
	if a, ok := aliases[name]; ok {
		name = a
	}
	if strings.HasSuffix(name, "text") {
		name = "text"
	}
	if name == "float" && c.Kind == rowv1.Kind_KIND_FLOAT64 {
		name = "double"
	}
	if c.Kind == rowv1.Kind_KIND_STRING && name == "json" {
		name = "text"
	}
	return name
}

// generator makes statements that a server will mostly take. It knows the tables through the catalog under test: where that is wrong, the comparison
// that follows each statement has said so.
type generator struct {
	*rand.Rand
	flavor  config.Flavor
	catalog *Catalog
	dbs     []string
	// replaced is the table of the last CREATE OR REPLACE.
	replaced string
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

func (g *generator) quote(name string) string {
	if g.chance(40) || strings.ContainsAny(name, " `.") {
		return "`" + strings.ReplaceAll(name, "`", "``") + "`"
	}
	return name
}

func (g *generator) table() (string, string) {
	odd := "t 5"
	if g.flavor == config.MariaDB {
		// 11.8 leaves the old name behind where a table whose name is encoded in its file name is changed and renamed at once.
		odd = "t_5"
	}
	return g.pick(g.dbs...), g.pick("t1", "t2", "t3", "Tab4", odd)
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
	return g.quote(database) + "." + g.quote(table)
}

func (g *generator) newColumn() string {
	return g.pick("a", "b", "C", "d", "e", "f", "g", "h h", "i`i", "first", "after", "ключ", "key_", "value", "date", "text", "status")
}

// columnType returns a type and a default for it; an empty default where it can have none.
func (g *generator) columnType() (string, string) {
	types := [][2]string{
		{"int", "7"}, {"INT(11) unsigned", "42"}, {"integer", "-1"}, {"tinyint(1)", "1"}, {"tinyint unsigned", "9"}, {"smallint", "'5'"}, {"mediumint zerofill", "3"},
		{"bigint", "'-9'"}, {"bigint unsigned", "18446744073709551615"}, {"bool", "true"}, {"int8", "8"}, {"decimal", "10"}, {"decimal(10,2)", "1.50"},
		{"numeric(5) unsigned", "5"}, {"dec(30,10)", "0.1000000000"}, {"float", "1.5"}, {"double", "2.25"}, {"double precision", ""}, {"real", ""},
		{"float(7,3)", ""}, {"float(30)", ""}, {"bit(9)", "b'101'"}, {"bit", "b'1'"},
		{"date", "'2020-01-02'"}, {"time(3)", "'01:02:03.000'"}, {"datetime", "current_timestamp"}, {"datetime(6)", "'2020-01-02 03:04:05.000006'"},
		{"timestamp null", "null"}, {"timestamp(3) null", ""}, {"year", "'2024'"},
		{"char(5)", "'abc'"}, {"char", "'x'"}, {"varchar(20)", "'it''s'"}, {"varchar(30) character set latin1", "'l'"}, {"varchar(9) charset utf8mb4 collate utf8mb4_bin", "'b'"},
		{"varchar(9) collate latin1_bin", "'b'"}, {"nvarchar(4)", "'n'"}, {"national char(3)", ""}, {"character varying(6)", "\"dq\""}, {"varchar(6) binary", "'x'"},
		{"char(4) ascii", ""}, {"text", ""}, {"mediumtext character set cp1251", ""}, {"tinytext", ""}, {"longtext collate utf8mb4_general_ci", ""}, {"long varchar", ""},
		{"enum('a','b','c,d','it''s')", "'c,d'"}, {"set('x','y','z') character set latin1", "'x,z'"}, {"enum('1','2') not null", "'2'"},
		{"binary(3)", "'abc'"}, {"varbinary(10)", "''"}, {"blob", ""}, {"tinyblob", ""}, {"longblob", ""}, {"char(4) byte", ""},
		{"json", ""}, {"geometry", ""}, {"point", ""}, {"multipolygon", ""},
	}
	if g.flavor == config.MariaDB {
		types = append(types, [2]string{"uuid", ""}, [2]string{"inet6", ""}, [2]string{"inet4", ""}, [2]string{"varchar(50) compressed null", ""}, [2]string{"blob compressed null", ""})
	}
	t := types[g.IntN(len(types))]
	return t[0], t[1]
}

// column returns a definition without the name.
func (g *generator) column() string {
	typ, value := g.columnType()
	b := g.words(typ)
	if strings.Contains(typ, "'") || strings.Contains(typ, "null") {
		b = typ
	}
	if g.chance(40) && !strings.Contains(typ, "null") {
		b += g.words(" not null")
	}
	if value != "" && g.chance(50) {
		b += g.words(" default ") + value
	}
	if g.chance(10) {
		b += " comment 'a, (b) ''c'' -- d'"
	}
	if g.chance(8) && (g.flavor == config.MariaDB || g.catalog.options.Version >= 80023) {
		b += " invisible"
	}
	if g.chance(5) {
		b += g.pick(" unique", " primary key", " check (1 > 0)", " /* c */", " -- c\n", " /*!50000 unique */")
	}
	return b
}

// indexList returns some of the columns as the parts of an index.
func (g *generator) indexList(names []string) string {
	n := 1 + g.IntN(min(2, len(names)))
	g.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	var parts []string
	for _, c := range names[:n] {
		parts = append(parts, g.quote(c)+g.pick("", "", "(2)", " desc"))
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// index returns an index on some of the columns.
func (g *generator) index(names []string) string {
	list := g.indexList(slices.Clone(names))
	name := g.pick("", "", " ix1", " `ix 2`", " a")
	return g.pick("primary key"+list, "unique"+name+list, "unique key"+name+" "+list, "key"+name+list, "index"+name+list,
		"constraint cc unique"+list, "constraint check (1)", "fulltext key "+list)
}

func (g *generator) tableOptions() string {
	return g.pick("", "", "", " engine=InnoDB", " default charset=latin1", " charset utf8mb4 collate utf8mb4_unicode_ci", " collate=utf8mb4_bin", " comment 'x'' y'",
		" row_format=dynamic, comment='z'", " character set cp1251 auto_increment=5")
}

func (g *generator) createTable() string {
	db, name := g.table()
	if g.catalog.Table(db, name) != nil && g.chance(80) {
		return g.alterTable()
	}
	head := g.words("create table ")
	if g.flavor == config.MariaDB && g.chance(10) {
		head, g.replaced = "create or replace table ", db+"."+name
	} else if g.chance(20) {
		head += g.words("if not exists ")
	}
	head += g.qualified(db, name)
	if t := g.existing(); t != nil && g.chance(15) {
		return head + g.pick(" like ", " (like ") + g.qualified(t.Database, t.Table) + ")"
	}
	var parts, names []string
	for range 1 + g.IntN(6) {
		n := g.newColumn()
		if slices.ContainsFunc(names, func(o string) bool { return strings.EqualFold(o, n) }) {
			continue
		}
		names = append(names, n)
		parts = append(parts, "`"+strings.ReplaceAll(n, "`", "``")+"` "+g.column())
	}
	if g.chance(40) {
		parts = append(parts, g.index(names))
	}
	if g.chance(20) {
		parts = append(parts, g.index(names))
	}
	return head + " (" + strings.Join(parts, ",\n  ") + ")" + g.tableOptions()
}

func (g *generator) alterTable() string {
	t := g.existing()
	if t == nil {
		return g.createTable()
	}
	var names []string
	for _, c := range t.Columns {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	var clauses []string
	for range 1 + g.IntN(3) {
		clauses = append(clauses, g.clause(t, names))
	}
	// MySQL 8.0.15 makes the indexes on a renamed column those of a new column that takes its name in the same statement.
	clauses = slices.DeleteFunc(clauses, func(c string) bool {
		old, renames := strings.CutPrefix(c, "rename column ")
		old, _, _ = strings.Cut(old, " to ")
		return renames && strings.Count(strings.Join(clauses, ","), old) > 1 && len(clauses) > 1
	})
	return g.words("alter table ") + g.qualified(t.Database, t.Table) + " " + strings.Join(clauses, ", ")
}

func (g *generator) clause(t *rowv1.Table, names []string) string {
	quoted := func(n string) string { return "`" + strings.ReplaceAll(n, "`", "``") + "`" }
	one := quoted(names[g.IntN(len(names))])
	fresh := quoted(g.newColumn())
	place := g.pick("", "", "", " first", " after "+quoted(names[g.IntN(len(names))]))
	switch g.IntN(16) {
	case 0, 1, 2:
		return g.pick("add ", "ADD COLUMN ") + fresh + " " + g.column() + place
	case 3:
		return "add (" + fresh + " " + g.column() + ", x" + fmt.Sprint(g.IntN(9)) + " int)"
	case 4, 5:
		return g.pick("drop ", "drop column ") + one
	case 6:
		return "modify " + one + " " + g.column() + place
	case 7:
		return "change column " + one + " " + fresh + " " + g.column() + place
	case 8:
		return "rename column " + one + " to " + fresh
	case 9:
		c := t.Columns[g.IntN(len(t.Columns))]
		value := "null"
		if c.Kind == rowv1.Kind_KIND_INT {
			value = "1"
		}
		return "alter " + quoted(c.Name) + g.pick(" drop default", " set default "+value)
	case 10, 11:
		return "add " + g.index(names)
	case 12:
		if len(t.Indexes) == 0 {
			return "force"
		}
		ix := t.Indexes[g.IntN(len(t.Indexes))].Name
		if ix == primaryName {
			return "drop primary key"
		}
		return g.pick("drop index ", "drop key ", "drop constraint ") + quoted(ix)
	case 13:
		if len(t.Indexes) == 0 || t.Indexes[0].Name == primaryName {
			return "order by " + one
		}
		return "rename index " + quoted(t.Indexes[0].Name) + " to " + g.pick("r1", "r2")
	case 14:
		db, name := g.table()
		return g.pick("rename to ", "rename as ", "rename ") + g.quote(db) + "." + g.quote(name)
	}
	return g.pick("convert to character set utf8mb4", "convert to charset latin1 collate latin1_bin", "default character set cp1251", "charset=utf8mb4",
		"comment 'new'", "engine=innodb comment='x' default charset latin1", "algorithm=copy", "auto_increment=10")
}

func (g *generator) statement() string {
	db, name := g.table()
	switch g.IntN(20) {
	case 0:
		return "drop table if exists " + g.qualified(db, name) + ", " + g.qualified(g.table())
	case 1:
		if t := g.existing(); t != nil {
			return "rename table " + g.qualified(t.Database, t.Table) + " to " + g.qualified(db, name)
		}
	case 2:
		return g.words("truncate ") + g.qualified(db, name)
	case 3:
		if t := g.existing(); t != nil {
			c := t.Columns[g.IntN(len(t.Columns))]
			return g.pick("create index ", "create unique index ") + "ci on " + g.qualified(t.Database, t.Table) + "(`" + strings.ReplaceAll(c.Name, "`", "``") + "`)"
		}
	case 4:
		return "alter database " + g.quote(db) + g.pick(" character set latin1", " collate utf8mb4_bin", " default charset = utf8mb4")
	case 5, 6, 7, 8, 9:
		return g.createTable()
	}
	return g.alterTable()
}

// TestAgainstServers runs random statements on real servers and compares the catalog with information_schema after each.
func TestAgainstServers(t *testing.T) {
	const steps = 200
	eachServer(t, func(s *server) {
		c := NewCatalog(s.options)
		g := &generator{Rand: rand.New(rand.NewPCG(seed(s.T), 1)), flavor: s.options.Flavor, catalog: c, dbs: []string{s.unique("schema_part_a"), s.unique("schema_part_b")}}
		s.scratch(g.dbs...)
		run := func(sql string) bool {
			if s.try(sql) != nil {
				if db, table, ok := strings.Cut(g.replaced, "."); ok && strings.HasPrefix(sql, "create or replace ") {
					// It may have dropped the old table by then; its log says so.
					if len(s.query(fmt.Sprintf("SELECT 1 FROM information_schema.tables WHERE table_schema='%s' AND table_name='%s'", db, table))) == 0 {
						c.DropTable(db, table)
					}
				}
				return false
			}
			if _, err := c.Apply(g.dbs[0], sql, ApplyOptions{}); err != nil {
				s.Fatalf("the server takes\n%s\nand we do not: %v", sql, err)
			}
			return true
		}
		for _, db := range g.dbs {
			run("create database " + db)
		}
		s.conn.UseDB(g.dbs[0])
		taken := 0
		for tries := 0; taken < steps && tries < 10*steps; tries++ {
			sql := g.statement()
			if !run(sql) {
				continue
			}
			taken++
			if !s.compareAll(c, g.dbs, sql) {
				return
			}
		}
		if taken < steps {
			s.Errorf("the server took only %d statements", taken)
		}
	})
}

// compareAll compares all tables of the databases; false if they differ.
func (s *server) compareAll(c *Catalog, dbs []string, sql string) bool {
	s.Helper()
	var want, got []string
	for _, db := range dbs {
		for _, r := range s.query("SELECT table_name FROM information_schema.tables WHERE table_schema='" + db + "'") {
			want = append(want, db+"."+r[0])
		}
	}
	c.Tables(func(t *rowv1.Table) bool { got = append(got, t.Database+"."+t.Table); return true })
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("after\n%s\n-server +ours\n%s", sql, diff)
		return false
	}
	same := true
	c.Tables(func(t *rowv1.Table) bool {
		if diff := cmp.Diff(s.described(t.Database, t.Table), ours(t)); diff != "" {
			s.Errorf("after\n%s\n%s.%s: -server +ours\n%s", sql, t.Database, t.Table, diff)
			same = false
		}
		same = same && s.compareCreate(t, sql)
		return same
	})
	return same
}

// compareCreate compares a table with what SHOW CREATE TABLE says of it.
func (s *server) compareCreate(t *rowv1.Table, sql string) bool {
	s.Helper()
	text := s.query(fmt.Sprintf("SHOW CREATE TABLE `%s`.`%s`", t.Database, t.Table))[0][1]
	v, err := ParseCreate(s.options, t.Database, text)
	if err != nil {
		s.Errorf("%s\n%v", text, err)
		return false
	}
	var a, b []string
	for i, c := range t.Columns {
		if i >= len(v.Columns) {
			break
		}
		a = append(a, normal(c))
		b = append(b, normal(v.Columns[i]))
	}
	if diff := cmp.Diff(b, a); diff != "" || v.Charset != t.Charset {
		s.Errorf("after\n%s\nwhere the server says\n%s\n-server +ours (%s, %s)\n%s", sql, text, v.Charset, t.Charset, diff)
		return false
	}
	return true
}

// normal spells what must be the same whichever way a column was defined.
func normal(c *rowv1.Column) string {
	value := "none"
	if c.HasDefault {
		value = "null"
		if c.DefaultExpression != nil {
			value = *c.DefaultExpression
		}
	}
	if value == "true" {
		value = "1"
	}
	if strings.Contains(c.TypeName, "ZEROFILL") {
		value = strings.TrimLeft(value, "0")
	}
	switch c.Kind {
	case rowv1.Kind_KIND_BYTES:
		value = ""
	case rowv1.Kind_KIND_DECIMAL, rowv1.Kind_KIND_FLOAT32:
		if strings.Contains(value, ".") {
			value = strings.TrimRight(strings.TrimRight(value, "0"), ".")
		}
	}
	return fmt.Sprintf("%s %s charset=%s default=%s members=%q scale=%d auto=%v", c.Name, c.Kind, oneName(c.Charset), value, c.Members, c.GetScale(), c.AutoIncrement)
}
