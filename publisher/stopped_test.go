package publisher

import (
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
)

// A lane without a place, to which the table could return, stops with the table, unless errors.tolerance says that it goes on without. A statement in place of rows is
// told.
func TestTableStopped(t *testing.T) {
	for _, c := range []struct {
		tolerance, table string
		want             errs.Kind
	}{{"none", "t", errs.Corrupt}, {"all", "t", ""}, {"none", "", ""}} {
		p, err := New(Config{}, nil, nil, slog.Default(), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		task := newTask(p, registry.LaneID{Connector: "c"})
		task.cfg = &config.Connector{ErrorsTolerance: c.tolerance}
		err = task.handle(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_TableError{TableError: &capturev1.TableError{
			Database: "db", Table: c.table, Reason: "unknown", Position: &rowv1.Position{File: "binlog.000001", Pos: 4}}}})
		if err != nil && errs.KindOf(err) != c.want || err == nil && c.want != "" {
			t.Errorf("tolerance %s, table %q: %v, want kind %q", c.tolerance, c.table, err, c.want)
		}
		if got := len(task.status.warnings) > 0; got != (c.want == "") {
			t.Errorf("tolerance %s, table %q: warned %t", c.tolerance, c.table, got)
		}
	}
}

// Changes that are left out stop nothing; skip is silent.
func TestChangesLeftOut(t *testing.T) {
	for _, c := range []struct {
		event, schema config.FailureMode
		unknown, warn bool
	}{{config.Warn, config.Fail, false, true}, {config.Skip, config.Fail, false, false}, {config.Skip, config.Warn, true, true}, {config.Warn, config.Skip, true, false}} {
		p, err := New(Config{}, nil, nil, slog.Default(), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		task := newTask(p, registry.LaneID{Connector: "c"})
		task.cfg = &config.Connector{EventFailure: c.event, InconsistentSchema: c.schema}
		if err := task.tableStopped(&capturev1.TableError{Database: "db", Table: "t", Reason: "why", Skipped: true, Unknown: c.unknown, Position: &rowv1.Position{File: "f", Pos: 4}}); err != nil {
			t.Error(err)
		}
		if got := len(task.status.warnings) > 0; got != c.warn {
			t.Errorf("%+v: warned %t", c, got)
		}
		if len(task.place.taken.Aside.Tables) > 0 {
			t.Errorf("%+v: the table has stopped", c)
		}
	}
}
