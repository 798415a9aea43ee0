// Package leasetest is the conformance suite of services/lease: what must hold on any etcd.
package leasetest

import (
	"context"
	"errors"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/rowmesh/rowmesh/services/lease"
)

// wait bounds every wait of the suite; leases of 2 s (the shortest that etcd grants by default) expire within it many times over.
const wait = 20 * time.Second

// Run runs the suite. dial returns a new client of one etcd and closes it when the test ends; prefix is used by this run alone.
func Run(t *testing.T, prefix string, dial func(t *testing.T) *clientv3.Client) {
	t.Run("HoldRevokes", func(t *testing.T) { holdRevokes(t, dial(t)) })
	t.Run("LostLeaseEndsContext", func(t *testing.T) { lostLeaseEndsContext(t, dial(t)) })
	t.Run("RenewedLeaseLasts", func(t *testing.T) { renewedLeaseLasts(t, dial(t)) })
	t.Run("OneLeaderAtATime", func(t *testing.T) { oneLeaderAtATime(t, prefix+"/one", dial(t), dial(t)) })
	t.Run("LostLeaderIsReplacedAndRefused", func(t *testing.T) { lostLeaderIsReplaced(t, prefix+"/lost", dial(t), dial(t)) })
	t.Run("CandidateGivesUp", func(t *testing.T) { candidateGivesUp(t, prefix+"/gives-up", dial(t)) })
}

func holdRevokes(t *testing.T, c *clientv3.Client) {
	var id clientv3.LeaseID
	boom := errors.New("boom")
	err := lease.Hold(t.Context(), c, 2*time.Second, func(_ context.Context, l clientv3.LeaseID) error { id = l; return boom })
	if !errors.Is(err, boom) {
		t.Fatalf("got %v, want the function's error", err)
	}
	if ttl := remaining(t, c, id); ttl != -1 {
		t.Fatalf("lease lives on for %d s", ttl)
	}
}

func lostLeaseEndsContext(t *testing.T, c *clientv3.Client) {
	err := lease.Hold(t.Context(), c, 2*time.Second, func(ctx context.Context, id clientv3.LeaseID) error {
		if _, err := c.Revoke(ctx, id); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
			return errors.New("context outlives its lease")
		}
		if got := context.Cause(ctx); !errors.Is(got, lease.ErrLost) {
			t.Errorf("context ended with %v, want ErrLost", got)
		}
		return nil
	})
	if !errors.Is(err, lease.ErrLost) {
		t.Fatalf("got %v, want ErrLost", err)
	}
}

func renewedLeaseLasts(t *testing.T, c *clientv3.Client) {
	err := lease.Hold(t.Context(), c, 2*time.Second, func(ctx context.Context, id clientv3.LeaseID) error {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(3500 * time.Millisecond): // nearly twice the TTL
		}
		if ttl := remaining(t, c, id); ttl <= 0 {
			t.Errorf("lease has %d s left after renewals", ttl)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func oneLeaderAtATime(t *testing.T, prefix string, a, b *clientv3.Client) {
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	endFirst, first, second := make(chan struct{}), make(chan struct{}), make(chan struct{})
	done := make(chan error, 2)
	go func() {
		done <- lease.Election{Prefix: prefix, Value: "a"}.Lead(ctx, a, func(ctx context.Context, _ lease.Leadership) error {
			close(first)
			<-endFirst
			return ctx.Err()
		})
	}()
	<-first
	go func() {
		done <- lease.Election{Prefix: prefix, Value: "b"}.Lead(ctx, b, func(ctx context.Context, _ lease.Leadership) error {
			close(second)
			return ctx.Err()
		})
	}()
	select {
	case <-second:
		t.Fatal("two leaders")
	case <-time.After(300 * time.Millisecond): // the second has had time to campaign
	}
	if got, err := lease.Leader(ctx, a, prefix); err != nil || got != "a" {
		t.Fatalf("leader %q, %v; want a", got, err)
	}
	close(endFirst)
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if got, err := lease.Leader(ctx, a, prefix); err != nil || got != "" {
		t.Fatalf("leader %q, %v after all have gone", got, err)
	}
}

func lostLeaderIsReplaced(t *testing.T, prefix string, a, b *clientv3.Client) {
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	err := lease.Election{Prefix: prefix, Value: "a"}.Lead(ctx, a, func(actx context.Context, old lease.Leadership) error {
		if r, err := a.Txn(ctx).If(old.Guard()).Then(clientv3.OpPut(prefix+"-x", "1")).Commit(); err != nil || !r.Succeeded {
			t.Errorf("write of the leader: %v, %v", r, err)
		}
		kv, err := a.Get(ctx, old.Key)
		if err != nil {
			return err
		}
		if _, err := b.Revoke(ctx, clientv3.LeaseID(kv.Kvs[0].Lease)); err != nil {
			return err
		}
		err = lease.Election{Prefix: prefix, Value: "b"}.Lead(ctx, b, func(context.Context, lease.Leadership) error {
			r, err := a.Txn(ctx).If(old.Guard()).Then(clientv3.OpPut(prefix+"-x", "2")).Commit()
			if err == nil && r.Succeeded {
				t.Error("a deposed leader wrote")
			}
			return err
		})
		<-actx.Done()
		return err
	})
	if !errors.Is(err, lease.ErrLost) {
		t.Fatalf("got %v, want ErrLost", err)
	}
}

func candidateGivesUp(t *testing.T, prefix string, c *clientv3.Client) {
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	err := lease.Election{Prefix: prefix, Value: "a"}.Lead(ctx, c, func(ctx context.Context, _ lease.Leadership) error {
		short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		err := lease.Election{Prefix: prefix, Value: "b"}.Lead(short, c, func(context.Context, lease.Leadership) error {
			t.Error("two leaders")
			return nil
		})
		if err == nil {
			t.Error("a candidate whose context ended returned nil")
		}
		r, err := c.Get(ctx, prefix+"/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err == nil && r.Count != 1 {
			t.Errorf("%d candidates left, want 1", r.Count)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// remaining returns the seconds that a lease has left; -1 if etcd does not know it.
func remaining(t *testing.T, c *clientv3.Client, id clientv3.LeaseID) int64 {
	t.Helper()
	r, err := c.TimeToLive(context.WithoutCancel(t.Context()), id)
	if err != nil {
		t.Fatal(err)
	}
	return r.TTL
}
