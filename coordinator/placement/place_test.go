package placement

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func members(capacities ...uint64) []Member {
	var out []Member
	for i, c := range capacities {
		out = append(out, Member{ID: fmt.Sprintf("m%02d", i), Capacity: c})
	}
	return out
}

func items(n int) []Item {
	var out []Item
	for i := range n {
		out = append(out, Item{ID: fmt.Sprintf("i%04d", i), Weight: 1})
	}
	return out
}

// owned returns its with the owners of a result.
func owned(its []Item, owners map[string]string) []Item {
	out := slices.Clone(its)
	for i := range out {
		out[i].Owner = owners[out[i].ID]
	}
	return out
}

func counts(owners map[string]string) map[string]int {
	out := map[string]int{}
	for _, o := range owners {
		out[o]++
	}
	return out
}

func moves(before []Item, after map[string]string) (n int) {
	for _, it := range before {
		if it.Owner != after[it.ID] {
			n++
		}
	}
	return n
}

func TestPlaceFromNothing(t *testing.T) {
	if got := Place(nil, items(3)); len(got) != 0 {
		t.Fatalf("owners without members: %v", got)
	}
	if got := Place(members(1, 1), nil); len(got) != 0 {
		t.Fatalf("owners without items: %v", got)
	}
	got := counts(Place(members(100, 100, 200), items(8)))
	if diff := cmp.Diff(map[string]int{"m00": 2, "m01": 2, "m02": 4}, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestAddingMovesTheFewest(t *testing.T) {
	before := owned(items(100), Place(members(1, 1, 1), items(100)))
	after := Place(members(1, 1, 1, 1), before)
	if n := moves(before, after); n != 25 {
		t.Errorf("%d moves, want 25", n)
	}
	for _, it := range before {
		if o := after[it.ID]; o != it.Owner && o != "m03" {
			t.Errorf("%s moved from %s to %s, which was there before", it.ID, it.Owner, o)
		}
	}
}

func TestRemovingMovesOnlyItsOwn(t *testing.T) {
	before := owned(items(97), Place(members(1, 1, 1, 1), items(97)))
	rest := members(1, 1, 1, 1)[:3]
	after := Place(rest, before)
	for _, it := range before {
		if it.Owner != "m03" && after[it.ID] != it.Owner {
			t.Errorf("%s moved from %s, which is still there", it.ID, it.Owner)
		}
	}
}

func TestSameIDComesBackMovesNothing(t *testing.T) {
	before := owned(items(50), Place(members(1, 1, 1), items(50)))
	if n := moves(before, Place(members(1, 1, 1), before)); n != 0 {
		t.Fatalf("%d moves without a change", n)
	}
}

// Whatever the state before, the result is complete, balanced (no single move helps), stable (placing again changes nothing) and independent of
// the order of its input.
func TestPlaceProperties(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		var ms []Member
		for i := range 1 + r.IntN(6) {
			ms = append(ms, Member{ID: fmt.Sprintf("m%d", i), Capacity: 1 + r.Uint64N(4)*uint64(r.IntN(2))})
		}
		its := items(r.IntN(40))
		for i := range its {
			if r.IntN(2) == 0 {
				its[i].Weight = r.Uint64N(20)
			}
			its[i].Owner = fmt.Sprintf("m%d", r.IntN(8)) // some are gone
		}
		got := Place(ms, its)
		if len(got) != len(its) {
			t.Fatalf("seed %d: %d of %d items have an owner", seed, len(got), len(its))
		}
		if why := unbalanced(ms, its, got); why != "" {
			t.Fatalf("seed %d: %s", seed, why)
		}
		if again := Place(ms, owned(its, got)); !maps.Equal(again, got) {
			t.Fatalf("seed %d: not stable", seed)
		}
		r.Shuffle(len(ms), func(i, j int) { ms[i], ms[j] = ms[j], ms[i] })
		r.Shuffle(len(its), func(i, j int) { its[i], its[j] = its[j], its[i] })
		if again := Place(ms, its); !maps.Equal(again, got) {
			t.Fatalf("seed %d: depends on the order of its input", seed)
		}
	}
}

// With equal weights and capacities the moves are the fewest that lead to a spread of at most one.
func TestMovesAreMinimal(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 2))
		ms := members(make([]uint64, 1+r.IntN(6))...)
		its := items(r.IntN(40))
		have := make([]int, len(ms))
		for i := range its {
			m := r.IntN(len(ms)) * r.IntN(2) // lopsided
			its[i].Owner = ms[m].ID
			have[m]++
		}
		got := Place(ms, its)
		floor := len(its) / len(ms)
		var above, below int
		for _, n := range have {
			above += max(0, n-floor-1)
			below += max(0, floor-n)
		}
		if len(its)%len(ms) == 0 {
			above = below
		}
		if n := moves(its, got); n != max(above, below) {
			t.Fatalf("seed %d: %d moves from %v, want %d", seed, n, have, max(above, below))
		}
		for _, m := range ms {
			if n := counts(got)[m.ID]; n < floor || n > floor+1 {
				t.Fatalf("seed %d: %s has %d of %d items among %d", seed, m.ID, n, len(its), len(ms))
			}
		}
	}
}

func unbalanced(ms []Member, its []Item, owners map[string]string) string {
	load, capacity := map[string]uint64{}, map[string]uint64{}
	for _, m := range ms {
		capacity[m.ID] = max(m.Capacity, 1)
	}
	for _, it := range its {
		if capacity[owners[it.ID]] == 0 {
			return fmt.Sprintf("%s is owned by %s, which is not there", it.ID, owners[it.ID])
		}
		load[owners[it.ID]] += max(it.Weight, 1)
	}
	for _, it := range its {
		from := owners[it.ID]
		for _, to := range ms {
			if to.ID != from && (load[to.ID]+max(it.Weight, 1))*capacity[from] < load[from]*capacity[to.ID] {
				return fmt.Sprintf("%s would be better at %s than at %s", it.ID, to.ID, from)
			}
		}
	}
	return ""
}

func TestSpread(t *testing.T) {
	its := []Item{{ID: "a", Weight: 10}, {ID: "b", Weight: 6}, {ID: "c", Weight: 5}, {ID: "d", Weight: 4}, {ID: "e"}}
	want := map[string]uint32{"a": 0, "b": 1, "c": 1, "d": 0, "e": 1}
	if diff := cmp.Diff(want, Spread(its, 2)); diff != "" {
		t.Fatal(diff)
	}
	if got := Spread(its, 0); len(got) != 0 {
		t.Fatalf("bins out of none: %v", got)
	}
	got := Spread([]Item{{ID: "x", Weight: ^uint64(0)}, {ID: "y", Weight: ^uint64(0)}, {ID: "z", Weight: ^uint64(0)}}, 2)
	if diff := cmp.Diff(map[string]uint32{"x": 0, "y": 1, "z": 0}, got); diff != "" {
		t.Fatal(diff)
	}
}

func BenchmarkPlace(b *testing.B) {
	its := items(2000)
	before := owned(its, Place(members(make([]uint64, 20)...), its))
	after := members(make([]uint64, 21)...)
	b.ReportAllocs()
	for b.Loop() {
		Place(after, before)
	}
}
