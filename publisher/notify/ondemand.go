package notify

import (
	"slices"
	"strconv"
	"strings"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
)

const (
	incrementalSnapshot = "Incremental Snapshot"
	succeeded           = "SUCCEEDED"
)

// OnDemand follows incremental snapshots.
type OnDemand struct {
	*Source
	runs map[string]*following
}

// following is one of them.
type following struct {
	tables  []string // those that are not complete, in order
	paused  bool
	stopped []string
	chunks  map[string]uint64 // told, by table
}

// NewOnDemand returns one that follows nothing yet.
func NewOnDemand(s *Source) *OnDemand { return &OnDemand{Source: s, runs: map[string]*following{}} }

// Start begins with a snapshot. again says that it was told to have started before a restart.
func (o *OnDemand) Start(id string, tables []string, again bool) []Notification {
	if o.runs[id] != nil {
		return nil
	}
	o.runs[id] = &following{tables: slices.Clone(tables), chunks: map[string]uint64{}}
	if again {
		return nil
	}
	return []Notification{o.new(id, incrementalSnapshot, started, dataCollections, strings.Join(tables, ","))}
}

// Progress returns what is told about a message.
func (o *OnDemand) Progress(p *capturev1.SnapshotProgress) []Notification {
	f := o.runs[p.Id]
	if f == nil {
		return nil // one that ended
	}
	out := f.pause(o, p)
	if p.ChunksDone > f.chunks[p.Table] && p.ToKey != "" { // the last one may come with the end of its table
		f.chunks[p.Table] = p.ChunksDone
		out = append(out, o.new(p.Id, incrementalSnapshot, inProgress, current, p.Table, dataCollections, strings.Join(f.tables, ","),
			maximumKey, p.MaxKey, lastProcessedKey, p.ToKey))
	}
	switch {
	case p.Complete:
		delete(o.runs, p.Id)
		out = append(out, o.new(p.Id, incrementalSnapshot, completed))
		if p.State == capturev1.SnapshotState_SNAPSHOT_STATE_STOPPED {
			out = append(out, o.new("", incrementalSnapshot, aborted, dataCollections, strings.Join(append(f.stopped, f.tables...), ",")))
		}
	case p.Table == "":
	case p.TableComplete && p.State == capturev1.SnapshotState_SNAPSHOT_STATE_STOPPED:
		f.stopped = append(f.stopped, p.Table)
		f.drop(p.Table)
	case p.TableComplete:
		out = append(out, o.new(p.Id, incrementalSnapshot, tableScanCompleted, scanned, p.Table, totalRowsScanned, strconv.FormatUint(p.RowsDone, 10),
			dataCollections, strings.Join(f.tables, ","), status, statusOf(p)))
		f.drop(p.Table)
	}
	return out
}

// pause tells of the beginning and of the end of a pause.
func (f *following) pause(o *OnDemand, p *capturev1.SnapshotProgress) []Notification {
	var kind string
	switch {
	case p.State == capturev1.SnapshotState_SNAPSHOT_STATE_PAUSED && !f.paused:
		f.paused, kind = true, paused
	case p.State == capturev1.SnapshotState_SNAPSHOT_STATE_RUNNING && f.paused:
		f.paused, kind = false, resumed
	default:
		return nil
	}
	return []Notification{o.new(p.Id, incrementalSnapshot, kind, dataCollections, strings.Join(f.tables, ","))}
}

func (f *following) drop(table string) {
	f.tables = slices.DeleteFunc(f.tables, func(t string) bool { return t == table })
}

// statusOf is how Debezium calls the end of a table.
func statusOf(p *capturev1.SnapshotProgress) string {
	return strings.TrimPrefix(p.State.String(), "SNAPSHOT_STATE_")
}
