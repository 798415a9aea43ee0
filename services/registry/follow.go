package registry

import (
	"context"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/rowmesh/rowmesh/services/errs"
)

const (
	// retryFirst to retryMax is the pause between attempts to read all again; a second is short beside every lease.
	retryFirst = 50 * time.Millisecond
	retryMax   = time.Second
	// lookEvery is how often a watch asks whether etcd still is the one that it began on: an etcd restored from a backup counts from a lower
	// revision, and a watch that waits for a higher one would stay silent for ever.
	lookEvery = 15 * time.Second
)

// follower is told what lies in a span: all of it first and after each interruption, then each change. One goroutine calls it.
type follower interface {
	reset(kvs []*mvccpb.KeyValue, revision int64)
	update(events []*clientv3.Event, revision int64)
}

// follow keeps f informed until ctx ends. While etcd is away f hears nothing.
func (s *Store) follow(ctx context.Context, sp span, f follower) {
	retry := retryFirst
	away := false
	for ctx.Err() == nil {
		err := s.followOnce(ctx, sp, f, func() {
			if away {
				s.log.Info("registry is read again", "keys", sp.from)
			}
			away, retry = false, retryFirst
		})
		if ctx.Err() != nil {
			return
		}
		if !away {
			s.log.Warn("registry cannot be followed; what was read last stands", "keys", sp.from, "error", classify(err))
		}
		away = true
		pause(ctx, retry)
		retry = min(2*retry, retryMax)
	}
}

// followOnce reads all, calls started, and watches until the watch ends.
func (s *Store) followOnce(ctx context.Context, sp span, f follower, started func()) error {
	cctx, cancel := s.call(ctx)
	all, err := s.client.Get(cctx, sp.from, clientv3.WithRange(sp.to))
	cancel()
	if err != nil {
		return err
	}
	revision := all.Header.Revision
	f.reset(all.Kvs, revision)
	started()

	wctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := s.client.Watch(clientv3.WithRequireLeader(wctx), sp.from, clientv3.WithRange(sp.to), clientv3.WithRev(revision+1))
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case r, ok := <-watch:
			if !ok {
				return errs.E(errs.Unavailable, "watch ended")
			}
			if err := r.Err(); err != nil {
				return err // compacted past our revision, or no leader
			}
			revision = r.Header.Revision
			if len(r.Events) > 0 {
				f.update(r.Events, revision)
			}
		case <-look.C:
			cctx, cancel := s.call(ctx)
			r, err := s.client.Get(cctx, sp.from, clientv3.WithCountOnly())
			cancel()
			if err == nil && r.Header.Revision < revision {
				return errs.E(errs.Stale, "etcd went back from revision %d to %d", revision, r.Header.Revision)
			}
		}
	}
}
