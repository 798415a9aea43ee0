package check

import "fmt"

// life judges what was seen of a run while it ran: I14, I15 and I16.
type life struct {
	j      *Judge
	owners map[string]Owner
	ends   []map[string]int64
}

func (l *life) init() { l.owners = map[string]Owner{} }

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

// owner: a confirmation is a linearizable read of the register that holds owner and generation. Read in the order of time, generations never fall, and one of them
// has one owner.
func (l *life) owner(o Owner) {
	at := fmt.Sprintf("%s at %d ms", o.Lane, o.AtMS)
	old, ok := l.owners[o.Lane]
	switch {
	case !ok:
	case o.Generation < old.Generation:
		l.j.fail("I15", at, "%s confirms generation %d after %s confirmed %d", o.Member, o.Generation, old.Member, old.Generation)
		return
	case o.Generation == old.Generation && o.Member != old.Member:
		l.j.fail("I15", at, "generation %d is confirmed by %s and by %s", o.Generation, old.Member, o.Member)
	}
	l.owners[o.Lane] = o
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
