package publisher

import (
	"slices"

	"google.golang.org/protobuf/proto"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/offset"
)

// inherit makes of other lanes' record the first one of this lane: the snapshots on demand of the tables that are this lane's now, whichever lane had them, begin again here, and
// the others are left to the other lanes. Which chunks of a table were read is known to the lane that read them, and its place in the log is not this one's.
func (t *task) inherit(o offset.Offset) offset.Offset {
	old := []*offset.Offset{&o}
	if t.start.skip != nil {
		old = nil
		for i := range t.start.skip.marks {
			old = append(old, &t.start.skip.marks[i].offset)
		}
	}
	s := &offset.Signals{}
	for _, from := range old {
		for _, c := range from.Snapshots() {
			t.takeTable(s, c.Id, &capturev1.SnapshotTable{Table: c.Table, Condition: c.Condition, SurrogateKey: c.SurrogateKey}, c.ChunkRows)
			if c.Paused && t.mine(c.Table) {
				s.Pending = append(s.Pending, &capturev1.SnapshotCommand{Id: c.Id, Action: capturev1.SnapshotAction_SNAPSHOT_ACTION_PAUSE})
			}
		}
		if from.Signals == nil {
			continue
		}
		for _, c := range from.Signals.Pending {
			if c.Action != capturev1.SnapshotAction_SNAPSHOT_ACTION_START {
				continue
			}
			for _, table := range c.Tables {
				t.takeTable(s, c.Id, table, c.ChunkRows)
			}
		}
		if next := from.Signals.Next; next > 0 && (s.Next == 0 || next < s.Next) { // what one lane has followed another may not have
			s.Next = next
		}
	}
	out := o
	if out.Signals = s; s.Empty() {
		out.Signals = nil
	}
	out.Token = withoutSnapshots(&o)
	return out
}

// takeTable adds a table that is this lane's to the command that starts its snapshot.
func (t *task) takeTable(s *offset.Signals, id string, table *capturev1.SnapshotTable, chunkRows uint32) {
	if !t.mine(table.Table) {
		return
	}
	i := slices.IndexFunc(s.Pending, func(c *capturev1.SnapshotCommand) bool {
		return c.Id == id && c.Action == capturev1.SnapshotAction_SNAPSHOT_ACTION_START
	})
	if i < 0 {
		i = len(s.Pending)
		s.Pending = append(s.Pending, &capturev1.SnapshotCommand{Id: id, Action: capturev1.SnapshotAction_SNAPSHOT_ACTION_START, ChunkRows: chunkRows, Threads: uint32(t.cfg.Snapshot.MaxThreads)})
	}
	if !slices.ContainsFunc(s.Pending[i].Tables, func(x *capturev1.SnapshotTable) bool { return x.Table == table.Table }) {
		s.Pending[i].Tables = append(s.Pending[i].Tables, table)
	}
}

// withoutSnapshots is a record's token without the snapshots on demand.
func withoutSnapshots(o *offset.Offset) []byte {
	r := o.Resume()
	if r == nil || len(o.Snapshots()) == 0 {
		return o.Token
	}
	r.Snapshots = slices.DeleteFunc(r.Snapshots, func(c *rowv1.SnapshotCursor) bool { return c.Id != "" })
	b, err := proto.Marshal(r)
	if err != nil { // it was unmarshalled a moment ago
		return o.Token
	}
	return b
}
