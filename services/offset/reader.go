package offset

import (
	"context"
	"fmt"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/rowmesh/rowmesh/services/errs"
)

// reader is one read_committed consumer without a group, and an admin view of it.
type reader struct {
	s     *Store
	c     *kafka.Consumer
	admin *kafka.AdminClient
}

func (s *Store) open() (*reader, error) {
	m := s.client()
	for k, v := range map[string]kafka.ConfigValue{
		"group.id":                 "rowmesh-offsets", // required by the library; nothing is committed or joined
		"enable.auto.commit":       false,
		"enable.auto.offset.store": false,
		"isolation.level":          "read_committed",
		"enable.partition.eof":     true,
		"auto.offset.reset":        "error", // records that vanish under us are no reason to start elsewhere in silence
		// Memory: at most 1 MiB of fetched records and 8 MiB of queue, however long the topic is.
		"fetch.message.max.bytes":    1 << 20,
		"queued.max.messages.kbytes": 8 << 10,
		"fetch.wait.max.ms":          50, // how long an empty fetch stands at the end, behind an open transaction
		"go.events.channel.size":     1,
	} {
		m[k] = v
	}
	c, err := kafka.NewConsumer(&m)
	if err != nil {
		return nil, errs.E(errs.Invalid, "Kafka client for the offsets topic: %w", err)
	}
	a, err := kafka.NewAdminClientFromConsumer(c)
	if err != nil {
		c.Close()
		return nil, failed("Kafka client for the offsets topic", err)
	}
	return &reader{s: s, c: c, admin: a}, nil
}

func (r *reader) close() { r.c.Close() }

// ensure returns the number of partitions of the topic, which it makes if it is missing.
func (r *reader) ensure(ctx context.Context) (int32, error) {
	topic := r.s.cfg.Topic
	for wait, made := 10*time.Millisecond, false; ; wait = min(2*wait, time.Second) {
		res, err := r.admin.DescribeTopics(ctx, kafka.NewTopicCollectionOfTopicNames([]string{topic}))
		if err == nil {
			d := res.TopicDescriptions[0]
			switch d.Error.Code() {
			case kafka.ErrNoError:
				return int32(len(d.Partitions)), nil
			case kafka.ErrUnknownTopicOrPart:
				err = nil
			default:
				err = d.Error
			}
		}
		if err != nil {
			return 0, failed(fmt.Sprintf("look up offsets topic %q", topic), err)
		}
		if !made {
			if err := r.create(ctx); err != nil {
				return 0, err
			}
			made = true
		}
		select { // the other brokers hear of a new topic later than the controller
		case <-ctx.Done():
			return 0, errs.E(errs.Unavailable, "offsets topic %q was made but does not appear: %w", topic, ctx.Err())
		case <-time.After(wait):
		}
	}
}

func (r *reader) create(ctx context.Context) error {
	cfg := &r.s.cfg
	res, err := r.admin.CreateTopics(ctx, []kafka.TopicSpecification{{
		Topic: cfg.Topic, NumPartitions: cfg.Partitions, ReplicationFactor: cfg.ReplicationFactor,
		// A checkpoint is worth nothing once the next is there: small segments let the cleaner keep the topic at a few megabytes.
		Config: map[string]string{"cleanup.policy": "compact", "segment.bytes": "33554432"},
	}})
	if err == nil && res[0].Error.Code() != kafka.ErrNoError && res[0].Error.Code() != kafka.ErrTopicAlreadyExists {
		err = res[0].Error
	}
	if err != nil {
		return failed(fmt.Sprintf("create offsets topic %q (partitions %d, replication factor %d)", cfg.Topic, cfg.Partitions, cfg.ReplicationFactor), err)
	}
	return nil
}

// compacted refuses a topic that deletes records by age: a lane that is stopped, or has nothing to do, for that long would lose its place in silence. Kafka
// Connect refuses it too, and like this goes on where it may not ask (DescribeConfigs on the topic).
func (r *reader) compacted(ctx context.Context) error {
	topic := r.s.cfg.Topic
	res, err := r.admin.DescribeConfigs(ctx, []kafka.ConfigResource{{Type: kafka.ResourceTopic, Name: topic}})
	if err != nil || len(res) != 1 || res[0].Error.Code() != kafka.ErrNoError {
		return nil
	}
	if policy, ok := res[0].Config["cleanup.policy"]; ok && policy.Value != "compact" {
		return errs.E(errs.Invalid, "offsets topic %q has cleanup.policy=%s: places would be deleted by age; set it to compact (kafka-configs --alter --entity-type topics "+
			"--entity-name %s --add-config cleanup.policy=compact)", topic, policy.Value, topic)
	}
	return nil
}

// bounds returns the first offset and the high watermark as a read_uncommitted reader sees it.
func (r *reader) bounds(ctx context.Context, partition int32) (low, high int64, err error) {
	if low, err = r.end(ctx, partition, kafka.EarliestOffsetSpec); err != nil {
		return 0, 0, err
	}
	high, err = r.end(ctx, partition, kafka.LatestOffsetSpec)
	return low, high, err
}

// electionTime bounds the wait for a partition's leader: a new topic has none for a moment, and a broker that went away is replaced in seconds.
const electionTime = 15 * time.Second

// end returns one end of a partition, and waits for its leader.
func (r *reader) end(ctx context.Context, partition int32, spec kafka.OffsetSpec) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, electionTime)
	defer cancel()
	tp := kafka.TopicPartition{Topic: &r.s.cfg.Topic, Partition: partition}
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		res, err := r.admin.ListOffsets(ctx, map[kafka.TopicPartition]kafka.OffsetSpec{tp: spec}, kafka.SetAdminIsolationLevel(kafka.IsolationLevelReadUncommitted))
		for _, info := range res.ResultInfos {
			if info.Error.Code() == kafka.ErrNoError && err == nil {
				return int64(info.Offset), nil
			}
			err = info.Error
		}
		if err == nil {
			err = kafka.NewError(kafka.ErrUnknownPartition, "", false)
		}
		switch code := err.(type) {
		case kafka.Error:
			switch code.Code() {
			case kafka.ErrNotLeaderForPartition, kafka.ErrLeaderNotAvailable, kafka.ErrUnknownTopicOrPart, kafka.ErrUnknownPartition, kafka.ErrKafkaStorageError,
				kafka.ErrReplicaNotAvailable, kafka.ErrFencedLeaderEpoch, kafka.ErrUnknownLeaderEpoch, kafka.ErrTransport:
				select {
				case <-ctx.Done():
				case <-time.After(wait):
					continue
				}
			}
		}
		return 0, failed(fmt.Sprintf("ends of offsets topic %q, partition %d", *tp.Topic, partition), err)
	}
}

// scan calls f with each committed record in [start, end), and returns when the reader's position is at end or beyond; f's arguments are only good during
// the call.
func (r *reader) scan(ctx context.Context, partition int32, start, end int64, f func(key, value []byte)) error {
	if start >= end {
		return nil
	}
	tp := kafka.TopicPartition{Topic: &r.s.cfg.Topic, Partition: partition, Offset: kafka.Offset(start)}
	if err := r.c.Assign([]kafka.TopicPartition{tp}); err != nil {
		return failed("read offsets", err)
	}
	defer r.c.Unassign()
	ctx, cancel := context.WithTimeout(ctx, scanDeadline)
	defer cancel()
	at, last := start, error(nil)
	for ctx.Err() == nil {
		switch e := r.c.Poll(100).(type) {
		case *kafka.Message:
			if e.TopicPartition.Error != nil {
				return failed("read offsets", e.TopicPartition.Error)
			}
			at = int64(e.TopicPartition.Offset) + 1
			if at <= end {
				f(e.Key, e.Value)
			}
		case kafka.PartitionEOF:
			// The position includes commit markers and aborted records, which are no messages. Below the high watermark it is the last stable offset:
			// somebody's transaction is open, and what was committed behind it shows when that ends.
			at = max(at, int64(e.Offset))
		case kafka.Error:
			if last = e; e.IsFatal() || e.Code() == kafka.ErrAutoOffsetReset {
				return failed("read offsets", e)
			}
		}
		if at >= end {
			return nil
		}
	}
	if last == nil {
		last = ctx.Err()
	}
	return errs.E(errs.Unavailable, "read offsets: topic %q, partition %d stands at %d of %d, probably behind a transaction that somebody keeps open: %w",
		r.s.cfg.Topic, partition, at, end, last)
}
