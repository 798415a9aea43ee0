// Package chunk copies tables into a stream of their log, range by range, without a lock: what is pure of it. Package capturer has the loops.
//
//	            feed of the log ──── w ──────────────────────────── p ─────>
//	window opens at w ┘   │ keys of rows that pass are noted        │
//	wait until all before w is shown by SELECT                      │
//	SELECT of the range, a view of its own                          │
//	end of the log behind the view: H                               │
//	wait until the feed has passed H                                │
//	rows whose keys were noted are dropped, the others go out here ─┘ as op 'r'
//
// A window opens between two transactions of the feed. From then on the feed's reader notes the keys of the rows of the table that it meets, before and after images
// alike, before it hands them out. Rows of a chunk go out at a place p between two transactions that the subscriber has, p >= w and p >= H, and never after an event that
// was noted later than they were looked up.
//
// # What must be shown before the view opens
//
// A transaction is in the log, and so in the feed, before SELECT shows it: the log is written and synced first, and with semi-synchronous replication the engine's commit
// waits for a replica. So the feed may have passed what a view does not show, and the place of the feed, or the end of the log, is no mark to read behind. What is needed
// is (S): the view shows all transactions before w.
//
//   - MySQL with GTIDs: a GTID enters gtid_executed after the engine's commit. The server is asked to wait until it has executed all GTIDs before w
//     (WAIT_FOR_EXECUTED_GTID_SET); the statement that follows opens its view later, so (S) holds.
//   - MariaDB: START TRANSACTION WITH CONSISTENT SNAPSHOT takes the view and Binlog_snapshot_file and _position under one mutex with the commits, in their order in the log:
//     the view shows what is before that position and nothing else. A view that is before w is opened again. gtid_binlog_pos would not do: it is raised as the log is written.
//   - MySQL without GTIDs: nothing says what is shown. The window opens a second earlier than the view: the commit of the engine follows the log's sync by milliseconds. A
//     primary with semi-synchronous replication may take longer; its user has GTIDs, or takes a lock.
//
// H is a place in the log that has all that the view shows before it: the log's end as it is after the statement (a transaction is in the log before it is shown), on MariaDB
// the view's own place.
//
// # Why no row is stale
//
// Claim: a row that goes out at p is what the table holds at p. Take a row version v with the key bytes k that the view has, and suppose that the table holds something else
// at p. The transactions that made v are before H, so before p. So some transaction before p ended v: it updated or deleted the row, and logged v as a before image, with the
// key bytes k. If it is before w, the view shows it, by (S), and has not v. If it is between w and p, k was noted, and the row was dropped. Contradiction.
//
// Equality of bytes is enough, as the before image of the event that ends a version holds that version's own bytes: an update of the key from 'a' to 'A', which are one key in the
// column's collation, notes both. Rows that are moved into or out of the range by an update of their key are versions like others. The bytes must be the same whichever way a
// version is read, by SELECT or from the log; package binlog and package snapshot pack both, and integration/roundtrip compares them for every type. Where the log leaves columns
// out (binlog_row_image=MINIMAL), an after image without a key column has the before image's; a before image without its key ends the table's snapshot with an error.
//
// # Why no row is lost
//
// A row of the table at its end of the log either was touched behind w, by an event of the feed that has its last version or leads to it: the subscriber has the event. Or it was
// not: then it was there before w, is shown by the view, lies in the range of exactly one chunk by its key, which has not changed, and was not dropped. So dropping is safe wherever p
// lies, and noting too much does no harm.
//
// After compaction by key nothing is doubled: a row comes as 'r' once for each time that its chunk was read, each time as what it is then.
//
// # Restarts
//
// A resume token holds a place in the log and the key of the last row that went out. Rows go out in the order of the key, and the token of the message that holds them says so: whoever
// commits the message with its token has both or neither. A new subscription with the token reads the log from the place, and the table behind the key. Events between the place and where
// the old one stood come again to nobody who has committed them, and rows behind the key are read with windows of their own; the argument above does not mention earlier chunks. So a kill
// repeats the chunks under way and nothing else.
//
// # Dates
//
// Rows of the snapshot that a subscription begins with are dated at the place b where it began, although they are read later: b is before every event of the feed. A consumer that orders by
// position and meets such a row behind a newer event of its key leaves it out. That is right: at the row's place p the event, being before p, has led to the same version or was ended
// by another event before p. A consumer that does not compare positions takes it, and has the same version.
//
// # Ranges
//
// All comparisons of keys are the server's, in the types and collations of the columns: borders are keys that it returned, spelled as literals (Literal), and conditions are SQL (Range.Where).
// Nothing is sorted or compared by order here, so that a collation that differs from the order of bytes, an unsigned or temporal key need no thought.
//
// # Definitions
//
// A statement about the table that passes the feed breaks the windows that are open (Touched.Break): their chunks are read again with the shape that holds behind it. A statement that the server
// has executed and the feed has not passed yet is before H, since a SELECT waits for it, so a chunk that was read with the shape before it is found out the same way.
//
// # What is not claimed
//
// Changes that are not in the log (sql_log_bin=0, cascades of foreign keys before MySQL 9.6, statements where binlog_format is not ROW) are unknown to the feed as they are without a snapshot.
// Tables of engines without transactions are read as they are at the moment of the statement.
package chunk
