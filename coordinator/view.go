package coordinator

import (
	"cmp"
	"fmt"
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

// view makes the view of c. worker stands in where no leader is known.
func view(st *registry.State, c registry.Connector, worker string, maxLanes uint32, warnings func(string, map[string]string) []string) View {
	v := View{Connector: c, State: string(c.Target), WorkerID: worker}
	if leader, ok := st.Members[st.Leader]; ok {
		v.WorkerID = cmp.Or(leader.HTTPAddress, leader.GRPCAddress, worker)
	}
	w := wishOf(c, max(maxLanes, 1))
	if w.err != "" {
		v.State, v.Trace = string(registry.LaneFailed), w.err
	}
	if warnings != nil && c.Unreadable == "" {
		v.Warnings = warnings(c.Name, c.Map())
	}
	v.Warnings = append(v.Warnings, laneWarnings(st, c, w, maxLanes)...)
	for id, status := range st.Statuses {
		if id.Connector == c.Name {
			v.Topics = append(v.Topics, status.Topics...)
		}
	}
	slices.Sort(v.Topics)
	v.Topics = slices.Compact(v.Topics)
	for id, lane := range st.Lanes {
		if id.Connector == c.Name {
			v.Lanes = append(v.Lanes, laneView(st, c, lane, v.WorkerID))
		}
	}
	slices.SortFunc(v.Lanes, func(a, b registry.LaneStatus) int { return cmp.Compare(a.Task, b.Task) })
	for _, l := range v.Lanes {
		for _, text := range l.Warnings {
			if !slices.Contains(v.Warnings, text) {
				v.Warnings = append(v.Warnings, text)
			}
		}
	}
	return v
}

// laneWarnings says where tasks.max is not what runs.
func laneWarnings(st *registry.State, c registry.Connector, w wish, maxLanes uint32) []string {
	if w.err != "" || maxLanes == 0 {
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
