package ddl

import (
	"encoding/hex"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/source"
)

// A column is described twice, from the server's information_schema and from the model, as one line each. Both leave out what rows and events do not depend on
// and what one server spells otherwise than another: display widths but that of tinyint(1), sizes of TEXT and BLOB (CONVERT TO takes a larger one).

// columnQuery asks for what serverColumn reads.
const columnQuery = "SELECT column_name, column_type, is_nullable, column_default, character_set_name, collation_name, extra, generation_expression, column_comment " +
	"FROM information_schema.columns WHERE table_schema=%s AND table_name=%s ORDER BY ordinal_position"

// serverColumn describes a row of columnQuery.
func (s *server) serverColumn(r []source.Value) string {
	typ := serverType(r[1].Text)
	extra := strings.ToLower(r[6].Text)
	auto := strings.Contains(extra, "auto_increment") || strings.Contains(extra, "on update")
	value := s.serverDefault(typ, r[3], strings.Contains(extra, "default_generated"))
	if s.mariadb && value == now && !strings.Contains(extra, "auto_increment") {
		auto = false // there ON UPDATE counts for a part of the default
	}
	computed := r[7].Text != "" || strings.Contains(extra, "generated") && !strings.Contains(extra, "default_generated")
	if computed {
		value = none // MySQL 8.0.15 tells one of a generated TIMESTAMP
	}
	return fmt.Sprintf("%s %s null=%v default=%s charset=%s/%s auto=%v generated=%v invisible=%v comment=%q", r[0].Text, typ, r[2].Text == "YES", value,
		oneName(r[4].Text), oneName(r[5].Text), auto, computed, strings.Contains(extra, "invisible"), r[8].Text)
}

// modelColumn describes a column of the model.
func (s *server) modelColumn(c *rowv1.Column) string {
	charset, collation := oneName(c.Charset), oneName(c.Collation)
	if charset == "binary" && !s.mariadb { // ENUM and SET, of which MySQL tells none
		charset, collation = "", ""
	}
	if collation == "" {
		collation = s.collations[charset]
	}
	comment := ""
	if c.Comment != nil {
		comment = strings.ReplaceAll(*c.Comment, "''", "'")
	}
	typ := s.modelType(c)
	return fmt.Sprintf("%s %s null=%v default=%s charset=%s/%s auto=%v generated=%v invisible=%v comment=%q", c.Name, typ, c.Nullable, s.modelDefault(typ, c), charset, collation,
		c.AutoIncrement, c.Computed, c.Invisible, comment)
}

// oneName gives utf8 the name that servers call it by since MySQL 8.0.24.
func oneName(name string) string {
	if name == "utf8" || strings.HasPrefix(name, "utf8_") {
		return "utf8mb3" + name[len("utf8"):]
	}
	return name
}

var typePattern = regexp.MustCompile(`(?s)^([a-z0-9]+)(?:\((.*)\))?( unsigned)?( zerofill)?`)

// serverType tidies a column_type.
func serverType(text string) string {
	m := typePattern.FindStringSubmatch(text)
	if m == nil {
		return text
	}
	return tidyType(m[1], m[2], m[3] != "", m[4] != "")
}

// modelType spells a column's type as column_type does.
func (s *server) modelType(c *rowv1.Column) string {
	name := strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(c.TypeName, " ZEROFILL"), " UNSIGNED"))
	zerofill := strings.HasSuffix(c.TypeName, " ZEROFILL")
	if a, ok := typeAliases[name]; ok {
		name = a
	}
	var args string
	switch {
	case c.Members != nil:
		quoted := make([]string, len(c.Members))
		for i, m := range c.Members {
			quoted[i] = "'" + strings.ReplaceAll(m, "'", "''") + "'"
		}
		args = strings.Join(quoted, ",")
	case c.TypeName == "BOOL", c.TypeName == "BOOLEAN":
		args = "1"
	case c.Scale != nil:
		args = fmt.Sprintf("%d,%d", c.GetLength(), *c.Scale)
	case c.Length != nil:
		args = fmt.Sprint(*c.Length)
	}
	switch {
	case c.Kind == rowv1.Kind_KIND_FLOAT32, c.Kind == rowv1.Kind_KIND_FLOAT64:
		name = map[bool]string{true: "float", false: "double"}[c.Kind == rowv1.Kind_KIND_FLOAT32]
		if c.Scale == nil {
			args = ""
		}
	case name == "json" && c.Kind == rowv1.Kind_KIND_STRING:
		name = "longtext" // MariaDB's alias
	}
	return tidyType(name, args, c.Unsigned, zerofill)
}

// typeAliases maps names that statements use to those that servers keep.
var typeAliases = map[string]string{"integer": "int", "int1": "tinyint", "int2": "smallint", "int3": "mediumint", "int4": "int", "int8": "bigint", "middleint": "mediumint", "bool": "tinyint",
	"boolean": "tinyint", "serial": "bigint", "dec": "decimal", "numeric": "decimal", "fixed": "decimal", "number": "decimal", "character": "char", "nchar": "char", "national char": "char",
	"national character": "char", "character varying": "varchar", "char varying": "varchar", "varcharacter": "varchar", "nvarchar": "varchar", "nchar varchar": "varchar", "nchar varying": "varchar",
	"national varchar": "varchar", "long": "mediumtext", "long varchar": "mediumtext", "long varbinary": "mediumblob", "geometrycollection": "geomcollection"}

// tidyType spells a type one way.
func tidyType(name, args string, unsigned, zerofill bool) string {
	switch {
	case strings.HasSuffix(name, "text"):
		name, args = "text", ""
	case strings.HasSuffix(name, "blob"):
		name, args = "blob", ""
	case strings.HasSuffix(name, "int") && !(name == "tinyint" && args == "1" && !unsigned):
		if name != "point" && name != "multipoint" {
			args = ""
		}
	case name == "geometrycollection":
		name = "geomcollection"
	case name == "year":
		args = ""
	}
	if name == "point" || name == "multipoint" || args == "0" && (name == "time" || name == "datetime" || name == "timestamp") {
		args = ""
	}
	if args != "" {
		name += "(" + args + ")"
	}
	if unsigned {
		name += " unsigned"
	}
	if zerofill {
		name += " zerofill"
	}
	return name
}

// unquoted resolves what stands for a quote between quotes.
var unquoted = strings.NewReplacer("''", "'", `\'`, "'")

// now is the default of the current time, none the one of a column whose default is NULL, an expression, or not there.
const now, none = "now", "none"

// serverDefault tidies a column_default. MariaDB's are expressions: texts are quoted there.
func (s *server) serverDefault(typ string, v source.Value, expression bool) string {
	text := v.Text
	if v.Null || s.mariadb && text == "NULL" {
		return none
	}
	lower := strings.ToLower(text)
	if strings.HasPrefix(lower, "current_timestamp") || strings.HasPrefix(lower, "now(") {
		return now
	}
	if expression {
		return none
	}
	if s.mariadb {
		if strings.Contains(typ, "binary") || typ == "blob" {
			return none // of bytes it spells the digits in SHOW CREATE TABLE, which events do not show
		}
		quoted := strings.HasPrefix(text, "'")
		if quoted {
			text = unquoted.Replace(text[1 : len(text)-1])
		}
		if !quoted && strings.ContainsAny(text, "(+") && !strings.HasPrefix(text, "b'") || strings.HasPrefix(text, "_") {
			return none
		}
	}
	return tidyDefault(typ, text)
}

// modelDefault tidies the default that the model keeps: raw text between the quotes of the statement.
func (s *server) modelDefault(typ string, c *rowv1.Column) string {
	if c.DefaultExpression == nil || s.mariadb && c.Kind == rowv1.Kind_KIND_BYTES {
		return none
	}
	text := *c.DefaultExpression
	switch c.Kind {
	case rowv1.Kind_KIND_DATETIME, rowv1.Kind_KIND_TIMESTAMP:
		if text == "1970-01-01 00:00:00" {
			return now
		}
	case rowv1.Kind_KIND_BIT:
		if strings.Trim(text, "01") == "" {
			return "b'" + strings.TrimLeft(text, "0") + "'"
		}
	}
	return tidyDefault(typ, unquoted.Replace(text))
}

// tidyDefault spells a literal one way: numbers without needless digits, bytes in hexadecimal, instants without a fraction of zero.
func tidyDefault(typ, text string) string {
	base, _, _ := strings.Cut(typ, "(")
	base, _, _ = strings.Cut(base, " ")
	switch base {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "year":
		switch strings.ToLower(text) {
		case "true":
			text = "1"
		case "false":
			text = "0"
		}
		if r, ok := new(big.Rat).SetString(text); ok {
			return r.RatString()
		}
	case "enum", "set":
		if b, err := hex.DecodeString(strings.TrimPrefix(text, "0x")); err == nil && strings.HasPrefix(text, "0x") {
			text = string(b) // of the character set binary
		}
	case "bit":
		return "b'" + strings.TrimLeft(strings.TrimSuffix(strings.TrimPrefix(text, "b'"), "'"), "0") + "'"
	case "binary", "varbinary", "blob":
		digits, ok := strings.CutPrefix(text, "0x")
		if !ok {
			digits = hex.EncodeToString([]byte(text))
		}
		digits = strings.ToUpper(digits)
		for base == "binary" && strings.HasSuffix(digits, "00") {
			digits = digits[:len(digits)-2]
		}
		return "0x" + digits
	case "time", "datetime", "timestamp":
		if head, fraction, ok := strings.Cut(text, "."); ok && strings.Trim(fraction, "0") == "" {
			text = head
		}
	}
	return fmt.Sprintf("%q", text)
}

// indexes describes the indexes of a table as the server has them.
func (s *server) indexes(database, table string) []string {
	expression := "NULL"
	if !s.mariadb && s.info.Number() >= 80013 {
		expression = "expression"
	}
	out := map[string]string{}
	for _, r := range s.query("SELECT index_name, non_unique, column_name, " + expression + " FROM information_schema.statistics WHERE table_schema=" + source.QuoteText(database) + " AND table_name=" +
		source.QuoteText(table) + " ORDER BY index_name, seq_in_index") {
		name := r[0].Text
		if out[name] == "" {
			out[name] = fmt.Sprintf("index %s unique=%v:", name, r[1].Text == "0")
		}
		if r[2].Null && !strings.HasSuffix(out[name], "(expression)") {
			out[name] = fmt.Sprintf("index %s unique=%v: (expression)", name, r[1].Text == "0")
		}
		if !strings.HasSuffix(out[name], "(expression)") {
			out[name] += " " + r[2].Text + ";"
		}
	}
	return slices.Sorted(maps.Values(out))
}

// modelIndexes describes the indexes of the model in the same way.
func modelIndexes(t *rowv1.Table) []string {
	var out []string
	for _, ix := range t.Indexes {
		text := fmt.Sprintf("index %s unique=%v:", ix.Name, ix.Unique)
		if ix.Functional {
			text += " (expression)"
		}
		for _, i := range ix.Columns {
			text += " " + t.Columns[i].Name + ";"
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

// key spells the key of events: that of the primary key where there is one.
func key(t *rowv1.Table) []string {
	var out []string
	for _, i := range t.Key {
		out = append(out, t.Columns[i].Name)
	}
	return out
}
