package publisher

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/registry"
)

// Each metric moves: the ones of a commit by a lane that runs, the others by a record that is too large.
func TestMetricsMove(t *testing.T) {
	reg := prometheus.NewRegistry()
	m, err := newMetrics(reg)
	if err != nil {
		t.Fatal(err)
	}
	m.committed("c", counts{1, 2, 3}, time.Second, time.Second)
	m.errors.WithLabelValues("c", "Invalid").Inc()
	m.rejected.WithLabelValues("c", "topic").Inc()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	moved := map[string]float64{}
	for _, f := range families {
		for _, x := range f.Metric {
			moved[f.GetName()] += x.GetCounter().GetValue() + x.GetGauge().GetValue() + float64(x.GetHistogram().GetSampleCount())
		}
	}
	for name, want := range map[string]float64{"rows_total": 1, "records_total": 2, "bytes_total": 3, "commits_total": 1, "errors_total": 1,
		"rejected_records_total": 1, "commit_seconds": 1, "lag_seconds": 1} {
		if got := moved["rowmesh_publisher_"+name]; got != want {
			t.Errorf("%s: %v; want %v", name, got, want)
		}
	}
	if _, err := newMetrics(reg); err == nil {
		t.Error("a second publisher in one registry was accepted")
	}
}

// The gauges of a table's snapshot follow it, and are gone with its end.
func TestSnapshotMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	m, err := newMetrics(reg)
	if err != nil {
		t.Fatal(err)
	}
	gauges := func() map[string]float64 {
		all, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]float64{}
		for _, f := range all {
			for _, x := range f.Metric {
				out[f.GetName()] = x.GetGauge().GetValue()
			}
		}
		return out
	}
	m.snapshot("c", &capturev1.SnapshotProgress{Table: "d.t", RowsDone: 5, RowsEstimated: 9, RowsPerSecond: 3, LeftMs: 1500})
	want := map[string]float64{"rowmesh_publisher_snapshot_rows": 5, "rowmesh_publisher_snapshot_estimated_rows": 9, "rowmesh_publisher_snapshot_rows_per_second": 3, "rowmesh_publisher_snapshot_left_seconds": 1.5}
	if d := cmp.Diff(want, gauges()); d != "" {
		t.Error(d)
	}
	m.snapshot("c", &capturev1.SnapshotProgress{Table: "d.t", TableComplete: true})
	if d := cmp.Diff(map[string]float64{}, gauges()); d != "" {
		t.Error(d)
	}
}

func TestTopicGroups(t *testing.T) {
	s := &sink{t: &task{cfg: topicConfig()}}
	for name, want := range map[string]int{"p.db.orders": 7, "p.db.orders_old": 3, "p.db.x": 3, "q": 3} {
		if got := specOf(s.t.cfg, name).Partitions; got != want {
			t.Errorf("%s: %d partitions; want %d", name, got, want)
		}
	}
}

func TestLag(t *testing.T) {
	p := place{}
	if p.lag() >= 0 {
		t.Error("before the first change the lag is unknown")
	}
	p.sourceUS = uint64(time.Now().Add(-time.Minute).UnixMicro())
	if l := p.lag(); l < 59*time.Second || l > 70*time.Second {
		t.Errorf("lag %v; want about a minute", l)
	}
	p.caughtUp = true
	if p.lag() != 0 {
		t.Error("caught up is no lag")
	}
}

func TestInboxKeepsTheNewest(t *testing.T) {
	b := newInbox()
	b.put(&registry.Lane{Generation: 1})
	b.put(&registry.Lane{Generation: 2})
	if l, fresh := b.take(); !fresh || l.Generation != 2 {
		t.Errorf("%v, %v", l, fresh)
	}
	if _, fresh := b.take(); fresh {
		t.Error("taken twice")
	}
	b.put(nil)
	if l, fresh := b.take(); !fresh || l != nil {
		t.Errorf("%v, %v; want a revocation", l, fresh)
	}
}

func topicConfig() *config.Connector {
	return &config.Connector{TopicCreation: config.TopicCreation{
		Default: config.TopicSpec{Partitions: 3, ReplicationFactor: 1},
		Groups:  []config.TopicGroup{{Name: "g", Include: []string{`p\.db\.orders.*`}, Exclude: []string{`.*_old`}, TopicSpec: config.TopicSpec{Partitions: 7, ReplicationFactor: 1}}},
	}}
}
