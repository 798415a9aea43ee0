// Package notify makes Debezium's notifications of what snapshots do, for the channels sink (a Kafka topic) and log.
//
//	SnapshotProgress of the capturer ──> Initial, OnDemand ──> []Notification ──Key, Value──> record of notification.sink.topic.name
//
// Initial tells of the snapshot that a connector begins with, and of blocking ones, which Debezium tells of in the same words; OnDemand of incremental ones. Both only
// follow what they are told, so that the same progress gives the same notifications.
//
// The records have the bytes that Debezium's have, with the members of additional_data and the tables in progress in the order of the Java collections that hold them
// there. Three things differ: each incremental snapshot tells of itself under its own id (Debezium has one list of tables for all, under the id of the newest signal); a snapshot
// that goes on after a restart does not say STARTED again; and a table that was read to its end says how many rows it had itself, where Debezium adds those of
// tables before it that failed.
//
// The package is pure: the time and random ids come from Source.
package notify
