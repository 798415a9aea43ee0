package sim

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"time"
)

// World runs coroutines and decides, by its seed, which of them is next and what goes wrong meanwhile.
type World struct {
	// Rand is what all decisions come from.
	Rand *rand.Rand
	// Now is the time since the world began.
	Now time.Duration
	// Broken names the rule that is broken on purpose; see Mutant.
	Broken Mutant
	// Faults says that things still go wrong.
	Faults bool

	Broker   *Broker
	Registry *Registry
	Source   *Source
	Judge    *Judge
	Hosts    []*Host
	// Leave asks a host's process to end, as SIGTERM does.
	Leave func(h *Host)
	// pumps are the streams' ends at the lanes: each call moves one message, and reports whether it could.
	pumps []*pumpEnd

	procs   []*Proc
	current *Proc
	tracing bool
	trace   []string
	bad     string
}

// Mutant is a rule of the protocol that a world breaks, so that a test can see whether it is found.
type Mutant int

// Mutants.
const (
	Sound Mutant = iota
	// EtcdCheckpoint keeps checkpoints in etcd, written after the rows by compare-and-swap on the generation.
	EtcdCheckpoint
	// ReuseAfterUnclean goes on with a producer whose commit was answered although a copy of the request may still be on its way.
	ReuseAfterUnclean
	// ReadToStable reads checkpoints up to the last stable offset.
	ReadToStable
	// SkipDeliveryErrors goes on when a record could not be delivered.
	SkipDeliveryErrors
	// NoConfirm does not ask whether the lane is still ours after the fence.
	NoConfirm
	// CheckpointBehind writes a checkpoint that covers less than the rows of its transaction.
	CheckpointBehind
)

// Host is a publisher's process.
type Host struct {
	Name string
	// Up is false after a crash until it is started again.
	Up bool
	// stoppedUntil is when SIGCONT comes.
	stoppedUntil time.Duration
	// cutOff is how long etcd cannot be reached.
	cutOff time.Duration
	// leaving: it was asked to end, and does so once its lanes have.
	leaving bool
	lease   time.Duration // until when etcd believes that it lives
	seen    int64         // revision that it was told last
}

// Runs reports that the process is alive and not stopped.
func (h *Host) Runs(now time.Duration) bool { return h.Up && now >= h.stoppedUntil }

// Proc is a coroutine on a host.
type Proc struct {
	Host *Host
	// Generation says for which generation of its lane it works.
	Generation func() uint64

	name  string
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
	ready func() bool
	until time.Duration // 0: ready alone counts
	ended bool
}

// killed unwinds a coroutine whose process is gone.
type killed struct{}

// New returns an empty world.
func New(seed uint64, broken Mutant, trace bool) *World {
	w := &World{Rand: rand.New(rand.NewPCG(seed, 1)), Broken: broken, Faults: true, tracing: trace}
	w.Broker = newBroker(w)
	w.Registry = newRegistry(w)
	w.Source = newSource(w)
	w.Judge = newJudge(w)
	return w
}

// Go starts a coroutine. It runs when it is chosen.
func (w *World) Go(h *Host, name string, generation func() uint64, f func()) {
	p := &Proc{Host: h, name: name, Generation: generation}
	p.next, p.stop = iter.Pull(func(yield func(struct{}) bool) {
		p.yield = yield
		defer func() {
			p.ended = true
			if r := recover(); r != nil {
				if _, ok := r.(killed); !ok {
					w.Fail("%s panics: %v", name, r)
				}
			}
		}()
		f()
	})
	w.procs = append(w.procs, p)
}

// Pause lets others run. Code on a host that dies meanwhile never returns from it.
func (w *World) Pause() { w.Until(0, nil) }

// Until waits until ready says so or the time has come; at 0 there is none, ready nil is true.
func (w *World) Until(at time.Duration, ready func() bool) {
	p := w.current
	if p == nil { // outside of all coroutines: nobody to wait for
		return
	}
	p.ready, p.until = ready, at
	if !p.yield(struct{}{}) {
		panic(killed{})
	}
}

// Sleep waits for d.
func (w *World) Sleep(d time.Duration) { w.Until(w.Now+d, func() bool { return false }) }

// Current is the coroutine that runs.
func (w *World) Current() *Proc { return w.current }

func (p *Proc) runnable(now time.Duration) bool {
	return !p.ended && p.Host.Runs(now) && (p.ready == nil || p.ready() || p.until > 0 && now >= p.until)
}

func (w *World) resume(p *Proc) {
	w.current = p
	if _, ok := p.next(); !ok {
		p.ended = true
	}
	w.current = nil
}

// Kill ends all coroutines of a host at once, as kill -9 does.
func (w *World) Kill(h *Host) {
	h.Up, h.leaving = false, false
	for _, p := range w.procs {
		if p.Host == h && !p.ended {
			p.stop()
			p.ended = true
		}
	}
	w.sweep()
}

func (w *World) sweep() {
	live := w.procs[:0]
	for _, p := range w.procs {
		if !p.ended {
			live = append(live, p)
		}
	}
	w.procs = live
}

// Close ends all coroutines.
func (w *World) Close() {
	for _, h := range w.Hosts {
		w.Kill(h)
	}
}

// Chance is true once in n times, while there are faults.
func (w *World) Chance(n int) bool { return w.Faults && w.Rand.IntN(n) == 0 }

// Trace notes what happens. The arguments of a call should cost nothing.
func (w *World) Trace(format string, args ...any) {
	if w.tracing {
		w.trace = append(w.trace, fmt.Sprintf("%12s  ", w.Now)+fmt.Sprintf(format, args...))
	}
}

// Tracing reports that somebody will read the trace.
func (w *World) Tracing() bool { return w.tracing }

// Events returns the trace.
func (w *World) Events() []string { return w.trace }

// Fail notes the first thing that is wrong.
func (w *World) Fail(format string, args ...any) {
	if w.bad == "" {
		w.bad = fmt.Sprintf(format, args...)
		w.Trace("VIOLATION %s", w.bad)
	}
}

// Bad is the first thing that went wrong; empty if all is well.
func (w *World) Bad() string { return w.bad }

type pumpEnd struct {
	host *Host
	move func() (moved, done bool)
}

// Pump adds a stream's end: move takes one message of the stream to the lane, and says whether there was one and whether the stream is over.
func (w *World) Pump(h *Host, move func() (moved, done bool)) {
	w.pumps = append(w.pumps, &pumpEnd{h, move})
}

// Step lets one thing happen.
func (w *World) Step() {
	w.Now += time.Duration(w.Rand.IntN(1500)) * time.Microsecond
	switch n := w.Rand.IntN(100); {
	case n < 2 && w.Faults:
		w.fault()
	case n < 12:
		w.Broker.step()
	case n < 18:
		w.Registry.step()
	case n < 22:
		w.Source.step()
	case n < 45:
		w.pump()
	default:
		w.run()
	}
}

// run resumes one of the coroutines that can go on. If none can, and nothing else moves either, the time of the next one comes.
func (w *World) run() {
	n := len(w.procs)
	if n == 0 {
		return
	}
	first := w.Rand.IntN(n)
	for i := range n {
		if p := w.procs[(first+i)%n]; p.runnable(w.Now) {
			w.resume(p)
			if p.ended {
				w.sweep()
				if h := p.Host; h.leaving && !w.busy(h) {
					w.Trace("%s has ended", h.Name)
					w.Kill(h)
				}
			}
			return
		}
	}
	if w.Rand.IntN(4) == 0 {
		w.skip()
	}
}

// busy reports that coroutines of a host go on.
func (w *World) busy(h *Host) bool {
	for _, p := range w.procs {
		if p.Host == h {
			return true
		}
	}
	return false
}

// skip moves the clock on to where a coroutine or a process wakes up.
func (w *World) skip() {
	next := time.Duration(-1)
	earlier := func(at time.Duration) {
		if at > w.Now && (next < 0 || at < next) {
			next = at
		}
	}
	for _, p := range w.procs {
		if p.until > 0 {
			earlier(max(p.until, p.Host.stoppedUntil))
		}
	}
	for _, h := range w.Hosts {
		earlier(h.stoppedUntil)
		earlier(h.cutOff)
	}
	earlier(w.Broker.downUntil)
	if next > w.Now {
		// Others keep their leases meanwhile, so the way is gone in pieces that are shorter than those.
		w.Now = min(next, w.Now+leaseTTL/4)
	}
}

func (w *World) pump() {
	n := len(w.pumps)
	if n == 0 {
		return
	}
	first := w.Rand.IntN(n)
	for i := range n {
		j := (first + i) % n
		e := w.pumps[j]
		if e.host != nil && !e.host.Runs(w.Now) {
			if !e.host.Up {
				w.pumps = append(w.pumps[:j], w.pumps[j+1:]...)
				return
			}
			continue
		}
		moved, done := e.move()
		if done {
			w.pumps = append(w.pumps[:j], w.pumps[j+1:]...)
			return
		}
		if moved {
			return
		}
	}
}

// fault lets one of the things go wrong that happen to processes and networks; those of the broker and of the server are theirs.
func (w *World) fault() {
	h := w.Hosts[w.Rand.IntN(len(w.Hosts))]
	switch w.Rand.IntN(13) {
	case 0:
		if h.Up {
			w.Trace("%s is killed", h.Name)
			w.Kill(h)
		}
	case 12:
		if h.Runs(w.Now) && !h.leaving && w.busy(h) {
			w.Trace("%s is asked to end", h.Name)
			h.leaving = true
			w.Leave(h)
		}
	case 1, 2: // SIGSTOP, now and then for longer than a lease or a transaction may last
		if h.Runs(w.Now) {
			d := []time.Duration{50 * time.Millisecond, 3 * time.Second, 7 * time.Second, 20 * time.Second, 90 * time.Second}[w.Rand.IntN(5)]
			h.stoppedUntil = w.Now + d
			w.Trace("%s is stopped for %s", h.Name, d)
		}
	case 3:
		h.cutOff = w.Now + time.Duration(w.Rand.IntN(12))*time.Second
		w.Trace("%s is cut off from etcd until %s", h.Name, h.cutOff)
	case 4:
		w.Broker.downUntil = w.Now + time.Duration(w.Rand.IntN(8))*time.Second
		w.Trace("the broker is away until %s", w.Broker.downUntil)
	case 5, 6:
		w.Registry.disturb()
	case 7, 8, 9:
		w.Source.disturb()
	default:
		w.Broker.disturb()
	}
}

// Heal ends all faults: everything runs again, nothing fails any more.
func (w *World) Heal() {
	w.Faults = false
	w.Trace("the world heals")
	for _, h := range w.Hosts {
		h.stoppedUntil, h.cutOff = 0, 0
	}
	w.Broker.downUntil = 0
	w.Source.heal()
	w.Registry.heal()
}
