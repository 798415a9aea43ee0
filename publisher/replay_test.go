package publisher

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/publisher/deadletter"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
)

// letters are the dead letters of the world, which stand in its topic db.dead.
func (w *world) letters() []*deadletter.Letter {
	w.t.Helper()
	var out []*deadletter.Letter
	err := deadletter.Letters(w.t.Context(), deadletter.Topic{Client: map[string]string{"bootstrap.servers": w.addr}, Name: w.name + ".db.dead"}, w.name,
		func(l *deadletter.Letter) error {
			out = append(out, l)
			return nil
		})
	if err != nil && errs.KindOf(err) != errs.NotFound {
		w.t.Fatal(err)
	}
	return out
}

// replay replays the letters with the world's config as it is now, and returns what became of each by its key.
func (w *world) replay(change func(*Replay)) map[string]Outcome {
	w.t.Helper()
	cfg, res := config.Parse(w.name, w.conf)
	if err := res.Err(); err != nil {
		w.t.Fatal(err)
	}
	out := map[string]Outcome{}
	r := Replay{Name: w.name, Config: cfg, Client: map[string]string{"bootstrap.servers": w.addr}, MeshName: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Tell: func(l *deadletter.Letter, o Outcome) { out[string(l.Key)] = o }}
	if change != nil {
		change(&r)
	}
	if err := r.Run(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// dead runs a lane until there are n letters, and stops it.
func (w *world) dead(n int) registry.Lane {
	w.t.Helper()
	w.conf["errors.tolerance"], w.conf["errors.deadletterqueue.topic.name"] = "all", w.name+".db.dead"
	w.configure()
	_, stop := w.publisher("a")
	l := w.lane(0, 1, "a")
	w.mesh.assign(l)
	w.until(fmt.Sprint(n, " letters"), func() bool { return len(w.letters()) == n })
	stop()
	return l
}

// put publishes a record of a key behind all others.
func (w *world) put(key, value string) {
	w.t.Helper()
	p, err := kafka.NewProducer(&kafka.ConfigMap{"bootstrap.servers": w.addr})
	if err != nil {
		w.t.Fatal(err)
	}
	defer p.Close()
	topic := w.name + ".db.t0"
	a, err := kafka.NewAdminClientFromProducer(p)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := a.CreateTopics(w.t.Context(), []kafka.TopicSpecification{{Topic: topic, NumPartitions: 1, ReplicationFactor: 1}}); err != nil {
		w.t.Fatal(err)
	}
	delivered := make(chan kafka.Event, 1)
	if err = p.Produce(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: 0}, Key: []byte(key), Value: []byte(value)}, delivered); err != nil {
		w.t.Fatal(err)
	}
	if m, ok := (<-delivered).(*kafka.Message); !ok || m.TopicPartition.Error != nil {
		w.t.Fatalf("the record was not taken: %v", m)
	}
}

func marks(out map[string]Outcome) map[string]string {
	m := map[string]string{}
	for k, o := range out {
		m[k] = o.Mark
	}
	return m
}

const key1, key2, key3 = `{"id":1}`, `{"id":2}`, `{"id":3}`

// Records that were too large, whose letters are spread over records, are sent once the limit is raised: in order, once, and the lane goes on behind them.
func TestReplayTooLarge(t *testing.T) {
	w := newWorld(t, 3, map[string]string{"producer.override.max.request.size": "2000"})
	w.src.size = 6000
	l := w.dead(3)
	if out := w.replay(nil); !out[key1].Failed || !strings.Contains(out[key1].Text, "larger than max.request.size (2000)") || out[key3].Mark != "" {
		t.Errorf("before it is mended: %+v", out)
	}
	w.conf["producer.override.max.request.size"] = "20000"
	if out := w.replay(func(r *Replay) { r.DryRun = true }); !strings.Contains(out[key2].Text, "would be sent to topic "+w.name+".db.t0") || out[key2].Mark != "" {
		t.Errorf("a dry run: %+v", out)
	}
	sent := map[string]string{key1: MarkSent, key2: MarkSent, key3: MarkSent}
	if diff := cmp.Diff(sent, marks(w.replay(nil))); diff != "" {
		t.Error(diff)
	}
	if out := w.replay(nil); len(out) != 0 {
		t.Errorf("a second time: %+v", out)
	}
	w.configure()
	w.src.grow(2)
	w.publisher("b")
	l.Owner = "b"
	w.mesh.assign(l)
	if diff := cmp.Diff(series(5), w.ids("t0", 5)); diff != "" {
		t.Error(diff)
	}
	for _, l := range w.letters() {
		if l.Outcome != MarkSent {
			t.Errorf("letter %s is %q", l.Key, l.Outcome)
		}
	}
}

// Records that a transform failed on go the way that the mended transforms say. One whose key has a newer record is not put on top of that in silence.
func TestReplayBehindNewerRecords(t *testing.T) {
	broken := map[string]string{"transforms": "o", "transforms.o.type": "org.apache.kafka.connect.transforms.InsertField$Value", "transforms.o.offset.field": "o"}
	w := newWorld(t, 3, broken)
	w.dead(3)
	if out := w.replay(nil); !out[key1].Failed || !strings.Contains(out[key1].Text, "Only SinkRecord supported") {
		t.Errorf("before it is mended: %+v", out)
	}
	w.conf["transforms.o.type"], w.conf["transforms.o.static.field"], w.conf["transforms.o.static.value"] = "org.apache.kafka.connect.transforms.InsertField$Value", "f", "v"
	delete(w.conf, "transforms.o.offset.field")
	later := `{"source":{"file":"binlog.000001","pos":%d,"row":0,"server_id":1}}`
	w.put(key1, fmt.Sprintf(later, 0)) // an earlier place, whenever it came
	w.put(key2, fmt.Sprintf(later, 9))
	w.put(key3, `{"no":"place"}`)
	out := w.replay(nil)
	if diff := cmp.Diff(map[string]string{key1: MarkSent, key2: "", key3: ""}, marks(out)); diff != "" {
		t.Error(diff)
	}
	if o := out[key2]; !o.Failed || !strings.Contains(o.Text, "of a later place, binlog.000001:9") {
		t.Errorf("%+v", o)
	}
	if o := out[key3]; !o.Failed || !strings.Contains(o.Text, "came later") {
		t.Errorf("%+v", o)
	}
	if out := w.replay(func(r *Replay) { r.Limit, r.Superseded = 1, SupersededDiscard }); out[key2].Mark != MarkSuperseded || len(out) != 1 {
		t.Errorf("discarded: %+v", out)
	}
	if out := w.replay(func(r *Replay) { r.Superseded = SupersededSend }); out[key3].Mark != MarkSent || !strings.Contains(out[key3].Text, "on top of what is newer") || len(out) != 1 {
		t.Errorf("sent: %+v", out)
	}
	if diff := cmp.Diff([]int{1, 2, 3, 1, 3}, w.ids("t0", 5)); diff != "" {
		t.Error(diff)
	}
}

// A lane that goes on meanwhile and a replay never both write: whoever takes the transactional id last has it.
func TestReplayIsFenced(t *testing.T) {
	w := newWorld(t, 1, map[string]string{"producer.override.max.request.size": "2000"})
	w.src.size = 6000
	w.dead(1)
	w.conf["producer.override.max.request.size"] = "20000"
	cfg, _ := config.Parse(w.name, w.conf)
	run := &replaying{Replay: Replay{Name: w.name, Config: cfg, Client: map[string]string{"bootstrap.servers": w.addr}, MeshName: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil))},
		pipes: map[uint32]*pipe{}, held: map[string]int64{}}
	defer run.close()
	a := &attempt{letter: w.letters()[0]}
	if err := run.convert(t.Context(), a); err != nil || !a.tried {
		t.Fatal(err, a.outcome)
	}
	taken := false
	run.taken = func() {
		if taken {
			return
		}
		taken = true
		w.replay(func(r *Replay) { r.Config = cfg }) // somebody else takes the id, and sends
	}
	if err := run.send(t.Context(), []*attempt{a}); err == nil || !strings.Contains(err.Error(), "pause the connector") {
		t.Errorf("no error, or another: %v", err)
	}
	if diff := cmp.Diff(series(1), w.ids("t0", 1)); diff != "" {
		t.Error(diff)
	}
}
