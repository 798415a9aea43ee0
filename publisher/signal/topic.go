package signal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/rowmesh/rowmesh/services/errs"
)

// Topic reads signals from the first partition of a Kafka topic. Records whose key is not the connector's topic.prefix are others'.
type Topic struct {
	// Client are librdkafka's properties.
	Client map[string]string
	// Name is the topic; Group the consumer group in which Debezium had committed its place.
	Name, Group string
	// Key is what a signal for this connector has as its record's key.
	Key string
	// Next is the offset to go on at; 0: the group's, or where it has none the beginning, or the end if FromEnd.
	Next    int64
	FromEnd bool
	// Poll is the pause after a failure.
	Poll time.Duration
	// Take gets a signal; it waits until there is room, or the context ends.
	Take func(context.Context, Signal) error
	// Tell is told what is wrong; nil when it works.
	Tell func(error)
}

// lookup bounds a question to the broker: it has other addresses to try meanwhile.
const lookup = 10 * time.Second

// Run reads until ctx ends. It connects again after failures.
func (t *Topic) Run(ctx context.Context) error {
	for {
		err := t.read(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		t.Tell(errs.E(errs.Unavailable, "signal topic %s: %w", t.Name, err))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(t.Poll):
		}
	}
}

// read reads on one consumer.
func (t *Topic) read(ctx context.Context) error {
	m := kafka.ConfigMap{}
	for k, v := range t.Client {
		m[k] = v
	}
	for k, v := range map[string]kafka.ConfigValue{
		"group.id": t.Group, "enable.auto.commit": false, "enable.auto.offset.store": false, "isolation.level": "read_committed", "auto.offset.reset": t.reset(),
		// Signals are few and small: memory stays small too.
		"fetch.message.max.bytes": 1 << 20, "queued.max.messages.kbytes": 1 << 10, "go.events.channel.size": 1,
	} {
		m[k] = v
	}
	c, err := kafka.NewConsumer(&m)
	if err != nil {
		return err
	}
	defer c.Close()
	from, err := t.place(c)
	if err != nil {
		return err
	}
	if err := c.Assign([]kafka.TopicPartition{{Topic: &t.Name, Partition: 0, Offset: from}}); err != nil {
		return err
	}
	for ctx.Err() == nil {
		r, err := c.ReadMessage(100 * time.Millisecond) // how long an end may have to wait for us
		var failed kafka.Error
		switch {
		case errors.As(err, &failed) && failed.Code() == kafka.ErrTimedOut:
			t.Tell(nil)
			continue
		case err != nil:
			return err
		}
		t.Tell(nil)
		if err := t.record(ctx, r); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (t *Topic) reset() string {
	if t.FromEnd {
		return "latest"
	}
	return "earliest"
}

// place is where to begin.
func (t *Topic) place(c *kafka.Consumer) (kafka.Offset, error) {
	if t.Next > 0 {
		return kafka.Offset(t.Next), nil
	}
	at, err := c.Committed([]kafka.TopicPartition{{Topic: &t.Name, Partition: 0}}, int(lookup.Milliseconds()))
	if err != nil {
		return 0, fmt.Errorf("place of group %s: %w", t.Group, err)
	}
	if len(at) == 1 && at[0].Offset >= 0 {
		return at[0].Offset, nil
	}
	if t.FromEnd {
		return kafka.OffsetEnd, nil
	}
	return kafka.OffsetBeginning, nil
}

// record hands a record's signal on. Others' records and those that are no signals are passed over.
func (t *Topic) record(ctx context.Context, r *kafka.Message) error {
	next := int64(r.TopicPartition.Offset) + 1
	if string(r.Key) != t.Key || len(r.Value) == 0 {
		t.Next = next
		return nil
	}
	s, err := Decode(r.Value, Kafka)
	if err != nil {
		t.Tell(fmt.Errorf("record %d of signal topic %s: %w", next-1, t.Name, err))
		t.Next = next
		return nil
	}
	s.Next = next
	if err := t.Take(ctx, s); err != nil {
		return err
	}
	t.Next = next
	return nil
}
