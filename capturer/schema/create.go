package schema

// indexDef is an index as a statement defines it. Column definitions with PRIMARY KEY or UNIQUE make one too.
type indexDef struct {
	name        string // empty: the server makes one
	columns     []string
	whole       []string // those without a length
	unique      bool
	primary     bool
	functional  bool
	prefix      bool
	hash        bool // USING HASH
	ifNotExists bool
}

// createDef is a CREATE TABLE statement.
type createDef struct {
	columns []*columnDef
	indexes []*indexDef
	options tableOptions
	// likeDB and likeTable name the model of CREATE TABLE ... LIKE; likeTable is empty without.
	likeDB, likeTable string
	// query: there is a SELECT, whose columns the statement does not say.
	query bool
}

// tableOptions are the options that shape a table or belong to its description.
type tableOptions struct {
	charset    charset
	comment    *string
	versioning bool
	sequence   bool // SEQUENCE=1: what CREATE SEQUENCE makes (MariaDB)
}

// createTable takes what follows the table's name.
func (p *parser) createTable(defaultDB string) *createDef {
	def := &createDef{}
	switch {
	case p.accept("LIKE"):
		def.likeDB, def.likeTable = p.tableName(defaultDB)
		return def
	case p.accept("(", "LIKE"):
		def.likeDB, def.likeTable = p.tableName(defaultDB)
		p.expect(")")
		return def
	case p.cur().is("(") && !p.peek(1).is("SELECT") && !p.peek(1).is("WITH") && !p.peek(1).is("("):
		p.advance()
		for !p.atEnd() {
			p.createElement(def)
			if !p.accept(",") {
				break
			}
		}
		p.expect(")")
	}
	p.tableOptions(def)
	return def
}

// createElement takes a column, an index or a constraint.
func (p *parser) createElement(def *createDef) {
	if ix, ok := p.constraint(); ok {
		if ix != nil {
			def.indexes = append(def.indexes, ix)
		}
		p.skipToComma()
		return
	}
	d := p.columnDefinition(p.columnName())
	def.columns = append(def.columns, d)
	def.indexes = append(def.indexes, d.keys()...)
}

// keys returns the indexes that the column's own attributes make.
func (d *columnDef) keys() []*indexDef {
	var out []*indexDef
	if d.primary {
		out = append(out, &indexDef{columns: []string{d.column.Name}, whole: []string{d.column.Name}, primary: true, unique: true})
	}
	if d.unique {
		out = append(out, &indexDef{columns: []string{d.column.Name}, whole: []string{d.column.Name}, unique: true})
	}
	return out
}

// constraint takes an index, a constraint or a period if one comes next: ok says so, the index is nil where there is none to speak of.
func (p *parser) constraint() (ix *indexDef, ok bool) {
	symbol := ""
	if p.accept("CONSTRAINT") {
		ok = true
		if !p.cur().is("PRIMARY") && !p.cur().is("UNIQUE") && !p.cur().is("FOREIGN") && !p.cur().is("CHECK") {
			p.ifNotExists()
			symbol = p.name()
		}
	}
	switch {
	case p.accept("PRIMARY", "KEY"):
		ix = p.index("")
		ix.primary, ix.unique = true, true
	case p.accept("UNIQUE"):
		p.acceptAny("INDEX", "KEY")
		ix = p.index(symbol)
		ix.unique = true
	case p.accept("FULLTEXT"), p.accept("SPATIAL"), p.cur().is("VECTOR") && (p.peek(1).is("KEY") || p.peek(1).is("INDEX")) && p.accept("VECTOR"):
		p.acceptAny("INDEX", "KEY")
		ix = p.index("")
	case p.accept("INDEX"), p.accept("KEY"):
		ix = p.index("")
	case p.accept("FOREIGN", "KEY"), p.accept("PERIOD", "FOR"):
		p.skipToComma()
	case p.accept("CHECK"):
		p.skipParens()
	default:
		return nil, ok
	}
	return ix, true
}

// index takes [IF NOT EXISTS] [name] [USING method] (part, ...).
func (p *parser) index(symbol string) *indexDef {
	ix := &indexDef{name: symbol}
	ix.ifNotExists = p.ifNotExists()
	if p.isName() && !p.indexMethod() {
		ix.name = p.advance().text
	}
	p.indexUsing(ix)
	p.indexParts(ix)
	p.indexUsing(ix)
	return ix
}

// indexUsing takes USING method.
func (p *parser) indexUsing(ix *indexDef) {
	if p.indexMethod() {
		p.advance()
		ix.hash = p.advance().is("HASH")
	}
}

// indexMethod says whether USING or TYPE with a method comes next, and not an index of that name.
func (p *parser) indexMethod() bool {
	return (p.cur().is("USING") || p.cur().is("TYPE")) && p.peek(1).kind == tokenWord
}

// indexParts takes the parenthesized parts.
func (p *parser) indexParts(ix *indexDef) {
	p.expect("(")
	for !p.atEnd() {
		if p.cur().is("(") {
			ix.functional = true
			p.skipParens()
		} else {
			name := p.columnName()
			ix.columns = append(ix.columns, name)
			if p.cur().is("(") {
				ix.prefix = true
				p.skipParens()
			} else {
				ix.whole = append(ix.whole, name)
			}
			if p.accept("WITHOUT", "OVERLAPS") {
				// The part is a period, and rows with equal columns may differ in it.
				ix.functional = true
			}
		}
		p.acceptAny("ASC", "DESC")
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	if ix.functional {
		ix.columns = nil
	}
}

// tableOptions takes everything behind the columns: options, partitions, a query.
func (p *parser) tableOptions(def *createDef) {
	for !p.atEnd() {
		switch {
		case p.tableOption(&def.options):
		case p.cur().is("SELECT"), p.cur().is("AS"), p.cur().is("IGNORE"), p.cur().is("REPLACE"), p.cur().is("WITH"), p.cur().is("VALUES"),
			p.cur().is("TABLE"), p.cur().is("(") && (p.peek(1).is("SELECT") || p.peek(1).is("WITH")):
			def.query = true
			p.pos = p.limit
		case p.accept("PARTITION", "BY"):
			for !p.atEnd() && !p.cur().is("SELECT") && !p.cur().is("AS") && !p.cur().is("IGNORE") && !p.cur().is("REPLACE") {
				if !p.skipParens() {
					p.advance()
				}
			}
		case p.skipParens():
		default:
			p.advance()
		}
	}
}

// tableOption takes an option that matters here, or one whose value could be taken for something else.
func (p *parser) tableOption(o *tableOptions) bool {
	switch {
	case p.charsetClause(&o.charset):
	case p.accept("COMMENT"):
		p.accept("=")
		if _, raw, ok := p.stringText(); ok {
			o.comment = &raw
		}
	case p.accept("WITH", "SYSTEM", "VERSIONING"):
		o.versioning = true
	case p.accept("SEQUENCE"):
		p.accept("=")
		o.sequence = p.advance().text != "0"
	case p.peek(1).is("=") && p.cur().kind == tokenWord:
		p.pos += 2
		if !p.skipParens() {
			p.advance()
		}
	default:
		return false
	}
	return true
}

// build makes the table that a definition describes. It fails where no server would have made it.
func (def *createDef) build(t *table, base charset, opts ApplyOptions) error {
	t.charset = def.options.charset.orElse(base)
	t.comment = def.options.comment
	for _, d := range def.columns {
		d.resolve(t.charset, t.flavor, opts)
		t.columns = append(t.columns, d.column)
	}
	if opts.ImplicitTimestamp {
		t.implicitTimestamps()
	}
	if def.systemPeriod() {
		t.addSystemPeriod()
	}
	if err := t.check(); err != nil {
		return err
	}
	for _, ix := range def.indexes {
		if err := t.addIndex(ix); err != nil {
			return err
		}
	}
	t.finish(nil, 0, opts)
	return nil
}

// systemPeriod says whether the rows hold a row start and end that no column names: the table, or a column of it, is WITH SYSTEM VERSIONING.
func (def *createDef) systemPeriod() bool {
	versioned := def.options.versioning
	for _, d := range def.columns {
		if d.rowStart || d.rowEnd {
			return false
		}
		versioned = versioned || d.versioned
	}
	return versioned
}
