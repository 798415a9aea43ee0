package coordinator

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/services/registry"
)

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

func TestLifeOfAConnector(t *testing.T) {
	w := newWorld(t)
	w.connector("c")
	w.settle()
	want(t, "without members", w.lanes("c"), "@1")
	want(t, "source without capturer", w.st.Sources["db:3306"].Owner, registry.MemberID(""))

	w.join(registry.Capturer, "cap")
	w.join(registry.Publisher, "p1", "p2")
	w.settle()
	want(t, "placed", w.lanes("c"), "p1@2")
	want(t, "source", w.st.Sources["db:3306"].Generation, uint64(1))

	w.target("c", registry.Paused)
	w.settle()
	want(t, "paused", w.lanes("c"), "p1@3")
	w.connector("c", "x=y")
	w.settle()
	want(t, "config changed", w.lanes("c"), "p1@4")
	want(t, "source's config", w.st.Sources["db:3306"].ConfigRevision, w.st.Connectors["c"].ConfigRevision)
	w.edit("c", func(c *registry.Connector) { c.Restart++ })
	w.settle()
	want(t, "restarted", w.lanes("c"), "p1@5")
	w.edit("c", func(c *registry.Connector) { c.TaskRestart = map[uint32]uint64{0: 1} })
	w.settle()
	want(t, "task restarted", w.lanes("c"), "p1@6")
	w.run()
	w.settle()

	w.target("c", registry.Stopped)
	w.settle()
	want(t, "stopped", w.lanes("c"), "")
	want(t, "sources of a stopped connector", len(w.st.Sources), 0)
	want(t, "statuses of a stopped connector", len(w.st.Statuses), 1)
	w.target("c", registry.Running)
	w.settle()
	want(t, "resumed above the old generation", w.lanes("c"), "p1@7")

	delete(w.st.Connectors, "c")
	w.settle()
	want(t, "deleted", len(w.st.Lanes)+len(w.st.Sources)+len(w.st.Statuses), 0)
	want(t, "layout stays", w.st.Layouts["c"].Generation, uint64(7))
	w.connector("c")
	w.settle()
	want(t, "created again", w.lanes("c"), "p1@8")
}

func TestNothingMovesWithoutNeed(t *testing.T) {
	w := newWorld(t)
	w.join(registry.Publisher, "p1", "p2", "p3")
	w.join(registry.Capturer, "c1", "c2")
	for i := range 30 {
		w.connector(fmt.Sprintf("c%02d", i), fmt.Sprintf("database.port=%d", 1000+i%6))
	}
	w.settle()
	owners := func() map[registry.LaneID]registry.MemberID {
		out := map[registry.LaneID]registry.MemberID{}
		for id, l := range w.st.Lanes {
			out[id] = l.Owner
		}
		return out
	}
	before := owners()
	if again := reconcile(w.st, plain(256), nil); !again.empty() {
		t.Fatalf("a new leader changes what works: %+v", again)
	}
	// All publishers lose their leases and nobody else is there: they keep their lanes, and find them when they come back.
	w.leave("p1", "p2", "p3")
	w.settle()
	w.join(registry.Publisher, "p1", "p2", "p3")
	w.settle()
	want(t, "after all have come back", owners(), before)

	w.leave("p3")
	w.settle()
	want(t, "moves when one of three leaves", w.moved(before, owners()), 10)
	for id, o := range owners() {
		if before[id] != "p3" && o != before[id] {
			t.Errorf("%v moved from %s to %s", id, before[id], o)
		}
	}
	before = owners()
	w.join(registry.Publisher, "p4")
	w.settle()
	want(t, "moves when one joins two", w.moved(before, owners()), 10)
	if w.st.Sources["db:1000"].Owner == "" || len(w.st.Sources) != 6 {
		t.Errorf("sources %v", w.st.Sources)
	}
}

func TestPausedFromTheStart(t *testing.T) {
	w := newWorld(t)
	w.join(registry.Publisher, "p1")
	w.connector("c")
	w.target("c", registry.Paused)
	w.settle()
	want(t, "never ran", w.lanes("c"), "")
	w.target("c", registry.Running)
	w.settle()
	want(t, "runs", w.lanes("c"), "p1@1")
	w.target("c", registry.Stopped)
	w.settle()
	w.target("c", registry.Paused)
	w.settle()
	want(t, "paused from stopped", w.lanes("c"), "")
}

func TestLayoutsFollowEachOther(t *testing.T) {
	w := newWorld(t)
	w.join(registry.Publisher, "p1", "p2")
	w.connector("c", "tasks.max=2")
	p := w.step()
	want(t, "tables are asked for", p.describe, []string{"c"})
	want(t, "no lanes before", len(w.st.Lanes), 0)
	w.tables["c"] = described{w.st.Connectors["c"].ConfigRevision, []Table{{Name: "d.big", Bytes: 9}, {Name: "d.mid", Bytes: 5}, {Name: "d.small", Rows: 3}}}
	w.settle()
	pins := map[string]uint32{"d.big": 0, "d.mid": 1, "d.small": 1}
	lane := w.st.Lanes[registry.LaneID{Connector: "c", Task: 1}]
	want(t, "pins", lane.Pins, pins)
	want(t, "two lanes on two publishers", w.lanes("c"), "p1@1 p2@1")

	// The lanes have not run yet: more of them must wait.
	w.connector("c", "tasks.max=3")
	w.settle()
	want(t, "deferred", w.lanes("c"), "p1@2 p2@2")
	v := newViewer(w.st, "w", plain(256), nil).view(w.st.Connectors["c"])
	if len(v.Warnings) != 1 || !strings.Contains(v.Warnings[0], "tasks.max") {
		t.Errorf("warnings %q do not name the option that waits", v.Warnings)
	}
	w.run()
	p = w.step()
	want(t, "tables are asked for again", p.describe, []string{"c"})
	w.tables["c"] = described{w.st.Connectors["c"].ConfigRevision, nil}
	w.settle()
	lane = w.st.Lanes[registry.LaneID{Connector: "c", Task: 0}]
	want(t, "layout", []any{lane.Layout, lane.Count, len(lane.Pins)}, []any{uint64(2), uint32(3), 0})
	want(t, "layout before", lane.Previous, &registry.Layout{Count: 2, Pins: pins, Number: 1})

	// Stopped and resumed with one task: the layout before is the one whose checkpoints exist.
	w.run()
	w.settle()
	w.target("c", registry.Stopped)
	w.settle()
	w.connector("c", "tasks.max=1")
	w.settle()
	w.target("c", registry.Running)
	w.settle()
	lane = w.st.Lanes[registry.LaneID{Connector: "c", Task: 0}]
	want(t, "one lane after three", []any{w.lanes("c"), lane.Layout, lane.Previous.Count}, []any{"p1@4", uint64(3), uint32(3)})
	w.run()
	w.settle()
	want(t, "statuses of lanes that are gone", len(w.st.Statuses), 1)
}

func TestLayoutWaitsForTheSnapshot(t *testing.T) {
	w := newWorld(t)
	w.join(registry.Publisher, "p1", "p2")
	w.connector("c")
	w.settle()
	w.runWith(false)
	w.settle()
	w.connector("c", "tasks.max=2")
	w.tables["c"] = described{w.st.Connectors["c"].ConfigRevision, nil}
	w.settle()
	w.runWith(false)
	w.settle()
	want(t, "during the snapshot", w.lanes("c"), "p1@2")
	v := newViewer(w.st, "w", plain(256), nil).view(w.st.Connectors["c"])
	if len(v.Warnings) != 1 || !strings.Contains(v.Warnings[0], "tasks.max") {
		t.Errorf("warnings %q do not name the option that waits", v.Warnings)
	}
	w.run()
	w.settle()
	want(t, "after it", len(w.st.Lanes), 2)
	want(t, "layout before", w.st.Lanes[registry.LaneID{Connector: "c", Task: 1}].Previous, &registry.Layout{Count: 1, Number: 1})
}

func TestLayoutThatNeverRanIsReplaced(t *testing.T) {
	w := newWorld(t)
	w.connector("c", "tasks.max=1")
	w.settle()
	w.connector("c", "tasks.max=4")
	w.tables["c"] = described{w.st.Connectors["c"].ConfigRevision, nil}
	w.settle()
	l := w.st.Layouts["c"]
	want(t, "layout", []any{l.Current.Count, l.Previous == nil, l.Started}, []any{uint32(4), true, false})
	want(t, "lanes", w.lanes("c"), "@2 @1 @1 @1")
}

func TestConfigsThatCannotBeFollowed(t *testing.T) {
	w := newWorld(t)
	w.join(registry.Publisher, "p1", "p2")
	w.join(registry.Capturer, "cap")
	w.connector("sealed")
	w.connector("broken", "tasks.max=zero")
	w.settle()
	want(t, "broken from the start", w.lanes("broken"), "")
	v := newViewer(w.st, "w", plain(256), nil).view(w.st.Connectors["broken"])
	if v.State != "FAILED" || !strings.Contains(v.Trace, "tasks.max") {
		t.Errorf("state %s, trace %q", v.State, v.Trace)
	}
	// A coordinator without the key must leave alone what others run, but still move it from a dead member.
	w.edit("sealed", func(c *registry.Connector) { c.Config, c.Unreadable = nil, "sealed with another key" })
	w.settle()
	want(t, "sealed", w.lanes("sealed"), "p1@1")
	want(t, "its source", w.st.Sources["db:3306"].Owner, registry.MemberID("cap"))
	w.leave("p1")
	w.settle()
	want(t, "sealed, moved", w.lanes("sealed"), "p2@2")
}

func TestTasksAreBounded(t *testing.T) {
	w := newWorld(t)
	w.maxLanes = 4
	w.connector("c", "tasks.max=1000000")
	w.tables["c"] = described{w.st.Connectors["c"].ConfigRevision, nil}
	w.settle()
	want(t, "lanes", len(w.st.Lanes), 4)
	v := newViewer(w.st, "w", plain(4), nil).view(w.st.Connectors["c"])
	if len(v.Warnings) != 1 || !strings.Contains(v.Warnings[0], "1000000 is above") {
		t.Errorf("warnings %q", v.Warnings)
	}
	var many []Table
	for i := range maxPins + 50 {
		many = append(many, Table{Name: fmt.Sprintf("d.t%04d", i), Bytes: uint64(i)})
	}
	p := pins(many, 3)
	if _, smallest := p["d.t0000"]; len(p) != maxPins || smallest {
		t.Errorf("%d pins, the smallest table among them: %v", len(p), smallest)
	}
}

func TestSourceKeepsItsCredentials(t *testing.T) {
	w := newWorld(t)
	w.join(registry.Capturer, "cap")
	w.connector("b")
	w.settle()
	w.connector("a")
	w.settle()
	want(t, "a connector that comes later", w.st.Sources["db:3306"].Connector, "b")
	w.target("b", registry.Stopped)
	w.settle()
	src := w.st.Sources["db:3306"]
	want(t, "after the first has stopped", []any{src.Connector, src.Generation}, []any{"a", uint64(1)})
}

// Whatever users and members do, plans end, lanes are where they should be, and owners are alive as long as anybody is.
func TestRandomLives(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		w := newWorld(t)
		for range 60 {
			name, id := fmt.Sprintf("c%d", r.IntN(6)), fmt.Sprintf("%d", r.IntN(5))
			switch r.IntN(11) {
			case 0, 1:
				w.connector(name, fmt.Sprintf("tasks.max=%d", 1+r.IntN(4)), fmt.Sprintf("database.port=%d", 1+r.IntN(3)))
			case 2:
				delete(w.st.Connectors, name)
			case 3, 4:
				if _, ok := w.st.Connectors[name]; ok {
					w.target(name, []registry.Target{registry.Running, registry.Paused, registry.Stopped}[r.IntN(3)])
				}
			case 5:
				w.join(registry.Publisher, "p"+id)
			case 6:
				w.join(registry.Capturer, "s"+id)
			case 7:
				w.leave("p"+id, "s"+id)
			case 8, 9:
				w.run()
			case 10:
				if _, ok := w.st.Connectors[name]; ok {
					w.edit(name, func(c *registry.Connector) { c.Restart++ })
				}
			}
			for name, c := range w.st.Connectors {
				w.tables[name] = described{c.ConfigRevision, []Table{{Name: "d.t", Bytes: 1}}}
			}
			w.settle()
			w.check(seed)
		}
	}
}

func TestLaneViews(t *testing.T) {
	w := newWorld(t)
	w.join(registry.Coordinator, "co")
	w.st.Leader = "co"
	w.connector("c")
	w.settle()
	state := func() string {
		v := newViewer(w.st, "fallback:1", plain(256), nil).view(w.st.Connectors["c"])
		if len(v.Lanes) != 1 {
			return fmt.Sprintf("%d lanes", len(v.Lanes))
		}
		return v.State + " " + string(v.Lanes[0].State) + " " + v.Lanes[0].WorkerID
	}
	want(t, "nobody there", state(), "RUNNING UNASSIGNED co:80")
	w.join(registry.Publisher, "p1")
	w.settle()
	want(t, "not heard of", state(), "RUNNING UNASSIGNED p1:80")
	w.run()
	want(t, "runs", state(), "RUNNING RUNNING p1:80")
	w.edit("c", func(c *registry.Connector) { c.Restart++ })
	want(t, "restart asked for", state(), "RUNNING RESTARTING p1:80")
	w.settle()
	want(t, "restart under way", state(), "RUNNING RESTARTING p1:80")
	w.run()
	w.target("c", registry.Paused)
	w.settle()
	want(t, "pausing", state(), "PAUSED RUNNING p1:80")
	w.run()
	want(t, "paused", state(), "PAUSED PAUSED p1:80")
	w.target("c", registry.Running)
	w.settle()
	want(t, "resuming", state(), "RUNNING PAUSED p1:80")
	w.run()
	w.leave("p1")
	want(t, "owner is gone", state(), "RUNNING UNASSIGNED co:80")
	w.leave("co")
	want(t, "nobody leads", state(), "RUNNING UNASSIGNED fallback:1")
}

// A plan over 2000 lanes of 1000 connectors, of which one publisher has just died: the most that a leader looks at in one step.
func BenchmarkReconcile(b *testing.B) {
	t := &testing.T{}
	w := newWorld(t)
	for i := range 20 {
		w.join(registry.Publisher, fmt.Sprintf("p%02d", i))
	}
	for i := range 1000 {
		name := fmt.Sprintf("c%04d", i)
		w.connector(name, "tasks.max=2", fmt.Sprintf("database.port=%d", 1+i%50))
		w.tables[name] = described{configRevision: w.st.Connectors[name].ConfigRevision}
	}
	w.settle()
	w.run()
	w.settle()
	w.leave("p07")
	b.ReportAllocs()
	for b.Loop() {
		if p := reconcile(w.st, plain(w.maxLanes), w.tables); p.laneMoves != 100 {
			b.Fatalf("%d moves", p.laneMoves)
		}
	}
}
