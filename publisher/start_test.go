package publisher

import (
	"testing"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/publisher/lane"
	"github.com/rowmesh/rowmesh/services/capture"
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

// max.queue.size.in.bytes is the credit of the subscription, which may not be more than a capturer grants.
func TestQueueBytesAreCredit(t *testing.T) {
	for bytes, want := range map[int64]uint64{0: 0, 65536: 65536, 1 << 40: capture.MaxCredit} {
		task := &task{cfg: &config.Connector{QueueBytes: bytes}, start: start{plan: plan{at: &capturev1.Start{}}}}
		open, err := task.openMessage(task.cfg)
		if err != nil || open.Credit != want {
			t.Errorf("%d bytes: credit %d, %v, want %d", bytes, open.GetCredit(), err, want)
		}
	}
}

// gtid.source.includes goes with the place: the lane's own start keeps nothing of it.
func TestSourcesOfTheStart(t *testing.T) {
	at := &capturev1.Start{At: &capturev1.Start_Latest{Latest: true}}
	task := &task{cfg: &config.Connector{StartGTIDs: config.SourceFilter{Include: []string{"a"}}}, start: start{plan: plan{at: at}}}
	open, err := task.openMessage(task.cfg)
	if err != nil || len(open.Start.GetGtidSources().GetInclude()) != 1 || !open.Start.GetLatest() || at.GtidSources != nil {
		t.Errorf("%v, %v", open, err)
	}
}

// A lane that has been tried as often as errors.max.retries says tells so, and keeps the kind of what failed.
func TestGivenUp(t *testing.T) {
	failed := errs.E(errs.Unavailable, "no server at db:3306")
	for _, c := range []struct {
		max     int
		restart bool
		fatal   bool
		want    string
	}{
		{3, true, false, "no server at db:3306; given up after 0 tries (errors.max.retries=3): restart the task once that is mended"},
		{-1, true, false, "no server at db:3306"},
		{3, false, true, "no server at db:3306"}, // it would not have been tried anyway
	} {
		task := &task{cfg: &config.Connector{Restart: c.restart, Retries: config.Retries{Max: c.max}}, lastErr: failed, fatal: c.fatal, machine: lane.New(lane.Cut{})}
		if err := task.givenUp(); err.Error() != c.want || errs.KindOf(err) != errs.Unavailable {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
