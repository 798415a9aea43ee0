package throttle

import (
	"strings"
	"sync"
	"testing"
	"time"
)

var start = time.Unix(1_700_000_000, 0)

// read takes batches for a while of the clock and returns what was taken.
func read(t *Throttle, from time.Time, long time.Duration, rows, bytes uint64) (n uint64) {
	for now := from; now.Before(from.Add(long)); {
		n += rows
		now = now.Add(t.Took(now, rows, bytes))
		for w := t.Wait(now); w > 0; w = t.Wait(now) {
			now = now.Add(w)
		}
		now = now.Add(time.Millisecond) // reading takes time too
	}
	return n
}

func TestRatesHold(t *testing.T) {
	for _, c := range []struct {
		name        string
		limits      Limits
		rows, bytes uint64 // of a batch
		want        uint64 // rows a second
	}{
		{"rows", Limits{RowsPerSecond: 1000}, 10, 1 << 20, 1000},
		{"bytes", Limits{BytesPerSecond: 1 << 20}, 10, 64 << 10, 160},
		{"the smaller of both", Limits{RowsPerSecond: 100, BytesPerSecond: 1 << 30}, 10, 64 << 10, 100},
		{"batches of more than a second", Limits{RowsPerSecond: 10}, 50, 1, 10},
	} {
		got := read(New(c.limits), start, 100*time.Second, c.rows, c.bytes) / 100
		if got < c.want*98/100 || got > c.want*102/100+c.rows/100 {
			t.Errorf("%s: %d rows a second, want %d", c.name, got, c.want)
		}
	}
	if got := read(New(Limits{}), start, time.Second, 10, 10); got != 10_000 {
		t.Errorf("without limits %d rows, want a batch each millisecond", got)
	}
}

func TestAPauseIsNotFollowedByARush(t *testing.T) {
	th := New(Limits{RowsPerSecond: 1000})
	read(th, start, time.Second, 10, 10)
	if got := read(th, start.Add(time.Hour), time.Second, 10, 10); got > 1300 {
		t.Errorf("%d rows in the second after an hour's pause, at most the burst of a quarter more than 1000 is due", got)
	}
}

func TestNewLimitsAreFeltSoon(t *testing.T) {
	th := New(Limits{RowsPerSecond: 1})
	if w := th.Took(start, 1000, 1); w != time.Second {
		t.Errorf("one wait is %s, want it bounded by a second", w)
	}
	th.Set(Limits{RowsPerSecond: 1_000_000})
	if w := th.Wait(start); w != 0 {
		t.Errorf("a new rate is held back by the old one for %s", w)
	}
	th.Set(Limits{})
	if w := th.Took(start, 1<<40, 1<<40); w != 0 {
		t.Errorf("no limits, and a wait of %s", w)
	}
}

func TestLoad(t *testing.T) {
	limits := Limits{ThreadsRunning: 10, HistoryLength: 1000, ReplicaLag: time.Second}
	for _, c := range []struct {
		load Load
		says string
	}{
		{Load{ThreadsRunning: 10, HistoryLength: 1000, ReplicaLag: time.Second}, ""},
		{Load{ThreadsRunning: 11}, "11 statements"},
		{Load{HistoryLength: 1001}, "history of 1001"},
		{Load{ReplicaLag: 2 * time.Second}, "2s behind"},
	} {
		th := New(limits)
		th.Seen(c.load)
		resting := th.State().Resting
		if wait := th.Took(start, 1, 1); (wait > 0) != (c.says != "") || !strings.Contains(resting, c.says) || (resting == "") != (c.says == "") {
			t.Errorf("%+v: wait %s, %q, want %q", c.load, wait, resting, c.says)
		}
		th.Seen(Load{})
		if wait := th.Wait(start); wait != 0 {
			t.Errorf("%+v is over and the wait is %s", c.load, wait)
		}
	}
	th := New(limits)
	th.Seen(Load{ThreadsRunning: 11})
	th.Set(Limits{RowsPerSecond: 10})
	if th.WatchesLoad() || th.Wait(start) != 0 {
		t.Error("a limit that was taken away still holds")
	}
}

func TestReadersShareOneRate(t *testing.T) {
	th := New(Limits{RowsPerSecond: 1000})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				th.Took(start, 10, 10)
			}
		})
	}
	group.Wait()
	// 8 000 rows less the burst of 250 are owed.
	if owed := th.rows.due(start); owed != 7750*time.Millisecond {
		t.Errorf("%s are owed for what eight readers took", owed)
	}
}

func BenchmarkTook(b *testing.B) {
	th := New(Limits{RowsPerSecond: 1 << 40, BytesPerSecond: 1 << 50, ThreadsRunning: 100})
	b.ReportAllocs()
	for b.Loop() {
		th.Took(start, 1000, 256<<10)
	}
}
