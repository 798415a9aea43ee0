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

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/twmb/franz-go/pkg/kgo"
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

// quietTime and busyTime are how long a connector's delays are measured while nothing and while another's config changes.
const quietTime, busyTime = 10 * time.Second, 10 * time.Second

// BenchmarkConfigChange measures what the config changes of one connector, five a second, cost another on the same source: the time from a commit in the database to
// the record at a consumer, in the slowest of a hundred rows, before and meanwhile.
func BenchmarkConfigChange(b *testing.B) {
	addr := harness.Addr(b, harness.MySQL)
	db := harness.Root(b, addr)
	harness.Exec(b, db, "drop database if exists config_change", "create database config_change", "create table config_change.t (id int primary key)")
	m := harness.Start(b, harness.Size{Coordinators: 2, Capturers: 1, Publishers: 1}, nil)
	other := m.Connector(harness.MySQL, addr, "change-other", "config_change", map[string]string{"database.server.id": "7301"})
	m.Create(b, "change-watched", m.Connector(harness.MySQL, addr, "change-watched", "config_change", map[string]string{"database.server.id": "7300"}))
	m.Create(b, "change-other", other)
	harness.Await(b, time.Minute, "both to run", func() error {
		if err := m.Running(b, "change-watched", 1); err != nil {
			return err
		}
		return m.Running(b, "change-other", 1)
	})
	cl, err := kgo.NewClient(kgo.SeedBrokers(m.Kafka), kgo.ConsumeTopics("change-watched.config_change.t"), kgo.MetadataMaxAge(time.Second), kgo.MetadataMinAge(100*time.Millisecond),
		kgo.UnknownTopicRetries(-1), kgo.FetchMaxWait(time.Second))
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	d := &delays{sent: map[int]time.Time{}}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var g errgroup.Group
	g.Go(func() error { return d.write(ctx, db) })
	g.Go(func() error { d.read(ctx, cl); return nil })
	harness.Await(b, time.Minute, "records to flow", func() error {
		if d.take(99) == 0 {
			return fmt.Errorf("none")
		}
		return nil
	})
	for n := range b.N {
		pause(ctx, quietTime)
		b.ReportMetric(float64(d.take(99).Microseconds())/1000, "quiet-p99-ms")
		for end := time.Now().Add(busyTime); time.Now().Before(end); pause(ctx, 200*time.Millisecond) {
			other["rowmesh.commit.max.bytes"] = fmt.Sprint(1_000_000 + n + int(time.Until(end).Milliseconds()))
			if code, body := m.Call(b, http.MethodPut, "/connectors/change-other/config", other); code != http.StatusOK {
				b.Fatal(code, body)
			}
		}
		b.ReportMetric(float64(d.take(99).Microseconds())/1000, "changing-p99-ms")
	}
	cancel()
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// delays are the times from commits to records.
type delays struct {
	mu   sync.Mutex
	sent map[int]time.Time
	all  []time.Duration
}

// write inserts a hundred rows a second.
func (d *delays) write(ctx context.Context, db *client.Conn) error {
	for id := 1; ctx.Err() == nil; id++ {
		if _, err := db.Execute("insert into config_change.t values (?)", id); err != nil {
			return err
		}
		d.mu.Lock()
		d.sent[id] = time.Now()
		d.mu.Unlock()
		pause(ctx, 10*time.Millisecond)
	}
	return nil
}

func (d *delays) read(ctx context.Context, cl *kgo.Client) {
	for ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			now := time.Now()
			var key struct{ Payload struct{ ID int } }
			_ = json.Unmarshal(r.Key, &key)
			d.mu.Lock()
			if at, ok := d.sent[key.Payload.ID]; ok {
				d.all = append(d.all, max(now.Sub(at), 0))
				delete(d.sent, key.Payload.ID)
			}
			d.mu.Unlock()
		})
	}
}

// take returns a percentile of the times since it was called last; 0 if there are none.
func (d *delays) take(percentile int) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.all
	d.all = nil
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[(len(all)-1)*percentile/100]
}
