// Package signal understands Debezium's signals: requests to a running connector, which come as rows of a table, records of a Kafka topic, lines of a file, or through
// the mesh's own API.
//
//	channel ──> Signal{id, type, data} ──Parse──> Command ──Expand──> tables of this connector ──> the lane asks its capturer
//	                                       └─ an error says what is wrong, and nothing happens
//
// Whatever the channel, a signal is understood in one place, so that all channels can do the same. What the lane does with a command, and how it survives the lane, is
// package publisher's business.
//
// # Conditions
//
// A condition is SQL that somebody else wrote, and that runs with the connector's rights. CheckExpression lets through what can only be one expression: no statement
// separator, no comment that could swallow what follows, brackets and quotes that end inside it. The capturer puts it between brackets, so that the server refuses
// whatever else is no expression. A blocking snapshot takes a whole SELECT in place of an expression, as Debezium does: CheckSelect wants one statement that begins with
// SELECT or WITH, and a transaction that may only read runs it.
//
// Parse, Expand and the checks are pure. Topic and File are thin loops that read one channel each.
package signal
