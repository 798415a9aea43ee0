package registry

import rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"

// MemberID names a running process part; unique among all that run, whatever their role. A part that is started again may keep its id: then it finds
// its work where it was, even before the lease of its earlier life has ended.
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

// DefaultCapacity is the capacity of members that name none.
const DefaultCapacity = 100

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
	// Unreadable says why the config cannot be read here (sealed with a key that this process lacks); then Config is empty.
	Unreadable string
}

// Map returns the config as a map.
func (c *Connector) Map() map[string]string {
	m := make(map[string]string, len(c.Config))
	for _, e := range c.Config {
		m[e.Key] = e.Value
	}
	return m
}

// RestartOf returns a number that changes whenever a restart of the connector or of the task is asked for.
func (c *Connector) RestartOf(task uint32) uint64 { return c.Restart + c.TaskRestart[task] }

// Source is a server to read from and who reads it.
type Source struct {
	ID         SourceID
	Connector  string // whose credentials are used
	Owner      MemberID
	Generation uint64 // raised with each change of owner
	// ConfigRevision is that of Connector; when it changes the owner reads the credentials again.
	ConfigRevision uint64
	ModRevision    int64 // the store's revision of the record; 0 before it is stored
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
	// Restart is what Connector.RestartOf said when the lane last followed it.
	Restart     uint64
	ModRevision int64 // the store's revision of the record; 0 before it is stored
}

// Layout is how tables were spread over lanes.
type Layout struct {
	Count  uint32
	Pins   map[string]uint32
	Number uint64
}

// ConnectorLayout remembers how a connector's tables are spread; it outlives the connector, as the checkpoints in Kafka do.
type ConnectorLayout struct {
	Connector string
	Current   Layout
	Previous  *Layout
	// Started: a lane of Current has had an owner, so that checkpoints under it may exist.
	Started bool
	// Settled: each lane of Current has run, so that the next layout may start from their checkpoints.
	Settled bool
	// Generation is the highest of any lane that was removed; lanes that come after start above it.
	Generation  uint64
	ModRevision int64 // the store's revision of the record; 0 before it is stored
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
	Generation uint64
	State      LaneState
	WorkerID   string // host:port
	Trace      string
	Code       string // an errs.Kind
	Warnings   []string
	Topics     []string
	Position   *rowv1.Position
	NextTryMS  int64
	// SnapshotDone: the snapshot is complete, and the checkpoint covers all that lanes of the layout before had delivered.
	SnapshotDone bool
}

// TableVersion is a table's shape from a place in the log on.
type TableVersion struct {
	Database, Table string
	ValidFrom       *rowv1.Position
	Shape           *rowv1.Table // nil: the table is gone
}
