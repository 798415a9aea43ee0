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
