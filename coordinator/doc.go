// Package coordinator keeps connectors, elects a leader among its kind, and lets the leader decide who reads which source and who runs which lane.
//
//	REST, gRPC ──> Control ── compare-and-put ──> etcd ── watch ──> Cache of every coordinator ──> answers
//	                                                └── watch ──> leader: reconcile(State) = plan ── guarded transactions ──> etcd
//
// Every coordinator takes every request: a write is one transaction on the connector's record, a read comes from the cache, which is waited for after
// own writes. Nothing is forwarded, so a request needs no leader; only its effect on lanes does.
//
// The leader's work is one pure function, reconcile: from the registry's State to the records that should be different. It is run again after every
// change that it did not make itself, and each record is written only as a successor of the one that it looked at and only while the term lasts
// (registry.Store.Apply). So a deposed or late leader changes nothing, and a new one needs no handover: it adopts what is in etcd, and since placement
// is sticky, a State that is as it should be yields an empty plan.
//
// A source is named by the address that database.hostname and database.port lead to, references to secrets resolved: connectors of one server share it
// however they name it. A connector that is paused before it ran has no lanes, and one that is created again waits until those of its predecessor are
// gone, as far as there is a leader.
//
// What keeps data flowing without a coordinator: lanes and sources are records with an owner; owners act on the last record they saw.
//
// Layouts: a lane's tables are those pinned to it, and its share by hash of the others. A connector's lanes change number only through a new layout,
// which names the one before, so that lanes start where their tables' old lanes stood. The next layout must wait until each lane of the current one
// has run, since only then all checkpoints lie under the current layout. The layout's record stays when the connector goes, as the checkpoints in
// Kafka do.
package coordinator
