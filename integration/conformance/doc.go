// Package conformance compares what a mesh writes to Kafka with what a real Debezium wrote for the same SQL and options, byte for byte.
//
// testdata/cases holds a folder a case:
//
//	case.json                note, connector options over the base ones ("<unset>" removes one, $DB is the case's database), engines, restart, noStream
//	setup[.ENGINE].sql       runs before the connector is created
//	stream[.ENGINE].sql      runs once it streams; "--@ sleep 500ms;" waits, "--@ conn NAME;" changes the session
//	golden.ENGINE.jsonl      the records by topic, partition, offset; key and value as text, keySchema and valueSchema as lines of schemas.ENGINE.jsonl
//
// Each case is a database and a connector of its own on one mesh; cases run side by side. A table zz_marker, whose records are left out, tells when
// the connector has caught up. What two correct runs may spell differently (positions, GTIDs, threads, times that no SET TIMESTAMP fixed) is masked.
//
// testdata/allow.json lists where a recording holds what the database does not, or ends because Debezium died, and what is written in its place, each with its
// reason. An entry that fits nothing fails its case.
package conformance
