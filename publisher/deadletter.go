package publisher

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/publisher/convert"
	"github.com/rowmesh/rowmesh/publisher/deadletter"
	"github.com/rowmesh/rowmesh/publisher/kafka"
	"github.com/rowmesh/rowmesh/services/config"
)

// deadLetters takes records that cannot be sent, as errors.tolerance, errors.log.* and errors.deadletterqueue.* say.
type deadLetters struct {
	tolerate bool
	topic    string // empty: logged and counted
	spec     kafka.TopicSpec
	log      bool // errors.log.enable
	contents bool // errors.log.include.messages
	id       int32
	parts    int32
	batch    kafka.Batch
}

func newDeadLetters(cfg *config.Connector) deadLetters {
	d := deadLetters{tolerate: cfg.ErrorsTolerance == "all", topic: cfg.Errors.DeadLetterTopic, log: cfg.Errors.Log, contents: cfg.Errors.LogContents}
	// One partition, so that letters keep their order; never compacted, as letters of one key are not versions of one thing.
	d.spec = kafka.TopicSpec{Partitions: 1, ReplicationFactor: cmp.Or(cfg.Errors.DeadLetterReplication, -1), Configs: map[string]string{"cleanup.policy": "delete"}}
	return d
}

// toleranceExceeded are Kafka Connect's words for what errors.tolerance=none does; people and their alerts look for them.
const toleranceExceeded = "Tolerance exceeded in error handler"

// Classes of Java's exceptions for what fails here, as dead letters name them.
const (
	dataException     = "org.apache.kafka.connect.errors.DataException"
	tooLargeException = "org.apache.kafka.common.errors.RecordTooLargeException"
	invalidPartition  = "org.apache.kafka.common.errors.InvalidTopicException"
)

// origin is a record as the encoder wrote it, and the batch that it comes from; nil for statements.
type origin struct {
	o *convert.Output
	i int
	b *rowv1.Batch
}

func (o origin) record() *convert.Record { return &o.o.Records[o.i] }

// place says where the record comes from.
func (o origin) place() string { return placeOf(o.record(), o.b) }

// number is the record's among those of its row.
func (o origin) number() uint32 {
	r, n := o.record(), uint32(0)
	for j := o.i - 1; j >= 0 && o.o.Records[j].Group == r.Group && o.o.Records[j].Row == r.Row; j-- {
		n++
	}
	return n
}

// letter makes a letter of a record, with its row where the letter will be kept.
func (s *sink) letter(from origin, l deadletter.Letter) deadletter.Letter {
	r := from.record()
	l.Position, l.GTID = from.place(), s.gtidOf(from.b, int(r.Group))
	if s.dead.keeps() && from.b != nil && r.Group >= 0 && int(r.Group) < len(from.b.GroupSchema) {
		n := from.number()
		l.Row = s.failedRow(from.b, int(r.Group), int(r.Row), &n)
	}
	return l
}

// keeps reports whether letters are written.
func (d *deadLetters) keeps() bool { return d.tolerate && d.topic != "" }

// failedRow returns a row of a batch for its letter; nil if it cannot be cut out, which the letter's position makes up for.
func (s *sink) failedRow(b *rowv1.Batch, group, i int, record *uint32) *rowv1.FailedRow {
	table := s.t.encoder.Table(b.GroupSchema[group])
	if table == nil {
		return nil
	}
	out, err := deadletter.Cut(b, table, group, i)
	if err != nil {
		s.t.log.Warn("dead letter without its row", "error", err)
		return nil
	}
	out.Record = record
	return out
}

// gtidOf is the GTID of a group's transaction, empty if it has none.
func (s *sink) gtidOf(b *rowv1.Batch, group int) string {
	if b == nil || group < 0 {
		return ""
	}
	txn := int(at(b.GroupTxn, group))
	sid := int(at(b.TxnSid, txn))
	if sid == 0 || sid > len(b.Sids) {
		return ""
	}
	separator := ":"
	if s.t.cfg.Flavor == config.MariaDB {
		separator = "-"
	}
	return fmt.Sprint(b.Sids[sid-1], separator, at(b.TxnGno, txn))
}

// reject returns the error that stops the lane, or nil after the letter is in the same transaction as the rows around it.
func (d *deadLetters) reject(ctx context.Context, s *sink, l deadletter.Letter, err error) error {
	if !d.tolerate {
		if l.Stage == stageProduce {
			return err
		}
		return fmt.Errorf("%s: %w", toleranceExceeded, err)
	}
	t := s.t
	l.Connector, l.Task, l.Message = t.id.Connector, t.id.Task, err.Error()
	t.p.metrics.rejected.WithLabelValues(t.id.Connector, l.Topic).Inc()
	if d.log || d.topic == "" { // a record that is nowhere else is at least in the log
		t.log.Error("Error encountered in task", d.details(&l)...)
	}
	t.status.warn("tolerance "+l.Topic, fmt.Sprintf("errors.tolerance=all: records of topic %s were not sent, the last one at %s: %v", l.Topic, l.Position, err))
	if d.topic == "" {
		return nil
	}
	return d.write(ctx, s, &l)
}

// maxLogged bounds a key or a value in the log.
const maxLogged = 1 << 10

// details are what the log says of a letter.
func (d *deadLetters) details(l *deadletter.Letter) []any {
	out := []any{"stage", l.Stage, "class", l.Class, "topic", l.Topic, "place", l.Position, "error", l.Message, "deadLetterTopic", d.topic}
	if d.contents {
		out = append(out, "key", shortened(l.Key), "value", shortened(l.Value))
	}
	return out
}

func shortened(b []byte) string {
	if len(b) > maxLogged {
		return strings.ToValidUTF8(string(b[:maxLogged]), "") + "..."
	}
	return string(b)
}

// write adds a letter to the transaction.
func (d *deadLetters) write(ctx context.Context, s *sink, l *deadletter.Letter) error {
	t := s.t
	if d.parts == 0 {
		n, err := s.ensure(ctx, d.topic, d.spec)
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
	records, err := l.Records(min(t.maxRecord(), deadletter.MaxBytes))
	if err != nil {
		return fmt.Errorf("dead letter queue: %w", err)
	}
	d.batch.Reset()
	for i := range records {
		addRecord(&d.batch, d.id, 0, &records[i], s.headerName)
	}
	if err := t.producer.Produce(ctx, &d.batch); err != nil {
		return fmt.Errorf("dead letter queue: %w", err)
	}
	return nil
}

// addRecord adds a record of the queue to a batch.
func addRecord(b *kafka.Batch, topic, partition int32, r *deadletter.Record, name func(string) int32) {
	b.Add(topic, partition, kafka.None, r.Key, r.Value)
	k := &b.Records[len(b.Records)-1]
	k.OwnFrom, k.OwnCount = int32(len(b.Own)), int32(len(r.Headers))
	for _, h := range r.Headers {
		b.Own = append(b.Own, kafka.OwnHeader{Name: name(h.Name), Off: int32(len(b.Arena)), Len: int32(len(h.Value))})
		b.Arena = append(b.Arena, h.Value...)
	}
}
