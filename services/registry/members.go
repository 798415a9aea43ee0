package registry

import (
	"cmp"
	"context"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	statev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/state/v1"
	"github.com/rowmesh/rowmesh/services/lease"
)

// Register keeps m among the members until ctx ends, then takes it out at once, so that its work moves without waiting for a lease. When the lease
// is lost (etcd was away for longer than its time) it registers again under the same id; work that runs meanwhile goes on, and if nobody else was
// given it nothing changes. It returns nil when ctx ends and an error only for a member that cannot be stored.
func (s *Store) Register(ctx context.Context, m Member) error {
	value, err := marshal(MemberToProto(m))
	if err != nil {
		return err
	}
	key := s.memberKey(m.Role, m.ID)
	for ctx.Err() == nil {
		err := lease.Hold(ctx, s.client, s.memberTTL, func(ctx context.Context, id clientv3.LeaseID) error {
			r, err := s.client.Put(ctx, key, string(value), clientv3.WithLease(id), clientv3.WithPrevKV())
			if err != nil {
				return err
			}
			if r.PrevKv != nil && string(r.PrevKv.Value) != string(value) {
				// Most likely this member's own earlier start, whose lease has not ended yet. Two living ones would take the same lanes from each other.
				s.log.Warn("member id was in use; ids must be unique among running members", "role", m.Role, "id", m.ID)
			}
			s.log.Info("member registered", "role", m.Role, "id", m.ID)
			<-ctx.Done()
			return nil
		})
		if ctx.Err() != nil {
			break
		}
		s.log.Warn("member is not registered; running work goes on", "role", m.Role, "id", m.ID, "error", classify(err))
		pause(ctx, 500*time.Millisecond) // half of etcd's own check interval for leases: as soon as it is back
	}
	return nil
}

// Members reads the members that hold a lease, by role and id.
func (s *Store) Members(ctx context.Context) ([]Member, error) {
	ctx, cancel := s.call(ctx)
	defer cancel()
	sp := s.under(kindMember)
	r, err := s.client.Get(ctx, sp.from, clientv3.WithRange(sp.to))
	if err != nil {
		return nil, classify(err)
	}
	out := make([]Member, 0, len(r.Kvs))
	for _, kv := range r.Kvs {
		var p statev1.Member
		if err := unmarshal(string(kv.Key), kv.Value, &p); err != nil {
			return nil, err
		}
		out = append(out, MemberFromProto(&p))
	}
	slices.SortFunc(out, func(a, b Member) int { return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
