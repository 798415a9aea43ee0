package coordinator

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/rowmesh/rowmesh/services/registry"
)

// View is a connector as users see it: the record, and what the mesh says of it.
type View struct {
	registry.Connector
	State    string // RUNNING, PAUSED, STOPPED, FAILED
	WorkerID string // host:port that answers for the connector: the leader's
	Trace    string // why it failed
	Lanes    []registry.LaneStatus
	Topics   []string // written so far, by all lanes, those of earlier layouts included
	Warnings []string
}

// viewer makes views of one State.
type viewer struct {
	rules
	st       *registry.State
	worker   string // stands in where no leader is known
	warnings func(name string, config map[string]string) []string

	names    []string                   // of all connectors, sorted
	lanes    map[string][]registry.Lane // by connector, by task
	statuses map[string][]registry.LaneStatus
}

func newViewer(st *registry.State, worker string, rules rules, warnings func(string, map[string]string) []string) *viewer {
	v := &viewer{rules: rules, st: st, worker: worker, warnings: warnings, names: slices.Sorted(maps.Keys(st.Connectors)), lanes: lanesOf(st), statuses: statusesOf(st)}
	if leader, ok := st.Members[st.Leader]; ok {
		v.worker = cmp.Or(leader.HTTPAddress, leader.GRPCAddress, worker)
	}
	return v
}

// lanesOf returns the lanes of each connector, by task.
func lanesOf(st *registry.State) map[string][]registry.Lane {
	out := make(map[string][]registry.Lane)
	for id, l := range st.Lanes {
		out[id.Connector] = append(out[id.Connector], l)
	}
	for _, lanes := range out {
		slices.SortFunc(lanes, func(a, b registry.Lane) int { return cmp.Compare(a.Task, b.Task) })
	}
	return out
}

// statusesOf returns the statuses of each connector, by task.
func statusesOf(st *registry.State) map[string][]registry.LaneStatus {
	out := make(map[string][]registry.LaneStatus)
	for id, s := range st.Statuses {
		out[id.Connector] = append(out[id.Connector], s)
	}
	for _, statuses := range out {
		slices.SortFunc(statuses, func(a, b registry.LaneStatus) int { return cmp.Compare(a.Task, b.Task) })
	}
	return out
}

// view makes the view of c.
func (v *viewer) view(c registry.Connector) View {
	out := View{Connector: c, State: string(c.Target), WorkerID: v.worker}
	w := v.wish(c)
	if w.err != "" {
		out.State, out.Trace = string(registry.LaneFailed), w.err
	}
	if v.warnings != nil && c.Unreadable == "" {
		out.Warnings = v.warnings(c.Name, c.Map())
	}
	out.Warnings = append(out.Warnings, laneWarnings(v.st, c, w, v.maxLanes)...)
	for _, status := range v.statuses[c.Name] {
		out.Topics = append(out.Topics, status.Topics...)
	}
	slices.Sort(out.Topics)
	out.Topics = slices.Compact(out.Topics)
	for _, lane := range v.lanes[c.Name] {
		l := laneView(v.st, c, lane, v.worker)
		out.Lanes = append(out.Lanes, l)
		for _, text := range l.Warnings {
			if !slices.Contains(out.Warnings, text) {
				out.Warnings = append(out.Warnings, text)
			}
		}
	}
	return out
}

// laneWarnings says where tasks.max is not what runs.
func laneWarnings(st *registry.State, c registry.Connector, w wish, maxLanes uint32) []string {
	if w.err != "" {
		return nil
	}
	var out []string
	if n, err := registry.TasksOf(c.Map()); err == nil && n > maxLanes {
		out = append(out, fmt.Sprintf("tasks.max: %d is above this mesh's limit of %d, which is used instead", n, maxLanes))
	}
	if l, ok := st.Layouts[c.Name]; ok && w.lanes > 0 && l.Started && !l.Settled && l.Current.Count != w.lanes {
		out = append(out, fmt.Sprintf("tasks.max: %d tasks take effect once each of the present %d has run; see their status", w.lanes, l.Current.Count))
	}
	return out
}

// laneView is what is true of a lane: what its owner says, unless the owner is gone or has not spoken of the present generation yet.
func laneView(st *registry.State, c registry.Connector, lane registry.Lane, worker string) registry.LaneStatus {
	status, spoken := st.Statuses[lane.LaneID]
	owner, alive := st.Members[lane.Owner]
	waiting := registry.LaneStatus{LaneID: lane.LaneID, Generation: lane.Generation, State: registry.LaneUnassigned, WorkerID: worker, Topics: status.Topics}
	switch {
	case !alive:
		return waiting
	case spoken && status.Generation == lane.Generation && !pending(c, lane):
		return status
	}
	waiting.WorkerID = cmp.Or(owner.HTTPAddress, owner.GRPCAddress, worker)
	switch {
	case !spoken:
	case status.State == registry.LanePaused || lane.Target == registry.Paused:
		waiting.State = status.State // pausing and resuming show what is until it is different
	default:
		waiting.State = registry.LaneRestarting
	}
	return waiting
}

// pending reports whether the lane has yet to follow a restart or a new config.
func pending(c registry.Connector, lane registry.Lane) bool {
	return c.RestartOf(lane.Task) != lane.Restart || c.ConfigRevision != lane.ConfigRevision
}
