package check

import (
	"fmt"
	"maps"
	"slices"
)

// rows judges events one by one against the history of their key: I1 to I7, I12 and I13.
type rows struct {
	j *Judge
	// source is what the source has at the end; nil if nobody asked it.
	source map[string]map[int64]uint64
}

// event judges one event and returns the change that it is; nil if it is none.
func (r *rows) event(e *Event) *change {
	j := r.j
	k := j.truth.key(e.Table, e.Key)
	c := k.at(e.Version)
	if c == nil {
		j.fail("I2", e.place(), "%s key %d version %d (%c) was never committed", e.Table, e.Key, e.Version, e.Op)
		return nil
	}
	if k.part >= 0 && k.part != e.Partition {
		j.fail("I5", e.place(), "%s key %d was in partition %d before", e.Table, e.Key, k.part)
	}
	k.part = e.Partition
	if e.Op == 'r' {
		r.snapshot(e, k, c)
		return nil
	}
	r.image(e, k, c)
	if c.seen > 0 {
		j.fail("I3", e.place(), "%s key %d version %d comes again; the newest was %d", e.Table, e.Key, e.Version, k.last)
		if e.Version < k.last {
			j.fail("I4", e.place(), "%s key %d: version %d after %d", e.Table, e.Key, e.Version, k.last)
		}
	} else if e.Version < k.last {
		j.fail("I4", e.place(), "%s key %d: version %d for the first time after %d", e.Table, e.Key, e.Version, k.last)
	}
	if e.Version <= k.base {
		j.fail("I13", e.place(), "%s key %d: version %d after a snapshot row of version %d", e.Table, e.Key, e.Version, k.base)
	}
	c.seen = 1
	k.last, k.lastOp = e.Version, e.Op // what is last in the topic, also where that is wrong
	k.hash, k.alive = e.Hash, e.Op != 'd'
	return c
}

// image compares an event's images with R's.
func (r *rows) image(e *Event, k *key, c *change) {
	j := r.j
	if c.op != e.Op {
		j.fail("I6", e.place(), "%s key %d version %d is %c, and was %c", e.Table, e.Key, e.Version, e.Op, c.op)
	} else if e.Op != 'd' && c.hash != e.Hash {
		j.fail("I6", e.place(), "%s key %d version %d: the row differs from the server's (hash %x, want %x)", e.Table, e.Key, e.Version, e.Hash, c.hash)
	}
	if e.Op == 'c' {
		return
	}
	if before := k.at(e.Version - 1); e.Before != 0 && before != nil && before.op != 'd' && before.hash != e.Before {
		j.fail("I7", e.place(), "%s key %d version %d: the image before is not that of version %d (hash %x, want %x)", e.Table, e.Key, e.Version, e.Version-1, e.Before, before.hash)
	}
}

// snapshot judges a snapshot row.
func (r *rows) snapshot(e *Event, k *key, c *change) {
	j := r.j
	if c.op == 'd' {
		j.fail("I13", e.place(), "%s key %d: a snapshot row of version %d, which is a delete", e.Table, e.Key, e.Version)
		return
	}
	if c.hash != e.Hash {
		j.fail("I6", e.place(), "%s key %d version %d: the snapshot row differs from the server's (hash %x, want %x)", e.Table, e.Key, e.Version, e.Hash, c.hash)
	}
	if e.Version < k.last || e.Version < k.base {
		j.fail("I13", e.place(), "%s key %d: a snapshot row of version %d after version %d", e.Table, e.Key, e.Version, max(k.last, k.base))
	}
	k.base, k.last, k.lastOp = max(k.base, e.Version), e.Version, 'r'
	k.hash, k.alive = e.Hash, true
	k.snaps++
}

// row takes what the source has.
func (r *rows) row(x Row) {
	if r.source == nil {
		r.source = map[string]map[int64]uint64{}
	}
	if r.source[x.Table] == nil {
		r.source[x.Table] = map[int64]uint64{}
	}
	r.source[x.Table][x.Key] = x.Hash
}

// finish looks for what never came, and for stale ends.
func (r *rows) finish() {
	for _, table := range slices.Sorted(maps.Keys(r.j.truth.tables)) {
		keys := r.j.truth.tables[table]
		for _, id := range slices.Sorted(maps.Keys(keys)) {
			r.complete(table, id, keys[id])
			if r.source != nil {
				r.same(table, id, keys[id])
			}
		}
	}
}

func (r *rows) complete(table string, id int64, k *key) {
	j, what := r.j, fmt.Sprintf("%s key %d", table, id)
	// What a snapshot covers is not told: up to its row, or, where it found none, up to the delete before the first change told.
	from := k.base
	if from == 0 {
		from = k.deletedBefore()
	}
	for v := from + 1; v <= int64(len(k.changes)); v++ {
		if k.changes[v-1].seen == 0 {
			j.fail("I1", what, "version %d (%c, transaction %d) is not in the topic, the newest there is %d of %d", v, k.changes[v-1].op, k.changes[v-1].txn, k.last, len(k.changes))
			return
		}
	}
	if newest := int64(len(k.changes)); k.last != 0 && k.last != newest {
		j.fail("I4", what, "the last record is version %d, the newest version is %d: a stale end", k.last, newest)
	}
}

// deletedBefore returns the version of the delete right before the first change that was told, or the last change if none was told and it is a delete.
func (k *key) deletedBefore() int64 {
	first := slices.IndexFunc(k.changes, func(c change) bool { return c.seen > 0 })
	if first < 0 {
		first = len(k.changes)
	}
	if first > 0 && k.changes[first-1].op == 'd' {
		return int64(first)
	}
	return 0
}

// same compares the row that O gives with the source's.
func (r *rows) same(table string, id int64, k *key) {
	have, ok := r.source[table][id]
	what := fmt.Sprintf("%s key %d", table, id)
	switch {
	case k.last == 0: // deleted before the snapshot, or lost, which I1 says
	case ok != k.alive:
		r.j.fail("I12", what, "the source has a row: %v, the topic gives one: %v (version %d)", ok, k.alive, k.last)
	case ok && have != k.hash:
		r.j.fail("I12", what, "the source's row differs from the topic's, version %d (hash %x, want %x)", k.last, k.hash, have)
	}
}
