package offset

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

func TestSignalsRoundTrip(t *testing.T) {
	for _, aside := range []Aside{{}, {Tables: []Table{{Name: "d.t", Stopped: true, Text: "why"}}}} {
		o := Offset{Source: &rowv1.SourceOffset{File: "f", Pos: 4}, Token: []byte{1}, Layout: 7, Aside: aside, Signals: &Signals{Next: 12,
			Pending:  []*capturev1.SnapshotCommand{{Id: "a", Action: capturev1.SnapshotAction_SNAPSHOT_ACTION_START, Tables: []*capturev1.SnapshotTable{{Table: "d.t", Condition: "x > 'é'"}}}},
			Blocking: []Blocking{{ID: "b", Tables: []string{"d.u"}, Selects: map[string]string{"d.u": "SELECT 1"}, GTID: "g:1", ServerID: 2, Thread: 3}}}}
		got, err := Decode(o.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(o, got, protocmp.Transform()); d != "" {
			t.Error(d)
		}
		if public := string(Public(o.Append(nil))); public != `{"file":"f","pos":4}` {
			t.Errorf("users see %s", public)
		}
	}
}

// What runs is told in Debezium's words, in the order of its map, so that Debezium goes on with it.
func TestIncrementalMembers(t *testing.T) {
	token, err := proto.Marshal(&rowv1.ResumeToken{Version: 1, Start: &rowv1.Position{File: "f", Pos: 4}, Snapshots: []*rowv1.SnapshotCursor{
		{Table: "d.initial"},
		{Id: "s-1", Table: "d.t", Border: []string{"2"}, Last: []string{"5"}, Condition: "a < 3 and b <> 'x'"},
		{Id: "s-2", Table: "d.u", SurrogateKey: "v"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	o := Offset{Source: &rowv1.SourceOffset{TsSec: 1, File: "f", Pos: 4, Gtids: "g:1", Row: 1, ServerId: 2, Event: 2}, Token: token}
	want := `{"incremental_snapshot_correlation_id":"s-2","ts_sec":1,"file":"f","pos":4,"incremental_snapshot_maximum_key":"` + JavaKey([]string{"5"}) +
		`","gtids":"g:1","row":1,"server_id":2,"event":2,"incremental_snapshot_collections":"[` +
		`{\"incremental_snapshot_collections_id\":\"d.t\",\"incremental_snapshot_collections_additional_condition\":\"a < 3 and b <> 'x'\",\"incremental_snapshot_collections_surrogate_key\":null,\"incremental_snapshot_collections_correlation_id\":\"s-1\"},` +
		`{\"incremental_snapshot_collections_id\":\"d.u\",\"incremental_snapshot_collections_additional_condition\":null,\"incremental_snapshot_collections_surrogate_key\":\"v\",\"incremental_snapshot_collections_correlation_id\":\"s-2\"}]",` +
		`"incremental_snapshot_primary_key":"` + JavaKey([]string{"2"}) + `"}`
	if d := cmp.Diff(want, string(Public(o.Append(nil)))); d != "" {
		t.Error(d)
	}
	if n := len(o.Snapshots()); n != 2 {
		t.Errorf("%d snapshots on demand", n)
	}
}

// The hexadecimal digits are those that ObjectOutputStream.writeObject of Java 17 writes.
func TestJavaKey(t *testing.T) {
	for _, c := range []struct {
		literals []string
		want     string
	}{
		{nil, "aced000570"},
		{[]string{"5"}, "aced0005757200135b4c6a6176612e6c616e672e4f626a6563743b90ce589f1073296c020000787000000001737200116a6176612e6c616e672e496e746567657212e2a0a4f781873802000149000576616c7565787200106a6176612e6c616e672e4e756d62657286ac951d0b94e08b020000787000000005"},
		{[]string{"1", "'x'"}, "aced0005757200135b4c6a6176612e6c616e672e4f626a6563743b90ce589f1073296c020000787000000002737200116a6176612e6c616e672e496e746567657212e2a0a4f781873802000149000576616c7565787200106a6176612e6c616e672e4e756d62657286ac951d0b94e08b020000787000000001740001" + "78"},
		{[]string{"1", "2", "'it\\'s'", "5000000000", "6000000000", "NULL", "-3"}, "aced0005757200135b4c6a6176612e6c616e672e4f626a6563743b90ce589f1073296c020000787000000007737200116a6176612e6c616e672e496e746567657212e2a0a4f781873802000149000576616c7565787200106a6176612e6c616e672e4e756d62657286ac951d0b94e08b0200007870000000017371007e000200000002740004697427737372000e6a6176612e6c616e672e4c6f6e673b8be490cc8f23df0200014a000576616c75657871007e0003000000012a05f2007371007e00070000000165a0bc00707371007e0002fffffffd"},
		{[]string{"1.5"}, "aced000570"},
	} {
		if got := JavaKey(c.literals); got != c.want {
			t.Errorf("%v: %s, want %s", c.literals, got, c.want)
		}
	}
}

func TestUnfinishedOfAnotherProgram(t *testing.T) {
	o, err := Decode([]byte(`{"file":"f","pos":4,"incremental_snapshot_collections":"[{\"incremental_snapshot_collections_id\":\"d.t\",\"incremental_snapshot_collections_additional_condition\":null,\"incremental_snapshot_collections_surrogate_key\":null}]","incremental_snapshot_correlation_id":"s-9"}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Unfinished) != 1 || o.Unfinished[0].ID != "d.t" || o.Unfinished[0].Correlation == nil || *o.Unfinished[0].Correlation != "s-9" {
		t.Errorf("%+v", o.Unfinished)
	}
	if _, err := Decode([]byte(`{"file":"f","pos":4,"incremental_snapshot_collections":"no list"}`)); err == nil || !strings.Contains(err.Error(), "PATCH") {
		t.Errorf("%v", err)
	}
}

func TestBlockingIsNoSnapshotOfTheStart(t *testing.T) {
	for state, want := range map[string]bool{"": false, "INITIAL": true, "BLOCKING": false, "INCREMENTAL": false} {
		o := Offset{Source: &rowv1.SourceOffset{Snapshot: state}}
		if o.InSnapshot() != want {
			t.Errorf("%q: %v", state, !want)
		}
	}
}
