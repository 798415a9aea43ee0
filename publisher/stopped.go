package publisher

import (
	"fmt"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/errs"
)

// tableStopped treats rows that the capturer could not read as records that cannot be sent: errors.tolerance decides. The lane stops by default. Going on would move
// the checkpoint past rows that are nowhere, and the next start, which may know the table again, would send those behind them as if none were missing.
func (t *task) tableStopped(e *capturev1.TableError) error {
	t.p.metrics.errors.WithLabelValues(t.id.Connector, "TableStopped").Inc()
	what := fmt.Sprintf("table %s.%s stopped", e.Database, e.Table)
	if e.Table == "" {
		what = fmt.Sprintf("a change in database %s is missing", e.Database)
	}
	if t.cfg.ErrorsTolerance != "all" {
		return errs.E(errs.Corrupt, "%s at %s:%d: %s; errors.tolerance=all goes on without", what, e.Position.GetFile(), e.Position.GetPos(), e.Reason)
	}
	t.status.warn("table "+e.Database+"."+e.Table, fmt.Sprintf("errors.tolerance=all: %s at %s:%d: %s", what, e.Position.GetFile(), e.Position.GetPos(), e.Reason))
	return nil
}
