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
	const wait = 30 * time.Second
	start := time.Unix(1_700_000_000, 0)
	var a ahead
	for _, c := range []struct {
		after time.Duration
		place string
		left  uint64 // 0: the server is there
		may   bool
	}{
		{0, "a", 5, true},
		{29 * time.Second, "a", 5, true},
		{29 * time.Second, "b", 1, true},  // its own clock
		{29 * time.Second, "a", 2, true},  // some were applied
		{58 * time.Second, "a", 2, true},  // 29 s since then
		{58 * time.Second, "a", 9, true},  // another server: no progress
		{59 * time.Second, "a", 2, false}, // 30 s without any
		{60 * time.Second, "b", 1, false}, // its clock went on
		{60 * time.Second, "a", 0, true},
		{61 * time.Second, "a", 1, true},  // a new wait
		{91 * time.Second, "a", 1, false}, // in vain
	} {
		if c.left == 0 {
			a.came(c.place)
			continue
		}
		if got := a.mayCome(c.place, c.left, start.Add(c.after), wait); got != c.may {
			t.Errorf("after %s, %d before %s may come: %t, want %t", c.after, c.left, c.place, got, c.may)
		}
	}
}

// What a server lacks becomes less as it applies what it has received, on both kinds of server.
func TestLeft(t *testing.T) {
	const u = scriptUUID
	for _, c := range []struct {
		flavor          config.Flavor
		place, executed string
		want            uint64
	}{
		{config.MySQL, u + ":1-9", u + ":1-4", 5},
		{config.MySQL, u + ":1-9", u + ":1-4:8", 4},
		{config.MySQL, u + ":1-9", "", 9},
		{config.MariaDB, "0-1-9,3-1-7", "0-2-4,3-1-8", 5},
		{config.MariaDB, "0-1-9,3-1-7", "0-2-9", 7},
	} {
		place, err := gtid.Parse(c.flavor, c.place)
		if err != nil {
			t.Fatal(err)
		}
		executed, err := gtid.Parse(c.flavor, c.executed)
		if err != nil {
			t.Fatal(err)
		}
		place.Subtract(executed)
		if got := left(place, executed); got != c.want {
			t.Errorf("%s without %s: %d left, want %d", c.place, c.executed, got, c.want)
		}
	}
}

// Places are forgotten when nobody asks for them, and there are never more than a server could have subscribers waiting.
func TestAheadIsBounded(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	var a ahead
	for i := range 2 * aheadMost {
		a.mayCome(strings.Repeat("x", i), 1, start.Add(time.Duration(i)*time.Millisecond), time.Minute)
	}
	if n := len(a.places); n != aheadMost || a.places[strings.Repeat("x", 2*aheadMost-1)] == nil {
		t.Errorf("%d places, want the newest %d", n, aheadMost)
	}
	a.mayCome("later", 1, start.Add(2*aheadKept), time.Minute)
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
