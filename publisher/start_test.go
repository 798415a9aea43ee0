package publisher

import (
	"testing"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/offset"
)

func TestPlanStart(t *testing.T) {
	at := func(snapshot string, token []byte) *offset.Offset {
		return &offset.Offset{Source: &rowv1.SourceOffset{File: "f", Pos: 4, Snapshot: snapshot}, Token: token}
	}
	ours, foreign, during := at("", []byte{1}), at("", nil), at("INITIAL", []byte{1})
	for _, c := range []struct {
		mode          string
		o             *offset.Offset
		again, always bool
		want          string
	}{
		{"initial", nil, false, true, "snapshot"},
		{"initial", ours, false, true, "token"},
		{"initial", foreign, false, true, "offset"},
		{"initial", during, false, true, "snapshot"},
		{"when_needed", ours, true, true, "snapshot"},
		{"always", ours, false, true, "snapshot"},
		{"always", ours, false, false, "token"},
		{"initial_only", nil, false, true, "only"},
		{"initial_only", during, false, true, "only"},
		{"initial_only", ours, false, true, "done"},
		{"no_data", nil, false, true, "schemas"},
		{"schema_only", during, false, true, "schemas"},
		{"no_data", ours, false, true, "token"},
		{"never", nil, false, true, "earliest"},
		{"recovery", ours, false, true, "token, defined"},
		{"recovery", ours, false, false, "token"},
		{"recovery", nil, false, true, "Invalid"},
		{"custom", ours, false, true, "Unsupported"},
	} {
		cfg := &config.Connector{Name: "c", Snapshot: config.Snapshot{Mode: c.mode}}
		var o offset.Offset
		if c.o != nil {
			o = *c.o
		}
		p, err := planStart(cfg, o, c.o != nil, c.again, c.always)
		got := ""
		switch {
		case err != nil:
			got = string(errs.KindOf(err))
		case p.done:
			got = "done"
		case p.snapshot != nil && p.snapshot.Only:
			got = "only"
		case p.snapshot != nil && p.snapshot.Data:
			got = "snapshot"
		case p.snapshot != nil:
			got = "schemas"
		default:
			switch p.at.At.(type) {
			case *capturev1.Start_Token:
				got = "token"
			case *capturev1.Start_Offset:
				got = "offset"
			case *capturev1.Start_Earliest:
				got = "earliest"
			}
			if p.define != nil {
				got += ", defined"
			}
		}
		if got != c.want {
			t.Errorf("%s with %v (again %v, always %v): %s, %v; want %s", c.mode, c.o, c.again, c.always, got, err, c.want)
		}
	}
}
