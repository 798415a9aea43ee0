package publisher

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/offset"
	"github.com/rowmesh/rowmesh/services/registry"
)

// signaled sends a signal by the API until the lane takes or refuses it.
func signaled(w *world, p *Publisher, id, kind, data string) *controlv1.SignalOutcome {
	w.t.Helper()
	var out *controlv1.SignalOutcome
	w.until("answer for "+id, func() bool {
		r := p.Signal(w.t.Context(), &controlv1.SignalRequest{Connector: w.name, Id: id, Type: kind, Data: data})
		if len(r.Lanes) != 1 || r.Lanes[0].Code == "Unavailable" {
			return false
		}
		out = r.Lanes[0]
		return true
	})
	return out
}

// commands are those that the source was given, as "ACTION id tables".
func (w *world) commands() (out []string) {
	w.src.mu.Lock()
	defer w.src.mu.Unlock()
	for _, c := range w.src.commanded {
		text := strings.TrimPrefix(c.Action.String(), "SNAPSHOT_ACTION_") + " " + c.Id
		for _, t := range c.Tables {
			text += " " + t.Table
			if t.Condition != "" {
				text += " where " + t.Condition
			}
		}
		out = append(out, text)
	}
	return out
}

// described lets signals mean tables: db.t0 and db.t1 are captured, db.hidden is not.
func described(p *Publisher) {
	p.cfg.Describe = func(_ context.Context, _ string, r *capturev1.DescribeSourceRequest) (*capturev1.DescribeSourceResponse, error) {
		all := []string{"t0", "t1"}
		if r.Tables.Builtin {
			all = append(all, "hidden")
		}
		out := &capturev1.DescribeSourceResponse{}
		for _, name := range all {
			wanted := len(r.Tables.IncludeTables) == 0
			for _, x := range r.Tables.IncludeTables {
				wanted = wanted || regexp.MustCompile("^(?:"+x+")$").MatchString("db."+name)
			}
			if wanted {
				out.Tables = append(out.Tables, &capturev1.TableInfo{Database: "db", Table: name})
			}
		}
		return out, nil
	}
}

const execute = "execute-snapshot"

// What is asked for reaches the capturer, and reaches it again after the lane has gone, as long as no token knows of it.
func TestSnapshotOnDemandOutlivesItsLane(t *testing.T) {
	w := newWorld(t, 10, nil)
	p, stop := w.publisher("a")
	w.mesh.assign(w.lane(0, 1, "a"))
	w.ids("t0", 10)
	described(p)
	got := signaled(w, p, "s-1", execute, `{"data-collections":["db\\.t.*"],"additional-conditions":[{"data-collection":"db.t1","filter":"id > 3"}]}`)
	if got.Code != "" || !slices.Equal(got.Tables, []string{"db.t0", "db.t1"}) {
		t.Fatalf("%v", got)
	}
	start := "START s-1 db.t0 db.t1 where id > 3"
	if d := cmp.Diff([]string{start}, w.commands()); d != "" {
		t.Error(d)
	}
	if again := signaled(w, p, "s-1", execute, `{"data-collections":["db.t0"]}`); again.Code != "" { // it runs already
		t.Errorf("%v", again)
	}
	if got := signaled(w, p, "p", "pause-snapshot", `{"snapshot":"s-1"}`); got.Code != "" {
		t.Errorf("%v", got)
	}
	stop()
	w.publisher("b")
	w.mesh.assign(w.lane(0, 1, "b"))
	w.until("the commands come again", func() bool { return len(w.commands()) >= 4 })
	if d := cmp.Diff([]string{start, "PAUSE s-1", start, "PAUSE s-1"}, w.commands()); d != "" {
		t.Error(d)
	}
}

func TestSnapshotsOnDemandThatAreRefused(t *testing.T) {
	w := newWorld(t, 10, nil)
	p, _ := w.publisher("a")
	w.mesh.assign(w.lane(0, 1, "a"))
	w.ids("t0", 10)
	described(p)
	for _, c := range []struct{ kind, data, code, want string }{
		{execute, `{"data-collections":["db.nosuch"]}`, "Invalid", "table db.nosuch does not exist"},
		{execute, `{"data-collections":["db.t0","db.hidden"]}`, "Invalid", "table db.hidden is not captured"},
		{execute, `{"data-collections":["db.t0"],"additional-conditions":[{"data-collection":"db.t0","filter":"1) or (1"}]}`, "Invalid", "closes nothing"},
		{execute, `{"data-collections":["db.t0"`, "Invalid", "cannot be parsed"},
		{"stop-snapshot", `{"snapshot":"nosuch"}`, "NotFound", "snapshot nosuch does not run on task 0"},
		{"nonsense", `{}`, "Invalid", "is not recognized"},
	} {
		got := signaled(w, p, "x", c.kind, c.data)
		if got.Code != c.code || !strings.Contains(got.Error, c.want) {
			t.Errorf("%s %s: %v, want %s %s", c.kind, c.data, got, c.code, c.want)
		}
	}
	if got := w.commands(); len(got) > 0 {
		t.Errorf("the capturer was told %q", got)
	}
	w.src.grow(5) // the lane goes on
	if d := cmp.Diff(series(15), w.ids("t0", 15)); d != "" {
		t.Error(d)
	}
}

// What the capturer says of a snapshot is seen, and a command that it has answered is not sent again.
func TestSnapshotOnDemandIsSeen(t *testing.T) {
	w := newWorld(t, 10, map[string]string{"notification.enabled.channels": "sink", "notification.sink.topic.name": "told"})
	w.conf["notification.sink.topic.name"] = w.name + "-told"
	w.configure()
	running, good := capturev1.SnapshotState_SNAPSHOT_STATE_RUNNING, capturev1.SnapshotState_SNAPSHOT_STATE_SUCCEEDED
	w.src.answer = func(_ *fakeStream, c *capturev1.SnapshotCommand) (out []*capturev1.SubscribeResponse) {
		for _, p := range []*capturev1.SnapshotProgress{
			{Table: "db.t0", ChunksDone: 1, ToKey: "5", MaxKey: "10", RowsDone: 5, RowsEstimated: 9, RowsPerSecond: 3, LeftMs: 4, ChunksLeft: 1, State: running},
			{Table: "db.t0", ChunksDone: 2, ToKey: "10", MaxKey: "10", RowsDone: 10, RowsEstimated: 10, TableComplete: true, State: good},
			{Table: "db.t1", TableComplete: true, State: capturev1.SnapshotState_SNAPSHOT_STATE_SQL_EXCEPTION, Error: "SELECT command denied"},
			{Complete: true, State: good, Checkpoint: fakeCheckpoint(10)},
		} {
			p.Id, p.Incremental = c.Id, true
			out = append(out, &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Snapshot{Snapshot: p}})
		}
		return out
	}
	p, stop := w.publisher("a")
	w.mesh.assign(w.lane(0, 1, "a"))
	w.ids("t0", 10)
	signaled(w, p, "s-1", execute, `{"data-collections":["db.t0","db.t1"]}`)
	var s *controlv1.SnapshotStatus
	w.until("its end", func() bool {
		s = listed(w, p, "s-1")
		return s.GetEndedMs() > 0
	})
	if s.Id != "s-1" || s.State != stateCompleted || len(s.Tables) != 2 || s.Tables[0].State != stateSucceeded || s.Tables[0].RowsDone != 10 || s.Tables[0].ChunksDone != 2 ||
		s.Tables[1].State != "SQL_EXCEPTION" || s.Tables[1].Error != "SELECT command denied" {
		t.Errorf("%v", s)
	}
	w.until("warning", func() bool {
		return strings.Contains(strings.Join(w.mesh.status(w.lane(0, 1, "a").LaneID).Warnings, "\n"), "snapshot s-1 of db.t1: SELECT command denied")
	})
	if told := w.told(8); !slices.Equal(told, []string{"STARTED", "COMPLETED", "STARTED", "IN_PROGRESS", "IN_PROGRESS", "TABLE_SCAN_COMPLETED", "TABLE_SCAN_COMPLETED", "COMPLETED"}) {
		t.Errorf("told %q", told)
	}
	stop()
	w.publisher("b")
	w.mesh.assign(w.lane(0, 1, "b"))
	w.src.grow(1)
	w.ids("t0", 11)
	if n := len(w.commands()); n != 1 {
		t.Errorf("%q", w.commands())
	}
}

// listed finds a snapshot in what a publisher reports of its lane.
func listed(w *world, p *Publisher, id string) *controlv1.SnapshotStatus {
	w.t.Helper()
	r, err := p.Report(w.t.Context(), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range r.Lanes[0].Snapshots {
		if s.Id == id {
			return s
		}
	}
	return nil
}

// told reads the types of n notifications.
func (w *world) told(n int) (types []string) {
	w.t.Helper()
	for _, r := range w.read(w.name+"-told", n) {
		_, after, _ := strings.Cut(string(r.Value), `"type":"`)
		kind, _, _ := strings.Cut(after, `"`)
		types = append(types, kind)
	}
	return types
}

// read reads n committed records of a topic.
func (w *world) read(topic string, n int) (out []*kafka.Message) {
	w.t.Helper()
	c, err := kafka.NewConsumer(&kafka.ConfigMap{"bootstrap.servers": w.addr, "group.id": "unused", "isolation.level": "read_committed", "enable.auto.commit": false, "log_level": 0})
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	if err := c.Assign([]kafka.TopicPartition{{Topic: &topic, Partition: 0, Offset: 0}}); err != nil {
		w.t.Fatal(err)
	}
	w.until(fmt.Sprintf("%d records of %s", n, topic), func() bool {
		m, err := c.ReadMessage(100 * time.Millisecond)
		if err == nil {
			out = append(out, m)
		}
		return len(out) >= n
	})
	return out
}

// While a blocking snapshot is read the stream waits; then it goes on where it was.
func TestBlockingSnapshot(t *testing.T) {
	w := newWorld(t, 20, nil)
	p, _ := w.publisher("a")
	w.mesh.assign(w.lane(0, 1, "a"))
	w.ids("t0", 20)
	if got := signaled(w, p, "b-1", execute, `{"type":"blocking","data-collections":["db.t0"]}`); got.Code != "" || !slices.Equal(got.Tables, []string{"db.t0"}) {
		t.Fatalf("%v", got)
	}
	w.src.grow(5)
	// What was added meanwhile is in the snapshot or not, and in the stream in any case.
	got := w.ids("t0", 45)
	again, rest := got[20:len(got)-5], got[len(got)-5:]
	if d := cmp.Diff(series(20), again[:20]); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]int{21, 22, 23, 24, 25}, rest); d != "" {
		t.Error(d)
	}
	w.until("its end", func() bool {
		s := listed(w, p, "b-1")
		return s.GetType() == "blocking" && s.GetState() == stateCompleted
	})
}

// A signal of the topic is followed once, also over a restart; others' records are passed over.
func TestSignalTopic(t *testing.T) {
	w := newWorld(t, 10, map[string]string{"signal.enabled.channels": "kafka", "signal.poll.interval.ms": "50"})
	w.conf["signal.kafka.topic"], w.conf["signal.kafka.bootstrap.servers"] = w.name+"-signal", w.addr
	w.configure()
	w.produce(w.name+"-signal", "other", `{"id":"k-0","type":"execute-snapshot","data":{"data-collections":["db.t0"]}}`)
	w.produce(w.name+"-signal", w.name, `no signal`)
	w.produce(w.name+"-signal", w.name, `{"id":"k-1","type":"execute-snapshot","data":{"data-collections":["db.t0"]}}`)
	_, stop := w.publisher("a")
	w.mesh.assign(w.lane(0, 1, "a"))
	w.until("the command", func() bool { return len(w.commands()) == 1 })
	w.ids("t0", 10)
	stop()
	w.src.mu.Lock()
	w.src.commanded = nil
	w.src.mu.Unlock()
	w.produce(w.name+"-signal", w.name, `{"id":"k-2","type":"execute-snapshot","data":{"data-collections":["db.t0"]}}`)
	w.publisher("b")
	w.mesh.assign(w.lane(0, 1, "b"))
	w.until("the commands", func() bool { return len(w.commands()) == 2 })
	if d := cmp.Diff([]string{"START k-1 db.t0", "START k-2 db.t0"}, w.commands()); d != "" { // k-1 comes from the checkpoint, as no token knows of it
		t.Error(d)
	}
}

// produce writes a record into the first partition of a topic, which it makes if there is none.
func (w *world) produce(topic, key, value string) {
	w.t.Helper()
	p, err := kafka.NewProducer(&kafka.ConfigMap{"bootstrap.servers": w.addr})
	if err != nil {
		w.t.Fatal(err)
	}
	defer p.Close()
	done := make(chan kafka.Event, 1)
	if err := p.Produce(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: 0}, Key: []byte(key), Value: []byte(value)}, done); err != nil {
		w.t.Fatal(err)
	}
	if m := (<-done).(*kafka.Message); m.TopicPartition.Error != nil {
		w.t.Fatal(m.TopicPartition.Error)
	}
}

// A lane that has been told to go elsewhere in the log starts there.
func TestSetPosition(t *testing.T) {
	w := newWorld(t, 30, nil)
	p, _ := w.publisher("a")
	w.mesh.assign(w.lane(0, 1, "a"))
	w.ids("t0", 30)
	if got := signaled(w, p, "go", "set-binlog-position", `{"binlog_filename":"binlog.000001","binlog_position":20}`); got.Code != "" {
		t.Fatalf("%v", got)
	}
	if d := cmp.Diff(series(30)[20:], w.ids("t0", 40)[30:]); d != "" {
		t.Error(d)
	}
	w.until("status", func() bool { return w.mesh.status(w.lane(0, 1, "a").LaneID).State == registry.LaneRunning })
}

// Commands of a snapshot are answered in their order.
func TestCommandsAreAnsweredInOrder(t *testing.T) {
	const (
		start, pause, resume = capturev1.SnapshotAction_SNAPSHOT_ACTION_START, capturev1.SnapshotAction_SNAPSHOT_ACTION_PAUSE, capturev1.SnapshotAction_SNAPSHOT_ACTION_RESUME
		running, paused      = capturev1.SnapshotState_SNAPSHOT_STATE_RUNNING, capturev1.SnapshotState_SNAPSHOT_STATE_PAUSED
	)
	for _, c := range []struct {
		says []*capturev1.SnapshotProgress
		left []capturev1.SnapshotAction
	}{
		{[]*capturev1.SnapshotProgress{{Id: "other", State: running}}, []capturev1.SnapshotAction{start, pause, resume}},
		{[]*capturev1.SnapshotProgress{{Id: "a", State: running}}, []capturev1.SnapshotAction{pause, resume}}, // said before the pause
		{[]*capturev1.SnapshotProgress{{Id: "a", State: running}, {Id: "a", State: paused}}, []capturev1.SnapshotAction{resume}},
		{[]*capturev1.SnapshotProgress{{Id: "a", State: running}, {Id: "a", State: paused}, {Id: "a", State: running}}, nil},
		{[]*capturev1.SnapshotProgress{{Id: "a", Complete: true}}, nil},
	} {
		tk := &task{place: place{taken: offset.Offset{Signals: &offset.Signals{Pending: []*capturev1.SnapshotCommand{{Id: "a", Action: start}, {Id: "a", Action: pause}, {Id: "a", Action: resume}}}}}}
		for _, p := range c.says {
			tk.answered(p)
		}
		tk.settleCommands()
		var left []capturev1.SnapshotAction
		for _, x := range tk.kept().Pending {
			left = append(left, x.Action)
		}
		if d := cmp.Diff(c.left, left); d != "" {
			t.Errorf("%v: %s", c.says, d)
		}
	}
}

// A lane of a new layout begins the snapshots of its tables again, whichever lane had them, and leaves the others.
func TestSnapshotsOnDemandAreInherited(t *testing.T) {
	token, err := proto.Marshal(&rowv1.ResumeToken{Version: 1, Start: &rowv1.Position{File: "f", Pos: 4}, Snapshots: []*rowv1.SnapshotCursor{
		{Id: "a", Table: "d.mine", Border: []string{"5"}, Condition: "x = 1", Paused: true}, {Id: "a", Table: "d.other"}, {Table: "d.initial"}}})
	if err != nil {
		t.Fatal(err)
	}
	tk := &task{cfg: &config.Connector{}, id: registry.LaneID{Task: 1}, lane: registry.Lane{Count: 2, Pins: map[string]uint32{"d.mine": 1, "d.other": 0, "d.waits": 1}}}
	o := tk.inherit(offset.Offset{Source: &rowv1.SourceOffset{File: "f", Pos: 4}, Token: token, Signals: &offset.Signals{Next: 7, Blocking: []offset.Blocking{{ID: "b"}},
		Pending: []*capturev1.SnapshotCommand{{Id: "c", Action: capturev1.SnapshotAction_SNAPSHOT_ACTION_START, Tables: []*capturev1.SnapshotTable{{Table: "d.waits"}, {Table: "d.other"}}}}}})
	want := &offset.Signals{Next: 7, Pending: []*capturev1.SnapshotCommand{
		{Id: "a", Action: capturev1.SnapshotAction_SNAPSHOT_ACTION_START, Tables: []*capturev1.SnapshotTable{{Table: "d.mine", Condition: "x = 1"}}},
		{Id: "a", Action: capturev1.SnapshotAction_SNAPSHOT_ACTION_PAUSE},
		{Id: "c", Action: capturev1.SnapshotAction_SNAPSHOT_ACTION_START, Tables: []*capturev1.SnapshotTable{{Table: "d.waits"}}}}}
	if d := cmp.Diff(want, o.Signals, protocmp.Transform()); d != "" {
		t.Error(d)
	}
	if n := len(o.Snapshots()); n != 0 || len(o.Resume().Snapshots) != 1 {
		t.Errorf("the token has %v", o.Resume().Snapshots)
	}
}
