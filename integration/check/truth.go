package check

import "fmt"

// truth is R by key.
type truth struct {
	tables  map[string]map[int64]*key
	txns    int
	changes int
}

// key is the history of one key, and what O has shown of it.
type key struct {
	changes []change
	// O: the newest change that was told, counted from 1; 0: none. base is the version that a snapshot row told; 0: none.
	last, base int64
	// lastOp of it. part is where the key is; -1: nowhere yet.
	lastOp byte
	part   int32
	hash   uint64 // of its row as O has it
	alive  bool
	snaps  int
}

// change is a Change without what its place says. 16 bytes.
type change struct {
	hash uint64
	txn  uint32
	op   byte
	seen uint8
}

func newTruth() *truth { return &truth{tables: map[string]map[int64]*key{}} }

// add takes a change of R. It fails if R itself is broken: versions must be consecutive.
func (t *truth) add(c *Change) error {
	table := t.tables[c.Table]
	if table == nil {
		table = map[int64]*key{}
		t.tables[c.Table] = table
	}
	k := table[c.Key]
	if k == nil {
		k = &key{part: -1}
		table[c.Key] = k
	}
	if c.Version != int64(len(k.changes))+1 {
		return fmt.Errorf("ground truth: %s key %d has version %d after %d in transaction %d", c.Table, c.Key, c.Version, len(k.changes), c.Txn)
	}
	k.changes = append(k.changes, change{hash: c.Hash, txn: uint32(c.Txn), op: c.Op})
	t.txns = max(t.txns, c.Txn)
	t.changes++
	return nil
}

func (t *truth) key(table string, k int64) *key { return t.tables[table][k] }

// at returns a version; nil if it was never committed.
func (k *key) at(version int64) *change {
	if k == nil || version < 1 || version > int64(len(k.changes)) {
		return nil
	}
	return &k.changes[version-1]
}
