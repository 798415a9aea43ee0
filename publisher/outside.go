package publisher

import (
	"context"
	"time"

	"github.com/rowmesh/rowmesh/publisher/kafka"
	"github.com/rowmesh/rowmesh/services/offset"
)

// outside is what lanes stand on beside the mesh and the capturers: time, waiting, and Kafka. There are two: this machine's, and that of the simulator in
// sim_test.go, where one goroutine runs at a time and a seed says which.
type outside interface {
	now() time.Time
	// pump reads a subscription into a channel.
	pump(s Stream) *pump
	// wait waits for the first of a message of stream (nil: none), an assignment, a failed delivery of p (nil: none), the end of ctx, and at (zero: never). got is
	// false unless it was a message.
	wait(ctx context.Context, w waking) (m message, got bool)
	// sleep waits for d or the end of ctx.
	sleep(ctx context.Context, d time.Duration) error
	// producer makes the producer of one start.
	producer(cfg kafka.Config) (producer, error)
	offsets(cfg offset.Config) offsets
}

// waking is what ends a wait.
type waking struct {
	stream <-chan message
	inbox  <-chan struct{}
	broken <-chan struct{}
	at     time.Time
}

// producer is what lanes need of kafka.Producer, which has the contract of each method.
type producer interface {
	Fence(ctx context.Context) error
	Begin() error
	Commit(ctx context.Context) error
	Flush(ctx context.Context) error
	Produce(ctx context.Context, b *kafka.Batch) error
	ProduceFrom(ctx context.Context, b *kafka.Batch, from int) error
	Topic(name string) (int32, error)
	Headers(hs []kafka.Header) int32
	HeaderName(name string) int32
	Broken() <-chan struct{}
	Err() error
	Close()

	topics() (topics, error)
}

// topics is what lanes need of kafka.Topics.
type topics interface {
	Partitions(name string) int32
	Ensure(ctx context.Context, name string, spec kafka.TopicSpec) (partitions int32, created bool, err error)
}

// offsets is what lanes need of offset.Store.
type offsets interface {
	Topic() string
	Read(ctx context.Context, key offset.Key) (o offset.Offset, ok bool, partitions int32, err error)
}

// machine is the outside of a real publisher.
type machine struct{}

var _ outside = machine{}

func (machine) now() time.Time { return time.Now() }

func (machine) pump(s Stream) *pump { return newPump(s) }

func (machine) wait(ctx context.Context, w waking) (m message, got bool) {
	var timer <-chan time.Time
	if !w.at.IsZero() {
		tm := time.NewTimer(time.Until(w.at))
		defer tm.Stop()
		timer = tm.C
	}
	select {
	case m := <-w.stream:
		return m, true
	case <-w.inbox:
	case <-ctx.Done():
	case <-w.broken:
	case <-timer:
	}
	return message{}, false
}

func (machine) sleep(ctx context.Context, d time.Duration) error {
	tm := time.NewTimer(d)
	defer tm.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-tm.C:
		return nil
	}
}

func (machine) producer(cfg kafka.Config) (producer, error) {
	p, err := kafka.New(cfg)
	if err != nil {
		return nil, err
	}
	return realProducer{p}, nil
}

func (machine) offsets(cfg offset.Config) offsets { return offset.NewStore(cfg) }

// realProducer is kafka.Producer as lanes see it.
type realProducer struct{ *kafka.Producer }

func (p realProducer) topics() (topics, error) { return p.Topics() }
