// Package registry is what the parts of a mesh agree on, kept in etcd: connectors, members, who reads which source, who runs which lane, what lanes
// say of themselves, and the versions of tables' shapes. types.go has the words, rowmesh.state.v1 the stored form, wire.go the conversions.
//
// Nothing here is on the path of a row, and the safety of the data does not rest on it (the checkpoints in Kafka carry that). So every reader keeps
// what it last saw while etcd is away:
//
//	follow:  get all at revision r ── watch from r+1 ── (compacted, cancelled, gone back) ── get all again ...
//	           └ WatchLanes, WatchSources: full snapshots, the newest only
//	           └ Cache: everything a coordinator looks at, as an immutable State
//	           └ Directory: who serves a source, at which address
//
// Who writes what, and what makes a late write harmless:
//
//	connectors  any coordinator, by compare of the record's revision
//	members     the member itself, under its lease
//	lanes, sources, layouts   the leader, by Apply: compare of each record's revision and of the leader's key
//	status      the lane's owner, by compare with the lane's record
//	tables      the source's owner; a key names one place in the log, so a repeated write says the same again
//
// Errors have a kind (services/errs). A call that gets no answer within Options.Timeout is Unavailable.
package registry
