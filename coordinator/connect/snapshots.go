package connect

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"

	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	"github.com/rowmesh/rowmesh/services/errs"
)

// Snapshots starts and steers snapshots of running connectors. Errors carry a kind of package errs.
type Snapshots interface {
	// StartSnapshot returns once the snapshot would survive the loss of any process.
	StartSnapshot(ctx context.Context, r *controlv1.StartSnapshotRequest) (*controlv1.StartSnapshotResponse, error)
	// ControlSnapshot stops, pauses, resumes or throttles.
	ControlSnapshot(ctx context.Context, r *controlv1.ControlSnapshotRequest) error
	// Snapshots returns those of a connector that run, and the last ones that ended.
	Snapshots(ctx context.Context, name string) ([]*controlv1.SnapshotStatus, error)
}

const snapshotForm = `{"tables": ["db.table"], "type": "incremental", "conditions": [{"table": "db.table", "filter": "id > 5"}], "surrogate_key": "", "id": "", "chunk_rows": 0, "rows_per_second": 0, "bytes_per_second": 0}; tables is required`

// snapshotBody is the body of POST and PATCH. Debezium's names of what a signal holds do too.
type snapshotBody struct {
	ID           string              `json:"id"`
	Type         string              `json:"type"`
	Tables       []string            `json:"tables"`
	Collections  []string            `json:"data-collections"`
	Conditions   []snapshotCondition `json:"conditions"`
	Additional   []snapshotCondition `json:"additional-conditions"`
	SurrogateKey string              `json:"surrogate_key"`
	Surrogate    string              `json:"surrogate-key"`
	State        string              `json:"state"`

	ChunkRows      uint32  `json:"chunk_rows"`
	RowsPerSecond  *uint64 `json:"rows_per_second"`
	BytesPerSecond *uint64 `json:"bytes_per_second"`
}

type snapshotCondition struct {
	Table      string `json:"table"`
	Collection string `json:"data-collection"`
	Filter     string `json:"filter"`
}

// snapshotBodyOf reads a body; one that is wrong is answered with what it should look like.
func snapshotBodyOf(r *request) (b snapshotBody, refused *reply) {
	text, err := io.ReadAll(r.Body)
	if err == nil {
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.DisallowUnknownFields()
		err = dec.Decode(&b)
	}
	if err != nil {
		a := failure(http.StatusBadRequest, "The body is not understood ("+err.Error()+"); it looks like "+snapshotForm)
		return b, &a
	}
	return b, nil
}

func (h *Handler) noSnapshots(r *request) *reply {
	if h.cfg.Snapshots != nil {
		return nil
	}
	a := failure(http.StatusNotImplemented, "This coordinator cannot reach the tasks of connectors; ask one of the mesh")
	return &a
}

// startSnapshot answers POST /connectors/{name}/snapshots.
func (h *Handler) startSnapshot(r *request) reply {
	if a := h.noSnapshots(r); a != nil {
		return *a
	}
	body, refused := snapshotBodyOf(r)
	if refused != nil {
		return *refused
	}
	name := r.names[0]
	start := &controlv1.StartSnapshotRequest{Name: name, Id: body.ID, Tables: append(body.Tables, body.Collections...), SurrogateKey: body.SurrogateKey + body.Surrogate,
		ChunkRows: body.ChunkRows, RowsPerSecond: valueOf(body.RowsPerSecond), BytesPerSecond: valueOf(body.BytesPerSecond)}
	switch strings.ToLower(body.Type) {
	case "", "incremental":
	case "blocking":
		start.Blocking = true
	default:
		return failure(http.StatusBadRequest, "type is incremental or blocking, not "+body.Type)
	}
	for _, c := range append(body.Conditions, body.Additional...) {
		start.Conditions = append(start.Conditions, &controlv1.SnapshotCondition{Table: c.Table + c.Collection, Filter: c.Filter})
	}
	resp, err := h.cfg.Snapshots.StartSnapshot(r.Context(), start)
	if err != nil {
		return failed(err, notFound(name))
	}
	b := appendText([]byte{'{'}, "id", resp.Id)
	a := document(http.StatusAccepted, append(appendStrings(appendMember(b, "tables"), resp.Tables), '}'))
	a.location = h.location(r, name) + "/snapshots/" + resp.Id
	return a
}

func valueOf(n *uint64) uint64 {
	if n == nil {
		return 0
	}
	return *n
}

// snapshotView is a snapshot as REST shows it; one for each task that has tables of it.
type snapshotView struct {
	ID        string              `json:"id"`
	Task      uint32              `json:"task"`
	Type      string              `json:"type"`
	State     string              `json:"state"`
	StartedMS int64               `json:"started_ms,omitempty"`
	EndedMS   int64               `json:"ended_ms,omitempty"`
	Resting   string              `json:"resting,omitempty"`
	Tables    []snapshotTableView `json:"tables"`
}

type snapshotTableView struct {
	Table         string `json:"table"`
	State         string `json:"state"`
	RowsDone      uint64 `json:"rows_done"`
	RowsEstimated uint64 `json:"rows_estimated"`
	ChunksDone    uint64 `json:"chunks_done"`
	ChunksLeft    uint64 `json:"chunks_left"`
	RowsPerSecond uint64 `json:"rows_per_second"`
	LeftMS        uint64 `json:"left_ms"`
	Error         string `json:"error,omitempty"`
}

// listSnapshots answers GET /connectors/{name}/snapshots, and with an id of one of them.
func (h *Handler) listSnapshots(r *request) reply {
	if a := h.noSnapshots(r); a != nil {
		return *a
	}
	name := r.names[0]
	all, err := h.cfg.Snapshots.Snapshots(r.Context(), name)
	if err != nil {
		return failed(err, notFound(name))
	}
	if len(r.names) > 1 {
		all = slices.DeleteFunc(all, func(s *controlv1.SnapshotStatus) bool { return s.Id != r.names[1] })
		if len(all) == 0 {
			return failure(http.StatusNotFound, "Connector "+name+" has no snapshot "+r.names[1])
		}
	}
	views := []snapshotView{}
	for _, s := range all {
		v := snapshotView{ID: s.Id, Task: s.Task, Type: s.Type, State: s.State, StartedMS: s.StartedMs, EndedMS: s.EndedMs, Resting: s.Resting, Tables: []snapshotTableView{}}
		for _, t := range s.Tables {
			v.Tables = append(v.Tables, snapshotTableView{Table: t.Table, State: t.State, RowsDone: t.RowsDone, RowsEstimated: t.RowsEstimated, ChunksDone: t.ChunksDone,
				ChunksLeft: t.ChunksLeft, RowsPerSecond: t.RowsPerSecond, LeftMS: t.LeftMs, Error: t.Error})
		}
		views = append(views, v)
	}
	b, err := json.Marshal(map[string]any{"snapshots": views})
	if err != nil {
		return failed(errs.E(errs.Internal, "%w", err), "")
	}
	return document(http.StatusOK, b)
}

// steerSnapshot answers PATCH /connectors/{name}/snapshots/{id}: {"state": "PAUSED"}, or limits.
func (h *Handler) steerSnapshot(r *request) reply {
	body, refused := snapshotBodyOf(r)
	if refused != nil {
		return *refused
	}
	action := map[string]string{"PAUSED": "pause", "RUNNING": "resume", "STOPPED": "stop"}[strings.ToUpper(body.State)]
	limits := body.ChunkRows > 0 || body.RowsPerSecond != nil || body.BytesPerSecond != nil
	switch {
	case body.State != "" && action == "":
		return failure(http.StatusBadRequest, "state is PAUSED, RUNNING or STOPPED, not "+body.State)
	case action == "" && !limits:
		return failure(http.StatusBadRequest, `Nothing is asked for; give "state": "PAUSED", "RUNNING" or "STOPPED", or rows_per_second, bytes_per_second or chunk_rows`)
	}
	if limits {
		if a := h.controlSnapshot(r, "throttle", body); a.status != http.StatusNoContent || action == "" {
			return a
		}
	}
	return h.controlSnapshot(r, action, body)
}

// stopSnapshot answers DELETE of one snapshot, or of all.
func (h *Handler) stopSnapshot(r *request) reply { return h.controlSnapshot(r, "stop", snapshotBody{}) }

func (h *Handler) controlSnapshot(r *request, action string, body snapshotBody) reply {
	if a := h.noSnapshots(r); a != nil {
		return *a
	}
	name := r.names[0]
	c := &controlv1.ControlSnapshotRequest{Name: name, Action: action, Tables: append(body.Tables, body.Collections...), ChunkRows: body.ChunkRows,
		RowsPerSecond: valueOf(body.RowsPerSecond), BytesPerSecond: valueOf(body.BytesPerSecond)}
	missing := notFound(name)
	if len(r.names) > 1 {
		c.Id = r.names[1]
		if _, err := h.control.Get(r.Context(), name); err == nil {
			missing = "Connector " + name + " runs no snapshot " + c.Id
		}
	}
	if err := h.cfg.Snapshots.ControlSnapshot(r.Context(), c); err != nil {
		return failed(err, missing)
	}
	return empty(http.StatusNoContent)
}
