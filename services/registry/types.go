package registry

import rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"

// MemberID names a running process part; unique per start.
type MemberID string

// SourceID names a source: "host:port", lower case.
type SourceID string

// Role is what a member does.
type Role string

// Roles.
const (
	Coordinator Role = "coordinator"
	Capturer    Role = "capturer"
	Publisher   Role = "publisher"
)

// Member is a running process part under its lease.
type Member struct {
	ID          MemberID
	Role        Role
	GRPCAddress string // host:port
	HTTPAddress string // host:port
	RESTURL     string // coordinators: base URL for clients
	Capacity    int    // relative share of the work; default 100
	Version     string
	StartedMS   int64
}

// Target is what a connector or lane should be.
type Target string

// Targets.
const (
	Running Target = "RUNNING"
	Paused  Target = "PAUSED"
	Stopped Target = "STOPPED"
)

// Entry is one option of a config, in the order that the client sent.
type Entry struct{ Key, Value string }

// Connector is what a user created.
type Connector struct {
	Name           string
	Config         []Entry
	Target         Target
	ConfigRevision uint64
	CreatedMS      int64
	Restart        uint64
	TaskRestart    map[uint32]uint64
	// ModRevision is the store's revision of the record; 0 before it is stored.
	ModRevision int64
}

// Map returns the config as a map.
func (c *Connector) Map() map[string]string {
	m := make(map[string]string, len(c.Config))
	for _, e := range c.Config {
		m[e.Key] = e.Value
	}
	return m
}

// Source is a server to read from and who reads it.
type Source struct {
	ID         SourceID
	Connector  string // whose credentials are used
	Owner      MemberID
	Generation uint64
}

// LaneID names a lane.
type LaneID struct {
	Connector string
	Task      uint32
}

// Lane is one task and who runs it.
type Lane struct {
	LaneID
	Count          uint32
	Pins           map[string]uint32
	Layout         uint64
	Owner          MemberID
	Generation     uint64
	ConfigRevision uint64
	Target         Target
	Previous       *Layout
}

// Layout is how tables were spread over lanes.
type Layout struct {
	Count  uint32
	Pins   map[string]uint32
	Number uint64
}

// LaneState is what a lane is.
type LaneState string

// Lane states.
const (
	LaneUnassigned LaneState = "UNASSIGNED"
	LaneRunning    LaneState = "RUNNING"
	LanePaused     LaneState = "PAUSED"
	LaneFailed     LaneState = "FAILED"
	LaneRestarting LaneState = "RESTARTING"
)

// LaneStatus is what a lane's owner says of it, written on change.
type LaneStatus struct {
	LaneID
	Generation   uint64
	State        LaneState
	WorkerID     string // host:port
	Trace        string
	Code         string // an errs.Kind
	Warnings     []string
	Topics       []string
	Position     *rowv1.Position
	NextTryMS    int64
	SnapshotDone bool
}
