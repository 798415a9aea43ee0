package coordinator

import "testing"

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
