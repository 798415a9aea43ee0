package publisher

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/config"
)

func TestSnapshotOptions(t *testing.T) {
	for name, c := range map[string]struct {
		options map[string]string
		want    *capturev1.SnapshotOptions // beside the defaults
	}{
		"defaults":                         {nil, &capturev1.SnapshotOptions{}},
		"snapshot.locking.mode":            {map[string]string{"snapshot.locking.mode": "minimal_percona_no_table_locks"}, &capturev1.SnapshotOptions{Locking: capturev1.LockingMode_LOCKING_MODE_MINIMAL_PERCONA_NO_TABLE_LOCKS}},
		"snapshot.lock.timeout.ms":         {map[string]string{"snapshot.lock.timeout.ms": "500"}, &capturev1.SnapshotOptions{LockTimeoutMs: 500}},
		"snapshot.isolation.mode":          {map[string]string{"snapshot.isolation.mode": "serializable"}, &capturev1.SnapshotOptions{Isolation: capturev1.Isolation_ISOLATION_SERIALIZABLE}},
		"snapshot.include.collection.list": {map[string]string{"snapshot.include.collection.list": "d.t"}, &capturev1.SnapshotOptions{IncludeTables: []string{"(?i)^(?:d.t)$"}}},
		"snapshot.select.statement.overrides": {map[string]string{"snapshot.select.statement.overrides": "d.t", "snapshot.select.statement.overrides.d.t": "SELECT 1"},
			&capturev1.SnapshotOptions{SelectOverrides: map[string]string{"d.t": "SELECT 1"}}},
		"snapshot.fetch.size":                  {map[string]string{"snapshot.fetch.size": "500"}, &capturev1.SnapshotOptions{FetchRows: 500}},
		"snapshot.max.threads":                 {map[string]string{"snapshot.max.threads": "4"}, &capturev1.SnapshotOptions{Threads: 4}},
		"snapshot.max.threads.multiplier":      {map[string]string{"snapshot.max.threads.multiplier": "3", "snapshot.max.threads.multiplier.d.t": "9"}, &capturev1.SnapshotOptions{ThreadsMultiplier: 3, TableMultipliers: map[string]uint32{"d.t": 9}}},
		"legacy.snapshot.max.threads":          {map[string]string{"legacy.snapshot.max.threads": "true"}, &capturev1.SnapshotOptions{WholeTables: true}},
		"snapshot.tables.order.by.row.count":   {map[string]string{"snapshot.tables.order.by.row.count": "descending"}, &capturev1.SnapshotOptions{OrderByRows: capturev1.RowOrder_ROW_ORDER_DESCENDING}},
		"rowmesh.snapshot.rows.per.second":     {map[string]string{"rowmesh.snapshot.rows.per.second": "10"}, &capturev1.SnapshotOptions{RowsPerSecond: 10}},
		"rowmesh.snapshot.bytes.per.second":    {map[string]string{"rowmesh.snapshot.bytes.per.second": "11"}, &capturev1.SnapshotOptions{BytesPerSecond: 11}},
		"rowmesh.snapshot.max.threads.running": {map[string]string{"rowmesh.snapshot.max.threads.running": "12"}, &capturev1.SnapshotOptions{MaxThreadsRunning: 12}},
		"rowmesh.snapshot.max.replica.lag.ms":  {map[string]string{"rowmesh.snapshot.max.replica.lag.ms": "13"}, &capturev1.SnapshotOptions{MaxReplicaLagMs: 13}},
		"rowmesh.snapshot.max.history.length":  {map[string]string{"rowmesh.snapshot.max.history.length": "14"}, &capturev1.SnapshotOptions{MaxHistoryLength: 14}},
	} {
		raw := map[string]string{"connector.class": config.MySQLClass, "topic.prefix": "p", "database.hostname": "h", "database.user": "u", "database.server.id": "1", "tasks.max": "1",
			"schema.history.internal.kafka.topic": "s", "schema.history.internal.kafka.bootstrap.servers": "k:1"}
		for k, v := range c.options {
			raw[k] = v
		}
		cfg, res := config.Parse("c", raw)
		if err := res.Err(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := &capturev1.SnapshotOptions{Data: true, Only: true, DefineDatabases: true, Locking: capturev1.LockingMode_LOCKING_MODE_MINIMAL, LockTimeoutMs: 10_000,
			Isolation: capturev1.Isolation_ISOLATION_REPEATABLE_READ, Threads: 1, ThreadsMultiplier: 1}
		set(want, c.want)
		got := snapshotOptions(cfg, true, true)
		if diff := cmp.Diff(want, got, protocmp.Transform(), protocmp.IgnoreFields(want, "time_zone", "lock_free")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// set overwrites the fields of to that from has.
func set(to, from *capturev1.SnapshotOptions) {
	from.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		to.ProtoReflect().Set(f, v)
		return true
	})
}
