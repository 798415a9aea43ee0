package ddl

import "strings"

// typeAndDefault is a type with a literal that is a default for it; empty where it can have none.
type typeAndDefault struct{ name, value string }

var types = []typeAndDefault{
	{"int", "7"}, {"INT(11) unsigned", "42"}, {"integer", "-1"}, {"tinyint(1)", "1"}, {"tinyint unsigned", "9"}, {"smallint", "'5'"}, {"mediumint zerofill", "3"},
	{"bigint", "'-9'"}, {"bigint unsigned", "18446744073709551615"}, {"bool", "true"}, {"int8", "8"}, {"middleint signed", "0"}, {"decimal", "10"}, {"decimal(10,2)", "1.50"},
	{"numeric(5) unsigned", "5"}, {"dec(30,10)", "0.1000000000"}, {"fixed(4,1) zerofill", "1.5"}, {"float", "1.5"}, {"double", "2.25"}, {"double precision", ""}, {"real", ""},
	{"float(7,3)", ""}, {"float(30)", ""}, {"float4", ""}, {"float8 unsigned", ""}, {"bit(9)", "b'101'"}, {"bit", "b'1'"}, {"bit(12)", "0xF"},
	{"date", "'2020-01-02'"}, {"time(3)", "'01:02:03.000'"}, {"datetime", "current_timestamp"}, {"datetime(6)", "'2020-01-02 03:04:05.000006'"},
	{"datetime(3)", "now(3) on update current_timestamp(3)"}, {"timestamp null", "null"}, {"timestamp(3) null", ""}, {"timestamp", "now() on update now()"},
	{"timestamp", ""}, {"year", "'2024'"}, {"year(4)", "2001"},
	{"char(5)", "'abc'"}, {"char", "'x'"}, {"varchar(20)", "'it''s'"}, {"varchar(30) character set latin1", "'l'"}, {"varchar(9) charset utf8mb4 collate utf8mb4_bin", "'b'"},
	{"varchar(9) collate latin1_bin", "'b'"}, {"nvarchar(4)", "'n'"}, {"national char(3)", ""}, {"character varying(6)", "'dq'"}, {"varchar(6) binary", "'x'"},
	{"char(4) ascii", ""}, {"text", ""}, {"mediumtext character set cp1251", ""}, {"tinytext", ""}, {"longtext collate utf8mb4_general_ci", ""}, {"long varchar", ""},
	{"text(100)", ""}, {"nchar varchar(7)", ""}, {"national varchar(3)", "''"}, {"char(3) character set ucs2", ""}, {"varchar(5) charset sjis", "'s'"},
	{"enum('a','b','c,d','it''s')", "'c,d'"}, {"set('x','y','z') character set latin1", "'x,z'"}, {"enum('1','2') not null", "'2'"}, {"enum('e', 'x ') charset utf8mb4", ""},
	{"binary(3)", "'abc'"}, {"varbinary(10)", "''"}, {"blob", ""}, {"tinyblob", ""}, {"longblob", ""}, {"char(4) byte", ""}, {"varbinary(4)", "0x4142"}, {"blob(300)", ""},
	{"varchar(4) charset binary", "'q'"}, {"long varbinary", ""},
	{"json", ""}, {"geometry", ""}, {"point", ""}, {"multipolygon", ""}, {"geometrycollection", ""}, {"serial", ""}, {"int not null auto_increment unique", ""},
	{"bigint auto_increment primary key", ""}, {"int not null primary key comment 'c'", ""},
}

var mariadbTypes = []typeAndDefault{
	{"uuid", ""}, {"inet6", ""}, {"inet4", ""}, {"varchar(50) compressed null", ""}, {"blob compressed null", ""}, {"vector(5) not null", ""},
	{"int without system versioning", ""},
}

// dataType returns a type and a default for it.
func (g *generator) dataType() typeAndDefault {
	all := types
	if g.mariadb && g.chance(15) {
		all = mariadbTypes
	}
	t := all[g.IntN(len(all))]
	switch {
	case g.plain || !strings.HasPrefix(t.value, "'"):
	case g.chance(10) && !g.ansi:
		t.value = `"` + strings.ReplaceAll(t.value[1:len(t.value)-1], "''", "'") + `"`
	}
	return t
}

// definition returns a column's definition without its name. Generated columns may refer to those named.
func (g *generator) definition(named []string) string {
	t := g.dataType()
	b := t.name
	if !strings.ContainsAny(b, "'") && !strings.Contains(b, "null") {
		b = g.words(b)
	}
	settled := strings.Contains(t.name, "null") || strings.Contains(t.name, "serial") || strings.Contains(t.name, "auto_increment")
	if g.chance(8) && !settled {
		return b + g.generated(named)
	}
	if g.chance(40) && !settled {
		b += g.words(" not null")
	}
	switch {
	case settled && t.value == "":
	case t.value != "" && g.chance(50):
		b += g.words(" default ") + t.value
	case g.chance(5) && (g.mariadb || g.version >= 80013):
		b += " default " + g.pick("(1 + 1)", "(concat('a', 'b'))", "(null)")
	}
	if g.chance(10) {
		b += " comment 'a, (b) ''c'' -- d'"
	}
	if g.chance(8) && (g.mariadb || g.version >= 80023) {
		b += " invisible"
	}
	if g.chance(6) {
		b += g.pick(" unique", " unique key", " primary key", " check (1 > 0)", " /* c */", " -- c\n", " /*!50000 unique */", " # x\n", " constraint k check (2 > 1)")
	}
	return b
}

// generated makes a column a generated one.
func (g *generator) generated(named []string) string {
	expression := "(1 + 2)"
	if len(named) > 0 && g.chance(70) {
		expression = "(coalesce(" + g.always(named[g.IntN(len(named))]) + ", ')', 0))"
	}
	return g.pick(" generated always as ", " as ") + expression + g.pick("", " virtual", " stored") + g.pick("", "", " comment 'g'", " unique")
}
