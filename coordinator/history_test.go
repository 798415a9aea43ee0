package coordinator

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"

	statev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/state/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
)

// Users change connectors through two coordinators while members come and go and the leader is killed. Over the whole history that etcd keeps, the
// generation of a lane only grows, its removal and return included; and at the end all is as wanted.
func TestHistoryOfLanes(t *testing.T) {
	m := newMesh(t)
	a := m.coordinator("a", Deps{})
	m.leader("a")
	b := m.coordinator("b", Deps{})
	m.publisher("p0", 100)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 4))
	ctx := t.Context()
	var flapping *part
	for i := range 200 {
		c := []*testCoordinator{a, b}[r.IntN(2)].Control()
		if i >= 100 {
			c = b.Control()
		}
		if i == 100 {
			a.kill()
		}
		name := fmt.Sprintf("c%d", r.IntN(5))
		var err error
		switch r.IntN(7) {
		case 0, 1:
			_, err = c.Update(ctx, name, options(fmt.Sprintf("tasks.max=%d", 1+r.IntN(3)), fmt.Sprintf("x=%d", i)))
		case 2:
			err = c.SetTarget(ctx, name, []registry.Target{registry.Running, registry.Paused, registry.Stopped}[r.IntN(3)])
		case 3:
			err = c.Restart(ctx, name, Restart{IncludeTasks: true})
		case 4:
			err = c.Delete(ctx, name)
		case 5:
			if flapping != nil {
				flapping.end()
			}
			flapping = m.publisher(fmt.Sprintf("p%d", i), 100)
		case 6:
			_, err = c.Get(ctx, name)
		}
		if err != nil && errs.KindOf(err) != errs.NotFound {
			t.Fatalf("seed %d, step %d: %v", seed, i, err)
		}
	}
	for i := range 5 {
		if _, err := b.Control().Update(ctx, fmt.Sprintf("c%d", i), options()); err != nil {
			t.Fatal(err)
		}
		if err := b.Control().SetTarget(ctx, fmt.Sprintf("c%d", i), registry.Running); err != nil {
			t.Fatal(err)
		}
	}
	m.until("all run, each with one lane", func() bool {
		for i := range 5 {
			if states(t, b, fmt.Sprintf("c%d", i)) != "RUNNING RUNNING" {
				return false
			}
		}
		return true
	})
	m.checkHistory()
}

// checkHistory reads every version of every lane that etcd has seen.
func (m *mesh) checkHistory() {
	m.t.Helper()
	client := m.store.Client()
	now, err := client.Get(m.t.Context(), "/rowmesh/lanes/", clientv3.WithPrefix())
	if err != nil {
		m.t.Fatal(err)
	}
	last := int64(0)
	for _, kv := range now.Kvs {
		last = max(last, kv.ModRevision)
	}
	ctx, cancel := context.WithTimeout(m.t.Context(), testWait)
	defer cancel()
	generation := make(map[string]uint64)
	versions := 0
	for r := range client.Watch(ctx, "/rowmesh/lanes/", clientv3.WithPrefix(), clientv3.WithRev(1)) {
		for _, ev := range r.Events {
			if ev.Type == clientv3.EventTypeDelete {
				continue
			}
			var l statev1.Lane
			if err := proto.Unmarshal(ev.Kv.Value, &l); err != nil {
				m.t.Fatal(err)
			}
			key := string(ev.Kv.Key)
			if l.Generation <= generation[key] {
				m.t.Errorf("%s: generation %d after %d at revision %d", key, l.Generation, generation[key], ev.Kv.ModRevision)
			}
			generation[key] = l.Generation
			versions++
		}
		if r.Header.Revision >= last {
			m.t.Logf("%d versions of %d lanes", versions, len(generation))
			return
		}
	}
	m.t.Fatal("the history was not read to its end")
}
