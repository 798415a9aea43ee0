package publisher

import (
	"context"
	"fmt"
	"strconv"

	"github.com/rowmesh/rowmesh/publisher/kafka"
)

// deadLetters takes records that cannot be sent, as errors.tolerance and errors.deadletterqueue.topic.name say. Kafka Connect has dead letters for sinks only;
// the names of its headers are used here too.
type deadLetters struct {
	tolerate bool
	topic    string // empty: logged and counted
	id       int32
	parts    int32
	batch    kafka.Batch
}

// letter is one record that cannot be sent.
type letter struct {
	topic, place, stage string
	class               string // of the transform, if one failed
	key                 []byte
	value               []byte // nil where it is what cannot be sent
	err                 error
}

// toleranceExceeded are Kafka Connect's words for what errors.tolerance=none does; people and their alerts look for them.
const toleranceExceeded = "Tolerance exceeded in error handler"

// maxLetterKey and maxLetterValue bound what goes along: a key may be what is too large, and a value must leave room for the headers in a record of 1 MiB.
const (
	maxLetterKey   = 64 << 10
	maxLetterValue = 768 << 10
)

// reject returns the error that stops the lane, or nil after the letter is in the same transaction as the rows around it.
func (d *deadLetters) reject(ctx context.Context, s *sink, l letter) error {
	if !d.tolerate {
		if l.stage == stageProduce {
			return l.err
		}
		return fmt.Errorf("%s: %w", toleranceExceeded, l.err)
	}
	t := s.t
	t.p.metrics.rejected.WithLabelValues(t.id.Connector, l.topic).Inc()
	t.log.Error("record not sent", "topic", l.topic, "place", l.place, "error", l.err, "deadLetterTopic", d.topic)
	t.status.warn("tolerance "+l.topic, fmt.Sprintf("errors.tolerance=all: records of topic %s were not sent, the last one at %s: %v", l.topic, l.place, l.err))
	if d.topic == "" {
		return nil
	}
	if d.parts == 0 {
		n, err := s.ensure(ctx, d.topic, kafka.TopicSpec{Partitions: 1, ReplicationFactor: -1})
		if err != nil {
			return fmt.Errorf("dead letter queue: %w", err)
		}
		if d.id, err = t.producer.Topic(d.topic); err != nil {
			return fmt.Errorf("dead letter queue: %w", err)
		}
		d.parts = n
	}
	if err := t.begin(); err != nil {
		return err
	}
	d.batch.Reset()
	if len(l.key) > maxLetterKey {
		l.key = nil
	}
	if len(l.value) > maxLetterValue {
		l.value = nil
	}
	d.batch.Add(d.id, 0, kafka.None, l.key, l.value)
	r := &d.batch.Records[0]
	for _, h := range []struct{ name, value string }{
		{"__connect.errors.topic", l.topic},
		{"__connect.errors.connector.name", t.id.Connector},
		{"__connect.errors.task.id", strconv.Itoa(int(t.id.Task))},
		{"__connect.errors.stage", l.stage},
		{"__connect.errors.class.name", l.class},
		{"__connect.errors.exception.message", l.err.Error()},
		{"__rowmesh.errors.source.position", l.place},
	} {
		if h.value == "" {
			continue
		}
		d.batch.Own = append(d.batch.Own, kafka.OwnHeader{Name: s.headerName(h.name), Off: int32(len(d.batch.Arena)), Len: int32(len(h.value))})
		d.batch.Arena = append(d.batch.Arena, h.value...)
	}
	r.OwnCount = int32(len(d.batch.Own))
	return t.producer.Produce(ctx, &d.batch)
}
