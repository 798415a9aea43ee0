package registry_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/testing/protocmp"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/lease"
	"github.com/rowmesh/rowmesh/services/lease/etcdnode"
	"github.com/rowmesh/rowmesh/services/registry"
)

const wait = 20 * time.Second

func startNode(t *testing.T) *etcdnode.Node {
	t.Helper()
	if testing.Short() {
		t.Skip("starts an etcd")
	}
	n, err := etcdnode.Start(t.Context(), etcdnode.Config{Dir: t.TempDir(), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

func open(t *testing.T, n *etcdnode.Node, o registry.Options) *registry.Store {
	t.Helper()
	c, err := registry.Dial(registry.Etcd{Endpoints: []string{n.Address()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	o.Log = slog.New(slog.DiscardHandler)
	s, err := registry.New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// lead makes changes as the leader.
func lead(t *testing.T, s *registry.Store, changes ...registry.Change) {
	t.Helper()
	err := s.Election("test").Lead(t.Context(), s.Client(), func(ctx context.Context, l lease.Leadership) error {
		_, err := s.Apply(ctx, l, changes...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func next[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v, ok := <-ch:
		if !ok {
			t.Fatal("channel is closed")
		}
		return v
	case <-time.After(wait):
		t.Fatal("nothing came")
	}
	panic("unreachable")
}

// eventually asks until ok is true; the pauses only spare the processor.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(wait); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, wait)
		}
	}
}

func kind(t *testing.T, err error, want errs.Kind) {
	t.Helper()
	if err == nil || errs.KindOf(err) != want {
		t.Errorf("got %v, want kind %s", err, want)
	}
}

func TestConnectors(t *testing.T) {
	s := open(t, startNode(t), registry.Options{Key: []byte("0123456789abcdef0123456789abcdef")})
	ctx := t.Context()
	a, err := s.CreateConnector(ctx, registry.Connector{Name: "a", Config: []registry.Entry{{Key: "z", Value: "1"}, {Key: "b", Value: "2"}}, Target: registry.Running})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.CreateConnector(ctx, registry.Connector{Name: "a"})
	kind(t, err, errs.Exists)
	got, err := s.Connector(ctx, "a")
	if diff := cmp.Diff(a, got); err != nil || diff != "" {
		t.Fatalf("%v %s", err, diff)
	}
	a.Target = registry.Paused
	b, err := s.UpdateConnector(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.UpdateConnector(ctx, a)
	kind(t, err, errs.Stale)
	if all, err := s.Connectors(ctx); err != nil || len(all) != 1 || all[0].ModRevision != b.ModRevision || all[0].Target != registry.Paused {
		t.Fatalf("%v %v", all, err)
	}
	if _, err := s.DeleteConnector(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	_, err = s.DeleteConnector(ctx, "a")
	kind(t, err, errs.NotFound)
	_, err = s.Connector(ctx, "a")
	kind(t, err, errs.NotFound)
	_, err = s.UpdateConnector(ctx, b)
	kind(t, err, errs.Stale)
	again, err := s.CreateConnector(ctx, registry.Connector{Name: "a"})
	if err != nil || again.ConfigRevision <= a.ConfigRevision {
		t.Errorf("config revision %d after %d, %v; a new connector must differ from the old one", again.ConfigRevision, a.ConfigRevision, err)
	}
	_, err = s.CreateConnector(ctx, registry.Connector{Name: "bad", Config: []registry.Entry{{Key: "x", Value: "\xff"}}})
	kind(t, err, errs.Invalid)
	_, err = s.CreateConnector(ctx, registry.Connector{Name: "big", Config: []registry.Entry{{Key: "x", Value: string(make([]byte, 2<<20))}}})
	kind(t, err, errs.Invalid)
}

func TestLanesAndStatus(t *testing.T) {
	s := open(t, startNode(t), registry.Options{})
	ctx := t.Context()
	mine := s.WatchLanes(ctx, "me")
	if first := next(t, mine); len(first) != 0 {
		t.Fatalf("first %v", first)
	}
	lane := registry.Lane{LaneID: registry.LaneID{Connector: "c", Task: 1}, Count: 2, Owner: "me", Generation: 3, Target: registry.Running}
	kind(t, s.ConfirmLane(ctx, lane), errs.NotOwner)
	kind(t, s.PutStatus(ctx, registry.LaneStatus{LaneID: lane.LaneID, Generation: 3}), errs.NotFound)
	lead(t, s, s.PutLane(lane))
	got := next(t, mine)
	if len(got) != 1 || got[0].Generation != 3 {
		t.Fatalf("%v", got)
	}
	lane = got[0]
	if err := s.ConfirmLane(ctx, lane); err != nil {
		t.Fatal(err)
	}
	old := lane
	old.Generation = 2
	kind(t, s.ConfirmLane(ctx, old), errs.Stale)
	kind(t, s.PutStatus(ctx, registry.LaneStatus{LaneID: lane.LaneID, Generation: 2, State: registry.LaneRunning}), errs.Stale)
	for _, topics := range [][]string{{"b"}, {"a", "c"}, nil} {
		if err := s.PutStatus(ctx, registry.LaneStatus{LaneID: lane.LaneID, Generation: 3, State: registry.LaneRunning, Topics: topics, Trace: "\xff"}); err != nil {
			t.Fatal(err)
		}
	}
	statuses := func() registry.LaneStatus {
		cache := s.NewCache()
		cctx, cancel := context.WithCancel(ctx)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- cache.Run(cctx) }()
		st, err := cache.Wait(cctx, 1)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		<-done
		return st.Statuses[lane.LaneID]
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, statuses().Topics); diff != "" {
		t.Error(diff)
	}
	if err := s.ResetTopics(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	if got := statuses(); len(got.Topics) != 0 || got.State != registry.LaneRunning {
		t.Errorf("after the reset: %+v", got)
	}
	lane.Owner, lane.Generation = "other", 4
	lead(t, s, s.PutLane(lane))
	if got := next(t, mine); len(got) != 0 {
		t.Fatalf("lane of another: %v", got)
	}
	lane.Owner = "me"
	kind(t, s.ConfirmLane(ctx, lane), errs.NotOwner)
}

func TestApplyIsGuarded(t *testing.T) {
	s := open(t, startNode(t), registry.Options{})
	src := registry.Source{ID: "h:1", Owner: "a"}
	var old lease.Leadership
	err := s.Election("first").Lead(t.Context(), s.Client(), func(ctx context.Context, l lease.Leadership) error {
		old = l
		if id, err := s.Leader(ctx); err != nil || id != "first" {
			t.Errorf("leader %q, %v", id, err)
		}
		if _, err := s.Apply(ctx, l, s.PutSource(src)); err != nil {
			return err
		}
		_, err := s.Apply(ctx, l, s.PutSource(src)) // ModRevision 0: must not exist
		kind(t, err, errs.Stale)
		_, err = s.Apply(ctx, l, s.Rely(registry.Connector{Name: "x", ModRevision: 5}), s.RemoveStatus(registry.LaneID{Connector: "x"}))
		kind(t, err, errs.Stale)
		if _, err := s.Apply(ctx, l, s.Rely(registry.Connector{Name: "x"}), s.RemoveStatus(registry.LaneID{Connector: "x"})); err != nil {
			return err
		}
		_, err = s.Apply(ctx, l, s.PutSource(registry.Source{ID: "h:2", Owner: "\xff"}))
		kind(t, err, errs.Invalid)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Apply(t.Context(), old, s.PutSource(registry.Source{ID: "h:3"}))
	kind(t, err, errs.NotOwner)
	if id, err := s.Leader(t.Context()); err != nil || id != "" {
		t.Errorf("leader %q, %v after its term", id, err)
	}
}

func TestMemberComesBackAfterItsLease(t *testing.T) {
	n := startNode(t)
	s := open(t, n, registry.Options{MemberTTL: 2 * time.Second})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- s.Register(ctx, registry.Member{ID: "m", Role: registry.Publisher, GRPCAddress: "h:1"})
	}()
	registered := func() bool {
		all, err := s.Members(t.Context())
		return err == nil && len(all) == 1 && all[0].Capacity == registry.DefaultCapacity
	}
	eventually(t, "registered", registered)
	r, err := s.Client().Get(ctx, "/rowmesh/members/publisher/m")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Client().Revoke(ctx, clientv3.LeaseID(r.Kvs[0].Lease)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "registered again", registered)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if all, err := s.Members(t.Context()); err != nil || len(all) != 0 {
		t.Fatalf("a member that has ended is still there: %v, %v", all, err)
	}
}

// A watch must go on by itself after a restart of etcd and after a compaction that it slept through, and tell all that happened meanwhile.
func TestWatchOutlivesRestartAndCompaction(t *testing.T) {
	n := startNode(t)
	s := open(t, n, registry.Options{})
	lead(t, s, s.PutSource(registry.Source{ID: "h:1", Owner: "me", Generation: 1}))
	mine := s.WatchSources(t.Context(), "me")
	if got := next(t, mine); len(got) != 1 {
		t.Fatalf("%v", got)
	}
	n.Close()
	n2, err := etcdnode.Start(t.Context(), n.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n2.Close)
	other := open(t, n2, registry.Options{})
	lead(t, other, other.PutSource(registry.Source{ID: "h:2", Owner: "me", Generation: 1}), other.PutSource(registry.Source{ID: "h:3", Owner: "other"}))
	r, err := other.Client().Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Client().Compact(t.Context(), r.Header.Revision); err != nil {
		t.Fatal(err)
	}
	if got := next(t, mine); len(got) != 2 || got[1].ID != "h:2" {
		t.Fatalf("%v", got)
	}
}

func TestDirectory(t *testing.T) {
	n := startNode(t)
	s := open(t, n, registry.Options{MemberTTL: 2 * time.Second})
	d := s.NewDirectory()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- d.Run(ctx) }()
	_, err := d.Source(ctx, "h:3306")
	kind(t, err, errs.NotFound)

	if _, err := s.CreateConnector(ctx, registry.Connector{Name: "c", Config: []registry.Entry{{Key: "database.hostname", Value: "H"}}}); err != nil {
		t.Fatal(err)
	}
	lead(t, s, s.PutSource(registry.Source{ID: "h:3306", Connector: "c", Owner: "m", Generation: 1}))
	eventually(t, "a source without capturer", func() bool {
		_, err := d.SourceOwner(ctx, "h:3306")
		return errs.KindOf(err) == errs.Busy
	})
	mctx, leave := context.WithCancel(ctx)
	go func() {
		done <- s.Register(mctx, registry.Member{ID: "m", Role: registry.Capturer, GRPCAddress: "cap:1"})
	}()
	want := registry.Route{Source: "h:3306", Owner: "m", Address: "cap:1"}
	eventually(t, "routed", func() bool {
		r, err := d.Connector(ctx, "c")
		return err == nil && r == want
	})
	// The lease ends, nobody else has been given the source, and etcd is away: the last known address still answers.
	leave()
	<-done
	n.Close()
	if r, err := d.Connector(ctx, "c"); err != nil || r != want {
		t.Errorf("%v, %v", r, err)
	}
	if c, err := d.Find(ctx, "c"); err != nil || c.Name != "c" {
		t.Errorf("%v, %v", c, err)
	}
	cancel()
	<-done
}

func TestTables(t *testing.T) {
	s := open(t, startNode(t), registry.Options{})
	tables := s.Tables()
	ctx := t.Context()
	if got, err := tables.Load(ctx, "h:1"); err != nil || len(got) != 0 {
		t.Fatalf("%v, %v", got, err)
	}
	var want []registry.TableVersion
	for i := range 1203 { // more than a page and than a transaction hold
		want = append(want, registry.TableVersion{
			Database: "d/b", Table: fmt.Sprintf("t%04d", i), ValidFrom: &rowv1.Position{File: "binlog.000001", Pos: 4, ServerUuid: "u"},
			Shape: &rowv1.Table{Database: "d/b", Table: fmt.Sprintf("t%04d", i), Columns: []*rowv1.Column{{Name: "id"}}},
		})
	}
	last := registry.TableVersion{Database: "d/b", Table: "t1202", ValidFrom: &rowv1.Position{File: "binlog.000001", Pos: 1000, ServerUuid: "u"}}
	want = append(want, last) // dropped; sorts after position 4
	for range 2 {             // storing again changes nothing
		if err := tables.Put(ctx, "h:1", append(want, last)...); err != nil {
			t.Fatal(err)
		}
	}
	if err := tables.Put(ctx, "h:10", last); err != nil { // a source whose name begins alike
		t.Fatal(err)
	}
	got, err := tables.Load(ctx, "h:1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Fatal(diff)
	}
	if err := tables.Delete(ctx, "h:1", want[:250]...); err != nil { // more than a transaction holds
		t.Fatal(err)
	}
	if got, err = tables.Load(ctx, "h:1"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want[250:], got, protocmp.Transform()); diff != "" {
		t.Fatal(diff)
	}
	if err := tables.Drop(ctx, "h:1"); err != nil {
		t.Fatal(err)
	}
	if got, err := tables.Load(ctx, "h:1"); err != nil || len(got) != 0 {
		t.Fatalf("%d left, %v", len(got), err)
	}
	if got, err := tables.Load(ctx, "h:10"); err != nil || len(got) != 1 {
		t.Fatalf("%d left of another source, %v", len(got), err)
	}
}

func TestEtcdAwayIsUnavailable(t *testing.T) {
	c, err := registry.Dial(registry.Etcd{Endpoints: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := registry.New(c, registry.Options{Timeout: 200 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Connectors(t.Context())
	kind(t, err, errs.Unavailable)
	kind(t, s.Ping(t.Context()), errs.Unavailable)
	_, err = s.CreateConnector(t.Context(), registry.Connector{Name: "x"})
	kind(t, err, errs.Unavailable)
}
