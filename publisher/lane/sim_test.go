package lane

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"
)

var simSeed = flag.Uint64("sim.seed", 0, "run the simulation with this seed only")

// sim is workers, a broker, etcd's word on who owns the lane, and a source whose rows come in transactions of any size.
type sim struct {
	rnd     *rand.Rand
	broker  broker
	workers []*worker
	owner   int
	gen     uint64
	paused  bool
	rows    int
	ends    []bool // ends[i]: a source transaction ends with row i
	now     time.Duration
	faults  bool
	mutant  mutant
}

// mutant is a protocol with one rule broken; the checker must find each.
type mutant int

const (
	sound mutant = iota
	hiddenRetry
	lowWatermark
	lastNotCheckpoint
)

// worker does what the publisher's loop does, on the simulated world.
type worker struct {
	id        int
	m         *Machine
	alive     bool
	epoch     int // of its producer; 0 without one
	at        int // rows taken
	committed int
	dirty     bool // it has a request on its way that may come twice
}

const simCommitInterval = 5 * time.Millisecond

func newSim(seed uint64, mut mutant) *sim {
	s := &sim{rnd: rand.New(rand.NewPCG(seed, 1)), rows: 8 + int(seed%20), faults: true, mutant: mut}
	s.ends = make([]bool, s.rows+1)
	for i := range s.ends {
		s.ends[i] = s.rnd.IntN(3) == 0
	}
	s.ends[s.rows] = true
	for i := range 3 {
		s.workers = append(s.workers, &worker{id: i})
		s.start(s.workers[i])
	}
	s.assign()
	return s
}

func (s *sim) start(w *worker) {
	w.m = New(Cut{Interval: simCommitInterval, Bytes: 4, SplitBytes: 6, SplitAfter: time.Second, Idle: time.Second})
	w.alive, w.epoch, w.at, w.committed = true, 0, 0, 0
}

// assign moves the lane or changes its target; workers hear of it later, or never.
func (s *sim) assign() {
	s.gen++
	s.owner = s.rnd.IntN(len(s.workers))
	s.paused = s.faults && s.rnd.IntN(6) == 0
}

func (s *sim) tell(w *worker) {
	if s.owner == w.id {
		w.m.Assign(&Assignment{Generation: s.gen, Paused: s.paused})
	} else {
		w.m.Assign(nil)
	}
}

func (s *sim) chance(n int) bool { return s.faults && s.rnd.IntN(n) == 0 }

// step lets one thing happen.
func (s *sim) step() {
	s.now += time.Duration(s.rnd.IntN(4)) * time.Millisecond
	switch {
	case s.chance(60):
		s.assign()
	case s.chance(10) && len(s.broker.late) > 0:
		i := s.rnd.IntN(len(s.broker.late))
		s.broker.end(s.broker.late[i])
		s.broker.late = append(s.broker.late[:i], s.broker.late[i+1:]...)
	case s.chance(100):
		s.broker.end(endTxn{s.broker.epoch, false}) // the transaction's timeout
		s.broker.epoch++
	default:
		w := s.workers[s.rnd.IntN(len(s.workers))] // a worker that is not chosen for long is a paused one
		switch {
		case s.chance(50):
			w.alive = false // a crash, at whatever step
		case !w.alive:
			s.start(w)
		case s.rnd.IntN(3) == 0:
			s.tell(w)
		default:
			s.work(w)
		}
	}
}

// work performs one action.
func (s *sim) work(w *worker) {
	m := w.m
	switch m.Action(s.now, w.at < s.rows) {
	case Check, Confirm:
		m.Done(s.now, s.confirm(w))
	case Fence:
		if s.chance(5) {
			s.broker.init() // done at the broker, answer lost
			m.Done(s.now, Retry)
			return
		}
		w.epoch, w.dirty = s.broker.init(), false
		m.Done(s.now, OK)
	case Read:
		w.at = s.broker.checkpoint()
		w.committed = w.at
		if s.mutant == lowWatermark && s.chance(4) && w.at > 0 {
			w.at-- // a reader that stops before the end
		}
		m.Done(s.now, OK)
	case Subscribe:
		if s.chance(6) {
			m.Done(s.now, Retry)
			return
		}
		m.Done(s.now, OK)
	case Next:
		s.next(w)
	case Commit:
		m.Done(s.now, s.commit(w))
	case Ack:
		m.Done(s.now, OK)
	case Release:
		w.epoch = 0
		m.Done(s.now, OK)
	case Wait:
		s.now = max(s.now, min(m.RetryAt(), s.now+10*time.Millisecond))
		if !s.faults {
			s.now = max(s.now, m.RetryAt())
		}
	}
}

func (s *sim) confirm(w *worker) Outcome {
	switch {
	case s.chance(8):
		return Retry // etcd is away
	case s.owner != w.id || s.gen != w.m.Generation():
		return Lost
	}
	return OK
}

func (s *sim) next(w *worker) {
	if w.at == s.rows {
		if at, ok := w.m.WakeAt(); ok {
			s.now = max(s.now, at)
		}
		return
	}
	if s.chance(12) { // a record is lost on the way to the broker, or the stream ends
		w.m.Broke(s.now, Retry)
		return
	}
	n := 1 + s.rnd.IntN(3)
	var last int
	for last = w.at + 1; last < s.rows && n > 1; last++ {
		n--
	}
	for row := w.at + 1; row <= last; row++ {
		if !s.broker.append(w.epoch, record{row: row}) {
			w.m.Broke(s.now, Fenced)
			return
		}
	}
	bytes := int64(last - w.at)
	w.at = last
	w.m.Took(s.now, Taken{Seq: uint64(last), Rows: true, End: s.ends[last], Bytes: bytes})
}

// commit appends the checkpoint and ends the transaction. The client sends EndTxn again when it hears nothing; whatever copy is not answered may come late.
func (s *sim) commit(w *worker) Outcome {
	covered := w.at
	if s.mutant == lastNotCheckpoint && covered > 0 {
		covered--
	}
	if !s.broker.append(w.epoch, record{checkpoint: covered}) {
		return Fenced
	}
	e := endTxn{w.epoch, true}
	switch {
	case s.chance(8): // never arrives
		return Retry
	case s.chance(8): // arrives, the answer is lost
		s.broker.end(e)
		return Retry
	case s.chance(5): // delayed; the client's own second copy is answered
		s.broker.late = append(s.broker.late, e)
		if !s.broker.end(e) {
			return Fenced
		}
		if s.mutant == hiddenRetry {
			return OK
		}
		return Retry
	case s.chance(12): // delayed, and nothing is answered
		s.broker.late = append(s.broker.late, e)
		return Retry
	}
	if !s.broker.end(e) {
		return Fenced
	}
	return OK
}

// run returns what went wrong first.
func (s *sim) run() string {
	for range 400 {
		s.step()
		if bad := s.broker.check(); bad != "" {
			return bad
		}
	}
	// The world heals: the lane must come to its end by itself.
	s.faults = false
	s.assign()
	for i := range 20_000 {
		s.step()
		if i%20 == 0 && s.broker.checkpoint() == s.rows {
			break
		}
	}
	if bad := s.broker.check(); bad != "" {
		return bad
	}
	if s.broker.checkpoint() != s.rows {
		return "stuck"
	}
	return ""
}

func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		if bad := newSim(*simSeed, sound).run(); bad != "" {
			t.Fatalf("%s with seed %d", bad, *simSeed)
		}
		return
	}
	for seed := range uint64(20_000) {
		if bad := newSim(seed+1, sound).run(); bad != "" {
			t.Fatalf("%s; replay with -sim.seed=%d", bad, seed+1)
		}
	}
}

// TestMutants proves that the simulation can see: each broken rule must be found.
func TestMutants(t *testing.T) {
	for name, mut := range map[string]mutant{
		"a retried EndTxn passes for a clean commit": hiddenRetry,
		"the checkpoint reader stops too early":      lowWatermark,
		"the checkpoint covers less than the rows":   lastNotCheckpoint,
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20_000) {
				if bad := newSim(seed+1, mut).run(); bad != "" && bad != "stuck" {
					t.Logf("%s with seed %d", bad, seed+1)
					return
				}
			}
			t.Error("not found in 20000 seeds")
		})
	}
}
