package lane

import (
	"fmt"
	"time"
)

// Action is what the lane must do now.
type Action int

// Actions. Each but Idle, Hold, Stopped, Wait and Next is answered with Done.
const (
	// Idle: nothing is assigned; wait for Assign.
	Idle Action = iota
	// Check asks whether the lane is still ours before it disturbs another owner; only after having been fenced.
	Check
	// Fence makes a producer and fences all older ones.
	Fence
	// Confirm asks by a linearizable read whether the lane is still ours.
	Confirm
	// Read reads the newest committed checkpoint.
	Read
	// Subscribe opens the stream at that checkpoint.
	Subscribe
	// Next takes the next message of the stream, or waits until WakeAt.
	Next
	// Commit writes the checkpoint record and commits.
	Commit
	// Ack acknowledges AckSeq to the capturer.
	Ack
	// Release destroys the producer, with its open transaction, and the stream.
	Release
	// Wait does nothing until RetryAt or a new assignment.
	Wait
	// Hold: paused; wait for Assign.
	Hold
	// Stopped: failed for good; wait for Assign.
	Stopped
)

var actionNames = [...]string{"Idle", "Check", "Fence", "Confirm", "Read", "Subscribe", "Next", "Commit", "Ack", "Release", "Wait", "Hold", "Stopped"}

func (a Action) String() string { return actionNames[a] }

// Outcome is how an action ended.
type Outcome int

// Outcomes.
const (
	// OK: done. A Commit is OK only if it was clean.
	OK Outcome = iota
	// Retry: it failed, or nobody knows; a new start may help.
	Retry
	// Fenced: another producer has the transactional id now.
	Fenced
	// Lost: the lane is somebody else's.
	Lost
	// Fatal: it fails again until a person changes something.
	Fatal
)

// Assignment is what etcd says that this member should do with the lane.
type Assignment struct {
	// Generation raises with each change.
	Generation uint64
	// Paused lanes keep their place and do nothing.
	Paused bool
}

// Back-off between starts: the first one after some progress is quick, since most failures are a broker or a capturer that moved; then 1 s doubling to 60 s.
const (
	firstRetry = 100 * time.Millisecond
	minRetry   = time.Second
	maxRetry   = time.Minute
)

// moving is how long a lane is tried again whatever Retries say: in a mesh it fails for as long as its capturer, its broker or itself needs to move, which is three
// leases of 5 s at most.
const moving = 15 * time.Second

// Retries say how a lane that failed starts again. The zero value is without end, with pauses that grow.
type Retries struct {
	// Limited: after Max failed starts in a row it is given up.
	Limited bool
	Max     int
	// Pause between starts; 0: one that grows. The first start after some progress comes at once in either case.
	Pause time.Duration
}

// Machine is one lane's state. Time is passed in, as time since any fixed instant.
type Machine struct {
	cut     Cut
	retries Retries
	action  Action
	want    *Assignment // newest; nil: not ours
	have    Assignment  // what runs; zero generation: nothing
	// refused is the generation that Confirm called somebody else's last: the watch may still show it for a while. Older ones are not refused with it: an
	// etcd that was restored from a backup counts from a lower one.
	refused uint64
	// next is where Release leads.
	next     Action
	failures int
	// failing is when the first of failures was.
	failing time.Duration
	retryAt time.Duration
	acked   uint64
}

// New returns a machine at Idle.
func New(cut Cut) *Machine { return &Machine{cut: cut} }

// Assign tells what etcd says now; nil: the lane is not ours. The same assignment again changes nothing. A lane that ran goes on to the end of what it may
// commit at once, or gives up its transaction: safety does not depend on noticing.
func (m *Machine) Assign(a *Assignment) {
	if a != nil && a.Generation == m.refused {
		return
	}
	if a != nil && m.want != nil && *a == *m.want {
		return
	}
	m.want = a
	switch m.action {
	case Idle, Hold, Stopped, Wait:
		m.failures = 0
		m.begin()
	case Next:
		m.leave()
	}
	// In the others an answer is outstanding; Done looks at want.
}

// begin starts from nothing with what is wanted. Requires: no producer and no stream.
func (m *Machine) begin() {
	switch {
	case m.want == nil:
		m.have, m.action = Assignment{}, Idle
	case m.want.Paused:
		m.have, m.action = *m.want, Hold
	default:
		m.have, m.action = *m.want, Fence
	}
}

// current reports that what runs is what is wanted.
func (m *Machine) current() bool { return m.want != nil && *m.want == m.have }

// leave ends a running lane whose assignment changed.
func (m *Machine) leave() {
	m.next = Idle
	if m.cut.committable() {
		m.action = Commit
		return
	}
	m.action = Release
}

// Action returns what to do at the instant now. ready says that a message of the stream can be had without waiting.
func (m *Machine) Action(now time.Duration, ready bool) Action {
	switch m.action {
	case Wait:
		if now >= m.retryAt {
			m.begin()
		}
	case Next:
		if m.cut.due(now, ready) {
			m.action = Commit
		}
	}
	return m.action
}

// Took accounts for a message that was produced into the transaction, or that moves the checkpoint only. Requires: Action was Next.
func (m *Machine) Took(now time.Duration, t Taken) {
	if m.action != Next {
		panic(fmt.Sprintf("lane: message taken in %v", m.action))
	}
	m.cut.took(now, t)
}

// Broke tells of a failure outside of an answered action: the stream ended or a record could not be produced. Requires: Action was Next.
func (m *Machine) Broke(now time.Duration, o Outcome) {
	if m.action != Next {
		panic(fmt.Sprintf("lane: broke in %v", m.action))
	}
	m.fail(now, o)
}

// Done answers the current action.
func (m *Machine) Done(now time.Duration, o Outcome) {
	if o != OK && m.action != Release {
		m.fail(now, o)
		return
	}
	switch m.action {
	case Check:
		m.action = Fence
	case Fence:
		m.action = Confirm
	case Confirm:
		m.action = Read
	case Read:
		m.action = Subscribe
	case Subscribe:
		m.action = Next
		m.cut.reset(now)
		m.acked = 0
	case Commit:
		m.failures = 0
		m.cut.committed(now)
		m.action = Ack
		if m.cut.last == m.acked {
			m.afterAck()
		}
		return
	case Ack:
		m.acked = m.cut.last
		m.afterAck()
		return
	case Release:
		m.cut.reset(now) // what was open is gone with the producer
		if m.next == Idle || !m.current() {
			m.begin()
		} else {
			m.action = m.next
		}
		return
	default:
		panic(fmt.Sprintf("lane: %v is not answered", m.action))
	}
	if !m.current() { // noticed on the way
		m.leave()
	}
}

func (m *Machine) afterAck() {
	m.action = Next
	if !m.current() {
		m.leave()
	}
}

// fail goes to Release and from there to what the outcome asks for.
func (m *Machine) fail(now time.Duration, o Outcome) {
	from := m.action
	m.action = Release
	switch o {
	case Lost:
		m.refused = m.have.Generation
		if m.want != nil && m.want.Generation == m.refused {
			m.want = nil
		}
		m.next = Idle
	case Fatal:
		m.next = Stopped
	default:
		if m.failures == 0 {
			m.failing = now
		}
		m.next = Wait
		if m.spent(now) {
			m.next = Stopped
			return
		}
		if o == Fenced && from != Check && m.failures == 0 {
			// Somebody else fenced us. Ask first whether the lane is still ours: fencing back blindly would keep two workers busy with each other. If it
			// happens again without a commit in between, somebody uses our transactional id who does not ask; then the pause is what keeps the peace.
			m.next = Check
		}
		m.retryAt = now + m.backoff()
		m.failures++
	}
}

func (m *Machine) backoff() time.Duration {
	if m.failures == 0 {
		return firstRetry
	}
	if m.retries.Pause > 0 {
		return m.retries.Pause
	}
	return min(minRetry<<min(m.failures-1, 10), maxRetry)
}

// spent reports that a failure at the instant now is one too many.
func (m *Machine) spent(now time.Duration) bool {
	return m.retries.Limited && m.failures >= m.retries.Max && now-m.failing >= moving
}

// SetRetries changes how the lane starts again after failures.
func (m *Machine) SetRetries(r Retries) { m.retries = r }

// Failures returns how many starts in a row have failed and were tried again.
func (m *Machine) Failures() int { return m.failures }

// Hurry ends a Wait: what the start before failed for has changed.
func (m *Machine) Hurry(now time.Duration) {
	if m.action == Wait {
		m.retryAt = min(m.retryAt, now)
	}
}

// Generation returns the generation that runs or is being started.
func (m *Machine) Generation() uint64 { return m.have.Generation }

// AckSeq returns the sequence number to acknowledge.
func (m *Machine) AckSeq() uint64 { return m.cut.last }

// RetryAt returns when Wait ends.
func (m *Machine) RetryAt() time.Duration { return m.retryAt }

// WakeAt returns when Next must be asked again although no message came; ok is false if there is no such time.
func (m *Machine) WakeAt() (at time.Duration, ok bool) { return m.cut.wakeAt() }

// Open reports that a transaction is open.
func (m *Machine) Open() bool { return m.cut.open }

// SetCut changes the rules for cuts; what is under way is kept. Requires: no transaction is open.
func (m *Machine) SetCut(c Cut) {
	c.last = m.cut.last
	m.cut = c
}
