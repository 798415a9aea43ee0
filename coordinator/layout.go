package coordinator

import (
	"cmp"
	"slices"

	"github.com/rowmesh/rowmesh/coordinator/placement"
	"github.com/rowmesh/rowmesh/services/registry"
)

// maxPins bounds the tables that a layout pins; the others are spread by hash. Each lane's record repeats them, twice while a layout follows another:
// 2 x 512 names of at most 129 bytes stay below 150 kB, a tenth of what etcd takes.
const maxPins = 512

// described is what a connector's tables were found to be; no tables where they could not be learned in time.
type described struct {
	configRevision uint64
	tables         []Table
}

// layout returns the layout that c should have now for so many lanes. wait says that its tables must be described before the next one is made; until
// then the layout is the one that is, of Count 0 if there is none.
func (r *reconciler) layout(c registry.Connector, lanes uint32) (l registry.ConnectorLayout, wait bool) {
	l, ok := r.st.Layouts[c.Name]
	l.Connector = c.Name
	l.Settled = l.Settled || r.settled(c.Name, l.Current)
	if ok && l.Current.Count == lanes || l.Started && !l.Settled {
		return l, false
	}
	var tables []Table
	if lanes > 1 {
		d, known := r.tables[c.Name]
		if !known || d.configRevision != c.ConfigRevision {
			return l, true
		}
		tables = d.tables
	}
	if l.Started {
		previous := l.Current
		l.Previous = &previous
	}
	// A layout that no lane ever ran under has left no checkpoint: the next takes its place, after the same previous one.
	l.Current = registry.Layout{Count: lanes, Pins: pins(tables, lanes), Number: l.Current.Number + 1}
	if !ok { // unlike any number under which there are checkpoints from the time before etcd was lost
		l.Current.Number = uint64(max(c.CreatedMS, 1))
	}
	l.Started, l.Settled = false, false
	return l, false
}

// settled reports whether each lane of the layout runs and has a checkpoint behind its snapshot. A layout that followed earlier would find no place in the log
// to start from, and would make the snapshot again.
func (r *reconciler) settled(name string, l registry.Layout) bool {
	running := uint32(0)
	for _, lane := range r.lanes[name] {
		st := r.st.Statuses[lane.LaneID]
		if lane.Layout == l.Number && st.Generation == lane.Generation && st.State == registry.LaneRunning && st.SnapshotDone {
			running++
		}
	}
	return l.Count > 0 && running == l.Count
}

// pins spreads the largest tables over the lanes, by bytes, or by rows where no bytes are known.
func pins(tables []Table, lanes uint32) map[string]uint32 {
	if lanes < 2 || len(tables) == 0 {
		return nil
	}
	items := make([]placement.Item, len(tables))
	for i, t := range tables {
		items[i] = placement.Item{ID: t.Name, Weight: cmp.Or(t.Bytes, t.Rows)}
	}
	slices.SortFunc(items, func(a, b placement.Item) int { return cmp.Or(cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.ID, b.ID)) })
	return placement.Spread(items[:min(len(items), maxPins)], lanes)
}
