package publisher

import (
	"context"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	statev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/state/v1"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/telemetry"
)

// progress is how far a lane is, for reports. Any goroutine.
type progress struct {
	mu   sync.Mutex
	p    controlv1.LaneProgress
	open counts // produced and not yet committed
	us   uint64
	at   bool // caught up
}

// counts are what a transaction holds.
type counts struct{ rows, records, bytes uint64 }

func newProgress(id registry.LaneID) *progress {
	p := &progress{}
	p.p.Connector, p.p.Task, p.p.LagMs = id.Connector, id.Task, -1
	return p
}

var laneStates = map[registry.LaneState]statev1.LaneState{
	registry.LaneRunning: statev1.LaneState_LANE_STATE_RUNNING, registry.LanePaused: statev1.LaneState_LANE_STATE_PAUSED,
	registry.LaneFailed: statev1.LaneState_LANE_STATE_FAILED, registry.LaneRestarting: statev1.LaneState_LANE_STATE_RESTARTING,
	registry.LaneUnassigned: statev1.LaneState_LANE_STATE_UNASSIGNED,
}

func (p *progress) setState(generation uint64, s registry.LaneState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.p.Generation, p.p.State = generation, laneStates[s]
	if s != registry.LaneRunning {
		p.open = counts{}
	}
}

func (p *progress) opened(*capturev1.Opened) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = counts{}
	p.clearSnapshot()
}

func (p *progress) pending(rows, records, bytes uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open.rows += rows
	p.open.records += records
	p.open.bytes += bytes
}

func (p *progress) snapshot(s *capturev1.SnapshotProgress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.Complete {
		p.clearSnapshot()
		return
	}
	p.p.SnapshotTable, p.p.SnapshotRowsDone, p.p.SnapshotRowsEstimated = s.Table, s.RowsDone, s.RowsEstimated
	p.p.SnapshotTables, p.p.SnapshotTablesDone = s.Tables, s.TablesDone
}

func (p *progress) clearSnapshot() {
	p.p.SnapshotTable, p.p.SnapshotRowsDone, p.p.SnapshotRowsEstimated, p.p.SnapshotTables, p.p.SnapshotTablesDone = "", 0, 0, 0, 0
}

// committed adds what was pending and returns it.
func (p *progress) committed(at *place) counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.open
	p.open = counts{}
	p.p.Rows += c.rows
	p.p.Records += c.records
	p.p.Bytes += c.bytes
	p.p.Commits++
	p.p.Position = at.position()
	p.us, p.at = at.sourceUS, at.caughtUp
	return c
}

// idle takes over whether the source has more, while nothing is pending.
func (p *progress) idle(caughtUp bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = caughtUp
}

func (p *progress) report() *controlv1.LaneProgress {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := proto.CloneOf(&p.p)
	out.LagMs = (&place{sourceUS: p.us, caughtUp: p.at}).lag().Milliseconds()
	if !p.at && p.us == 0 {
		out.LagMs = -1
	}
	return out
}

// Report serves rowmesh.control.v1.MemberService.
func (p *Publisher) Report(context.Context, *controlv1.ReportRequest) (*controlv1.ReportResponse, error) {
	p.mu.Lock()
	tasks := make([]*task, 0, len(p.tasks))
	for _, t := range p.tasks {
		tasks = append(tasks, t)
	}
	p.mu.Unlock()
	slices.SortFunc(tasks, func(a, b *task) int { return compareLanes(a.id, b.id) })
	resp := &controlv1.ReportResponse{}
	for _, t := range tasks {
		resp.Lanes = append(resp.Lanes, t.progress.report())
	}
	return resp, nil
}

// ForgetTopics serves rowmesh.control.v1.MemberService.
func (p *Publisher) ForgetTopics(connector string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, t := range p.tasks {
		if id.Connector == connector {
			t.status.forgetTopics()
		}
	}
}

// Member serves MemberService for a publisher.
type Member struct {
	controlv1.UnimplementedMemberServiceServer
	P *Publisher
	// Levels are those of the process; nil: they stay.
	Levels *telemetry.Levels
}

// Report implements MemberService.
func (m Member) Report(ctx context.Context, r *controlv1.ReportRequest) (*controlv1.ReportResponse, error) {
	return m.P.Report(ctx, r)
}

// ForgetTopics implements MemberService.
func (m Member) ForgetTopics(_ context.Context, r *controlv1.ForgetTopicsRequest) (*controlv1.ForgetTopicsResponse, error) {
	m.P.ForgetTopics(r.Connector)
	return &controlv1.ForgetTopicsResponse{}, nil
}

// Signal implements MemberService.
func (m Member) Signal(ctx context.Context, r *controlv1.SignalRequest) (*controlv1.SignalResponse, error) {
	return m.P.Signal(ctx, r), nil
}

// SetLogLevel implements MemberService.
func (m Member) SetLogLevel(_ context.Context, r *controlv1.SetLogLevelRequest) (*controlv1.SetLogLevelResponse, error) {
	return &controlv1.SetLogLevelResponse{}, m.Levels.SetByName(r.Logger, r.Level)
}

var _ controlv1.MemberServiceServer = Member{}
