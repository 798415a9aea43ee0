package coordinator

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	statev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/state/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/rpc"
)

// member answers reports.
type member struct {
	controlv1.UnimplementedMemberServiceServer
	wait bool
}

func (m member) Report(ctx context.Context, _ *controlv1.ReportRequest) (*controlv1.ReportResponse, error) {
	if m.wait {
		<-ctx.Done()
		return nil, ctx.Err() // an answer could still reach who has as little time left
	}
	return &controlv1.ReportResponse{Lanes: []*controlv1.LaneProgress{{
		Connector: "c", Task: 1, Generation: 2, State: statev1.LaneState_LANE_STATE_RUNNING, Rows: 3, Records: 4, Bytes: 5, LagMs: 6, Commits: 7,
		SnapshotTable: "d.t", SnapshotRowsDone: 8, SnapshotRowsEstimated: 9, SnapshotTables: 10, SnapshotTablesDone: 11,
	}}}, nil
}

func serve(t *testing.T, register func(*grpc.Server)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := rpc.NewServer(slog.New(slog.DiscardHandler), rpc.Security{})
	if err != nil {
		t.Fatal(err)
	}
	register(s)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return l.Addr().String()
}

func dialInsecure(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

func TestReports(t *testing.T) {
	good := serve(t, func(s *grpc.Server) { controlv1.RegisterMemberServiceServer(s, member{}) })
	slow := serve(t, func(s *grpc.Server) { controlv1.RegisterMemberServiceServer(s, member{wait: true}) })
	r := newReports(dialInsecure, slog.New(slog.DiscardHandler))
	defer r.close()
	publishers := func(addresses ...string) (out []registry.Member) {
		for _, a := range addresses {
			out = append(out, registry.Member{ID: registry.MemberID(a), Role: registry.Publisher, GRPCAddress: a})
		}
		return append(out, registry.Member{ID: "cap", Role: registry.Capturer, GRPCAddress: "127.0.0.1:2"})
	}
	begin := time.Now()
	got := r.collect(t.Context(), publishers(good, slow, "127.0.0.1:1"))
	if took := time.Since(begin); took > 2*reportTimeout {
		t.Errorf("a slow member holds the others up: %s", took)
	}
	want := []Progress{{
		LaneID: registry.LaneID{Connector: "c", Task: 1}, Generation: 2, State: registry.LaneRunning, Rows: 3, Records: 4, Bytes: 5, Lag: 6 * time.Millisecond,
		Commits: 7, SnapshotTable: "d.t", SnapshotRows: 8, SnapshotRowsEstimate: 9, SnapshotTables: 10, SnapshotTablesDone: 11,
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := progressToProto(want[0]); got.LagMs != 6 || got.SnapshotRowsEstimated != 9 {
		t.Errorf("%v", got)
	}
	r.collect(t.Context(), publishers(good))
	if len(r.conns) != 1 {
		t.Errorf("%d connections to one member", len(r.conns))
	}
}

func TestControlService(t *testing.T) {
	m := newMesh(t)
	c := m.coordinator("a", Deps{
		Validate: func(_ context.Context, _ string, config map[string]string) (warnings, problems []string) {
			if config["bad"] != "" {
				return nil, []string{"bad is bad", "and wrong"}
			}
			return []string{"odd is not honoured"}, nil
		},
		Warnings: func(string, map[string]string) []string { return []string{"odd is not honoured"} },
	})
	m.publisher("p", 100)
	conn, err := dialInsecure(serve(t, func(s *grpc.Server) { controlv1.RegisterControlServiceServer(s, c.Server()) }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cc := controlv1.NewControlServiceClient(conn)
	ctx := t.Context()
	entries := []*statev1.ConfigEntry{{Key: "database.hostname", Value: "db"}, {Key: "a", Value: "1"}}
	created, err := cc.CreateConnector(ctx, &controlv1.CreateConnectorRequest{Name: "c", Config: entries, InitialState: statev1.TargetState_TARGET_STATE_PAUSED})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, e := range created.Connector.Config {
		keys = append(keys, e.Key)
	}
	if diff := cmp.Diff([]string{"database.hostname", "a", "name"}, keys); diff != "" {
		t.Error(diff)
	}
	if created.Connector.State != "PAUSED" || len(created.Warnings) != 1 || len(created.Connector.Warnings) != 1 {
		t.Errorf("%v", created)
	}
	bad := append(entries, &statev1.ConfigEntry{Key: "bad", Value: "1"})
	for what, check := range map[string]struct {
		call func() error
		kind errs.Kind
		text string
	}{
		"exists": {func() error {
			_, err := cc.CreateConnector(ctx, &controlv1.CreateConnectorRequest{Name: "c", Config: entries})
			return err
		}, errs.Exists, "c exists"},
		"invalid": {func() error {
			_, err := cc.CreateConnector(ctx, &controlv1.CreateConnectorRequest{Name: "x", Config: bad})
			return err
		}, errs.Invalid, "2 errors:\nbad is bad\nand wrong"},
		"no name": {func() error {
			_, err := cc.CreateConnector(ctx, &controlv1.CreateConnectorRequest{Config: entries})
			return err
		}, errs.Invalid, "needs a name"},
		"other name": {func() error {
			_, err := cc.UpdateConnector(ctx, &controlv1.UpdateConnectorRequest{Name: "x", Config: []*statev1.ConfigEntry{{Key: "name", Value: "y"}}})
			return err
		}, errs.Invalid, "its name is y"},
		"twice": {func() error {
			_, err := cc.UpdateConnector(ctx, &controlv1.UpdateConnectorRequest{Name: "x", Config: append(entries, entries[0])})
			return err
		}, errs.Invalid, "twice"},
		"unknown":   {func() error { _, err := cc.GetConnector(ctx, &controlv1.GetConnectorRequest{Name: "x"}); return err }, errs.NotFound, "x does not exist"},
		"no target": {func() error { _, err := cc.SetTarget(ctx, &controlv1.SetTargetRequest{Name: "c"}); return err }, errs.Invalid, "no target"},
		"no task": {func() error {
			_, err := cc.Restart(ctx, &controlv1.RestartRequest{Name: "c", Task: new(uint32(7))})
			return err
		}, errs.NotFound, "c-7"},
	} {
		err := errs.FromStatus(check.call())
		if err == nil || errs.KindOf(err) != check.kind || !strings.Contains(err.Error(), check.text) {
			t.Errorf("%s: got %v, want %s with %q", what, err, check.kind, check.text)
		}
	}
	if _, err := cc.SetTarget(ctx, &controlv1.SetTargetRequest{Name: "c", Target: statev1.TargetState_TARGET_STATE_RUNNING}); err != nil {
		t.Fatal(err)
	}
	m.until("running", func() bool {
		r, err := cc.GetConnector(ctx, &controlv1.GetConnectorRequest{Name: "c"})
		return err == nil && r.Connector.State == "RUNNING" && len(r.Connector.Lanes) == 1 && r.Connector.Lanes[0].State == statev1.LaneState_LANE_STATE_RUNNING
	})
	if r, err := cc.Restart(ctx, &controlv1.RestartRequest{Name: "c", IncludeTasks: true}); err != nil || r.Connector.Lanes[0].State == statev1.LaneState_LANE_STATE_FAILED {
		t.Errorf("%v, %v", r, err)
	}
	if r, err := cc.UpdateConnector(ctx, &controlv1.UpdateConnectorRequest{Name: "d", Config: entries}); err != nil || !r.Created {
		t.Errorf("%v, %v", r, err)
	}
	if r, err := cc.ListConnectors(ctx, &controlv1.ListConnectorsRequest{}); err != nil || len(r.Connectors) != 2 || r.Connectors[1].Name != "d" {
		t.Errorf("%v, %v", r, err)
	}
	if r, err := cc.GetMesh(ctx, &controlv1.GetMeshRequest{}); err != nil || r.Leader != "a" || len(r.Members) != 2 || len(r.Lanes) == 0 {
		t.Errorf("%v, %v", r, err)
	}
	if _, err := cc.DeleteConnector(ctx, &controlv1.DeleteConnectorRequest{Name: "d"}); err != nil {
		t.Error(err)
	}
}
