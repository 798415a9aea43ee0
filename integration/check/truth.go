package check

import (
	"fmt"
	"maps"
	"slices"
)

// truth is R by key.
type truth struct {
	tables  map[string]*keys
	txns    int
	changes int
	// before are the hashes of images before that differ from the image after the version before them: a statement has changed the table's columns in between.
	before map[version]uint64
	// money is what the changes of the transaction that came last have moved.
	money int64
}

// version names a change.
type version struct {
	table string
	key   int64
	n     int64
}

// keys are a table's keys, in pages: the keys of a workload lie close together, and an entry of a map for each would take as much memory as what is known of it.
type keys struct{ pages map[int64]*page }

// pageKeys is 16, as pageOf knows: with 56 bytes a key a page is one of the allocator's sizes, and a table with few keys far apart wastes little.
const pageKeys = 1 << 4

type page [pageKeys]key

// key is the history of one key, and what O has shown of it.
type key struct {
	// first is the first change, with operation 0 where there is none; more are those behind it: most keys of a table of unique rows have one.
	first change
	more  []change
	// O: the newest change that was told, counted from 1; 0: none. base is the version that a snapshot row told; 0: none.
	last, base uint32
	// part is where the key is, plus one; 0: nowhere yet.
	part int16
	// lastOp is the operation that last told.
	lastOp byte
}

// change is a Change without what its place says. 16 bytes.
type change struct {
	hash uint64
	txn  uint32
	op   byte
	seen bool
}

func newTruth() *truth { return &truth{tables: map[string]*keys{}, before: map[version]uint64{}} }

// add takes a change of R. It fails if R itself is broken: versions must be consecutive, transfers must balance.
func (t *truth) add(c *Change) error {
	table := t.tables[c.Table]
	if table == nil {
		table = &keys{pages: map[int64]*page{}}
		t.tables[c.Table] = table
	}
	k := table.make(c.Key)
	if c.Version != k.count()+1 {
		return fmt.Errorf("ground truth: %s key %d has version %d after %d in transaction %d", c.Table, c.Key, c.Version, k.count(), c.Txn)
	}
	if c.Txn != t.txns {
		if err := t.balanced(); err != nil {
			return err
		}
	}
	t.money += c.Moves
	if old := k.at(c.Version - 1); old != nil && old.op != 'd' && c.Before != 0 && c.Before != old.hash {
		t.before[version{c.Table, c.Key, c.Version}] = c.Before
	}
	if n := (change{hash: c.Hash, txn: uint32(c.Txn), op: c.Op}); c.Version == 1 {
		k.first = n
	} else {
		k.more = append(k.more, n)
	}
	t.txns = max(t.txns, c.Txn)
	t.changes++
	return nil
}

// balanced fails if the transaction that came last has made or lost money.
func (t *truth) balanced() error {
	moved := t.money
	if t.money = 0; moved != 0 {
		return fmt.Errorf("ground truth: transaction %d changes the sum of all accounts by %d", t.txns, moved)
	}
	return nil
}

// key returns what is known of a key; nil if it never had a change.
func (t *truth) key(table string, id int64) *key {
	keys := t.tables[table]
	if keys == nil {
		return nil
	}
	p := keys.pages[pageOf(id)]
	if p == nil {
		return nil
	}
	if k := &p[uint64(id)%pageKeys]; k.first.op != 0 {
		return k
	}
	return nil
}

// pageOf is the page of a key: the shift rounds down, also below zero.
func pageOf(id int64) int64 { return id >> 4 }

func (ks *keys) make(id int64) *key {
	at := pageOf(id)
	p := ks.pages[at]
	if p == nil {
		p = new(page)
		ks.pages[at] = p
	}
	return &p[uint64(id)%pageKeys]
}

// each calls f for all keys in the order of tables and keys.
func (t *truth) each(f func(table string, id int64, k *key)) {
	for _, table := range slices.Sorted(maps.Keys(t.tables)) {
		pages := t.tables[table].pages
		for _, at := range slices.Sorted(maps.Keys(pages)) {
			for i := range pages[at] {
				if k := &pages[at][i]; k.first.op != 0 {
					f(table, at*pageKeys+int64(i), k)
				}
			}
		}
	}
}

// count is the number of changes.
func (k *key) count() int64 {
	if k.first.op == 0 {
		return 0
	}
	return 1 + int64(len(k.more))
}

// at returns a version; nil if it was never committed.
func (k *key) at(version int64) *change {
	switch {
	case k == nil || version < 1 || version > k.count():
		return nil
	case version == 1:
		return &k.first
	}
	return &k.more[version-2]
}

// imageBefore returns the hash of the image before a change of R; 0 if there is none.
func (t *truth) imageBefore(table string, id int64, k *key, n int64) uint64 {
	if h, ok := t.before[version{table, id, n}]; ok {
		return h
	}
	if c := k.at(n - 1); c != nil && c.op != 'd' {
		return c.hash
	}
	return 0
}
