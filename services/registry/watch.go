package registry

import (
	"cmp"
	"context"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	statev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/state/v1"
)

// WatchLanes sends the lanes of owner, all of them by name, at first and after each change of any. Only the newest is kept for a slow receiver.
// While etcd is away nothing is sent: what was sent last stands. The channel closes when ctx ends.
func (s *Store) WatchLanes(ctx context.Context, owner MemberID) <-chan []Lane {
	return watch(ctx, s, s.under(kindLane), func(key string, value []byte, revision int64) (Lane, bool, error) {
		l, err := laneFromKV(key, value, revision)
		return l, l.Owner == owner, err
	}, func(a, b Lane) int { return cmp.Or(cmp.Compare(a.Connector, b.Connector), cmp.Compare(a.Task, b.Task)) }, sameLane)
}

// WatchSources sends the sources of owner, as WatchLanes does.
func (s *Store) WatchSources(ctx context.Context, owner MemberID) <-chan []Source {
	return watch(ctx, s, s.under(kindSource), func(key string, value []byte, revision int64) (Source, bool, error) {
		src, err := sourceFromKV(key, value, revision)
		return src, src.Owner == owner, err
	}, func(a, b Source) int { return cmp.Compare(a.ID, b.ID) }, func(a, b Source) bool {
		a.ModRevision, b.ModRevision = 0, 0
		return a == b
	})
}

func sourceFromKV(key string, value []byte, revision int64) (Source, error) {
	var p statev1.Source
	if err := unmarshal(key, value, &p); err != nil {
		return Source{}, err
	}
	return sourceFromProto(&p, revision), nil
}

// watch sends snapshots of the records in sp that decode says are wanted.
func watch[T any](ctx context.Context, s *Store, sp span, decode func(key string, value []byte, revision int64) (T, bool, error),
	order func(a, b T) int, same func(a, b T) bool) <-chan []T {
	out := make(chan []T, 1)
	w := &snapshots[T]{out: out, decode: decode, order: order, same: same, failed: func(err error) { s.log.Error("record is left out", "error", err) }}
	go func() {
		defer close(out)
		s.follow(ctx, sp, w)
	}()
	return out
}

// snapshots is a follower that keeps the wanted records and sends them whole.
type snapshots[T any] struct {
	records map[string]T
	sent    []T
	begun   bool
	// out holds one snapshot; a newer one takes its place. Only this follower sends.
	out    chan []T
	decode func(key string, value []byte, revision int64) (T, bool, error)
	order  func(a, b T) int
	same   func(a, b T) bool
	failed func(error)
}

func (w *snapshots[T]) reset(kvs []*mvccpb.KeyValue, _ int64) {
	w.records = make(map[string]T)
	for _, kv := range kvs {
		w.take(kv)
	}
	w.send()
}

func (w *snapshots[T]) update(events []*clientv3.Event, _ int64) {
	for _, ev := range events {
		if ev.Type == clientv3.EventTypeDelete {
			delete(w.records, string(ev.Kv.Key))
		} else {
			w.take(ev.Kv)
		}
	}
	w.send()
}

func (w *snapshots[T]) take(kv *mvccpb.KeyValue) {
	key := string(kv.Key)
	t, wanted, err := w.decode(key, kv.Value, kv.ModRevision)
	if err != nil { // what was read last stands: work that runs is not stopped by a slip in etcd
		w.failed(err)
		return
	}
	if !wanted {
		delete(w.records, key)
		return
	}
	w.records[key] = t
}

func (w *snapshots[T]) send() {
	now := make([]T, 0, len(w.records))
	for _, t := range w.records {
		now = append(now, t)
	}
	slices.SortFunc(now, w.order)
	if w.begun && slices.EqualFunc(w.sent, now, w.same) {
		return
	}
	w.begun, w.sent = true, slices.Clone(now)
	select {
	case <-w.out: // the receiver has not taken the last one; it is old now
	default:
	}
	w.out <- now
}
