//go:build broken

package publisher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/rowmesh/rowmesh/publisher/kafka"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/offset"
	"github.com/rowmesh/rowmesh/services/registry"
)

// This file is in no build but those that tests make with the tag "broken". ROWMESH_BROKEN names a rule of the protocol that such a publisher does not follow, the same
// rules that the simulator breaks (lane/sim.Mutant), so that the live suite can prove that it would see it (integration/broken). Without the variable nothing is broken.

// seams returns what lanes stand on, with a rule out of force.
func seams(mesh Assignments) (outside, Assignments, error) {
	switch rule := os.Getenv("ROWMESH_BROKEN"); rule {
	case "":
		return machine{}, mesh, nil
	case "etcd-checkpoint":
		c, err := clientv3.New(clientv3.Config{Endpoints: strings.Split(os.Getenv("ROWMESH_BROKEN_ETCD"), ","), DialTimeout: 5 * time.Second})
		return &etcdOutside{etcd: c, revisions: map[string]int64{}}, mesh, err
	case "reuse-after-unclean":
		return reusingOutside{}, mesh, nil
	case "read-to-stable":
		return stableOutside{}, mesh, nil
	case "skip-delivery-errors":
		return skippingOutside{}, mesh, nil
	case "no-confirm":
		return machine{}, trusting{mesh}, nil
	default:
		return nil, nil, errs.E(errs.Invalid, "ROWMESH_BROKEN=%s: there is no such rule", rule)
	}
}

// trusting believes the watch: ownership is not confirmed after the fence.
type trusting struct{ Assignments }

func (trusting) Confirm(context.Context, registry.Lane) error { return nil }

// reusingOutside goes on with a producer after a commit of which a copy may still be on its way.
type reusingOutside struct{ machine }

func (o reusingOutside) producer(cfg kafka.Config) (producer, error) {
	p, err := o.machine.producer(cfg)
	return reusingProducer{p}, err
}

type reusingProducer struct{ producer }

func (p reusingProducer) Commit(ctx context.Context) error {
	if err := p.producer.Commit(ctx); !errors.Is(err, kafka.ErrUnclean) {
		return err
	}
	return nil
}

// stableOutside reads checkpoints up to the last stable offset only, as a consumer of committed records does by itself.
type stableOutside struct{ machine }

func (o stableOutside) offsets(cfg offset.Config) offsets {
	return stableOffsets{offset.NewStore(cfg), cfg}
}

type stableOffsets struct {
	*offset.Store
	cfg offset.Config
}

func (s stableOffsets) Read(ctx context.Context, key offset.Key) (o offset.Offset, ok bool, partitions int32, err error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(s.cfg.Client["bootstrap.servers"], ",")...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return o, false, 0, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	topics, err := adm.ListTopics(ctx, s.cfg.Topic)
	if err != nil || topics[s.cfg.Topic].Err != nil {
		return s.Store.Read(ctx, key) // it makes the topic
	}
	partitions = int32(len(topics[s.cfg.Topic].Partitions))
	n := offset.Partition(key.Bytes(), partitions)
	first, err := adm.ListStartOffsets(ctx, s.cfg.Topic)
	if err != nil {
		return o, false, partitions, err
	}
	stable, err := adm.ListCommittedOffsets(ctx, s.cfg.Topic)
	if err != nil {
		return o, false, partitions, err
	}
	from, _ := first.Lookup(s.cfg.Topic, n)
	to, _ := stable.Lookup(s.cfg.Topic, n)
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{s.cfg.Topic: {n: kgo.NewOffset().At(from.Offset)}})
	var value []byte
	for at := from.Offset; at < to.Offset && ctx.Err() == nil; {
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			if at = r.Offset + 1; r.Offset < to.Offset && !r.Attrs.IsControl() && string(r.Key) == string(key.Bytes()) {
				value = r.Value
			}
		})
	}
	if value == nil || ctx.Err() != nil {
		return o, false, partitions, ctx.Err()
	}
	o, err = offset.Decode(value)
	return o, err == nil, partitions, err
}

// etcdOutside keeps checkpoints in etcd, written after the rows by compare-and-swap, with a producer that is idempotent and no more. They go to their topic too, for
// those who look at them there; nothing is read from it.
type etcdOutside struct {
	machine
	etcd  *clientv3.Client
	topic atomic.Value // string: the topic that checkpoints would go to

	mu        sync.Mutex
	revisions map[string]int64 // of the keys, as this process saw them last
}

func (o *etcdOutside) offsets(cfg offset.Config) offsets {
	o.topic.Store(cfg.Topic)
	return etcdOffsets{offset.NewStore(cfg), o}
}

func (o *etcdOutside) producer(cfg kafka.Config) (producer, error) {
	cfg.TransactionalID = ""
	p, err := o.machine.producer(cfg)
	return &etcdProducer{producer: p, o: o, checkpoints: -1}, err
}

type etcdOffsets struct {
	*offset.Store
	o *etcdOutside
}

func (s etcdOffsets) Read(ctx context.Context, key offset.Key) (offset.Offset, bool, int32, error) {
	_, _, partitions, err := s.Store.Read(ctx, key)
	if err != nil {
		return offset.Offset{}, false, partitions, err
	}
	r, err := s.o.etcd.Get(ctx, "/broken"+string(key.Bytes()))
	if err != nil {
		return offset.Offset{}, false, partitions, errs.E(errs.Unavailable, "read the checkpoint in etcd: %w", err)
	}
	revision := int64(0)
	if len(r.Kvs) > 0 {
		revision = r.Kvs[0].ModRevision
	}
	s.o.mu.Lock()
	s.o.revisions[string(key.Bytes())] = revision
	s.o.mu.Unlock()
	if revision == 0 {
		return offset.Offset{}, false, partitions, nil
	}
	d, err := offset.Decode(r.Kvs[0].Value)
	return d, err == nil, partitions, err
}

type etcdProducer struct {
	producer
	o           *etcdOutside
	checkpoints int32 // id of their topic
	kept        []kept
}

type kept struct{ key, value string }

func (p *etcdProducer) Fence(context.Context) error { return nil }
func (p *etcdProducer) Begin() error                { return nil }

func (p *etcdProducer) Topic(name string) (int32, error) {
	id, err := p.producer.Topic(name)
	if topic, ok := p.o.topic.Load().(string); ok && name == topic {
		p.checkpoints = id
	}
	return id, err
}

func (p *etcdProducer) Produce(ctx context.Context, b *kafka.Batch) error {
	if len(b.Records) == 0 || b.Records[0].Topic != p.checkpoints {
		return p.producer.Produce(ctx, b)
	}
	for _, r := range b.Records {
		p.kept = append(p.kept, kept{string(b.Arena[r.KeyOff : r.KeyOff+r.KeyLen]), string(b.Arena[r.ValOff : r.ValOff+max(r.ValLen, 0)])})
	}
	return p.producer.Produce(ctx, b)
}

func (p *etcdProducer) Commit(ctx context.Context) error {
	if err := p.producer.Flush(ctx); err != nil {
		return err
	}
	kept := p.kept
	p.kept = nil
	for _, k := range kept {
		p.o.mu.Lock()
		revision := p.o.revisions[k.key]
		p.o.mu.Unlock()
		key := "/broken" + k.key
		r, err := p.o.etcd.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).Then(clientv3.OpPut(key, k.value)).Commit()
		switch {
		case err != nil:
			return errs.E(errs.Unavailable, "write the checkpoint in etcd: %w", err)
		case !r.Succeeded:
			return errs.E(errs.Stale, "write the checkpoint in etcd: it has changed since revision %d", revision)
		}
		p.o.mu.Lock()
		p.o.revisions[k.key] = r.Header.Revision
		p.o.mu.Unlock()
	}
	return nil
}

// skippingOutside goes on when records could not be delivered: what was in their transaction is given up, and the checkpoint is written all the same.
type skippingOutside struct{ machine }

func (o skippingOutside) producer(cfg kafka.Config) (producer, error) {
	p, err := o.machine.producer(cfg)
	return &skippingProducer{producer: p, cfg: cfg}, err
}

type skippingProducer struct {
	producer
	cfg  kafka.Config
	old  []producer
	last *kafka.Batch // handed over last: at a commit, the checkpoint
	// told are the calls that give ids, in their order, to be made again on another producer.
	told []func(p producer) error
}

func (p *skippingProducer) Broken() <-chan struct{} { return nil }
func (p *skippingProducer) Err() error              { return nil }

func (p *skippingProducer) Topic(name string) (int32, error) {
	p.told = append(p.told, func(q producer) error { _, err := q.Topic(name); return err })
	return p.producer.Topic(name)
}

func (p *skippingProducer) Headers(hs []kafka.Header) int32 {
	p.told = append(p.told, func(q producer) error { q.Headers(hs); return nil })
	return p.producer.Headers(hs)
}

func (p *skippingProducer) HeaderName(name string) int32 {
	p.told = append(p.told, func(q producer) error { q.HeaderName(name); return nil })
	return p.producer.HeaderName(name)
}

func (p *skippingProducer) Produce(ctx context.Context, b *kafka.Batch) error {
	p.last = b
	return p.skipped(p.producer.Produce(ctx, b))
}

func (p *skippingProducer) ProduceFrom(ctx context.Context, b *kafka.Batch, from int) error {
	return p.skipped(p.producer.ProduceFrom(ctx, b, from))
}

// skipped keeps those errors that are not of a record's delivery.
func (p *skippingProducer) skipped(err error) error {
	var large *kafka.RecordError
	if errors.As(err, &large) || errs.KindOf(err) == errs.Stale || p.producer.Err() == nil {
		return err
	}
	return nil
}

func (p *skippingProducer) Commit(ctx context.Context) error {
	err := p.producer.Commit(ctx)
	if err == nil || errors.Is(err, kafka.ErrUnclean) || errs.KindOf(err) == errs.Stale || p.producer.Err() == nil {
		return err
	}
	q, err := machine{}.producer(p.cfg)
	if err != nil {
		return err
	}
	p.old = append(p.old, p.producer)
	p.producer = q
	for _, tell := range p.told {
		if err := tell(q); err != nil {
			return err
		}
	}
	for _, step := range []func() error{func() error { return q.Fence(ctx) }, q.Begin, func() error { return q.Produce(ctx, p.last) }} {
		if err := step(); err != nil {
			return fmt.Errorf("skip a delivery error: %w", err)
		}
	}
	return q.Commit(ctx)
}

func (p *skippingProducer) Close() {
	p.producer.Close()
	for _, q := range p.old {
		q.Close()
	}
}
