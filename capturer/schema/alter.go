package schema

import "github.com/rowmesh/rowmesh/services/config"

// place says where a column goes.
type place struct {
	first bool
	after string // empty: where it is, or at the end
}

// columnChange is ADD, MODIFY or CHANGE of a column.
type columnChange struct {
	old         string // empty for ADD
	def         *columnDef
	place       place
	ifExists    bool
	ifNotExists bool
}

// defaultChange is ALTER COLUMN.
type defaultChange struct {
	column   string
	ifExists bool
	// One of these: DROP DEFAULT; SET INVISIBLE or VISIBLE; else SET DEFAULT with what stands at the token, which is read when the column's type is
	// known.
	drop      bool
	invisible *bool
	value     int
}

// rename is one name in place of another.
type rename struct {
	from, to string
	ifExists bool
}

// drop is a name that goes.
type drop struct {
	name     string
	ifExists bool
}

// alterDef is an ALTER TABLE statement. The server takes names of columns for those of before the statement, whatever the order of the clauses;
// so the clauses are collected first.
type alterDef struct {
	columns        []columnChange
	drops          []drop
	renames        []rename
	defaults       []defaultChange
	dropPrimary    bool
	dropIndexes    []drop
	renameIndexes  []rename
	addIndexes     []*indexDef
	options        tableOptions
	convert        *charset
	addVersioning  bool
	dropVersioning bool
	renameDB       string
	renameTable    string
	// partition of the table that becomes a table, and the other way round (MariaDB).
	partitionToDB, partitionToTable     string
	partitionFromDB, partitionFromTable string
}

// alterTable takes what follows the table's name.
func (p *parser) alterTable(database string) *alterDef {
	def := &alterDef{}
	for {
		if p.accept("NOWAIT") || p.accept("WAIT") && p.advance() != nil {
			continue
		}
		break
	}
	for !p.atEnd() {
		p.alterClause(def, database)
		// Options may follow each other without a comma, and PARTITION BY follows the clauses.
		for !p.atEnd() && !p.cur().is(",") {
			p.alterOption(def)
		}
		p.accept(",")
	}
	return def
}

// alterClause takes one clause. What does not begin like a clause is left to alterOption.
func (p *parser) alterClause(def *alterDef, database string) {
	switch {
	case p.accept("ADD"):
		p.alterAdd(def)
	case p.accept("DROP"):
		p.alterDrop(def)
	case p.accept("MODIFY"):
		p.accept("COLUMN")
		c := columnChange{ifExists: p.ifExists()}
		c.old = p.columnName()
		c.def = p.columnDefinition(c.old)
		c.place = p.place()
		def.addColumn(c)
	case p.accept("CHANGE"):
		p.accept("COLUMN")
		c := columnChange{ifExists: p.ifExists()}
		c.old = p.columnName()
		c.def = p.columnDefinition(p.columnName())
		c.place = p.place()
		def.addColumn(c)
	case p.accept("ALTER"):
		p.alterColumn(def)
	case p.accept("RENAME"):
		p.alterRename(def, database)
	case p.accept("CONVERT", "TO"):
		def.convert = &charset{}
		for p.charsetClause(def.convert) {
		}
		if p.flavor != config.MariaDB {
			def.options.charset = charset{} // the clause takes back what was said before
		}
	case p.accept("CONVERT", "PARTITION"):
		p.name()
		p.expect("TO", "TABLE")
		def.partitionToDB, def.partitionToTable = p.tableName(database)
		p.skipClause()
	case p.accept("CONVERT", "TABLE"):
		def.partitionFromDB, def.partitionFromTable = p.tableName(database)
		p.skipClause()
	case p.accept("ORDER", "BY"):
		// The columns are separated by commas: it must be the last clause.
		p.pos = p.limit
	default:
		if !p.alterOption(def) {
			p.fail()
		}
	}
}

// skipClause passes the rest of a clause.
func (p *parser) skipClause() {
	for !p.atEnd() && !p.cur().is(",") {
		if !p.skipParens() {
			p.advance()
		}
	}
}

// alterOption takes an option or a clause without influence on the columns. It fails on a word that begins neither.
func (p *parser) alterOption(def *alterDef) bool {
	switch {
	case p.tableOption(&def.options):
	case p.accept("PARTITION", "BY"):
		// Its lists are in parentheses; nothing may follow.
		p.pos = p.limit
	case p.accept("REMOVE", "PARTITIONING"), p.accept("FORCE"):
	case p.peek(1).is("PARTITION"):
		// Maintenance of partitions, with lists of them: it stands alone.
		p.pos = p.limit
	default:
		for _, w := range alterWords {
			if p.cur().is(w) {
				p.skipOption()
				return true
			}
		}
		p.fail()
		return false
	}
	return true
}

// skipOption passes a clause up to what may follow it without a comma and matters.
func (p *parser) skipOption() {
	for p.advance(); !p.atEnd() && !p.cur().is(",") && !p.charsetAhead() && !p.cur().is("COMMENT"); {
		if !p.skipParens() {
			p.advance()
		}
	}
}

// alterWords begin clauses that leave the columns alone. Clauses about partitions: DROP and TRUNCATE of them remove rows without telling the log.
var alterWords = []string{
	"ALGORITHM", "LOCK", "ENABLE", "DISABLE", "DISCARD", "IMPORT", "WITH", "WITHOUT", "VALIDATION", "NOWAIT", "WAIT", "ONLINE", "OFFLINE",
	"TRUNCATE", "COALESCE", "REORGANIZE", "EXCHANGE", "ANALYZE", "CHECK", "OPTIMIZE", "REBUILD", "REPAIR", "UPGRADE", "REMOVE", "SECONDARY_LOAD",
	"SECONDARY_UNLOAD", "ENGINE", "TYPE", "AUTO_INCREMENT", "AVG_ROW_LENGTH", "CHECKSUM", "TABLE_CHECKSUM", "COMPRESSION", "CONNECTION", "DATA",
	"INDEX", "DELAY_KEY_WRITE", "ENCRYPTION", "INSERT_METHOD", "KEY_BLOCK_SIZE", "MAX_ROWS", "MIN_ROWS", "PACK_KEYS", "PASSWORD", "ROW_FORMAT",
	"SECONDARY_ENGINE", "STATS_AUTO_RECALC", "STATS_PERSISTENT", "STATS_SAMPLE_PAGES", "TABLESPACE", "STORAGE", "TRANSACTIONAL", "UNION",
	"AUTOEXTEND_SIZE", "ENGINE_ATTRIBUTE", "SECONDARY_ENGINE_ATTRIBUTE", "PARTITION", "PARTITIONS", "SUBPARTITION", "SUBPARTITIONS", "IETF_QUOTES",
	"NODEGROUP", "RESTRICT", "CASCADE", "START", "SEQUENCE",
}

// alterAdd takes what follows ADD.
func (p *parser) alterAdd(def *alterDef) {
	switch {
	case p.cur().is("PARTITION") && (p.peek(1).is("(") || p.peek(1).is("PARTITIONS") || p.peek(1).is("IF") || p.peek(1).is("LOCAL") ||
		p.peek(1).is("NO_WRITE_TO_BINLOG")):
		p.pos = p.limit
		return
	case p.accept("SYSTEM", "VERSIONING"):
		def.addVersioning = true
		return
	case p.accept("COLUMN"):
	default:
		if ix, ok := p.constraint(); ok {
			if ix != nil {
				def.addIndexes = append(def.addIndexes, ix)
			}
			p.skipToComma()
			return
		}
	}
	ifNotExists := p.ifNotExists()
	if p.accept("(") {
		for !p.atEnd() {
			if ix, ok := p.constraint(); ok {
				if ix != nil {
					def.addIndexes = append(def.addIndexes, ix)
				}
				p.skipToComma()
			} else {
				def.addColumn(columnChange{def: p.columnDefinition(p.name()), ifNotExists: ifNotExists})
			}
			if !p.accept(",") {
				break
			}
		}
		p.expect(")")
		return
	}
	c := columnChange{def: p.columnDefinition(p.columnName()), ifNotExists: ifNotExists}
	c.place = p.place()
	def.addColumn(c)
}

// addColumn takes a column, and the indexes that its attributes make in their turn: the server names indexes in the order of the clauses. MariaDB makes them also
// of a column that is there already (IF NOT EXISTS).
func (def *alterDef) addColumn(c columnChange) {
	def.columns = append(def.columns, c)
	def.addIndexes = append(def.addIndexes, c.def.keys()...)
}

// place takes FIRST or AFTER column.
func (p *parser) place() place {
	switch {
	case p.accept("FIRST"):
		return place{first: true}
	case p.accept("AFTER"):
		return place{after: p.columnName()}
	}
	return place{}
}

// alterDrop takes what follows DROP.
func (p *parser) alterDrop(def *alterDef) {
	switch {
	case p.accept("PRIMARY", "KEY"):
		def.dropPrimary = true
	case p.accept("INDEX"), p.accept("KEY"), p.accept("CONSTRAINT"):
		// DROP CONSTRAINT may name a unique index, or "PRIMARY"; other constraints are no indexes and are not found.
		d := drop{ifExists: p.ifExists()}
		d.name = p.name()
		def.dropIndexes = append(def.dropIndexes, d)
	case p.accept("FOREIGN", "KEY"), p.cur().is("CHECK") && p.peek(1).kind != tokenEnd && p.accept("CHECK"), p.accept("PERIOD", "FOR"):
		p.ifExists()
		p.name()
	case p.accept("SYSTEM", "VERSIONING"):
		def.dropVersioning = true
	case p.cur().is("PARTITION") && p.peek(1).kind != tokenEnd && !p.peek(1).is(","):
		p.pos = p.limit
	default:
		p.accept("COLUMN")
		d := drop{ifExists: p.ifExists()}
		d.name = p.columnName()
		def.drops = append(def.drops, d)
		p.acceptAny("RESTRICT", "CASCADE")
	}
}

// alterColumn takes what follows ALTER: of a column; of an index or a constraint it passes.
func (p *parser) alterColumn(def *alterDef) {
	if p.cur().is("INDEX") || p.cur().is("KEY") || p.cur().is("CHECK") || p.cur().is("CONSTRAINT") {
		p.skipClause()
		return
	}
	p.accept("COLUMN")
	c := defaultChange{ifExists: p.ifExists()}
	c.column = p.columnName()
	switch {
	case p.accept("SET", "DEFAULT"):
		c.value = p.pos
		if !p.skipParens() {
			p.skipClause()
		}
	case p.accept("DROP", "DEFAULT"):
		c.drop = true
	case p.accept("SET", "INVISIBLE"):
		c.invisible = ptr(true)
	case p.accept("SET", "VISIBLE"):
		c.invisible = ptr(false)
	default:
		p.fail()
	}
	def.defaults = append(def.defaults, c)
}

// alterRename takes what follows RENAME.
func (p *parser) alterRename(def *alterDef, database string) {
	switch {
	case p.cur().is("COLUMN") && p.peek(1).kind != tokenEnd:
		p.advance()
		r := rename{ifExists: p.ifExists()}
		r.from = p.columnName()
		p.expect("TO")
		r.to = p.columnName()
		def.renames = append(def.renames, r)
	case (p.cur().is("INDEX") || p.cur().is("KEY")) && p.peek(1).kind != tokenEnd:
		p.advance()
		r := rename{ifExists: p.ifExists()}
		r.from = p.name()
		p.expect("TO")
		r.to = p.name()
		def.renameIndexes = append(def.renameIndexes, r)
	default:
		if p.acceptAny("TO", "AS") == "" {
			p.accept("=")
		}
		def.renameDB, def.renameTable = p.tableName(database)
	}
}
