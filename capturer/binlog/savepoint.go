package binlog

import (
	"bytes"
	"strings"

	"github.com/rowmesh/rowmesh/services/errs"
)

// saved holds the events of a transaction behind its first SAVEPOINT until its end.
//
// The servers cut what ROLLBACK TO SAVEPOINT undoes out of a transaction before they log it, except where that also changed tables of an engine without
// transactions: then the undone rows are in the log, and a ROLLBACK TO behind them. Rows are handed out as they come, so none behind a savepoint may go before it is known
// that it stays. A transaction with more behind its savepoints than may be held goes on as it comes, and a ROLLBACK TO in it is an error.
type saved struct {
	on     bool // a savepoint was seen, and events are held
	direct bool // no more of this transaction are
	events []byte
	at     []place
	marks  []savepoint
}

// savepoint is what was held when it was set.
type savepoint struct {
	name          string
	bytes, events int
}

func (v *saved) reset() {
	*v = saved{events: v.events[:0], at: v.at[:0], marks: v.marks[:0]}
	if cap(v.events) > maxSavedBuffer {
		v.events = nil
	}
}

// maxSavedBuffer is what is kept between transactions: that of an ordinary one.
const maxSavedBuffer = 1 << 20

// savepoint handles SAVEPOINT, ROLLBACK TO and RELEASE SAVEPOINT.
func (s *Stream) savepoint(sql []byte, at place) error {
	s.txn.index++
	if !s.txn.open {
		return nil
	}
	words := bytes.Fields(sql)
	name := strings.Trim(string(words[len(words)-1]), "`")
	v := &s.saved
	found := -1
	for i := range v.marks {
		if strings.EqualFold(v.marks[i].name, name) {
			found = i
		}
	}
	switch {
	case bytes.EqualFold(words[0], []byte("ROLLBACK")):
		if found < 0 || v.direct {
			return errs.E(errs.Unsupported, "ROLLBACK TO SAVEPOINT at %d undoes rows that were read already; the server logs it so only where the "+
				"transaction also changed tables of a non-transactional engine. Start behind it, with a new snapshot of those tables", at.pos)
		}
		m := v.marks[found]
		v.events, v.at, v.marks = v.events[:m.bytes], v.at[:m.events], v.marks[:found+1]
	case bytes.EqualFold(words[0], []byte("SAVEPOINT")) && s.txn.xid == "":
		v.on = !v.direct
		v.marks = append(v.marks, savepoint{name: name, bytes: len(v.events), events: len(v.at)})
	}
	return nil
}

// save holds an event, or lets all that is held go before it because there is no room.
func (s *Stream) save(b []byte, at place) {
	v := &s.saved
	if len(v.events)+len(b) > s.cfg.MaxHeldBytes {
		s.release(b, at)
		return
	}
	n := len(v.events)
	v.events, v.at = append(v.events, b...), append(v.at, at)
	trueSize(v.events[n:], len(b))
}

// release hands out what is held, and then the event at hand.
func (s *Stream) release(b []byte, at place) {
	v := &s.saved
	v.on, v.direct = false, true
	last := bytes.Clone(b)
	trueSize(last, len(b))
	s.inner, s.outer = &savedEvents{s: s, rest: v.events, at: v.at, last: last, lastAt: at, then: s.inner, thenAt: s.outer}, at
}

// savedEvents are what was held, an event behind them, and what the event at hand held before.
type savedEvents struct {
	s      *Stream
	rest   []byte
	at     []place
	last   []byte
	lastAt place
	then   innerSource
	thenAt place
}

func (e *savedEvents) more() bool { return e.last != nil || e.then != nil && e.then.more() }

func (e *savedEvents) next() ([]byte, error) {
	switch {
	case len(e.rest) > 0:
		n := int(parseHeader(e.rest).size)
		b := e.rest[:n]
		e.s.outer, e.rest, e.at = e.at[0], e.rest[n:], e.at[1:]
		return b, nil
	case e.last != nil:
		b := e.last
		e.s.outer, e.last = e.lastAt, nil
		return b, nil
	}
	// The source of before takes its place again.
	e.s.inner, e.s.outer = e.then, e.thenAt
	return nil, errNoMore
}
