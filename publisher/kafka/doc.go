// Package kafka writes batches of records to Kafka on confluent-kafka-go, inside transactions where the lane has them.
//
// What it is for: a lane hands over a Batch (an arena of bytes and an index of records in it) and gets back an error or nothing. Records go to explicit
// partitions, in order. The usual way, one Produce call and one delivery report per record, costs 3 to 5 us a record, most of it for crossing between Go
// and C and for the reports. Here a whole batch crosses in one call (shim.go) into the same librdkafka that confluent-kafka-go carries, and success is not
// reported per record at all: in a transaction the commit acknowledges every record, because librdkafka refuses to commit when any of them failed.
//
//	Fence -> (Begin -> Produce* -> Commit)*      anything that is not clean -> Close
//
// What it guarantees: a nil error of Commit (or Flush, without transactions) means that every record handed over before it is acknowledged by all in-sync
// replicas. Failed deliveries are never lost: the first ones are kept with topic, partition and cause and come back from the next call. A full queue is
// back-pressure, not an error. Memory is bounded by Config.QueueBytes and Config.QueueRecords, whatever the broker does.
//
// What it does not: a Producer is never good again after an error, nor after a commit during which the connection failed (ErrUnclean): librdkafka speaks the
// transaction protocol in which a delayed EndTxn request can end the next transaction of the same producer. The caller closes it and makes a new one.
package kafka
