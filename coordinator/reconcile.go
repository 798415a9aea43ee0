package coordinator

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/rowmesh/rowmesh/coordinator/placement"
	"github.com/rowmesh/rowmesh/services/registry"
)

// plan is what should be different in the registry.
type plan struct {
	connectors    []connectorPlan
	sources       []registry.Source
	removeSources []registry.Source
	// describe names the connectors whose tables must be known before their lanes can be laid out.
	describe []string
	// laneMoves and sourceMoves count what changes from one owner to another.
	laneMoves, sourceMoves int
}

// connectorPlan holds what changes of one connector. It is good only while the connector's record is the one that it was made from.
type connectorPlan struct {
	connector registry.Connector // ModRevision 0 where the connector must not exist
	layout    *registry.ConnectorLayout
	lanes     []registry.Lane
	remove    []registry.Lane
	statuses  []registry.LaneID // to remove
}

func (p connectorPlan) empty() bool {
	return p.layout == nil && len(p.lanes) == 0 && len(p.remove) == 0 && len(p.statuses) == 0
}

func (p plan) empty() bool {
	return len(p.connectors) == 0 && len(p.sources) == 0 && len(p.removeSources) == 0
}

// wish is what a connector asks for.
type wish struct {
	source registry.SourceID
	lanes  uint32 // 0: none
	// err says why the config cannot be followed. Then what is there stays as it is: a connector that cannot be read by this coordinator may be
	// running well.
	err string
}

// rules say how configs are read.
type rules struct {
	maxLanes uint32 // of one connector
	// source says which source a config reads from; it resolves the references in it.
	source func(config map[string]string) (registry.SourceID, error)
}

// wish reads what c asks for.
func (r rules) wish(c registry.Connector) wish {
	if c.Unreadable != "" {
		return wish{err: c.Unreadable}
	}
	config := c.Map()
	source, err := r.source(config)
	if err != nil {
		return wish{err: err.Error()}
	}
	n, err := registry.TasksOf(config)
	if err != nil {
		return wish{err: err.Error()}
	}
	if c.Target == registry.Stopped {
		n = 0
	}
	return wish{source: source, lanes: min(n, r.maxLanes)}
}

// reconciler makes one plan.
type reconciler struct {
	rules
	st     *registry.State
	tables map[string]described // what is known of connectors' tables

	lanes    map[string][]registry.Lane // by connector, by task
	statuses map[string][]registry.LaneStatus
	wanted   []registry.Lane // all lanes that should be, by connector and task, with the owner they have
	layouts  map[string]registry.ConnectorLayout
	plan     plan
}

// reconcile returns what should be different in st.
func reconcile(st *registry.State, rules rules, tables map[string]described) plan {
	r := &reconciler{
		rules: rules, st: st, tables: tables, lanes: lanesOf(st), statuses: statusesOf(st), layouts: make(map[string]registry.ConnectorLayout),
	}
	for _, name := range slices.Sorted(maps.Keys(st.Connectors)) {
		r.wantLanes(st.Connectors[name])
	}
	r.placeLanes()
	for _, name := range r.names() {
		r.planConnector(name)
	}
	r.planSources()
	return r.plan
}

// names returns all connectors that exist or have left something, sorted.
func (r *reconciler) names() []string {
	names := make(map[string]bool)
	for name := range r.st.Connectors {
		names[name] = true
	}
	for name := range r.lanes {
		names[name] = true
	}
	for name := range r.statuses {
		names[name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// wantLanes adds the lanes that c should have to wanted.
func (r *reconciler) wantLanes(c registry.Connector) {
	w := r.wish(c)
	have := r.lanes[c.Name]
	if w.err != "" {
		r.wanted = append(r.wanted, have...)
		return
	}
	// A paused connector keeps the lanes it has and gets no others: it has no tasks until it runs for the first time, as in Kafka Connect.
	if w.lanes == 0 || c.Target == registry.Paused && len(have) == 0 {
		return
	}
	layout, wait := r.layout(c, w.lanes)
	if wait {
		r.plan.describe = append(r.plan.describe, c.Name)
		if layout.Current.Count == 0 {
			return
		}
	}
	r.layouts[c.Name] = layout
	byTask := make(map[uint32]registry.Lane, len(have))
	for _, l := range have {
		byTask[l.Task] = l
	}
	for task := range layout.Current.Count {
		l := byTask[task] // zero for a new lane
		l.LaneID = registry.LaneID{Connector: c.Name, Task: task}
		l.Count, l.Pins, l.Layout, l.Previous = layout.Current.Count, layout.Current.Pins, layout.Current.Number, layout.Previous
		l.ConfigRevision, l.Target, l.Restart = c.ConfigRevision, c.Target, c.RestartOf(task)
		r.wanted = append(r.wanted, l)
	}
}

// placeLanes gives the wanted lanes their owners. Without publishers they keep those they have: an owner that comes back finds its work, and none
// is worse off.
func (r *reconciler) placeLanes() {
	publishers := r.members(registry.Publisher)
	if len(publishers) == 0 {
		return
	}
	items := make([]placement.Item, len(r.wanted))
	for i, l := range r.wanted {
		items[i] = placement.Item{ID: laneItem(l.LaneID), Owner: string(l.Owner)}
	}
	owners := placement.Place(publishers, items)
	for i := range r.wanted {
		l := &r.wanted[i]
		owner := registry.MemberID(owners[laneItem(l.LaneID)])
		if l.Owner != "" && l.Owner != owner {
			r.plan.laneMoves++
		}
		l.Owner = owner
	}
}

func laneItem(id registry.LaneID) string { return fmt.Sprintf("%s/%010d", id.Connector, id.Task) }

func (r *reconciler) members(role registry.Role) []placement.Member {
	var out []placement.Member
	for _, m := range r.st.Members {
		if m.Role == role {
			out = append(out, placement.Member{ID: string(m.ID), Capacity: uint64(max(m.Capacity, 1))})
		}
	}
	return out
}

// planConnector adds what changes of one connector.
func (r *reconciler) planConnector(name string) {
	c, exists := r.st.Connectors[name]
	if !exists {
		c = registry.Connector{Name: name}
	}
	p := connectorPlan{connector: c}
	stored, hasLayout := r.st.Layouts[name]
	layout, laidOut := r.layouts[name]
	if !laidOut {
		layout = stored
		layout.Connector = name
	}
	wanted := make(map[uint32]bool)
	for _, l := range r.wantedOf(name) {
		wanted[l.Task] = true
		layout.Started = layout.Started || l.Owner != ""
		if old, ok := r.st.Lanes[l.LaneID]; !ok {
			l.Generation = layout.Generation + 1
			p.lanes = append(p.lanes, l)
		} else if differs(old, l) {
			l.Generation = old.Generation + 1
			p.lanes = append(p.lanes, l)
		}
	}
	for _, l := range r.lanes[name] {
		if !wanted[l.Task] {
			p.remove = append(p.remove, l)
			layout.Generation = max(layout.Generation, l.Generation)
		}
	}
	if (laidOut || len(p.remove) > 0) && (!hasLayout || !sameLayout(stored, layout)) {
		p.layout = &layout
	}
	for _, status := range r.statuses[name] {
		// A stopped connector's statuses stay: they say which topics it wrote.
		if !exists || layout.Current.Count > 0 && status.Task >= layout.Current.Count {
			p.statuses = append(p.statuses, status.LaneID)
		}
	}
	if !p.empty() {
		r.plan.connectors = append(r.plan.connectors, p)
	}
}

func (r *reconciler) wantedOf(name string) []registry.Lane {
	from, _ := slices.BinarySearchFunc(r.wanted, name, func(l registry.Lane, name string) int { return cmp.Compare(l.Connector, name) })
	to := from
	for to < len(r.wanted) && r.wanted[to].Connector == name {
		to++
	}
	return r.wanted[from:to]
}

// differs reports whether want says anything else than have, which has its generation.
func differs(have, want registry.Lane) bool {
	return have.Owner != want.Owner || have.Count != want.Count || have.Layout != want.Layout || have.ConfigRevision != want.ConfigRevision ||
		have.Target != want.Target || have.Restart != want.Restart || !maps.Equal(have.Pins, want.Pins) ||
		(have.Previous == nil) != (want.Previous == nil)
}

func sameLayout(a, b registry.ConnectorLayout) bool {
	return a.Current.Number == b.Current.Number && a.Current.Count == b.Current.Count && maps.Equal(a.Current.Pins, b.Current.Pins) &&
		a.Started == b.Started && a.Settled == b.Settled && a.Generation == b.Generation && (a.Previous == nil) == (b.Previous == nil)
}

// planSources adds what changes of sources: those that running or paused connectors use, over the capturers.
func (r *reconciler) planSources() {
	users := make(map[registry.SourceID][]string) // connectors, sorted
	for _, name := range slices.Sorted(maps.Keys(r.st.Connectors)) {
		if w := r.wish(r.st.Connectors[name]); w.err == "" && w.lanes > 0 {
			users[w.source] = append(users[w.source], name)
		}
	}
	for id, src := range r.st.Sources {
		// A connector whose config cannot be read keeps the source that stands in its name.
		if c, ok := r.st.Connectors[src.Connector]; ok && users[id] == nil && r.wish(c).err != "" {
			users[id] = []string{src.Connector}
		}
	}
	var items []placement.Item
	for id := range users {
		items = append(items, placement.Item{ID: string(id), Owner: string(r.st.Sources[id].Owner)})
	}
	capturers := r.members(registry.Capturer)
	owners := placement.Place(capturers, items)
	for _, id := range slices.Sorted(maps.Keys(users)) {
		old := r.st.Sources[id]
		src := old
		src.ID = id
		if !slices.Contains(users[id], src.Connector) {
			src.Connector = users[id][0]
		}
		src.ConfigRevision = r.st.Connectors[src.Connector].ConfigRevision
		if len(capturers) > 0 {
			src.Owner = registry.MemberID(owners[string(id)])
		}
		if src.Owner != old.Owner {
			src.Generation++
			if old.Owner != "" {
				r.plan.sourceMoves++
			}
		}
		if src != old {
			r.plan.sources = append(r.plan.sources, src)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.st.Sources)) {
		if users[id] == nil {
			r.plan.removeSources = append(r.plan.removeSources, r.st.Sources[id])
		}
	}
}
