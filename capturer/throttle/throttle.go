package throttle

import (
	"fmt"
	"sync"
	"time"
)

// Limits are what readers may take. Zero means no limit.
type Limits struct {
	RowsPerSecond  uint64
	BytesPerSecond uint64 // of rows as they are sent
	// ThreadsRunning is how many statements the server may run at once (Threads_running) before readers rest.
	ThreadsRunning uint64
	// HistoryLength is how much history the server may keep for open transactions (trx_rseg_history_len).
	HistoryLength uint64
	// ReplicaLag is how far the server that is read may be behind its source.
	ReplicaLag time.Duration
}

// watchesLoad says whether some limit is about the server's load.
func (l Limits) watchesLoad() bool {
	return l.ThreadsRunning > 0 || l.HistoryLength > 0 || l.ReplicaLag > 0
}

// Load is how busy a server is.
type Load struct {
	ThreadsRunning uint64
	HistoryLength  uint64
	ReplicaLag     time.Duration // 0 on a server that replicates nothing
}

const (
	// burst is how much unused time is kept: readers that were held up elsewhere may catch up with this much of their rate.
	burst = 250 * time.Millisecond
	// rest is how long readers wait before the load is looked at again. The load is read about as often.
	rest = time.Second
	// longest bounds one wait, so that new limits are felt soon.
	longest = time.Second
)

// Throttle paces readers. Safe for concurrent use.
type Throttle struct {
	mu     sync.Mutex
	limits Limits
	rows   bucket
	bytes  bucket
	over   string // which limit of load is passed; empty: none
}

// New returns a throttle.
func New(l Limits) *Throttle { return &Throttle{limits: l} }

// Set changes the limits. What was read before does not count against new rates.
func (t *Throttle) Set(l Limits) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.RowsPerSecond != t.limits.RowsPerSecond {
		t.rows = bucket{}
	}
	if l.BytesPerSecond != t.limits.BytesPerSecond {
		t.bytes = bucket{}
	}
	t.limits = l
	if !l.watchesLoad() {
		t.over = ""
	}
}

// Took accounts for what was read and says how long to rest before more is. A wait that is not over then is told by Wait.
func (t *Throttle) Took(now time.Time, rows, bytes uint64) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows.take(now, rows, t.limits.RowsPerSecond)
	t.bytes.take(now, bytes, t.limits.BytesPerSecond)
	return t.wait(now)
}

// Wait says how long to rest before anything is read.
func (t *Throttle) Wait(now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wait(now)
}

func (t *Throttle) wait(now time.Time) time.Duration {
	if t.over != "" {
		return rest
	}
	return min(max(t.rows.due(now), t.bytes.due(now)), longest)
}

// WatchesLoad says whether Seen has a use.
func (t *Throttle) WatchesLoad() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.limits.watchesLoad()
}

// Seen takes what the server's load is now.
func (t *Throttle) Seen(load Load) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = t.limits.passed(load)
}

func (l Limits) passed(load Load) string {
	switch {
	case l.ThreadsRunning > 0 && load.ThreadsRunning > l.ThreadsRunning:
		return fmt.Sprintf("the server runs %d statements at once, more than %d", load.ThreadsRunning, l.ThreadsRunning)
	case l.ReplicaLag > 0 && load.ReplicaLag > l.ReplicaLag:
		return fmt.Sprintf("the server is %s behind its source, more than %s", load.ReplicaLag, l.ReplicaLag)
	case l.HistoryLength > 0 && load.HistoryLength > l.HistoryLength:
		return fmt.Sprintf("the server keeps a history of %d transactions, more than %d", load.HistoryLength, l.HistoryLength)
	}
	return ""
}

// State is what a throttle does now.
type State struct {
	Limits Limits
	// Resting says why nothing is read, where that is the server's load; empty otherwise.
	Resting string
}

// State returns it.
func (t *Throttle) State() State {
	t.mu.Lock()
	defer t.mu.Unlock()
	return State{Limits: t.limits, Resting: t.over}
}

// bucket counts one kind of thing against a rate: free is when what was taken is paid for.
type bucket struct{ free time.Time }

func (b *bucket) take(now time.Time, n, rate uint64) {
	if rate == 0 {
		return
	}
	if oldest := now.Add(-burst); b.free.Before(oldest) {
		b.free = oldest
	}
	b.free = b.free.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
}

func (b *bucket) due(now time.Time) time.Duration { return max(b.free.Sub(now), 0) }
