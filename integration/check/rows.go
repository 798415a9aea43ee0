package check

import "fmt"

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
	if k.part > 0 && int32(k.part) != e.Partition+1 {
		j.fail("I5", e.place(), "%s key %d was in partition %d before", e.Table, e.Key, k.part-1)
	}
	k.part = int16(e.Partition + 1)
	if e.Op == 'r' {
		r.snapshot(e, k, c)
		return nil
	}
	r.image(e, k, c)
	if c.seen {
		j.fail("I3", e.place(), "%s key %d version %d comes again; the newest was %d", e.Table, e.Key, e.Version, k.last)
		if e.Version < int64(k.last) {
			j.fail("I4", e.place(), "%s key %d: version %d after %d", e.Table, e.Key, e.Version, k.last)
		}
	} else if e.Version < int64(k.last) {
		j.fail("I4", e.place(), "%s key %d: version %d for the first time after %d", e.Table, e.Key, e.Version, k.last)
	}
	if e.Version <= int64(k.base) {
		j.fail("I13", e.place(), "%s key %d: version %d after a snapshot row of version %d", e.Table, e.Key, e.Version, k.base)
	}
	c.seen = true
	k.last, k.lastOp = uint32(e.Version), e.Op // what is last in the topic, also where that is wrong
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
	if before := j.truth.imageBefore(e.Table, e.Key, k, e.Version); e.Before != 0 && before != 0 && before != e.Before {
		j.fail("I7", e.place(), "%s key %d version %d: the image before is not that of version %d (hash %x, want %x)", e.Table, e.Key, e.Version, e.Version-1, e.Before, before)
	}
}

// snapshot judges a snapshot row.
func (r *rows) snapshot(e *Event, k *key, c *change) {
	j := r.j
	if c.op == 'd' {
		j.fail("I13", e.place(), "%s key %d: a snapshot row of version %d, which is a delete", e.Table, e.Key, e.Version)
		return
	}
	if e.Hash != 0 && c.hash != e.Hash {
		j.fail("I6", e.place(), "%s key %d version %d: the snapshot row differs from the server's (hash %x, want %x)", e.Table, e.Key, e.Version, e.Hash, c.hash)
	}
	if newest := int64(max(k.last, k.base)); e.Version < newest {
		j.fail("I13", e.place(), "%s key %d: a snapshot row of version %d after version %d", e.Table, e.Key, e.Version, newest)
	}
	k.base, k.last, k.lastOp = max(k.base, uint32(e.Version)), uint32(e.Version), 'r'
	if e.Money {
		j.money.snapshot(c)
	}
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
	r.j.truth.each(func(table string, id int64, k *key) {
		r.complete(table, id, k)
		if r.source != nil {
			r.same(table, id, k)
		}
	})
}

func (r *rows) complete(table string, id int64, k *key) {
	j := r.j
	// What a snapshot covers is not told: up to its row, or, where it found none, up to the delete before the first change told.
	from := int64(k.base)
	if from == 0 {
		from = k.deletedBefore()
	}
	newest := k.count()
	for v := from + 1; v <= newest; v++ {
		if c := k.at(v); !c.seen {
			j.fail("I1", named(table, id), "version %d (%c, transaction %d) is not in the topic; a snapshot told version %d, the newest there is %d of %d", v, c.op, c.txn, k.base, k.last, newest)
			return
		}
	}
	if k.last != 0 && int64(k.last) != newest {
		j.fail("I4", named(table, id), "the last record is version %d, the newest version is %d: a stale end", k.last, newest)
	}
}

func named(table string, id int64) string { return fmt.Sprintf("%s key %d", table, id) }

// deletedBefore returns the version of the delete right before the first change that was told, or the last change if none was told and it is a delete.
func (k *key) deletedBefore() int64 {
	first := int64(1)
	for first <= k.count() && !k.at(first).seen {
		first++
	}
	if before := k.at(first - 1); before != nil && before.op == 'd' {
		return first - 1
	}
	return 0
}

// same compares the row that O gives with the source's. What O says of a version was compared with R, so R's image stands for it.
func (r *rows) same(table string, id int64, k *key) {
	have, ok := r.source[table][id]
	alive := k.lastOp != 'd'
	switch {
	case k.last == 0: // deleted before the snapshot, or lost, which I1 says
	case ok != alive:
		r.j.fail("I12", named(table, id), "the source has a row: %v, the topic gives one: %v (version %d)", ok, alive, k.last)
	case ok && have != k.at(int64(k.last)).hash:
		r.j.fail("I12", named(table, id), "the source's row differs from the topic's, version %d (hash %x, want %x)", k.last, k.at(int64(k.last)).hash, have)
	}
}
