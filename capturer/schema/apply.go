package schema

import (
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

// Affects says quickly whether a statement may be one that shapes tables; false spares Apply. It never misses one. The default database does not matter.
func (c *Catalog) Affects(_, sql string) bool {
	// The first word decides. The tokenizer finds it behind comments, and in versioned ones (/*!40101 CREATE ...).
	z := tokenizer{dialect: dialect{flavor: c.options.Flavor, version: c.options.Version}, sql: sql}
	t := z.next()
	for t.is(";") {
		t = z.next()
	}
	for _, w := range []string{"CREATE", "ALTER", "DROP", "RENAME", "TRUNCATE", "SET"} {
		if t.is(w) {
			return true
		}
	}
	return false
}

// Mentions says whether a statement may shape a table: it is one of those that shape some, and has the table's name in it, or drops a database of the name of the
// table's. current is the session's default database, the only one whose tables a statement names alone. It never misses one, and may take another for one.
func (c *Catalog) Mentions(sql string, o ApplyOptions, current, database, table string) bool {
	if !c.Affects(database, sql) {
		return false
	}
	drops, dotted, qualified := false, false, false // qualified: the token stands behind database and a dot
	for _, t := range tokenize(dialect{c.options.Flavor, c.options.Version, o}, sql) {
		name := t.kind == tokenWord || t.kind == tokenQuoted || t.kind == tokenString
		switch {
		case t.is("DATABASE"), t.is("SCHEMA"):
			drops = true
		case !name:
		case fold(t.text) == fold(table) && (qualified && dotted || fold(current) == fold(database)):
			return true
		case drops && fold(t.text) == fold(database):
			return true
		}
		dotted = t.is(".")
		if !dotted {
			qualified = name && fold(t.text) == fold(database)
		}
	}
	return false
}

// Administers says of a statement that it is one of those that shape nothing and are yet told to whoever wants all DDL, as Debezium does: its parser
// knows views, routines, triggers and table maintenance, and passes over them; what else the log holds it takes for a change that it has no model of.
func Administers(sql string) bool {
	z := tokenizer{sql: sql}
	t := z.next()
	for t.is(";") {
		t = z.next()
	}
	for _, w := range []string{"FLUSH", "GRANT", "REVOKE"} {
		if t.is(w) {
			return true
		}
	}
	if !t.is("CREATE") && !t.is("ALTER") && !t.is("DROP") {
		return false
	}
	// CREATE DEFINER=`u`@`h` EVENT: the object is the first word that is one.
	for range 16 {
		t = z.next()
		for _, w := range []string{"TABLE", "DATABASE", "SCHEMA", "INDEX", "VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "SEQUENCE", "PACKAGE"} {
			if t.is(w) {
				return false
			}
		}
		for _, w := range []string{"EVENT", "USER", "ROLE", "SERVER"} {
			if t.is(w) {
				return true
			}
		}
	}
	return false
}

// edit is a catalog while a statement is applied to it: what it changes is on top, and goes into the catalog if all goes well.
type edit struct {
	*parser
	catalog   *Catalog
	defaultDB string
	tables    map[tableID]*rowv1.Table // nil: gone
	databases map[string]*database     // nil: gone
	sequences map[tableID]bool         // false: gone
	changes   []Change
	// at is the token index at which the statement begins.
	at int
	// database and table name what the statement is about, for errors.
	database, table string
}

// Apply moves the catalog over the statements in sql, which a session with defaultDB as its database ran. Statements that shape no table give no change.
//
// A statement about a table that is not understood gives an *UnknownError; the catalog is unchanged then, and the changes are nil.
func (c *Catalog) Apply(defaultDB, sql string, o ApplyOptions) ([]Change, error) {
	if !c.Affects(defaultDB, sql) {
		return nil, nil
	}
	e := &edit{parser: newParser(dialect{c.options.Flavor, c.options.Version, o}, sql), catalog: c, defaultDB: defaultDB,
		tables: map[tableID]*rowv1.Table{}, databases: map[string]*database{}, sequences: map[tableID]bool{}}
	for more := true; more; more = e.nextStatement() {
		e.at, e.database, e.table = e.pos, defaultDB, ""
		reason := e.statement()
		if e.failed || reason != "" {
			return nil, e.unknown(reason)
		}
	}
	e.commit()
	return e.changes, nil
}

// ParseCreate reads the text of SHOW CREATE TABLE. database is where it stands; its character set is only needed where the text names none, which
// servers never leave out.
func ParseCreate(o Options, database, sql string) (*rowv1.Table, error) {
	c := NewCatalog(o)
	changes, err := c.Apply(database, sql, ApplyOptions{})
	if err != nil {
		return nil, err
	}
	if len(changes) != 1 || changes[0].Type != CreateTable {
		return nil, &UnknownError{Database: database, Statement: clip(sql, statementBytes), Near: clip(sql, nearBytes), Reason: "no CREATE TABLE"}
	}
	return changes[0].After, nil
}

func (e *edit) unknown(reason string) error {
	near := e.near
	if reason == "" {
		reason = "not understood"
	}
	if near == "" {
		e.pos = e.at
		e.fail()
		near = e.near
	}
	return &UnknownError{Database: e.database, Table: e.table, Statement: clip(e.sql, statementBytes), Near: near, Reason: reason}
}

// commit puts the edit into the catalog.
func (e *edit) commit() {
	for id, t := range e.tables {
		if t == nil {
			delete(e.catalog.tables, id)
		} else {
			e.catalog.tables[id] = t
		}
	}
	for id, there := range e.sequences {
		if there {
			e.catalog.sequences[id] = true
		} else {
			delete(e.catalog.sequences, id)
		}
	}
	for name, d := range e.databases {
		if d == nil {
			delete(e.catalog.databases, name)
		} else {
			e.catalog.databases[name] = *d
		}
	}
}

// lookup returns a table as it is by now, or nil.
func (e *edit) lookup(id tableID) *rowv1.Table {
	if t, ok := e.tables[id]; ok {
		return t
	}
	return e.catalog.tables[id]
}

// isSequence says whether a name is a sequence by now.
func (e *edit) isSequence(id tableID) bool {
	if there, ok := e.sequences[id]; ok {
		return there
	}
	return e.catalog.sequences[id]
}

// base returns the default character set of a database as it is by now.
func (e *edit) base(name string) charset {
	if d, ok := e.databases[e.catalog.nameKey(name)]; ok && d != nil {
		return d.charset
	}
	return e.catalog.baseCharset(name)
}

// put stores a version and notes the change.
func (e *edit) put(ch Change) {
	if ch.After != nil {
		id := e.catalog.id(ch.After.Database, ch.After.Table)
		e.tables[id], e.sequences[id] = ch.After, false
	}
	if ch.Statement == "" {
		ch.Statement = e.textOf(e.at, e.limit)
	}
	e.changes = append(e.changes, ch)
}

// remove takes a table out and marks earlier changes of the same statement that made it.
func (e *edit) remove(database, table string) {
	id := e.catalog.id(database, table)
	e.tables[id], e.sequences[id] = nil, false
	for i := range e.changes {
		if ch := &e.changes[i]; ch.After != nil && e.catalog.id(ch.Database, ch.Table) == id {
			ch.Passing = true
		}
	}
}

// target takes the name of the table that the statement is about; one that is known is named as it was created.
func (e *edit) target() (database, table string) {
	database, table = e.tableName(e.defaultDB)
	database, table = e.catalog.storedName(database), e.catalog.storedName(table)
	if v := e.lookup(e.catalog.id(database, table)); v != nil {
		database, table = v.Database, v.Table
	}
	e.database, e.table = database, table
	return database, table
}

// statement applies one statement. A reason says why it cannot; the parser's failure says where it does not understand.
func (e *edit) statement() (reason string) {
	if e.accept("SET", "STATEMENT") {
		// MariaDB: SET STATEMENT variable=value, ... FOR statement.
		for !e.atEnd() && !e.cur().is("FOR") {
			if !e.skipParens() {
				e.advance()
			}
		}
		e.accept("FOR")
	}
	replaces := e.cur().is("CREATE") && e.peek(1).is("OR") && e.peek(3).is("TABLE")
	if e.Failed && !replaces && !(e.cur().is("DROP") && e.peek(1).is("TABLE")) {
		e.pass()
		return ""
	}
	switch {
	case e.accept("CREATE"):
		return e.create()
	case e.accept("ALTER"):
		return e.alter()
	case e.accept("DROP"):
		return e.drop()
	case e.accept("RENAME", "TABLE"), e.accept("RENAME", "TABLES"):
		e.rename()
	case e.accept("TRUNCATE"):
		e.accept("TABLE")
		database, table := e.target()
		e.put(Change{Type: TruncateTable, Database: database, Table: table, After: e.lookup(e.catalog.id(database, table))})
	default:
		e.pass()
	}
	return ""
}

// pass leaves a statement, and all that follow it, alone: routines hold statements of their own.
func (e *edit) pass() {
	e.pos = len(e.tokens) - 1
	e.limit = e.pos
}
