package coordinator

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

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

// plain are the rules of configs without references.
func plain(maxLanes uint32) rules { return rules{maxLanes, registry.SourceOf} }

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
	p := reconcile(w.st, plain(w.maxLanes), w.tables)
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

// run makes all lanes with a living owner say that they run, their snapshots done.
func (w *world) run() { w.runWith(true) }

func (w *world) runWith(snapshotDone bool) {
	for id, l := range w.st.Lanes {
		if _, ok := w.st.Members[l.Owner]; ok {
			state := registry.LaneRunning
			if l.Target == registry.Paused {
				state = registry.LanePaused
			}
			w.st.Statuses[id] = registry.LaneStatus{LaneID: id, Generation: l.Generation, State: state, WorkerID: string(l.Owner) + ":80", SnapshotDone: snapshotDone}
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
		wish := plain(w.maxLanes).wish(c)
		switch {
		case c.Target != registry.Running && count[name] == 0: // stopped, or paused before it ran
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

func (w *world) moved(a, b map[registry.LaneID]registry.MemberID) (n int) {
	for id := range a {
		if a[id] != b[id] {
			n++
		}
	}
	return n
}
