package publisher

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"time"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/publisher/convert"
	"github.com/rowmesh/rowmesh/publisher/deadletter"
	"github.com/rowmesh/rowmesh/publisher/kafka"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// topicTimeout bounds the making of one topic.
const topicTimeout = 30 * time.Second

// sink takes encoded records to the producer of one start: topics, partitions, headers, and what cannot be sent.
type sink struct {
	t       *task
	batch   kafka.Batch
	topics  map[*convert.Topic]*target
	context int32                     // id of the context headers, kafka.None before the first use
	extra   [convert.OldKey + 1]int32 // ids of the names of extra headers, kafka.None before the first use
	sticky  int32                     // moves keyless records to another partition with each transaction
	dead    deadLetters
	names   map[string]int32 // ids of the names of other headers
}

// target is a topic as the producer knows it.
type target struct {
	id         int32
	partitions int32
	name       string
	named      uint64 // status.forgotten when the status last named the topic
}

// extraHeaders are the names of convert's extra headers.
var extraHeaders = [...]string{convert.NewKey: "__debezium.newkey", convert.OldKey: "__debezium.oldkey"}

func newSink(t *task) *sink {
	s := &sink{t: t, topics: map[*convert.Topic]*target{}, context: kafka.None, names: map[string]int32{}}
	for i := range s.extra {
		s.extra[i] = kafka.None
	}
	s.dead = newDeadLetters(t.cfg)
	return s
}

// maxRecordBytes is max.request.size.
func maxRecordBytes(cfg *config.Connector) int {
	for _, name := range []string{"message.max.bytes", "max.request.size"} {
		if n, err := strconv.Atoi(cfg.Producer[name]); err == nil && n > 0 {
			return n
		}
	}
	return 1 << 20
}

func (t *task) newEncoder(cfg *config.Connector) (*convert.Encoder, error) {
	if t.stage != nil {
		cfg = encoderConfig(*cfg)
	}
	complete, err := t.postProcess(cfg)
	if err != nil {
		return nil, err
	}
	return convert.New(cfg, convert.Options{
		Complete: complete, Shapes: t.stage != nil, RunID: t.p.cfg.RunID, TaskID: int(t.id.Task), Now: func() int64 { return t.p.out.now().UnixNano() },
		Tolerate: cfg.ErrorsTolerance == "all" || leavesOut(cfg.EventFailure), Blocking: t.waitsBehind(),
	})
}

// send hands records over, beginning a transaction if none is open, and returns their bytes. b is the batch that they come from, nil for statements.
func (s *sink) send(ctx context.Context, o *convert.Output, b *rowv1.Batch) (int64, error) {
	if err := s.notConverted(ctx, o, b); err != nil {
		return 0, err
	}
	from := func(i int) origin { return origin{o, i, b} }
	if s.t.stage != nil && len(o.Records) > 0 {
		in := o
		var err error
		o, err = s.t.stage.run(ctx, in, func(i int, e *stageError) error { return s.rejectStage(ctx, origin{in, i, b}, e) })
		if err = s.t.patience.judge(s.t.p.out.now(), s.t.cfg, s.t.stage, err); err != nil {
			return 0, err
		}
		from = func(i int) origin { return origin{in, s.t.stage.origins[i], b} }
	}
	if len(o.Records) == 0 {
		return 0, nil
	}
	if len(o.Arena) > math.MaxInt32 {
		return 0, errs.E(errs.Invalid, "a batch became %d bytes of records, more than 2 GiB", len(o.Arena))
	}
	if err := s.t.begin(); err != nil {
		return 0, err
	}
	limit := s.t.maxRecord()
	s.batch.Arena, s.batch.Records, s.batch.Own = o.Arena, s.batch.Records[:0], s.batch.Own[:0]
	defer func() { s.batch.Arena = nil }() // it is the output's
	var last *convert.Topic
	var to *target
	var bytes int64
	for i := range o.Records {
		r := &o.Records[i]
		if r.Topic != last {
			var err error
			if to, err = s.target(ctx, r.Topic); err != nil {
				return 0, err
			}
			last = r.Topic
		}
		if r.Partition >= to.partitions {
			if err := s.rejectPartition(ctx, o, r, from(i), to); err != nil {
				return 0, err
			}
			continue
		}
		k := s.record(r, to)
		if n := k.Size(); n > limit {
			if err := s.rejectLarge(ctx, o, r, from(i), n, limit); err != nil {
				return 0, err
			}
			continue
		}
		bytes += int64(k.Size())
		s.batch.Records = append(s.batch.Records, k)
	}
	for first := 0; first < len(s.batch.Records); {
		err := s.t.producer.ProduceFrom(ctx, &s.batch, first)
		var large *kafka.RecordError
		if !errors.As(err, &large) {
			return bytes, err
		}
		// Within the limit but for its headers; rare enough to find the record by its place.
		i := s.find(o, &s.batch.Records[large.Index])
		if err := s.rejectLarge(ctx, o, &o.Records[i], from(i), large.Size, large.Max); err != nil {
			return 0, err
		}
		first = large.Index + 1
	}
	return bytes, nil
}

// notConverted treats the rows and the values that the encoder could not convert.
func (s *sink) notConverted(ctx context.Context, o *convert.Output, b *rowv1.Batch) error {
	for _, f := range o.Failed {
		if err := s.rejectRow(ctx, f, b); err != nil {
			return err
		}
	}
	for _, w := range o.Warnings {
		s.t.log.Warn("value replaced by null", "error", w)
	}
	if o.Warned > 0 {
		s.t.p.metrics.errors.WithLabelValues(s.t.id.Connector, "ValueReplaced").Add(float64(o.Warned))
	}
	return nil
}

func (s *sink) find(o *convert.Output, k *kafka.Record) int {
	return max(0, slices.IndexFunc(o.Records, func(r convert.Record) bool { return int32(r.Value.Off) == k.ValOff && int32(r.Key.Off) == k.KeyOff }))
}

// record places one record.
func (s *sink) record(r *convert.Record, to *target) kafka.Record {
	k := kafka.Record{Topic: to.id, Headers: kafka.None, Extra: kafka.None,
		KeyOff: int32(r.Key.Off), KeyLen: int32(r.Key.Len), ValOff: int32(r.Value.Off), ValLen: int32(r.Value.Len)}
	if r.Key.Len >= 0 || r.Partition >= 0 {
		k.Partition = r.PartitionOf(to.partitions)
	} else {
		k.Partition = s.sticky % to.partitions
	}
	if r.Timestamp != nil {
		k.Timestamp = *r.Timestamp
	}
	if len(r.Headers) > 0 {
		k.OwnFrom, k.OwnCount = int32(len(s.batch.Own)), int32(len(r.Headers))
		for _, h := range r.Headers {
			s.batch.Own = append(s.batch.Own, kafka.OwnHeader{Name: s.headerName(h.Key), Off: int32(h.Value.Off), Len: int32(h.Value.Len)})
		}
	}
	if r.Context {
		if s.context == kafka.None {
			s.context = s.t.producer.Headers(kafkaHeaders(s.t.encoder.ContextHeaders()))
		}
		k.Headers = s.context
	}
	if r.Extra != convert.NoExtra {
		if s.extra[r.Extra] == kafka.None {
			s.extra[r.Extra] = s.t.producer.HeaderName(extraHeaders[r.Extra])
		}
		k.Extra, k.ExtraOff, k.ExtraLen = s.extra[r.Extra], int32(r.ExtraValue.Off), int32(r.ExtraValue.Len)
	}
	return k
}

// headerName returns the id of a header's name. Names come from configs, so they are few.
func (s *sink) headerName(name string) int32 {
	id, ok := s.names[name]
	if !ok {
		id = s.t.producer.HeaderName(name)
		s.names[name] = id
	}
	return id
}

func kafkaHeaders(hs []convert.Header) []kafka.Header {
	out := make([]kafka.Header, len(hs))
	for i, h := range hs {
		out[i] = kafka.Header{Key: h.Key, Value: h.Value}
	}
	return out
}

// target returns a topic, which is made if the cluster has none.
func (s *sink) target(ctx context.Context, topic *convert.Topic) (*target, error) {
	to := s.topics[topic]
	if to != nil {
		if n := s.t.status.forgotten.Load(); n != to.named {
			to.named = n
			s.t.status.topic(to.name)
		}
		if n := s.t.topics.Partitions(to.name); n > 0 {
			to.partitions = n
			return to, nil
		}
	}
	spec := specOf(s.t.cfg, topic.Name)
	if topic.Kind != convert.DataTopic {
		spec.Partitions = 1 // their records have an order over all tables
	}
	n, err := s.ensure(ctx, topic.Name, spec)
	if err != nil {
		return nil, err
	}
	if to == nil {
		id, err := s.t.producer.Topic(topic.Name)
		if err != nil {
			return nil, err
		}
		to = &target{id: id, name: topic.Name}
		s.topics[topic] = to
	}
	to.partitions = n
	return to, nil
}

func (s *sink) ensure(ctx context.Context, name string, spec kafka.TopicSpec) (int32, error) {
	ctx, cancel := context.WithTimeout(ctx, topicTimeout)
	defer cancel()
	n, created, err := s.t.topics.Ensure(ctx, name, spec)
	if err != nil {
		return 0, err
	}
	if created {
		s.t.log.Info("topic created", "topic", name, "partitions", n)
	}
	s.t.status.topic(name)
	return n, nil
}

// specOf returns what topic.creation.* says about a topic: the first group that includes and does not exclude it, else default.
func specOf(cfg *config.Connector, name string) kafka.TopicSpec {
	tc := &cfg.TopicCreation
	for _, g := range tc.Groups {
		if matchesAny(g.Include, name) && !matchesAny(g.Exclude, name) {
			return kafkaSpec(g.TopicSpec)
		}
	}
	return kafkaSpec(tc.Default)
}

func kafkaSpec(c config.TopicSpec) kafka.TopicSpec {
	spec := kafka.TopicSpec{Partitions: c.Partitions, ReplicationFactor: c.ReplicationFactor, Configs: c.Configs}
	if spec.Partitions == 0 {
		spec.Partitions = -1
	}
	if spec.ReplicationFactor == 0 {
		spec.ReplicationFactor = -1
	}
	return spec
}

// matchesAny reports whether an anchored expression matches; ones that do not compile were refused with the config.
func matchesAny(expressions []string, name string) bool {
	return slices.ContainsFunc(expressions, func(x string) bool {
		ok, err := regexp.MatchString(`^(?:`+x+`)$`, name)
		return err == nil && ok
	})
}

// placeOf says where a record comes from.
func placeOf(r *convert.Record, b *rowv1.Batch) string {
	if b == nil || r.Group < 0 || int(r.Group) >= len(b.GroupPos) {
		return "in a statement"
	}
	row := uint64(r.Row)
	if int(r.Group) < len(b.GroupFirstRow) {
		row += uint64(b.GroupFirstRow[r.Group])
	}
	return fmt.Sprintf("%s:%d row %d", b.File, b.GroupPos[r.Group], row)
}

// rejectLarge treats a record that may not be sent for its size.
func (s *sink) rejectLarge(ctx context.Context, o *convert.Output, r *convert.Record, from origin, size, limit int) error {
	key := o.Bytes(r.Key)
	err := errs.E(errs.Invalid, "record for topic %s with key %.200s at %s is %d bytes, larger than max.request.size (%d); raise producer.override.max.request.size "+
		"(and the topic's max.message.bytes), exclude the large column, or set errors.tolerance=all", r.Topic.Name, key, from.place(), size, limit)
	return s.dead.reject(ctx, s, s.letter(from, deadletter.Letter{Topic: r.Topic.Name, Stage: stageProduce, Exception: tooLargeException, Key: key}), err)
}

// rejectPartition treats a record for a partition that its topic does not have.
func (s *sink) rejectPartition(ctx context.Context, o *convert.Output, r *convert.Record, from origin, to *target) error {
	key := o.Bytes(r.Key)
	err := errs.E(errs.Invalid, "record for topic %s with key %.200s at %s is for partition %d, but the topic has %d; give it more, or correct the transform that chooses the partition",
		to.name, key, from.place(), r.Partition, to.partitions)
	return s.dead.reject(ctx, s, s.letter(from, deadletter.Letter{Topic: r.Topic.Name, Stage: stageProduce, Exception: invalidPartition, Key: key, Value: o.Bytes(r.Value)}), err)
}

// rejectStage treats a record that a transform or a converter failed on. What the letter holds is the record as it was before.
func (s *sink) rejectStage(ctx context.Context, from origin, e *stageError) error {
	r := from.record()
	key := from.o.Bytes(r.Key)
	err := errs.E(errs.Invalid, "record for topic %s with key %.200s at %s: stage %s: %w; correct the connector's transforms and converters, or set errors.tolerance=all",
		r.Topic.Name, key, from.place(), e.stage, e.err)
	return s.dead.reject(ctx, s, s.letter(from, deadletter.Letter{Topic: r.Topic.Name, Stage: e.stage, Class: e.class, Exception: dataException, Key: key, Value: from.o.Bytes(r.Value)}), err)
}

// rejectRow treats a row that cannot be converted: errors.tolerance=all sends it to the dead letters, event.processing.failure.handling.mode may leave it out.
func (s *sink) rejectRow(ctx context.Context, f *convert.RowError, b *rowv1.Batch) error {
	if !s.dead.tolerate && leavesOut(s.t.cfg.EventFailure) {
		s.t.rowsSkipped(f.Database+"."+f.Table, &capturev1.TableError{Position: &rowv1.Position{File: f.File, Pos: f.Pos}, Reason: f.Error()})
		return nil
	}
	l := deadletter.Letter{Topic: s.t.encoder.TopicOf(f.Database, f.Table).Name, Position: fmt.Sprintf("%s:%d row %d", f.File, f.Pos, f.Row), GTID: f.GTID,
		Stage: stageValueConverter, Exception: dataException}
	if s.dead.keeps() && b != nil {
		l.Row = s.failedRow(b, f.Group, f.Index, nil)
	}
	return s.dead.reject(ctx, s, l, f)
}
