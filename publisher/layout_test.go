package publisher

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"

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

// A connector that only makes a snapshot streams nothing, so no message brings its lanes to write their places in a new layout: they must all the same, or
// they never say that they run, and no layout can follow.
func TestInitialOnlyInANewLayout(t *testing.T) {
	w := newWorld(t, 10, map[string]string{"snapshot.mode": "initial_only"})
	w.src.tables = 2
	w.publisher("a")
	runs := func(count uint32) {
		t.Helper()
		for task := range count {
			id := registry.LaneID{Connector: w.name, Task: task}
			w.until("lane runs", func() bool {
				s := w.mesh.status(id)
				return s.SnapshotDone && s.State == registry.LaneRunning && s.Generation == w.mesh.lane(id).Generation
			})
		}
	}
	w.mesh.assign(w.lane(0, 1, "a"))
	runs(1)
	for task := range uint32(2) {
		l := w.lane(task, 2, "a")
		l.Layout, l.Previous = 2, &registry.Layout{Count: 1, Number: 1}
		w.mesh.assign(l)
	}
	runs(2)
}

// The offsets of a connector whose producer writes to another cluster than the worker's lie there, with its rows; looked for at the worker's, they are not
// found, and every start makes the snapshot again.
func TestOffsetsAreInTheClusterOfTheRows(t *testing.T) {
	w := newWorld(t, 10, nil)
	w.conf["producer.override.bootstrap.servers"] = w.addr
	w.configure()
	other, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	w.worker = other.ListenAddrs()[0]
	w.publisher("a")
	w.mesh.assign(w.lane(0, 1, "a"))
	w.ids("t0", 10)
	w.mesh.assign(w.lane(0, 1, "a"))
	w.src.grow(1)
	if diff := cmp.Diff(series(11), w.ids("t0", 11)); diff != "" {
		t.Error(diff)
	}
}

// etcd was lost, and with it how tables were spread over two lanes that stood at different places. The one lane of the new life must not begin where lane 0
// stood: what lane 1 lacked would never come.
func TestLostLayout(t *testing.T) {
	w := newWorld(t, 0, nil)
	w.src.tables = 5
	_, stop := w.publisher("a")
	for task := range uint32(2) {
		w.mesh.assign(w.lane(task, 2, "a"))
	}
	for task := range uint32(2) {
		id := registry.LaneID{Connector: w.name, Task: task}
		w.until("lane runs", func() bool { s := w.mesh.status(id); return s.SnapshotDone && s.State == registry.LaneRunning })
	}
	of := map[uint32]string{} // a table of each lane
	for i := range w.src.tables {
		of[laneOf(&registry.Layout{Count: 2}, "db."+tableName(i))] = tableName(i)
	}
	l := w.lane(1, 2, "a")
	l.Target = registry.Paused
	w.mesh.assign(l)
	w.until("paused", func() bool { return w.mesh.status(l.LaneID).State == registry.LanePaused })
	w.src.grow(100)
	w.ids(of[0], 20)
	stop()

	w.publisher("b")
	l = w.lane(0, 1, "b")
	l.Layout = 9
	w.mesh.assign(l)
	if got := w.ids(of[1], 20); len(got) != 20 {
		t.Errorf("%d rows of the table whose lane was behind, want 20", len(got))
	}
}
