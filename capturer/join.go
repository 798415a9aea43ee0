package capturer

import (
	"context"
	"slices"
	"time"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

// How a reader joins the shared one.
//
// A source has at most one shared reader, which stands at the end of the log. Others exist only while they are behind: a subscriber that resumes gets a
// reader of its own, which moves its feeds to the shared reader as soon as both stand at the same place. Nothing may be lost or come twice, so a
// move happens only while both are at a boundary, at the same one, and neither can move on:
//
//	joiner, at boundary p, nothing more buffered      shared reader
//	  gate{from: p} ───────────────────────────────>  goes on to its first boundary >= p, parks there
//	  reads on until it is where the shared one is    waits at the gate, gateTime at most
//	  both at one place: feeds change hands, gate opens
//	                                                  goes on with all feeds
//
// An idle shared reader is parked already: it waits in Log.Next with its place and feeds untouched. If an event comes meanwhile it waits at the gate
// before it takes it. If gateTime passes first the joiner goes on by itself and tries again later; the shared reader has lost no more than that.
//
// With no shared reader, or one that is behind while the joiner is at the end of the log, the joiner becomes the shared reader, and the other one a joiner.
const (
	// gateTime bounds how long the shared reader waits: long enough to read a few megabytes, short enough that nobody notices.
	gateTime = 200 * time.Millisecond
	// After a join that did not work the next tries follow later and later: the cause (a subscriber that holds the shared reader up, a long transaction)
	// does not go in milliseconds, and each try costs the others up to gateTime.
	minJoinWait = gateTime
	maxJoinWait = time.Minute
)

// gate is a request to the shared reader to wait for a joiner.
type gate struct {
	from   *place        // park at the first boundary here or later; nil: at the next one
	parked chan struct{} // closed when the shared reader has parked for it
	opened chan struct{} // closed when it may go on
	isOpen bool          // guarded by source.mu
}

// park lets others at the reader's feeds, if the reader is where they want it, and waits at the gate if there is one.
func (r *reader) park(ctx context.Context) {
	s := r.src
	s.mu.Lock()
	r.prune()
	r.attention.Store(r.gate != nil || r.waits())
	r.parked = true
	s.mu.Unlock()
	if r.gateReached() {
		r.waitAtGate(ctx)
	}
}

// unpark takes the feeds back before the next event is taken, after a joiner that came meanwhile is done.
func (r *reader) unpark(ctx context.Context) {
	for !r.tryUnpark() {
		r.waitAtGate(ctx)
	}
}

// tryUnpark fails while a joiner is at the gate.
func (r *reader) tryUnpark() bool {
	r.src.mu.Lock()
	defer r.src.mu.Unlock()
	if r.parked && r.gateReachedLocked() {
		return false
	}
	r.parked = false
	return true
}

// gateReached says whether the reader is where a gate wants it, and tells the joiner.
func (r *reader) gateReached() bool {
	r.src.mu.Lock()
	defer r.src.mu.Unlock()
	return r.gateReachedLocked()
}

func (r *reader) gateReachedLocked() bool {
	g := r.gate
	if g == nil || g.from != nil && r.at.compare(g.from) < 0 && !r.at.same(g.from) {
		return false
	}
	select {
	case <-g.parked:
	default:
		close(g.parked)
	}
	return true
}

// waitAtGate waits until the gate opens, gateTime at most; then it opens it itself. Requires: parked.
func (r *reader) waitAtGate(ctx context.Context) {
	if !r.gateReached() {
		return
	}
	r.src.mu.Lock()
	g := r.gate
	r.src.mu.Unlock()
	if g == nil {
		return
	}
	timer := time.NewTimer(gateTime)
	defer timer.Stop()
	select {
	case <-g.opened:
	case <-timer.C:
	case <-ctx.Done():
	}
	r.openGate(g)
}

// openGate ends a request. Both sides may call it.
func (r *reader) openGate(g *gate) {
	r.src.mu.Lock()
	defer r.src.mu.Unlock()
	if r.gate == g {
		r.gate = nil
	}
	if !g.isOpen {
		g.isOpen = true
		close(g.opened)
	}
}

// askGate asks r to wait. It returns nil if r takes no more feeds or another joiner is at it.
func (r *reader) askGate(from *place) *gate {
	s := r.src
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.closed || r.gate != nil {
		return nil
	}
	g := &gate{from: from, parked: make(chan struct{}), opened: make(chan struct{})}
	r.gate = g
	r.attention.Store(true)
	if r.parked {
		r.gateReachedLocked()
	}
	return g
}

// prune drops feeds that are done. Requires: mu, and to be the reader or to find it parked.
func (r *reader) prune() {
	n := len(r.feeds)
	r.feeds = slices.DeleteFunc(r.feeds, func(f *feed) bool { return f.dead || f.reader != r })
	if len(r.feeds) != n {
		r.members++
	}
}

// learn takes over shapes that are known at r's place from elsewhere: those of tables that r does not know, since nobody asked it yet, and the spellings
// of those that only the feeds that come want. Both spellings are right, but the feeds have seen theirs: a snapshot reads definitions as the server
// prints them, a log as a user wrote them. Requires: mu, r parked.
func (r *reader) learn(shapes func(func(*rowv1.Table) bool), feeds []*feed) {
	if r.tables == nil {
		return // not connected yet: it will load what is stored
	}
	mine := r.tables.catalog
	shapes(func(t *rowv1.Table) bool {
		known := mine.Table(t.Database, t.Table)
		if known == nil && !mine.IsSequence(t.Database, t.Table) || known != t && wantedBy(feeds, t) && !wantedBy(r.feeds, t) {
			mine.SetTable(t)
		}
		return true
	})
	clear(r.tables.maps)
}

func wantedBy(feeds []*feed, t *rowv1.Table) bool {
	return slices.ContainsFunc(feeds, func(f *feed) bool { return !f.dead && f.filter.table(t.Database, t.Table)&selected != 0 })
}

// adopt takes feeds that stand where r stands. Requires: mu, r parked, and not closed.
func (r *reader) adopt(feeds []*feed) {
	for _, f := range feeds {
		f.reader = r
		f.mark = r.boundaries // both are at one place; counts of another reader mean nothing here
		r.feeds = append(r.feeds, f)
		r.live++
		if f.copy != nil && len(f.copy.asks) > 0 {
			r.attention.Store(true)
			r.answerLocked(f)
		}
	}
	r.members++
}

// alone says whether the reader serves one feed and nobody waits for it.
func (r *reader) alone() bool {
	r.src.mu.Lock()
	defer r.src.mu.Unlock()
	return r.live <= 1 && r.gate == nil
}

// tryJoin makes r the shared reader or moves its feeds there; then it returns errJoined. Requires: at a boundary, batches flushed.
func (r *reader) tryJoin(ctx context.Context) error {
	s := r.src
	other := s.share(r)
	if other == nil || !r.caughtUp.Load() || r.now().Sub(r.failedJoin) < r.joinWait {
		return nil
	}
	here := r.at.clone()
	g := other.askGate(&here)
	if g == nil {
		return nil // another joiner is at it; the next boundary is soon enough
	}
	joined, err := r.join(ctx, other, g)
	if joined {
		return errJoined
	}
	r.failedJoin = r.now()
	r.joinWait = min(max(2*r.joinWait, minJoinWait), maxJoinWait)
	return err
}

// join is the joiner's side of the protocol above.
func (r *reader) join(ctx context.Context, other *reader, g *gate) (bool, error) {
	defer other.openGate(g)
	timer := time.NewTimer(gateTime)
	defer timer.Stop()
	select {
	case <-g.parked:
	case <-timer.C:
		return false, nil
	case <-g.opened:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
	for deadline := r.now().Add(gateTime); r.now().Before(deadline); {
		if r.atBoundary && r.skip.zero() {
			r.flushAll()
			switch done, more := r.hand(other, g); {
			case done:
				return true, nil
			case !more:
				return false, nil
			}
		}
		ev, err := r.log.Next()
		if err != nil {
			return false, err
		}
		if err := r.take(ctx, ev); err != nil {
			return false, err
		}
	}
	return false, nil
}

// hand moves the feeds if both readers are at one place. more says whether reading on can lead there.
func (r *reader) hand(other *reader, g *gate) (done, more bool) {
	s := r.src
	s.mu.Lock()
	defer s.mu.Unlock()
	if other.closed || g.isOpen || !other.parked {
		return false, false
	}
	if !r.at.same(&other.at) {
		return false, r.at.compare(&other.at) < 0
	}
	r.closed = true
	r.prune()
	if r.tables != nil {
		other.learn(r.tables.catalog.Tables, r.feeds)
	}
	other.adopt(r.feeds)
	r.feeds, r.live = nil, 0
	return true, false
}
