package registry

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
)

func store(t *testing.T, key []byte) *Store {
	t.Helper()
	s, err := New(nil, Options{Key: key, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var meshKey = bytes.Repeat([]byte{7}, 32)

func fullConnector() Connector {
	return Connector{
		Name: "inv/ent ory", Config: []Entry{{"b", "1"}, {"a", "pass word"}, {"c", ""}}, Target: Paused, ConfigRevision: 3, CreatedMS: 4, Restart: 5,
		TaskRestart: map[uint32]uint64{1: 2}, ModRevision: 9,
	}
}

func TestRecordsSurviveTheirStoredForm(t *testing.T) {
	for _, key := range [][]byte{nil, meshKey} {
		s := store(t, key)
		want := fullConnector()
		p, err := s.connectorToProto(want)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := proto.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if sealed := !bytes.Contains(stored, []byte("pass word")); sealed != (key != nil) {
			t.Errorf("key %v: password sealed: %v", key != nil, sealed)
		}
		if diff := cmp.Diff(want, s.connectorFromProto(p, 9)); diff != "" {
			t.Error(diff)
		}
	}
	lane := Lane{
		LaneID: LaneID{"c", 2}, Count: 3, Pins: map[string]uint32{"a.b": 1}, Layout: 4, Owner: "m", Generation: 5, ConfigRevision: 6, Target: Paused,
		Previous: &Layout{Count: 1, Pins: map[string]uint32{"x.y": 0}, Number: 3}, Restart: 7, ModRevision: 8,
	}
	if diff := cmp.Diff(lane, laneFromProto(LaneToProto(lane), 8)); diff != "" {
		t.Error(diff)
	}
	src := Source{ID: "h:1", Connector: "c", Owner: "m", Generation: 2, ConfigRevision: 3, ModRevision: 4}
	if diff := cmp.Diff(src, sourceFromProto(SourceToProto(src), 4)); diff != "" {
		t.Error(diff)
	}
	layout := ConnectorLayout{Connector: "c", Current: Layout{Count: 2, Number: 3}, Previous: &Layout{Count: 1, Number: 2}, Started: true, Settled: true,
		Generation: 9, ModRevision: 1}
	if diff := cmp.Diff(layout, connectorLayoutFromProto(connectorLayoutToProto(layout), 1)); diff != "" {
		t.Error(diff)
	}
	for _, role := range []Role{Coordinator, Capturer, Publisher} {
		m := Member{ID: "m", Role: role, GRPCAddress: "g:1", HTTPAddress: "h:2", RESTURL: "http://h:2", Capacity: 50, Version: "v", StartedMS: 6}
		if diff := cmp.Diff(m, MemberFromProto(MemberToProto(m))); diff != "" {
			t.Error(diff)
		}
	}
	for _, state := range []LaneState{LaneUnassigned, LaneRunning, LanePaused, LaneFailed, LaneRestarting} {
		st := LaneStatus{LaneID: LaneID{"c", 1}, Generation: 2, State: state, WorkerID: "w", Trace: "t", Code: "Gap", Warnings: []string{"w"},
			Topics: []string{"x"}, Position: &rowv1.Position{File: "f", Pos: 4}, NextTryMS: 5, SnapshotDone: true}
		if diff := cmp.Diff(st, StatusFromProto(StatusToProto(st)), protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
	}
	for _, target := range []Target{Running, Paused, Stopped} {
		if got := TargetFromProto(TargetToProto(target)); got != target {
			t.Errorf("target %s came back as %s", target, got)
		}
	}
}

func TestSealedConfigNeedsItsKeyAndName(t *testing.T) {
	p, err := store(t, meshKey).connectorToProto(fullConnector())
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Repeat([]byte{8}, 32)
	for what, c := range map[string]Connector{
		"no key":      store(t, nil).connectorFromProto(p, 1),
		"another key": store(t, other).connectorFromProto(p, 1),
	} {
		if c.Unreadable == "" || len(c.Config) != 0 {
			t.Errorf("%s: unreadable %q, %d options", what, c.Unreadable, len(c.Config))
		}
	}
	p.Name = "other"
	if c := store(t, meshKey).connectorFromProto(p, 1); c.Unreadable == "" {
		t.Error("a sealed config works under another name")
	}
	p.Sealed = p.Sealed[:5]
	if c := store(t, meshKey).connectorFromProto(p, 1); c.Unreadable == "" {
		t.Error("a cut config is readable")
	}
	p.Version = connectorVersion + 1
	if c := store(t, meshKey).connectorFromProto(p, 1); !strings.Contains(c.Unreadable, "format 2") {
		t.Errorf("a newer format: %q", c.Unreadable)
	}
	if _, err := New(nil, Options{Key: []byte("short")}); errs.KindOf(err) != errs.Invalid {
		t.Errorf("short key: %v", err)
	}
	if _, _, err := store(t, nil).putConnector(t.Context(), Connector{Name: "x", Unreadable: "sealed"}); errs.KindOf(err) != errs.Denied {
		t.Errorf("unreadable config could be written over: %v", err)
	}
}

func TestKeysSurviveOddNames(t *testing.T) {
	s := store(t, nil)
	for _, name := range []string{"plain", "with/slash", "späce and %2F", "..", "?#;,"} {
		kind, parts, err := s.split(s.laneKey(LaneID{name, 7}))
		if err != nil || kind != kindLane || !slices.Equal(parts, []string{name, "7"}) {
			t.Errorf("%q: %s %q %v", name, kind, parts, err)
		}
	}
	if _, _, err := s.split("/elsewhere/x"); err == nil {
		t.Error("a key of somebody else is taken")
	}
	w := s.watched()
	for _, kind := range []string{kindConnector, kindLane, kindLayout, kindLeader, kindMember, kindSource, kindStatus} {
		if k := s.key(kind, "x"); k < w.from || k >= w.to {
			t.Errorf("%s is not watched", k)
		}
	}
	if k := s.key(kindTable, "x"); k >= w.from && k < w.to {
		t.Errorf("%s is watched", k)
	}
}

func TestSourceOf(t *testing.T) {
	for _, c := range []struct {
		host, port string
		want       SourceID
		kind       errs.Kind
	}{
		{"DB.Example", "", "db.example:3306", ""},
		{" db ", "13306", "db:13306", ""},
		{"::1", "3306", "[::1]:3306", ""},
		{"", "3306", "", errs.Invalid},
		{"db", "0", "", errs.Invalid},
		{"db", "99999", "", errs.Invalid},
		{"db", "x", "", errs.Invalid},
	} {
		got, err := SourceOf(map[string]string{"database.hostname": c.host, "database.port": c.port})
		if got != c.want || (err != nil) != (c.kind != "") || err != nil && errs.KindOf(err) != c.kind {
			t.Errorf("%q %q: got %q, %v", c.host, c.port, got, err)
		}
	}
}

func TestTasksOf(t *testing.T) {
	for text, want := range map[string]uint32{"": 1, "1": 1, " 8 ": 8, "0": 0, "-1": 0, "x": 0, "99999999999": 0} {
		got, err := TasksOf(map[string]string{"tasks.max": text})
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}

func TestStatusIsBounded(t *testing.T) {
	var many []string
	for i := range maxTopics + 10 {
		many = append(many, fmt.Sprintf("t%05d", i))
	}
	if got := union(many, []string{"t00001", "a"}); len(got) != maxTopics || got[0] != "a" || got[2] != "t00001" {
		t.Errorf("%d topics, %q first", len(got), got[:3])
	}
	if got := clip("aé", 2); got != "a" {
		t.Errorf("cut in the middle of a character: %q", got)
	}
}

// kv makes the record that the store would write for c.
func kv(t *testing.T, c Change, revision int64) *mvccpb.KeyValue {
	t.Helper()
	if c.err != nil {
		t.Fatal(c.err)
	}
	return &mvccpb.KeyValue{Key: c.op.KeyBytes(), Value: c.op.ValueBytes(), CreateRevision: revision, ModRevision: revision}
}

func put(kv *mvccpb.KeyValue) *clientv3.Event {
	return &clientv3.Event{Type: clientv3.EventTypePut, Kv: kv}
}

func del(kv *mvccpb.KeyValue) *clientv3.Event {
	return &clientv3.Event{Type: clientv3.EventTypeDelete, Kv: &mvccpb.KeyValue{Key: kv.Key}}
}

func TestWatchSendsOnlyWhatIsNew(t *testing.T) {
	s := store(t, nil)
	out := make(chan []Source, 1)
	w := &snapshots[Source]{
		out: out, order: func(a, b Source) int { return strings.Compare(string(a.ID), string(b.ID)) }, failed: func(err error) { t.Error(err) },
		decode: func(key string, value []byte, revision int64) (Source, bool, error) {
			src, err := sourceFromKV(key, value, revision)
			return src, src.Owner == "me", err
		},
		same: func(a, b Source) bool { return a.ID == b.ID && a.Generation == b.Generation },
	}
	ids := func() []SourceID {
		select {
		case snapshot := <-out:
			got := []SourceID{}
			for _, s := range snapshot {
				got = append(got, s.ID)
			}
			return got
		default:
			return nil
		}
	}
	a := kv(t, s.PutSource(Source{ID: "a:1", Owner: "me", Generation: 1}), 1)
	b := kv(t, s.PutSource(Source{ID: "b:1", Owner: "me", Generation: 1}), 2)
	theirs := kv(t, s.PutSource(Source{ID: "a:1", Owner: "other", Generation: 2}), 3)

	w.reset(nil, 1)
	if got := ids(); got == nil || len(got) != 0 {
		t.Fatalf("first snapshot %v, want an empty one", got)
	}
	w.update([]*clientv3.Event{put(a), put(b)}, 2)
	if diff := cmp.Diff([]SourceID{"a:1", "b:1"}, ids()); diff != "" {
		t.Fatal(diff)
	}
	w.reset([]*mvccpb.KeyValue{b, a}, 5)
	if got := ids(); got != nil {
		t.Fatalf("sent %v again without a change", got)
	}
	w.update([]*clientv3.Event{put(theirs)}, 6)
	w.update([]*clientv3.Event{del(b)}, 7)
	if diff := cmp.Diff([]SourceID{}, ids()); diff != "" {
		t.Fatalf("the newest must take the place of one that was not received: %s", diff)
	}
	if got := ids(); got != nil {
		t.Fatalf("an old snapshot was kept: %v", got)
	}
}

func TestStatesAreNeverChangedAfterwards(t *testing.T) {
	s := store(t, nil)
	var states []*State
	f := &stateFollower{s: s, log: s.log, publish: func(st *State) { states = append(states, st) }}
	lane := Lane{LaneID: LaneID{"c", 0}, Owner: "a", Generation: 1}
	l1 := kv(t, s.PutLane(lane), 1)
	lane.Owner, lane.Generation = "b", 2
	l2 := kv(t, s.PutLane(lane), 2)
	layout := kv(t, s.PutLayout(ConnectorLayout{Connector: "c", Current: Layout{Count: 1}}), 3)
	src := kv(t, s.PutSource(Source{ID: "h:1"}), 3)
	leader := func(id string, created int64) *mvccpb.KeyValue {
		return &mvccpb.KeyValue{Key: []byte(s.key(kindLeader, id)), Value: []byte(id), CreateRevision: created}
	}
	f.reset([]*mvccpb.KeyValue{l1, leader("x", 5), leader("y", 4)}, 5)
	f.update([]*clientv3.Event{put(l2), put(src), put(layout)}, 6)
	f.update([]*clientv3.Event{del(l2), del(src), del(layout), del(leader("y", 4))}, 7)
	f.update([]*clientv3.Event{put(&mvccpb.KeyValue{Key: []byte(s.key(kindLane, "c", "0")), Value: []byte("\xff\xff")})}, 8)

	if got := states[0].Lanes[lane.LaneID].Owner; got != "a" {
		t.Errorf("the first state changed: owner %q", got)
	}
	if states[0].Leader != "y" || states[2].Leader != "x" {
		t.Errorf("leaders %q, %q; want the oldest candidate", states[0].Leader, states[2].Leader)
	}
	if got := states[1]; got.Lanes[lane.LaneID].Owner != "b" || got.Lanes[lane.LaneID].ModRevision != 2 || len(got.Sources) != 1 || len(got.Layouts) != 1 {
		t.Errorf("second state %+v", got)
	}
	if got := states[3]; len(got.Lanes)+len(got.Sources)+len(got.Layouts) != 0 || got.Revision != 8 {
		t.Errorf("last state %+v", got)
	}
}

// A record that becomes garbage is not gone: who runs what it said goes on.
func TestWatchKeepsWhatItReadLast(t *testing.T) {
	out := make(chan []int, 1)
	w := &snapshots[int]{out: out, failed: func(error) {}, order: func(a, b int) int { return a - b }, same: func(a, b int) bool { return a == b },
		decode: func(_ string, value []byte, _ int64) (int, bool, error) {
			n, err := strconv.Atoi(string(value))
			return n, true, err
		}}
	put := func(key, value string) []*clientv3.Event {
		return []*clientv3.Event{{Type: clientv3.EventTypePut, Kv: &mvccpb.KeyValue{Key: []byte(key), Value: []byte(value)}}}
	}
	w.reset(nil, 1)
	w.update(put("a", "1"), 2)
	w.update(put("a", "garbage"), 3)
	w.update(put("b", "2"), 4)
	if got := <-out; !slices.Equal(got, []int{1, 2}) {
		t.Errorf("got %v, want what a said last and b", got)
	}
}
