package offset

import (
	"cmp"
	"context"
	"errors"
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

// span is the records of a partition from start on and before end.
type span struct{ start, end int64 }

// bounds returns, for each of the partitions, the first offset and the high watermark as a read_uncommitted reader sees it.
func (r *reader) bounds(ctx context.Context, partitions ...int32) (map[int32]span, error) {
	low, err := r.ends(ctx, partitions, kafka.EarliestOffsetSpec)
	if err != nil {
		return nil, err
	}
	high, err := r.ends(ctx, partitions, kafka.LatestOffsetSpec)
	if err != nil {
		return nil, err
	}
	out := map[int32]span{}
	for _, p := range partitions {
		out[p] = span{low[p], high[p]}
	}
	return out, nil
}

// electionTime bounds the wait for a partition's leader: a new topic has none for a moment, and a broker that went away is replaced in seconds.
const electionTime = 15 * time.Second

// ends returns one end of each of the partitions, and waits for their leaders.
func (r *reader) ends(ctx context.Context, partitions []int32, spec kafka.OffsetSpec) (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, electionTime)
	defer cancel()
	topic, out := &r.s.cfg.Topic, map[int32]int64{}
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		ask := map[kafka.TopicPartition]kafka.OffsetSpec{}
		for _, p := range partitions {
			if _, ok := out[p]; !ok {
				ask[kafka.TopicPartition{Topic: topic, Partition: p}] = spec
			}
		}
		why := error(kafka.NewError(kafka.ErrUnknownPartition, "no answer for it", false))
		res, err := r.admin.ListOffsets(ctx, ask, kafka.SetAdminIsolationLevel(kafka.IsolationLevelReadUncommitted))
		for tp, info := range res.ResultInfos {
			switch {
			case info.Error.Code() == kafka.ErrNoError && err == nil:
				out[tp.Partition] = int64(info.Offset)
			case info.Error.Code() != kafka.ErrNoError:
				why = fmt.Errorf("partition %d: %w", tp.Partition, info.Error)
			}
		}
		if len(out) == len(partitions) {
			return out, nil
		}
		if err != nil {
			why = err
		}
		if !awaitsLeader(why) || ctx.Err() != nil {
			return nil, failed(fmt.Sprintf("ends of offsets topic %q", *topic), why)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// awaitsLeader says whether an error is that of a partition which has no leader for the moment.
func awaitsLeader(err error) bool {
	var e kafka.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() {
	case kafka.ErrNotLeaderForPartition, kafka.ErrLeaderNotAvailable, kafka.ErrUnknownTopicOrPart, kafka.ErrUnknownPartition, kafka.ErrKafkaStorageError,
		kafka.ErrReplicaNotAvailable, kafka.ErrFencedLeaderEpoch, kafka.ErrUnknownLeaderEpoch, kafka.ErrTransport:
		return true
	}
	return false
}

// scan calls f with each committed record of the spans, and returns when the reader's positions are at their ends or beyond; f's arguments are only good during
// the call. Records of one partition come in order.
func (r *reader) scan(ctx context.Context, spans map[int32]span, f func(partition int32, key, value []byte)) error {
	var assign []kafka.TopicPartition
	at := map[int32]int64{} // of the partitions that are not at their end
	for p, s := range spans {
		if s.start < s.end {
			at[p] = s.start
			assign = append(assign, kafka.TopicPartition{Topic: &r.s.cfg.Topic, Partition: p, Offset: kafka.Offset(s.start)})
		}
	}
	if len(at) == 0 {
		return nil
	}
	if err := r.c.Assign(assign); err != nil {
		return failed("read offsets", err)
	}
	defer r.c.Unassign()
	ctx, cancel := context.WithTimeout(ctx, scanDeadline)
	defer cancel()
	var last error
	// moved notes how far the reader is in a partition, behind which nothing of its span is left at its end.
	moved := func(p int32, to int64) {
		if from, ok := at[p]; !ok || to <= from {
			return
		}
		if at[p] = to; to >= spans[p].end {
			delete(at, p)
		}
	}
	for ctx.Err() == nil && len(at) > 0 {
		switch e := r.c.Poll(100).(type) {
		case *kafka.Message:
			if e.TopicPartition.Error != nil {
				return failed("read offsets", e.TopicPartition.Error)
			}
			p := e.TopicPartition.Partition
			if int64(e.TopicPartition.Offset) < spans[p].end {
				f(p, e.Key, e.Value)
			}
			moved(p, int64(e.TopicPartition.Offset)+1)
		case kafka.PartitionEOF:
			// The position includes commit markers and aborted records, which are no messages. Below the high watermark it is the last stable offset:
			// somebody's transaction is open, and what was committed behind it shows when that ends.
			moved(e.Partition, int64(e.Offset))
		case kafka.Error:
			if last = e; e.IsFatal() || e.Code() == kafka.ErrAutoOffsetReset {
				return failed("read offsets", e)
			}
		}
	}
	for p, offset := range at {
		return errs.E(errs.Unavailable, "read offsets: topic %q, partition %d stands at %d of %d, probably behind a transaction that somebody keeps open: %w",
			r.s.cfg.Topic, p, offset, spans[p].end, cmp.Or(last, ctx.Err()))
	}
	return nil
}
