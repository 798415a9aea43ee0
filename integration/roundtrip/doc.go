// Package roundtrip proves that values arrive as they are stored: random tables with random rows go through a whole mesh, and each value of each event is
// compared with what the server selects, and with what go-mysql's decoder makes of the same bytes of the log.
//
// # What is random
//
// A table is made from a column grammar: every type of the server in every length, precision and character set, NULL or NOT NULL, with and without a default,
// generated and invisible columns, members with odd characters, and a key of one column, of several, or none. Its values are boundaries and random ones.
// Tables are spread over connectors, one for each set of conversion modes (decimal.handling.mode, time.precision.mode, ...). Most tables have rows before the
// connector comes to be, the others are made while it streams, so that their definitions are read from the log.
//
// # What is compared
//
//	rows for the snapshot ── SELECT ──> "r" events
//	inserts               ── SELECT ──> "c" events ── go-mysql's rows
//	updates               ── SELECT ──> "u" events, or delete and create where the key changes
//	partial JSON updates  ── SELECT ──> "u" events
//	deletes                         ──> "d" events and tombstones
//
// An event is read as a consumer does who knows nothing but its Connect schema; the text that comes out is compared with the text of the column. Between two
// selects each row changes at most once, and a column of the table counts the changes, so that it is known for each event what it must hold.
//
// The seed is printed; ROWMESH_TEST_SEED=n sets another one, ROWMESH_TEST_TABLES=n how many tables a server gets.
package roundtrip
