package coordinator

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	statev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/state/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/lease"
	"github.com/rowmesh/rowmesh/services/lease/etcdnode"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/rpc"
)

const testWait = 20 * time.Second

// mesh is an etcd with coordinators and members around it, in this process.
type mesh struct {
	t     *testing.T
	node  *etcdnode.Node
	store *registry.Store // of the test itself
}

func newMesh(t *testing.T) *mesh {
	t.Helper()
	if testing.Short() {
		t.Skip("starts an etcd")
	}
	m := &mesh{t: t}
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
	s, err := registry.New(client, registry.Options{MemberTTL: 2 * time.Second, Log: slog.New(slog.DiscardHandler)})
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
				err := s.PutStatus(ctx, registry.LaneStatus{LaneID: l.LaneID, Generation: l.Generation, State: state, WorkerID: member.HTTPAddress})
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

func TestConnectorThroughTheMesh(t *testing.T) {
	m := newMesh(t)
	a, b := m.coordinator("a", Deps{}), m.coordinator("b", Deps{})
	m.until("a leader", func() bool { id, err := m.store.Leader(t.Context()); return err == nil && id != "" })
	m.create(a, "c")
	if got := states(t, b, "c"); !strings.HasPrefix(got, "RUNNING") {
		t.Errorf("the other coordinator says %q right after the creation", got)
	}
	if err := b.Control().Create(t.Context(), "c", options(), registry.Running); errs.KindOf(err) != errs.Exists {
		t.Errorf("created twice: %v", err)
	}
	m.until("unassigned", func() bool { return states(t, a, "c") == "RUNNING UNASSIGNED" })
	m.publisher("p", 100)
	m.capturer("cap")
	m.until("running", func() bool { return states(t, b, "c") == "RUNNING RUNNING" })

	ctx := t.Context()
	for _, step := range []struct {
		do   func() error
		want string
	}{
		{func() error { return b.Control().SetTarget(ctx, "c", registry.Paused) }, "PAUSED PAUSED"},
		{func() error { return a.Control().SetTarget(ctx, "c", registry.Running) }, "RUNNING RUNNING"},
		{func() error { return b.Control().Restart(ctx, "c", Restart{IncludeTasks: true}) }, "RUNNING RUNNING"},
		{func() error { return a.Control().SetTarget(ctx, "c", registry.Stopped) }, "STOPPED"},
		{func() error { return b.Control().SetTarget(ctx, "c", registry.Running) }, "RUNNING RUNNING"},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		m.until(step.want, func() bool { return states(t, a, "c") == step.want && states(t, b, "c") == step.want })
	}
	created, err := b.Control().Update(ctx, "c", options("tasks.max=1"))
	if err != nil || created {
		t.Fatalf("created %v, %v", created, err)
	}
	m.until("new config", func() bool { return states(t, a, "c") == "RUNNING RUNNING" })
	if created, err = a.Control().Update(ctx, "d", options()); err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	if all, err := b.Control().List(ctx); err != nil || len(all) == 0 || all[0].Name != "c" {
		t.Fatalf("%v, %v", all, err)
	}
	mesh, err := b.Control().Mesh(ctx)
	if err != nil || len(mesh.Members) != 4 || len(mesh.Sources) != 1 || mesh.Sources[0].Owner != "cap" || mesh.Leader == "" {
		t.Fatalf("%+v, %v", mesh, err)
	}
	for _, c := range []*testCoordinator{a, b} {
		if err := c.Health(ctx); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"c", "d"} {
		if err := a.Control().Delete(ctx, name); err != nil {
			t.Fatal(err)
		}
		if got := states(t, a, name); got != "NotFound" {
			t.Errorf("deleted connector reads %q", got)
		}
	}
	m.until("all is gone", func() bool {
		mesh, err := b.Control().Mesh(ctx)
		return err == nil && len(mesh.Lanes) == 0 && len(mesh.Sources) == 0
	})
	for what, err := range map[string]error{
		"delete":  a.Control().Delete(ctx, "c"),
		"target":  a.Control().SetTarget(ctx, "c", registry.Paused),
		"restart": a.Control().Restart(ctx, "c", Restart{IncludeTasks: true}),
		"topics":  a.Control().ResetTopics(ctx, "c"),
	} {
		if errs.KindOf(err) != errs.NotFound {
			t.Errorf("%s: %v, want NotFound", what, err)
		}
	}
}

func TestAssignedAtOnce(t *testing.T) {
	m := newMesh(t)
	c := m.coordinator("a", Deps{})
	m.publisher("p", 100)
	m.leader("a")
	m.until("members", func() bool { all, err := m.store.Members(t.Context()); return err == nil && len(all) == 2 })
	var took []time.Duration
	for i := range 20 {
		begin := time.Now()
		name := fmt.Sprintf("c%02d", i)
		m.create(c, name)
		m.until("assigned", func() bool {
			st, _ := c.cache.State()
			return st.Lanes[registry.LaneID{Connector: name}].Owner == "p"
		})
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	t.Logf("create to assigned: median %s, longest %s", took[len(took)/2], took[len(took)-1])
	if median := took[len(took)/2]; median > 100*time.Millisecond {
		t.Errorf("median %s, want less than 100 ms", median)
	}
}

// A killed leader is replaced within 5 s, and the new one changes nothing that works.
func TestLeaderIsKilled(t *testing.T) {
	m := newMesh(t)
	a := m.coordinator("a", Deps{})
	m.leader("a")
	b := m.coordinator("b", Deps{})
	for _, id := range []string{"p1", "p2", "p3"} {
		m.publisher(id, 100)
	}
	m.capturer("cap")
	for i := range 12 {
		m.create(a, fmt.Sprintf("c%02d", i))
	}
	m.until("balanced", func() bool { return cmp.Equal(m.owners(), map[string]int{"p1": 4, "p2": 4, "p3": 4}) })
	m.until("all run and the layouts are settled", func() bool {
		st, _ := b.cache.State()
		settled := 0
		for _, l := range st.Layouts {
			if l.Settled {
				settled++
			}
		}
		return settled == 12
	})
	before := m.lanes()
	a.kill()
	took := m.leader("b")
	t.Logf("new leader after %s", took)
	if took > 5*time.Second {
		t.Errorf("new leader after %s, want less than 5 s", took)
	}
	m.create(b, "after")
	m.until("new leader works", func() bool { return states(t, b, "after") == "RUNNING RUNNING" })
	after := m.lanes()
	delete(after, registry.LaneID{Connector: "after"})
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the new leader changed what worked: %s", diff)
	}
}

func TestMembersComeAndGo(t *testing.T) {
	m := newMesh(t)
	c := m.coordinator("a", Deps{})
	m.publisher("p1", 100)
	p2 := m.publisher("p2", 200)
	cap1 := m.capturer("cap1")
	m.capturer("cap2")
	for i := range 100 {
		m.create(c, fmt.Sprintf("c%03d", i), fmt.Sprintf("database.port=%d", 1000+i%10))
	}
	m.until("spread by capacity", func() bool {
		o := m.owners()
		return o["p1"]+o["p2"] == 100 && o["p2"] >= 66 && o["p2"] <= 67
	})
	before := m.lanes()
	p2.end()
	m.until("all at the one that is left", func() bool { return m.owners()["p1"] == 100 })
	for id, l := range m.lanes() {
		if was := before[id]; was.Owner == "p1" && was.Layout == l.Layout && l.Generation != was.Generation {
			t.Errorf("lane %v of p1 was touched", id)
		}
	}
	m.publisher("p3", 100)
	m.until("half at each", func() bool { return cmp.Equal(m.owners(), map[string]int{"p1": 50, "p3": 50}) })

	sources := func() map[registry.MemberID]int {
		out := make(map[registry.MemberID]int)
		mesh, err := c.Control().Mesh(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range mesh.Sources {
			out[s.Owner]++
		}
		return out
	}
	m.until("sources spread", func() bool { return cmp.Equal(sources(), map[registry.MemberID]int{"cap1": 5, "cap2": 5}) })
	cap1.end()
	m.until("sources moved", func() bool { return cmp.Equal(sources(), map[registry.MemberID]int{"cap2": 10}) })
	checkMetrics(t, c)
}

// checkMetrics asserts that each metric has moved in a mesh with 100 connectors.
func checkMetrics(t *testing.T, c *testCoordinator) {
	t.Helper()
	families, err := c.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			switch {
			case m.Gauge != nil:
				got[name] = m.Gauge.GetValue()
			case m.Counter != nil:
				got[name] = m.Counter.GetValue()
			case m.Histogram != nil:
				got[name] = float64(m.Histogram.GetSampleCount())
			}
		}
	}
	for name, min := range map[string]float64{
		"rowmesh_coordinator_leader": 1, "rowmesh_coordinator_moves_total lane": 100, "rowmesh_coordinator_moves_total source": 5,
		"rowmesh_coordinator_reconcile_seconds": 2, "rowmesh_connectors RUNNING": 100, "rowmesh_members publisher": 2, "rowmesh_members coordinator": 1,
		"rowmesh_sources yes": 10,
	} {
		if got[name] < min {
			t.Errorf("%s is %v, want at least %v", name, got[name], min)
		}
	}
	if lanes := got["rowmesh_lanes RUNNING"] + got["rowmesh_lanes RESTARTING"] + got["rowmesh_lanes UNASSIGNED"]; lanes != 100 {
		t.Errorf("%v lanes, want 100", lanes)
	}
}

// A restart of etcd is no reason to move anything, and the mesh works on after it.
func TestEtcdRestarts(t *testing.T) {
	m := newMesh(t)
	c := m.coordinator("a", Deps{})
	m.publisher("p1", 100)
	m.publisher("p2", 100)
	m.create(c, "c1")
	m.create(c, "c2")
	m.until("run", func() bool { return states(t, c, "c1")+states(t, c, "c2") == "RUNNING RUNNINGRUNNING RUNNING" })
	m.until("balanced", func() bool { return cmp.Equal(m.owners(), map[string]int{"p1": 1, "p2": 1}) })
	before := m.lanes()
	m.node.Close()
	if got := states(t, c, "c1"); got != "RUNNING RUNNING" {
		t.Errorf("while etcd is away reads say %q", got)
	}
	hctx, cancel := context.WithTimeout(t.Context(), time.Second)
	if err := c.Health(hctx); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("health says %v while etcd is away", err)
	}
	cancel()
	m.start(m.node.Config())
	m.leader("a")
	m.create(c, "c3")
	m.until("works again", func() bool { return states(t, c, "c3") == "RUNNING RUNNING" })
	after := m.lanes()
	for id, l := range before {
		if after[id].Owner != l.Owner || after[id].Generation != l.Generation {
			t.Errorf("%v was %+v, is %+v", id, l, after[id])
		}
	}
}

// A leader that does not know yet that it was deposed must not write, and must end its term.
func TestStaleLeaderIsRefused(t *testing.T) {
	m := newMesh(t)
	c := m.coordinator("a", Deps{})
	m.leader("a")
	m.create(c, "c")
	m.until("laid out", func() bool { return len(m.lanes()) == 1 })
	st, _ := c.cache.State()

	// Its key is taken away and somebody else's is there before it hears of that: its next plan meets a guard that no longer holds.
	key := "/rowmesh/leader/"
	r, err := m.store.Client().Get(t.Context(), key, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	stale := &term{c: c.Coordinator, lead: lease.Leadership{Key: string(r.Kvs[0].Key), Revision: r.Kvs[0].CreateRevision - 1}}
	changed := *st
	changed.Members = map[registry.MemberID]registry.Member{"ghost": {ID: "ghost", Role: registry.Publisher}}
	if _, err := stale.step(t.Context(), &changed); errs.KindOf(err) != errs.NotOwner {
		t.Errorf("a deposed leader's write: %v, want NotOwner", err)
	}
	if _, err := m.store.Client().Delete(t.Context(), string(r.Kvs[0].Key)); err != nil {
		t.Fatal(err)
	}
	m.publisher("p", 100) // makes the leader plan
	m.until("a new term", func() bool {
		now, err := m.store.Client().Get(t.Context(), key, clientv3.WithPrefix())
		return err == nil && len(now.Kvs) == 1 && now.Kvs[0].CreateRevision > r.Kvs[0].CreateRevision
	})
	m.until("works on", func() bool { return states(t, c, "c") == "RUNNING RUNNING" })
}

func TestLeaderFollowsDescribedTables(t *testing.T) {
	m := newMesh(t)
	asked := 0
	c := m.coordinator("a", Deps{Tables: func(_ context.Context, c registry.Connector) ([]Table, error) {
		if asked++; asked < 3 {
			return nil, errs.E(errs.Busy, "not yet")
		}
		if c.Name == "denied" {
			return nil, errs.E(errs.Denied, "wrong password")
		}
		return []Table{{Name: "d.big", Bytes: 10}, {Name: "d.small", Bytes: 1}}, nil
	}})
	m.publisher("p", 100)
	m.create(c, "c", "tasks.max=2")
	m.until("both run", func() bool { return states(t, c, "c") == "RUNNING RUNNING RUNNING" })
	if diff := cmp.Diff(map[string]uint32{"d.big": 0, "d.small": 1}, m.lanes()[registry.LaneID{Connector: "c"}].Pins); diff != "" {
		t.Error(diff)
	}
	m.create(c, "denied", "tasks.max=2")
	m.until("both run", func() bool { return states(t, c, "denied") == "RUNNING RUNNING RUNNING" })
	if pins := m.lanes()[registry.LaneID{Connector: "denied"}].Pins; len(pins) != 0 {
		t.Errorf("pins %v of tables that nobody knows", pins)
	}
}

// member answers reports.
type member struct {
	controlv1.UnimplementedMemberServiceServer
	wait bool
}

func (m member) Report(ctx context.Context, _ *controlv1.ReportRequest) (*controlv1.ReportResponse, error) {
	if m.wait {
		<-ctx.Done()
	}
	return &controlv1.ReportResponse{Lanes: []*controlv1.LaneProgress{{
		Connector: "c", Task: 1, Generation: 2, State: statev1.LaneState_LANE_STATE_RUNNING, Rows: 3, Records: 4, Bytes: 5, LagMs: 6, Commits: 7,
		SnapshotTable: "d.t", SnapshotRowsDone: 8, SnapshotRowsEstimated: 9, SnapshotTables: 10, SnapshotTablesDone: 11,
	}}}, nil
}

func serve(t *testing.T, register func(*grpc.Server)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := rpc.NewServer(slog.New(slog.DiscardHandler), rpc.Security{})
	if err != nil {
		t.Fatal(err)
	}
	register(s)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return l.Addr().String()
}

func dialInsecure(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

func TestReports(t *testing.T) {
	good := serve(t, func(s *grpc.Server) { controlv1.RegisterMemberServiceServer(s, member{}) })
	slow := serve(t, func(s *grpc.Server) { controlv1.RegisterMemberServiceServer(s, member{wait: true}) })
	r := newReports(dialInsecure, slog.New(slog.DiscardHandler))
	defer r.close()
	publishers := func(addresses ...string) (out []registry.Member) {
		for _, a := range addresses {
			out = append(out, registry.Member{ID: registry.MemberID(a), Role: registry.Publisher, GRPCAddress: a})
		}
		return append(out, registry.Member{ID: "cap", Role: registry.Capturer, GRPCAddress: "127.0.0.1:1"})
	}
	begin := time.Now()
	got := r.collect(t.Context(), publishers(good, slow, "127.0.0.1:1"))
	if took := time.Since(begin); took > 2*reportTimeout {
		t.Errorf("a slow member holds the others up: %s", took)
	}
	want := []Progress{{
		LaneID: registry.LaneID{Connector: "c", Task: 1}, Generation: 2, State: registry.LaneRunning, Rows: 3, Records: 4, Bytes: 5, Lag: 6 * time.Millisecond,
		Commits: 7, SnapshotTable: "d.t", SnapshotRows: 8, SnapshotRowsEstimate: 9, SnapshotTables: 10, SnapshotTablesDone: 11,
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := progressToProto(want[0]); got.LagMs != 6 || got.SnapshotRowsEstimated != 9 {
		t.Errorf("%v", got)
	}
	r.collect(t.Context(), publishers(good))
	if len(r.conns) != 1 {
		t.Errorf("%d connections to one member", len(r.conns))
	}
}

func TestControlService(t *testing.T) {
	m := newMesh(t)
	c := m.coordinator("a", Deps{
		Validate: func(_ context.Context, _ string, config map[string]string) (warnings, problems []string) {
			if config["bad"] != "" {
				return nil, []string{"bad is bad", "and wrong"}
			}
			return []string{"odd is not honoured"}, nil
		},
		Warnings: func(string, map[string]string) []string { return []string{"odd is not honoured"} },
	})
	m.publisher("p", 100)
	conn, err := dialInsecure(serve(t, func(s *grpc.Server) { controlv1.RegisterControlServiceServer(s, c.Server()) }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cc := controlv1.NewControlServiceClient(conn)
	ctx := t.Context()
	entries := []*statev1.ConfigEntry{{Key: "database.hostname", Value: "db"}, {Key: "a", Value: "1"}}
	created, err := cc.CreateConnector(ctx, &controlv1.CreateConnectorRequest{Name: "c", Config: entries, InitialState: statev1.TargetState_TARGET_STATE_PAUSED})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, e := range created.Connector.Config {
		keys = append(keys, e.Key)
	}
	if diff := cmp.Diff([]string{"database.hostname", "a", "name"}, keys); diff != "" {
		t.Error(diff)
	}
	if created.Connector.State != "PAUSED" || len(created.Warnings) != 1 || len(created.Connector.Warnings) != 1 {
		t.Errorf("%v", created)
	}
	bad := append(entries, &statev1.ConfigEntry{Key: "bad", Value: "1"})
	for what, check := range map[string]struct {
		call func() error
		kind errs.Kind
		text string
	}{
		"exists": {func() error {
			_, err := cc.CreateConnector(ctx, &controlv1.CreateConnectorRequest{Name: "c", Config: entries})
			return err
		}, errs.Exists, "c exists"},
		"invalid": {func() error {
			_, err := cc.CreateConnector(ctx, &controlv1.CreateConnectorRequest{Name: "x", Config: bad})
			return err
		}, errs.Invalid, "2 errors:\nbad is bad\nand wrong"},
		"no name": {func() error {
			_, err := cc.CreateConnector(ctx, &controlv1.CreateConnectorRequest{Config: entries})
			return err
		}, errs.Invalid, "needs a name"},
		"other name": {func() error {
			_, err := cc.UpdateConnector(ctx, &controlv1.UpdateConnectorRequest{Name: "x", Config: []*statev1.ConfigEntry{{Key: "name", Value: "y"}}})
			return err
		}, errs.Invalid, "its name is y"},
		"twice": {func() error {
			_, err := cc.UpdateConnector(ctx, &controlv1.UpdateConnectorRequest{Name: "x", Config: append(entries, entries[0])})
			return err
		}, errs.Invalid, "twice"},
		"unknown":   {func() error { _, err := cc.GetConnector(ctx, &controlv1.GetConnectorRequest{Name: "x"}); return err }, errs.NotFound, "x does not exist"},
		"no target": {func() error { _, err := cc.SetTarget(ctx, &controlv1.SetTargetRequest{Name: "c"}); return err }, errs.Invalid, "no target"},
		"no task": {func() error {
			_, err := cc.Restart(ctx, &controlv1.RestartRequest{Name: "c", Task: new(uint32(7))})
			return err
		}, errs.NotFound, "c-7"},
	} {
		err := errs.FromStatus(check.call())
		if err == nil || errs.KindOf(err) != check.kind || !strings.Contains(err.Error(), check.text) {
			t.Errorf("%s: got %v, want %s with %q", what, err, check.kind, check.text)
		}
	}
	if _, err := cc.SetTarget(ctx, &controlv1.SetTargetRequest{Name: "c", Target: statev1.TargetState_TARGET_STATE_RUNNING}); err != nil {
		t.Fatal(err)
	}
	m.until("running", func() bool {
		r, err := cc.GetConnector(ctx, &controlv1.GetConnectorRequest{Name: "c"})
		return err == nil && r.Connector.State == "RUNNING" && len(r.Connector.Lanes) == 1 && r.Connector.Lanes[0].State == statev1.LaneState_LANE_STATE_RUNNING
	})
	if r, err := cc.Restart(ctx, &controlv1.RestartRequest{Name: "c", IncludeTasks: true}); err != nil || r.Connector.Lanes[0].State == statev1.LaneState_LANE_STATE_FAILED {
		t.Errorf("%v, %v", r, err)
	}
	if r, err := cc.UpdateConnector(ctx, &controlv1.UpdateConnectorRequest{Name: "d", Config: entries}); err != nil || !r.Created {
		t.Errorf("%v, %v", r, err)
	}
	if r, err := cc.ListConnectors(ctx, &controlv1.ListConnectorsRequest{}); err != nil || len(r.Connectors) != 2 || r.Connectors[1].Name != "d" {
		t.Errorf("%v, %v", r, err)
	}
	if r, err := cc.GetMesh(ctx, &controlv1.GetMeshRequest{}); err != nil || r.Leader != "a" || len(r.Members) != 2 || len(r.Lanes) == 0 {
		t.Errorf("%v, %v", r, err)
	}
	if _, err := cc.DeleteConnector(ctx, &controlv1.DeleteConnectorRequest{Name: "d"}); err != nil {
		t.Error(err)
	}
}

// More lanes than fit into one transaction of etcd.
func TestManyLanesOfOneConnector(t *testing.T) {
	m := newMesh(t)
	c := m.coordinator("a", Deps{})
	m.publisher("p1", 100)
	m.publisher("p2", 100)
	m.create(c, "c", "tasks.max=250")
	m.until("all placed", func() bool { return cmp.Equal(m.owners(), map[string]int{"p1": 125, "p2": 125}) })
	m.until("all run", func() bool { return states(t, c, "c") == "RUNNING"+strings.Repeat(" RUNNING", 250) })
	if err := c.Control().Delete(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	m.until("all gone", func() bool {
		st, _ := c.cache.State()
		return len(st.Lanes)+len(st.Statuses) == 0
	})
}
