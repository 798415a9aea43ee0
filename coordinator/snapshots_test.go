package coordinator

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
)

func TestJudge(t *testing.T) {
	lanes := []registry.LaneStatus{{LaneID: registry.LaneID{Connector: "c", Task: 0}}, {LaneID: registry.LaneID{Connector: "c", Task: 1}, State: registry.LaneRestarting}}
	took := func(task uint32, tables ...string) *controlv1.SignalOutcome {
		return &controlv1.SignalOutcome{Task: task, Tables: tables}
	}
	failed := func(task uint32, kind errs.Kind, text string) *controlv1.SignalOutcome {
		return &controlv1.SignalOutcome{Task: task, Code: string(kind), Error: text}
	}
	for _, c := range []struct {
		name     string
		outcomes []*controlv1.SignalOutcome
		tables   []string
		kind     errs.Kind
		want     string
	}{
		{"both took it", []*controlv1.SignalOutcome{took(0, "d.b"), took(1, "d.a", "d.b")}, []string{"d.a", "d.b"}, "", ""},
		{"one has no tables", []*controlv1.SignalOutcome{took(0, "d.b"), took(1)}, []string{"d.b"}, "", ""},
		{"one is wrong, which is said first", []*controlv1.SignalOutcome{failed(0, errs.Unavailable, "later"), failed(1, errs.Invalid, "table d.x does not exist")}, nil, errs.Invalid, "d.x does not exist"},
		{"one does not stream", []*controlv1.SignalOutcome{took(0, "d.b"), failed(1, errs.Unavailable, "not streaming")}, nil, errs.Unavailable, "task 1 of connector c: not streaming"},
		{"one is nowhere", []*controlv1.SignalOutcome{took(0, "d.b")}, nil, errs.Unavailable, "task 1 of connector c runs nowhere now (RESTARTING)"},
		{"one knows the id", []*controlv1.SignalOutcome{took(0), failed(1, errs.NotFound, "no s")}, nil, "", ""},
		{"none knows the id", []*controlv1.SignalOutcome{failed(0, errs.NotFound, "no s"), failed(1, errs.NotFound, "no s")}, nil, errs.NotFound, "no s"},
		{"nobody there", nil, nil, errs.Unavailable, "runs nowhere now"},
	} {
		tables, err := judge("c", lanes, c.outcomes)
		if c.kind == "" && err != nil || c.kind != "" && (errs.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %s %s", c.name, err, c.kind, c.want)
		}
		if d := cmp.Diff(c.tables, tables); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
	if _, err := judge("c", nil, nil); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("no lanes: %v", err)
	}
}
