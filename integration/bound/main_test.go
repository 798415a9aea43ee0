package bound

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/integration/harness"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/rpc"
)

var full = flag.Bool("bound.full", os.Getenv("ROWMESH_FULL") == "1", "the sizes that the promises name, not a tenth of them")

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// one is the smallest mesh: the promises are per process.
var one = harness.Size{Coordinators: 1, Capturers: 1, Publishers: 1}

// started fails until the connector has a place in the log: what is written from then on is captured.
func started(t testing.TB, m *harness.Mesh, name string) error {
	code, body := m.Call(t, http.MethodGet, "/connectors/"+name+"/offsets", nil)
	if code != http.StatusOK || !strings.Contains(body, `"pos"`) {
		return fmt.Errorf("%d %s", code, body)
	}
	return m.Running(t, name, 1)
}

// plain are the options of a connector whose records are small and which takes no snapshot.
func plain(tables string) map[string]string {
	return map[string]string{"table.include.list": tables, "snapshot.mode": "no_data", "key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false"}
}

// memory returns one line of /proc/PID/status, MB: VmRSS now, VmHWM at most.
func memory(t testing.TB, p *servers.Process, what string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		t.Fatalf("%s: %v", p.Name, err)
	}
	_, after, found := strings.Cut(string(text), what+":")
	if !found {
		t.Fatalf("%s: no %s in its status", p.Name, what)
	}
	kb, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kb / 1000
}

// under fails if capturer and publisher had more than limit MB together.
func under(t testing.TB, m *harness.Mesh, limit int) {
	t.Helper()
	c, p := memory(t, m.Process("capturer-1"), "VmHWM"), memory(t, m.Process("publisher-1"), "VmHWM")
	t.Logf("peak: capturer %d MB, publisher %d MB", c, p)
	if c+p > limit {
		t.Errorf("capturer %d MB, publisher %d MB: more than %d MB together", c, p, limit)
	}
}

// ids counts the records of a topic by the id in their keys, as a read_committed consumer sees them.
type ids struct {
	mu      sync.Mutex
	seen    []uint8
	at      []time.Time // of the first record of each id; for few ids only
	last    int         // in a topic of one partition ids come in order
	total   int
	doubled int
	late    int
}

// timed is the number of ids up to which arrival times are kept.
const timed = 1 << 16

// watch counts ids below n until the test ends.
func watch(t testing.TB, kafka, topic string, n int) *ids {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.FetchMaxBytes(8<<20), kgo.MetadataMinAge(100*time.Millisecond), kgo.MetadataMaxAge(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	w := &ids{seen: make([]uint8, n), last: -1}
	if n <= timed {
		w.at = make([]time.Time, n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cl.Close()
		for ctx.Err() == nil {
			cl.PollFetches(ctx).EachRecord(w.add)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

func (w *ids) add(r *kgo.Record) {
	var k struct{ ID int }
	if json.Unmarshal(r.Key, &k) != nil || k.ID < 0 || k.ID >= len(w.seen) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen[k.ID]++; w.seen[k.ID] > 1 {
		w.doubled++
	} else {
		w.total++
		if w.at != nil {
			w.at[k.ID] = time.Now()
		}
	}
	if k.ID < w.last {
		w.late++
	}
	w.last = k.ID
}

// times returns when each id came.
func (w *ids) times() []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.at)
}

// reached fails until n different ids were seen.
func (w *ids) reached(n int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.total < n {
		var missing []int
		for id := 0; id < min(n, len(w.seen)) && len(missing) < 20; id++ {
			if w.seen[id] == 0 {
				missing = append(missing, id)
			}
		}
		return fmt.Errorf("%d of %d rows; the first that are missing: %v", w.total, n, missing)
	}
	return nil
}

// describe asks the capturer what it knows of a source.
func describe(t testing.TB, m *harness.Mesh, source string) (*capturev1.DescribeSourceResponse, error) {
	t.Helper()
	cc, err := rpc.Dial(m.Members["capturer-1"].GRPC, rpc.Security{})
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return capturev1.NewCaptureServiceClient(cc).DescribeSource(ctx, &capturev1.DescribeSourceRequest{Source: source})
}

// where says how far each part is with the rows of a topic that is watched: the topic's end and its last stable offset, the lane, the capturer's subscribers.
func where(t testing.TB, m *harness.Mesh, kafka, topic, connector, source string) string {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	adm := kadm.NewClient(cl)
	end, err := adm.ListEndOffsets(ctx, topic)
	stable, err2 := adm.ListCommittedOffsets(ctx, topic)
	src, err3 := describe(t, m, source)
	_, status := m.Call(t, http.MethodGet, "/connectors/"+connector+"/status", nil)
	_, offsets := m.Call(t, http.MethodGet, "/connectors/"+connector+"/offsets", nil)
	return fmt.Sprintf("topic: end %v, stable %v\nstatus: %s\noffsets: %s\nsubscribers: %v\n%v", end, stable, status, offsets, src.GetSubscribers(), cmp.Or(err, err2, err3))
}

// exact fails the test if an id came twice or out of order.
func (w *ids) exact(t testing.TB) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.doubled > 0 || w.late > 0 {
		t.Errorf("%d rows came twice, %d out of order", w.doubled, w.late)
	}
}
