package publisher

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/offset"
	"github.com/rowmesh/rowmesh/services/registry"
)

// between is the checkpoint after n transactions of l as capturers write it: the token says the place, the rest where the last row was.
func (l *skipLog) between(t *testing.T, n int) offset.Offset {
	t.Helper()
	o := l.offset(n-1, len(l.txns[n-1])-1, l.txns[n-1][len(l.txns[n-1])-1])
	next := l.offset(n, 0, 0)
	var err error
	o.Token, err = proto.Marshal(&rowv1.ResumeToken{Version: 1, Start: &rowv1.Position{File: next.Source.File, Pos: next.Source.Pos, Gtids: next.Source.Gtids}})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// After a failover the same file and position hold another transaction, and the same transaction stands at another one: only GTIDs say what is delivered.
func TestSkipOnAnotherServer(t *testing.T) {
	l := &skipLog{gtids: true, txns: [][]int{{2}, {3}, {4}}}
	old := l.between(t, 2)
	s, err := newSkipper(config.MySQL, &registry.Layout{Count: 1}, []offset.Offset{old})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		table := fakeTable(i)
		s.table(table)
	}
	delivered := l.batch(1)
	delivered.File, delivered.TxnPos = "binlog.77", []uint64{4711}
	if err := s.filter(delivered); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, delivered); len(got) > 0 {
		t.Errorf("rows %v of a delivered transaction at another position come again", got)
	}
	other := l.batch(2)
	other.File, other.TxnPos = fileOf(1), []uint64{posOf(1)} // where the last delivered transaction stood on the old server
	want := ids(t, l.batch(2))
	if err := s.filter(other); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, ids(t, other)); diff != "" {
		t.Errorf("rows of a new transaction at the position of a delivered one: %s", diff)
	}
}

// The next layout may follow once the checkpoint covers what every lane before had, and the capturer is told of what lies ahead of the start.
func TestSkipperPassed(t *testing.T) {
	l := &skipLog{gtids: true, txns: [][]int{{2}, {3}, {4}, {1}}}
	s, err := newSkipper(config.MySQL, &registry.Layout{Count: 2}, []offset.Offset{l.between(t, 1), l.between(t, 3)})
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]bool{1: false, 2: false, 3: true, 4: true} {
		o := l.between(t, n)
		m, err := newMark(config.MySQL, &o)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.passed(&m); got != want {
			t.Errorf("at %d of 3: passed %v, want %v", n, got, want)
		}
		if got := len(s.delivered(nil, &m)); (got == 0) != want {
			t.Errorf("at %d of 3: %d places ahead", n, got)
		}
	}
}

// A table that had stopped in a snapshot of the layout before is there again once this layout has made one, also for the places of that layout.
func TestSkipperReturned(t *testing.T) {
	l := &skipLog{gtids: true, txns: [][]int{{2}, {3}}}
	old := l.between(t, 1)
	old.Aside = old.Aside.With(offset.Table{Name: "db.t0", Stopped: true})
	for name, own := range map[string]offset.Aside{"": {}, "db.t0": old.Aside} {
		s, err := newSkipper(config.MySQL, &registry.Layout{Count: 1}, []offset.Offset{old})
		if err != nil {
			t.Fatal(err)
		}
		s.returned(&own)
		s.table(fakeTable(0))
		b := l.batch(1)
		if err := s.filter(b); err != nil {
			t.Fatal(err)
		}
		if left := len(ids(t, b)) == 0; left != (name != "") {
			t.Errorf("stopped %q: rows left out %v", name, left)
		}
	}
}

// A lane that still stands on another program's record, or in a snapshot, or on its way to where the layout before had been, holds up the next layout.
func TestSettled(t *testing.T) {
	l := &skipLog{gtids: true, txns: [][]int{{2}, {3}, {4}}}
	ours, foreign, running := l.between(t, 2), l.offset(1, 0, 1), l.between(t, 2)
	foreign.Token = nil
	running.Source.Snapshot = "INITIAL"
	ahead, err := newSkipper(config.MySQL, &registry.Layout{Count: 1}, []offset.Offset{l.between(t, 3)})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		at    offset.Offset
		start start
		want  bool
	}{
		"own record":             {ours, start{}, true},
		"another program's":      {foreign, start{}, false},
		"that stays as it is":    {foreign, start{plan: plan{done: true}}, true},
		"in a snapshot":          {running, start{}, false},
		"found elsewhere":        {ours, start{settle: true}, false},
		"behind what others had": {ours, start{skip: ahead}, false},
	} {
		x := &task{cfg: &config.Connector{Flavor: config.MySQL}, place: place{taken: c.at}, start: c.start}
		if got, err := x.settled(); err != nil || got != c.want {
			t.Errorf("%s: %v, %v; want %v", name, got, err, c.want)
		}
	}
}

// A table that stops while its lane reads again what other lanes had delivered keeps what it has by their places, not the lane's.
func TestStopOnTheWayBack(t *testing.T) {
	l := &skipLog{gtids: true, txns: [][]int{{2}, {3}, {4}, {1}}}
	prev := &registry.Layout{Count: 2, Pins: map[string]uint32{"db.t0": 0, "db.t1": 1}}
	s, err := newSkipper(config.MySQL, prev, []offset.Offset{l.between(t, 3), l.between(t, 1)})
	if err != nil {
		t.Fatal(err)
	}
	x := &task{cfg: &config.Connector{Flavor: config.MySQL}, place: place{taken: l.between(t, 2)}, start: start{skip: s}}
	for name, n := range map[string]int{"db.t0": 3, "db.t1": 2} {
		want := l.between(t, n)
		if got, err := x.deliveredOf(name, nil); err != nil || !got.Equal(&want) {
			t.Errorf("%s: %v, %v; want the place behind %d", name, got, err, n)
		}
	}
}
