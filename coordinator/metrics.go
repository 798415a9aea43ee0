package coordinator

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rowmesh/rowmesh/services/registry"
)

// metrics of a coordinator. What the registry holds is counted when it is asked for, from the cache.
type metrics struct {
	leader    prometheus.Gauge
	moves     *prometheus.CounterVec
	reconcile prometheus.Histogram
	failures  prometheus.Counter
}

func newMetrics(r prometheus.Registerer, cache *registry.Cache, rules rules) *metrics {
	m := &metrics{
		leader: prometheus.NewGauge(prometheus.GaugeOpts{Name: "rowmesh_coordinator_leader", Help: "1 while this coordinator leads."}),
		moves: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rowmesh_coordinator_moves_total",
			Help: "Lanes and sources that this coordinator, leading, took from one member and gave to another."}, []string{"kind"}),
		reconcile: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "rowmesh_coordinator_reconcile_seconds",
			Help: "Time from looking at the registry to having written what should be different.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 12)}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{Name: "rowmesh_coordinator_reconcile_failures_total",
			Help: "Plans that could not be written and are made again."}),
	}
	r.MustRegister(m.leader, m.moves, m.reconcile, m.failures, &stateCollector{
		cache:      cache,
		rules:      rules,
		connectors: prometheus.NewDesc("rowmesh_connectors", "Connectors by state.", []string{"state"}, nil),
		lanes:      prometheus.NewDesc("rowmesh_lanes", "Lanes (tasks) by state.", []string{"state"}, nil),
		members:    prometheus.NewDesc("rowmesh_members", "Members with a lease by role.", []string{"role"}, nil),
		sources:    prometheus.NewDesc("rowmesh_sources", "Sources by whether a living capturer has them.", []string{"owned"}, nil),
	})
	return m
}

func (m *metrics) applied(p plan, took time.Duration) {
	m.reconcile.Observe(took.Seconds())
	m.moves.WithLabelValues("lane").Add(float64(p.laneMoves))
	m.moves.WithLabelValues("source").Add(float64(p.sourceMoves))
}

// stateCollector counts what the cache holds.
type stateCollector struct {
	cache                               *registry.Cache
	rules                               rules
	connectors, lanes, members, sources *prometheus.Desc
}

var _ prometheus.Collector = (*stateCollector)(nil)

// Describe implements prometheus.Collector.
func (s *stateCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{s.connectors, s.lanes, s.members, s.sources} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (s *stateCollector) Collect(out chan<- prometheus.Metric) {
	st, _ := s.cache.State()
	if st == nil {
		return
	}
	connectors, lanes := make(map[string]int), make(map[string]int)
	viewer := newViewer(st, "", s.rules, nil)
	for _, c := range st.Connectors {
		v := viewer.view(c)
		connectors[v.State]++
		for _, l := range v.Lanes {
			lanes[string(l.State)]++
		}
	}
	members := make(map[string]int)
	for _, m := range st.Members {
		members[string(m.Role)]++
	}
	sources := make(map[string]int)
	for _, src := range st.Sources {
		if _, ok := st.Members[src.Owner]; ok {
			sources["yes"]++
		} else {
			sources["no"]++
		}
	}
	for desc, counts := range map[*prometheus.Desc]map[string]int{s.connectors: connectors, s.lanes: lanes, s.members: members, s.sources: sources} {
		for label, n := range counts {
			out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(n), label)
		}
	}
}
