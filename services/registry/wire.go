package registry

import (
	"maps"

	"google.golang.org/protobuf/proto"

	statev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/state/v1"
	"github.com/rowmesh/rowmesh/services/errs"
)

// connectorVersion is the format of connector records that this build writes, and the newest that it reads.
const connectorVersion = 1

// marshal fails on text that is not UTF-8, which comes from outside.
func marshal(m proto.Message) ([]byte, error) {
	b, err := proto.Marshal(m)
	if err != nil {
		return nil, errs.E(errs.Invalid, "store %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return b, nil
}

func unmarshal(key string, value []byte, m proto.Message) error {
	if err := proto.Unmarshal(value, m); err != nil {
		return errs.E(errs.Corrupt, "record %s in etcd: %w; delete the key or store it again", key, err)
	}
	return nil
}

// EntriesToProto converts a config.
func EntriesToProto(entries []Entry) []*statev1.ConfigEntry {
	out := make([]*statev1.ConfigEntry, len(entries))
	for i, e := range entries {
		out[i] = &statev1.ConfigEntry{Key: e.Key, Value: e.Value}
	}
	return out
}

// EntriesFromProto converts a config.
func EntriesFromProto(entries []*statev1.ConfigEntry) []Entry {
	out := make([]Entry, len(entries))
	for i, e := range entries {
		out[i] = Entry{Key: e.Key, Value: e.Value}
	}
	return out
}

// connectorToProto seals the config if the store has a key.
func (s *Store) connectorToProto(c Connector) (*statev1.Connector, error) {
	p := &statev1.Connector{
		Version: connectorVersion, Name: c.Name, Target: TargetToProto(c.Target), ConfigRevision: c.ConfigRevision, CreatedMs: c.CreatedMS,
		Restart: c.Restart, TaskRestart: c.TaskRestart,
	}
	config := EntriesToProto(c.Config)
	if s.seal == nil {
		p.Config = config
		return p, nil
	}
	plain, err := marshal(&statev1.Connector{Config: config})
	if err != nil {
		return nil, err
	}
	p.Sealed = s.seal.seal(c.Name, plain)
	return p, nil
}

// connectorFromProto opens a sealed config. A config that cannot be opened is no error: it is the record that says so.
func (s *Store) connectorFromProto(p *statev1.Connector, revision int64) Connector {
	c := Connector{
		Name: p.Name, Target: TargetFromProto(p.Target), ConfigRevision: p.ConfigRevision, CreatedMS: p.CreatedMs,
		Restart: p.Restart, TaskRestart: p.TaskRestart, ModRevision: revision,
	}
	config, err := s.openConfig(p)
	if err != nil {
		c.Unreadable = err.Error()
	}
	c.Config = EntriesFromProto(config)
	return c
}

func (s *Store) openConfig(p *statev1.Connector) ([]*statev1.ConfigEntry, error) {
	switch {
	case p.Version > connectorVersion:
		return nil, errs.E(errs.Unsupported, "connector %s is stored in format %d, this build reads %d; update it", p.Name, p.Version, connectorVersion)
	case len(p.Sealed) == 0:
		return p.Config, nil
	case s.seal == nil:
		return nil, errs.E(errs.Denied, "config of connector %s is sealed; give this process the key of the mesh", p.Name)
	}
	plain, err := s.seal.open(p.Name, p.Sealed)
	if err != nil {
		return nil, err
	}
	var inner statev1.Connector
	if err := proto.Unmarshal(plain, &inner); err != nil {
		return nil, errs.E(errs.Corrupt, "sealed config of connector %s: %w; store the config again", p.Name, err)
	}
	return inner.Config, nil
}

// TargetToProto converts a target; an unknown one is unspecified.
func TargetToProto(t Target) statev1.TargetState {
	return statev1.TargetState(statev1.TargetState_value["TARGET_STATE_"+string(t)])
}

// TargetFromProto converts a target; unspecified and unknown ones are Running, as the proto says.
func TargetFromProto(t statev1.TargetState) Target {
	switch t {
	case statev1.TargetState_TARGET_STATE_PAUSED:
		return Paused
	case statev1.TargetState_TARGET_STATE_STOPPED:
		return Stopped
	}
	return Running
}

// LaneStateToProto converts a lane's state; an unknown one is unspecified.
func LaneStateToProto(s LaneState) statev1.LaneState {
	return statev1.LaneState(statev1.LaneState_value["LANE_STATE_"+string(s)])
}

// LaneStateFromProto converts a lane's state; an unknown one is LaneUnassigned.
func LaneStateFromProto(s statev1.LaneState) LaneState {
	switch s {
	case statev1.LaneState_LANE_STATE_RUNNING:
		return LaneRunning
	case statev1.LaneState_LANE_STATE_PAUSED:
		return LanePaused
	case statev1.LaneState_LANE_STATE_FAILED:
		return LaneFailed
	case statev1.LaneState_LANE_STATE_RESTARTING:
		return LaneRestarting
	}
	return LaneUnassigned
}

func roleToProto(r Role) statev1.Role {
	switch r {
	case Coordinator:
		return statev1.Role_ROLE_COORDINATOR
	case Capturer:
		return statev1.Role_ROLE_CAPTURER
	case Publisher:
		return statev1.Role_ROLE_PUBLISHER
	}
	return statev1.Role_ROLE_UNSPECIFIED
}

func roleFromProto(r statev1.Role) Role {
	switch r {
	case statev1.Role_ROLE_COORDINATOR:
		return Coordinator
	case statev1.Role_ROLE_CAPTURER:
		return Capturer
	case statev1.Role_ROLE_PUBLISHER:
		return Publisher
	}
	return ""
}

// MemberToProto converts a member.
func MemberToProto(m Member) *statev1.Member {
	return &statev1.Member{
		Id: string(m.ID), Role: roleToProto(m.Role), GrpcAddress: m.GRPCAddress, HttpAddress: m.HTTPAddress, Capacity: uint32(m.Capacity),
		Version: m.Version, StartedMs: m.StartedMS, RestUrl: m.RESTURL,
	}
}

// MemberFromProto converts a member; capacity 0 becomes the default.
func MemberFromProto(p *statev1.Member) Member {
	m := Member{
		ID: MemberID(p.Id), Role: roleFromProto(p.Role), GRPCAddress: p.GrpcAddress, HTTPAddress: p.HttpAddress, RESTURL: p.RestUrl,
		Capacity: int(p.Capacity), Version: p.Version, StartedMS: p.StartedMs,
	}
	if m.Capacity == 0 {
		m.Capacity = DefaultCapacity
	}
	return m
}

// SourceToProto converts a source.
func SourceToProto(s Source) *statev1.Source {
	return &statev1.Source{
		Id: string(s.ID), Connector: s.Connector, Owner: string(s.Owner), Generation: s.Generation, ConfigRevision: s.ConfigRevision,
	}
}

func sourceFromProto(p *statev1.Source, revision int64) Source {
	return Source{
		ID: SourceID(p.Id), Connector: p.Connector, Owner: MemberID(p.Owner), Generation: p.Generation, ConfigRevision: p.ConfigRevision,
		ModRevision: revision,
	}
}

// LaneToProto converts a lane.
func LaneToProto(l Lane) *statev1.Lane {
	return &statev1.Lane{
		Connector: l.Connector, Task: l.Task, Count: l.Count, Pins: l.Pins, Layout: l.Layout, Owner: string(l.Owner), Generation: l.Generation,
		ConfigRevision: l.ConfigRevision, Target: TargetToProto(l.Target), Previous: layoutToProto(l.Previous), Restart: l.Restart,
	}
}

func laneFromProto(p *statev1.Lane, revision int64) Lane {
	return Lane{
		LaneID: LaneID{Connector: p.Connector, Task: p.Task}, Count: p.Count, Pins: p.Pins, Layout: p.Layout, Owner: MemberID(p.Owner),
		Generation: p.Generation, ConfigRevision: p.ConfigRevision, Target: TargetFromProto(p.Target), Previous: layoutFromProto(p.Previous),
		Restart: p.Restart, ModRevision: revision,
	}
}

func layoutToProto(l *Layout) *statev1.LaneLayout {
	if l == nil {
		return nil
	}
	return &statev1.LaneLayout{Count: l.Count, Pins: l.Pins, Layout: l.Number}
}

func layoutFromProto(p *statev1.LaneLayout) *Layout {
	if p == nil {
		return nil
	}
	return &Layout{Count: p.Count, Pins: p.Pins, Number: p.Layout}
}

func connectorLayoutToProto(l ConnectorLayout) *statev1.ConnectorLayout {
	return &statev1.ConnectorLayout{
		Connector: l.Connector, Current: layoutToProto(&l.Current), Previous: layoutToProto(l.Previous), Started: l.Started, Settled: l.Settled,
		Generation: l.Generation,
	}
}

func connectorLayoutFromProto(p *statev1.ConnectorLayout, revision int64) ConnectorLayout {
	l := ConnectorLayout{
		Connector: p.Connector, Previous: layoutFromProto(p.Previous), Started: p.Started, Settled: p.Settled, Generation: p.Generation,
		ModRevision: revision,
	}
	if c := layoutFromProto(p.Current); c != nil {
		l.Current = *c
	}
	return l
}

// StatusToProto converts a lane's status.
func StatusToProto(s LaneStatus) *statev1.LaneStatus {
	return &statev1.LaneStatus{
		Connector: s.Connector, Task: s.Task, Generation: s.Generation, State: LaneStateToProto(s.State), WorkerId: s.WorkerID, Trace: s.Trace,
		Warnings: s.Warnings, Topics: s.Topics, Code: s.Code, Position: s.Position, NextTryMs: s.NextTryMS, SnapshotDone: s.SnapshotDone,
	}
}

// StatusFromProto converts a lane's status.
func StatusFromProto(p *statev1.LaneStatus) LaneStatus {
	return LaneStatus{
		LaneID: LaneID{Connector: p.Connector, Task: p.Task}, Generation: p.Generation, State: LaneStateFromProto(p.State), WorkerID: p.WorkerId,
		Trace: p.Trace, Code: p.Code, Warnings: p.Warnings, Topics: p.Topics, Position: p.Position, NextTryMS: p.NextTryMs,
		SnapshotDone: p.SnapshotDone,
	}
}

// sameLane reports whether two lanes say the same, whatever their revisions.
func sameLane(a, b Lane) bool {
	return a.LaneID == b.LaneID && a.Count == b.Count && a.Layout == b.Layout && a.Owner == b.Owner && a.Generation == b.Generation &&
		a.ConfigRevision == b.ConfigRevision && a.Target == b.Target && a.Restart == b.Restart && maps.Equal(a.Pins, b.Pins)
}
