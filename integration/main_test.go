package integration

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/rowmesh/rowmesh/integration/check"
	"github.com/rowmesh/rowmesh/integration/harness"
	"github.com/rowmesh/rowmesh/integration/traffic"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// reader follows a connector's topics as a consumer does.
type reader struct {
	mu   sync.Mutex
	recs []*kgo.Record
	stop context.CancelFunc
	done chan struct{}
}

// follow reads all topics that begin with prefix + ".", from their starts, committed records only.
func follow(t testing.TB, kafka, prefix string) *reader {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.ConsumeRegex(), kgo.ConsumeTopics("^"+strings.ReplaceAll(prefix, ".", `\.`)+`\..*`),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.MetadataMinAge(100*time.Millisecond), kgo.MetadataMaxAge(500*time.Millisecond), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &reader{stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		defer cl.Close()
		for ctx.Err() == nil {
			f := cl.PollFetches(ctx)
			r.mu.Lock()
			f.EachRecord(func(x *kgo.Record) { r.recs = append(r.recs, x) })
			r.mu.Unlock()
		}
	}()
	t.Cleanup(func() { cancel(); <-r.done })
	return r
}

// records returns what was read so far.
func (r *reader) records() []*kgo.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.recs[:len(r.recs):len(r.recs)]
}

// judge waits until the stream holds every committed change (or limit passes), then checks every promise.
func judge(t *testing.T, r *reader, prefix string, w *traffic.Registers, limit time.Duration) {
	t.Helper()
	log := w.Log()
	harness.Await(t, limit, "the stream to hold every last change", func() error {
		seen := bySeen(t, r, prefix, w.Database)
		for table, keys := range log {
			for k, changes := range keys {
				got := seen[table][k]
				last := changes[len(changes)-1]
				if len(got) == 0 && last.Op == 'd' {
					continue
				}
				if len(got) == 0 || got[len(got)-1].Version < last.Version {
					return fmt.Errorf("%s key %d has %d of %d changes", table, k, len(got), len(changes))
				}
			}
		}
		return nil
	})
	seen := bySeen(t, r, prefix, w.Database)
	n := 0
	for table, keys := range log {
		for _, v := range check.Registers(table, keys, seen[table]) {
			if n++; n <= 20 {
				t.Error(v)
			}
		}
	}
	t.Logf("%d changes committed, %d records read, %d violations", w.Count(), len(r.records()), n)
}

func bySeen(t *testing.T, r *reader, prefix, database string) map[string]check.Seen {
	out := map[string]check.Seen{}
	for _, x := range r.records() {
		table, ok := strings.CutPrefix(x.Topic, prefix+"."+database+".")
		if !ok {
			continue
		}
		if out[table] == nil {
			out[table] = check.Seen{}
		}
		if err := out[table].Add(x.Value); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// snapshotDone waits until what is written from now on comes as changes: a task runs before its snapshot has begun.
func snapshotDone(t testing.TB, m *harness.Mesh, name string) {
	t.Helper()
	harness.Await(t, 30*time.Second, "snapshot of "+name, func() error {
		_, body := m.Call(t, "GET", "/connectors/"+name+"/offsets", nil)
		if !strings.Contains(body, `"pos"`) || strings.Contains(body, "INITIAL") {
			return fmt.Errorf("offsets %s", body)
		}
		return nil
	})
}
