package publisher

import (
	"context"

	"github.com/rowmesh/rowmesh/publisher/convert"
	"github.com/rowmesh/rowmesh/publisher/reselect"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/source"
)

// postProcess makes what post.processors ask for, and returns what completes the rows; nil for nothing.
func (t *task) postProcess(cfg *config.Connector) (func(convert.Row) error, error) {
	const option = "post.processors"
	t.status.warn(option)
	at := source.FromConnector(cfg)
	connect := func(ctx context.Context) (reselect.Session, error) { return source.Connect(ctx, at) }
	tell := func(problem error) {
		t.p.metrics.errors.WithLabelValues(t.id.Connector, "NotReselected").Inc()
		t.log.Warn("a row stays as it is in the log", "error", problem)
		t.status.warn(option, problem.Error())
	}
	t.reselect.Close()
	var err error
	if t.reselect, err = reselect.New(cfg.Reselects, connect, tell); t.reselect == nil {
		return nil, err
	}
	return func(r convert.Row) error { return t.reselect.Complete(t.work, r) }, nil
}
