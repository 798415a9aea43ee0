// Package deadletter is the format of dead letters, and reads them.
//
// Kafka Connect has dead letters for sinks only. Those of a source have the same headers, so that the tools that read them there read them here:
//
//	__connect.errors.topic                    where the record would have gone
//	__connect.errors.connector.name, .task.id
//	__connect.errors.stage                    TRANSFORMATION, KEY_CONVERTER, VALUE_CONVERTER, HEADER_CONVERTER, KAFKA_PRODUCE
//	__connect.errors.class.name               of the transform, if one failed
//	__connect.errors.exception.class.name, .message, .stacktrace
//	__rowmesh.errors.source.position, .gtid   where the row stands in the source's log
//	__rowmesh.errors.row                      the row itself: a rowmesh.row.v1.FailedRow
//	__rowmesh.errors.part                     "2/3": the second of three records that the row is spread over, because one may not be as large
//
// Partition and offset, which Connect writes beside the topic, are those of a record that a sink has read; a source has none. Key and value are the record's,
// as far as they were made and fit. A letter is written in the same Kafka transaction as the rows around it, so for read_committed consumers there is exactly one
// for each record that failed, in the order of the log for each lane.
//
// What became of a letter that was tried again stands in a later record of the topic, a mark, with the headers __rowmesh.replay.of (partition:offset of the letter)
// and __rowmesh.replay.outcome.
package deadletter
