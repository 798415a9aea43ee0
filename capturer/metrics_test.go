package capturer

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rowmesh/rowmesh/capturer/binlog"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/errs"
)

// badTable is a script whose table "bad" never decodes.
type badTable struct{ *script }

func (b badTable) Compile(tm *binlog.TableMap, shape *rowv1.Table) (Plan, error) {
	if tm.Name == "bad" {
		return nil, errors.New("the shape is of another moment")
	}
	return b.script.Compile(tm, shape)
}

// Each metric moves with what it counts; resets have their own test.
func TestMetricsMove(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := newScript()
	lives := []int{3} // the first connection breaks inside the first transaction
	s.breakAfter = func() int {
		if len(lives) == 0 {
			return -1
		}
		n := lives[0]
		lives = lives[1:]
		return n
	}
	s.txn("t", []int64{1}, []int64{2})
	s.append(binlog.Event{Kind: binlog.Begin}, binlog.Event{Kind: binlog.Query, InTransaction: true, Database: "db", SQL: "insert into t values (1)"}, binlog.Event{Kind: binlog.Commit})
	s.txn("bad", []int64{1})
	s.txn("t", []int64{3})
	src := newSource("script:3306", badTable{s}, NewMemoryStore(), capture.NewPool(), newMetrics(reg), slog.New(slog.NewTextHandler(io.Discard, nil)), 0)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		src.run(ctx, func() error { return errs.E(errs.NotOwner, "the test ends") })
	}()
	defer func() { cancel(); <-done }()
	sc := &scripted{t: t, s: s, src: src}
	sub := sc.subscribe(at(4), func(o *capturev1.Open, _ *subscriber) { o.Tables = nil })
	sub.awaitRows(t, 3)
	for deadline := time.Now().Add(20 * time.Second); value(t, reg, "rowmesh_capturer_transactions_total") != 4; time.Sleep(time.Millisecond) { // counted after the last message
		if time.Now().After(deadline) {
			t.Fatal("the reader is not idle after 20 s")
		}
	}
	for name, want := range map[string]float64{
		"rowmesh_capturer_rows_total": 3, "rowmesh_capturer_row_bytes_total": 6, "rowmesh_capturer_reconnects_total": 1, "rowmesh_capturer_table_errors_total": 1,
		"rowmesh_capturer_uncaptured_statements_total": 1, "rowmesh_capturer_connections": 1, "rowmesh_capturer_subscribers": 1, "rowmesh_capturer_lag_seconds": 0,
	} {
		if got := value(t, reg, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if got := value(t, reg, "rowmesh_capturer_events_total"); got < 13 {
		t.Errorf("%v events, want those of the log at least", got)
	}
}

// value is a metric's value for the only source.
func value(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return -1
}
