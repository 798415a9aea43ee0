package notify

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
)

func source() *Source {
	n := 0
	return &Source{Connector: "p", Now: func() int64 { return 7 }, NewID: func() string { n++; return fmt.Sprint("id", n) }}
}

func values(all []Notification) string {
	var out []string
	for i := range all {
		out = append(out, string(all[i].Value()))
	}
	return strings.Join(out, "\n")
}

// The bytes are those of the recordings be-notifications-sink and be-incremental-stop.
func TestInitial(t *testing.T) {
	i, all := NewInitial(source())
	tables := []string{"be_notifications_sink.empty_one", "be_notifications_sink.t", "be_notifications_sink.u", "be_notifications_sink.zz_marker"}
	for _, p := range []*capturev1.SnapshotProgress{
		{Tables: 4, TableNames: append([]string{"signals.table"}, tables...)},
		{Table: "signals.table"}, {Table: "signals.table", TableComplete: true},
		{Table: tables[1], RowsDone: 1}, {Table: tables[1], RowsDone: 2, TableComplete: true},
		{Complete: true}, {Complete: true},
	} {
		all = append(all, i.Progress(p, "signals.table")...)
	}
	want := `{"id":"id1","type":"STARTED","aggregate_type":"Initial Snapshot","additional_data":{"connector_name":"p"},"timestamp":7}
{"id":"id2","type":"IN_PROGRESS","aggregate_type":"Initial Snapshot","additional_data":{"current_collection_in_progress":"be_notifications_sink.t","connector_name":"p","data_collections":"be_notifications_sink.empty_one,be_notifications_sink.zz_marker,be_notifications_sink.t,be_notifications_sink.u"},"timestamp":7}
{"id":"id3","type":"TABLE_SCAN_COMPLETED","aggregate_type":"Initial Snapshot","additional_data":{"scanned_collection":"be_notifications_sink.t","connector_name":"p","total_rows_scanned":"2","data_collections":"be_notifications_sink.empty_one,be_notifications_sink.t,be_notifications_sink.u,be_notifications_sink.zz_marker","status":"SUCCEEDED"},"timestamp":7}
{"id":"id4","type":"COMPLETED","aggregate_type":"Initial Snapshot","additional_data":{"connector_name":"p"},"timestamp":7}`
	if d := cmp.Diff(want, values(all)); d != "" {
		t.Error(d)
	}
	if got := i.Aborted(); got != nil {
		t.Errorf("aborted behind its end: %v", got)
	}
	if string(all[0].Key()) != `{"id":"id1"}` {
		t.Errorf("key %s", all[0].Key())
	}
}

func TestAborted(t *testing.T) {
	i, _ := NewInitial(source())
	if got := values(i.Aborted()); !strings.Contains(got, `"type":"ABORTED"`) {
		t.Error(got)
	}
	var none *Initial
	if none.Aborted() != nil {
		t.Error("what never began is aborted")
	}
}

func TestOnDemand(t *testing.T) {
	const (
		running = capturev1.SnapshotState_SNAPSHOT_STATE_RUNNING
		paused  = capturev1.SnapshotState_SNAPSHOT_STATE_PAUSED
		stopped = capturev1.SnapshotState_SNAPSHOT_STATE_STOPPED
		unknown = capturev1.SnapshotState_SNAPSHOT_STATE_UNKNOWN_SCHEMA
		good    = capturev1.SnapshotState_SNAPSHOT_STATE_SUCCEEDED
	)
	for _, c := range []struct {
		name string
		says []*capturev1.SnapshotProgress
		want []string // type, and what the data hold
	}{
		{"to the end", []*capturev1.SnapshotProgress{
			{Table: "d.nosuch", TableComplete: true, State: unknown},
			{Table: "d.t", ToKey: "2", MaxKey: "5", ChunksDone: 1, State: running},
			{Table: "d.t", ToKey: "5", MaxKey: "5", ChunksDone: 2, RowsDone: 5, TableComplete: true, State: good},
			{Complete: true, State: good}},
			[]string{`STARTED "data_collections":"d.nosuch,d.t"`, `TABLE_SCAN_COMPLETED "status":"UNKNOWN_SCHEMA"`, `IN_PROGRESS "last_processed_key":"2"`, `IN_PROGRESS "last_processed_key":"5"`,
				`TABLE_SCAN_COMPLETED "total_rows_scanned":"5"`, `COMPLETED "connector_name":"p"`}},
		{"stopped", []*capturev1.SnapshotProgress{
			{Table: "d.t", ToKey: "2", MaxKey: "5", ChunksDone: 1, TableComplete: true, State: stopped}, {Complete: true, State: stopped}},
			[]string{`STARTED `, `IN_PROGRESS "maximum_key":"5"`, `COMPLETED `, `ABORTED "data_collections":"d.t,d.nosuch"`}},
		{"paused and resumed", []*capturev1.SnapshotProgress{{State: paused}, {State: paused}, {State: running}},
			[]string{`STARTED `, `PAUSED "data_collections":"d.nosuch,d.t"`, `RESUMED `}},
	} {
		o := NewOnDemand(source())
		all := o.Start("s-1", []string{"d.nosuch", "d.t"}, false)
		for _, p := range c.says {
			p.Id, p.Incremental = "s-1", true
			all = append(all, o.Progress(p)...)
		}
		if len(all) != len(c.want) {
			t.Errorf("%s: %s", c.name, values(all))
			continue
		}
		for i, want := range c.want {
			kind, data, _ := strings.Cut(want, " ")
			if got := string(all[i].Value()); all[i].Type != kind || !strings.Contains(got, data) {
				t.Errorf("%s #%d: %s, want %s", c.name, i, got, want)
			}
			if own := all[i].ID == "s-1"; own != (kind != "ABORTED") {
				t.Errorf("%s #%d has the id %s", c.name, i, all[i].ID)
			}
		}
		if again := o.Start("s-1", nil, true); c.name == "paused and resumed" && again != nil {
			t.Errorf("started twice: %s", values(again))
		}
	}
}
