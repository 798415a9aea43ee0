package publisher

import (
	"context"
	"fmt"
	"time"

	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/offset"
	"github.com/rowmesh/rowmesh/services/registry"
)

// How a lane finds its place when the number of lanes has changed.
//
// A layout spreads tables over lanes. Lane k of a new layout may get tables from any lane of the one before, and those stood at different places. It starts
// at the oldest of them and skips, per table, what the table's old lane had delivered (skipper). The checkpoints of the old layout are read under the keys of
// its lanes; but lane j of the new layout writes under the same key as lane j of the old one. So before anything else, and by itself, it writes what stands
// there under a key of its own ("frozen"):
//
//	key(j)                 layout old ───────────────────────────> layout new ...
//	key(j), frozen old     (absent)    ──> what key(j) says
//
// A reader that finds key(j) of the new layout takes the frozen one. A reader that finds it of the old layout must know that no old owner can still move it:
// a frozen one that says the same proves it, since lane j's new owner had fenced the old one before it wrote that. Without one it waits a while for lane j's
// new owner, and then, or where there is none, fences lane j's transactional id and reads again. Fencing at once would be safe too, but each lane would
// throw the others out of their starts, again and again, as all start together.
//
// A record written by Debezium counts for all lanes of a connector's first layout, and is frozen in the same way when lane 0 takes it over.

// checkpoint returns the record that this lane starts from, and prepares t.start for a change of layout.
func (t *task) checkpoint(ctx context.Context) (o offset.Offset, ok bool, err error) {
	store, key := t.offsets(), t.key()
	o, ok, t.start.partitions, err = store.Read(ctx, key)
	if err != nil {
		return o, false, err
	}
	mine := ok && !o.Foreign() && o.Layout == t.lane.Layout
	if t.lane.Previous == nil && ok && !o.Foreign() && !mine {
		return t.lostLayout(ctx, store, o)
	}
	if t.lane.Previous == nil {
		t.start.own = ok
		if mine {
			return o, true, nil
		}
		return t.firstLayout(ctx, store, o, ok)
	}
	prev := t.lane.Previous
	if ok && o.Foreign() {
		k := key
		k.Frozen = prev.Number
		kept, begun, _, err := store.Read(ctx, k)
		if err != nil {
			return o, false, err
		}
		if begun && !kept.Equal(&o) {
			// This layout had its own record already, so a person has set this place since: it counts for all tables, also when they are read again
			// after the next start. So what was kept goes with the first checkpoint.
			t.start.frozen = []frozen{{k.Bytes(), nil}}
			return o, true, nil
		}
	}
	t.start.own = mine
	if !mine && ok {
		k := key
		k.Frozen = prev.Number
		if err := t.keep(ctx, frozen{k.Bytes(), o.Append(nil)}); err != nil {
			return o, false, fmt.Errorf("keep the place of the layout before: %w", err)
		}
	}
	old := make([]offset.Offset, prev.Count)
	complete := true
	patience := t.p.out.now().Add(frozenTimeout)
	for j := range prev.Count {
		var found bool
		if old[j], found, err = t.oldCheckpoint(ctx, store, j, prev.Number, patience); err != nil {
			return o, false, err
		}
		complete = complete && found && !old[j].InSnapshot()
	}
	if !complete { // the old layout never had all its places: its snapshot is made again
		return o, mine, nil
	}
	t.without(old)
	t.start.skip, err = newSkipper(t.cfg.Flavor, prev, old)
	if err != nil {
		return o, false, err
	}
	if mine {
		t.start.skip.returned(&o.Aside)
	}
	first := t.start.skip.oldest()
	if mine { // it need not go back to the first, unless it was on its way from a table that is given up since
		ahead, err := t.later(&o, &first)
		if err != nil || len(t.gone) == 0 || ahead == &o {
			return o, err == nil, err
		}
	}
	first.Aside = t.leftOut(old)
	if mine {
		left := first.Aside.Tables
		first.Aside = o.Aside
		for _, table := range left {
			first.Aside = first.Aside.With(table)
		}
	}
	return first, true, nil
}

// settled reports that the next layout may start from this lane's checkpoint alone: it is behind a snapshot, it is this layout's, and it covers all that lanes of the
// layout before had delivered. Before that a table may have more than the checkpoint says, and the layout after this one would tell it again.
func (t *task) settled() (bool, error) {
	if t.place.taken.InSnapshot() || t.start.settle {
		return false, nil
	}
	if t.place.taken.Source != nil && t.place.taken.Foreign() && !t.start.done { // another program's record, which the first row replaces
		return false, nil
	}
	if t.start.skip == nil {
		return true, nil
	}
	m, err := newMark(t.cfg.Flavor, &t.place.taken)
	if err != nil {
		return false, err
	}
	return t.start.skip.passed(&m), nil
}

// firstLayout finds the place of a lane whose connector never had another number of lanes here.
func (t *task) firstLayout(ctx context.Context, store offsets, o offset.Offset, ok bool) (offset.Offset, bool, error) {
	plain := offset.Key{Connector: t.id.Connector, Server: t.cfg.TopicPrefix}
	kept := plain
	kept.Frozen = t.lane.Layout
	if t.id.Task == 0 {
		if ok && o.Foreign() && t.lane.Count > 1 {
			t.start.frozen = []frozen{{kept.Bytes(), o.Append(nil)}}
		}
		return o, ok, nil
	}
	if ok {
		return o, true, nil
	}
	first, found, _, err := store.Read(ctx, plain)
	if err != nil || !found || first.Foreign() {
		return first, found, err
	}
	o, ok, _, err = store.Read(ctx, kept)
	return o, ok, err
}

// lostLayout finds the place of a lane whose record is of a layout that the mesh does not know any more: its etcd was lost, or the connector came from another
// mesh. How the tables were spread is not known then, so all start where the lane that was furthest behind stood. What the others had delivered comes again.
func (t *task) lostLayout(ctx context.Context, store offsets, o offset.Offset) (offset.Offset, bool, error) {
	k := t.key()
	k.Frozen = o.Layout
	if err := t.keep(ctx, frozen{k.Bytes(), o.Append(nil)}); err != nil {
		return o, false, fmt.Errorf("keep the place of the layout before: %w", err)
	}
	var old []offset.Offset
	patience := t.p.out.now().Add(frozenTimeout)
	for j := uint32(0); ; j++ { // lanes have no gaps between their numbers
		c, found, err := t.oldCheckpoint(ctx, store, j, o.Layout, patience)
		if err != nil {
			return o, false, err
		}
		if !found || c.Foreign() || c.Layout != o.Layout {
			break
		}
		if c.InSnapshot() {
			return o, false, nil
		}
		old = append(old, c)
	}
	if len(old) < 2 {
		return o, true, nil
	}
	s, err := newSkipper(t.cfg.Flavor, &registry.Layout{Count: uint32(len(old)), Number: o.Layout}, old)
	if err != nil {
		return o, false, err
	}
	t.log.Warn("the spread of tables over lanes is not known any more; all start where the last of them stood", "lanes", len(old), "layout", o.Layout)
	o = s.oldest()
	o.Aside = t.leftOut(old)
	return o, true, nil
}

// frozenTimeout is how long a start waits, in all, for the frozen records of the other lanes. Those that run write them within a second of hearing of the
// layout; the others are fenced.
const frozenTimeout = 5 * time.Second

// oldCheckpoint returns the last checkpoint of lane j of the layout before; found is false if it never had one.
func (t *task) oldCheckpoint(ctx context.Context, store offsets, j uint32, layout uint64, patience time.Time) (o offset.Offset, found bool, err error) {
	key := offset.Key{Connector: t.id.Connector, Server: t.cfg.TopicPrefix, Lane: j}
	frozenKey := key
	frozenKey.Frozen = layout
	for fenced := j == t.id.Task; ; { // our own id is fenced already
		if o, found, _, err = store.Read(ctx, key); err != nil {
			return o, false, err
		}
		if found && !o.Foreign() && o.Layout == t.lane.Layout {
			o, found, _, err = store.Read(ctx, frozenKey)
			return o, found, err
		}
		if fenced {
			return o, found, nil
		}
		if found && !o.Foreign() && j < t.lane.Count { // lane 0 has frozen the record that it took over from another program: that proves nothing of its own
			kept, frozen, _, err := store.Read(ctx, frozenKey)
			if err != nil {
				return o, false, err
			}
			if frozen && kept.Equal(&o) {
				return o, true, nil
			}
			if t.p.out.now().Before(patience) {
				if err := t.p.out.sleep(ctx, 50*time.Millisecond); err != nil { // beside the reads, which take as long
					return o, false, err
				}
				continue
			}
		}
		if err := t.fenceOther(ctx, j); err != nil {
			return o, false, err
		}
		fenced = true
	}
}

// fenceOther makes producers of another lane powerless.
func (t *task) fenceOther(ctx context.Context, j uint32) error {
	if t.atLeastOnce {
		return nil // there is no fence to be had
	}
	p, err := t.p.out.producer(t.producerConfig(t.transactionalID(j)))
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.Fence(ctx); err != nil {
		return errs.E(errs.KindOf(err), "fence lane %d of the layout before: %w", j, err)
	}
	return nil
}
