// Package replay sends recorded requests to a server of Kafka Connect's REST API and compares its answers with the recorded ones.
//
// A scenario is a file NAME.json with requests in order; NAME.golden.json holds what a real worker of Kafka Connect 4.3.0 with Debezium 3.6.1
// answered to each. Compared are the status, then the headers that were recorded, then the body, as the step's "copy" says: exact (after masks), json
// (order of members is free), set (order of arrays too), shape (members and types), status (nothing more). Departures are the answers that are
// otherwise on purpose; one that is no longer needed is a difference as well.
//
// The recordings are run twice: on the API over a mesh in memory, where what is asked for is true at once, and on a real mesh, where steps wait
// as they say. The package is for tests only.
package replay
