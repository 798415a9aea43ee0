package coordinator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/lease"
	"github.com/rowmesh/rowmesh/services/registry"
)

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
	m.ttl = testWait // a busy machine may take longer than a short lease to bring all members back
	c := m.coordinator("a", Deps{})
	m.publisher("p1", 100)
	m.publisher("p2", 100)
	m.create(c, "c1")
	m.create(c, "c2")
	m.until("run", func() bool { return states(t, c, "c1")+states(t, c, "c2") == "RUNNING RUNNINGRUNNING RUNNING" })
	m.until("balanced", func() bool { return cmp.Equal(m.owners(), map[string]int{"p1": 1, "p2": 1}) })
	m.until("run where they are now", func() bool { return states(t, c, "c1")+states(t, c, "c2") == "RUNNING RUNNINGRUNNING RUNNING" })
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

// A coordinator that starts before etcd says so, and works once etcd is there.
func TestEtcdIsDownAtStart(t *testing.T) {
	m := newMesh(t)
	m.node.Close()
	c := m.coordinator("a", Deps{})
	hctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := c.Health(hctx); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("health says %v without etcd", err)
	}
	if _, err := c.Control().List(hctx); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("list says %v without etcd", err)
	}
	m.start(m.node.Config())
	m.until("healthy", func() bool { return c.Health(t.Context()) == nil })
	m.publisher("p", 100)
	m.create(c, "c")
	m.until("runs", func() bool { return states(t, c, "c") == "RUNNING RUNNING" })
}

// A publisher that was killed and is started again under its id, before its old lease has ended, finds its lanes as they were.
func TestMemberStartsAgainUnderItsID(t *testing.T) {
	m := newMesh(t)
	c := m.coordinator("a", Deps{})
	m.publisher("p2", 100)
	register := func(ctx context.Context, s *registry.Store) error {
		return s.Register(ctx, registry.Member{ID: "p1", Role: registry.Publisher, GRPCAddress: "p1:1", StartedMS: time.Now().UnixMilli()})
	}
	killed := m.open()
	first := m.run(func(ctx context.Context) error { return register(ctx, killed) })
	for i := range 6 {
		m.create(c, fmt.Sprintf("c%d", i))
	}
	m.until("balanced", func() bool { return cmp.Equal(m.owners(), map[string]int{"p1": 3, "p2": 3}) })
	before := m.lanes()
	killed.Client().Close()
	first.end()
	again := m.open()
	second := m.run(func(ctx context.Context) error { return register(ctx, again) })
	// The first lease (2 s) ends while the second lives; the member must not be taken for dead then.
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if diff := cmp.Diff(before, m.lanes()); diff != "" {
			t.Fatal(diff)
		}
	}
	second.end()
	m.until("moved after a clean end", func() bool { return cmp.Equal(m.owners(), map[string]int{"p2": 6}) })
}
