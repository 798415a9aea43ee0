// Package ddl proves the model of tables that capturers keep: it runs random statements on real servers, follows them in the log, and compares the
// model with the server's own description after each statement.
//
//	generator ── statement ──> server ── log ──> schema.Catalog
//	    ^                        │                    │
//	    │                        └ information_schema ┴─ compared: name, order, type, signedness, nullability, default, character set, collation,
//	    └──── knows the tables through the catalog       keys, extra, generated, comment; and what SHOW CREATE TABLE says, read by our parser
//
// What the server refuses counts for nothing, but what it logs nevertheless (half of a CREATE OR REPLACE) is followed. The seed is 1, so that each run says
// the same; ROWMESH_TEST_SEED gives another, or a new one each time where it is "random". ROWMESH_TEST_STEPS says how many statements the server must take.
package ddl
