package main

import (
	"context"
	"sync"
	"time"

	"github.com/rowmesh/rowmesh/integration/check"
	"github.com/rowmesh/rowmesh/integration/fault"
)

// watch looks at a load all the time.
type watch struct {
	c *fault.Cluster
	l *fault.Load

	mu      sync.Mutex
	samples []check.Sample
	gap     time.Duration // the largest lag since it was asked for last
	calm    bool          // all is healed, and was found well
}

const (
	// lookEvery is how fine gaps are measured.
	lookEvery = 50 * time.Millisecond
	// sampleEvery is how often the report gets a point: 300 in a round of five minutes.
	sampleEvery = time.Second
)

// run looks until ctx ends.
func (w *watch) run(ctx context.Context) {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	var sampled time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		lag := w.l.Lag()
		w.mu.Lock()
		w.gap = max(w.gap, lag)
		calm := w.calm
		w.mu.Unlock()
		if time.Since(sampled) < sampleEvery {
			continue
		}
		sampled = time.Now()
		s := check.Sample{AtMS: sampled.UnixMilli(), LagMS: lag.Milliseconds(), Healed: calm}
		if calm {
			s.Unowned = w.unowned(ctx)
		}
		w.mu.Lock()
		s.Healed = s.Healed && w.calm // a fault may have begun meanwhile
		w.samples = append(w.samples, s)
		w.mu.Unlock()
	}
}

// unowned is how many lanes nobody has.
func (w *watch) unowned(ctx context.Context) (n int) {
	all, _, err := w.c.Tasks(ctx, w.l.Name)
	if err != nil {
		return 0 // the REST API is not what is judged here
	}
	for _, t := range all {
		if t.State == "UNASSIGNED" {
			n++
		}
	}
	return n
}

// begin says that a fault begins.
func (w *watch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calm, w.gap = false, 0
}

// well says that all is healed and well, and returns the longest gap since begin.
func (w *watch) well() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calm = true
	return w.gap
}
