package sim

import (
	"fmt"
	"time"

	"github.com/rowmesh/rowmesh/services/offset"
)

// transactionTimeout is what coordinators wait for a silent producer; publishers ask for as much.
const transactionTimeout = time.Minute

// Broker is a Kafka that speaks the old transaction protocol: one producer epoch per InitProducerId, and requests to end a transaction that say which epoch,
// not which transaction, they mean.
type Broker struct {
	w *World
	// Verify: partitions refuse the first records of a transaction that its coordinator does not know of (KIP-890, part 1; Kafka 3.6).
	Verify bool
	// Partitions of each data topic, and of the offsets topic.
	Partitions, OffsetPartitions int32

	topics    map[string][]*partition
	all       []*partition
	txns      map[string]*coordinator
	order     []*coordinator
	producers []*Producer
	late      []frame
	downUntil time.Duration
}

// partition is a log.
type partition struct {
	topic  string
	n      int32
	log    []*Record
	stable int            // records before it are committed or aborted
	epochs map[string]int // newest producer epoch by transactional id
	// ongoing holds, by transactional id, whether it has records here that are not decided.
	ongoing map[string]int
}

// Record is one record of a log.
type Record struct {
	// ID and Epoch are the producer's, Generation that of the lane it works for.
	ID         string
	Epoch      int
	Generation uint64
	Key, Value []byte
	State      RecordState
	part       *partition
}

// RecordState is whether a record's transaction is decided.
type RecordState int

// States.
const (
	Pending RecordState = iota
	Committed
	Aborted
)

// coordinator is one transactional id's state.
type coordinator struct {
	id      string
	epoch   int
	state   txnState
	commit  bool
	parts   []*partition
	left    []*partition // partitions without the marker yet
	started time.Duration
	records []*Record // of the transaction
}

type txnState int

const (
	empty txnState = iota
	ongoing
	preparing // decided; markers are being written
	complete
)

// frame is a request that was sent and given up by its client, and that may still arrive.
type frame struct {
	id     string
	epoch  int
	end    bool
	commit bool
	add    bool
	part   *partition
	recs   []*Record
}

// code is a broker's answer.
type code int

const (
	ok code = iota
	fenced
	concurrent // ask again
	invalid
	unreachable
)

func newBroker(w *World) *Broker {
	return &Broker{w: w, topics: map[string][]*partition{}, txns: map[string]*coordinator{}}
}

// Up reports that the broker answers.
func (b *Broker) Up() bool { return b.w.Now >= b.downUntil }

func (b *Broker) topic(name string, n int32) []*partition {
	t, ok := b.topics[name]
	if !ok {
		for i := range n {
			p := &partition{topic: name, n: i, epochs: map[string]int{}, ongoing: map[string]int{}}
			t = append(t, p)
			b.all = append(b.all, p)
		}
		b.topics[name] = t
	}
	return t
}

func (b *Broker) coordinator(id string) *coordinator {
	c := b.txns[id]
	if c == nil {
		c = &coordinator{id: id}
		b.txns[id] = c
		b.order = append(b.order, c)
	}
	return c
}

// Put puts a committed record into the offsets topic, as another program does.
func (b *Broker) Put(key, value []byte) {
	p := b.topic(OffsetsTopic, b.OffsetPartitions)[offset.Partition(key, b.OffsetPartitions)]
	p.log = append(p.log, &Record{Key: key, Value: value, State: Committed, part: p})
	if p.stable == len(p.log)-1 {
		p.stable++
	}
}

// initProducerID fences older producers of an id. It is answered once what they left open is ended.
func (b *Broker) initProducerID(id string) (epoch int, answer code) {
	c := b.coordinator(id)
	switch c.state {
	case preparing:
		return 0, concurrent
	case ongoing:
		c.epoch++
		b.prepare(c, false)
		return 0, concurrent
	}
	c.epoch++
	c.state = empty
	return c.epoch, ok
}

// addPartition registers a partition with a transaction, which begins with the first.
func (b *Broker) addPartition(id string, epoch int, p *partition) code {
	c := b.coordinator(id)
	switch {
	case epoch != c.epoch:
		return fenced
	case c.state == preparing:
		return concurrent
	case c.state != ongoing:
		c.state, c.parts, c.started, c.records = ongoing, nil, b.w.Now, nil
	}
	if !c.has(p) {
		c.parts = append(c.parts, p)
	}
	return ok
}

func (c *coordinator) has(p *partition) bool {
	for _, x := range c.parts {
		if x == p {
			return true
		}
	}
	return false
}

// produce appends records of one producer.
func (b *Broker) produce(id string, epoch int, p *partition, recs []*Record) code {
	c := b.coordinator(id)
	if epoch < p.epochs[id] {
		return fenced
	}
	if b.Verify && p.ongoing[id] == 0 && (epoch != c.epoch || c.state != ongoing || !c.has(p)) {
		return invalid
	}
	p.epochs[id] = epoch
	p.ongoing[id] += len(recs)
	p.log = append(p.log, recs...)
	c.records = append(c.records, recs...)
	return ok
}

// endTxn serves EndTxn: whatever transaction of that epoch is under way ends.
func (b *Broker) endTxn(id string, epoch int, commit bool) code {
	c := b.coordinator(id)
	switch {
	case epoch != c.epoch:
		return fenced
	case c.state == ongoing:
		b.prepare(c, commit)
		return ok
	case c.state == preparing:
		return concurrent
	case c.state == complete && c.commit == commit:
		return ok
	}
	return invalid
}

func (b *Broker) prepare(c *coordinator, commit bool) {
	b.w.Trace("transaction of %s, epoch %d: commit %v, %d records", c.id, c.epoch, commit, len(c.records))
	c.state, c.commit, c.left = preparing, commit, append([]*partition(nil), c.parts...)
	if len(c.left) == 0 {
		c.state = complete
	}
}

// marker writes one of the markers that a decided transaction still lacks.
func (b *Broker) marker(c *coordinator) {
	i := b.w.Rand.IntN(len(c.left))
	p := c.left[i]
	c.left = append(c.left[:i], c.left[i+1:]...)
	for _, r := range p.log[p.stable:] {
		if r.ID == c.id && r.State == Pending {
			r.State = Aborted
			if c.commit {
				r.State = Committed
				b.w.Judge.committed(r)
			}
		}
	}
	p.ongoing[c.id] = 0
	p.epochs[c.id] = c.epoch
	for p.stable < len(p.log) && p.log[p.stable].State != Pending {
		if r := p.log[p.stable]; r.State == Committed {
			b.w.Judge.visible(p, r)
		}
		p.stable++
	}
	if len(c.left) == 0 {
		c.state = complete
		if c.commit {
			for _, r := range c.records {
				if r.part.topic == OffsetsTopic {
					b.w.Trace("checkpoint %s by generation %d: %s", r.Key, r.Generation, checkpointText{b.w.Source, r.Value})
				}
			}
			b.w.Judge.transaction(c)
		}
	}
}

// step lets the broker, or the network before it, do one thing.
func (b *Broker) step() {
	if !b.Up() {
		return
	}
	n := len(b.order)
	if n > 0 {
		first := b.w.Rand.IntN(n)
		for i := range n {
			c := b.order[(first+i)%n]
			if c.state == preparing {
				b.marker(c)
				return
			}
			if c.state == ongoing && b.w.Now-c.started > transactionTimeout {
				b.w.Trace("transaction of %s times out", c.id)
				c.epoch++
				b.prepare(c, false)
				return
			}
		}
	}
	b.deliver()
}

// deliver takes records that clients have queued to their partitions.
func (b *Broker) deliver() {
	n := len(b.producers)
	if n == 0 {
		return
	}
	first := b.w.Rand.IntN(n)
	for i := range n {
		j := (first + i) % n
		p := b.producers[j]
		if p.closed {
			b.producers = append(b.producers[:j], b.producers[j+1:]...)
			return
		}
		if len(p.queue) > 0 && p.host.Runs(b.w.Now) && p.failed == nil {
			p.deliver()
			return
		}
	}
}

// disturb lets something of the broker's go wrong: here only what its clients do not cause themselves.
func (b *Broker) disturb() {
	if len(b.late) > 0 {
		b.arrive()
	}
}

// arrive lets a late request arrive.
func (b *Broker) arrive() {
	i := b.w.Rand.IntN(len(b.late))
	f := b.late[i]
	b.late = append(b.late[:i], b.late[i+1:]...)
	var got code
	what := "Produce"
	switch {
	case f.end:
		what = "EndTxn"
		got = b.endTxn(f.id, f.epoch, f.commit)
	case f.add:
		what = "AddPartitions"
		got = b.addPartition(f.id, f.epoch, f.part)
	default:
		got = b.produce(f.id, f.epoch, f.part, f.recs)
	}
	if b.w.Tracing() {
		b.w.Trace("late %s of %s, epoch %d: %s", what, f.id, f.epoch, got)
	}
}

func (c code) String() string {
	return [...]string{"ok", "fenced", "concurrent transactions", "invalid state", "unreachable"}[c]
}

func (r *Record) String() string { return fmt.Sprintf("%s epoch %d %s", r.ID, r.Epoch, r.Key) }
