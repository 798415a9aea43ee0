package publisher

import (
	"slices"
	"time"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	"github.com/rowmesh/rowmesh/services/offset"
)

// keptSnapshots is how many snapshots that have ended a lane still tells of: enough for who looks after lunch.
const keptSnapshots = 20

// States of snapshots and tables beside those of capturev1.SnapshotState.
const (
	statePending   = "PENDING"
	stateRunning   = "RUNNING"
	statePaused    = "PAUSED"
	stateStopped   = "STOPPED"
	stateCompleted = "COMPLETED"
	stateSucceeded = "SUCCEEDED"
)

// asked begins with an incremental snapshot.
func (p *progress) asked(task uint32, c *capturev1.SnapshotCommand, now time.Time) {
	var tables []string
	for _, t := range c.Tables {
		tables = append(tables, t.Table)
	}
	p.begin(&controlv1.SnapshotStatus{Id: c.Id, Task: task, Type: "incremental", State: statePending, StartedMs: now.UnixMilli()}, tables)
}

// blocking begins with a blocking snapshot.
func (p *progress) blocking(task uint32, b *offset.Blocking, now time.Time) {
	p.begin(&controlv1.SnapshotStatus{Id: b.ID, Task: task, Type: "blocking", State: statePending, StartedMs: now.UnixMilli()}, b.Tables)
}

func (p *progress) begin(s *controlv1.SnapshotStatus, tables []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.find(s.Id) != nil {
		return
	}
	for _, name := range tables {
		s.Tables = append(s.Tables, &controlv1.SnapshotTableStatus{Table: name, State: statePending})
	}
	p.p.Snapshots = append(p.p.Snapshots, s)
	ended := 0
	for _, s := range p.p.Snapshots {
		if s.EndedMs > 0 {
			ended++
		}
	}
	p.p.Snapshots = slices.DeleteFunc(p.p.Snapshots, func(s *controlv1.SnapshotStatus) bool {
		if s.EndedMs > 0 && ended > keptSnapshots {
			ended--
			return true
		}
		return false
	})
}

// find returns a snapshot that has not ended. Requires: mu is held.
func (p *progress) find(id string) *controlv1.SnapshotStatus {
	for _, s := range p.p.Snapshots {
		if s.Id == id && s.EndedMs == 0 {
			return s
		}
	}
	return nil
}

// onDemand takes over what the capturer says of an incremental snapshot.
func (p *progress) onDemand(m *capturev1.SnapshotProgress, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.find(m.Id); s != nil {
		followSnapshot(s, m, now)
	}
}

// followBlocking does the same for the blocking snapshot under way, whose messages have no id.
func (p *progress) followBlocking(id string, m *capturev1.SnapshotProgress, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.find(id); s != nil && !m.Complete {
		followSnapshot(s, m, now)
	}
}

// initialSnapshot names the snapshot that a lane begins with.
const initialSnapshot = "initial"

// followInitial does the same for the snapshot that a lane begins with.
func (p *progress) followInitial(task uint32, m *capturev1.SnapshotProgress, now time.Time) {
	p.begin(&controlv1.SnapshotStatus{Id: initialSnapshot, Task: task, Type: "initial", State: statePending, StartedMs: now.UnixMilli()}, m.TableNames)
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.find(initialSnapshot); s != nil {
		followSnapshot(s, m, now)
	}
}

// unblocked ends a blocking snapshot.
func (p *progress) unblocked(id string, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.find(id); s != nil {
		s.State, s.EndedMs = stateCompleted, now.UnixMilli()
	}
}

// followSnapshot takes over one message.
func followSnapshot(s *controlv1.SnapshotStatus, m *capturev1.SnapshotProgress, now time.Time) {
	s.Resting = m.Resting
	state := stateOf(m)
	if m.Complete {
		s.State, s.EndedMs = stateCompleted, now.UnixMilli()
		if state == stateStopped {
			s.State = stateStopped
		}
		return
	}
	switch state {
	case statePaused, stateRunning:
		s.State = state
	default:
		if s.State == statePending {
			s.State = stateRunning
		}
	}
	if m.Table == "" {
		return
	}
	i := slices.IndexFunc(s.Tables, func(t *controlv1.SnapshotTableStatus) bool { return t.Table == m.Table })
	if i < 0 {
		i = len(s.Tables)
		s.Tables = append(s.Tables, &controlv1.SnapshotTableStatus{Table: m.Table})
	}
	t := s.Tables[i]
	if m.RowsPerSecond == 0 && m.RowsDone > 0 && s.StartedMs > 0 { // who sends it does not say: the mean will do
		if took := now.UnixMilli() - s.StartedMs; took > 0 {
			m.RowsPerSecond = m.RowsDone * 1000 / uint64(took)
		}
		if m.RowsPerSecond > 0 && m.RowsEstimated > m.RowsDone && !m.TableComplete {
			m.LeftMs = (m.RowsEstimated - m.RowsDone) * 1000 / m.RowsPerSecond
		}
	}
	t.State, t.RowsDone, t.RowsEstimated, t.ChunksDone, t.ChunksLeft = state, m.RowsDone, m.RowsEstimated, m.ChunksDone, m.ChunksLeft
	t.RowsPerSecond, t.LeftMs, t.Error = m.RowsPerSecond, m.LeftMs, m.Error
}

// stateOf is the state of a message's table, or without one of its snapshot.
func stateOf(m *capturev1.SnapshotProgress) string {
	switch {
	case m.State != capturev1.SnapshotState_SNAPSHOT_STATE_UNSPECIFIED:
		return m.State.String()[len("SNAPSHOT_STATE_"):]
	case m.TableComplete:
		return stateSucceeded
	}
	return stateRunning
}
