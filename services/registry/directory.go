package registry

import (
	"context"
	"sync"

	"github.com/rowmesh/rowmesh/services/errs"
)

// Directory tells which capturer serves a source, from what it has seen last, so that it works while etcd is away. It remembers the address of an
// owner whose lease is gone: a capturer that lost its lease goes on serving until somebody else is given the source.
type Directory struct {
	cache *Cache

	mu        sync.Mutex
	addresses map[MemberID]string // of owners of sources
}

// NewDirectory returns a directory that is empty until Run has read the registry.
func (s *Store) NewDirectory() *Directory {
	return &Directory{cache: s.NewCache(), addresses: make(map[MemberID]string)}
}

// Run follows the registry until ctx ends.
func (d *Directory) Run(ctx context.Context) error {
	s := d.cache.s
	s.follow(ctx, s.watched(), &stateFollower{s: s, log: s.log, publish: func(st *State) {
		d.remember(st)
		d.cache.publish(st)
	}})
	return nil
}

// remember keeps the addresses of all owners, those of the owners that are gone too, and forgets the others.
func (d *Directory) remember(st *State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	owners := make(map[MemberID]bool, len(st.Sources))
	for _, src := range st.Sources {
		owners[src.Owner] = true
		if m, ok := st.Members[src.Owner]; ok {
			d.addresses[src.Owner] = m.GRPCAddress
		}
	}
	for id := range d.addresses {
		if !owners[id] {
			delete(d.addresses, id)
		}
	}
}

// Route is where a source's rows come from.
type Route struct {
	Source  SourceID
	Owner   MemberID
	Address string // host:port of the owner's gRPC server
}

// Source returns the route to a source: errs.NotFound if no connector uses it, errs.Busy while it has no owner. It waits for the first reading of
// the registry as long as ctx lasts.
func (d *Directory) Source(ctx context.Context, id SourceID) (Route, error) {
	st, err := d.cache.Wait(ctx, 0)
	if err != nil {
		return Route{}, err
	}
	return d.route(st, id)
}

// Connector returns the route to the source that a connector reads, as Source does.
func (d *Directory) Connector(ctx context.Context, name string) (Route, error) {
	st, err := d.cache.Wait(ctx, 0)
	if err != nil {
		return Route{}, err
	}
	c, ok := st.Connectors[name]
	if !ok {
		return Route{}, errs.E(errs.NotFound, "connector %s does not exist", name)
	}
	if c.Unreadable != "" {
		return Route{}, errs.E(errs.Denied, "%s", c.Unreadable)
	}
	id, err := SourceOf(c.Map())
	if err != nil {
		return Route{}, err
	}
	return d.route(st, id)
}

func (d *Directory) route(st *State, id SourceID) (Route, error) {
	src, ok := st.Sources[id]
	if !ok {
		return Route{}, errs.E(errs.NotFound, "source %s is used by no running connector; create one that reads from it", id)
	}
	d.mu.Lock()
	address := d.addresses[src.Owner]
	d.mu.Unlock()
	if address == "" {
		return Route{}, errs.E(errs.Busy, "source %s has no capturer yet; start one", id)
	}
	return Route{Source: id, Owner: src.Owner, Address: address}, nil
}

// SourceOwner returns the address of the capturer that serves a source, as Source does.
func (d *Directory) SourceOwner(ctx context.Context, id SourceID) (string, error) {
	r, err := d.Source(ctx, id)
	return r.Address, err
}

// Find returns the connector as last seen, so that a lane can start while etcd is away.
func (d *Directory) Find(ctx context.Context, name string) (Connector, error) {
	st, err := d.cache.Wait(ctx, 0)
	if err != nil {
		return Connector{}, err
	}
	c, ok := st.Connectors[name]
	if !ok {
		return Connector{}, errs.E(errs.NotFound, "connector %s does not exist", name)
	}
	return c, nil
}
