// Package binlog reads the binary log of a MySQL or MariaDB server as a replica does: it asks for a dump from a position or a GTID set, turns the
// packets into logical events, and decodes row images straight into the packed form of services/row with a program compiled per table version.
//
// # Flow
//
//	Dial ── Stream.Next ──> Event ── Plan.Append ──> packed images
//
// Stream.Next is pulled by one goroutine, so back-pressure is the caller not calling: the socket fills and the server's dump thread waits. Nothing
// is copied on the way: an Event's bytes are views into the packet, valid until the following Next. The grammar of what Next returns:
//
//	log         = { transaction | statement | Rotate | Heartbeat }
//	transaction = Begin { Rows | Query } ( Commit | Rollback )
//	statement   = Query                      -- DDL and the like: a transaction of its own, complete with the event
//
// Rotate and Heartbeat never come inside a transaction. A Query with InTransaction is a statement in the log in the middle of a transaction: the
// CREATE TABLE of a CREATE TABLE ... SELECT, or DML of a session with binlog_format=STATEMENT.
//
// # What is guaranteed
//
//   - Positions are 64 bits wide although event headers hold 32: files may pass 4 GiB. Inside compressed transactions the positions are those of the
//     event that carries the transaction.
//   - Checksums are verified where the server writes them; a mismatch is errs.Corrupt with file and position.
//   - An event type that is not known and not marked as ignorable, an incident, or a cell that does not follow its type ends the stream with an error
//     that names the position. Nothing is skipped.
//   - Rows of an XA transaction come at XA COMMIT, with the GTID of the commit, and never after XA ROLLBACK. Small ones are held in between; large ones, and
//     those that were prepared before the stream began, are read from the log again.
//   - Rows of compressed transactions are decompressed as they are read; neither the payload nor the transaction is ever held in decompressed form.
//
// # What is not
//
// The stream does not reconnect, does not keep a GTID set and does not know the tables: those belong to the source. The schema of a table comes from
// the caller (Compile), or from the log itself where the server writes full metadata (ShapeFromMetadata); Compile compares the type vector of the
// event with it, and refuses what does not match.
package binlog
