package connect

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	"github.com/rowmesh/rowmesh/services/errs"
)

// fakeSnapshots notes what it is asked for.
type fakeSnapshots struct {
	started *controlv1.StartSnapshotRequest
	steered []*controlv1.ControlSnapshotRequest
	err     error
}

func (f *fakeSnapshots) StartSnapshot(_ context.Context, r *controlv1.StartSnapshotRequest) (*controlv1.StartSnapshotResponse, error) {
	f.started = r
	return &controlv1.StartSnapshotResponse{Id: "s-1", Tables: r.Tables}, f.err
}

func (f *fakeSnapshots) ControlSnapshot(_ context.Context, r *controlv1.ControlSnapshotRequest) error {
	f.steered = append(f.steered, r)
	return f.err
}

func (f *fakeSnapshots) Snapshots(context.Context, string) ([]*controlv1.SnapshotStatus, error) {
	return []*controlv1.SnapshotStatus{{Id: "s-1", Type: "incremental", State: "RUNNING", Tables: []*controlv1.SnapshotTableStatus{{Table: "d.t", State: "RUNNING", RowsDone: 5, RowsEstimated: 9, LeftMs: 4}}}}, f.err
}

var _ Snapshots = (*fakeSnapshots)(nil)

func TestSnapshots(t *testing.T) {
	f := &fakeSnapshots{}
	h := New(Config{Snapshots: f}, newMesh(), nil, nil)
	call := func(method, path, body string) (int, string, http.Header) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String(), w.Header()
	}
	code, body, head := call("POST", "/connectors/c/snapshots", `{"tables":["d.t"],"additional-conditions":[{"data-collection":"d.t","filter":"id > 5"}],"surrogate-key":"v","rows_per_second":7}`)
	if code != http.StatusAccepted || body != `{"id":"s-1","tables":["d.t"]}` || !strings.HasSuffix(head.Get("Location"), "/connectors/c/snapshots/s-1") {
		t.Errorf("%d %s %v", code, body, head)
	}
	want := &controlv1.StartSnapshotRequest{Name: "c", Tables: []string{"d.t"}, Conditions: []*controlv1.SnapshotCondition{{Table: "d.t", Filter: "id > 5"}}, SurrogateKey: "v", RowsPerSecond: 7}
	if d := cmp.Diff(want, f.started, protocmp.Transform()); d != "" {
		t.Error(d)
	}
	if code, body, _ := call("GET", "/connectors/c/snapshots/s-1", ""); code != http.StatusOK || !strings.Contains(body, `"rows_done":5,"rows_estimated":9`) {
		t.Errorf("%d %s", code, body)
	}
	if code, _, _ := call("GET", "/connectors/c/snapshots/other", ""); code != http.StatusNotFound {
		t.Errorf("a snapshot that is not there: %d", code)
	}
	for _, c := range []struct{ method, path, body string }{
		{"PATCH", "/connectors/c/snapshots/s-1", `{"state":"paused","rows_per_second":0}`}, {"DELETE", "/connectors/c/snapshots/s-1", ""}, {"DELETE", "/connectors/c/snapshots", ""},
	} {
		if code, body, _ := call(c.method, c.path, c.body); code != http.StatusNoContent {
			t.Errorf("%s %s: %d %s", c.method, c.path, code, body)
		}
	}
	var did []string
	for _, s := range f.steered {
		did = append(did, s.Action+" "+s.Id)
	}
	if d := cmp.Diff([]string{"throttle s-1", "pause s-1", "stop s-1", "stop "}, did); d != "" {
		t.Error(d)
	}
	for body, want := range map[string]string{`{"state":"half"}`: "PAUSED, RUNNING or STOPPED", `{}`: "Nothing is asked for", `{"stat":"PAUSED"}`: "stat", `[`: "not understood"} {
		if code, answer, _ := call("PATCH", "/connectors/c/snapshots/s-1", body); code != http.StatusBadRequest || !strings.Contains(answer, want) {
			t.Errorf("%s: %d %s", body, code, answer)
		}
	}
	for kind, want := range map[errs.Kind]int{errs.Invalid: 400, errs.NotFound: 404, errs.Busy: 409, errs.Unavailable: 503} {
		f.err = errs.E(kind, "why")
		if code, body, _ := call("POST", "/connectors/c/snapshots", `{"tables":["d.t"]}`); code != want {
			t.Errorf("%s: %d %s", kind, code, body)
		}
	}
	h = New(Config{}, newMesh(), nil, nil)
	if code, _, _ := call("GET", "/connectors/c/snapshots", ""); code != http.StatusNotImplemented {
		t.Errorf("without a mesh: %d", code)
	}
}
