package registry

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/lease"
)

// maxChanges of one Apply: etcd takes 128 operations and as many compares in a transaction by default; each change needs one compare, and the guard one.
const maxChanges = 120

// Change is one record that the leader puts, removes or relies on. It holds only if the record's revision is the one that the leader saw.
type Change struct {
	key      string
	revision int64
	op       clientv3.Op
	relyOnly bool
	err      error
}

func (s *Store) put(key string, revision int64, value []byte, err error) Change {
	return Change{key: key, revision: revision, op: clientv3.OpPut(key, string(value)), err: err}
}

func (s *Store) remove(key string, revision int64) Change {
	return Change{key: key, revision: revision, op: clientv3.OpDelete(key)}
}

// PutLane stores l in place of the record of revision l.ModRevision.
func (s *Store) PutLane(l Lane) Change {
	value, err := marshal(LaneToProto(l))
	return s.put(s.laneKey(l.LaneID), l.ModRevision, value, err)
}

// RemoveLane removes l.
func (s *Store) RemoveLane(l Lane) Change { return s.remove(s.laneKey(l.LaneID), l.ModRevision) }

// PutSource stores src in place of the record of revision src.ModRevision.
func (s *Store) PutSource(src Source) Change {
	value, err := marshal(SourceToProto(src))
	return s.put(s.sourceKey(src.ID), src.ModRevision, value, err)
}

// RemoveSource removes src.
func (s *Store) RemoveSource(src Source) Change {
	return s.remove(s.sourceKey(src.ID), src.ModRevision)
}

// PutLayout stores l in place of the record of revision l.ModRevision.
func (s *Store) PutLayout(l ConnectorLayout) Change {
	value, err := marshal(connectorLayoutToProto(l))
	return s.put(s.layoutKey(l.Connector), l.ModRevision, value, err)
}

// RemoveStatus removes a lane's status, whatever it says.
func (s *Store) RemoveStatus(id LaneID) Change {
	return Change{revision: -1, op: clientv3.OpDelete(s.statusKey(id))}
}

// Rely lets the other changes of an Apply hold only if c is still as the leader saw it.
func (s *Store) Rely(c Connector) Change {
	return Change{key: s.connectorKey(c.Name), revision: c.ModRevision, relyOnly: true}
}

// Apply makes all changes or none, and returns the revision at which they hold. errs.NotOwner: the term of lead is over. errs.Stale: a record is not
// as the leader saw it; look again.
func (s *Store) Apply(ctx context.Context, lead lease.Leadership, changes ...Change) (int64, error) {
	if len(changes) > maxChanges {
		return 0, errs.E(errs.Internal, "%d changes in one transaction, at most %d fit", len(changes), maxChanges)
	}
	compares := []clientv3.Cmp{lead.Guard()}
	var ops []clientv3.Op
	for _, c := range changes {
		if c.err != nil {
			return 0, c.err
		}
		if c.revision >= 0 {
			compares = append(compares, clientv3.Compare(clientv3.ModRevision(c.key), "=", c.revision))
		}
		if !c.relyOnly {
			ops = append(ops, c.op)
		}
	}
	ctx, cancel := s.call(ctx)
	defer cancel()
	r, err := s.client.Txn(ctx).If(compares...).Then(ops...).Else(clientv3.OpGet(lead.Key)).Commit()
	if err != nil {
		return 0, classify(err)
	}
	if r.Succeeded {
		return r.Header.Revision, nil
	}
	kvs := r.Responses[0].GetResponseRange().Kvs
	if len(kvs) == 0 || kvs[0].CreateRevision != lead.Revision {
		return 0, errs.E(errs.NotOwner, "this coordinator is no longer the leader")
	}
	return 0, errs.E(errs.Stale, "a record changed while the leader was looking")
}
