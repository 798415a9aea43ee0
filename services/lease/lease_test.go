package lease_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/rowmesh/rowmesh/services/lease"
	"github.com/rowmesh/rowmesh/services/lease/etcdnode"
	"github.com/rowmesh/rowmesh/services/lease/leasetest"
)

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

func dial(t *testing.T, n *etcdnode.Node) *clientv3.Client {
	t.Helper()
	c, err := n.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestConformance(t *testing.T) {
	n := startNode(t)
	leasetest.Run(t, "/leasetest", func(t *testing.T) *clientv3.Client { return dial(t, n) })
}

func TestConformanceOutside(t *testing.T) {
	address := os.Getenv("ROWMESH_TEST_ETCD")
	if address == "" || testing.Short() {
		t.Skip("ROWMESH_TEST_ETCD (host:port of an etcd) is not set")
	}
	leasetest.Run(t, "/leasetest/"+t.TempDir(), func(t *testing.T) *clientv3.Client {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{address}, DialTimeout: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	})
}

// The context must end by the holder's own clock when etcd does not answer at all.
func TestHoldEndsWhileEtcdIsAway(t *testing.T) {
	n := startNode(t)
	c := dial(t, n)
	var ended time.Duration
	err := lease.Hold(t.Context(), c, 2*time.Second, func(ctx context.Context, _ clientv3.LeaseID) error {
		n.Close()
		start := time.Now()
		select {
		case <-ctx.Done():
			ended = time.Since(start)
		case <-time.After(20 * time.Second):
			return errors.New("context outlives its lease")
		}
		return nil
	})
	if !errors.Is(err, lease.ErrLost) {
		t.Fatalf("got %v, want ErrLost", err)
	}
	if ended > 3*time.Second {
		t.Errorf("lease of 2 s ended %s after etcd had gone", ended)
	}
}

// A restart of etcd that is shorter than the lease goes unnoticed.
func TestHoldSurvivesRestart(t *testing.T) {
	n := startNode(t)
	c := dial(t, n)
	err := lease.Hold(t.Context(), c, 5*time.Second, func(ctx context.Context, id clientv3.LeaseID) error {
		n.Close()
		again, err := etcdnode.Start(t.Context(), n.Config())
		if err != nil {
			return err
		}
		t.Cleanup(again.Close)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(6 * time.Second): // longer than the lease lives without renewal
		}
		r, err := c.TimeToLive(ctx, id)
		if err == nil && r.TTL <= 0 {
			err = errors.New("etcd does not know the lease after its restart")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
