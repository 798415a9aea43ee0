package sim

import (
	"maps"
	"time"

	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/offset"
	"github.com/rowmesh/rowmesh/services/registry"
)

// leaseTTL is how long etcd believes in a silent member.
const leaseTTL = 5 * time.Second

// ConnectorName and Prefix are those of the one connector of a world, MeshName is the mesh's.
const (
	ConnectorName = "c"
	Prefix        = "p"
	MeshName      = "m"
)

// Registry is etcd with the coordinator that writes it: owners, generations and layouts, by the rules of package coordinator. Members hear of them late.
type Registry struct {
	w *World

	tasks    uint32 // tasks.max
	target   registry.Target
	restart  uint64
	config   uint64
	layout   registry.ConnectorLayout
	lanes    map[uint32]registry.Lane
	revision int64
	// status returns what a lane's owner says of it; see Status.
	statuses map[uint32]registry.LaneStatus
	// kept holds the checkpoints of the mutant that keeps them here.
	kept map[string][]byte
	// Status asks a host's task for its status; Tell gives a host its lanes.
	Status func(h *Host, task uint32) (registry.LaneStatus, bool)
	Tell   func(h *Host, lanes []registry.Lane)
	// Start starts a host's process.
	Start func(h *Host)
}

func newRegistry(w *World) *Registry {
	return &Registry{w: w, tasks: 1, target: registry.Running, config: 1, lanes: map[uint32]registry.Lane{}, statuses: map[uint32]registry.LaneStatus{}, kept: map[string][]byte{}}
}

// Begin creates the connector with so many tasks.
func (r *Registry) Begin(tasks uint32) {
	r.tasks = tasks
	for _, h := range r.w.Hosts {
		h.lease = leaseTTL
	}
	r.reconcile()
	for _, h := range r.w.Hosts {
		r.tell(h)
	}
}

// step lets etcd, the coordinator or a member's talk with them go on.
func (r *Registry) step() {
	w := r.w
	for _, h := range w.Hosts {
		if h.Runs(w.Now) && !h.leaving && w.Now >= h.cutOff {
			h.lease = w.Now + leaseTTL
		}
	}
	switch h := w.Hosts[w.Rand.IntN(len(w.Hosts))]; w.Rand.IntN(4) {
	case 0:
		if w.Rand.IntN(3) == 0 || !w.Faults {
			r.reconcile()
		}
	case 1:
		if !h.Up && (w.Rand.IntN(4) == 0 || !w.Faults) {
			h.Up, h.seen, h.stoppedUntil = true, 0, 0
			w.Trace("%s starts", h.Name)
			r.Start(h)
		}
	case 2:
		if h.Runs(w.Now) && w.Now >= h.cutOff {
			for task, l := range r.lanesOf(h) {
				if s, ok := r.Status(h, task); ok && s.Generation == l.Generation {
					r.statuses[task] = s
				}
			}
		}
	default:
		r.tell(h)
	}
}

func (r *Registry) lanesOf(h *Host) map[uint32]registry.Lane {
	out := map[uint32]registry.Lane{}
	for task := range r.layout.Current.Count {
		if l := r.lanes[task]; l.Owner == registry.MemberID(h.Name) {
			out[task] = l
		}
	}
	return out
}

// tell delivers the newest assignments to a member that can be reached.
func (r *Registry) tell(h *Host) {
	if !h.Runs(r.w.Now) || h.leaving || r.w.Now < h.cutOff || h.seen == r.revision {
		return
	}
	h.seen = r.revision
	var lanes []registry.Lane
	for task := range r.layout.Current.Count {
		if l, ok := r.lanes[task]; ok && l.Owner == registry.MemberID(h.Name) {
			lanes = append(lanes, l)
		}
	}
	r.Tell(h, lanes)
}

// disturb changes what users and layouts ask for.
func (r *Registry) disturb() {
	w := r.w
	switch w.Rand.IntN(6) {
	case 0, 1:
		r.tasks = 1 + uint32(w.Rand.IntN(3))
		w.Trace("tasks.max is %d", r.tasks)
	case 2:
		r.restart++
		w.Trace("the tasks are restarted")
	case 3:
		r.target = registry.Paused
		w.Trace("the connector is paused")
	case 4:
		r.target = registry.Running
	default:
		r.config++
	}
}

func (r *Registry) heal() {
	r.target = registry.Running
	r.restart++
}

// reconcile does what the coordinator does: a layout for tasks.max, and an owner for each lane among those that live.
func (r *Registry) reconcile() {
	w := r.w
	l := r.layout
	l.Settled = l.Settled || r.settled(l.Current)
	if l.Current.Count != r.tasks && (!l.Started || l.Settled) {
		if l.Started {
			previous := l.Current
			l.Previous = &previous
		}
		l.Current = registry.Layout{Count: r.tasks, Pins: r.spread(), Number: l.Current.Number + 1}
		l.Started, l.Settled = false, false
		w.Trace("layout %d: %d lanes, pins %v", l.Current.Number, r.tasks, l.Current.Pins)
	}
	load := map[registry.MemberID]int{}
	var alive []registry.MemberID
	for _, h := range w.Hosts {
		if w.Now < h.lease {
			alive = append(alive, registry.MemberID(h.Name))
			load[registry.MemberID(h.Name)] = 0
		}
	}
	changed := false
	for task := range l.Current.Count {
		have, exists := r.lanes[task]
		want := have
		want.LaneID = registry.LaneID{Connector: ConnectorName, Task: task}
		want.Count, want.Pins, want.Layout, want.Previous = l.Current.Count, l.Current.Pins, l.Current.Number, l.Previous
		want.ConfigRevision, want.Target, want.Restart = r.config, r.target, r.restart
		want.Owner = r.place(have.Owner, alive, load, int(l.Current.Count))
		l.Started = l.Started || want.Owner != ""
		if want.Owner != "" {
			load[want.Owner]++
		}
		switch {
		case !exists:
			want.Generation = l.Generation + 1
		case have.Owner != want.Owner || have.Layout != want.Layout || have.ConfigRevision != want.ConfigRevision || have.Target != want.Target || have.Restart != want.Restart:
			want.Generation = have.Generation + 1
		default:
			continue
		}
		changed = true
		r.lanes[task] = want
		w.Trace("lane %d: generation %d of layout %d is %s's", task, want.Generation, want.Layout, want.Owner)
	}
	for task, have := range maps.Clone(r.lanes) {
		if task >= l.Current.Count {
			l.Generation = max(l.Generation, have.Generation)
			delete(r.lanes, task)
			delete(r.statuses, task)
			changed = true
		}
	}
	r.layout = l
	if changed {
		r.revision++
	}
}

// place keeps an owner that lives and has no more than its share, else finds the one with the least.
func (r *Registry) place(owner registry.MemberID, alive []registry.MemberID, load map[registry.MemberID]int, lanes int) registry.MemberID {
	if len(alive) == 0 {
		return owner
	}
	share := (lanes + len(alive) - 1) / len(alive)
	best := alive[0]
	for _, m := range alive {
		if m == owner && load[m] < share && !r.w.Chance(40) { // now and then a lane moves without need
			return owner
		}
		if load[m] < load[best] {
			best = m
		}
	}
	return best
}

// settled is the coordinator's rule for when the next layout may follow.
func (r *Registry) settled(l registry.Layout) bool {
	n := uint32(0)
	for task, lane := range r.lanes {
		s := r.statuses[task]
		if lane.Layout == l.Number && s.Generation == lane.Generation && s.State == registry.LaneRunning && s.SnapshotDone {
			n++
		}
	}
	return l.Count > 0 && n == l.Count
}

// spread pins some tables to lanes; the others go by hash.
func (r *Registry) spread() map[string]uint32 {
	if r.tasks < 2 {
		return nil
	}
	pins := map[string]uint32{}
	for _, name := range r.w.Source.names {
		if r.w.Rand.IntN(3) > 0 {
			pins[name] = uint32(r.w.Rand.IntN(int(r.tasks)))
		}
	}
	return pins
}

// Owns reports that a lane is a host's in its newest generation.
func (r *Registry) Owns(h *Host, l registry.Lane) bool {
	now := r.lanes[l.Task]
	return now.Owner == registry.MemberID(h.Name) && now.Generation == l.Generation
}

// Confirm is a linearizable read from a host.
func (r *Registry) Confirm(h *Host, l registry.Lane) error {
	r.w.Pause()
	if r.w.Broken == NoConfirm {
		return nil
	}
	if r.w.Now < h.cutOff {
		r.w.Sleep(time.Second)
		return errs.E(errs.Unavailable, "etcd does not answer")
	}
	now, ok := r.lanes[l.Task]
	switch {
	case !ok:
		return errs.E(errs.NotOwner, "lane %d is gone", l.Task)
	case now.Owner != l.Owner:
		return errs.E(errs.NotOwner, "lane %d is %s's", l.Task, now.Owner)
	case now.Generation != l.Generation:
		return errs.E(errs.Stale, "lane %d is at generation %d", l.Task, now.Generation)
	}
	return nil
}

// swap keeps checkpoints in etcd if the generation is still the lane's: a compare-and-swap.
func (r *Registry) swap(id string, generation uint64, records []queued) bool {
	for task, l := range r.lanes {
		if offset.TransactionalID(MeshName, ConnectorName, task) == id && l.Generation > generation {
			return false
		}
	}
	for _, q := range records {
		r.kept[string(q.rec.Key)] = q.rec.Value
	}
	return true
}
