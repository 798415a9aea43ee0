package publisher

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/publisher/kafka"
	"github.com/rowmesh/rowmesh/publisher/lane/sim"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/offset"
	"github.com/rowmesh/rowmesh/services/registry"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "run the simulation with this seed only, and print what happens")
	simSeeds = flag.Uint64("sim.seeds", 20_000, "how many seeds the simulation runs")
)

// simulation is a world with the real tasks of publishers in it.
type simulation struct {
	*sim.World
	cfg     *config.Connector
	metrics *metrics
	hosts   map[*sim.Host]*simHost
}

// simHost is a publisher's process.
type simHost struct {
	s      *simulation
	host   *sim.Host
	p      *Publisher
	roster *roster
	leave  func() // SIGTERM
}

// simSetup is what all worlds of one worker share: what costs time to make and is not changed.
type simSetup struct {
	configs []*config.Connector
	metrics *metrics
}

func newSimSetup(t testing.TB) *simSetup {
	t.Helper()
	m, err := newMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	s := &simSetup{metrics: m}
	for _, more := range []map[string]string{
		{"snapshot.mode": "initial"},
		{"snapshot.mode": "when_needed", "tombstones.on.delete": "false"},
		{"snapshot.mode": "initial", "heartbeat.interval.ms": "500"},
		{"snapshot.mode": "when_needed", "provide.transaction.metadata": "true"},
	} {
		c := map[string]string{"connector.class": "io.debezium.connector.mysql.MySqlConnector", "database.hostname": "127.0.0.1", "database.port": "3306",
			"database.user": "u", "database.password": "p", "database.server.id": "1", "topic.prefix": sim.Prefix, "value.converter.schemas.enable": "false",
			"key.converter.schemas.enable": "false", "offsets.storage.topic": sim.OffsetsTopic, "rowmesh.commit.interval.ms": "20", "rowmesh.commit.max.bytes": "4000",
			"value.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter": "org.apache.kafka.connect.json.JsonConverter",
			"include.schema.changes": "false", "schema.history.internal.kafka.bootstrap.servers": "x:1", "schema.history.internal.kafka.topic": "x"}
		for k, v := range more {
			c[k] = v
		}
		cfg, res := config.Parse(sim.ConnectorName, c)
		if err := res.Err(); err != nil {
			t.Fatal(err)
		}
		s.configs = append(s.configs, cfg)
	}
	return s
}

// newSimulation makes the world of a seed.
func (x *simSetup) newSimulation(seed uint64, broken sim.Mutant, trace bool) *simulation {
	w := sim.New(seed, broken, trace)
	s := &simulation{World: w, cfg: x.configs[w.Rand.IntN(len(x.configs))], metrics: x.metrics, hosts: map[*sim.Host]*simHost{}}
	w.Broker.Verify = w.Rand.IntN(2) == 0
	w.Broker.Partitions, w.Broker.OffsetPartitions = int32(1+w.Rand.IntN(2)), int32(1+w.Rand.IntN(2))
	w.Source.GTIDs = w.Rand.IntN(4) > 0
	w.Source.Init(1+w.Rand.IntN(4), w.Rand.IntN(6))
	w.Source.Limit = 10 + w.Rand.IntN(30)
	for i := range 2 + w.Rand.IntN(2) {
		w.Hosts = append(w.Hosts, &sim.Host{Name: fmt.Sprintf("w%d", i), Up: true})
	}
	if w.Rand.IntN(6) == 0 { // it comes from Debezium
		w.Broker.Put(offset.Key{Connector: sim.ConnectorName, Server: sim.Prefix}.Bytes(), w.Source.Foreign())
	}
	w.Leave = func(h *sim.Host) { s.hosts[h].leave() }
	w.Registry.Start = s.start
	w.Registry.Tell = func(h *sim.Host, lanes []registry.Lane) { s.hosts[h].roster.follow(lanes) }
	w.Registry.Status = s.status
	for _, h := range w.Hosts {
		s.start(h)
	}
	w.Registry.Begin(1 + uint32(w.Rand.IntN(3)))
	return s
}

// start starts a publisher's process.
func (s *simulation) start(h *sim.Host) {
	ctx, leave := context.WithCancel(context.Background())
	x := &simHost{s: s, host: h, leave: leave}
	log := slog.New(slog.DiscardHandler)
	if s.Tracing() {
		log = slog.New(slog.NewTextHandler(simLog{s.World}, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})).With("host", h.Name)
	}
	x.p = &Publisher{cfg: Config{WorkerID: h.Name, MeshName: sim.MeshName, Parse: func(string, map[string]string) (*config.Connector, config.Result) { return s.cfg, config.Result{} }}.withDefaults(),
		mesh: x, subscribe: x.open, log: log, metrics: s.metrics, out: x, tasks: map[registry.LaneID]*task{}}
	x.roster = &roster{p: x.p, assigned: map[registry.LaneID]registry.Lane{}}
	x.roster.start = func(t *task) {
		s.Go(h, fmt.Sprintf("%s/%d", h.Name, t.id.Task), func() uint64 { return t.lane.Generation }, func() {
			t.ctx, t.work = ctx, context.Background()
			defer t.release()
			if err := t.loop(); err != nil {
				s.Fail("task %d: %v", t.id.Task, err)
			}
			x.roster.ended(t.id, ctx.Err() == nil)
		})
	}
	s.hosts[h] = x
}

// simLog writes a task's log into the trace.
type simLog struct{ w *sim.World }

func (l simLog) Write(b []byte) (int, error) {
	l.w.Trace("%s", strings.TrimSpace(string(b)))
	return len(b), nil
}

func (s *simulation) task(h *sim.Host, n uint32) *task {
	return s.hosts[h].p.task(registry.LaneID{Connector: sim.ConnectorName, Task: n})
}

func (s *simulation) status(h *sim.Host, n uint32) (registry.LaneStatus, bool) {
	t := s.task(h, n)
	if t == nil {
		return registry.LaneStatus{}, false
	}
	t.status.mu.Lock()
	defer t.status.mu.Unlock()
	return t.status.now, t.status.now.State != ""
}

// The outside of a task.

var simEpoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (x *simHost) now() time.Time { return simEpoch.Add(x.s.Now) }

func (x *simHost) pump(s Stream) *pump {
	p := &pump{s: s, ch: make(chan message, pumpDepth), done: make(chan struct{})}
	x.s.Pump(x.host, func() (moved, done bool) {
		select {
		case <-p.done:
			return false, true
		default:
		}
		if len(p.ch) == cap(p.ch) {
			return false, false
		}
		m, err := s.(*simStream).Next()
		if m == nil && err == nil {
			return false, false
		}
		p.ch <- message{m, err}
		return true, err != nil
	})
	return p
}

func (x *simHost) wait(ctx context.Context, w waking) (m message, got bool) {
	at := time.Duration(0)
	if !w.at.IsZero() {
		at = max(w.at.Sub(simEpoch), 1)
	}
	broken := func() bool {
		select {
		case <-w.broken:
			return true
		default:
			return false
		}
	}
	x.s.Until(at, func() bool {
		return len(w.stream) > 0 || len(w.inbox) > 0 || ctx.Err() != nil || w.broken != nil && broken()
	})
	first := x.s.Rand.IntN(2) == 0
	if first && len(w.stream) > 0 {
		return <-w.stream, true
	}
	if len(w.inbox) > 0 {
		<-w.inbox
		return message{}, false
	}
	if len(w.stream) > 0 {
		return <-w.stream, true
	}
	return message{}, false
}

func (x *simHost) sleep(ctx context.Context, d time.Duration) error {
	x.s.Sleep(d)
	return ctx.Err()
}

func (x *simHost) producer(cfg kafka.Config) (producer, error) {
	return simProducer{x.s.Broker.NewProducer(x.host, cfg.TransactionalID)}, nil
}

func (x *simHost) offsets(offset.Config) offsets { return sim.Offsets{B: x.s.Broker} }

type simProducer struct{ *sim.Producer }

func (p simProducer) topics() (topics, error) { return sim.Topics{B: p.Broker()}, nil }

// The mesh of a task.

func (x *simHost) Watch(context.Context) <-chan []registry.Lane { return nil }

func (x *simHost) Confirm(_ context.Context, l registry.Lane) error {
	return x.s.Registry.Confirm(x.host, l)
}

func (x *simHost) Connector(context.Context, string) (registry.Connector, error) {
	x.s.Pause()
	if x.s.Chance(40) {
		return registry.Connector{}, errs.E(errs.Unavailable, "etcd does not answer")
	}
	return registry.Connector{Name: sim.ConnectorName}, nil
}

func (x *simHost) CapturerFor(context.Context, registry.SourceID) (string, error) {
	if x.s.Chance(20) {
		return "", errs.E(errs.Unavailable, "no capturer has the source")
	}
	return "capturer", nil
}

func (x *simHost) PutStatus(context.Context, registry.LaneStatus) error { return nil }

// simStream is a subscription.
type simStream struct{ *sim.Stream }

func (s *simStream) Recv() (*capturev1.SubscribeResponse, error) {
	return nil, errs.E(errs.Internal, "not read this way")
}

func (s *simStream) Release(*capturev1.SubscribeResponse) {}

func (x *simHost) open(_ context.Context, _ string, open *capturev1.Open) (Stream, error) {
	x.s.Pause()
	s, err := x.s.Source.Subscribe(open)
	if err != nil {
		return nil, err
	}
	return &simStream{s}, nil
}

const (
	// simSteps are taken while things go wrong; then the world heals, and has simPatience for the rest.
	simSteps    = 1500
	simPatience = 60_000
)

// run returns what went wrong first.
func (s *simulation) run() string {
	defer func() {
		s.Close()
		for _, x := range s.hosts {
			x.leave()
		}
	}()
	for range simSteps {
		s.Step()
		if s.Bad() != "" {
			return s.Bad()
		}
	}
	s.Heal()
	missing := ""
	for i := range simPatience {
		s.Step()
		if s.Bad() != "" {
			return s.Bad()
		}
		if i%100 == 99 {
			if missing = s.missing(); missing == "" {
				return ""
			}
		}
	}
	return "stuck: " + missing
}

// missing says what has not come although it should; a table whose lane has stopped and says so is excused, and one that only a snapshot brings back.
func (s *simulation) missing() string {
	if !s.Source.Done() {
		return "the source is not done"
	}
	return s.Judge.Missing(func(table string) bool {
		for _, h := range s.Hosts {
			if !h.Up {
				continue
			}
			for _, t := range s.hosts[h].p.tasks {
				if t.lane.Generation == 0 || sim.LaneOf(t.lane.Count, t.lane.Pins, table) != t.id.Task || !s.Registry.Owns(h, t.lane) {
					continue
				}
				st, _ := s.status(h, t.id.Task)
				if st.State == registry.LaneFailed && st.Code == string(errs.Gap) && s.Source.Gaps > 0 {
					return true
				}
				if a := t.place.taken.Aside.Find(table); a != nil && a.Stopped && a.At == nil {
					return true
				}
			}
		}
		return false
	})
}

// simulate runs one seed.
func (x *simSetup) simulate(seed uint64, broken sim.Mutant) string {
	return x.newSimulation(seed, broken, false).run()
}

// traceOf runs a seed again and returns what happened.
func (x *simSetup) traceOf(seed uint64, broken sim.Mutant, lines int) (bad, trace string) {
	s := x.newSimulation(seed, broken, true)
	bad = s.run()
	events := s.Events()
	return bad, strings.Join(events[max(0, len(events)-lines):], "\n")
}

// each runs seeds on all processors until f returns false.
func each(t *testing.T, seeds uint64, f func(x *simSetup, seed uint64) bool) {
	var next atomic.Uint64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		x := newSimSetup(t)
		wg.Go(func() {
			for {
				seed := next.Add(1)
				if seed > seeds {
					return
				}
				if !f(x, seed) {
					next.Store(seeds)
				}
			}
		})
	}
	wg.Wait()
}

// TestSimulation runs the publisher's own tasks in worlds where everything goes wrong, one world a seed: see package lane/sim. A failure prints its seed.
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		bad, trace := newSimSetup(t).traceOf(*simSeed, sim.Sound, 1<<30)
		fmt.Fprintln(os.Stderr, trace)
		if bad != "" {
			t.Fatal(bad)
		}
		return
	}
	seeds := *simSeeds
	if testing.Short() {
		seeds = min(seeds, 300)
	}
	each(t, seeds, func(x *simSetup, seed uint64) bool {
		bad := x.simulate(seed, sim.Sound)
		if bad == "" {
			return true
		}
		again, trace := x.traceOf(seed, sim.Sound, 60)
		t.Errorf("seed %d: %s\nreplay with -run TestSimulation -sim.seed=%d; again it is %q; the last events:\n%s", seed, bad, seed, again, trace)
		return false
	})
}

// TestMutants proves that the simulation can see: each broken rule must be found, as what it is.
func TestMutants(t *testing.T) {
	for _, c := range []struct {
		broken sim.Mutant
		name   string
		want   []string // violations of which one must be found
	}{
		{sim.EtcdCheckpoint, "the checkpoint is kept in etcd by compare-and-swap", []string{"twice", "lost"}},
		{sim.ReuseAfterUnclean, "a producer is used again after an unclean end", []string{"twice", "lost", "ahead"}},
		{sim.ReadToStable, "the checkpoint is read at the last stable offset", []string{"twice", "lost"}},
		{sim.SkipDeliveryErrors, "a delivery error is skipped", []string{"lost", "ahead"}},
		{sim.NoConfirm, "ownership is not confirmed after the fence", []string{"zombie"}},
		{sim.CheckpointBehind, "the checkpoint covers less than the rows", []string{"twice"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			found := ""
			each(t, *simSeeds, func(x *simSetup, seed uint64) bool {
				bad := x.simulate(seed, c.broken)
				kind, _, _ := strings.Cut(bad, ":")
				if !slices.Contains(c.want, kind) {
					return true
				}
				mu.Lock()
				defer mu.Unlock()
				found = fmt.Sprintf("seed %d: %s", seed, bad)
				return false
			})
			if found == "" {
				t.Errorf("not found in %d seeds", *simSeeds)
			}
			t.Log(found)
		})
	}
}
