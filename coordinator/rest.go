package coordinator

import (
	"context"

	"github.com/rowmesh/rowmesh/coordinator/connect"
)

// restControl is Control in the words of the REST API.
type restControl struct{ *Control }

var _ connect.Control = restControl{}

// REST returns what the REST API (connect.New) asks of the mesh. It adds the warnings about configs by itself.
func (c *Control) REST() connect.Control {
	plain := *c
	plain.warnings = nil
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
	return restView(v), err
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
