package check

import (
	"cmp"
	"fmt"
	"slices"
)

// life judges what was seen of a run while it ran: I14, I15 and I16.
type life struct {
	j    *Judge
	ends []map[string]int64
}

// maxLagMS is the lag that a lane may have once all is well again.
const maxLagMS = 5000

func (l *life) sample(s Sample) {
	if !s.Healed {
		return
	}
	at := fmt.Sprintf("%d ms", s.AtMS)
	if s.LagMS > maxLagMS {
		l.j.fail("I14", at, "lag is %d ms, and at most %d is allowed once faults are healed", s.LagMS, maxLagMS)
	}
	if s.Unowned > 0 {
		l.j.fail("I14", at, "%d lanes have no owner once faults are healed", s.Unowned)
	}
}

// finish judges the confirmations. Each is a linearizable read of the register that holds owner and generation, done at some moment between question and answer: one
// that was asked after another was answered may not say an older generation, and one generation has one owner. Times overlap, so the order is not known of others.
func (l *life) finish() {
	owners := slices.Clone(l.j.owners)
	for i := range owners {
		if owners[i].AskedMS == 0 {
			owners[i].AskedMS = owners[i].AtMS
		}
	}
	answered := slices.Clone(owners)
	slices.SortStableFunc(owners, func(a, b Owner) int { return cmp.Compare(a.AskedMS, b.AskedMS) })
	slices.SortStableFunc(answered, func(a, b Owner) int { return cmp.Compare(a.AtMS, b.AtMS) })
	type generation struct {
		lane string
		n    uint64
	}
	newest, has := map[string]Owner{}, map[generation]string{}
	next := 0
	for _, o := range owners {
		for ; next < len(answered) && answered[next].AtMS < o.AskedMS; next++ {
			if a := answered[next]; a.Generation >= newest[a.Lane].Generation {
				newest[a.Lane] = a
			}
		}
		at := fmt.Sprintf("%s at %d ms", o.Lane, o.AskedMS)
		if old := newest[o.Lane]; o.Generation < old.Generation {
			l.j.fail("I15", at, "%s confirms generation %d, %d ms after %s confirmed %d", o.Member, o.Generation, o.AskedMS-old.AtMS, old.Member, old.Generation)
		}
		g := generation{o.Lane, o.Generation}
		if member, ok := has[g]; ok && member != o.Member {
			l.j.fail("I15", at, "generation %d is confirmed by %s and by %s", o.Generation, member, o.Member)
		}
		has[g] = o.Member
	}
}

func (l *life) stop(s Stop) {
	at := fmt.Sprintf("stop at %d ms", s.AtMS)
	if s.Code == "" || !s.Position || !s.Next {
		l.j.fail("I16", at, "the stop does not say enough (code %q, names its position %v, says how to go on %v): %s", s.Code, s.Position, s.Next, s.Text)
	}
	l.ends = append(l.ends, s.Ends)
}

func (l *life) event(e *Event) {
	for _, ends := range l.ends {
		if end, stopped := ends[fmt.Sprintf("%s/%d", e.Topic, e.Partition)]; stopped && e.Offset > end {
			l.j.fail("I16", e.place(), "told after the stop, whose last offset was %d", end)
		}
	}
}
