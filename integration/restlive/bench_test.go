package restlive

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rowmesh/rowmesh/integration/harness"
)

// manyConnectors is how many a large installation of Kafka Connect has.
const manyConnectors = 1000

// BenchmarkManyConnectors creates a thousand connectors on one database, eight clients at a time, and then reads: how long a creation takes, and how long
// the slowest of a hundred reads of each kind. Their lanes wait for publishers, of which there are none: what is measured is the API and the coordinator.
func BenchmarkManyConnectors(b *testing.B) {
	addr := harness.Addr(b, harness.MySQL)
	m := harness.Start(b, harness.Size{Coordinators: 2, Capturers: 1}, nil)
	for n := range b.N {
		begin := time.Now()
		var g errgroup.Group
		g.SetLimit(8)
		for i := range manyConnectors {
			g.Go(func() error {
				name := fmt.Sprintf("many-%d-%d", n, i)
				config := m.Connector(harness.MySQL, addr, name, "rest_inv", map[string]string{"database.server.id": fmt.Sprint(100_000 + i)})
				return create(b.Context(), m.REST, name, config)
			})
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(begin).Seconds(), "s/1000creations")
	}
	for metric, path := range map[string]string{
		"get": "/connectors/many-0-500", "status": "/connectors/many-0-500/status", "config": "/connectors/many-0-500/config", "list": "/connectors",
	} {
		b.ReportMetric(float64(readTimes(b, m.REST+path, 2000, 4, 99).Microseconds())/1000, metric+"-p99-ms")
	}
	b.ReportMetric(float64(readTimes(b, m.REST+"/connectors?expand=status&expand=info", 20, 1, 50).Microseconds())/1000, "expanded-list-p50-ms")
}

func create(ctx context.Context, base, name string, config map[string]string) error {
	body, err := json.Marshal(map[string]any{"name": name, "config": config})
	if err != nil {
		return err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/connectors", bytes.NewReader(body))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if answer, _ := io.ReadAll(r.Body); r.StatusCode != http.StatusCreated {
		return fmt.Errorf("%s: %s %s", name, r.Status, answer)
	}
	return nil
}

// readTimes reads a URL n times, some at once, and returns a percentile of the times.
func readTimes(b *testing.B, url string, n, atOnce, percentile int) time.Duration {
	b.Helper()
	var mu sync.Mutex
	var times []time.Duration
	var g errgroup.Group
	g.SetLimit(atOnce)
	for range n {
		g.Go(func() error {
			begin := time.Now()
			r, err := http.Get(url)
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, r.Body)
			r.Body.Close()
			if r.StatusCode != http.StatusOK {
				return fmt.Errorf("%s: %s", url, r.Status)
			}
			mu.Lock()
			times = append(times, time.Since(begin))
			mu.Unlock()
			return err
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	slices.Sort(times)
	return times[(len(times)-1)*percentile/100]
}
