package sim

import (
	"bytes"
	"fmt"
	"math"

	"github.com/rowmesh/rowmesh/services/offset"
)

// Judge compares what is committed to the topics with the source, as it happens. A violation names its invariant:
//
//	lost        a consumer of committed records sees a change of a key, and not the one before it
//	twice       it sees a change again
//	phantom     it sees a change that was never committed
//	affinity    a key is in two partitions
//	zombie      a record of an older generation of a lane is committed after one of a newer, or by a producer that fenced without owning
//	ahead       a checkpoint is committed, and a change that it covers is not
//	backwards   a checkpoint is older than the one before it
//	dishonest   a table goes on after the server that had its rows was lost
//	stuck       all is well again, and changes do not come
type Judge struct {
	w    *World
	keys map[rowKey]*seen
	// cuts are the snapshots that were taken of a table.
	cuts map[string][]snapshotCut
	// newest generation committed by each transactional id, and the one at which a producer's fence was legal.
	newest map[string]uint64
	legal  map[fence]uint64
	// marks are the places of checkpoints by key.
	marks map[string]mark
	// Records counts what was judged.
	Records, Commits int
}

type fence struct {
	id    string
	epoch int
}

type mark struct {
	at     spot
	layout uint64
	aside  bool
}

// seen is what a key has in the topics.
type seen struct {
	// last version that a consumer of committed records has seen.
	last int64
	part int32
	any  bool
	// newest version that is committed, whether or not something before it in the log is still open.
	newest int64
}

func newJudge(w *World) *Judge {
	return &Judge{w: w, keys: map[rowKey]*seen{}, cuts: map[string][]snapshotCut{}, newest: map[string]uint64{}, legal: map[fence]uint64{}, marks: map[string]mark{}}
}

func (j *Judge) key(k rowKey) *seen {
	s := j.keys[k]
	if s == nil {
		s = &seen{}
		j.keys[k] = s
	}
	return s
}

// delivered notes a change that another program has told.
func (j *Judge) delivered(k rowKey, version int64) {
	s := j.key(k)
	s.last, s.newest = max(s.last, version), max(s.newest, version)
}

// cut notes a snapshot of a table.
func (j *Judge) cut(table string, at int) {
	j.cuts[table] = append(j.cuts[table], snapshotCut{at, j.w.Source.server.n})
}

// snapshotCut is where a snapshot was taken: before a transaction, on a server.
type snapshotCut struct{ at, server int }

// fenced notes a producer, with the newest generation that its lane has at that moment.
func (j *Judge) fenced(p *Producer) {
	for task, l := range j.w.Registry.lanes {
		if offset.TransactionalID(MeshName, ConnectorName, task) == p.id {
			j.legal[fence{p.id, p.epoch}] = l.Generation
		}
	}
}

// committed judges a record whose marker has come.
func (j *Judge) committed(r *Record) {
	if r.Generation < j.newest[r.ID] {
		j.w.Fail("zombie: a record of generation %d of %s is committed after one of generation %d", r.Generation, r.ID, j.newest[r.ID])
	}
	j.newest[r.ID] = r.Generation
	if at, ok := j.legal[fence{r.ID, r.Epoch}]; ok && r.Generation < at {
		j.w.Fail("zombie: %s, epoch %d, fenced for generation %d when the lane was at %d, and commits", r.ID, r.Epoch, r.Generation, at)
	}
}

// visible judges a committed record in the order of its partition.
func (j *Judge) visible(p *partition, r *Record) {
	table := tableOf(p.topic)
	if table == "" || r.Value == nil {
		return
	}
	j.Records++
	key, version, op, valid := decode(r.Value)
	if !valid {
		j.w.Fail("corrupt: %s is not an event of a register: %s", p.topic, r.Value)
		return
	}
	k := rowKey{table, key}
	s := j.key(k)
	if j.w.Tracing() {
		j.w.Trace("%s/%d=%d%c by %s, generation %d", table, key, version, op, r.ID, r.Generation)
	}
	if s.any && s.part != p.n {
		j.w.Fail("affinity: %s/%d is in partitions %d and %d", table, key, s.part, p.n)
	}
	s.part, s.any = p.n, true
	reg := j.w.Source.rows[k]
	switch {
	case reg == nil || version > reg.version:
		j.w.Fail("phantom: %s/%d version %d", table, key, version)
	case op == 'r':
		// A snapshot that is made again tells rows again, but never older ones, unless the server has lost the newer.
		if version < s.last && reg.has(s.last) {
			j.w.Fail("twice: %s/%d: a snapshot row of version %d after version %d", table, key, version, s.last)
		}
	case version <= s.last:
		j.w.Fail("twice: %s/%d version %d after %d (%s)", table, key, version, s.last, r)
	default:
		j.follows(k, reg, s, version, op)
	}
	s.last = max(s.last, version)
	if op == 'r' {
		s.last = version
	}
	s.newest = max(s.newest, version)
}

// follows judges a change of the log: it must be the next after the last one seen, or after one that a snapshot found deleted.
func (j *Judge) follows(k rowKey, reg *register, s *seen, version int64, op byte) {
	before := int64(0)
	for i, c := range reg.changes {
		if c.version == version {
			if c.op != op {
				j.w.Fail("corrupt: %s/%d version %d is %c, and was %c", k.table, k.key, version, op, c.op)
			}
			if before == s.last || before == 0 && s.last == 0 {
				return
			}
			if i > 0 && j.deletedAtCut(k, reg.changes[i-1].txn, c.txn, 0) || j.deletedAtCut(k, -1, c.txn, reg.lost[s.last]) && s.last > before {
				return
			}
			if s.last > before { // of a tail that the server has lost
				j.w.Fail("dishonest: %s/%d goes on with version %d after version %d, which the server has lost", k.table, k.key, version, s.last)
				return
			}
			j.w.Fail("lost: %s/%d version %d after %d, and %d lies between", k.table, k.key, version, s.last, before)
			return
		}
		before = c.version
	}
	// A version that is not in the log that counts: of a lost tail, read before it was lost. It must follow all the same.
	if s.last == version-1 || len(reg.changes) == 0 || before <= s.last || j.w.Source.lost {
		return
	}
	j.w.Fail("phantom: %s/%d version %d", k.table, k.key, version)
}

// transaction judges a transaction that is committed in all its partitions.
func (j *Judge) transaction(c *coordinator) {
	j.Commits++
	for _, r := range c.records {
		if r.State != Committed {
			continue
		}
		if r.Value != nil && !bytes.HasPrefix(r.Key, []byte("[")) {
			if k, version, _, valid := decode(r.Value); valid {
				s := j.key(rowKey{tableOf(r.part.topic), k})
				s.newest = max(s.newest, version)
			}
		}
	}
	for _, r := range c.records {
		if r.State == Committed && r.Value != nil && bytes.HasPrefix(r.Key, []byte("[")) && !bytes.Contains(r.Key, []byte(`"layout"`)) {
			j.checkpoint(string(r.Key), r.Value)
		}
	}
}

// checkpoint judges a checkpoint that is committed.
func (j *Judge) checkpoint(key string, value []byte) {
	o, err := offset.Decode(value)
	if err != nil {
		j.w.Fail("corrupt: checkpoint %s: %v", key, err)
		return
	}
	if o.Foreign() || o.InSnapshot() {
		delete(j.marks, key)
		return
	}
	at, valid := j.w.Source.parse(o.Token)
	if !valid {
		j.w.Fail("corrupt: checkpoint %s has token %q", key, o.Token)
		return
	}
	m := mark{at, o.Layout, !o.Aside.Empty()}
	old, had := j.marks[key]
	j.marks[key] = m
	if had && old.layout == m.layout && !old.aside && !m.aside && old.at.server == at.server && at.before(old.at) {
		j.w.Fail("backwards: checkpoint %s goes from %v to %v", key, old.at, at)
	}
	if m.aside || at.server != j.w.Source.server.n {
		return
	}
	j.covers(key, o.Layout, at)
}

func (p spot) before(q spot) bool {
	if p.txn != q.txn {
		return p.txn < q.txn
	}
	return p.event < q.event || p.event == q.event && p.row < q.row
}

// covers fails if a change of the lane's tables before a checkpoint is not committed.
func (j *Judge) covers(key string, layout uint64, at spot) {
	r := j.w.Registry
	if r.layout.Current.Number != layout {
		return // an old layout's lane, whose tables are not known here any more
	}
	for task, l := range r.lanes {
		if string((offset.Key{Connector: ConnectorName, Server: Prefix, Lane: task}).Bytes()) != key {
			continue
		}
		for _, name := range j.w.Source.names {
			if LaneOf(l.Count, l.Pins, name) == task {
				j.tableCovers(key, name, at)
			}
		}
	}
}

func (j *Judge) tableCovers(key, name string, at spot) {
	for k := int64(1); k <= int64(j.w.Source.keys); k++ {
		reg := j.w.Source.rows[rowKey{name, k}]
		if reg == nil {
			continue
		}
		n := len(reg.changes)
		for n > 0 && reg.changes[n-1].txn >= at.txn {
			n--
		}
		if n == 0 {
			continue
		}
		c := reg.changes[n-1]
		if s := j.key(rowKey{name, k}); s.newest < c.version && !j.deletedAtCut(rowKey{name, k}, c.txn, math.MaxInt, 0) {
			j.w.Fail("ahead: checkpoint %s says %v, and %s/%d version %d of transaction %d is not committed (%d is)", key, at, name, k, c.version, c.txn, s.newest)
			return
		}
	}
}

// deletedAtCut reports that a snapshot that was taken behind one transaction, and not behind another, on a server or one that came after it, found a key deleted:
// what it had before is not told.
func (j *Judge) deletedAtCut(k rowKey, after, before, server int) bool {
	for _, cut := range j.cuts[k.table] {
		if cut.server >= server && after < cut.at && cut.at <= before && !j.w.Source.rows[k].aliveAt(cut.at) {
			return true
		}
	}
	return false
}

// Missing says which change of which table a consumer of committed records has not seen; empty if it has seen all. Tables that except names do not count.
func (j *Judge) Missing(except func(table string) bool) string {
	for _, name := range j.w.Source.names {
		if except(name) {
			continue
		}
		for key := int64(1); key <= int64(j.w.Source.keys); key++ {
			k := rowKey{name, key}
			reg := j.w.Source.rows[k]
			if reg == nil || len(reg.changes) == 0 {
				continue
			}
			c := reg.changes[len(reg.changes)-1]
			if s := j.keys[k]; (s == nil || s.last < c.version) && !j.deletedAtCut(k, c.txn, math.MaxInt, 0) {
				last := int64(0)
				if s != nil {
					last = s.last
				}
				return fmt.Sprintf("%s/%d ends with version %d, want %d (transaction %d)", name, key, last, c.version, c.txn)
			}
		}
	}
	return ""
}
