package publisher

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
)

// Registerer takes the publisher's metrics.
type Registerer = prometheus.Registerer

// metrics are updated per batch or commit, never per row.
type metrics struct {
	rows, records, bytes, commits *prometheus.CounterVec
	errors, rejected              *prometheus.CounterVec
	seconds                       *prometheus.HistogramVec
	lag                           *prometheus.GaugeVec
	// By table while its snapshot runs: rows sent, rows by estimate, rows a second, seconds to go.
	snapshotRows, snapshotEstimate, snapshotRate, snapshotLeft *prometheus.GaugeVec
}

func newMetrics(reg Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rowmesh_publisher_" + name, Help: help}, append([]string{"connector"}, labels...))
	}
	m := &metrics{
		rows:     counter("rows_total", "Rows committed to Kafka."),
		records:  counter("records_total", "Kafka records committed."),
		bytes:    counter("bytes_total", "Bytes of keys and values committed."),
		commits:  counter("commits_total", "Transactions committed."),
		errors:   counter("errors_total", "Errors that stopped a lane or a table, by code.", "code"),
		rejected: counter("rejected_records_total", "Records that could not be sent and were tolerated, by topic.", "topic"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "rowmesh_publisher_commit_seconds", Help: "Time from the end of a batch to the end of its commit.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)}, []string{"connector"}), // 1 ms to 8 s; a commit takes 6 to 7 ms
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "rowmesh_publisher_lag_seconds",
			Help: "Time of the commit minus the source's time of the last change in it."}, []string{"connector"}),
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "rowmesh_publisher_snapshot_" + name, Help: help}, []string{"connector", "table"})
	}
	m.snapshotRows, m.snapshotEstimate = gauge("rows", "Rows of a table that its snapshot has sent."), gauge("estimated_rows", "Rows of the table by the server's estimate.")
	m.snapshotRate, m.snapshotLeft = gauge("rows_per_second", "Rows a second, lately."), gauge("left_seconds", "Time until the table is read at this speed.")
	for _, c := range []prometheus.Collector{m.rows, m.records, m.bytes, m.commits, m.errors, m.rejected, m.seconds, m.lag,
		m.snapshotRows, m.snapshotEstimate, m.snapshotRate, m.snapshotLeft} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) committed(connector string, c counts, took, lag time.Duration) {
	m.rows.WithLabelValues(connector).Add(float64(c.rows))
	m.records.WithLabelValues(connector).Add(float64(c.records))
	m.bytes.WithLabelValues(connector).Add(float64(c.bytes))
	m.commits.WithLabelValues(connector).Inc()
	m.seconds.WithLabelValues(connector).Observe(took.Seconds())
	if lag >= 0 {
		m.lag.WithLabelValues(connector).Set(lag.Seconds())
	}
}

// snapshot takes over how far a table's snapshot is; of one that is complete nothing is left.
func (m *metrics) snapshot(connector string, p *capturev1.SnapshotProgress) {
	if p.Table == "" {
		return
	}
	all := []*prometheus.GaugeVec{m.snapshotRows, m.snapshotEstimate, m.snapshotRate, m.snapshotLeft}
	values := []float64{float64(p.RowsDone), float64(p.RowsEstimated), float64(p.RowsPerSecond), float64(p.LeftMs) / 1000}
	for i, g := range all {
		if p.TableComplete {
			g.DeleteLabelValues(connector, p.Table)
		} else {
			g.WithLabelValues(connector, p.Table).Set(values[i])
		}
	}
}
