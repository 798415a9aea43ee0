package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestGoodHistoriesPass(t *testing.T) {
	for seed := range uint64(40) {
		r, err := makeGood(seed, 60).judge()
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Violations) > 0 {
			t.Fatalf("seed %d: %v", seed, r.Violations)
		}
		if r.Bound == 0 || r.Bound != r.Segments || r.Events == 0 || r.Checkpoints == 0 || r.Raw <= r.Events {
			t.Fatalf("seed %d: nothing was judged: %+v", seed, r)
		}
	}
}

// mutation makes one thing wrong. It returns false where this history has no place for it.
type mutation struct {
	name string
	want []ID // one of which must be found
	do   func(h *history, rnd *rand.Rand) bool
}

// pick returns a random event that f likes; -1 if there is none.
func pick(h *history, rnd *rand.Rand, f func(i int, e *Event) bool) int {
	first := rnd.IntN(len(h.events))
	for n := range h.events {
		if i := (first + n) % len(h.events); f(i, &h.events[i]) {
			return i
		}
	}
	return -1
}

func streamed(_ int, e *Event) bool { return e.Op != 'r' }

// next returns the next event of the same key after i; -1 if there is none.
func next(h *history, i int) int {
	for j := i + 1; j < len(h.events); j++ {
		if h.events[j].Table == h.events[i].Table && h.events[j].Key == h.events[i].Key {
			return j
		}
	}
	return -1
}

var mutations = []mutation{
	{"drop", []ID{"I1"}, func(h *history, rnd *rand.Rand) bool {
		i := pick(h, rnd, streamed)
		h.events = slices.Delete(h.events, i, i+1)
		return true
	}},
	{"drop the last of a key", []ID{"I1"}, func(h *history, rnd *rand.Rand) bool {
		i := pick(h, rnd, func(i int, e *Event) bool { return e.Op == 'u' && next(h, i) < 0 })
		if i < 0 {
			return false
		}
		h.events = slices.Delete(h.events, i, i+1)
		return true
	}},
	{"duplicate", []ID{"I3"}, func(h *history, rnd *rand.Rand) bool {
		i := pick(h, rnd, streamed)
		h.events = slices.Insert(h.events, i+1, h.events[i])
		return true
	}},
	{"replay of a Kafka transaction", []ID{"I3"}, func(h *history, rnd *rand.Rand) bool {
		i := pick(h, rnd, streamed)
		j := min(i+1+rnd.IntN(8), len(h.events))
		if slices.ContainsFunc(h.events[i:j], func(e Event) bool { return e.Op == 'r' }) {
			return false
		}
		h.events = slices.Insert(h.events, j, slices.Clone(h.events[i:j])...)
		return true
	}},
	{"swap", []ID{"I4"}, func(h *history, rnd *rand.Rand) bool {
		i := pick(h, rnd, func(i int, e *Event) bool { return streamed(i, e) && next(h, i) > 0 })
		if i < 0 {
			return false
		}
		a, b := &h.events[i], &h.events[next(h, i)]
		a.Version, a.Op, a.Hash, a.Before, b.Version, b.Op, b.Hash, b.Before = b.Version, b.Op, b.Hash, b.Before, a.Version, a.Op, a.Hash, a.Before
		return true
	}},
	{"stale end", []ID{"I4"}, func(h *history, rnd *rand.Rand) bool {
		i := pick(h, rnd, func(i int, e *Event) bool { return streamed(i, e) && next(h, i) > 0 })
		if i < 0 {
			return false
		}
		h.events = append(h.events, h.events[i]) // a zombie's write
		return true
	}},
	{"flip", []ID{"I6"}, func(h *history, rnd *rand.Rand) bool {
		i := pick(h, rnd, func(_ int, e *Event) bool { return e.Op != 'd' })
		h.events[i].Hash ^= 1 << rnd.IntN(64)
		return true
	}},
	{"flip before", []ID{"I7"}, func(h *history, rnd *rand.Rand) bool {
		i := pick(h, rnd, func(_ int, e *Event) bool { return e.Before != 0 })
		h.events[i].Before ^= 1 << rnd.IntN(63)
		return h.events[i].Before != 0
	}},
	{"other operation", []ID{"I6"}, func(h *history, rnd *rand.Rand) bool {
		h.events[pick(h, rnd, func(_ int, e *Event) bool { return e.Op == 'u' })].Op = 'c'
		return true
	}},
	{"phantom", []ID{"I2"}, func(h *history, rnd *rand.Rand) bool {
		h.events[pick(h, rnd, streamed)].Version += 1000
		return true
	}},
	{"phantom key", []ID{"I2"}, func(h *history, rnd *rand.Rand) bool {
		h.events[pick(h, rnd, streamed)].Key += 1000
		return true
	}},
	{"wrong partition", []ID{"I5"}, func(h *history, rnd *rand.Rand) bool {
		i := pick(h, rnd, func(i int, e *Event) bool { return next(h, i) > 0 })
		h.events[i].Partition = (h.events[i].Partition + 1) % makerPartitions
		return true
	}},
	{"move to a later Kafka transaction", []ID{"I8", "I9", "I11"}, func(h *history, rnd *rand.Rand) bool {
		// The last event of a segment becomes the next one's of the same producer and epoch.
		i := pick(h, rnd, func(i int, e *Event) bool { return streamed(i, e) && neighbour(h, i, 1) > 0 })
		if i < 0 {
			return false
		}
		h.events[i].Segment = h.events[neighbour(h, i, 1)].Segment
		return true
	}},
	{"move to an earlier Kafka transaction", []ID{"I8", "I9", "I11"}, func(h *history, rnd *rand.Rand) bool {
		i := pick(h, rnd, func(i int, e *Event) bool { return streamed(i, e) && neighbour(h, i, -1) > 0 })
		if i < 0 {
			return false
		}
		h.events[i].Segment = h.events[neighbour(h, i, -1)].Segment
		return true
	}},
	{"checkpoint ahead", []ID{"I8", "I9", "I11"}, func(h *history, rnd *rand.Rand) bool { return moveCheckpoint(h, rnd, 1) }},
	{"checkpoint behind", []ID{"I8", "I9", "I11"}, func(h *history, rnd *rand.Rand) bool { return moveCheckpoint(h, rnd, -1) }},
	{"checkpoint beyond the log", []ID{"I9"}, func(h *history, rnd *rand.Rand) bool {
		h.checkpoints[rnd.IntN(len(h.checkpoints))].Txn += 1000
		return true
	}},
	{"checkpoint goes back", []ID{"I9"}, func(h *history, rnd *rand.Rand) bool {
		c := h.checkpoints[rnd.IntN(len(h.checkpoints))]
		for _, d := range h.checkpoints {
			if d.Lane == c.Lane && d.Txn > c.Txn {
				h.checkpoints = append(h.checkpoints, c)
				return true
			}
		}
		return false
	}},
	{"zombie commits", []ID{"I10"}, func(h *history, rnd *rand.Rand) bool {
		for _, n := range rnd.Perm(len(h.raws)) {
			if r := h.raws[n]; r.Marker == 'c' && r.Epoch > 1 {
				old := Raw{Topic: r.Topic, Partition: r.Partition, Producer: r.Producer, Epoch: r.Epoch - 1}
				end := old
				end.Marker = 'c'
				h.raws = slices.Insert(h.raws, n+1, old, end)
				return true
			}
		}
		return false
	}},
	{"transaction without an end", []ID{"I14"}, func(h *history, rnd *rand.Rand) bool {
		r := h.raws[rnd.IntN(len(h.raws))]
		r.Marker, r.Epoch = 0, r.Epoch+100
		h.raws = append(h.raws, r)
		return true
	}},
	{"stale snapshot row", []ID{"I13"}, func(h *history, rnd *rand.Rand) bool {
		i := pick(h, rnd, func(i int, e *Event) bool { return e.Op == 'r' && next(h, i) > 0 })
		if i < 0 {
			return false
		}
		h.events = append(h.events, h.events[i])
		return true
	}},
	{"snapshot row lost", []ID{"I1"}, func(h *history, rnd *rand.Rand) bool {
		i := pick(h, rnd, func(_ int, e *Event) bool { return e.Op == 'r' })
		if i < 0 {
			return false
		}
		h.events = slices.Delete(h.events, i, i+1)
		return true
	}},
	{"change before the snapshot", []ID{"I13"}, func(h *history, rnd *rand.Rand) bool {
		i := pick(h, rnd, func(_ int, e *Event) bool { return e.Op == 'r' })
		if i < 0 {
			return false
		}
		e := h.events[i]
		e.Op = 'u'
		h.events = slices.Insert(h.events, i+1, e)
		return true
	}},
	{"row differs at the end", []ID{"I12"}, func(h *history, rnd *rand.Rand) bool {
		h.rows[rnd.IntN(len(h.rows))].Hash ^= 1
		return true
	}},
	{"row missing at the end", []ID{"I12"}, func(h *history, rnd *rand.Rand) bool {
		i := rnd.IntN(len(h.rows))
		h.rows = slices.Delete(h.rows, i, i+1)
		return true
	}},
	{"lag after healing", []ID{"I14"}, func(h *history, rnd *rand.Rand) bool {
		h.samples[rnd.IntN(len(h.samples))].LagMS = 6000
		return true
	}},
	{"lane without an owner", []ID{"I14"}, func(h *history, rnd *rand.Rand) bool {
		h.samples[rnd.IntN(len(h.samples))].Unowned = 1
		return true
	}},
	{"two owners of a generation", []ID{"I15"}, func(h *history, rnd *rand.Rand) bool {
		i := rnd.IntN(len(h.owners))
		o := h.owners[i]
		o.Member = "other"
		h.owners = slices.Insert(h.owners, i+1, o)
		return true
	}},
	{"generation falls", []ID{"I15"}, func(h *history, rnd *rand.Rand) bool {
		i := rnd.IntN(len(h.owners))
		o := h.owners[i]
		o.Generation--
		o.AskedMS, o.AtMS = o.AtMS+1, o.AtMS+2
		h.owners = slices.Insert(h.owners, i+1, o)
		return true
	}},
	{"transfer told in part", []ID{"I8"}, func(h *history, rnd *rand.Rand) bool {
		i := pick(h, rnd, func(_ int, e *Event) bool { return e.Moves != 0 })
		if i < 0 {
			return false
		}
		h.events[i].Moves = 0
		return true
	}},
	{"transfer of another sum", []ID{"I8"}, func(h *history, rnd *rand.Rand) bool {
		i := pick(h, rnd, func(_ int, e *Event) bool { return e.Moves != 0 })
		if i < 0 {
			return false
		}
		h.events[i].Moves += 1000
		return true
	}},
	{"idle lane stands still", []ID{"I14"}, func(h *history, rnd *rand.Rand) bool {
		c := h.changes[len(h.changes)-1]
		h.changes = append(h.changes, Change{Table: "elsewhere", Key: rnd.Int64N(100), Version: 1, Op: 'c', Hash: 1, Txn: c.Txn + 1})
		return true
	}},
	{"told after the stop", []ID{"I16"}, func(h *history, rnd *rand.Rand) bool {
		e := h.events[pick(h, rnd, func(i int, e *Event) bool { return e.Offset > 0 })]
		h.stops = append(h.stops, Stop{Code: "Gap", Text: "the log is gone", Position: true, Next: true, Ends: map[string]int64{fmt.Sprintf("%s/%d", e.Topic, e.Partition): e.Offset - 1}})
		return true
	}},
	{"stop that says nothing", []ID{"I16"}, func(h *history, rnd *rand.Rand) bool {
		h.stops = append(h.stops, Stop{Code: "Gap", Text: "error"})
		return true
	}},
}

// neighbour returns an event of the same partition, producer and epoch in another segment behind (1) or before (-1) that of event i; -1 if there is none.
func neighbour(h *history, i, way int) int {
	e := &h.events[i]
	best := -1
	for j := range h.events {
		f := &h.events[j]
		if f.Topic != e.Topic || f.Partition != e.Partition || f.Producer != e.Producer || f.Epoch != e.Epoch || f.Op == 'r' || (f.Segment-e.Segment)*way <= 0 {
			continue
		}
		if best < 0 || (f.Segment-h.events[best].Segment)*way < 0 {
			best = j
		}
	}
	return best
}

// moveCheckpoint moves one over the rows of a source transaction that its lane has, ahead or behind.
func moveCheckpoint(h *history, rnd *rand.Rand, way int) bool {
	for _, n := range rnd.Perm(len(h.checkpoints)) {
		c := &h.checkpoints[n]
		from, to := c.Txn+1, c.Txn+1
		if way < 0 {
			from, to = c.Txn, c.Txn
		}
		for i := range h.events {
			e := &h.events[i]
			k := slices.IndexFunc(h.changes, func(x Change) bool { return x.Table == e.Table && x.Key == e.Key && x.Version == e.Version })
			if e.Op != 'r' && e.Producer == c.Producer && e.Epoch == c.Epoch && h.changes[k].Txn >= from && h.changes[k].Txn <= to {
				c.Txn += way
				return true
			}
		}
	}
	return false
}

// TestMutants makes good histories wrong in one place, and the right invariant must say so, for each of them.
func TestMutants(t *testing.T) {
	const each = 50
	total := 0
	for _, m := range mutations {
		made := 0
		for seed := uint64(1); made < each && seed < 20*each; seed++ {
			rnd := rand.New(rand.NewPCG(seed, 9))
			h := makeGood(seed%25, 50).clone()
			if !m.do(h, rnd) {
				continue
			}
			made++
			r, err := h.judge()
			if err != nil {
				t.Fatal(err)
			}
			if !r.Has(m.want...) {
				t.Errorf("%s, seed %d: want one of %v, got %v", m.name, seed, m.want, r.Violations)
			}
			for _, v := range r.Violations {
				if v.Record == "" || v.Text == "" {
					t.Errorf("%s: a violation that names nothing: %+v", m.name, v)
				}
			}
		}
		if made < each {
			t.Errorf("%s: only %d mutants", m.name, made)
		}
		total += made
	}
	if total < 1000 {
		t.Errorf("%d mutants; want 1000", total)
	}
	t.Logf("%d mutants", total)
}

func TestReport(t *testing.T) {
	h := makeGood(1, 50)
	h.events[len(h.events)-1].Hash++
	r, err := h.judge()
	if err != nil {
		t.Fatal(err)
	}
	r.Name, r.Seed, r.Faults = "a run <&>", 7, []Fault{{AtMS: 100, UntilMS: 200, Name: "kill", Target: "publisher-1", RecoveredMS: 70, GapMS: 4567}}
	r.Recoveries = RecoveriesOf(r.Faults)
	var page, data bytes.Buffer
	if err := r.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a run &lt;&amp;&gt;", "kill publisher-1", "4567 ms", string(r.Violations[0].Invariant), "generation 1"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	if err := r.WriteJSON(&data); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(data.Bytes(), &back); err != nil || back.Events != r.Events || len(back.Violations) != len(r.Violations) {
		t.Errorf("JSON: %v, %+v", err, back)
	}
}
