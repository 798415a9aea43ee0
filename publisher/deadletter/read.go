package deadletter

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"google.golang.org/protobuf/proto"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
)

// Topic is a topic of dead letters, or one that records of them belong to, as a reader sees it: committed records up to where they end now.
type Topic struct {
	// Client holds librdkafka's properties: bootstrap.servers and how to connect.
	Client map[string]string
	Name   string
}

// idle is how long a broker may say nothing before reading gives up.
const idle = 30 * time.Second

// Consumer makes a consumer without a group. Memory: at most 1 MiB a fetch and 8 MiB of queue, however long the topic is.
func (t Topic) Consumer() (*kafka.Consumer, error) {
	m := kafka.ConfigMap{}
	for k, v := range t.Client {
		m[k] = v
	}
	maps.Copy(m, kafka.ConfigMap{
		"group.id": "rowmesh-deadletter", "enable.auto.commit": false, "enable.auto.offset.store": false, "isolation.level": "read_committed", "enable.partition.eof": true,
		"auto.offset.reset": "error", "fetch.message.max.bytes": 1 << 20, "queued.max.messages.kbytes": 8 << 10, "fetch.wait.max.ms": 50, "allow.auto.create.topics": false,
	})
	c, err := kafka.NewConsumer(&m)
	if err != nil {
		return nil, errs.E(errs.Invalid, "Kafka client: %w", err)
	}
	return c, nil
}

// Partitions returns how many partitions the topic has; NotFound if it is not there.
func (t Topic) Partitions(c *kafka.Consumer) (int, error) {
	m, err := c.GetMetadata(&t.Name, false, int(idle.Milliseconds()))
	if err != nil {
		return 0, errs.E(errs.Unavailable, "look up topic %q: %w", t.Name, err)
	}
	info := m.Topics[t.Name]
	switch info.Error.Code() {
	case kafka.ErrNoError:
		return len(info.Partitions), nil
	case kafka.ErrUnknownTopicOrPart:
		return 0, errs.E(errs.NotFound, "there is no topic %q", t.Name)
	}
	return 0, errs.E(errs.Unavailable, "look up topic %q: %w", t.Name, info.Error)
}

// Read calls f with each committed record of a partition from an offset on (kafka.OffsetBeginning: all), up to the end as it is now. f's error ends it.
func (t Topic) Read(ctx context.Context, c *kafka.Consumer, partition int32, from kafka.Offset, f func(*kafka.Message) error) error {
	low, high, err := c.QueryWatermarkOffsets(t.Name, partition, int(idle.Milliseconds()))
	if err != nil {
		return errs.E(errs.Unavailable, "ends of topic %q, partition %d: %w", t.Name, partition, err)
	}
	at := max(int64(from), low)
	if at >= high {
		return nil
	}
	if err := c.Assign([]kafka.TopicPartition{{Topic: &t.Name, Partition: partition, Offset: kafka.Offset(at)}}); err != nil {
		return errs.E(errs.Unavailable, "read topic %q: %w", t.Name, err)
	}
	defer c.Unassign()
	for heard := time.Now(); at < high; {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch e := c.Poll(100).(type) {
		case *kafka.Message:
			if e.TopicPartition.Error != nil {
				return errs.E(errs.Unavailable, "read topic %q: %w", t.Name, e.TopicPartition.Error)
			}
			if heard, at = time.Now(), int64(e.TopicPartition.Offset)+1; at <= high {
				if err := f(e); err != nil {
					return err
				}
			}
		case kafka.PartitionEOF: // counts marks of commits and aborted records, which are no messages
			heard, at = time.Now(), max(at, int64(e.Offset))
		case kafka.Error:
			if e.IsFatal() || e.Code() == kafka.ErrAutoOffsetReset {
				return errs.E(errs.Unavailable, "read topic %q: %w", t.Name, e)
			}
		}
		if time.Since(heard) > idle {
			return errs.E(errs.Unavailable, "read topic %q, partition %d: it stands at %d of %d, probably behind a transaction that somebody keeps open", t.Name, partition, at, high)
		}
	}
	return nil
}

// Letters calls f with the letters of a connector (empty: of all), oldest first in each partition, each with what became of it. The topic is read twice: what
// became of a letter stands behind it.
func Letters(ctx context.Context, t Topic, connector string, f func(*Letter) error) error {
	c, err := t.Consumer()
	if err != nil {
		return err
	}
	defer c.Close()
	n, err := t.Partitions(c)
	if err != nil {
		return err
	}
	for p := range int32(n) {
		outcomes := map[string]string{}
		if err := t.Read(ctx, c, p, kafka.OffsetBeginning, func(m *kafka.Message) error {
			if x := parse(recordOf(m)); x.mark != "" {
				outcomes[x.mark] = x.letter.Outcome
			}
			return nil
		}); err != nil {
			return err
		}
		j := joiner{open: map[string]*pieces{}}
		if err := t.Read(ctx, c, p, kafka.OffsetBeginning, func(m *kafka.Message) error {
			l := j.take(m)
			if l == nil || connector != "" && l.Connector != connector {
				return nil
			}
			l.Outcome = outcomes[fmt.Sprintf("%d:%d", l.Partition, l.Offset)]
			return f(l)
		}); err != nil {
			return err
		}
	}
	return nil
}

func recordOf(m *kafka.Message) Record {
	r := Record{Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, Header{h.Key, h.Value})
	}
	return r
}

// joiner puts letters together whose rows are spread over records. Those of one lane follow each other.
type joiner struct {
	open map[string]*pieces // by connector and lane
}

type pieces struct {
	letter *Letter
	row    []byte
	next   int
}

// take takes a record and returns a letter that is complete; nil if none is.
func (j *joiner) take(m *kafka.Message) *Letter {
	x := parse(recordOf(m))
	if x.mark != "" || x.notALetter {
		return nil
	}
	id := fmt.Sprintf("%s/%d", x.letter.Connector, x.letter.Task)
	if x.part == 1 {
		l := x.letter
		l.Partition, l.Offset, l.Time = m.TopicPartition.Partition, int64(m.TopicPartition.Offset), m.Timestamp
		j.open[id] = &pieces{letter: &l}
	}
	p := j.open[id]
	if p == nil || p.next+1 != x.part { // the first was deleted by age
		delete(j.open, id)
		return nil
	}
	p.row, p.next = append(p.row, x.piece...), x.part
	if x.part < x.of {
		return nil
	}
	delete(j.open, id)
	if len(p.row) > 0 {
		row := &rowv1.FailedRow{}
		if proto.Unmarshal(p.row, row) == nil && row.Table != nil && row.Batch != nil {
			p.letter.Row = row
		}
	}
	return p.letter
}
