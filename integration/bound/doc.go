// Package bound proves by test what the mesh promises of memory and of isolation, with real servers and real processes:
//
//   - a transaction of any size, and a Kafka that is away, leave capturer and publisher together under 300 MB, and nothing is lost or doubled when it is over;
//   - a subscriber that is slow or hostile neither stops a lane beside it nor makes the capturer grow;
//   - connectors of one server share one connection to its log.
//
// The tests run at a tenth of the size that the promise names. With -bound.full or ROWMESH_FULL=1 they take the real one: a transaction of 1 GB in 2 million
// rows, a Kafka that is away for two minutes.
package bound
