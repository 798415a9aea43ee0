package publisher

import (
	"fmt"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/errs"
)

// tableStopped treats rows that the capturer could not read as records that cannot be sent: errors.tolerance decides. The lane stops by default. Going on would move
// the checkpoint past rows that are nowhere, and the next start, which may know the table again, would send those behind them as if none were missing.
//
// A change that was logged as a statement is only told, as Debezium does: no start finds its rows, whatever is mended meanwhile.
func (t *task) tableStopped(e *capturev1.TableError) error {
	if e.Table == "" {
		t.status.warn("statements in "+e.Database, fmt.Sprintf("a change in database %s is missing since %s:%d: %s", e.Database, e.Position.GetFile(), e.Position.GetPos(), e.Reason))
		return nil
	}
	t.p.metrics.errors.WithLabelValues(t.id.Connector, "TableStopped").Inc()
	what := fmt.Sprintf("table %s.%s stopped at %s:%d: %s", e.Database, e.Table, e.Position.GetFile(), e.Position.GetPos(), e.Reason)
	if t.cfg.ErrorsTolerance != "all" {
		return errs.E(errs.Corrupt, "%s; errors.tolerance=all goes on without", what)
	}
	t.status.warn("table "+e.Database+"."+e.Table, "errors.tolerance=all: "+what)
	return nil
}
