// Package snapshot reads what the tables of a server hold at one place of its log, so that this and the log from there on are the whole story.
//
//	list tables ── lock ── open view ── read position ── SHOW CREATE TABLE ── unlock ── DDL messages ── table by table: Schema Batch*
//	               └──────────────── the cut: no commit between view and position ────────────────┘
//
// Guarantee: with a lock (the default), and on MariaDB without one too, the rows are exactly those of the transactions before Result.Cut. Without
// a lock on MySQL they are at least those: changes made while the view was opened may be in the rows and come once more from the log, which then has
// the last word. A row is never missing.
//
// Three ways to the cut, each the fallback of the one before where a grant is missing:
//
//   - FLUSH TABLES WITH READ LOCK (RELOAD): waits for the commits under way and holds up new ones, for as long as the definitions take to read.
//   - LOCK TABLES ... READ on the selected tables (LOCK TABLES): the same, for these tables only.
//   - No lock. MariaDB opens a view and says which log position it is of. MySQL does not: its cut is what had been committed, by the GTIDs it counts
//     as executed, before the view was opened. The file's end would be no safe mark, as a transaction is in the log before SELECT shows it.
//
// The lock is held by a session of its own, since opening the view would release it; so is it gone when the first row is read, except with
// snapshot.locking.mode=extended.
//
// Each table is one SELECT whose rows are taken off the socket as the subscriber takes batches: memory is one batch, and the server waits with us.
// Rows come as text and are packed (services/row) from the socket's buffer straight into the batch, without an allocation a row. Expressions make
// the text exact where the column's own is not: see selectExpr.
//
// A snapshot that fails starts again from nothing. What it does not do: resume, read one table on several connections, follow a table whose definition
// changes between the cut and its scan (that is an error of kind Busy, and the caller starts again). Without a lock, a definition that changes in the
// moment between the cut and its SHOW CREATE TABLE is told as changed already.
package snapshot
