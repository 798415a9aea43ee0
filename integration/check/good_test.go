package check

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// history is all that a judge is told of a run.
type history struct {
	changes     []Change
	events      []Event
	checkpoints []Checkpoint
	raws        []Raw
	owners      []Owner
	samples     []Sample
	stops       []Stop
	rows        []Row
	quiet       bool
}

// judge runs a judge over it.
func (h *history) judge() (*Report, error) {
	j := New()
	for i := range h.changes {
		if err := j.Change(&h.changes[i]); err != nil {
			return nil, err
		}
	}
	for _, s := range h.stops {
		j.Stop(s)
	}
	for i := range h.events {
		j.Event(&h.events[i])
	}
	for i := range h.checkpoints {
		j.Checkpoint(&h.checkpoints[i])
	}
	for i := range h.raws {
		j.Raw(&h.raws[i])
	}
	for _, o := range h.owners {
		j.Owner(o)
	}
	for _, s := range h.samples {
		j.Sample(s)
	}
	for _, r := range h.rows {
		j.Row(r)
	}
	if h.quiet {
		j.Quiet()
	}
	return j.Finish(), nil
}

// clone copies what mutants change.
func (h *history) clone() *history {
	c := *h
	c.changes, c.events, c.checkpoints, c.raws = slices.Clone(h.changes), slices.Clone(h.events), slices.Clone(h.checkpoints), slices.Clone(h.raws)
	c.owners, c.samples, c.stops, c.rows = slices.Clone(h.owners), slices.Clone(h.samples), slices.Clone(h.stops), slices.Clone(h.rows)
	return &c
}

// maker makes a good history: lanes that follow a log, each at its own pace, over a snapshot, owners that change, and transactions that are aborted.
type maker struct {
	rnd   *rand.Rand
	h     history
	lanes []*makerLane
	// next offset and segment of each partition.
	offset  map[string]int64
	segment map[string]int
	now     int64
}

type makerLane struct {
	name     string
	tables   []string
	at       int
	producer int64
	epoch    int16
	member   int
}

const (
	makerTables, makerKeys, makerPartitions = 4, 12, 2
)

func makeGood(seed uint64, txns int) *history {
	m := &maker{rnd: rand.New(rand.NewPCG(seed, 3)), offset: map[string]int64{}, segment: map[string]int{}}
	m.log(txns)
	for i := range 2 {
		l := &makerLane{name: fmt.Sprintf(`["c",{"lane":"%d"}]`, i), producer: int64(100 + i)}
		for t := i; t < makerTables; t += 2 {
			l.tables = append(l.tables, fmt.Sprintf("t%d", t))
		}
		m.lanes = append(m.lanes, l)
		m.own(l)
		m.snapshot(l, m.rnd.IntN(txns/4))
	}
	m.h.quiet = true
	for open := 2; open > 0; {
		open = 0
		for _, l := range m.lanes {
			if l.at < txns {
				open++
				m.transaction(l, min(l.at+1+m.rnd.IntN(4), txns))
			}
		}
	}
	return &m.h
}

// log makes R.
func (m *maker) log(txns int) {
	version, alive := map[string]int64{}, map[string]bool{}
	last := map[string]Change{}
	for txn := 1; txn <= txns; txn++ {
		for range 1 + m.rnd.IntN(5) {
			c := Change{Table: fmt.Sprintf("t%d", m.rnd.IntN(makerTables)), Key: int64(m.rnd.IntN(makerKeys)), Op: 'u', Txn: txn}
			id := fmt.Sprint(c.Table, c.Key)
			switch {
			case !alive[id]:
				c.Op = 'c'
			case m.rnd.IntN(6) == 0:
				c.Op = 'd'
			}
			version[id]++
			c.Version, alive[id] = version[id], c.Op != 'd'
			if c.Hash = m.rnd.Uint64() | 1; c.Op == 'd' {
				c.Hash = last[id].Hash
			}
			last[id] = c
			m.h.changes = append(m.h.changes, c)
		}
		if txn > txns/4 { // no snapshot tells a part of it
			m.transfer(txn)
		}
	}
	for _, c := range last {
		if c.Op != 'd' {
			m.h.rows = append(m.h.rows, Row{c.Table, c.Key, c.Hash})
		}
	}
}

// transfer lets two updates of a transaction move money, if it has two.
func (m *maker) transfer(txn int) {
	var updates []*Change
	for i := len(m.h.changes) - 1; i >= 0 && m.h.changes[i].Txn == txn; i-- {
		if m.h.changes[i].Op == 'u' {
			updates = append(updates, &m.h.changes[i])
		}
	}
	if len(updates) >= 2 {
		n := 1 + m.rnd.Int64N(100)
		updates[0].Moves, updates[1].Moves = n, -n
	}
}

// own lets a new member take a lane.
func (m *maker) own(l *makerLane) {
	l.epoch++
	l.member++
	m.now += 10
	m.h.owners = append(m.h.owners, Owner{l.name, fmt.Sprintf("w%d", l.member%3), uint64(l.member), m.now - 3, m.now})
}

// write appends records of one Kafka transaction to their partitions, with markers and the checkpoint.
func (m *maker) write(l *makerLane, events []Event, c Checkpoint, commit bool) {
	topics := map[string]bool{}
	m.now += 10
	for i := range events {
		e := &events[i]
		p := fmt.Sprintf("%s/%d", e.Topic, e.Partition)
		if !topics[p] {
			topics[p] = true
		}
		e.Offset, e.Producer, e.Epoch, e.Segment = m.offset[p], l.producer, l.epoch, m.segment[p]+1
		e.AtMS = m.now
		m.offset[p]++
		m.h.raws = append(m.h.raws, Raw{Topic: e.Topic, Partition: e.Partition, Offset: e.Offset, Producer: l.producer, Epoch: l.epoch})
		if commit {
			m.h.events = append(m.h.events, *e)
		}
	}
	c.Lane, c.Layout, c.Offset, c.Producer, c.Epoch = l.name, 1, m.offset["offsets/0"], l.producer, l.epoch
	c.AtMS = m.now + 1
	m.offset["offsets/0"]++
	m.h.raws = append(m.h.raws, Raw{Topic: "offsets", Offset: c.Offset, Producer: l.producer, Epoch: l.epoch})
	topics["offsets/0"] = true
	marker := Raw{Producer: l.producer, Epoch: l.epoch, Marker: 'a'}
	if commit {
		marker.Marker = 'c'
		m.h.checkpoints = append(m.h.checkpoints, c)
	} else {
		marker.Epoch++ // the coordinator's, for the new owner
	}
	for p := range topics {
		if _, err := fmt.Sscanf(p[len(p)-1:], "%d", &marker.Partition); err != nil {
			panic(err)
		}
		marker.Topic, marker.Offset = p[:len(p)-2], m.offset[p]
		m.offset[p]++
		m.h.raws = append(m.h.raws, marker)
		if commit {
			m.segment[p]++
		}
	}
}

func (m *maker) event(c *Change) Event {
	return Event{Topic: "p." + c.Table, Partition: int32(c.Key % makerPartitions), Table: c.Table, Key: c.Key, Version: c.Version, Op: c.Op, Hash: c.Hash, Moves: c.Moves, Money: true}
}

// snapshot tells a lane's rows as they are behind a transaction.
func (m *maker) snapshot(l *makerLane, cut int) {
	last := map[string]*Change{}
	var order []string
	for i := range m.h.changes {
		c := &m.h.changes[i]
		if c.Txn <= cut && slices.Contains(l.tables, c.Table) {
			id := fmt.Sprint(c.Table, c.Key)
			if last[id] == nil {
				order = append(order, id)
			}
			last[id] = c
		}
	}
	var events []Event
	for _, id := range order {
		if c := last[id]; c.Op != 'd' {
			e := m.event(c)
			e.Op, e.Moves = 'r', 0
			events = append(events, e)
		}
	}
	l.at = cut
	m.write(l, events, Checkpoint{Txn: cut, Whole: true}, true)
}

// transaction tells the changes of a lane up to a source transaction; now and then it is aborted first, by a new owner.
func (m *maker) transaction(l *makerLane, to int) {
	var events []Event
	previous := map[string]uint64{}
	for i := range m.h.changes {
		c := &m.h.changes[i]
		if c.Txn > to {
			break
		}
		id := fmt.Sprint(c.Table, c.Key)
		if c.Txn > l.at && slices.Contains(l.tables, c.Table) {
			e := m.event(c)
			if c.Op != 'c' {
				e.Before = previous[id]
			}
			events = append(events, e)
		}
		previous[id] = c.Hash
	}
	if m.rnd.IntN(8) == 0 {
		m.write(l, events, Checkpoint{Txn: to, Whole: true}, false)
		m.own(l)
	}
	m.write(l, events, Checkpoint{Txn: to, Whole: true}, true)
	l.at = to
	m.now += 10
	m.h.samples = append(m.h.samples, Sample{AtMS: m.now, LagMS: int64(m.rnd.IntN(2000)), Healed: true})
}
