package registry

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	statev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/state/v1"
	"github.com/rowmesh/rowmesh/services/errs"
)

const (
	// tableTxnOps and tableTxnBytes cut writes of versions into transactions that etcd takes (128 operations, 1.5 MiB).
	tableTxnOps   = 100
	tableTxnBytes = 1 << 20
	// tablePage is how many versions one read returns; at some kB each a page stays within a few MB.
	tablePage = 1000
)

// TableStore keeps the versions of tables' shapes. Its methods have the form that capturers ask for.
type TableStore struct{ s *Store }

// Tables returns the store of tables' versions.
func (s *Store) Tables() TableStore { return TableStore{s} }

func (t TableStore) key(source SourceID, v TableVersion) string {
	// Numbers are padded so that keys sort as the log does. The server's uuid keeps apart the logs of two servers that had the same address.
	place := fmt.Sprintf("%s-%020d-%s", v.ValidFrom.GetFile(), v.ValidFrom.GetPos(), v.ValidFrom.GetServerUuid())
	return t.s.key(kindTable, string(source), v.Database, v.Table, place)
}

// Load returns all versions of a source's tables, by database, table and place in the log.
func (t TableStore) Load(ctx context.Context, source SourceID) ([]TableVersion, error) {
	sp := t.s.under(kindTable, string(source))
	var out []TableVersion
	var revision int64
	for {
		cctx, cancel := t.s.call(ctx)
		r, err := t.s.client.Get(cctx, sp.from, clientv3.WithRange(sp.to), clientv3.WithLimit(tablePage), clientv3.WithRev(revision))
		cancel()
		if err != nil {
			return nil, fmt.Errorf("load tables of source %s: %w", source, classify(err))
		}
		revision = r.Header.Revision // all pages as of the first
		for _, kv := range r.Kvs {
			v, err := t.version(string(kv.Key), kv.Value)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
			sp.from = string(kv.Key) + "\x00"
		}
		if !r.More {
			return out, nil
		}
	}
}

func (t TableStore) version(key string, value []byte) (TableVersion, error) {
	var p statev1.TableVersion
	if err := unmarshal(key, value, &p); err != nil {
		return TableVersion{}, err
	}
	_, parts, err := t.s.split(key)
	if err != nil || len(parts) != 4 {
		return TableVersion{}, errs.E(errs.Corrupt, "key %q names no version of a table; delete it", key)
	}
	from := p.ValidFrom
	if from == nil {
		from = &rowv1.Position{}
	}
	return TableVersion{Database: parts[1], Table: parts[2], ValidFrom: from, Shape: p.Table}, nil
}

// Put stores versions, in order. Storing one again at the same place replaces it by itself. A failure may leave the first ones stored.
func (t TableStore) Put(ctx context.Context, source SourceID, versions ...TableVersion) error {
	var ops []clientv3.Op
	var size int
	flush := func() error {
		if len(ops) == 0 {
			return nil
		}
		cctx, cancel := t.s.call(ctx)
		defer cancel()
		_, err := t.s.client.Txn(cctx).Then(ops...).Commit()
		ops, size = ops[:0], 0
		if err != nil {
			return fmt.Errorf("store tables of source %s: %w", source, classify(err))
		}
		return nil
	}
	at := make(map[string]int) // etcd refuses a transaction that puts a key twice; the last one stands
	for _, v := range versions {
		value, err := marshal(&statev1.TableVersion{ValidFrom: v.ValidFrom, Table: v.Shape})
		if err != nil {
			return fmt.Errorf("table %s.%s of source %s: %w", v.Database, v.Table, source, err)
		}
		key := t.key(source, v)
		if len(ops) == tableTxnOps || size+len(value) > tableTxnBytes {
			if err := flush(); err != nil {
				return err
			}
			clear(at)
		}
		if i, ok := at[key]; ok {
			ops[i] = clientv3.OpPut(key, string(value))
			continue
		}
		at[key] = len(ops)
		ops = append(ops, clientv3.OpPut(key, string(value)))
		size += len(key) + len(value)
	}
	return flush()
}

// Delete removes versions. A failure may leave some of them.
func (t TableStore) Delete(ctx context.Context, source SourceID, versions ...TableVersion) error {
	for len(versions) > 0 {
		n := min(len(versions), tableTxnOps)
		ops := make([]clientv3.Op, n)
		for i, v := range versions[:n] {
			ops[i] = clientv3.OpDelete(t.key(source, v))
		}
		versions = versions[n:]
		cctx, cancel := t.s.call(ctx)
		_, err := t.s.client.Txn(cctx).Then(ops...).Commit()
		cancel()
		if err != nil {
			return fmt.Errorf("remove versions of tables of source %s: %w", source, classify(err))
		}
	}
	return nil
}

// Drop removes all versions of a source's tables.
func (t TableStore) Drop(ctx context.Context, source SourceID) error {
	ctx, cancel := t.s.call(ctx)
	defer cancel()
	sp := t.s.under(kindTable, string(source))
	_, err := t.s.client.Delete(ctx, sp.from, clientv3.WithRange(sp.to))
	return classify(err)
}
