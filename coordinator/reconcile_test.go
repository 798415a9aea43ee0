package coordinator

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/services/registry"
)

// world is a registry in memory, to which plans are applied as etcd would.
type world struct {
	t        *testing.T
	st       *registry.State
	revision int64
	tables   map[string]described
	last     plan
	maxLanes uint32
}

func newWorld(t *testing.T) *world {
	return &world{t: t, maxLanes: 256, tables: map[string]described{}, st: &registry.State{
		Connectors: map[string]registry.Connector{}, Members: map[registry.MemberID]registry.Member{}, Sources: map[registry.SourceID]registry.Source{},
		Lanes: map[registry.LaneID]registry.Lane{}, Layouts: map[string]registry.ConnectorLayout{}, Statuses: map[registry.LaneID]registry.LaneStatus{},
	}}
}

func (w *world) next() int64 { w.revision++; return w.revision }

func (w *world) join(role registry.Role, ids ...string) {
	for _, id := range ids {
		w.st.Members[registry.MemberID(id)] = registry.Member{ID: registry.MemberID(id), Role: role, Capacity: 100, HTTPAddress: id + ":80"}
	}
}

func (w *world) leave(ids ...string) {
	for _, id := range ids {
		delete(w.st.Members, registry.MemberID(id))
	}
}

// connector creates or changes a connector with the options given as key=value.
func (w *world) connector(name string, options ...string) {
	c := w.st.Connectors[name]
	if c.Name == "" {
		c = registry.Connector{Name: name, Target: registry.Running, ConfigRevision: uint64(w.next())}
	} else {
		c.ConfigRevision++
	}
	c.Config = []registry.Entry{{Key: "database.hostname", Value: "db"}}
	for _, o := range options {
		k, v, _ := strings.Cut(o, "=")
		c.Config = append(c.Config, registry.Entry{Key: k, Value: v})
	}
	c.ModRevision = w.next()
	w.st.Connectors[name] = c
}

func (w *world) edit(name string, f func(*registry.Connector)) {
	c := w.st.Connectors[name]
	f(&c)
	c.ModRevision = w.next()
	w.st.Connectors[name] = c
}

func (w *world) target(name string, target registry.Target) {
	w.edit(name, func(c *registry.Connector) { c.Target = target })
}

// step reconciles once, applies the plan, and checks what must hold of every plan.
func (w *world) step() plan {
	w.t.Helper()
	p := reconcile(w.st, w.maxLanes, w.tables)
	for _, cp := range p.connectors {
		if have, ok := w.st.Connectors[cp.connector.Name]; ok != (cp.connector.ModRevision > 0) || ok && have.ModRevision != cp.connector.ModRevision {
			w.t.Fatalf("plan of %s relies on revision %d", cp.connector.Name, cp.connector.ModRevision)
		}
		if cp.layout != nil {
			l := *cp.layout
			if old := w.st.Layouts[l.Connector]; l.ModRevision != old.ModRevision || l.Current.Number < old.Current.Number || l.Generation < old.Generation {
				w.t.Fatalf("layout %+v after %+v", l, old)
			}
			l.ModRevision = w.next()
			w.st.Layouts[l.Connector] = l
		}
		for _, l := range cp.remove {
			if w.st.Layouts[l.Connector].Generation < l.Generation {
				w.t.Fatalf("generation %d of %v is forgotten", l.Generation, l.LaneID)
			}
			delete(w.st.Lanes, l.LaneID)
		}
		for _, l := range cp.lanes {
			if old, ok := w.st.Lanes[l.LaneID]; ok && (l.Generation != old.Generation+1 || l.ModRevision != old.ModRevision) {
				w.t.Fatalf("lane %+v after %+v", l, old)
			} else if !ok && l.Generation <= w.st.Layouts[l.Connector].Generation {
				w.t.Fatalf("new lane %+v below generation %d", l, w.st.Layouts[l.Connector].Generation)
			}
			l.ModRevision = w.next()
			w.st.Lanes[l.LaneID] = l
		}
		for _, id := range cp.statuses {
			delete(w.st.Statuses, id)
		}
	}
	for _, s := range p.sources {
		if old := w.st.Sources[s.ID]; (s.Owner != old.Owner) != (s.Generation == old.Generation+1) || s.ModRevision != old.ModRevision {
			w.t.Fatalf("source %+v after %+v", s, old)
		}
		s.ModRevision = w.next()
		w.st.Sources[s.ID] = s
	}
	for _, s := range p.removeSources {
		delete(w.st.Sources, s.ID)
	}
	w.last = p
	return p
}

// settle steps until nothing is to do; two steps must be enough, since the first does all and the second sees what the first has written.
func (w *world) settle() {
	w.t.Helper()
	for range 3 {
		if w.step().empty() {
			return
		}
	}
	w.t.Fatalf("plans never end: %+v", w.last)
}

// run makes all lanes with a living owner say that they run.
func (w *world) run() {
	for id, l := range w.st.Lanes {
		if _, ok := w.st.Members[l.Owner]; ok {
			state := registry.LaneRunning
			if l.Target == registry.Paused {
				state = registry.LanePaused
			}
			w.st.Statuses[id] = registry.LaneStatus{LaneID: id, Generation: l.Generation, State: state, WorkerID: string(l.Owner) + ":80"}
		}
	}
}

// lanes renders a connector's lanes: owner@generation, by task.
func (w *world) lanes(name string) string {
	var out []string
	for _, id := range slices.SortedFunc(maps.Keys(w.st.Lanes), func(a, b registry.LaneID) int { return strings.Compare(laneItem(a), laneItem(b)) }) {
		if id.Connector == name {
			l := w.st.Lanes[id]
			out = append(out, fmt.Sprintf("%s@%d", l.Owner, l.Generation))
		}
	}
	return strings.Join(out, " ")
}

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
	if again := reconcile(w.st, 256, nil); !again.empty() {
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

func (w *world) moved(a, b map[registry.LaneID]registry.MemberID) (n int) {
	for id := range a {
		if a[id] != b[id] {
			n++
		}
	}
	return n
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
	v := newViewer(w.st, "w", 256, nil).view(w.st.Connectors["c"])
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
	v := newViewer(w.st, "w", 256, nil).view(w.st.Connectors["broken"])
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
	v := newViewer(w.st, "w", 4, nil).view(w.st.Connectors["c"])
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

// check fails unless lanes and sources are as connectors and members want.
func (w *world) check(seed uint64) {
	w.t.Helper()
	var publishers, capturers int
	for _, m := range w.st.Members {
		switch m.Role {
		case registry.Publisher:
			publishers++
		case registry.Capturer:
			capturers++
		}
	}
	count := map[string]uint32{}
	for id, l := range w.st.Lanes {
		c, ok := w.st.Connectors[id.Connector]
		if _, alive := w.st.Members[l.Owner]; !alive && publishers > 0 {
			w.t.Fatalf("seed %d: lane %v has no living owner among %d", seed, id, publishers)
		}
		if !ok || c.Target == registry.Stopped || l.Target != c.Target || l.ConfigRevision != c.ConfigRevision || l.Restart != c.RestartOf(id.Task) {
			w.t.Fatalf("seed %d: lane %+v of connector %+v", seed, l, c)
		}
		if layout := w.st.Layouts[id.Connector]; l.Count != layout.Current.Count || l.Layout != layout.Current.Number || (l.Previous == nil) != (layout.Previous == nil) {
			w.t.Fatalf("seed %d: lane %+v under layout %+v", seed, l, layout)
		}
		count[id.Connector]++
	}
	for name, c := range w.st.Connectors {
		layout := w.st.Layouts[name]
		wish := wishOf(c, w.maxLanes)
		switch {
		case c.Target == registry.Stopped && count[name] == 0:
		case c.Target != registry.Stopped && count[name] == wish.lanes:
		case c.Target != registry.Stopped && count[name] == layout.Current.Count && layout.Started && !layout.Settled:
		default:
			w.t.Fatalf("seed %d: %s (%s) wants %d lanes, has %d under %+v", seed, name, c.Target, wish.lanes, count[name], layout)
		}
		if src, ok := w.st.Sources[wish.source]; c.Target != registry.Stopped && (!ok || capturers > 0 && w.st.Members[src.Owner].ID == "") {
			w.t.Fatalf("seed %d: source %s of %s: %+v", seed, wish.source, name, src)
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
		v := newViewer(w.st, "fallback:1", 256, nil).view(w.st.Connectors["c"])
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
		if p := reconcile(w.st, w.maxLanes, w.tables); p.laneMoves != 100 {
			b.Fatalf("%d moves", p.laneMoves)
		}
	}
}
