// Package publisher runs lanes: it subscribes to capturers for a lane's tables, converts rows to Debezium's records, writes them to Kafka in transactions
// together with the lane's checkpoint, and acknowledges them to the capturer.
//
//	Publisher.Run ── watch of assignments ──> one task per lane (Publisher.task)
//	task: lane.Machine says what to do next; the task does it and tells how it went
//
//	  capturer ──gRPC──> pump ──chan──> task: encode (convert) ──> produce (kafka) ──> commit with checkpoint (services/offset) ──> ack
//	                     bounded by        |
//	                     credit            └─> status (etcd, newest only), progress (Report), metrics (per batch)
//
// Signals (package signal) reach a lane through the rows of the signal table, a Kafka topic, a file or the API, and are followed by it (signals.go, ondemand.go): it asks its capturer
// for snapshots beside the stream, or starts again for one that the stream waits for. What was asked for is in the checkpoint until the capturer's token has it. What snapshots
// do is told as Debezium's notifications (package notify).
//
// A connector that configures transforms, or converters other than JSON's, has a second step between encode and produce (stage.go): the encoder's payloads become
// Connect's data (record), go through the transforms (transform) and are converted (converter). Without them nothing of it runs.
//
// What it guarantees is what package lane argues: each row of a lane is in Kafka exactly once and in order for read_committed consumers, and at least once
// with zombies fenced for the others. Where the broker refuses transactions and the connector does not require them, the lane falls back to at least once:
// idempotent producer, flush, then the checkpoint; its status says so.
//
// Lane 0 also writes the schema history, as Debezium does, before the checkpoint that covers it, and any lane reads it where the capturers have lost the shapes of its tables
// (history.go).
//
// What stops: a lane whose error a new start may heal is RESTARTING, with back-off; any other is FAILED, and with rowmesh.restart it too starts again, slowly.
// Other lanes go on. A lost etcd stops nothing that runs; it is needed to start a lane (Confirm). A lost broker blocks a lane in bounded memory.
//
// Memory, per lane: 4 MiB of credit in received batches, an arena of one encoded batch, and the producer's queue (Config.QueueBytes, 8 MiB).
//
// What is not delivered: with errors.tolerance=none nothing is skipped. A table whose rows the capturer cannot read stops alone; its rows follow, once and in order,
// when the cause is mended and a user restarts the task (stopped.go). For a record that cannot be sent the lane stops with table, key, position and size, and when it starts again it
// commits transaction by transaction, so that all before the record is delivered. With errors.tolerance=all a record
// that is too large, that a transform fails on or that cannot be converted goes to errors.deadletterqueue.topic.name with its row, or is logged and counted by name where
// there is none; Replay sends such letters again. A server that transforms or converters need and that does not answer is no record's fault: the lane starts again, with
// back-off, until it does, or until errors.retry.timeout is over (patience.go).
//
// Transforms that run in processes of their own take many records at once: then all records of a piece go through the chain together (stage.together).
package publisher
