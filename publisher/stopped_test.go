package publisher

import (
	"log/slog"
	"strings"
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

// A table that the options do not fit stops alone, and stays so when it changes; a column that is gone from the include list is told.
func TestTableThatOptionsDoNotFit(t *testing.T) {
	p, err := New(Config{}, nil, nil, slog.Default(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	cfg, res := config.Parse("c", map[string]string{"connector.class": config.MySQLClass, "database.hostname": "h", "database.user": "u", "database.server.id": "1", "topic.prefix": "p",
		"message.key.columns": "db.t:gone", "column.include.list": "db.t.id,db.u.id,db.u.old"})
	if cfg == nil {
		t.Fatal(res.Message())
	}
	task := newTask(p, registry.LaneID{Connector: "c"})
	task.cfg = cfg
	if task.encoder, err = task.newEncoder(cfg); err != nil {
		t.Fatal(err)
	}
	task.place.taken.Source = &rowv1.SourceOffset{File: "f", Pos: 4}
	version := func(id uint32, table, column string) *rowv1.Table {
		return &rowv1.Table{SchemaId: id, Database: "db", Table: table, Columns: []*rowv1.Column{{Name: column, Kind: rowv1.Kind_KIND_INT, TypeName: "INT"}}}
	}
	for _, v := range []*rowv1.Table{version(1, "t", "id"), version(2, "t", "gone"), version(3, "u", "id")} {
		if err := task.handle(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Schema{Schema: v}}); err != nil {
			t.Fatal(err)
		}
	}
	stopped := task.place.taken.Aside.Tables
	if len(stopped) != 1 || stopped[0].Name != "db.t" || !strings.Contains(stopped[0].Text, "table db.t stopped at f:4: message.key.columns names column gone") {
		t.Errorf("stopped: %+v", stopped)
	}
	out := &task.encoded
	for id, want := range map[uint32]int{1: 0, 2: 0, 3: 1} {
		out.Reset()
		b := &rowv1.Batch{GroupSchema: []uint32{id}, GroupOp: []byte("c"), GroupRows: []uint32{1}, GroupEnd: []uint32{2}, Payload: []byte{0, 2}}
		if err := task.encoder.Batch(b, out); err != nil || len(out.Records) != want {
			t.Errorf("version %d: %d records, %v, want %d", id, len(out.Records), err, want)
		}
	}
	if got := task.status.warnings["columns of db.u"]; len(got) != 1 || !strings.Contains(got[0], "names column old") {
		t.Errorf("told %v", task.status.warnings)
	}
}
