package publisher

import (
	"testing"

	"github.com/rowmesh/rowmesh/services/registry"
)

// All lanes of a new layout start at the same moment, and each needs the places of all others. They must not throw each other out: with eight lanes before and
// five after, each fencing the others as it started, none had its place after a minute.
func TestLanesOfANewLayoutDoNotDisturbEachOther(t *testing.T) {
	w := newWorld(t, 0, nil)
	w.src.tables = 8
	w.publisher("a")
	w.publisher("b")
	layout := func(count uint32, number uint64, prev *registry.Layout) {
		t.Helper()
		for task := range uint32(8) {
			l := w.lane(task, count, []registry.MemberID{"a", "b"}[task%2])
			if task >= count {
				l.Owner = ""
			}
			l.Layout, l.Previous = number, prev
			w.mesh.assign(l)
		}
		for task := range count {
			id := registry.LaneID{Connector: w.name, Task: task}
			w.until("lane runs", func() bool {
				s := w.mesh.status(id)
				return s.SnapshotDone && s.State == registry.LaneRunning && s.Generation == w.mesh.lane(id).Generation
			})
		}
	}
	layout(8, 1, nil)
	w.src.mu.Lock()
	before := w.src.subs
	w.src.mu.Unlock()
	layout(5, 2, &registry.Layout{Count: 8, Number: 1})
	w.src.mu.Lock()
	defer w.src.mu.Unlock()
	if starts := w.src.subs - before; starts != 5 {
		t.Errorf("5 lanes started %d times", starts)
	}
}
