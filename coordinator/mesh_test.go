package coordinator

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/lease/etcdnode"
	"github.com/rowmesh/rowmesh/services/registry"
)

const testWait = 20 * time.Second

// mesh is an etcd with coordinators and members around it, in this process.
type mesh struct {
	t     *testing.T
	node  *etcdnode.Node
	store *registry.Store // of the test itself
	ttl   time.Duration   // of the leases of members that come
}

func newMesh(t *testing.T) *mesh {
	t.Helper()
	if testing.Short() {
		t.Skip("starts an etcd")
	}
	m := &mesh{t: t, ttl: 2 * time.Second}
	m.start(etcdnode.Config{Dir: t.TempDir(), NoSync: true})
	m.store = m.open()
	return m
}

func (m *mesh) start(cfg etcdnode.Config) {
	m.t.Helper()
	n, err := etcdnode.Start(m.t.Context(), cfg)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(n.Close)
	m.node = n
}

func (m *mesh) open() *registry.Store {
	m.t.Helper()
	client, err := registry.Dial(registry.Etcd{Endpoints: []string{m.node.Address()}})
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { client.Close() })
	s, err := registry.New(client, registry.Options{MemberTTL: m.ttl, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		m.t.Fatal(err)
	}
	return s
}

// part is a component that runs until stopped.
type part struct {
	stop context.CancelFunc
	done chan struct{}
}

func (p *part) end() { p.stop(); <-p.done }

func (m *mesh) run(f func(context.Context) error) *part {
	ctx, cancel := context.WithCancel(m.t.Context())
	p := &part{stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		if err := f(ctx); err != nil {
			m.t.Error(err)
		}
	}()
	m.t.Cleanup(p.end)
	return p
}

// testCoordinator is a coordinator that runs.
type testCoordinator struct {
	*Coordinator
	*part
	store   *registry.Store
	metrics *prometheus.Registry
}

func (m *mesh) coordinator(id string, deps Deps) *testCoordinator {
	m.t.Helper()
	c := &testCoordinator{store: m.open(), metrics: prometheus.NewRegistry()}
	deps.Store, deps.Registerer, deps.Log = c.store, c.metrics, slog.New(slog.DiscardHandler)
	var err error
	c.Coordinator, err = New(Config{ID: registry.MemberID(id), GRPCAddress: id + ":1", HTTPAddress: id + ":80"}, deps)
	if err != nil {
		m.t.Fatal(err)
	}
	c.part = m.run(c.Run)
	return c
}

// kill ends a coordinator as SIGKILL would: no key is deleted, no lease revoked.
func (c *testCoordinator) kill() {
	c.store.Client().Close()
	c.end()
}

// publisher joins, says RUNNING of each lane that it is given, and remembers what it was given.
func (m *mesh) publisher(id string, capacity int) *part {
	s := m.open()
	member := registry.Member{ID: registry.MemberID(id), Role: registry.Publisher, GRPCAddress: id + ":1", HTTPAddress: id + ":80", Capacity: capacity}
	return m.run(func(ctx context.Context) error {
		done := make(chan error, 1)
		go func() { done <- s.Register(ctx, member) }()
		said := make(map[registry.LaneID]uint64)
		for lanes := range s.WatchLanes(ctx, member.ID) {
			for _, l := range lanes {
				if said[l.LaneID] == l.Generation {
					continue
				}
				state := registry.LaneRunning
				if l.Target == registry.Paused {
					state = registry.LanePaused
				}
				err := s.PutStatus(ctx, registry.LaneStatus{LaneID: l.LaneID, Generation: l.Generation, State: state, WorkerID: member.HTTPAddress, SnapshotDone: true})
				if err == nil {
					said[l.LaneID] = l.Generation
				}
			}
		}
		return <-done
	})
}

func (m *mesh) capturer(id string) *part {
	s := m.open()
	return m.run(func(ctx context.Context) error {
		return s.Register(ctx, registry.Member{ID: registry.MemberID(id), Role: registry.Capturer, GRPCAddress: id + ":1"})
	})
}

// until asks until ok is true; the pauses only spare the processor.
func (m *mesh) until(what string, ok func() bool) time.Duration {
	m.t.Helper()
	begin := time.Now()
	for ; !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Since(begin) > testWait {
			m.t.Fatalf("%s: not within %s", what, testWait)
		}
	}
	return time.Since(begin)
}

func (m *mesh) leader(id string) time.Duration {
	m.t.Helper()
	return m.until("leader is "+id, func() bool {
		got, err := m.store.Leader(m.t.Context())
		return err == nil && string(got) == id
	})
}

func (m *mesh) lanes() map[registry.LaneID]registry.Lane {
	m.t.Helper()
	out := make(map[registry.LaneID]registry.Lane)
	all, err := m.store.Lanes(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	for _, l := range all {
		out[l.LaneID] = l
	}
	return out
}

func (m *mesh) owners() map[string]int {
	m.t.Helper()
	out := make(map[string]int)
	for _, l := range m.lanes() {
		out[string(l.Owner)]++
	}
	return out
}

func options(opts ...string) []registry.Entry {
	out := []registry.Entry{{Key: "database.hostname", Value: "db"}}
	for _, o := range opts {
		k, v, _ := strings.Cut(o, "=")
		out = append(out, registry.Entry{Key: k, Value: v})
	}
	return out
}

func (m *mesh) create(c *testCoordinator, name string, opts ...string) {
	m.t.Helper()
	if err := c.Control().Create(m.t.Context(), name, options(opts...), registry.Running); err != nil {
		m.t.Fatal(err)
	}
}

// states returns a connector's states: its own, then its lanes'.
func states(t *testing.T, c *testCoordinator, name string) string {
	t.Helper()
	v, err := c.Control().Get(t.Context(), name)
	if err != nil {
		return string(errs.KindOf(err))
	}
	out := []string{v.State}
	for _, l := range v.Lanes {
		out = append(out, string(l.State))
	}
	return strings.Join(out, " ")
}
