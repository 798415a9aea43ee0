package publisher

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/publisher/kafka"
	"github.com/rowmesh/rowmesh/publisher/lane"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/offset"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/row"
)

// keptProducer keeps what is produced, by topic.
type keptProducer struct {
	names []string // by id
	got   map[string][]string
}

func (k *keptProducer) Fence(context.Context) error  { return nil }
func (k *keptProducer) Begin() error                 { return nil }
func (k *keptProducer) Commit(context.Context) error { return nil }
func (k *keptProducer) Flush(context.Context) error  { return nil }
func (k *keptProducer) Headers([]kafka.Header) int32 { return 0 }
func (k *keptProducer) HeaderName(string) int32      { return 0 }
func (k *keptProducer) Broken() <-chan struct{}      { return nil }
func (k *keptProducer) Err() error                   { return nil }
func (k *keptProducer) Close()                       {}
func (k *keptProducer) topics() (topics, error)      { return k, nil }
func (k *keptProducer) Partitions(string) int32      { return 1 }

func (k *keptProducer) Ensure(context.Context, string, kafka.TopicSpec) (int32, bool, error) {
	return 1, false, nil
}

func (k *keptProducer) Topic(name string) (int32, error) {
	k.names = append(k.names, name)
	return int32(len(k.names) - 1), nil
}

func (k *keptProducer) Produce(ctx context.Context, b *kafka.Batch) error {
	return k.ProduceFrom(ctx, b, 0)
}

func (k *keptProducer) ProduceFrom(_ context.Context, b *kafka.Batch, from int) error {
	for _, r := range b.Records[from:] {
		name := k.names[r.Topic]
		k.got[name] = append(k.got[name], string(b.Arena[r.ValOff:r.ValOff+r.ValLen]))
	}
	return nil
}

// badEnum is a batch of one transaction: rows 1 and 2 of good, rows 1, 2 and 3 of bad, the second of which has a member that the enum lacks, and row 3 of good.
func badEnum() *rowv1.Batch {
	b := &rowv1.Batch{Seq: 1, File: "f", TxnFlags: []byte{row.TxnBegins | row.TxnEnds}, TxnPos: []uint64{4}, Checkpoint: &rowv1.Checkpoint{TransactionEnd: true,
		Offset: &rowv1.SourceOffset{File: "f", Pos: 900}, Token: []byte("after")}}
	group := func(schema uint32, pos uint64, members map[int64]uint64, ids ...int64) {
		for _, id := range ids {
			b.Payload = row.AppendUint(row.AppendInt(append(b.Payload, 0), id), members[id])
		}
		b.GroupSchema, b.GroupOp, b.GroupRows = append(b.GroupSchema, schema), append(b.GroupOp, 'c'), append(b.GroupRows, uint32(len(ids)))
		b.GroupEnd, b.GroupPos, b.GroupTxn = append(b.GroupEnd, uint32(len(b.Payload))), append(b.GroupPos, pos), append(b.GroupTxn, 0)
	}
	group(1, 100, map[int64]uint64{1: 1, 2: 2}, 1, 2)
	group(2, 200, map[int64]uint64{1: 1, 2: 7, 3: 1}, 1, 2, 3)
	group(1, 300, map[int64]uint64{3: 1}, 3)
	return b
}

// A value that its column cannot hold stops its table where the options say fail, and the others go on: nothing of the table's rows of that batch is sent, so that
// they follow once when it is taken up again. Where the options do without the row, only it is missing.
func TestValueThatStopsItsTable(t *testing.T) {
	for name, c := range map[string]struct {
		options map[string]string
		want    map[string]string // ids by table
		counts  string            // of the transaction's end
		stopped bool
	}{
		"fail": {map[string]string{"event.converting.failure.handling.mode": "fail"}, map[string]string{"good": "1 2 3"},
			`"event_count":3,"data_collections":[{"data_collection":"db.good","event_count":3}]`, true},
		"processing warns": {map[string]string{"event.converting.failure.handling.mode": "fail", "event.processing.failure.handling.mode": "warn"}, map[string]string{"good": "1 2 3", "bad": "1 3"},
			`"event_count":5,"data_collections":[{"data_collection":"db.bad","event_count":2},{"data_collection":"db.good","event_count":3}]`, false},
		"converting warns": {nil, map[string]string{"good": "1 2 3", "bad": "1 2 3"},
			`"event_count":6,"data_collections":[{"data_collection":"db.bad","event_count":3},{"data_collection":"db.good","event_count":3}]`, false},
	} {
		t.Run(name, func(t *testing.T) {
			task, kept := keptTask(t, c.options)
			handle := func(m *capturev1.SubscribeResponse) {
				t.Helper()
				if err := task.handle(m); err != nil {
					t.Fatal(err)
				}
			}
			for id, name := range map[uint32]string{1: "good", 2: "bad"} {
				handle(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Schema{Schema: &rowv1.Table{SchemaId: id, Database: "db", Table: name, Key: []uint32{0}, Columns: []*rowv1.Column{
					{Name: "id", Kind: rowv1.Kind_KIND_INT, TypeName: "INT"}, {Name: "e", Kind: rowv1.Kind_KIND_ENUM, TypeName: "ENUM", Members: []string{"a", "b"}, Nullable: true}}}}})
			}
			handle(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Batch{Batch: badEnum()}})

			got := map[string]string{}
			for topic, values := range kept.got {
				table, ok := strings.CutPrefix(topic, "p.db.")
				if !ok {
					continue
				}
				var ids []string
				for _, v := range values {
					_, after, _ := strings.Cut(v, `"after":{"id":`)
					id, _, _ := strings.Cut(after, ",")
					ids = append(ids, id)
				}
				got[table] = strings.Join(ids, " ")
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if told := kept.got["p.transaction"]; len(told) != 2 || !strings.Contains(told[1], c.counts) {
				t.Errorf("transaction %q, want %s", told, c.counts)
			}
			stopped := task.place.taken.Aside.Find("db.bad")
			if (stopped != nil) != c.stopped {
				t.Fatalf("stopped: %+v, want %v", stopped, c.stopped)
			}
			if stopped == nil {
				return
			}
			for _, text := range []string{"db.bad.e", "f:200 row 1", "index 7 of an enum with 2 members", "restart the task"} {
				if !strings.Contains(stopped.Text, text) {
					t.Errorf("%q does not say %q", stopped.Text, text)
				}
			}
			if stopped.At.Source.Pos != 4 || task.place.taken.Source.Pos != 900 {
				t.Errorf("the table stands at %d, the lane at %d", stopped.At.Source.Pos, task.place.taken.Source.Pos)
			}
		})
	}
}

// keptTask is a task that streams from f:4 on into memory.
func keptTask(t *testing.T, options map[string]string) (*task, *keptProducer) {
	t.Helper()
	p, err := New(Config{}, nil, nil, slog.Default(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	raw := map[string]string{"connector.class": config.MySQLClass, "database.hostname": "h", "database.user": "u", "database.server.id": "1", "topic.prefix": "p",
		"provide.transaction.metadata": "true", "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false"}
	maps.Copy(raw, options)
	cfg, res := config.Parse("c", raw)
	if cfg == nil {
		t.Fatal(res.Message())
	}
	kept := &keptProducer{got: map[string][]string{}}
	task := newTask(p, registry.LaneID{Connector: "c"})
	task.cfg, task.producer, task.topics, task.work = cfg, kept, kept, t.Context()
	task.out = newSink(task)
	if task.encoder, err = task.newEncoder(cfg); err != nil {
		t.Fatal(err)
	}
	task.place.taken = offset.Offset{Source: &rowv1.SourceOffset{File: "f", Pos: 4}, Token: []byte("before")}
	task.machine.Assign(&lane.Assignment{Generation: 1})
	for range 4 { // Fence, Confirm, Read, Subscribe
		task.machine.Done(0, lane.OK)
	}
	return task, kept
}
