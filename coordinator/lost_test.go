package coordinator

import (
	"testing"

	"github.com/rowmesh/rowmesh/services/registry"
)

// A record that nobody can read costs its own connector and no other: an operator's slip in etcd must not stop the assignment of all work.
func TestGarbageCostsItsOwnConnector(t *testing.T) {
	for _, key := range []string{"/rowmesh/lanes/bad/0", "/rowmesh/layouts/bad"} {
		t.Run(key, func(t *testing.T) {
			m := newMesh(t)
			if _, err := m.store.Client().Put(t.Context(), key, "\xff\xff\xff"); err != nil {
				t.Fatal(err)
			}
			a := m.coordinator("a", Deps{})
			m.leader("a")
			m.publisher("p", 100)
			m.create(a, "bad")
			m.create(a, "good")
			m.until("good runs", func() bool { return states(t, a, "good") == "RUNNING RUNNING" })
		})
	}
}

// After etcd was lost the first layout of a connector must not have the number of one under which there are checkpoints.
func TestFirstLayoutHasANumberOfItsOwn(t *testing.T) {
	r := &reconciler{st: &registry.State{Layouts: map[string]registry.ConnectorLayout{}}}
	for created, want := range map[int64]uint64{0: 1, 1795504659501: 1795504659501} {
		l, _ := r.layout(registry.Connector{Name: "c", CreatedMS: created}, 1)
		if l.Current.Number != want {
			t.Errorf("created at %d: layout %d, want %d", created, l.Current.Number, want)
		}
	}
}
