// Package connect serves Kafka Connect's REST API in front of the mesh, so that what talks to Kafka Connect (kcctl, the Terraform provider,
// UIs, Strimzi, people with curl) talks to it unchanged.
//
// What it guarantees: status codes, headers, members, their order and the texts that clients look for are those of Kafka Connect 4.3 with
// Debezium 3.6, as recorded from a real worker; the recordings are the test, here over
// a mesh in memory and in integration/restlive over a real one. A config comes back key for key and in the order in which
// it was sent, all values as strings, plus "name".
//
// Where it departs, on purpose:
//   - The names of Debezium 1.x are accepted. What is not honoured is told by name in the log and in the extra member "warnings" of a status,
//     which is there only if there is something to say.
//   - What a client got wrong is 400 with a text that says what, where Connect answers 500 with a Java exception.
//   - No answer holds a password that the client did not ask for by asking for the config; no answer holds a stack trace.
//   - No text holds what a reference to a secret leads to, so that validation cannot be used to read one.
//   - /connectors/NAME/snapshots starts, shows and steers snapshots of a running connector's tables; Connect has nothing of the kind.
//   - A status exists as soon as the connector does, and reads never fail because something moves.
//
// A request goes through these steps, and the first that refuses it answers:
//
//	path ─> 400/404   method ─> 405   Content-Type ─> 400/415   Accept ─> 406   body ─> 400/413   handler
//
// The package keeps no state but log levels and the warnings of configs that were read lately. What it needs of the mesh is [Control]; a nil [Validator] or [Offsets] leaves out what needs them.
package connect
