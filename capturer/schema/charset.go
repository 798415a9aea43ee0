package schema

import (
	"strings"

	"github.com/rowmesh/rowmesh/services/config"
)

// charset is a character set with a collation. An empty collation is the character set's default.
type charset struct{ name, collation string }

// charsetOfCollation returns the character set that a collation belongs to: its name up to the first underscore. MariaDB's uca1400 collations may
// be named without one and then take the character set of their place; empty is returned for them.
func charsetOfCollation(collation string) string {
	if strings.HasPrefix(collation, "uca1400_") {
		return ""
	}
	name, _, _ := strings.Cut(collation, "_")
	return name
}

// orElse completes what a definition says with what it inherits: one that names a character set or a collation inherits nothing, save that a
// uca1400 collation without character set takes that of its place.
func (c charset) orElse(base charset) charset {
	switch {
	case c.name == "" && c.collation == "":
		return base
	case c.name == "":
		if c.name = charsetOfCollation(c.collation); c.name == "" {
			c.name = base.name
			c.collation = c.name + "_" + c.collation
		}
	case strings.HasPrefix(c.collation, "uca1400_"):
		c.collation = c.name + "_" + c.collation
	}
	return c
}

// serverDefault is what a server of the flavor has where nothing is known of it.
func serverDefault(f config.Flavor, version int) charset {
	if f == config.MySQL && (version == 0 || version >= 80000) {
		return charset{"utf8mb4", "utf8mb4_0900_ai_ci"}
	}
	if f == config.MariaDB && (version == 0 || version >= 110600) {
		return charset{"utf8mb4", "utf8mb4_uca1400_ai_ci"}
	}
	return charset{"latin1", "latin1_swedish_ci"}
}

// charsetClause takes one of
//
//	[DEFAULT] {CHARACTER SET | CHARSET | CHAR SET} [=] name
//	[DEFAULT] COLLATE [=] name
//
// into c. It leaves anything else alone.
func (p *parser) charsetClause(c *charset) bool {
	start := p.pos
	p.accept("DEFAULT")
	switch {
	case p.accept("CHARACTER", "SET"), p.accept("CHAR", "SET"), p.accept("CHARSET"):
		p.accept("=")
		if p.accept("DEFAULT") {
			return true
		}
		c.name = p.charsetName()
		return true
	case p.accept("COLLATE"):
		p.accept("=")
		if p.accept("DEFAULT") {
			return true
		}
		c.collation = p.charsetName()
		return true
	}
	p.pos = start
	return false
}

// charsetAhead says whether charsetClause would take something.
func (p *parser) charsetAhead() bool {
	i := 0
	if p.cur().is("DEFAULT") {
		i = 1
	}
	t, next := p.peek(i), p.peek(i+1)
	return t.is("CHARSET") || t.is("COLLATE") || (t.is("CHARACTER") || t.is("CHAR")) && next.is("SET")
}

// characterBytes is how many bytes a character of the set takes at most.
func characterBytes(name string) int {
	switch name {
	case "utf8mb4", "utf16", "utf16le", "utf32", "gb18030":
		return 4
	case "utf8mb3", "utf8", "ujis", "eucjpms":
		return 3
	case "ucs2", "gbk", "gb2312", "big5", "sjis", "cp932", "euckr":
		return 2
	}
	return 1
}
