package coordinator

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
)

// signalTimeout bounds how long lanes may take to answer for a signal: they ask the server for its tables, and commit.
const signalTimeout = 30 * time.Second

// signalPause is how long a signal waits for a task that does not run before it is handed over again.
const signalPause = 300 * time.Millisecond

// StartSnapshot asks the lanes of a running connector for a snapshot of tables. It returns once each lane that has some of them keeps the request in its checkpoint: then
// it survives the loss of any process. Until then the same id may be asked for again.
func (c *Control) StartSnapshot(ctx context.Context, r *controlv1.StartSnapshotRequest) (*controlv1.StartSnapshotResponse, error) {
	if len(r.Tables) == 0 {
		return nil, errs.E(errs.Invalid, "no tables are named; give some as database.table")
	}
	id := cmp.Or(r.Id, "rowmesh-"+strings.ToLower(rand.Text()[:12]))
	data := map[string]any{"type": "incremental", "data-collections": r.Tables}
	if r.Blocking {
		data["type"] = "blocking"
	}
	var conditions []map[string]string
	for _, c := range r.Conditions {
		conditions = append(conditions, map[string]string{"data-collection": c.Table, "filter": c.Filter})
	}
	for name, v := range map[string]any{"additional-conditions": conditions, "surrogate-key": r.SurrogateKey, "chunk-rows": r.ChunkRows,
		"rows-per-second": r.RowsPerSecond, "bytes-per-second": r.BytesPerSecond} {
		switch v := v.(type) {
		case []map[string]string:
			if len(v) > 0 {
				data[name] = v
			}
		default:
			data[name] = v
		}
	}
	tables, err := c.signal(ctx, r.Name, id, "execute-snapshot", data)
	if err != nil {
		return nil, err
	}
	if len(tables) == 0 {
		return nil, errs.E(errs.Invalid, "no table of connector %s is named by %s", r.Name, strings.Join(r.Tables, ", "))
	}
	return &controlv1.StartSnapshotResponse{Id: id, Tables: tables}, nil
}

// ControlSnapshot stops, pauses, resumes or throttles snapshots. errs.NotFound where no lane has one of the id.
func (c *Control) ControlSnapshot(ctx context.Context, r *controlv1.ControlSnapshotRequest) error {
	switch r.Action {
	case "stop", "pause", "resume", "throttle":
	default:
		return errs.E(errs.Invalid, "action %q is none of stop, pause, resume, throttle", r.Action)
	}
	data := map[string]any{"snapshot": r.Id, "chunk-rows": r.ChunkRows, "rows-per-second": r.RowsPerSecond, "bytes-per-second": r.BytesPerSecond}
	if len(r.Tables) > 0 {
		data["data-collections"] = r.Tables
	}
	_, err := c.signal(ctx, r.Name, "", r.Action+"-snapshot", data)
	return err
}

// Snapshots returns how far the snapshots of a connector are, by task.
func (c *Control) Snapshots(ctx context.Context, name string) ([]*controlv1.SnapshotStatus, error) {
	if _, err := c.Get(ctx, name); err != nil {
		return nil, err
	}
	m, err := c.Mesh(ctx)
	if err != nil {
		return nil, err
	}
	var out []*controlv1.SnapshotStatus
	for _, p := range m.Progress {
		if p.Connector == name {
			out = append(out, p.Snapshots...)
		}
	}
	return out, nil
}

// signal hands a signal to all lanes of a connector and returns the tables that they read for it.
func (c *Control) signal(ctx context.Context, name, id, kind string, data map[string]any) ([]string, error) {
	v, err := c.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	if v.Target != registry.Running {
		return nil, errs.E(errs.Busy, "connector %s is %s, and only a running one can be asked; resume it first", name, v.Target)
	}
	text, err := json.Marshal(data)
	if err != nil {
		return nil, errs.E(errs.Invalid, "signal for connector %s: %w", name, err)
	}
	st, err := c.state(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, signalTimeout)
	defer cancel()
	request := &controlv1.SignalRequest{Connector: name, Id: id, Type: kind, Data: string(text)}
	for {
		tables, err := judge(name, v.Lanes, c.reports.signal(ctx, slices.Collect(maps.Values(st.Members)), request))
		if errs.KindOf(err) != errs.Unavailable {
			return tables, err
		}
		select { // a task that starts, or moves, is there in a moment; those that have taken the signal take it again as the same one
		case <-ctx.Done():
			return nil, err
		case <-time.After(signalPause):
		}
		if st, err = c.state(ctx); err != nil {
			return nil, err
		}
	}
}

// judge makes one answer of those of the lanes. What can never work is said first; a lane that does not answer makes the whole be asked for again; an id that some lanes do
// not know is known if one does.
func judge(name string, lanes []registry.LaneStatus, outcomes []*controlv1.SignalOutcome) ([]string, error) {
	var tables []string
	var refused, later, missing error
	heard := map[uint32]bool{}
	known := 0
	for _, o := range outcomes {
		err := errs.E(errs.Kind(o.Code), "%s", o.Error)
		switch errs.Kind(o.Code) {
		case "":
			known++
		case errs.Unavailable, errs.Busy, errs.NotOwner, errs.Stale:
			later = cmp.Or(later, errs.E(errs.Unavailable, "task %d of connector %s: %s", o.Task, name, o.Error))
		case errs.NotFound:
			missing = cmp.Or(missing, err)
		default:
			refused = cmp.Or(refused, err)
		}
		heard[o.Task] = true
		tables = append(tables, o.Tables...)
	}
	for _, l := range lanes {
		if !heard[l.Task] {
			later = cmp.Or(later, errs.E(errs.Unavailable, "task %d of connector %s runs nowhere now (%s); ask again with the same id", l.Task, name, l.State))
		}
	}
	switch {
	case refused != nil:
		return nil, refused
	case later != nil:
		return nil, later
	case known == 0 && missing != nil:
		return nil, missing
	case len(outcomes) == 0:
		return nil, errs.E(errs.Unavailable, "no task of connector %s runs now; ask again", name)
	}
	slices.Sort(tables)
	return slices.Compact(tables), nil
}

// signal hands a signal to all publishers at once and returns what their lanes made of it.
func (r *reports) signal(ctx context.Context, members []registry.Member, request *controlv1.SignalRequest) []*controlv1.SignalOutcome {
	clients := r.clients(members, registry.Publisher)
	var mu sync.Mutex
	var out []*controlv1.SignalOutcome
	var all sync.WaitGroup
	for address, client := range clients {
		all.Go(func() {
			resp, err := client.Signal(ctx, request)
			if err != nil {
				r.log.Warn("member did not take a signal", "address", address, "connector", request.Connector, "error", err)
			}
			mu.Lock()
			defer mu.Unlock()
			out = append(out, resp.GetLanes()...)
		})
	}
	all.Wait()
	slices.SortFunc(out, func(a, b *controlv1.SignalOutcome) int { return cmp.Compare(a.Task, b.Task) })
	return out
}

// StartSnapshot implements controlv1.ControlServiceServer.
func (s *server) StartSnapshot(ctx context.Context, r *controlv1.StartSnapshotRequest) (*controlv1.StartSnapshotResponse, error) {
	return s.control.StartSnapshot(ctx, r)
}

// ControlSnapshot implements controlv1.ControlServiceServer.
func (s *server) ControlSnapshot(ctx context.Context, r *controlv1.ControlSnapshotRequest) (*controlv1.ControlSnapshotResponse, error) {
	return &controlv1.ControlSnapshotResponse{}, s.control.ControlSnapshot(ctx, r)
}

// ListSnapshots implements controlv1.ControlServiceServer.
func (s *server) ListSnapshots(ctx context.Context, r *controlv1.ListSnapshotsRequest) (*controlv1.ListSnapshotsResponse, error) {
	all, err := s.control.Snapshots(ctx, r.Name)
	return &controlv1.ListSnapshotsResponse{Snapshots: all}, err
}
