package snapshot

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
)

// TestTellingOrder has the orders that java.util.HashMap gives, of which the first is in a recording of Debezium.
func TestTellingOrder(t *testing.T) {
	for _, c := range []struct {
		database string
		names    []string
		want     []string
	}{
		{"be_snap_locking_none", []string{"t", "zz_marker"}, []string{"zz_marker", "t"}},
		{"d", []string{"a"}, []string{"a"}},
		{"d", []string{"a", "b", "c", "d", "e"}, []string{"c", "b", "e", "d", "a"}},
		{"x", []string{"Tabelle_ä", "alpha", "audit", "beta", "customers", "delta", "gamma", "items", "log", "orders", "products", "stock", "y", "z"},
			[]string{"items", "y", "z", "Tabelle_ä", "customers", "orders", "gamma", "stock", "delta", "alpha", "audit", "beta", "products", "log"}},
	} {
		var tables []*table
		for _, n := range c.names {
			tables = append(tables, &table{database: c.database, name: n})
		}
		r := &run{Options: Options{Snapshot: &capturev1.SnapshotOptions{Locking: capturev1.LockingMode_LOCKING_MODE_NONE}}}
		var got []string
		for _, x := range r.tellingOrder(tables) {
			got = append(got, x.name)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Error(diff)
		}
	}
}
