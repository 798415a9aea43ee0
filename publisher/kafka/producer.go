package kafka

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/rowmesh/rowmesh/services/errs"
)

// Header is one header of a record; a nil value is a null one.
type Header struct {
	Key   string
	Value []byte
}

// Producer writes to Kafka. One goroutine uses it. It is not usable any more after the first error other than ErrTooLarge.
type Producer struct {
	cfg    Config
	p      *kafka.Producer
	shim   *shim // nil: plain
	topics []string
	ids    map[string]int32
	sets   [][]Header

	committed time.Time // when the last commit was answered: see settle
	firsts    firsts
	names     []string

	events sync.WaitGroup
	closed chan struct{}

	// trouble counts connection errors and request timeouts; see Commit.
	trouble atomic.Uint64

	broken   chan struct{} // closed with the first failure
	mu       sync.Mutex
	failures []error // of deliveries and fatal ones, at most maxFailures
	failed   int     // all of them
	last     error   // newest connection error, for texts of timeouts
}

// maxFailures bounds what is kept of failed deliveries: they nearly always have one cause.
const maxFailures = 4

// New makes a producer. It does not talk to the broker yet.
func New(cfg Config) (*Producer, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	logs := make(chan kafka.LogEvent, 64) // librdkafka logs by state change, not per record
	kp, err := kafka.NewProducer(cfg.properties(logs))
	if err != nil {
		return nil, errs.E(errs.Invalid, "Kafka client: %w; correct the property in the worker's Kafka settings or in producer.override.*", err)
	}
	p := &Producer{cfg: cfg, p: kp, ids: map[string]int32{}, closed: make(chan struct{}), broken: make(chan struct{})}
	if !cfg.Plain {
		if p.shim, err = newShim(kp); err != nil {
			cfg.Log.Warn("producing record by record", "error", err)
		}
	}
	p.events.Go(func() { p.watchEvents(kp.Events()) })
	p.events.Go(func() { p.watchLogs(logs) })
	return p, nil
}

// Topic returns the id under which Produce knows a topic.
func (p *Producer) Topic(name string) (int32, error) {
	if id, ok := p.ids[name]; ok {
		return id, nil
	}
	if p.shim != nil {
		if err := p.shim.addTopic(name); err != nil {
			return 0, errs.E(errs.Invalid, "%w", err)
		}
	}
	id := int32(len(p.topics))
	p.topics = append(p.topics, name)
	p.ids[name] = id
	return id, nil
}

// Headers returns the id of a header set. Sets are few and live as long as the producer.
func (p *Producer) Headers(hs []Header) int32 {
	if p.shim != nil {
		p.shim.addHeaders(hs)
	}
	p.sets = append(p.sets, hs)
	return int32(len(p.sets) - 1)
}

// HeaderName returns the id of a header's name, for Record.Extra.
func (p *Producer) HeaderName(name string) int32 {
	if p.shim != nil {
		p.shim.addName(name)
	}
	p.names = append(p.names, name)
	return int32(len(p.names) - 1)
}

// Produce hands over all records of b, in order. It blocks while the queue is full, until ctx ends. An error of type *RecordError names the record that was
// refused for its size: nothing from it on was taken, and the producer goes on.
func (p *Producer) Produce(ctx context.Context, b *Batch) error { return p.ProduceFrom(ctx, b, 0) }

// ProduceFrom is Produce for b.Records[from:].
func (p *Producer) ProduceFrom(ctx context.Context, b *Batch, from int) error {
	if !b.check(len(p.topics), len(p.sets), len(p.names)) {
		return errs.E(errs.Internal, "produce: a record points outside of its batch")
	}
	for from < len(b.Records) {
		n, first := p.firsts.run(b.Records[from:])
		if n == 0 {
			if err := p.Flush(ctx); err != nil {
				return err
			}
			continue
		}
		to := from + n
		n, code := p.produce(b, from, to)
		from += n
		if first && from == to {
			p.firsts.handedOver(&b.Records[to-1])
		}
		switch code {
		case kafka.ErrNoError:
		case kafka.ErrQueueFull:
			if err := p.failure(); err != nil {
				return err
			}
			// Draining a full queue of 32 MiB takes 50 ms on the fastest of brokers; a millisecond leaves no gap.
			if err := sleep(ctx, time.Millisecond); err != nil {
				return fmt.Errorf("produce, with the queue full: %w", err)
			}
		case kafka.ErrMsgSizeTooLarge:
			return &RecordError{Index: from, Size: b.Records[from].Size(), Max: p.cfg.MaxRecordBytes}
		default:
			if err := p.failure(); err != nil {
				return err
			}
			return classify("produce to "+p.topics[b.Records[from].Topic], kafka.NewError(code, "", false))
		}
	}
	return p.failure()
}

// produce hands over records from..to, and returns how many were taken.
func (p *Producer) produce(b *Batch, from, to int) (int, kafka.ErrorCode) {
	if p.shim != nil {
		return p.shim.produce(b, from, to)
	}
	for i := from; i < to; i++ {
		r := &b.Records[i]
		m := &kafka.Message{
			TopicPartition: kafka.TopicPartition{Topic: &p.topics[r.Topic], Partition: r.Partition},
			Key:            b.key(r),
			Value:          b.value(r),
		}
		if r.Timestamp != 0 {
			m.Timestamp = time.UnixMilli(r.Timestamp)
		}
		for _, h := range b.Own[r.OwnFrom : r.OwnFrom+r.OwnCount] {
			m.Headers = append(m.Headers, kafka.Header{Key: p.names[h.Name], Value: view(b.Arena, h.Off, h.Len)})
		}
		if r.OwnCount == 0 && r.Extra >= 0 {
			m.Headers = append(m.Headers, kafka.Header{Key: p.names[r.Extra], Value: view(b.Arena, r.ExtraOff, r.ExtraLen)})
		}
		if r.OwnCount == 0 && r.Headers >= 0 {
			for _, h := range p.sets[r.Headers] {
				m.Headers = append(m.Headers, kafka.Header{Key: h.Key, Value: h.Value})
			}
		}
		if err := p.p.Produce(m, nil); err != nil {
			return i - from, codeOf(err)
		}
	}
	return to - from, kafka.ErrNoError
}

// Queued returns the records that wait for the broker.
func (p *Producer) Queued() int { return p.p.Len() }

// Close gives up the producer with whatever is not committed. It never waits for the broker to answer.
func (p *Producer) Close() {
	if p.shim != nil {
		p.shim.close()
	}
	p.p.Purge(kafka.PurgeInFlight | kafka.PurgeQueue | kafka.PurgeNonBlocking)
	p.p.Close()
	if p.shim != nil {
		p.shim.free()
	}
	close(p.closed)
	p.events.Wait()
	trimMalloc()
}

// watchEvents keeps failures: all that librdkafka sends, as successes are not reported. It ends when the producer closes.
func (p *Producer) watchEvents(events <-chan kafka.Event) {
	for e := range events {
		switch e := e.(type) {
		case *kafka.Message:
			if e.TopicPartition.Error != nil && codeOf(e.TopicPartition.Error) != kafka.ErrPurgeQueue && codeOf(e.TopicPartition.Error) != kafka.ErrPurgeInflight {
				p.fail(classify(fmt.Sprintf("deliver to %s, partition %d", *e.TopicPartition.Topic, e.TopicPartition.Partition), e.TopicPartition.Error))
			}
		case kafka.Error:
			if e.IsFatal() {
				p.fail(classify("Kafka client", e))
				continue
			}
			p.trouble.Add(1)
			p.mu.Lock()
			p.last = e
			p.mu.Unlock()
		}
	}
}

// watchLogs passes on librdkafka's log. Its lines on failed connections and timed-out requests count as trouble: a request that fails without closing
// anything else raises no error event.
func (p *Producer) watchLogs(logs <-chan kafka.LogEvent) {
	for {
		select {
		case <-p.closed:
			return
		case l := <-logs:
			switch l.Tag {
			case "FAIL", "REQTMOUT":
				p.trouble.Add(1)
			}
			if l.Level <= 4 && l.Tag != "CONFWARN" { // CONFWARN: remarks on properties that are set here on purpose
				p.cfg.Log.Warn("librdkafka", "tag", l.Tag, "text", l.Message)
			} else {
				p.cfg.Log.Debug("librdkafka", "tag", l.Tag, "text", l.Message)
			}
		}
	}
}

func (p *Producer) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed == 0 {
		close(p.broken)
	}
	p.failed++
	if len(p.failures) < maxFailures {
		p.failures = append(p.failures, err)
	}
}

// failure returns the first failed delivery, with the number of all.
func (p *Producer) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.failed {
	case 0:
		return nil
	case 1:
		return p.failures[0]
	}
	return fmt.Errorf("%w (and %d more records failed)", p.failures[0], p.failed-1)
}

// withLast adds the newest connection error to the text of an error that only says that time ran out.
func (p *Producer) withLast(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil {
		return err
	}
	return fmt.Errorf("%w (last connection error: %v)", err, p.last)
}

// timeoutMS turns what is left of ctx into milliseconds for librdkafka, which does not know contexts: at most a second, after which the caller looks at ctx.
func timeoutMS(ctx context.Context) int {
	ms := int64(1000)
	if d, ok := ctx.Deadline(); ok {
		ms = min(ms, time.Until(d).Milliseconds())
	}
	return int(min(max(ms, 1), math.MaxInt32))
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Broken is closed when the first delivery has failed; Err has it then.
func (p *Producer) Broken() <-chan struct{} { return p.broken }

// Err returns the first failed delivery, nil if there is none.
func (p *Producer) Err() error { return p.failure() }
