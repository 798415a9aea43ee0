package lane

import (
	"testing"
	"time"
)

// What Confirm has refused is not tried again, however often the watch shows it. But generations can fall: an etcd restored from a backup counts from a lower
// one, and a lane that waited for a higher one waited for ever.
func TestRefusedGeneration(t *testing.T) {
	m := New(Cut{})
	m.Assign(&Assignment{Generation: 9})
	m.Done(0, OK) // Fence
	if a := m.Action(0, false); a != Confirm {
		t.Fatalf("action %v, want Confirm", a)
	}
	m.Done(0, Lost)
	m.Done(0, OK) // Release
	m.Assign(&Assignment{Generation: 9})
	if a := m.Action(0, false); a != Idle {
		t.Errorf("action %v after the refused generation, want Idle", a)
	}
	m.Assign(&Assignment{Generation: 5})
	if a := m.Action(0, false); a != Fence {
		t.Errorf("action %v after generation 5, want Fence", a)
	}
}

// The waits between starts grow. Hurry ends the one at hand, and only that.
func TestHurry(t *testing.T) {
	m := New(Cut{})
	m.Assign(&Assignment{Generation: 1})
	fail := func(now time.Duration) time.Duration {
		t.Helper()
		if a := m.Action(now, false); a != Fence {
			t.Fatalf("action %v at %s, want Fence", a, now)
		}
		m.Done(now, Retry)
		m.Done(now, OK) // Release
		return m.RetryAt() - now
	}
	var waits []time.Duration
	now := time.Duration(0)
	for range 4 {
		waits = append(waits, fail(now))
		now = m.RetryAt()
	}
	last := fail(now)
	if a := m.Action(now+time.Second, false); a != Wait || last <= waits[len(waits)-1] {
		t.Fatalf("action %v, waits %v, then %s", a, waits, last)
	}
	m.Hurry(now + time.Second)
	if next := fail(now + time.Second); next <= last {
		t.Errorf("the wait after Hurry is %s, the one before was %s", next, last)
	}
	m.Hurry(0)
	m.Assign(nil)
	m.Hurry(time.Hour)
	if a := m.Action(2*time.Hour, false); a != Idle {
		t.Errorf("action %v of a lane that is not ours", a)
	}
}

// A lane is given up after as many tries as it may have, but not before what moves in a mesh has had its time; and one that is started by hand counts anew.
func TestRetries(t *testing.T) {
	for name, c := range map[string]struct {
		retries Retries
		stops   bool
		pauses  []time.Duration // of the first tries
	}{
		"without end":   {Retries{}, false, []time.Duration{firstRetry, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}},
		"none":          {Retries{Limited: true}, true, []time.Duration{firstRetry, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}},
		"three, slowly": {Retries{Limited: true, Max: 3, Pause: 10 * time.Second}, true, []time.Duration{firstRetry, 10 * time.Second, 10 * time.Second}},
		"own pause":     {Retries{Pause: 300 * time.Millisecond}, false, []time.Duration{firstRetry, 300 * time.Millisecond, 300 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			m := New(Cut{})
			m.SetRetries(c.retries)
			m.Assign(&Assignment{Generation: 1})
			now := time.Hour
			run := func() (tries int, stopped bool) {
				for begin := now; now < begin+time.Hour; {
					switch a := m.Action(now, false); a {
					case Fence:
						m.Done(now, Retry)
					case Release:
						m.Done(now, OK)
					case Wait:
						if tries < len(c.pauses) && m.RetryAt()-now != c.pauses[tries] {
							t.Errorf("pause %d is %s, want %s", tries, m.RetryAt()-now, c.pauses[tries])
						}
						tries++
						now = m.RetryAt()
					case Stopped:
						if now-begin < moving {
							t.Errorf("given up after %s", now-begin)
						}
						return tries, true
					default:
						t.Fatalf("action %v", a)
					}
				}
				return tries, false
			}
			tries, stopped := run()
			if stopped != c.stops || stopped && tries < c.retries.Max {
				t.Errorf("after %d tries stopped: %v", tries, stopped)
			}
			if !stopped {
				return
			}
			if m.Failures() != tries {
				t.Errorf("%d failures, %d tries", m.Failures(), tries)
			}
			m.Assign(&Assignment{Generation: 2})
			if again, _ := run(); again != tries {
				t.Errorf("%d tries after a restart, %d before", again, tries)
			}
		})
	}
}
