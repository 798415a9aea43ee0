// Package capturer reads the logs of the sources assigned to it and serves their rows to any number of subscribers.
//
//	assignments ──> Capturer ── one dbSource per server ──┬── shared reader ──┬── feed ── queue ──> Sender   subscriber
//	                                                      │   (binlog.Stream) ├── feed ── queue ──> Sender   subscriber
//	                                                      └── reader of one   └── ...
//	                                                          that is behind ──── feed ── queue ──> Sender   subscriber
//
// A reader pulls events from one binlog connection, decodes the rows that some feed wants with a plan compiled per table version, and appends them to the
// batches of those feeds. Subscribers at the end of the log share one reader; one that starts behind has its own until it has caught up, and then joins
// (join.go has the protocol). Rows of tables that nobody wants are not decoded.
//
// # What is guaranteed
//
//   - A feed gets each row of its tables exactly once, in log order, from its start on; also when the connection breaks in the middle of a transaction, and
//     when it moves to the shared reader.
//
//   - Every batch says where to resume behind it; a transaction of any size flows in pieces, and one that was cut resumes inside.
//
//   - No place in the log is skipped silently. What is gone from the log ends the subscription with Gap. A table whose rows cannot be decoded, or whose
//     shape is not known, stops with TableError; the other tables go on.
//
//   - The shape of a table changes with the DDL in the log, and is in the schema store before the first row that has it goes out. Rows are never decoded with
//     a shape that disagrees with the log's own description of the table. A store that takes nothing for 30 s ends the subscriptions with Unavailable; DDL of
//     tables that nobody wants is stored in the background, and holds nothing up.
//
//   - The store is bounded by the statements of the time for which the server keeps its log (prune.go). One that was lost is rebuilt from what subscribers tell (rebuild.go).
//
//   - Memory is bounded: a feed holds the batch being built and four that wait. A subscriber that does not read holds its reader up, back to the server's
//     socket; where it would hold up others too it gets Reset and begins again from its last token.
//
//   - Tables can be copied into a stream while it flows, chunk by chunk and without a lock: as the snapshot that a subscription begins with, or whenever it asks. Each row comes as the
//     table holds it at that place of the stream, and every resume token says how far the copy is (package chunk; copy.go and its neighbours).
//
// # What is not
//
// Delivery is the subscriber's: the capturer keeps no positions. Column masks, values in Debezium's spelling and Kafka are the publisher's.
package capturer
