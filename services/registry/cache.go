package registry

import (
	"context"
	"log/slog"
	"maps"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	statev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/state/v1"
	"github.com/rowmesh/rowmesh/services/errs"
)

// State is the registry at one revision, without tables. It is shared: nobody changes it or what it refers to.
type State struct {
	Revision   int64
	Connectors map[string]Connector
	Members    map[MemberID]Member
	Sources    map[SourceID]Source
	Lanes      map[LaneID]Lane
	Layouts    map[string]ConnectorLayout
	Statuses   map[LaneID]LaneStatus
	Leader     MemberID // of the oldest candidate; empty without one
}

// Cache follows the registry and holds its newest State. While etcd is away the last State stands.
type Cache struct {
	s *Store

	mu      sync.Mutex
	state   *State        // nil before the first
	changed chan struct{} // closed when state changes, then replaced
}

// NewCache returns a cache that is empty until Run has read the registry.
func (s *Store) NewCache() *Cache { return &Cache{s: s, changed: make(chan struct{})} }

// Run follows the registry until ctx ends.
func (c *Cache) Run(ctx context.Context) error {
	c.s.follow(ctx, c.s.watched(), &stateFollower{s: c.s, log: c.s.log, publish: c.publish})
	return nil
}

func (c *Cache) publish(s *State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = s
	close(c.changed)
	c.changed = make(chan struct{})
}

// State returns the newest state, nil before the first, and a channel that closes when there is a newer one.
func (c *Cache) State() (*State, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, c.changed
}

// Wait returns the first state that is not older than revision, or errs.Unavailable when ctx ends before.
func (c *Cache) Wait(ctx context.Context, revision int64) (*State, error) {
	for {
		s, changed := c.State()
		if s != nil && s.Revision >= revision {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, errs.E(errs.Unavailable, "the registry in etcd has not been read up to revision %d: %w", revision, ctx.Err())
		}
	}
}

// stateFollower builds a State and replaces it by a changed copy at each update; only the maps that change are copied.
type stateFollower struct {
	s       *Store
	log     *slog.Logger
	publish func(*State)

	state   State
	members map[string]MemberID // by key, since the record is not there any more when its deletion is told
	leaders map[string]candidate
	copied  map[string]bool // kinds whose maps belong to the state that is being built
}

type candidate struct {
	id      MemberID
	created int64
}

func (f *stateFollower) reset(kvs []*mvccpb.KeyValue, revision int64) {
	f.members, f.leaders = make(map[string]MemberID), make(map[string]candidate)
	f.copied = make(map[string]bool)
	f.state = State{
		Revision: revision, Connectors: make(map[string]Connector), Members: make(map[MemberID]Member), Sources: make(map[SourceID]Source),
		Lanes: make(map[LaneID]Lane), Layouts: make(map[string]ConnectorLayout), Statuses: make(map[LaneID]LaneStatus),
	}
	for _, kv := range kvs {
		f.take(clientv3.EventTypePut, kv)
	}
	f.finish()
}

func (f *stateFollower) update(events []*clientv3.Event, revision int64) {
	f.copied = make(map[string]bool)
	f.state.Revision = revision
	for _, ev := range events {
		f.take(ev.Type, ev.Kv)
	}
	f.finish()
}

func (f *stateFollower) finish() {
	f.state.Leader = ""
	var first int64
	for _, c := range f.leaders {
		if first == 0 || c.created < first {
			first, f.state.Leader = c.created, c.id
		}
	}
	s := f.state
	f.publish(&s)
}

// own makes *m a copy that this update may change.
func own[K comparable, V any](f *stateFollower, kind string, m *map[K]V) map[K]V {
	if !f.copied[kind] {
		*m = maps.Clone(*m)
		f.copied[kind] = true
	}
	return *m
}

// take applies one record. A record that cannot be read is left out and said so; its neighbours are not touched.
func (f *stateFollower) take(typ mvccpb.Event_EventType, kv *mvccpb.KeyValue) {
	key := string(kv.Key)
	kind, parts, err := f.s.split(key)
	if err == nil && typ == clientv3.EventTypeDelete {
		err = f.drop(key, kind, parts)
	} else if err == nil {
		err = f.keep(key, kind, kv)
	}
	if err != nil {
		f.log.Error("record is left out", "error", err)
	}
}

func (f *stateFollower) keep(key, kind string, kv *mvccpb.KeyValue) error {
	switch kind {
	case kindConnector:
		var p statev1.Connector
		if err := unmarshal(key, kv.Value, &p); err != nil {
			return err
		}
		own(f, kind, &f.state.Connectors)[p.Name] = f.s.connectorFromProto(&p, kv.ModRevision)
	case kindMember:
		var p statev1.Member
		if err := unmarshal(key, kv.Value, &p); err != nil {
			return err
		}
		f.members[key] = MemberID(p.Id)
		own(f, kind, &f.state.Members)[MemberID(p.Id)] = MemberFromProto(&p)
	case kindSource:
		src, err := sourceFromKV(key, kv.Value, kv.ModRevision)
		if err != nil {
			return err
		}
		own(f, kind, &f.state.Sources)[src.ID] = src
	case kindLane:
		l, err := laneFromKV(key, kv.Value, kv.ModRevision)
		if err != nil {
			return err
		}
		own(f, kind, &f.state.Lanes)[l.LaneID] = l
	case kindLayout:
		var p statev1.ConnectorLayout
		if err := unmarshal(key, kv.Value, &p); err != nil {
			return err
		}
		own(f, kind, &f.state.Layouts)[p.Connector] = connectorLayoutFromProto(&p, kv.ModRevision)
	case kindStatus:
		var p statev1.LaneStatus
		if err := unmarshal(key, kv.Value, &p); err != nil {
			return err
		}
		st := StatusFromProto(&p)
		own(f, kind, &f.state.Statuses)[st.LaneID] = st
	case kindLeader:
		f.leaders[key] = candidate{MemberID(kv.Value), kv.CreateRevision}
	}
	return nil
}

func (f *stateFollower) drop(key, kind string, parts []string) error {
	switch kind {
	case kindConnector:
		delete(own(f, kind, &f.state.Connectors), parts[0])
	case kindMember:
		delete(own(f, kind, &f.state.Members), f.members[key])
		delete(f.members, key)
	case kindSource:
		delete(own(f, kind, &f.state.Sources), SourceID(parts[0]))
	case kindLayout:
		delete(own(f, kind, &f.state.Layouts), parts[0])
	case kindLane, kindStatus:
		id, err := laneID(key, parts)
		if err != nil {
			return err
		}
		if kind == kindLane {
			delete(own(f, kind, &f.state.Lanes), id)
		} else {
			delete(own(f, kind, &f.state.Statuses), id)
		}
	case kindLeader:
		delete(f.leaders, key)
	}
	return nil
}
