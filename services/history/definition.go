package history

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Definition returns a CREATE TABLE statement for the table behind a change, for where the history has no statement that says it: that of a table whose creation
// nobody recorded. It is what Debezium's model knows: indexes other than the key, and which columns are generated, are not in it. Empty where the table is gone.
func (c *Change) Definition() string {
	m := c.Model
	if m == nil || c.Type == Drop {
		return ""
	}
	columns := slices.Clone(m.Columns)
	slices.SortStableFunc(columns, func(a, b Column) int { return int(a.Position - b.Position) })
	var parts []string
	for i := range columns {
		parts = append(parts, columns[i].definition())
	}
	if len(m.Key) > 0 {
		var key []string
		for _, k := range m.Key {
			key = append(key, quoteName(k))
		}
		parts = append(parts, "PRIMARY KEY ("+strings.Join(key, ",")+")")
	}
	s := "CREATE TABLE " + quoteName(c.Table) + " (\n  " + strings.Join(parts, ",\n  ") + "\n)"
	if m.Charset != nil {
		s += " DEFAULT CHARSET=" + *m.Charset
	}
	if m.Comment != nil {
		s += " COMMENT=" + quoteText(*m.Comment)
	}
	return s
}

// attributes end a type's name: a length stands before them.
var attributes = []string{" UNSIGNED", " SIGNED", " ZEROFILL", " BINARY"}

func (c *Column) definition() string {
	name, rest := c.TypeExpression, ""
	if name == "" {
		name = c.TypeName
	}
	for _, a := range attributes {
		if i := strings.Index(strings.ToUpper(name), a); i >= 0 {
			name, rest = name[:i], name[i:]+rest
		}
	}
	switch {
	case len(c.Members) > 0:
		name += "(" + strings.Join(c.Members, ",") + ")"
	case c.Length != nil && c.Scale != nil:
		name += fmt.Sprintf("(%d,%d)", *c.Length, *c.Scale)
	case c.Length != nil:
		name += "(" + strconv.FormatInt(*c.Length, 10) + ")"
	}
	s := quoteName(c.Name) + " " + name + rest
	if c.Charset != nil {
		s += " CHARACTER SET " + *c.Charset
	}
	if c.Optional {
		s += " NULL"
	} else {
		s += " NOT NULL"
	}
	switch {
	case c.Default != nil:
		s += " DEFAULT " + quoteText(*c.Default)
	case c.HasDefault && c.Optional:
		s += " DEFAULT NULL"
	}
	// Debezium calls what the server gives a value on change auto-incremented and generated; generated columns it does not call so.
	switch upper := strings.ToUpper(name); {
	case !c.AutoIncrement:
	case strings.HasPrefix(upper, "TIMESTAMP") || strings.HasPrefix(upper, "DATETIME"):
		s += " ON UPDATE CURRENT_TIMESTAMP"
		if c.Length != nil {
			s += fmt.Sprintf("(%d)", *c.Length)
		}
	default:
		s += " AUTO_INCREMENT"
	}
	if c.Comment != nil {
		s += " COMMENT " + quoteText(*c.Comment)
	}
	return s
}

func quoteName(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }

func quoteText(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'"
}
