package coordinator

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/rowmesh/rowmesh/coordinator/connect"
	"github.com/rowmesh/rowmesh/services/registry"
)

// restControl is Control in the words of the REST API.
type restControl struct{ *Control }

var _ connect.Control = restControl{}

// REST returns what the REST API (connect.New) asks of the mesh. It adds the warnings about configs by itself.
func (c *Control) REST() connect.Control {
	plain := *c
	plain.warnings, plain.latest = nil, new(atomic.Pointer[viewer])
	return restControl{&plain}
}

// List implements connect.Control.
func (r restControl) List(ctx context.Context) ([]connect.Connector, error) {
	all, err := r.Control.List(ctx)
	out := make([]connect.Connector, len(all))
	for i, v := range all {
		out[i] = restView(v)
	}
	return out, err
}

// Get implements connect.Control.
func (r restControl) Get(ctx context.Context, name string) (connect.Connector, error) {
	v, err := r.Control.Get(ctx, name)
	out := restView(v)
	if err == nil && slices.ContainsFunc(v.Lanes, func(l registry.LaneStatus) bool { return l.State == registry.LaneRunning && !l.SnapshotDone }) {
		r.snapshots(ctx, &out)
	}
	return out, err
}

// shownSnapshotRows is the size from which on a table's snapshot is shown: a smaller one is read before anybody has read of it.
const shownSnapshotRows = 100_000

// snapshots asks the publishers how far the snapshots of a connector are.
func (r restControl) snapshots(ctx context.Context, c *connect.Connector) {
	m, err := r.Mesh(ctx)
	if err != nil {
		return // the status is complete without
	}
	for _, p := range m.Progress {
		for i := range c.Tasks {
			if p.Connector == c.Name && p.Task == c.Tasks[i].ID && p.SnapshotTable != "" && p.SnapshotRowsEstimate >= shownSnapshotRows {
				c.Tasks[i].Snapshot = &connect.Snapshot{
					Table: p.SnapshotTable, Rows: p.SnapshotRows, Estimate: p.SnapshotRowsEstimate, Tables: p.SnapshotTables, TablesDone: p.SnapshotTablesDone,
				}
			}
		}
	}
}

// Restart implements connect.Control.
func (r restControl) Restart(ctx context.Context, name string, what connect.Restart) error {
	return r.Control.Restart(ctx, name, Restart(what))
}

func restView(v View) connect.Connector {
	out := connect.Connector{Connector: v.Connector, State: v.State, WorkerID: v.WorkerID, Trace: v.Trace, Topics: v.Topics, Warnings: v.Warnings}
	for _, l := range v.Lanes {
		out.Tasks = append(out.Tasks, connect.Task{ID: l.Task, State: l.State, WorkerID: l.WorkerID, Trace: l.Trace})
	}
	return out
}
