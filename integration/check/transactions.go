package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sort"
)

// transactions judges how rows and checkpoints share Kafka transactions: I8, I9 and I11.
//
// A partition does not say which transaction of its producer a marker ends. But each transaction of a lane ends with a checkpoint, so the checkpoints of one
// producer and epoch cut the source's transactions into intervals, and what one Kafka transaction has in a partition (a segment) must lie in one of them, and no
// other segment of the producer in that partition may. That also holds the rows of one source transaction together across partitions. And as a checkpoint is the last
// record of its transaction, the times of one process's clock must say the same.
type transactions struct {
	j        *Judge
	segments map[segmentKey]*segment
	lanes    map[string]*lane
	// cuts are the places of the checkpoints of a producer and epoch, in order.
	cuts map[writer][]cut
	// open: some cut of the producer and epoch is inside a source transaction, or does not bind.
	open   map[writer]bool
	points []Point // for the timeline
	// bound counts segments that checkpoints bind.
	bound int
	// quiet: see Judge.Quiet.
	quiet bool
}

// cut is a checkpoint's place, and when it was written.
type cut struct {
	txn int
	at  int64
}

type writer struct {
	producer int64
	epoch    int16
}

type segmentKey struct {
	topic     string
	partition int32
	number    int
}

// segment is what one Kafka transaction has in one partition: which source transactions, and where it begins.
type segment struct {
	writer
	low, high   int
	first, last int64 // times
	offset      int64
}

// lane is the newest checkpoint of a lane.
type lane struct {
	layout uint64
	txn    int
	whole  bool
	apart  bool
	place  string
}

func (t *transactions) init() {
	t.segments, t.lanes, t.cuts, t.open = map[segmentKey]*segment{}, map[string]*lane{}, map[writer][]cut{}, map[writer]bool{}
}

func (t *transactions) event(e *Event, c *change) {
	if c == nil {
		return
	}
	txn := int(c.txn)
	at := segmentKey{e.Topic, e.Partition, e.Segment}
	s := t.segments[at]
	if s == nil {
		s = &segment{writer{e.Producer, e.Epoch}, txn, txn, e.AtMS, e.AtMS, e.Offset}
		t.segments[at] = s
	}
	if s.writer != (writer{e.Producer, e.Epoch}) {
		t.j.fail("I8", e.place(), "producer %d epoch %d in a transaction of producer %d epoch %d", e.Producer, e.Epoch, s.producer, s.epoch)
	}
	s.low, s.high = min(s.low, txn), max(s.high, txn)
	s.first, s.last = min(s.first, e.AtMS), max(s.last, e.AtMS)
}

func (t *transactions) checkpoint(c *Checkpoint) {
	place := fmt.Sprintf("offsets/%d@%d", c.Partition, c.Offset)
	if t.points = append(t.points, Point{c.Lane, c.AtMS, c.Epoch, c.Txn}); len(t.points) > maxPoints {
		t.points = halved(t.points)
	}
	w := writer{c.Producer, c.Epoch}
	switch {
	case c.Snapshot: // its rows are in no transaction of the source
		t.lanes[c.Lane] = &lane{apart: true, place: place}
		return
	case c.Apart || !c.Whole:
		t.open[w] = true
	default:
		t.cuts[w] = append(t.cuts[w], cut{c.Txn, c.AtMS})
	}
	if c.Txn > t.j.truth.txns {
		t.j.fail("I9", place, "the checkpoint of %s says %d source transactions, and there are %d", c.Lane, c.Txn, t.j.truth.txns)
	}
	old := t.lanes[c.Lane]
	if old != nil && old.layout == c.Layout && !old.apart && !c.Apart && c.Txn < old.txn {
		t.j.fail("I9", place, "the checkpoint of %s goes back from %d source transactions to %d", c.Lane, old.txn, c.Txn)
	}
	t.lanes[c.Lane] = &lane{c.Layout, c.Txn, c.Whole, c.Apart, place}
}

// finish puts segments and checkpoints together.
func (t *transactions) finish() {
	keys := slices.SortedFunc(maps.Keys(t.segments), func(a, b segmentKey) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition), cmp.Compare(a.number, b.number))
	})
	// where is the interval of the last segment of each producer in a partition.
	type seat struct {
		topic     string
		partition int32
		writer
	}
	last := map[seat]int{}
	for _, at := range keys {
		s := t.segments[at]
		cuts := t.cuts[s.writer]
		if t.open[s.writer] || len(cuts) == 0 {
			continue
		}
		t.bound++
		record := fmt.Sprintf("%s/%d@%d", at.topic, at.partition, s.offset)
		low, high := interval(cuts, s.low), interval(cuts, s.high)
		if high == len(cuts) {
			t.j.fail("I9", record, "source transaction %d is committed by producer %d epoch %d, whose last checkpoint says %d", s.high, s.producer, s.epoch, cuts[len(cuts)-1].txn)
			continue
		}
		if low != high {
			t.j.fail("I8", record, "one Kafka transaction holds source transactions %d to %d, and a checkpoint lies between, at %d", s.low, s.high, cuts[low].txn)
			continue
		}
		switch {
		case s.last > cuts[low].at && s.first > 0 && cuts[low].at > 0:
			t.j.fail("I9", record, "source transactions %d to %d were written at %d ms, after the checkpoint of %d ms that covers them, at %d", s.low, s.high, s.last, cuts[low].at, cuts[low].txn)
		case low > 0 && s.first > 0 && s.first < cuts[low-1].at:
			t.j.fail("I9", record, "source transactions %d to %d were written at %d ms, before the checkpoint of %d ms, which says only %d", s.low, s.high, s.first, cuts[low-1].at, cuts[low-1].txn)
		}
		x := seat{at.topic, at.partition, s.writer}
		if before, ok := last[x]; ok && low <= before {
			id := ID("I8")
			if low < before {
				id = "I11"
			}
			t.j.fail(id, record, "source transactions %d to %d come in a Kafka transaction behind the one whose checkpoint, %d, covers them", s.low, s.high, cuts[low].txn)
		}
		last[x] = high
	}
	t.covered()
	t.idle()
}

// interval returns which cut covers a source transaction: the first that is not before it; len(cuts) if none does.
func interval(cuts []cut, txn int) int {
	return sort.Search(len(cuts), func(i int) bool { return cuts[i].txn >= txn })
}

// covered fails where the checkpoints that are last say more than O has: the smallest of them binds all tables.
func (t *transactions) covered() {
	least, whose := -1, ""
	for name, l := range t.lanes {
		if l.apart {
			return
		}
		if least < 0 || l.txn < least {
			least, whose = l.txn, name
		}
	}
	if least < 0 {
		return
	}
	t.j.truth.each(func(table string, id int64, k *key) {
		if t.j.count["I9"] >= maxKept {
			return
		}
		from := max(int64(k.base), k.deletedBefore())
		for v := from + 1; v <= k.count() && int(k.at(v).txn) <= least; v++ {
			if c := k.at(v); !c.seen {
				t.j.fail("I9", t.lanes[whose].place, "all checkpoints cover source transaction %d, and %s key %d version %d of it is not there", c.txn, table, id, v)
				return
			}
		}
	})
}

// idle fails where a lane of the newest layout has not moved on to the end of R although nothing more was written: its place would be purged one day.
func (t *transactions) idle() {
	if !t.quiet {
		return
	}
	newest := uint64(0)
	for _, l := range t.lanes {
		newest = max(newest, l.layout)
	}
	for _, name := range slices.Sorted(maps.Keys(t.lanes)) {
		if l := t.lanes[name]; l.layout == newest && !l.apart && l.txn < t.j.truth.txns {
			t.j.fail("I14", l.place, "the checkpoint of %s stands at source transaction %d, and there are %d", name, l.txn, t.j.truth.txns)
		}
	}
}
