package publisher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/publisher/convert"
	"github.com/rowmesh/rowmesh/publisher/kafka"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/history"
	"github.com/rowmesh/rowmesh/services/offset"
)

// scribe writes a connector's schema history, which lane 0 does: it is told all statements. Its producer is another one than the lane's, without transactions, since a
// Debezium that recovers does not get past the marker of one (package history), and perhaps on another cluster. What it writes is there before the checkpoint that
// covers it; where that is not written the statements come again, and stand in the topic twice, as with Debezium. A nil scribe writes nothing.
type scribe struct {
	t        *task
	topic    history.Topic
	producer producer // nil before the first record
	id       int32
	pending  bool // records are not flushed
	batch    kafka.Batch
	value    []byte
}

// newScribe returns the scribe of a start; nil where there is no history to write.
func newScribe(t *task, cfg *config.Connector) *scribe {
	if !keepsHistory(cfg) || t.id.Task != 0 {
		return nil
	}
	return &scribe{t: t, topic: t.historyTopic(cfg)}
}

// keepsHistory says whether a connector has a schema history in Kafka.
func keepsHistory(cfg *config.Connector) bool { return cfg.History.Topic != "" }

// historyTopic is where the history of a connector is. Its brokers are reached as the option says; where they are the mesh's own, as the mesh is told too.
func (t *task) historyTopic(cfg *config.Connector) history.Topic {
	client := map[string]string{}
	mesh := offset.ClientOf(t.client(), cfg.Producer)
	if b := cfg.History.Brokers; b == "" || b == mesh["bootstrap.servers"] {
		maps.Copy(client, mesh)
	} else {
		client["bootstrap.servers"] = b
	}
	return history.Topic{Name: cfg.History.Topic, Client: client, Timeout: cfg.History.Timeout}
}

// historySpec is how the topic is made: one partition, nothing is ever deleted.
func historySpec() kafka.TopicSpec {
	return kafka.TopicSpec{Partitions: 1, ReplicationFactor: -1, Configs: map[string]string{
		"cleanup.policy": "delete", "retention.ms": strconv.FormatInt(1<<63-1, 10), "retention.bytes": "-1"}}
}

// write hands the records of a statement over. They are written by flush.
func (s *scribe) write(ctx context.Context, e *convert.Encoder, d *capturev1.Ddl) error {
	if s == nil {
		return nil
	}
	records := e.History(d)
	if s.t.cfg.OnlyCapturedDDL {
		records = captured(records, d)
	}
	if len(records) == 0 {
		return nil
	}
	if err := s.open(ctx); err != nil {
		return s.failed(err)
	}
	s.batch.Reset()
	for i := range records {
		if records[i].Position == nil { // what holds where the lane goes on: snapshot.mode=recovery
			at := proto.CloneOf(s.t.place.taken.Source)
			at.Snapshot, at.ServerId, at.TsSec = "INITIAL", 0, s.t.p.out.now().Unix()
			records[i].Position = at
		}
		s.value = records[i].Append(s.value[:0])
		s.batch.Add(s.id, 0, kafka.None, nil, s.value)
	}
	s.pending = true
	if err := s.producer.Produce(ctx, &s.batch); err != nil {
		return s.failed(err)
	}
	return nil
}

// captured leaves what store.only.captured.tables.ddl keeps: the server's own settings, and what is about tables.
func captured(records []history.Record, d *capturev1.Ddl) []history.Record {
	var out []history.Record
	for _, r := range records {
		if len(d.Changes) > 0 || r.Database == "" && strings.HasPrefix(strings.ToUpper(r.Statement), "SET ") {
			out = append(out, r)
		}
	}
	return out
}

// open makes the producer, and the topic where there is none.
func (s *scribe) open(ctx context.Context) error {
	if s.producer != nil {
		return nil
	}
	client := maps.Clone(s.topic.Client)
	maps.Copy(client, s.t.cfg.History.Producer)
	// The records of a statement are few; what a snapshot of thousands of tables brings waits in the queue as rows do.
	p, err := s.t.p.out.producer(kafka.Config{Client: client, QueueBytes: s.t.p.cfg.QueueBytes, MaxRecordBytes: s.t.cfg.History.MaxRecordBytes, Log: s.t.log})
	if err != nil {
		return err
	}
	s.producer = p
	topics, err := p.topics()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, topicTimeout)
	defer cancel()
	n, created, err := topics.Ensure(ctx, s.topic.Name, historySpec())
	if err != nil {
		return err
	}
	if n != 1 {
		return errs.E(errs.Invalid, "it has %d partitions, between which records have no order; name another topic in schema.history.internal.kafka.topic", n)
	}
	if created {
		s.t.log.Info("topic of the schema history created", "topic", s.topic.Name)
	}
	s.id, err = p.Topic(s.topic.Name)
	return err
}

// flush returns when all that was written is in Kafka.
func (s *scribe) flush(ctx context.Context) error {
	if s == nil || !s.pending {
		return nil
	}
	if err := s.producer.Flush(ctx); err != nil {
		return s.failed(err)
	}
	s.pending = false
	return nil
}

// failed says what could not be written and what to do. Without the history nothing goes on: a checkpoint behind a statement that it lacks could not be taken back to
// Debezium.
func (s *scribe) failed(err error) error {
	var large *kafka.RecordError
	if errors.As(err, &large) {
		return errs.E(errs.Invalid, "schema history topic %q: a record of %d bytes is larger than max.request.size (%d); raise schema.history.internal.producer.max.request.size and the "+
			"topic's max.message.bytes", s.topic.Name, large.Size, large.Max)
	}
	return errs.E(errs.KindOf(err), "schema history topic %q at %s cannot be written: %w; correct schema.history.internal.kafka.bootstrap.servers, or write none "+
		"(schema.history.internal=io.debezium.relational.history.MemorySchemaHistory)", s.topic.Name, s.topic.Client["bootstrap.servers"], err)
}

func (s *scribe) close() {
	if s != nil && s.producer != nil {
		s.producer.Close()
		s.producer = nil
	}
}

// defineBytes is about how much of a history goes into one message.
const defineBytes = 256 << 10

// define tells the capturers the shapes of tables from the schema history. The lane starts again afterwards in any case: with them, or, where there is no history, with
// what the server says.
func (t *task) define() error {
	t.defined = t.lane.Generation
	if !keepsHistory(t.cfg) {
		return errs.E(errs.Unavailable, "no shape of a table is known where the lane starts, and there is no schema history: it starts with what the log and the server say")
	}
	first := &capturev1.DefineTablesRequest{Source: string(t.source), At: t.start.at}
	if t.id.Task != 0 { // lane 0 writes the history, and may be behind this one
		o, ok, _, err := t.offsets().Read(t.work, offset.Key{Connector: t.id.Connector, Server: t.cfg.TopicPrefix})
		if err != nil {
			return err
		}
		if !ok || o.InSnapshot() {
			t.defined = 0
			return errs.E(errs.Unavailable, "no shape of a table is known where the lane starts, and lane 0, which has written the history, has no place: waiting for it")
		}
		first.Complete = resumeAt(&o)
	}
	found, resp, err := t.replayHistory(first)
	switch {
	case err != nil:
		t.defined = 0
		return fmt.Errorf("rebuild the shapes of tables: %w", err)
	case !found:
		t.log.Warn("no shape of a table is known where the lane starts, and the schema history is empty; it starts with what the log and the server say", "topic", t.cfg.History.Topic)
		return errs.E(errs.Unavailable, "no shape of a table is known where the lane starts, and schema history topic %q is empty: it starts with what the log and the server say", t.cfg.History.Topic)
	}
	t.log.Info("shapes of tables rebuilt from the schema history", "topic", t.cfg.History.Topic, "tables", resp.Tables, "statements", resp.Statements)
	return errs.E(errs.Unavailable, "the shapes of %d tables were rebuilt from schema history topic %q: the lane starts with them", resp.Tables, t.cfg.History.Topic)
}

// replayHistory sends the history to the capturer of the source. found says whether there is one.
func (t *task) replayHistory(first *capturev1.DefineTablesRequest) (found bool, resp *capturev1.DefineTablesResponse, err error) {
	cc, err := t.p.cfg.Dial(t.capturer)
	if err != nil {
		return false, nil, errs.E(errs.Invalid, "capturer %s: %w", t.capturer, err)
	}
	defer cc.Close()
	ctx, cancel := context.WithCancel(t.work)
	defer cancel()
	next, stop := iter.Pull2(t.historyRequests(ctx, first, &found))
	defer stop()
	resp, err = capture.NewClient(cc).Define(ctx, func() (*capturev1.DefineTablesRequest, error) {
		req, err, ok := next()
		if !ok {
			return nil, io.EOF
		}
		return req, err
	})
	return found, resp, err
}

// historyRequests yields the history in messages of moderate size, an error last.
func (t *task) historyRequests(ctx context.Context, first *capturev1.DefineTablesRequest, found *bool) iter.Seq2[*capturev1.DefineTablesRequest, error] {
	return func(yield func(*capturev1.DefineTablesRequest, error) bool) {
		req, size, stopped := first, 0, false
		topic := t.historyTopic(t.cfg)
		maps.Copy(topic.Client, t.cfg.History.Consumer)
		ok, err := topic.Read(ctx, t.cfg.TopicPrefix, func(r *history.Record) error {
			st := pastStatement(r)
			size += len(st.Statement)
			for _, p := range st.Tables {
				size += len(p.Definition)
			}
			req.Statements = append(req.Statements, st)
			if size < defineBytes {
				return nil
			}
			if stopped = !yield(req, nil); stopped {
				return context.Canceled
			}
			req, size = &capturev1.DefineTablesRequest{}, 0
			return nil
		})
		*found = ok
		switch {
		case stopped:
		case err != nil:
			yield(nil, err)
		default:
			yield(req, nil)
		}
	}
}

// pastStatement is a record of the history as capturers take it.
func pastStatement(r *history.Record) *capturev1.PastStatement {
	st := &capturev1.PastStatement{Origin: r.Origin, Offset: r.Position, Database: r.Database, Statement: r.Statement}
	for i := range r.Changes {
		c := &r.Changes[i]
		st.Tables = append(st.Tables, &capturev1.PastTable{Database: c.Database, Table: c.Table, PreviousDatabase: c.PreviousDatabase, PreviousTable: c.PreviousTable, Definition: c.Definition()})
	}
	return st
}
