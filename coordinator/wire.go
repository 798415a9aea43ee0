package coordinator

import (
	"time"

	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	"github.com/rowmesh/rowmesh/services/registry"
)

func viewToProto(v View) *controlv1.ConnectorView {
	p := &controlv1.ConnectorView{
		Name: v.Name, Config: registry.EntriesToProto(v.Config), Target: registry.TargetToProto(v.Target), State: v.State, WorkerId: v.WorkerID,
		Trace: v.Trace, Warnings: v.Warnings,
	}
	for _, l := range v.Lanes {
		p.Lanes = append(p.Lanes, registry.StatusToProto(l))
	}
	return p
}

func meshToProto(m Mesh) *controlv1.GetMeshResponse {
	p := &controlv1.GetMeshResponse{Leader: string(m.Leader)}
	for _, member := range m.Members {
		p.Members = append(p.Members, registry.MemberToProto(member))
	}
	for _, src := range m.Sources {
		p.Sources = append(p.Sources, registry.SourceToProto(src))
	}
	for _, l := range m.Lanes {
		p.Lanes = append(p.Lanes, registry.LaneToProto(l))
	}
	for _, x := range m.Progress {
		p.Progress = append(p.Progress, progressToProto(x))
	}
	return p
}

func progressToProto(x Progress) *controlv1.LaneProgress {
	p := &controlv1.LaneProgress{
		Connector: x.Connector, Task: x.Task, Generation: x.Generation, State: registry.LaneStateToProto(x.State), Rows: x.Rows, Records: x.Records,
		Bytes: x.Bytes, Commits: x.Commits, Position: x.Position, LagMs: x.Lag.Milliseconds(), SnapshotTable: x.SnapshotTable,
		SnapshotRowsDone: x.SnapshotRows, SnapshotRowsEstimated: x.SnapshotRowsEstimate, SnapshotTables: x.SnapshotTables,
		SnapshotTablesDone: x.SnapshotTablesDone, Snapshots: x.Snapshots,
	}
	return p
}

func progressFromProto(lanes []*controlv1.LaneProgress) []Progress {
	out := make([]Progress, 0, len(lanes))
	for _, p := range lanes {
		out = append(out, Progress{
			LaneID: registry.LaneID{Connector: p.Connector, Task: p.Task}, Generation: p.Generation, State: registry.LaneStateFromProto(p.State),
			Rows: p.Rows, Records: p.Records, Bytes: p.Bytes, Commits: p.Commits, Position: p.Position, Lag: time.Duration(p.LagMs) * time.Millisecond,
			SnapshotTable: p.SnapshotTable, SnapshotRows: p.SnapshotRowsDone, SnapshotRowsEstimate: p.SnapshotRowsEstimated,
			SnapshotTables: p.SnapshotTables, SnapshotTablesDone: p.SnapshotTablesDone, Snapshots: p.Snapshots,
		})
	}
	return out
}
