// Package history is the schema history: the topic in which Debezium keeps each statement that shapes tables, with the place in the log where it stands and the tables as they
// are behind it. rowmesh writes it for whoever goes back to Debezium, and reads it, its own or Debezium's, where the versions of tables in etcd are lost.
//
//	Record ── Append ──> value of a record, as Jackson prints it ── Kafka, one partition, no keys ── Read ── Parse ──> Record
//
// The bytes are Debezium's. So is the rule that nothing but records may stand in the topic: a Debezium that recovers reads until it has the record before the topic's
// end, and never gets there where the last offset is the marker of a transaction. Records are written outside of transactions for that reason, before the checkpoint
// that covers them, and come again where that was not written. Whoever reads takes the newest of a place.
//
// Read and Parse are strict where Debezium warns and goes on: tables that are rebuilt from half a history are wrong in silence. What is not a record of the history, a
// record that is cut off, a beginning that was deleted and records of other connectors alone are errors of kind Corrupt, which name topic and offset and say what to do.
package history
