package schema

import (
	"maps"
	"slices"
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"

	"github.com/rowmesh/rowmesh/services/config"
)

// Options are what a server is.
type Options struct {
	// Flavor is the server's family.
	Flavor config.Flavor
	// Version is the server's version as versioned comments spell it: 80036 for 8.0.36, 110809 for 11.8.9. 0 is newer than all.
	Version int
	// LowerCaseNames is lower_case_table_names: 0 names are as written and case matters, 1 they are lower case, 2 as written and case does not matter.
	LowerCaseNames int
	// ServerCharset and ServerCollation are character_set_server and collation_server; empty for the default of the version.
	ServerCharset, ServerCollation string
}

// ApplyOptions are the settings of the session that ran a statement, as its log event has them.
type ApplyOptions struct {
	// AnsiQuotes: "x" is a name (sql_mode).
	AnsiQuotes bool
	// NoBackslashEscapes: a backslash in a string is one (sql_mode).
	NoBackslashEscapes bool
	// RealAsFloat: REAL is FLOAT (sql_mode).
	RealAsFloat bool
	// ImplicitTimestamp: explicit_defaults_for_timestamp is off, as it was by default before MySQL 8.0 and MariaDB 10.10.
	ImplicitTimestamp bool
	// Failed: the event has an error code. The log holds failed statements for what they did before: CREATE OR REPLACE has dropped the old table.
	Failed bool
	// Charset and Collation are character_set_server and collation_server of the session, which CREATE DATABASE falls back on; empty for the
	// server's.
	Charset, Collation string
}

// ChangeType says what happened.
type ChangeType uint8

// Change types.
const (
	// CreateTable: also CREATE OR REPLACE, and LIKE.
	CreateTable ChangeType = iota + 1
	// AlterTable: also RENAME TABLE.
	AlterTable
	// DropTable: After is nil.
	DropTable
	// TruncateTable: all rows are gone, without row events.
	TruncateTable
	// IndexTable: CREATE INDEX and DROP INDEX.
	IndexTable
	// CreateDatabase: Table is empty, as in the two below.
	CreateDatabase
	// AlterDatabase changes the defaults of later tables.
	AlterDatabase
	// DropDatabase: all its tables are gone.
	DropDatabase
)

// String returns the name: "CREATE", "ALTER", "DROP" as schema-change events spell them, "TRUNCATE", "INDEX", "CREATE DATABASE", ...
func (c ChangeType) String() string {
	names := [...]string{"", "CREATE", "ALTER", "DROP", "TRUNCATE", "INDEX", "CREATE DATABASE", "ALTER DATABASE", "DROP DATABASE"}
	if int(c) < len(names) {
		return names[c]
	}
	return ""
}

// Change is what a statement, or a part of it, did to one table or database.
type Change struct {
	Type ChangeType
	// Database and Table name the table as it is called afterwards.
	Database, Table string
	// PreviousDatabase and PreviousTable name it as it was called before; empty unless it was renamed.
	PreviousDatabase, PreviousTable string
	// After is the table afterwards, to be shared and not changed. It is nil for a table that is gone, and for one that was renamed and is not known
	// under its old name: its rows cannot be read until it is.
	After *rowv1.Table
	// Passing: a later part of the same statement renamed or dropped the table again.
	Passing bool
	// Statement is the text of this change: of several tables in a DROP or RENAME only this one's.
	Statement string
}

// tableID names a table the way names are compared on the server.
type tableID struct{ database, table string }

// Catalog holds all tables of a server at one place of its log. Statements move it. It is not safe for concurrent use; the tables it hands out are
// not changed any more.
type Catalog struct {
	options   Options
	server    charset
	tables    map[tableID]*rowv1.Table
	databases map[string]database
	sequences map[tableID]bool
}

type database struct {
	name    string
	charset charset
}

// NewCatalog returns an empty catalog.
func NewCatalog(o Options) *Catalog {
	c := &Catalog{options: o, tables: map[tableID]*rowv1.Table{}, databases: map[string]database{},
		sequences: map[tableID]bool{}}
	c.server = charset{o.ServerCharset, o.ServerCollation}.orElse(serverDefault(o.Flavor, o.Version))
	return c
}

// Options returns what the catalog was made with.
func (c *Catalog) Options() Options { return c.options }

// Clone returns an independent catalog.
func (c *Catalog) Clone() *Catalog {
	return &Catalog{options: c.options, server: c.server, tables: maps.Clone(c.tables), databases: maps.Clone(c.databases),
		sequences: maps.Clone(c.sequences)}
}

// nameKey is a database or table name as the server compares it.
func (c *Catalog) nameKey(name string) string {
	if c.options.LowerCaseNames != 0 {
		return strings.ToLower(name)
	}
	return name
}

// storedName is a name as the server keeps it.
func (c *Catalog) storedName(name string) string {
	if c.options.LowerCaseNames == 1 {
		return strings.ToLower(name)
	}
	return name
}

func (c *Catalog) id(database, table string) tableID {
	return tableID{c.nameKey(database), c.nameKey(table)}
}

// Table returns a table, or nil. It is shared: do not change it.
func (c *Catalog) Table(database, table string) *rowv1.Table { return c.tables[c.id(database, table)] }

// SetTable puts a table in, as read from the server or a store. The catalog keeps it: do not change it afterwards.
func (c *Catalog) SetTable(t *rowv1.Table) { c.tables[c.id(t.Database, t.Table)] = t }

// DropTable takes a table out.
func (c *Catalog) DropTable(database, table string) { delete(c.tables, c.id(database, table)) }

// IsSequence says whether a name is a sequence (MariaDB). Sequences have row events like tables, which are of no interest.
func (c *Catalog) IsSequence(database, name string) bool { return c.sequences[c.id(database, name)] }

// SetSequence tells that a name is a sequence.
func (c *Catalog) SetSequence(database, name string) { c.sequences[c.id(database, name)] = true }

// Tables calls f for each table, in no order, until it returns false.
func (c *Catalog) Tables(f func(*rowv1.Table) bool) {
	for _, t := range c.tables {
		if !f(t) {
			return
		}
	}
}

// SetDatabase tells the default character set and collation of a database.
func (c *Catalog) SetDatabase(name, charsetName, collation string) {
	c.databases[c.nameKey(name)] = database{name, charset{charsetName, collation}.orElse(c.server)}
}

// DatabaseCharset returns the default character set and collation of a database; the server's for one that is not known.
func (c *Catalog) DatabaseCharset(name string) (charsetName, collation string) {
	cs := c.baseCharset(name)
	return cs.name, cs.collation
}

func (c *Catalog) baseCharset(name string) charset {
	if d, ok := c.databases[c.nameKey(name)]; ok {
		return d.charset
	}
	return c.server
}

// Databases returns the names of the databases that are known, sorted.
func (c *Catalog) Databases() []string {
	names := map[string]string{}
	for k, d := range c.databases {
		names[k] = d.name
	}
	for id, t := range c.tables {
		if _, ok := names[id.database]; !ok {
			names[id.database] = t.Database
		}
	}
	return slices.Sorted(maps.Values(names))
}

// Bits of sql_mode in the status variables of a query event (sql/sql_const.h, sql_class.h).
const (
	modeRealAsFloat        = 1 << 0
	modeANSIQuotes         = 1 << 2
	modeNoBackslashEscapes = 1 << 20
)

// SessionOptions are the settings that a query event's sql_mode and error code stand for.
func SessionOptions(sqlMode uint64, errorCode uint16) ApplyOptions {
	return ApplyOptions{RealAsFloat: sqlMode&modeRealAsFloat != 0, AnsiQuotes: sqlMode&modeANSIQuotes != 0,
		NoBackslashEscapes: sqlMode&modeNoBackslashEscapes != 0, Failed: errorCode != 0}
}
