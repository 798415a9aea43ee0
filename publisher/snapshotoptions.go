package publisher

import (
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/config"
)

// snapshotOptions are a connector's snapshot options as the capturer is asked for them.
func snapshotOptions(cfg *config.Connector, data, only bool) *capturev1.SnapshotOptions {
	s := &cfg.Snapshot
	o := &capturev1.SnapshotOptions{
		Data: data, Only: only, IncludeTables: s.IncludeTables, SelectOverrides: s.SelectOverrides, TimeZone: cfg.TimeZone, DefineDatabases: !cfg.OnlyCapturedDDL,
		Locking: lockingModes[s.LockingMode], LockTimeoutMs: uint32(s.LockTimeout.Milliseconds()), Isolation: isolations[s.Isolation],
		Threads: uint32(s.MaxThreads), ThreadsMultiplier: uint32(s.Multiplier), WholeTables: s.WholeTables, OrderByRows: rowOrders[s.OrderByRows], FetchRows: uint32(s.FetchSize),
		RowsPerSecond: s.RowsPerSecond, BytesPerSecond: s.BytesPerSecond,
		LockFree: s.LockFree && data && !only, ChunkRows: uint32(s.ChunkRows),
		MaxThreadsRunning: s.MaxThreadsRunning, MaxReplicaLagMs: uint64(s.MaxReplicaLag.Milliseconds()), MaxHistoryLength: s.MaxHistoryLength,
	}
	for table, n := range s.TableMultipliers {
		if o.TableMultipliers == nil {
			o.TableMultipliers = make(map[string]uint32, len(s.TableMultipliers))
		}
		o.TableMultipliers[table] = uint32(n)
	}
	return o
}

// lockingModes are the values of snapshot.locking.mode; custom is refused.
var lockingModes = map[string]capturev1.LockingMode{
	"minimal": capturev1.LockingMode_LOCKING_MODE_MINIMAL, "": capturev1.LockingMode_LOCKING_MODE_MINIMAL,
	"extended":                       capturev1.LockingMode_LOCKING_MODE_EXTENDED,
	"none":                           capturev1.LockingMode_LOCKING_MODE_NONE,
	"minimal_percona":                capturev1.LockingMode_LOCKING_MODE_MINIMAL_PERCONA,
	"minimal_percona_no_table_locks": capturev1.LockingMode_LOCKING_MODE_MINIMAL_PERCONA_NO_TABLE_LOCKS,
}

// isolations are the values of snapshot.isolation.mode; snapshot and exclusive were read as others.
var isolations = map[string]capturev1.Isolation{
	"repeatable_read":  capturev1.Isolation_ISOLATION_REPEATABLE_READ,
	"read_committed":   capturev1.Isolation_ISOLATION_READ_COMMITTED,
	"read_uncommitted": capturev1.Isolation_ISOLATION_READ_UNCOMMITTED,
	"serializable":     capturev1.Isolation_ISOLATION_SERIALIZABLE,
}

// rowOrders are the values of snapshot.tables.order.by.row.count.
var rowOrders = map[string]capturev1.RowOrder{
	"ascending":  capturev1.RowOrder_ROW_ORDER_ASCENDING,
	"descending": capturev1.RowOrder_ROW_ORDER_DESCENDING,
}
