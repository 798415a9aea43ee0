package registry

import (
	"context"
	"maps"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	statev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/state/v1"
	"github.com/rowmesh/rowmesh/services/errs"
)

// CreateConnector stores a connector that must not exist yet (errs.Exists), and returns it as stored. Its config revision starts at etcd's own, and so
// above that of any earlier connector of the name: lanes and sources that such a one has left notice the difference.
func (s *Store) CreateConnector(ctx context.Context, c Connector) (Connector, error) {
	ctx, cancel := s.call(ctx)
	defer cancel()
	now, err := s.client.Get(ctx, s.connectorKey(c.Name), clientv3.WithCountOnly())
	if err != nil {
		return Connector{}, classify(err)
	}
	c.ConfigRevision, c.ModRevision = uint64(now.Header.Revision), 0
	stored, ok, err := s.putConnector(ctx, c)
	if err == nil && !ok {
		err = errs.E(errs.Exists, "connector %s exists already; choose another name or update it", c.Name)
	}
	return stored, err
}

// UpdateConnector stores c in place of the record whose revision is c.ModRevision. If that is not the newest it is errs.Stale: read and try again.
func (s *Store) UpdateConnector(ctx context.Context, c Connector) (Connector, error) {
	ctx, cancel := s.call(ctx)
	defer cancel()
	stored, ok, err := s.putConnector(ctx, c)
	if err == nil && !ok {
		err = errs.E(errs.Stale, "connector %s was changed or deleted by somebody else meanwhile; try again", c.Name)
	}
	return stored, err
}

func (s *Store) putConnector(ctx context.Context, c Connector) (stored Connector, ok bool, err error) {
	if c.Unreadable != "" {
		return Connector{}, false, errs.E(errs.Denied, "connector %s cannot be changed here: %s", c.Name, c.Unreadable)
	}
	p, err := s.connectorToProto(c)
	if err != nil {
		return Connector{}, false, err
	}
	value, err := marshal(p)
	if err != nil {
		return Connector{}, false, err
	}
	key := s.connectorKey(c.Name)
	r, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", c.ModRevision)).Then(clientv3.OpPut(key, string(value))).Commit()
	if err != nil {
		return Connector{}, false, classify(err)
	}
	c.Config, c.TaskRestart = slices.Clone(c.Config), maps.Clone(c.TaskRestart)
	c.ModRevision = r.Header.Revision
	return c, r.Succeeded, nil
}

// DeleteConnector deletes a connector; the leader removes what hangs on it. It returns the revision of the deletion, or errs.NotFound.
func (s *Store) DeleteConnector(ctx context.Context, name string) (int64, error) {
	ctx, cancel := s.call(ctx)
	defer cancel()
	r, err := s.client.Delete(ctx, s.connectorKey(name))
	if err != nil {
		return 0, classify(err)
	}
	if r.Deleted == 0 {
		return 0, errs.E(errs.NotFound, "connector %s does not exist", name)
	}
	return r.Header.Revision, nil
}

// Connector reads a connector: errs.NotFound without one.
func (s *Store) Connector(ctx context.Context, name string) (Connector, error) {
	ctx, cancel := s.call(ctx)
	defer cancel()
	key := s.connectorKey(name)
	r, err := s.client.Get(ctx, key)
	if err != nil {
		return Connector{}, classify(err)
	}
	if len(r.Kvs) == 0 {
		return Connector{}, errs.E(errs.NotFound, "connector %s does not exist", name)
	}
	var p statev1.Connector
	if err := unmarshal(key, r.Kvs[0].Value, &p); err != nil {
		return Connector{}, err
	}
	return s.connectorFromProto(&p, r.Kvs[0].ModRevision), nil
}

// Connectors reads all connectors, by name.
func (s *Store) Connectors(ctx context.Context) ([]Connector, error) {
	ctx, cancel := s.call(ctx)
	defer cancel()
	sp := s.under(kindConnector)
	r, err := s.client.Get(ctx, sp.from, clientv3.WithRange(sp.to))
	if err != nil {
		return nil, classify(err)
	}
	out := make([]Connector, 0, len(r.Kvs))
	for _, kv := range r.Kvs {
		var p statev1.Connector
		if err := unmarshal(string(kv.Key), kv.Value, &p); err != nil {
			return nil, err
		}
		out = append(out, s.connectorFromProto(&p, kv.ModRevision))
	}
	return out, nil
}
