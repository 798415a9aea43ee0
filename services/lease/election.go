package lease

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// LeaderTTL is the default lease of a leader. A killed leader is replaced after at most this, 500 ms until etcd looks, and the new one's start:
// under 5 s. Losing it without need costs nothing but a new term, so it may be shorter than that of members.
const LeaderTTL = 3 * time.Second

// Election elects one leader among all that campaign under Prefix.
type Election struct {
	Prefix string        // keys of the candidates are Prefix + "/" + lease in hexadecimal
	Value  string        // what others read as the leader's name
	TTL    time.Duration // 0: LeaderTTL
}

// Leadership is the proof of one term.
type Leadership struct {
	Key      string // the leader's key
	Revision int64  // revision at which it was created; unique to the term
}

// Guard holds in a transaction as long as the term lasts in etcd.
func (l Leadership) Guard() clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(l.Key), "=", l.Revision)
}

// Lead campaigns, and once elected calls fn with a context that ends with the term. It returns after fn has returned and the leadership is given
// back: fn's error, ErrLost if the lease ended, or why the campaign failed.
func (e Election) Lead(ctx context.Context, client *clientv3.Client, fn func(ctx context.Context, l Leadership) error) error {
	ttl := e.TTL
	if ttl == 0 {
		ttl = LeaderTTL
	}
	return Hold(ctx, client, ttl, func(ctx context.Context, id clientv3.LeaseID) error {
		l, err := e.enter(ctx, client, id)
		if err != nil {
			return err
		}
		if err := e.await(ctx, client, l); err != nil {
			return fmt.Errorf("campaign under %s: %w", e.Prefix, err)
		}
		return fn(ctx, l)
	})
}

// enter puts the candidate's key.
func (e Election) enter(ctx context.Context, client *clientv3.Client, id clientv3.LeaseID) (Leadership, error) {
	key := e.Prefix + "/" + strconv.FormatInt(int64(id), 16)
	r, err := client.Put(ctx, key, e.Value, clientv3.WithLease(id))
	if err != nil {
		return Leadership{}, fmt.Errorf("enter campaign as %s: %w", key, err)
	}
	return Leadership{Key: key, Revision: r.Header.Revision}, nil
}

// await returns when no older candidate is left. Each candidate watches only the one before it, so a leader's end wakes one, not all.
func (e Election) await(ctx context.Context, client *clientv3.Client, l Leadership) error {
	for {
		r, err := client.Get(ctx, e.Prefix+"/", append(clientv3.WithLastCreate(), clientv3.WithMaxCreateRev(l.Revision-1))...)
		if err != nil {
			return err
		}
		if len(r.Kvs) == 0 {
			return nil
		}
		if err := awaitDelete(ctx, client, string(r.Kvs[0].Key), r.Header.Revision+1); err != nil {
			return err
		}
	}
}

// awaitDelete returns when key was deleted at revision or later, or when the watch broke and the caller should look again.
func awaitDelete(ctx context.Context, client *clientv3.Client, key string, revision int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for r := range client.Watch(clientv3.WithRequireLeader(ctx), key, clientv3.WithRev(revision)) {
		if r.Err() != nil {
			break
		}
		for _, ev := range r.Events {
			if ev.Type == clientv3.EventTypeDelete {
				return nil
			}
		}
	}
	// 100 ms keeps a cluster without a leader from being asked in a tight loop.
	if !wait(ctx, 100*time.Millisecond) {
		return ctx.Err()
	}
	return nil
}

// Leader returns the value of the leader under prefix, or "" if there is none.
func Leader(ctx context.Context, client *clientv3.Client, prefix string) (string, error) {
	r, err := client.Get(ctx, prefix+"/", clientv3.WithFirstCreate()...)
	if err != nil {
		return "", fmt.Errorf("read leader under %s: %w", prefix, err)
	}
	if len(r.Kvs) == 0 {
		return "", nil
	}
	return string(r.Kvs[0].Value), nil
}

// Campaign leads again and again until ctx ends: after each term, and each failure to begin one, it tries again. failed is told why a term ended
// or did not begin, unless ctx ended it.
func (e Election) Campaign(ctx context.Context, client *clientv3.Client, fn func(ctx context.Context, l Leadership) error, failed func(error)) error {
	for ctx.Err() == nil {
		err := e.Lead(ctx, client, fn)
		if ctx.Err() != nil {
			break
		}
		if err == nil {
			err = errors.New("term ended")
		}
		failed(err)
		// A second keeps an etcd that is away from being asked in a tight loop, and is short beside the 5 s of a takeover.
		wait(ctx, time.Second)
	}
	return nil
}
