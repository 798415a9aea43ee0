package history

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/rowmesh/rowmesh/services/errs"
)

// Topic is where a connector's history is.
type Topic struct {
	// Name is schema.history.internal.kafka.topic.
	Name string
	// Client holds librdkafka's properties, bootstrap.servers among them.
	Client map[string]string
	// Timeout bounds a question to the brokers and a pause between two records. Default 10 s, as schema.history.internal.kafka.recovery.attempts times
	// recovery.poll.interval.ms.
	Timeout time.Duration
}

const defaultTimeout = 10 * time.Second

// renew is what can be done about a topic that cannot be used.
const renew = "name another topic in schema.history.internal.kafka.topic, and start once with snapshot.mode=recovery (right if no table has changed since the connector's offset) " +
	"or no_data (a new start from today)"

// Read calls f with each record of the history of a connector (server is its topic.prefix), in order. found is false where there is no topic, or nothing in it. What is
// not a record, or is damaged, ends it with an error of kind Corrupt that names the offset; records of other connectors are passed over, but there
// must be some of this one.
func (t Topic) Read(ctx context.Context, server string, f func(r *Record) error) (found bool, err error) {
	s, err := t.open()
	if err != nil {
		return false, err
	}
	defer s.c.Close()
	low, high, err := s.bounds(ctx)
	if err != nil || low == high {
		return false, err
	}
	if low > 0 {
		return false, errs.E(errs.Corrupt, "schema history topic %q begins at offset %d: what was before it has been deleted (set cleanup.policy=delete and retention.ms=-1 on such topics), "+
			"and tables cannot be rebuilt from the rest; %s", t.Name, low, renew)
	}
	others := map[string]bool{}
	err = s.scan(ctx, low, high, func(at int64, value []byte) error {
		if value == nil { // Debezium passes it over too
			return nil
		}
		r, err := Parse(value)
		if err != nil {
			return errs.E(errs.Corrupt, "schema history topic %q, offset %d: %w; %s", t.Name, at, err, renew)
		}
		if r.Server != server {
			others[r.Server] = true
			return nil
		}
		found = true
		r.Origin = fmt.Sprintf("schema history topic %q, offset %d", t.Name, at)
		return f(r)
	})
	if err == nil && !found && len(others) > 0 {
		return false, errs.E(errs.Corrupt, "schema history topic %q has nothing of topic.prefix %q, but records of %d other connectors (%q is one); is the topic the right one? Else %s",
			t.Name, server, len(others), first(others), renew)
	}
	return found, err
}

func first(m map[string]bool) string {
	for k := range maps.Keys(m) {
		return k
	}
	return ""
}

// session is a consumer of the topic's one partition.
type session struct {
	t     Topic
	c     *kafka.Consumer
	admin *kafka.AdminClient
}

func (t Topic) open() (*session, error) {
	if t.Timeout <= 0 {
		t.Timeout = defaultTimeout
	}
	m := kafka.ConfigMap{}
	for k, v := range t.Client {
		m[k] = v
	}
	for k, v := range map[string]kafka.ConfigValue{
		"group.id":                 "rowmesh-history", // required by the library; nothing is committed or joined
		"enable.auto.commit":       false,
		"enable.auto.offset.store": false,
		"isolation.level":          "read_committed",
		"enable.partition.eof":     true,
		"auto.offset.reset":        "error",
		// Memory: some MiB, however long the topic is. A record of a table of 4,096 columns has 2 MB.
		"fetch.message.max.bytes":    1 << 20,
		"queued.max.messages.kbytes": 8 << 10,
		"go.events.channel.size":     1,
	} {
		m[k] = v
	}
	c, err := kafka.NewConsumer(&m)
	if err != nil {
		return nil, errs.E(errs.Invalid, "Kafka client for schema history topic %q: %w", t.Name, err)
	}
	a, err := kafka.NewAdminClientFromConsumer(c)
	if err != nil {
		c.Close()
		return nil, errs.E(errs.Internal, "Kafka client for schema history topic %q: %w", t.Name, err)
	}
	return &session{t, c, a}, nil
}

// bounds returns the first offset and the one behind the last; both 0 where there is no topic.
func (s *session) bounds(ctx context.Context) (low, high int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.t.Timeout)
	defer cancel()
	away := func(err error) error {
		return errs.E(errs.Unavailable, "read schema history topic %q at %s: %w", s.t.Name, s.t.Client["bootstrap.servers"], err)
	}
	res, err := s.admin.DescribeTopics(ctx, kafka.NewTopicCollectionOfTopicNames([]string{s.t.Name}), kafka.SetAdminRequestTimeout(s.t.Timeout))
	if err != nil {
		return 0, 0, away(err)
	}
	for _, d := range res.TopicDescriptions {
		switch d.Error.Code() {
		case kafka.ErrNoError:
		case kafka.ErrUnknownTopicOrPart, kafka.ErrUnknownTopic:
			return 0, 0, nil
		case kafka.ErrTopicAuthorizationFailed:
			return 0, 0, errs.E(errs.Denied, "read schema history topic %q: %w; grant READ and DESCRIBE on it", s.t.Name, d.Error)
		default:
			return 0, 0, away(d.Error)
		}
		if n := len(d.Partitions); n != 1 {
			return 0, 0, errs.E(errs.Invalid, "schema history topic %q has %d partitions, between which records have no order; it must have one: %s", s.t.Name, n, renew)
		}
	}
	for _, end := range []struct {
		spec kafka.OffsetSpec
		to   *int64
	}{{kafka.EarliestOffsetSpec, &low}, {kafka.LatestOffsetSpec, &high}} {
		tp := kafka.TopicPartition{Topic: &s.t.Name, Partition: 0}
		res, err := s.admin.ListOffsets(ctx, map[kafka.TopicPartition]kafka.OffsetSpec{tp: end.spec}, kafka.SetAdminRequestTimeout(s.t.Timeout))
		if err != nil {
			return 0, 0, away(err)
		}
		for _, info := range res.ResultInfos {
			if info.Error.Code() != kafka.ErrNoError {
				return 0, 0, away(info.Error)
			}
			*end.to = int64(info.Offset)
		}
	}
	return low, high, nil
}

// scan calls f with the records from low to high.
func (s *session) scan(ctx context.Context, low, high int64, f func(at int64, value []byte) error) error {
	tp := kafka.TopicPartition{Topic: &s.t.Name, Partition: 0, Offset: kafka.Offset(low)}
	what := fmt.Sprintf("read schema history topic %q", s.t.Name)
	if err := s.c.Assign([]kafka.TopicPartition{tp}); err != nil {
		return errs.E(errs.Unavailable, "%s: %w", what, err)
	}
	at, moved := low, time.Now()
	var last error
	for at < high {
		if err := ctx.Err(); err != nil {
			return err
		}
		if time.Since(moved) > s.t.Timeout {
			return errs.E(errs.Unavailable, "%s: nothing came for %v at offset %d of %d (last problem: %v); raise schema.history.internal.kafka.recovery.attempts if the brokers are slow",
				what, s.t.Timeout, at, high, last)
		}
		switch e := s.c.Poll(100).(type) {
		case *kafka.Message:
			if e.TopicPartition.Error != nil {
				return errs.E(errs.Unavailable, "%s: %w", what, e.TopicPartition.Error)
			}
			at, moved = int64(e.TopicPartition.Offset), time.Now()
			if at >= high {
				return nil
			}
			if err := f(at, e.Value); err != nil {
				return err
			}
			at++
		case kafka.PartitionEOF: // the position counts markers and aborted records, which are no messages
			at = max(at, int64(e.Offset))
		case kafka.Error:
			if last = e; e.IsFatal() || e.Code() == kafka.ErrAutoOffsetReset {
				return errs.E(errs.Unavailable, "%s: %w", what, e)
			}
		}
	}
	return nil
}
