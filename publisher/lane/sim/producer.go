package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/rowmesh/rowmesh/publisher/kafka"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/offset"
)

// maxQueued is in records; a full queue holds up who produces.
const maxQueued = 40

// Producer is a client of the broker, as publisher/kafka's behaves. Its queue is emptied by steps of the world, which stop while its process is stopped.
type Producer struct {
	w     *World
	b     *Broker
	host  *Host
	id    string
	epoch int

	names   []string
	headers int
	queue   []queued
	added   map[*partition]bool
	failed  error
	broken  chan struct{}
	closed  bool
	// kept is what the etcd mutant writes after the commit.
	kept []queued
}

type queued struct {
	part *partition
	rec  *Record
}

// NewProducer returns a client on a host.
func (b *Broker) NewProducer(h *Host, id string) *Producer {
	p := &Producer{w: b.w, b: b, host: h, id: id, added: map[*partition]bool{}, broken: make(chan struct{})}
	b.producers = append(b.producers, p)
	return p
}

// Broker is what it talks to.
func (p *Producer) Broker() *Broker { return p.b }

// Fence is kafka.Producer's.
func (p *Producer) Fence(context.Context) error {
	for tries := 0; ; tries++ {
		p.w.Pause()
		if !p.b.Up() {
			if tries > 20 || p.w.Chance(3) {
				p.w.Sleep(time.Second)
				return errs.E(errs.Unavailable, "fence: the broker does not answer")
			}
			p.w.Sleep(200 * time.Millisecond)
			continue
		}
		epoch, answer := p.b.initProducerID(p.id)
		if answer == concurrent {
			p.w.Sleep(time.Millisecond)
			continue
		}
		if p.w.Chance(12) {
			return errs.E(errs.Unavailable, "fence: the answer was lost")
		}
		p.epoch = epoch
		p.w.Trace("%s fences %s: epoch %d", p.host.Name, p.id, epoch)
		p.w.Judge.fenced(p)
		return nil
	}
}

// Begin is kafka.Producer's.
func (p *Producer) Begin() error {
	p.w.Pause()
	if p.failed != nil {
		return p.failed
	}
	p.added = map[*partition]bool{}
	return nil
}

// Topic is kafka.Producer's.
func (p *Producer) Topic(name string) (int32, error) {
	p.names = append(p.names, name)
	return int32(len(p.names) - 1), nil
}

// Headers is kafka.Producer's.
func (p *Producer) Headers([]kafka.Header) int32 { p.headers++; return int32(p.headers - 1) }

// HeaderName is kafka.Producer's.
func (p *Producer) HeaderName(string) int32 { p.headers++; return int32(p.headers - 1) }

// Produce is kafka.Producer's.
func (p *Producer) Produce(ctx context.Context, b *kafka.Batch) error {
	return p.ProduceFrom(ctx, b, 0)
}

// ProduceFrom is kafka.Producer's.
func (p *Producer) ProduceFrom(_ context.Context, b *kafka.Batch, from int) error {
	generation := p.w.current.Generation()
	for i := range b.Records[from:] {
		r := &b.Records[from+i]
		rec := &Record{ID: p.id, Epoch: p.epoch, Generation: generation, Key: bytesOf(b.Arena, r.KeyOff, r.KeyLen), Value: bytesOf(b.Arena, r.ValOff, r.ValLen)}
		name := p.names[r.Topic]
		rec.part = p.b.topic(name, p.b.partitionsOf(name))[r.Partition]
		q := queued{rec.part, rec}
		if p.w.Broken == EtcdCheckpoint && name == OffsetsTopic {
			p.kept = append(p.kept, q)
			continue
		}
		if p.w.Broken == CheckpointBehind && name == OffsetsTopic {
			rec.Value = p.w.Source.behind(rec.Value)
		}
		p.queue = append(p.queue, q)
	}
	if len(p.queue) > maxQueued {
		p.w.Until(0, func() bool { return len(p.queue) <= maxQueued/2 || p.failed != nil })
	}
	return p.failed
}

func bytesOf(arena []byte, off, n int32) []byte {
	if n < 0 {
		return nil
	}
	return append([]byte{}, arena[off:off+n]...)
}

// deliver sends some of what is queued for one partition.
func (p *Producer) deliver() {
	part := p.queue[p.w.Rand.IntN(len(p.queue))].part
	if !p.added[part] {
		switch answer := p.b.addPartition(p.id, p.epoch, part); answer {
		case ok:
			p.added[part] = true
		case concurrent:
		default:
			p.fail(fencedError("add partitions", answer))
		}
		return
	}
	n := 1 + p.w.Rand.IntN(8)
	var recs []*Record
	rest := make([]queued, 0, len(p.queue))
	for _, q := range p.queue {
		if q.part == part && len(recs) < n {
			recs = append(recs, q.rec)
		} else {
			rest = append(rest, q)
		}
	}
	if p.w.Chance(250) { // message.timeout.ms is over
		if p.w.Broken == SkipDeliveryErrors {
			p.queue = rest
			return
		}
		p.fail(errs.E(errs.Unavailable, "deliver to %s, partition %d: timed out", part.topic, part.n))
		return
	}
	if answer := p.b.produce(p.id, p.epoch, part, recs); answer != ok {
		p.fail(fencedError("produce", answer))
		return
	}
	p.queue = rest
}

func fencedError(what string, answer code) error {
	if answer == fenced {
		return errs.E(errs.Stale, "%s: another worker has taken this task over", what)
	}
	return errs.E(errs.Unavailable, "%s: %s", what, answer)
}

func (p *Producer) fail(err error) {
	if p.failed == nil {
		p.failed = err
		close(p.broken)
		p.w.Trace("producer of %s, epoch %d: %v", p.id, p.epoch, err)
	}
}

// Commit is kafka.Producer's. The client sends EndTxn again when it hears nothing; whatever copy was not answered may still arrive.
func (p *Producer) Commit(context.Context) error {
	from := p.w.Now
	for len(p.queue) > 0 && p.failed == nil {
		p.w.Until(p.w.Now+time.Second, func() bool { return len(p.queue) == 0 || p.failed != nil })
		if p.w.Now-from > transactionTimeout {
			return errs.E(errs.Unavailable, "commit: not within a minute")
		}
	}
	if p.failed != nil {
		return p.failed
	}
	p.w.Pause()
	trouble := false
	for tries := 0; ; tries++ {
		late := frame{id: p.id, epoch: p.epoch, end: true, commit: true}
		if !p.b.Up() || p.w.Chance(40) { // the request, or its answer, is lost or held up
			trouble = true
			switch p.w.Rand.IntN(3) {
			case 0:
				p.b.late = append(p.b.late, late)
			case 1:
				if p.b.Up() {
					p.b.endTxn(p.id, p.epoch, true)
				}
			}
			if p.w.Now-from > transactionTimeout || p.w.Rand.IntN(4) == 0 {
				return errs.E(errs.Unavailable, "commit: nothing is known of it")
			}
			p.w.Sleep(time.Duration(50+p.w.Rand.IntN(1000)) * time.Millisecond)
			continue
		}
		answer := p.b.endTxn(p.id, p.epoch, true)
		switch answer {
		case ok:
			p.w.Pause()
			if err := p.keepInEtcd(); err != nil {
				return err
			}
			if trouble && p.w.Broken != ReuseAfterUnclean {
				return errs.E(errs.Unavailable, "commit: %w", kafka.ErrUnclean)
			}
			return nil
		case concurrent:
			p.w.Sleep(time.Millisecond)
		default:
			return fencedError("commit", answer)
		}
	}
}

// keepInEtcd is what EtcdCheckpoint does instead of a record in the transaction.
func (p *Producer) keepInEtcd() error {
	kept := p.kept
	p.kept = nil
	if len(kept) == 0 {
		return nil
	}
	if !p.w.Registry.swap(p.id, p.w.current.Generation(), kept) {
		return errs.E(errs.Stale, "checkpoint: the generation has changed")
	}
	return nil
}

// Flush is kafka.Producer's, for producers without transactions, which there are none of.
func (p *Producer) Flush(context.Context) error { return p.failed }

// Broken is kafka.Producer's.
func (p *Producer) Broken() <-chan struct{} { return p.broken }

// Err is kafka.Producer's.
func (p *Producer) Err() error { return p.failed }

// Close is kafka.Producer's. What is on the wire may still arrive.
func (p *Producer) Close() {
	if p.closed {
		return
	}
	p.closed = true
	if p.epoch > 0 && len(p.queue) > 0 && p.w.Chance(2) {
		q := p.queue[0]
		p.b.late = append(p.b.late, frame{id: p.id, epoch: p.epoch, add: !p.added[q.part], part: q.part, recs: []*Record{q.rec}})
	}
	p.queue = nil
}

// OffsetsTopic is the topic of checkpoints.
const OffsetsTopic = "offsets"

func (b *Broker) partitionsOf(topic string) int32 {
	if topic == OffsetsTopic {
		return b.OffsetPartitions
	}
	return b.Partitions
}

// Topics is kafka.Topics; all topics are there.
type Topics struct{ B *Broker }

// Partitions is kafka.Topics's.
func (t Topics) Partitions(name string) int32 { return t.B.partitionsOf(name) }

// Ensure is kafka.Topics's.
func (t Topics) Ensure(_ context.Context, name string, _ kafka.TopicSpec) (int32, bool, error) {
	return t.B.partitionsOf(name), false, nil
}

// checkpointText is a checkpoint in a trace.
type checkpointText struct {
	s     *Source
	value []byte
}

func (c checkpointText) String() string {
	o, err := offset.Decode(c.value)
	if err != nil || o.Token == nil {
		return string(c.value)
	}
	p, _ := c.s.parse(o.Token)
	text := fmt.Sprintf("layout %d, %v", o.Layout, p)
	if o.InSnapshot() {
		text += ", in snapshot"
	}
	for _, t := range o.Aside.Tables {
		text += fmt.Sprintf(", %s stopped %v", t.Name, t.Stopped)
		if t.At != nil {
			p, _ := c.s.parse(t.At.Token)
			text += fmt.Sprintf(" at %v", p)
		}
	}
	if o.Aside.Others != nil {
		p, _ := c.s.parse(o.Aside.Others.Token)
		text += fmt.Sprintf(", others at %v", p)
	}
	return text
}

// Offsets reads checkpoints as offset.Store does: up to the end that there was when it began, however long transactions before it stay open.
type Offsets struct{ B *Broker }

// Topic is offset.Store's.
func (o Offsets) Topic() string { return OffsetsTopic }

// readTimeout is that of a step of a start.
const readTimeout = 70 * time.Second

// Read is offset.Store's.
func (o Offsets) Read(_ context.Context, key offset.Key) (offset.Offset, bool, int32, error) {
	b, w, n := o.B, o.B.w, o.B.OffsetPartitions
	w.Pause()
	text := string(key.Bytes())
	if w.Broken == EtcdCheckpoint {
		if v := w.Registry.kept[text]; v != nil {
			d, err := offset.Decode(v)
			return d, err == nil, n, err
		}
		return offset.Offset{}, false, n, nil
	}
	if !b.Up() || w.Chance(60) {
		w.Sleep(time.Second)
		return offset.Offset{}, false, n, errs.E(errs.Unavailable, "read the checkpoint of %s: the broker does not answer", text)
	}
	p := b.topic(OffsetsTopic, n)[offset.Partition([]byte(text), n)]
	end := len(p.log)
	if w.Broken == ReadToStable {
		end = p.stable
	} else if p.stable < end {
		from := w.Now
		w.Until(from+readTimeout, func() bool { return p.stable >= end })
		if p.stable < end {
			return offset.Offset{}, false, n, errs.E(errs.Unavailable, "read the checkpoint of %s: the transaction before it stays open", text)
		}
	}
	for i := end - 1; i >= 0; i-- {
		if r := p.log[i]; r.State == Committed && string(r.Key) == text {
			w.Trace("%s reads checkpoint %s: %s", w.current.name, text, checkpointText{w.Source, r.Value})
			if r.Value == nil {
				return offset.Offset{}, false, n, nil
			}
			d, err := offset.Decode(r.Value)
			if err != nil {
				err = fmt.Errorf("checkpoint %s: %w", text, err)
			}
			return d, err == nil, n, err
		}
	}
	return offset.Offset{}, false, n, nil
}
