package capturer

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rowmesh/rowmesh/services/registry"
)

// metrics are the capturer's, by source. Readers add to them at boundaries, not per row.
type metrics struct {
	rows, bytes, events, transactions, reconnects, resets, tableErrors, statements, copiedRows, copiedBytes, pruned *prometheus.CounterVec
	connections, subscribers, lag                                                                                   *prometheus.GaugeVec
}

// counts is what a reader has done since it last told the metrics.
type counts struct{ rows, bytes, events, transactions int }

func newMetrics(reg prometheus.Registerer) *metrics {
	labels := []string{"source"}
	counter := func(name, help string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		reg.MustRegister(c)
		return c
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		reg.MustRegister(g)
		return g
	}
	return &metrics{
		rows:         counter("rowmesh_capturer_rows_total", "Rows decoded."),
		bytes:        counter("rowmesh_capturer_row_bytes_total", "Bytes of decoded rows, packed."),
		events:       counter("rowmesh_capturer_events_total", "Log events read."),
		transactions: counter("rowmesh_capturer_transactions_total", "Transactions read."),
		reconnects:   counter("rowmesh_capturer_reconnects_total", "Binlog connections that broke or could not be made."),
		resets:       counter("rowmesh_capturer_resets_total", "Subscriptions that had to begin again: they held up the others, or another server answered in the middle of a transaction."),
		tableErrors:  counter("rowmesh_capturer_table_errors_total", "Tables stopped."),
		statements:   counter("rowmesh_capturer_uncaptured_statements_total", "Row changes that the log holds only as statements."),
		copiedRows:   counter("rowmesh_capturer_snapshot_rows_total", "Rows that snapshots sent between those of the log."),
		copiedBytes:  counter("rowmesh_capturer_snapshot_bytes_total", "Bytes of those rows, packed."),
		pruned:       counter("rowmesh_capturer_pruned_versions_total", "Versions of tables taken from the store because no place in the log needs them."),
		connections:  gauge("rowmesh_capturer_connections", "Open binlog connections."),
		subscribers:  gauge("rowmesh_capturer_subscribers", "Open subscriptions."),
		lag:          gauge("rowmesh_capturer_lag_seconds", "Age of the newest event that the shared reader has read; 0 at the end of the log."),
	}
}

// copied counts what a copy sent.
func (m *metrics) copied(id registry.SourceID, rows, bytes int) {
	m.copiedRows.WithLabelValues(string(id)).Add(float64(rows))
	m.copiedBytes.WithLabelValues(string(id)).Add(float64(bytes))
}

func (m *metrics) connected(id registry.SourceID, delta float64) {
	m.connections.WithLabelValues(string(id)).Add(delta)
}

// observe tells the metrics what the reader has done.
func (r *reader) observe() {
	m, id, c := r.src.metrics, string(r.src.id), &r.pending
	if c.events > 0 {
		m.rows.WithLabelValues(id).Add(float64(c.rows))
		m.bytes.WithLabelValues(id).Add(float64(c.bytes))
		m.events.WithLabelValues(id).Add(float64(c.events))
		m.transactions.WithLabelValues(id).Add(float64(c.transactions))
		*c = counts{}
	}
	lag := time.Duration(0)
	if !r.caughtUp.Load() && !r.eventTime.IsZero() {
		lag = max(r.now().Sub(r.eventTime), 0)
	}
	m.lag.WithLabelValues(id).Set(lag.Seconds())
}
