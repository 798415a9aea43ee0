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
	"github.com/rowmesh/rowmesh/integration/history"
	"github.com/rowmesh/rowmesh/integration/traffic"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// reader follows a connector's topics as a consumer does.
type reader struct {
	kafka  string
	faults []check.Fault
	mu     sync.Mutex
	recs   []*kgo.Record
	stop   context.CancelFunc
	done   chan struct{}
	// foreign: others write to the topics too, with checkpoints of their own.
	foreign bool
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
	r := &reader{kafka: kafka, stop: cancel, done: make(chan struct{})}
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

// fault notes for the report what is done to a process now.
func (r *reader) fault(name, target string) {
	at := time.Now().UnixMilli()
	r.faults = append(r.faults, check.Fault{AtMS: at, UntilMS: at, Name: name, Target: target})
}

// records returns what was read so far.
func (r *reader) records() []*kgo.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.recs[:len(r.recs):len(r.recs)]
}

// judge waits until the stream holds every committed change (or limit passes), then checks every promise against the server's own log.
func judge(t *testing.T, r *reader, prefix string, w *traffic.Registers, limit time.Duration) {
	t.Helper()
	log := w.Log()
	newest := map[string]map[int64]int64{}
	read := 0
	harness.Await(t, limit, "the stream to hold every last change", func() error {
		records := r.records()
		for _, x := range records[read:] {
			if table, ok := strings.CutPrefix(x.Topic, prefix+"."+w.Database+"."); ok && x.Value != nil {
				key, version, err := history.Newest(x.Value)
				if err != nil {
					t.Fatal(err)
				}
				if newest[table] == nil {
					newest[table] = map[int64]int64{}
				}
				newest[table][key] = version
			}
		}
		read = len(records)
		for table, keys := range log {
			for k, changes := range keys {
				last := changes[len(changes)-1]
				if got := newest[table][k]; got < last.Version && !(got == 0 && last.Op == 'd') {
					return fmt.Errorf("%s key %d has version %d of %d", table, k, got, last.Version)
				}
			}
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	files, err := history.Fetch(ctx, harness.ProgramAt(t, w.Addr), w.Addr, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	offsets, err := history.OffsetsOf(ctx, r.kafka, "offsets-", prefix)
	if err != nil {
		t.Fatal(err)
	}
	j := check.New()
	for _, f := range r.faults {
		j.Fault(f)
	}
	if err := (history.Run{Files: files, Kafka: r.kafka, Prefix: prefix, Database: w.Database, Offsets: offsets}).Judge(ctx, j); err != nil {
		t.Fatal(err)
	}
	for table, keys := range log { // the workload and the server must agree, or neither is worth anything
		if err := history.Rows(ctx, j, w.Addr, w.Database, table); err != nil {
			t.Fatal(err)
		}
		for k, changes := range keys {
			if n := j.Versions(w.Database+"."+table, k); n != len(changes) {
				t.Fatalf("%s key %d: the workload committed %d changes, the server's log has %d", table, k, len(changes), n)
			}
		}
	}
	report := j.Finish()
	report.Name, report.Seed = t.Name(), w.Seed
	if !r.foreign && report.Bound < report.Segments/2 {
		t.Errorf("checkpoints bind %d of %d pieces of Kafka transactions: the judge sees too little", report.Bound, report.Segments)
	}
	for _, v := range report.Violations {
		t.Error(v)
	}
	history.Save(t, report)
	t.Logf("%d changes committed; %d events, %d checkpoints, %d records and markers judged, %d of %d pieces of Kafka transactions bound by checkpoints; violations %v",
		report.Changes, report.Events, report.Checkpoints, report.Raw, report.Bound, report.Segments, report.Count)
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
