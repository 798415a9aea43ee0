// Package snapshot reads what the tables of a server hold at one place of its log, so that this and the log from there on are the whole story.
//
//	list tables ── definitions ── lock ── open views ── read position ── unlock ── DDL messages ── Schema, Batch*, SnapshotProgress for each table
//	               │              └───────── the cut: no commit ─────────┘      │
//	               └── no DDL: a transaction has used each table ──────────────┘
//
// Guarantee: with a lock (the default), and on MariaDB without one too where one connection reads, the rows are exactly those of the transactions before Result.Cut. Without
// a lock on MySQL they are at least those: changes made while the views were opened may be in the rows and come once more from the log, which then has
// the last word. A row is never missing.
//
// # The cut
//
// Ways to it, each tried where the account may not take the one before:
//
//   - BACKUP STAGE BLOCK_COMMIT (MariaDB, RELOAD): holds up commits, and waits for nothing that reads.
//   - FLUSH TABLES WITH READ LOCK (RELOAD): waits for the statements under way and holds up new writes.
//   - LOCK TABLES ... READ on the selected tables (LOCK TABLES): the same, for these tables only, and waits for transactions.
//   - No lock. MariaDB opens a view and says which log position it is of. MySQL does not: its cut is what had been committed, by the GTIDs it counts
//     as executed, before the views were opened. The file's end would be no safe mark, as a transaction is in the log before SELECT shows it.
//
// Writers wait while the lock is held: for the opening of some transactions and one question, some milliseconds, however many tables there are. The definitions, which take a millisecond
// each after FLUSH TABLES, are read before it, in a transaction whose metadata locks keep DDL away until the cut is taken. They keep no new table away: if there is one that the list does not
// have, the cut is taken again. What comes behind a lock that waits, waits too; so an attempt that is not
// granted within a tenth of a second is given up, and made again a moment later, each time with twice the patience, until snapshot.lock.timeout.ms is over. Before a lock that waits for
// readers, long statements are given time to end. With snapshot.locking.mode=extended the lock lasts until the last row is read.
//
// # Reading
//
// snapshot.max.threads connections, whose views were opened under the one lock, read at once: ranges of the primary key of a large table, and several tables. A reader looks for the end of
// its range in the index, so that ranges have equally many rows whatever the keys are. Tables without a primary key, and those with a statement of the user's, are read in one.
//
// Rows come as text and are packed (services/row) from the socket's buffer straight into the batch, without an allocation a row. Expressions make the text exact where the column's own is
// not: see selectExpr. Memory is bounded: a reader builds one batch and has one on its way, and of each table that is being read one is kept back, until it is known whether its last
// row is the table's. The server waits with a subscriber that does not read. The marks of rows are Debezium's; with several readers "first" and "last" are the rows that are sent first and last.
//
// The limits of capturer/throttle hold for all readers together. Where a replica is read, the cut is the place that the replica has executed, found in the source's log by its GTIDs.
//
// # What goes wrong
//
// A table that cannot be read (no SELECT, a statement that is not valid, values that cannot be understood) is told as a TableError, and the others go on. A table that was altered, truncated,
// renamed or swapped after the cut and before its scan is read once more at the end, as it is then, together with tables that have come since, under which a renamed one is found; a
// dropped one is left to the log. For those tables the rows may be newer than the cut, and rows of a range that was sent before may come twice; the log has the last word.
//
// A connection that breaks ends the snapshot, since its view is lost, and it starts again from nothing.
package snapshot
