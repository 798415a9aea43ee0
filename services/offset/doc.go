// Package offset keeps checkpoints where Kafka Connect keeps its source offsets: in a compacted topic, one record a lane, written as Debezium's MySQL
// connector writes them. A connector can so move from Debezium to rowmesh and back without a new snapshot.
//
//	key    ["<connector>",{"server":"<topic.prefix>"}]                  lane 0, and what Debezium reads and writes
//	       ["<connector>",{"server":"<topic.prefix>","lane":"<n>"}]     lane n > 0
//	value  {"ts_sec":…,"file":…,"pos":…,"gtids":…,"row":…,"server_id":…,"event":…,"rowmesh":"1.<layout>.<base64url of the resume token>"}
//
// Where tables stand elsewhere, since they stopped or their rows are read again, "rowmesh" is "2.<layout>.<token>.<base64url of an Aside as JSON>": a version
// that does not know of them refuses the record instead of passing over what they lack.
//
// Members that are zero are left out, as Debezium does; it ignores "rowmesh" and drops it when it writes. A record without "rowmesh" is therefore somebody
// else's, and its position counts.
//
// Key, Offset and Partition are pure. Store talks to Kafka. Read is exact: it sees every transaction that was committed before it began, even behind another
// lane's open one. It finds the high watermark as a read_uncommitted reader sees it and reads with read_committed until it stands there; the end that a
// read_committed consumer reports is only the last stable offset, and a reader that stops at it misses commits. It reads backwards in growing windows, since
// a lane's newest record is usually among the last few thousand, so neither the topic's size nor a lazy log cleaner matters much.
package offset
