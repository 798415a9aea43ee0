package publisher

import (
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/services/registry"
)

func TestZZLockstep(t *testing.T) {
	w := newWorld(t, 0, nil)
	w.src.tables = 8
	w.publisher("a")
	w.publisher("b")
	settled := func(count uint32) {
		for task := range count {
			id := registry.LaneID{Connector: w.name, Task: task}
			w.until("lane runs", func() bool {
				s := w.mesh.status(id)
				return s.SnapshotDone && s.State == registry.LaneRunning && s.Generation == w.mesh.lane(id).Generation
			})
		}
	}
	owners := []registry.MemberID{"a", "b"}
	layout := func(count uint32, number uint64, prev *registry.Layout) {
		for task := range uint32(8) {
			l := w.lane(task, count, owners[task%2])
			if task >= count {
				l.Owner = ""
			}
			l.Layout, l.Previous = number, prev
			w.mesh.assign(l)
		}
	}
	begin := time.Now()
	layout(8, 1, nil)
	settled(8)
	t.Logf("first %v, subs %d", time.Since(begin), w.src.subs)
	begin = time.Now()
	layout(5, 2, &registry.Layout{Count: 8, Number: 1})
	settled(5)
	t.Logf("second %v, subs %d", time.Since(begin), w.src.subs)
}
