// Package schema knows the tables of a server at every place of its log: it reads SHOW CREATE TABLE for the start, and moves over the DDL of the log.
//
// Rows in the log are read with the table as it was when they were written, never as it is today. Where the log describes its rows in full
// (binlog_row_metadata=FULL) that is taken from there; everywhere else, and for what the log never says (defaults, comments, keys other than primary
// ones, the text of types), a Catalog follows the statements:
//
//	SHOW CREATE TABLE ─> Catalog ─ CREATE, ALTER, RENAME, DROP, TRUNCATE TABLE, INDEX, DATABASE ─> Catalog ─> ...
//	                        └─ rowv1.Table for the rows in between
//
// The parser is permissive. The server has accepted the statement, so nothing is checked; options, attributes and clauses that do not shape a table are
// passed over without being known, and statements that shape none (views, routines, users, temporary tables) are not looked at. What does shape a
// table and is not understood is an UnknownError about that table: it stops, the others go on. The tokenizer knows the quoting of the
// session, and the versioned comments (/*!50100 ... */, /*M! ... */) that the server ran.
//
// Guarantees: Apply is total (no input panics), leaves the catalog as it was where it fails, and hands out tables that are never changed afterwards.
// What a table says is what Debezium's model of it says (type names, lengths, defaults as text, which columns count as generated), because its
// schema-change events are made from it; except where that model would be wrong about rows: default character sets of tables that were altered,
// CREATE OR REPLACE, CREATE IF NOT EXISTS ... LIKE, types that Debezium does not know.
//
// The package is pure: no I/O, no clock, no goroutine.
package schema
