// Package convert turns packed rows into the bytes that Debezium's connectors write through Kafka's JsonConverter: keys, envelopes, tombstones, key
// changes, truncates, schema change events, transaction metadata and heartbeats, with schemas or without.
//
// # Flow
//
//	AddTable(schema) ── compiles a plan per table version
//	Batch(batch)     ── group: source block once ── row: row number and images ──> Output{Arena, Records}
//	Ddl(statement)   ── schema change events, truncates ──────────────────────────> Output
//
// A plan holds all that does not depend on the row: escaped field names, the rendered schemas, what NULL prints per column. A group renders the
// source block and the times once. What remains per row is splitting the image, the values, and the row number; nothing is allocated. All bytes of
// a batch lie in one arena, key before value, and a record is offsets into it.
//
// # Whose spelling
//
// Debezium 3.6 is followed byte for byte, also where the snapshot and the log spell one value differently (fractions of TIMESTAMP). Values are the
// database's: where Debezium writes something that the table does not hold, this package does not. The differences are:
//
//   - YEAR 0 is 0 (Debezium: 1900 or 2000). FLOAT has all its digits in snapshots too.
//   - A BIT key has its bytes in one order (Debezium's snapshots reverse them), BINARY(0) none (Debezium's MySQL connector: ten zero bytes).
//   - Members of ENUM and SET come as they are defined (Debezium escapes commas and backslashes in rows of the log, and loses emoji).
//   - A NULL in a nullable column whose default is CURRENT_TIMESTAMP is null (Debezium: the default, 0). The schema keeps the default.
//   - Defaults of binary columns have all their bytes. (Those of text keep the escapes of the statement that defined them, as Debezium's do.)
//   - DATETIME outside of 1677..2262 is a conversion error in time.precision.mode=nanoseconds for both flavours (MariaDB's connector wraps).
//
// # Partial images
//
// Debezium refuses rows of binlog_row_image=MINIMAL and NOBLOB. Here: an absent column of an update's after image has the value of the before image.
// An absent column of an insert has the column's default, which is what the server stored. Elsewhere an absent column is the
// unavailable.value.placeholder where the type is text, JSON or bytes (NOBLOB lacks no others). Where another type is absent (MINIMAL), an update
// has before null, as Debezium writes it for sources that do not log it, and the field is null in deletes and key changes: null even in required
// fields, because any number would be a lie. Options.Complete may give images behind inserts and updates what they lack before all this (post.processors).
//
// # What it does not do
//
// No I/O but what Options.Complete does, no clock of its own, no goroutine. An Encoder belongs to one goroutine. Partitions of records without a key are the caller's choice.
package convert
