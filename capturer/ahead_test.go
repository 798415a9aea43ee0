package capturer

import (
	"strings"
	"testing"
	"time"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/gtid"
)

// A place that is ahead of the server is a gap once nothing has changed for as long as is waited.
func TestAheadWaits(t *testing.T) {
	const u, v, wait = scriptUUID, "4e11fa47-71ca-11e1-9e33-c80aa9429562", 30 * time.Second
	start := time.Unix(1_700_000_000, 0)
	var a ahead
	for _, c := range []struct {
		after        time.Duration
		place, lacks string
		may          bool
	}{
		{0, "a", u + ":5-9", true},
		{29 * time.Second, "a", u + ":5-9", true},
		{29 * time.Second, "b", u + ":5", true},    // its own clock
		{29 * time.Second, "a", u + ":8-9", true},  // some were applied
		{58 * time.Second, "a", u + ":8-9", true},  // 29 s since then
		{58 * time.Second, "a", v + ":1", true},    // another server: no progress
		{59 * time.Second, "a", u + ":8-9", false}, // 30 s without any
		{60 * time.Second, "b", u + ":5", false},   // its clock went on
		{60 * time.Second, "a", "", true},          // all there
		{61 * time.Second, "a", u + ":9", true},    // a new wait
		{91 * time.Second, "a", u + ":9", false},   // in vain
	} {
		if c.lacks == "" {
			a.came(c.place)
			continue
		}
		lacks, err := gtid.Parse(config.MySQL, c.lacks)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.mayCome(c.place, lacks, start.Add(c.after), wait); got != c.may {
			t.Errorf("after %s, %s without %s may come: %t, want %t", c.after, c.place, c.lacks, got, c.may)
		}
	}
}

// Places are forgotten when nobody asks for them, and there are never more than a server could have subscribers waiting.
func TestAheadIsBounded(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	lacks, err := gtid.Parse(config.MySQL, scriptUUID+":5")
	if err != nil {
		t.Fatal(err)
	}
	var a ahead
	for i := range 2 * aheadMost {
		a.mayCome(strings.Repeat("x", i), lacks, start.Add(time.Duration(i)*time.Millisecond), time.Minute)
	}
	if n := len(a.places); n != aheadMost || a.places[strings.Repeat("x", 2*aheadMost-1)] == nil {
		t.Errorf("%d places, want the newest %d", n, aheadMost)
	}
	a.mayCome("later", lacks, start.Add(2*aheadKept), time.Minute)
	if n := len(a.places); n != 1 {
		t.Errorf("%d places after nobody asked for them, want the one asked for", n)
	}
}

// A server that has not executed yet what it showed in its log makes a subscriber try again, and only one that never does has a gap.
func TestNotYetExecutedIsNoGap(t *testing.T) {
	t.Parallel() // waits for real time
	sc := newScripted(t)
	sc.src.patience = 500 * time.Millisecond
	sc.s.gtids = true
	sc.s.txn("t", []int64{1})
	start := at(sc.s.head())
	start.GetPosition().Gtids = scriptUUID + ":1-2"
	open := func() error {
		o := &capturev1.Open{Consumer: "c", Start: start, MaxBatchBytes: 1000}
		f, err := newFeed(o, sc.src.pool)
		if err != nil {
			t.Fatal(err)
		}
		return sc.src.subscribe(t.Context(), f, &subscriber{changed: make(chan struct{})})
	}
	err := open()
	if errs.KindOf(err) != errs.Unavailable || !strings.Contains(err.Error(), scriptUUID+":2") {
		t.Errorf("at first: %v, want Unavailable with what is missing", err)
	}
	if err := open(); errs.KindOf(err) != errs.Gap { // each try waits a second
		t.Errorf("later: %v, want Gap", err)
	}
	sc.s.txn("t", []int64{2})
	sc.s.txn("t", []int64{3})
	sub := sc.subscribe(start)
	sub.awaitRows(t, 1)
	if sub.ids[0] != 3 {
		t.Errorf("rows %v after the server has caught up, want 3", sub.ids)
	}
}
