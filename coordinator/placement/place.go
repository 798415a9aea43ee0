package placement

import (
	"cmp"
	"math/bits"
	"slices"
)

// Member can own items.
type Member struct {
	ID string
	// Capacity is its share relative to the others; 0 counts as 1.
	Capacity uint64
}

// Item is something to own.
type Item struct {
	ID string
	// Weight is its share of load relative to the others; 0 counts as 1.
	Weight uint64
	// Owner is who has it now; empty if nobody.
	Owner string
}

// Place returns the owner of each item, by item id; items have none if there are no members. Ids of members are distinct, as are those of items.
//
// With load = sum of weights / capacity, the result is balanced: no single move of an item lowers the higher load of the two members concerned. For
// equal weights and capacities that means that no two members differ by more than one item, and the number of moves is the least that gets there.
func Place(members []Member, items []Item) map[string]string {
	owners := make(map[string]string, len(items))
	if len(members) == 0 {
		return owners
	}
	p := newPlan(members)
	var orphans []entry
	for _, it := range sorted(items) {
		e := entry{it.ID, max(it.Weight, 1)}
		if b := p.byID[it.Owner]; b != nil {
			b.add(e)
		} else {
			orphans = append(orphans, e)
		}
	}
	// Heavy ones first, so that light ones fill the gaps.
	slices.SortStableFunc(orphans, func(a, b entry) int { return cmp.Compare(b.weight, a.weight) })
	for _, e := range orphans {
		p.lightestFor(e).add(e)
	}
	// Each move makes the sorted list of loads smaller, so this ends; the bound only guards the proof.
	for n := len(items) * len(members); n >= 0 && p.improve(); n-- {
	}
	for _, b := range p.bins {
		for _, e := range b.entries {
			owners[e.id] = b.id
		}
	}
	return owners
}

// Spread assigns items to count bins, heaviest first, each to the lightest bin so far (a bin is at most 4/3 of the best possible, Graham 1969).
func Spread(items []Item, count uint32) map[string]uint32 {
	bins := make(map[string]uint32, len(items))
	if count == 0 {
		return bins
	}
	heaviest := sorted(items)
	slices.SortStableFunc(heaviest, func(a, b Item) int { return cmp.Compare(b.Weight, a.Weight) })
	loads := make([]uint64, count)
	for _, it := range heaviest {
		lightest := 0
		for i, l := range loads {
			if l < loads[lightest] {
				lightest = i
			}
		}
		loads[lightest] = saturate(loads[lightest], max(it.Weight, 1))
		bins[it.ID] = uint32(lightest)
	}
	return bins
}

// sorted returns items by id.
func sorted(items []Item) []Item {
	out := slices.Clone(items)
	slices.SortFunc(out, func(a, b Item) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

type entry struct {
	id     string
	weight uint64
}

// bin is a member with what it has.
type bin struct {
	id       string
	capacity uint64
	load     uint64 // sum of weights of entries
	entries  []entry
}

func (b *bin) add(e entry) {
	b.load = saturate(b.load, e.weight)
	b.entries = append(b.entries, e)
}

func (b *bin) remove(i int) entry {
	e := b.entries[i]
	b.load -= e.weight
	b.entries = slices.Delete(b.entries, i, i+1)
	return e
}

// plan is an assignment under way. Invariant: bins are sorted by id until improve sorts them by load.
type plan struct {
	bins []*bin
	byID map[string]*bin
}

func newPlan(members []Member) *plan {
	p := &plan{byID: make(map[string]*bin, len(members))}
	for _, m := range members {
		b := &bin{id: m.ID, capacity: max(m.Capacity, 1)}
		p.bins = append(p.bins, b)
		p.byID[m.ID] = b
	}
	slices.SortFunc(p.bins, func(a, b *bin) int { return cmp.Compare(a.id, b.id) })
	return p
}

// lightestFor returns the bin whose load is lowest with e in it.
func (p *plan) lightestFor(e entry) *bin {
	best := p.bins[0]
	for _, b := range p.bins[1:] {
		if ratio(saturate(b.load, e.weight), b.capacity, saturate(best.load, e.weight), best.capacity) < 0 {
			best = b
		}
	}
	return best
}

// improve makes the best single move from the most loaded bin that has one, and reports whether there was any.
func (p *plan) improve() bool {
	slices.SortFunc(p.bins, func(a, b *bin) int {
		return cmp.Or(ratio(b.load, b.capacity, a.load, a.capacity), cmp.Compare(a.id, b.id))
	})
	for i, from := range p.bins {
		for j := len(p.bins) - 1; j > i; j-- {
			to := p.bins[j]
			if k := bestMove(from, to); k >= 0 {
				to.add(from.remove(k))
				return true
			}
		}
	}
	return false
}

// bestMove returns the entry of from whose move to to leaves the lower higher load of the two, provided that it is lower than from's load now; -1 if
// there is none.
func bestMove(from, to *bin) int {
	best := -1
	var bestLoad, bestCapacity uint64
	for i, e := range from.entries {
		load, capacity := saturate(to.load, e.weight), to.capacity
		if ratio(load, capacity, from.load, from.capacity) >= 0 {
			continue
		}
		if left := from.load - e.weight; ratio(left, from.capacity, load, capacity) > 0 {
			load, capacity = left, from.capacity
		}
		if best < 0 || ratio(load, capacity, bestLoad, bestCapacity) < 0 {
			best, bestLoad, bestCapacity = i, load, capacity
		}
	}
	return best
}

// ratio compares a/b with c/d exactly.
func ratio(a, b, c, d uint64) int {
	h1, l1 := bits.Mul64(a, d)
	h2, l2 := bits.Mul64(c, b)
	return cmp.Or(cmp.Compare(h1, h2), cmp.Compare(l1, l2))
}

// saturate adds without overflow.
func saturate(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return ^uint64(0)
	}
	return sum
}
