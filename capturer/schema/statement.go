package schema

// create takes what follows CREATE.
func (e *edit) create() string {
	replace := e.accept("OR", "REPLACE")
	switch {
	case e.accept("TEMPORARY"):
		e.pass()
	case e.accept("TABLE"):
		return e.createTableStatement(replace)
	case e.accept("SEQUENCE"):
		e.createSequence(replace)
	case e.accept("DATABASE"), e.accept("SCHEMA"):
		e.createDatabase(replace)
	default:
		unique := false
		for {
			switch e.acceptAny("ONLINE", "OFFLINE", "UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR") {
			case "UNIQUE":
				unique = true
				continue
			case "":
			default:
				continue
			}
			break
		}
		if e.accept("INDEX") {
			return e.createIndex(unique)
		}
		e.pass()
	}
	return ""
}

func (e *edit) createTableStatement(replace bool) string {
	ifNotExists := e.ifNotExists()
	database, name := e.target()
	id := e.catalog.id(database, name)
	if e.Failed && !e.failed {
		if e.lookup(id) != nil {
			e.dropTable(database, name, "")
		}
		return ""
	}
	def := e.createTable(e.defaultDB)
	if e.failed {
		return ""
	}
	if ifNotExists && !replace && e.lookup(id) != nil {
		return ""
	}
	t := &table{flavor: e.flavor, database: database, name: name}
	switch {
	case def.likeTable != "":
		like := e.catalog.id(def.likeDB, def.likeTable)
		if e.isSequence(like) {
			e.sequences[id] = true
			return ""
		}
		model := e.lookup(like)
		if model == nil {
			return "the table that it is like is not known"
		}
		t = open(model, e.flavor)
		t.database, t.name = database, name
		t.remade()
	case def.options.sequence:
		e.sequences[id] = true
		return ""
	case def.query:
		return "the statement does not say the columns of its query"
	case len(def.columns) == 0:
		e.fail()
		return "no columns"
	default:
		if err := def.build(t, e.base(database), e.ApplyOptions); err != nil {
			return err.Error()
		}
	}
	e.put(Change{Type: CreateTable, Database: database, Table: name, After: t.seal()})
	return ""
}

// createSequence takes what follows CREATE SEQUENCE. A sequence may replace a table.
func (e *edit) createSequence(replace bool) {
	ifNotExists := e.ifNotExists()
	database, name := e.target()
	id := e.catalog.id(database, name)
	if e.failed || e.Failed || ifNotExists && e.lookup(id) != nil {
		return
	}
	if replace && e.lookup(id) != nil {
		e.dropTable(database, name, "")
	}
	e.sequences[id] = true
}

func (e *edit) createDatabase(replace bool) {
	ifNotExists := e.ifNotExists()
	name := e.catalog.storedName(e.name())
	key := e.catalog.nameKey(name)
	server := charset{e.Charset, e.Collation}.orElse(e.catalog.server)
	if _, known := e.catalog.databases[key]; !known || !ifNotExists || replace {
		e.databases[key] = &database{name, e.databaseOptions().orElse(server)}
	}
	if replace {
		e.dropTables(name)
	}
	e.put(Change{Type: CreateDatabase, Database: name})
}

// databaseOptions takes the options of CREATE and ALTER DATABASE.
func (e *edit) databaseOptions() charset {
	var cs charset
	for !e.atEnd() {
		if !e.charsetClause(&cs) {
			e.advance()
		}
	}
	return cs
}

// alter takes what follows ALTER.
func (e *edit) alter() string {
	for e.acceptAny("ONLINE", "OFFLINE", "IGNORE") != "" {
	}
	switch {
	case e.accept("TABLE"):
		return e.alterTableStatement()
	case e.accept("DATABASE"), e.accept("SCHEMA"):
		name := e.defaultDB
		if !e.charsetAhead() && !e.cur().is("READ") && !e.cur().is("ENCRYPTION") && !e.cur().is("COMMENT") && !e.cur().is("UPGRADE") {
			name = e.name()
		}
		name = e.catalog.storedName(name)
		if cs := e.databaseOptions(); cs != (charset{}) {
			e.databases[e.catalog.nameKey(name)] = &database{name, cs.orElse(e.base(name))}
		}
		e.put(Change{Type: AlterDatabase, Database: name})
	default:
		e.pass()
	}
	return ""
}

func (e *edit) alterTableStatement() string {
	ifExists := e.ifExists()
	db, name := e.target()
	def := e.alterTable(e.defaultDB)
	if e.failed {
		return ""
	}
	id := e.catalog.id(db, name)
	v := e.lookup(id)
	switch {
	case v == nil && e.isSequence(id):
		if def.renameTable != "" {
			e.renameSequence(id, e.catalog.id(def.renameDB, def.renameTable))
		}
		return ""
	case v == nil && ifExists:
		return ""
	case v == nil:
		return "the table is not known"
	}
	t := open(v, e.flavor)
	if err := def.apply(t, e.parser, e.base(db)); err != nil {
		return err.Error()
	}
	if e.failed {
		return ""
	}
	ch := Change{Type: AlterTable, Database: db, Table: name}
	if def.renameTable != "" {
		ch.PreviousDatabase, ch.PreviousTable = db, name
		ch.Database, ch.Table = e.catalog.storedName(def.renameDB), e.catalog.storedName(def.renameTable)
		t.database, t.name = ch.Database, ch.Table
		e.remove(db, name)
	}
	ch.After = t.seal()
	e.put(ch)
	if def.partitionToTable != "" {
		part := open(v, e.flavor)
		part.database, part.name = e.catalog.storedName(def.partitionToDB), e.catalog.storedName(def.partitionToTable)
		e.put(Change{Type: CreateTable, Database: part.database, Table: part.name, After: part.seal()})
	}
	if def.partitionFromTable != "" {
		e.dropTable(e.catalog.storedName(def.partitionFromDB), e.catalog.storedName(def.partitionFromTable), "")
	}
	return ""
}

// drop takes what follows DROP.
func (e *edit) drop() string {
	switch {
	case e.accept("TABLE"), e.accept("TABLES"):
		e.dropTableStatement()
	case e.accept("SEQUENCE"):
		e.dropSequences()
	case e.accept("DATABASE"), e.accept("SCHEMA"):
		e.ifExists()
		name := e.catalog.storedName(e.name())
		e.dropTables(name)
		e.databases[e.catalog.nameKey(name)] = nil
		e.put(Change{Type: DropDatabase, Database: name})
	default:
		for e.acceptAny("ONLINE", "OFFLINE") != "" {
		}
		if e.accept("INDEX") {
			return e.dropIndex()
		}
		e.pass()
	}
	return ""
}

// dropTableStatement takes the list of DROP TABLE. The text of each change is the statement with one table, as Debezium writes it.
func (e *edit) dropTableStatement() {
	e.ifExists()
	head := e.sql[e.tokens[e.at].start:min(e.tokens[e.pos].start, len(e.sql))]
	type name struct{ database, table string }
	var names []name
	for !e.atEnd() {
		db, table := e.target()
		names = append(names, name{db, table})
		if !e.accept(",") {
			break
		}
	}
	tail := ""
	if w := e.cur(); w.is("RESTRICT") || w.is("CASCADE") {
		tail = " " + w.text
	}
	if e.failed {
		return
	}
	for _, n := range names {
		e.dropTable(n.database, n.table, head+"`"+n.database+"`.`"+n.table+"`"+tail)
	}
}

// dropSequences takes the list of DROP SEQUENCE.
func (e *edit) dropSequences() {
	e.ifExists()
	for !e.atEnd() {
		e.sequences[e.catalog.id(e.target())] = false
		if !e.accept(",") {
			break
		}
	}
}

func (e *edit) dropTable(db, table, statement string) {
	e.remove(db, table)
	e.put(Change{Type: DropTable, Database: db, Table: table, Statement: statement})
}

// dropTables takes all tables of a database out.
func (e *edit) dropTables(name string) {
	key := e.catalog.nameKey(name)
	for id := range e.catalog.tables {
		if id.database == key {
			e.tables[id] = nil
		}
	}
	for id := range e.tables {
		if id.database == key {
			e.tables[id] = nil
		}
	}
	for id := range e.catalog.sequences {
		if id.database == key {
			e.sequences[id] = false
		}
	}
}

// renameSequence gives a sequence another name.
func (e *edit) renameSequence(from, to tableID) { e.sequences[from], e.sequences[to] = false, true }

// rename takes the list of RENAME TABLE; the clauses are done from left to right.
func (e *edit) rename() {
	e.ifExists()
	head := e.sql[e.tokens[e.at].start:min(e.tokens[e.pos].start, len(e.sql))]
	for !e.atEnd() {
		from := e.pos
		oldDB, oldTable := e.target()
		for e.acceptAny("NOWAIT") != "" || e.accept("WAIT") && e.advance() != nil {
		}
		e.expect("TO")
		db, table := e.tableName(e.defaultDB)
		if e.failed {
			return
		}
		db, table = e.catalog.storedName(db), e.catalog.storedName(table)
		ch := Change{Type: AlterTable, Database: db, Table: table, PreviousDatabase: oldDB, PreviousTable: oldTable,
			Statement: head + e.textOf(from, e.pos)}
		id := e.catalog.id(oldDB, oldTable)
		v, sequence := e.lookup(id), e.isSequence(id)
		e.remove(oldDB, oldTable)
		if sequence {
			e.renameSequence(id, e.catalog.id(db, table))
			if !e.accept(",") {
				break
			}
			continue
		}
		if v != nil {
			t := open(v, e.flavor)
			t.database, t.name = db, table
			ch.After = t.seal()
		} else {
			e.remove(db, table)
		}
		e.put(ch)
		if !e.accept(",") {
			break
		}
	}
}

// createIndex takes what follows CREATE ... INDEX.
func (e *edit) createIndex(unique bool) string {
	ix := &indexDef{unique: unique}
	ix.ifNotExists = e.ifNotExists()
	if !e.cur().is("ON") {
		ix.name = e.name()
	}
	e.indexUsing(ix)
	e.expect("ON")
	database, name := e.target()
	e.indexParts(ix)
	e.indexUsing(ix)
	return e.changeIndexes(database, name, &alterDef{addIndexes: []*indexDef{ix}})
}

// dropIndex takes what follows DROP INDEX.
func (e *edit) dropIndex() string {
	e.ifExists()
	ix := e.name()
	e.expect("ON")
	database, name := e.target()
	return e.changeIndexes(database, name, &alterDef{dropIndexes: []drop{{name: ix}}})
}

// changeIndexes changes the indexes of a table. One that is not known has no key that could change.
func (e *edit) changeIndexes(database, name string, def *alterDef) string {
	v := e.lookup(e.catalog.id(database, name))
	if e.failed || v == nil {
		return ""
	}
	t := open(v, e.flavor)
	if err := def.apply(t, e.parser, e.base(database)); err != nil {
		return err.Error()
	}
	e.put(Change{Type: IndexTable, Database: database, Table: name, After: t.seal()})
	return ""
}
