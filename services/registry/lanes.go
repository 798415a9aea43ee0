package registry

import (
	"context"
	"slices"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	statev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/state/v1"
	"github.com/rowmesh/rowmesh/services/errs"
)

const (
	// maxTraceBytes and maxTopics keep a status far below etcd's 1.5 MiB for a request: 4096 topic names have at most 249 bytes each.
	maxTraceBytes = 16 << 10
	maxTopics     = 4096
)

// lanes reads the lanes in sp, and the revision at which they stood so.
func (s *Store) lanes(ctx context.Context, sp span) ([]Lane, int64, error) {
	r, err := s.client.Get(ctx, sp.from, clientv3.WithRange(sp.to))
	if err != nil {
		return nil, 0, classify(err)
	}
	out := make([]Lane, 0, len(r.Kvs))
	for _, kv := range r.Kvs {
		l, err := laneFromKV(string(kv.Key), kv.Value, kv.ModRevision)
		if err != nil {
			return nil, 0, err
		}
		out = append(out, l)
	}
	return out, r.Header.Revision, nil
}

func laneFromKV(key string, value []byte, revision int64) (Lane, error) {
	var p statev1.Lane
	if err := unmarshal(key, value, &p); err != nil {
		return Lane{}, err
	}
	return laneFromProto(&p, revision), nil
}

// Lanes reads all lanes.
func (s *Store) Lanes(ctx context.Context) ([]Lane, error) {
	ctx, cancel := s.call(ctx)
	defer cancel()
	out, _, err := s.lanes(ctx, s.under(kindLane))
	return out, err
}

// ConfirmLane asks etcd, with a linearizable read, whether l is still what its owner may run: errs.NotOwner if somebody else has the lane or it is
// gone, errs.Stale if it is the same owner's under a newer generation.
func (s *Store) ConfirmLane(ctx context.Context, l Lane) error {
	ctx, cancel := s.call(ctx)
	defer cancel()
	key := s.laneKey(l.LaneID)
	r, err := s.client.Get(ctx, key)
	if err != nil {
		return classify(err)
	}
	if len(r.Kvs) == 0 {
		return errs.E(errs.NotOwner, "lane %s/%d is gone", l.Connector, l.Task)
	}
	now, err := laneFromKV(key, r.Kvs[0].Value, r.Kvs[0].ModRevision)
	switch {
	case err != nil:
		return err
	case now.Owner != l.Owner:
		return errs.E(errs.NotOwner, "lane %s/%d belongs to %s (generation %d)", l.Connector, l.Task, now.Owner, now.Generation)
	case now.Generation != l.Generation:
		return errs.E(errs.Stale, "lane %s/%d is at generation %d, not %d", l.Connector, l.Task, now.Generation, l.Generation)
	}
	return nil
}

// PutStatus stores what a lane's owner says of it. A status of an older generation than the lane's is errs.Stale, of a lane that is gone
// errs.NotFound: both mean that nobody waits for it. Topics of earlier statuses stay; see ResetTopics.
func (s *Store) PutStatus(ctx context.Context, st LaneStatus) error {
	ctx, cancel := s.call(ctx)
	defer cancel()
	st.Trace = clip(strings.ToValidUTF8(st.Trace, "\uFFFD"), maxTraceBytes)
	for {
		err := s.tryStatus(ctx, st)
		if errs.KindOf(err) != errs.Busy || ctx.Err() != nil {
			return err
		}
	}
}

// tryStatus is errs.Busy if the lane or its status changed between reading and writing.
func (s *Store) tryStatus(ctx context.Context, st LaneStatus) error {
	laneKey, statusKey := s.laneKey(st.LaneID), s.statusKey(st.LaneID)
	r, err := s.client.Txn(ctx).Then(clientv3.OpGet(laneKey), clientv3.OpGet(statusKey)).Commit()
	if err != nil {
		return classify(err)
	}
	lanes, statuses := r.Responses[0].GetResponseRange().Kvs, r.Responses[1].GetResponseRange().Kvs
	if len(lanes) == 0 {
		return errs.E(errs.NotFound, "lane %s/%d is gone", st.Connector, st.Task)
	}
	lane, err := laneFromKV(laneKey, lanes[0].Value, lanes[0].ModRevision)
	if err != nil {
		return err
	}
	if st.Generation < lane.Generation {
		return errs.E(errs.Stale, "status of lane %s/%d speaks of generation %d, the lane is at %d", st.Connector, st.Task, st.Generation, lane.Generation)
	}
	var statusRevision int64
	var old statev1.LaneStatus
	if len(statuses) > 0 {
		statusRevision = statuses[0].ModRevision
		if err := unmarshal(statusKey, statuses[0].Value, &old); err != nil {
			s.log.Warn("status that cannot be read is written anew; topics that it listed are forgotten", "connector", st.Connector, "task", st.Task, "error", err)
			old.Reset()
		}
	}
	st.Topics = union(old.Topics, st.Topics)
	value, err := marshal(StatusToProto(st))
	if err != nil {
		return err
	}
	w, err := s.client.Txn(ctx).If(
		clientv3.Compare(clientv3.ModRevision(laneKey), "=", lane.ModRevision),
		clientv3.Compare(clientv3.ModRevision(statusKey), "=", statusRevision),
	).Then(clientv3.OpPut(statusKey, string(value))).Commit()
	if err != nil {
		return classify(err)
	}
	if !w.Succeeded {
		return errs.E(errs.Busy, "status of lane %s/%d changes at the same time", st.Connector, st.Task)
	}
	return nil
}

// ResetTopics empties the topics of all statuses of a connector; they come back as lanes say them again.
func (s *Store) ResetTopics(ctx context.Context, connector string) error {
	ctx, cancel := s.call(ctx)
	defer cancel()
	sp := s.under(kindStatus, connector)
	r, err := s.client.Get(ctx, sp.from, clientv3.WithRange(sp.to))
	if err != nil {
		return classify(err)
	}
	for _, kv := range r.Kvs {
		var p statev1.LaneStatus
		if err := unmarshal(string(kv.Key), kv.Value, &p); err != nil {
			return err
		}
		p.Topics = nil
		value, err := marshal(&p)
		if err != nil {
			return err
		}
		// If the lane has said something new meanwhile, what it said stays.
		if _, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(string(kv.Key)), "=", kv.ModRevision)).
			Then(clientv3.OpPut(string(kv.Key), string(value))).Commit(); err != nil {
			return classify(err)
		}
	}
	return nil
}

// union returns the sorted union, at most maxTopics.
func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	out = slices.Compact(out)
	return out[:min(len(out), maxTopics)]
}

// clip cuts s to at most n bytes, at a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}
