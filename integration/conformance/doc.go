// Package conformance compares what a mesh writes to Kafka with what a real Debezium wrote for the same SQL and options, byte for byte.
//
//	go test ./integration/conformance                               all cases, on MySQL and MariaDB
//	go test ./integration/conformance -v -run Conformance/ty-json   some, with what was compared
//	go run ./integration/conformance/record 'ty-json-*'             records cases again from a real Debezium
//
// # Cases
//
// testdata/cases holds a folder a case:
//
//	case.json              note, connector options over the base ones, engines, restart, noStream
//	setup[.ENGINE].sql     runs before the connector is created
//	stream[.ENGINE].sql    runs once it streams
//	golden.ENGINE.jsonl    the recording
//	schemas.ENGINE.jsonl   the schemas that it refers to
//	end.ENGINE.json        how it ended
//
// In options "<unset>" removes one, and $DB is the case's database: its name with _ for -, $KAFKA the brokers. Base options (see runner.prepare) are JSON converters with schemas, and topic prefix
// and captured database are that name. Options that begin with _ are the runner's: _marker_topic. restart stops the connector before stream.sql and resumes it
// after it; noStream says that it never streams.
//
// A statement ends with ; at a line's end. One that the server refuses is told, and the next one runs. Lines that begin with --@ are no statements:
//
//	--@ sleep 500ms;              waits
//	--@ conn NAME;                the following runs in another session; without a name in the first
//	--@ stop; --@ resume;         stops and resumes the connector
//	--@ await;                    waits until all that was written so far has arrived
//	--@ config {"k":"v"};         PATCH of the connector's config; null removes
//	--@ kafka TOPIC KEY VALUE;    produces a record
//	--@ records TOPIC N;          waits until a topic has so many records
//
// Each case is a database and a connector of its own on one mesh; cases run side by side. A table zz_marker, whose records are left out, tells when the connector has caught
// up.
//
// # Recordings
//
// A line of golden.ENGINE.jsonl is a record; they are in order of topic, partition and offset:
//
//	{"topic":"t","partition":0,"keySchema":0,"key":"{\"id\":1}","valueSchema":1,"value":"{...}","headers":[["name","value"]]}
//
// key and value are the raw text, null for none; keyBase64 and valueBase64 take the place of what is not UTF-8. Where a text is {"schema":S,"payload":P} it
// holds P, and keySchema or valueSchema the number, from 0, of the line of schemas.ENGINE.jsonl that holds S: together they are the exact bytes again. The topic
// «history» is the schema history, in the topic that the base options name; others that a case names for it keep their names. It is not compared
// where the recording ends with a failure.
//
// end.ENGINE.json holds offsets, as GET /connectors/NAME/offsets tells them when the connector is stopped; failed and status, where it failed; or create, the answer to the
// request that should have created it. Addresses in texts are «url».
//
// What two correct runs may spell differently is masked when they are compared (mask.go): versions, positions, GTIDs, threads, and times that do not begin with 1700000000,
// which is what cases SET TIMESTAMP to. How often transactions of other databases are told, and heartbeats beyond the first, is chance too.
//
// # Where we differ
//
// testdata/allow.json lists where a recording holds what the database does not, or ends because Debezium died, and what is written in its place, each with its
// reason. An entry that fits nothing fails its case. The suite tells the length of the list.
//
// # A newer Debezium
//
// record starts a database of each kind, a Kafka and a Connect worker with the Debezium that -debezium names, and runs cases on them with the runner that the suite uses. With
// -out it leaves the recordings of the suite alone:
//
//	go run ./integration/conformance/record -debezium 3.7.0.Final -out /tmp/new
//	go test ./integration/conformance -run Conformance -v -args -cases /tmp/new
package conformance
