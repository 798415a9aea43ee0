package lease

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

const (
	// DefaultTTL is how long etcd keeps a lease without renewal. etcd looks for expired leases every 500 ms, so whoever waits learns of a death
	// after at most 5.5 s; three renewals fit into it, so a pause of 3 s is survived.
	DefaultTTL = 5 * time.Second
	// renewals in one TTL: one may get lost and the next still arrives in time.
	renewals = 3
	// revokeTimeout bounds the return of a lease; past it the lease expires by itself.
	revokeTimeout = time.Second
)

// ErrLost is the cause of the end of a context that ended with its lease.
var ErrLost = errors.New("lease lost")

// Hold grants a lease of ttl (whole seconds; 0: DefaultTTL), calls fn with a context that ends with the lease, and revokes the lease after fn has
// returned. It returns fn's error, ErrLost if the lease ended first, or why none was granted.
func Hold(ctx context.Context, client *clientv3.Client, ttl time.Duration, fn func(ctx context.Context, id clientv3.LeaseID) error) error {
	if ttl == 0 {
		ttl = DefaultTTL
	}
	sent := time.Now()
	gctx, cancel := context.WithTimeout(ctx, ttl)
	granted, err := client.Grant(gctx, int64((ttl+time.Second-1)/time.Second))
	cancel()
	if err != nil {
		return fmt.Errorf("etcd grants no lease: %w", err)
	}
	k := keeper{client: client, id: granted.ID, ttl: time.Duration(granted.TTL) * time.Second}

	hctx, end := context.WithCancelCause(ctx)
	var kept sync.WaitGroup
	kept.Go(func() {
		if err := k.keep(hctx, sent); err != nil {
			end(err)
		}
	})
	err = fn(hctx, granted.ID)
	lost := errors.Is(context.Cause(hctx), ErrLost)
	end(nil)
	kept.Wait()

	rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeTimeout)
	defer cancel()
	// If etcd does not answer now the lease expires by itself, which is what a revocation saves waiting for.
	_, _ = client.Revoke(rctx, granted.ID)
	if lost {
		return ErrLost
	}
	return err
}

// keeper renews one lease.
type keeper struct {
	client *clientv3.Client
	id     clientv3.LeaseID
	ttl    time.Duration
}

// keep renews until ctx ends (nil) or the lease is lost. sent is when the grant was asked for.
func (k keeper) keep(ctx context.Context, sent time.Time) error {
	deadline := sent.Add(k.ttl)
	every := k.ttl / renewals
	for next := sent.Add(every); ; next = next.Add(every) {
		if !wait(ctx, time.Until(earlier(next, deadline))) {
			return nil
		}
		now := time.Now()
		if !now.Before(deadline) {
			return ErrLost
		}
		next = now
		rctx, cancel := context.WithDeadline(ctx, earlier(now.Add(every), deadline))
		ttl, err := k.renew(rctx)
		cancel()
		switch {
		case err == nil && ttl > 0:
			deadline = now.Add(ttl)
		case err == nil:
			return ErrLost // etcd answers with TTL 0 for a lease it does not know
		}
		// Any other error is a reason to try again until the deadline: etcd may be electing or restarting.
	}
}

// renew asks once. The client's own KeepAliveOnce is not used: while no server is reachable it repeats without pause until its context ends.
func (k keeper) renew(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := pb.NewLeaseClient(k.client.ActiveConnection()).LeaseKeepAlive(clientv3.WithRequireLeader(ctx), grpc.WaitForReady(true))
	if err != nil {
		return 0, err
	}
	if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(k.id)}); err != nil {
		return 0, err
	}
	r, err := stream.Recv()
	if err != nil {
		return 0, err
	}
	return time.Duration(r.TTL) * time.Second, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// wait waits for d and reports whether ctx is still alive.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
