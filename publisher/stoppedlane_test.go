package publisher

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/offset"
	"github.com/rowmesh/rowmesh/services/registry"
)

// rowsOf are the rows of a table up to n, from above first.
func (w *world) rowsOf(table, first, n int) []int {
	var out []int
	for i := first + 1; i <= n; i++ {
		if i%w.src.tables == table {
			out = append(out, i)
		}
	}
	return out
}

func (w *world) hasExactly(table int, want []int) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.ids(tableName(table), len(want))); diff != "" {
		w.t.Errorf("table %d: %s", table, diff)
	}
}

// stopped waits until a lane runs, says of the tables that they are stopped, and of no others.
func (w *world) stopped(id registry.LaneID, tables ...int) {
	w.t.Helper()
	w.until(fmt.Sprintf("tables %v stopped", tables), func() bool {
		s := w.mesh.status(id)
		n := 0
		for _, text := range s.Warnings {
			if strings.Contains(text, "stopped at") {
				n++
			}
		}
		return s.State == registry.LaneRunning && s.Generation == w.mesh.lane(id).Generation && n == len(tables) && !slices.ContainsFunc(tables, func(i int) bool {
			return !strings.Contains(strings.Join(s.Warnings, "\n"), "table db."+tableName(i)+" stopped at binlog.000001:")
		})
	})
}

// aside waits until the lane's stored checkpoint stands at row n, and returns what it says of single tables.
func (w *world) aside(n int) offset.Aside {
	w.t.Helper()
	store := offset.NewStore(offset.Config{Client: map[string]string{"bootstrap.servers": w.addr}, Topic: w.name + "-offsets"})
	var o offset.Offset
	w.until(fmt.Sprintf("checkpoint at %d", n), func() bool {
		var ok bool
		var err error
		o, ok, _, err = store.Read(w.t.Context(), offset.Key{Connector: w.name, Server: w.name})
		return err == nil && ok && o.Source.Pos == uint64(n)
	})
	return o.Aside
}

// Two tables stop at different places. The others go on, also with the next owner; the user's restart brings what the stopped ones lack, once, and nothing else,
// although the lane is taken away in the middle of it.
func TestStoppedTables(t *testing.T) {
	w := newWorld(t, 0, nil)
	w.src.tables = 4
	w.src.breakFrom(1, 100)
	w.src.breakFrom(2, 300)
	_, stop := w.publisher("a")
	l := w.lane(0, 1, "a")
	w.mesh.assign(l)
	w.until("running", func() bool { return w.mesh.status(l.LaneID).SnapshotDone })
	w.src.grow(400)
	w.stopped(l.LaneID, 1, 2)
	w.hasExactly(0, w.rowsOf(0, 0, 400))
	w.hasExactly(1, w.rowsOf(1, 0, 99))
	w.hasExactly(2, w.rowsOf(2, 0, 299))
	at := func(pos uint64, last, stopped uint64) bool { return pos >= last && pos < stopped } // between the table's last row and the first that is missing
	if a := w.aside(400); len(a.Tables) != 2 || !at(a.Tables[0].At.Source.Pos, 97, 101) || !at(a.Tables[1].At.Source.Pos, 298, 302) {
		t.Errorf("stored: %+v", a)
	}
	stop()

	w.src.breakFrom(1, 0) // mended, but nobody has said so
	w.publisher("b")
	w.publisher("c")
	l.Owner = "b"
	w.mesh.assign(l)
	w.stopped(l.LaneID, 1, 2)
	w.src.grow(400)
	w.hasExactly(3, w.rowsOf(3, 0, 800))
	w.hasExactly(1, w.rowsOf(1, 0, 99))

	l.Restart = 1 // by the user; and three owners before it is through, each unaware of the next
	for i, owner := range []registry.MemberID{"b", "c", "b"} {
		l.Owner = owner
		w.mesh.assign(l, []registry.MemberID{"c", "b", "c"}[i])
	}
	w.stopped(l.LaneID, 2) // is not mended, and stops where it stopped
	w.src.grow(4)
	w.hasExactly(0, w.rowsOf(0, 0, 804))
	w.hasExactly(1, w.rowsOf(1, 0, 804))
	w.hasExactly(2, w.rowsOf(2, 0, 299))
	if a := w.aside(804); len(a.Tables) != 1 || !at(a.Tables[0].At.Source.Pos, 298, 302) || a.Others != nil {
		t.Errorf("stored: %+v", a)
	}

	w.src.breakFrom(2, 0)
	l.Restart = 2
	w.mesh.assign(l)
	w.stopped(l.LaneID)
	for i := range w.src.tables {
		w.hasExactly(i, w.rowsOf(i, 0, 804))
	}
	if a := w.aside(804); !a.Empty() {
		t.Errorf("stored: %+v", a)
	}
}

// A table that a snapshot cannot define stops from the cut on, also for the owners that follow, and after a restart, which has no rows for it.
func TestStoppedInTheSnapshot(t *testing.T) {
	w := newWorld(t, 40, nil)
	w.src.tables = 2
	w.src.breakFrom(1, 1)
	w.publisher("a")
	l := w.lane(0, 1, "a")
	w.mesh.assign(l)
	w.stopped(l.LaneID, 1)
	w.src.grow(40)
	w.hasExactly(0, w.rowsOf(0, 0, 80))
	w.src.breakFrom(1, 0)
	l.Restart = 1
	w.mesh.assign(l)
	w.stopped(l.LaneID, 1)
	w.src.grow(20)
	w.hasExactly(0, w.rowsOf(0, 0, 100))
	if s := strings.Join(w.mesh.status(l.LaneID).Warnings, ""); !strings.Contains(s, "DELETE /connectors/"+w.name+"/offsets") {
		t.Errorf("warning: %s", s)
	}
	if got := w.src.subscriptions(); got != 2 {
		t.Errorf("%d subscriptions, want 2", got)
	}
}

// The log no longer reaches back to where one of two tables stopped. That one waits for a snapshot; the other one and those that never stopped go on.
func TestStoppedTableOutlivesTheLog(t *testing.T) {
	w := newWorld(t, 0, nil)
	w.src.tables = 4
	w.src.breakFrom(1, 100)
	w.src.breakFrom(2, 300)
	_, stop := w.publisher("a")
	l := w.lane(0, 1, "a")
	w.mesh.assign(l)
	w.until("running", func() bool { return w.mesh.status(l.LaneID).SnapshotDone })
	w.src.grow(400)
	w.stopped(l.LaneID, 1, 2)
	w.aside(400)
	stop()
	w.src.breakFrom(1, 0)
	w.src.breakFrom(2, 0)
	w.src.oldest = 200
	w.publisher("b")
	l.Owner, l.Restart = "b", 1
	w.mesh.assign(l)
	w.stopped(l.LaneID, 1)
	w.src.grow(4)
	w.hasExactly(0, w.rowsOf(0, 0, 404))
	w.hasExactly(1, w.rowsOf(1, 0, 99))
	w.hasExactly(2, w.rowsOf(2, 0, 404))
	if a := w.aside(404); len(a.Tables) != 1 || a.Tables[0].At != nil || a.Others != nil {
		t.Errorf("stored: %+v", a)
	}
	if s := strings.Join(w.mesh.status(l.LaneID).Warnings, ""); !strings.Contains(s, "the log is purged") || !strings.Contains(s, "DELETE /connectors/"+w.name+"/offsets") {
		t.Errorf("warning: %s", s)
	}
}

// A user restarts a lane that is on its way back: the tables that are on the way have what that brought already.
func TestTakeUpOnTheWay(t *testing.T) {
	at := func(pos uint64) *offset.Offset {
		return &offset.Offset{Source: &rowv1.SourceOffset{File: "binlog.000001", Pos: pos}, Token: []byte{byte(pos)}}
	}
	task := &task{cfg: &config.Connector{}, lane: registry.Lane{Restart: 2}}
	o := *at(30)
	o.Aside.Others, o.Aside.Restart = at(90), 1
	for _, s := range []offset.Table{{Name: "db.moving", At: at(10)}, {Name: "db.again", Stopped: true, At: at(25)}, {Name: "db.ahead", At: at(50)}, {Name: "db.lost", Stopped: true}} {
		o.Aside = o.Aside.With(s)
	}
	got, err := task.takeUp(o)
	if err != nil {
		t.Fatal(err)
	}
	want := *at(25)
	want.Aside.Others, want.Aside.Restart = at(90), 2
	for _, s := range []offset.Table{{Name: "db.moving", At: at(30)}, {Name: "db.again", At: at(25)}, {Name: "db.ahead", At: at(50)}, {Name: "db.lost", Stopped: true}} {
		want.Aside = want.Aside.With(s)
	}
	if !got.Equal(&want) {
		t.Errorf("got  %s\nwant %s", got.Append(nil), want.Append(nil))
	}
	task.lane.Restart = 1
	if got, err := task.takeUp(o); err != nil || !got.Equal(&o) {
		t.Errorf("without a restart the place became %s, %v", got.Append(nil), err)
	}
}

// A change of the number of lanes takes stopped tables up again, wherever their lanes stood, unless their rows have left the log.
func TestStoppedTablesInANewLayout(t *testing.T) {
	for _, purged := range []bool{false, true} {
		w := newWorld(t, 0, nil)
		w.src.tables = 4
		w.src.breakFrom(1, 100)
		w.publisher("a")
		l := w.lane(0, 1, "a")
		w.mesh.assign(l)
		w.until("running", func() bool { return w.mesh.status(l.LaneID).SnapshotDone })
		w.src.grow(200)
		w.stopped(l.LaneID, 1)
		w.aside(200)
		w.src.breakFrom(1, 0)
		if purged {
			w.src.mu.Lock()
			w.src.oldest = 150
			w.src.mu.Unlock()
		}
		for task := range uint32(2) {
			l := w.lane(task, 2, "a")
			l.Layout, l.Previous = 2, &registry.Layout{Count: 1, Number: 1}
			w.mesh.assign(l)
		}
		w.src.grow(40)
		for i := range w.src.tables {
			last := 240
			if i == 1 && purged {
				last = 99
			}
			w.hasExactly(i, w.rowsOf(i, 0, last))
		}
		for task := range uint32(2) {
			var stopped []int
			if purged && laneOf(&registry.Layout{Count: 2}, "db.t1") == task {
				stopped = []int{1}
			}
			w.stopped(registry.LaneID{Connector: w.name, Task: task}, stopped...)
		}
	}
}
