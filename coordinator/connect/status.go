package connect

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
)

const restarting = "RESTARTING"

// appendStatus appends the status of a connector. Its member "connector" holds strings only: clients decode it into a map of strings. What Kafka Connect
// has no place for is told in "warnings", which is absent where there is nothing to tell.
func (h *Handler) appendStatus(b []byte, c Connector) []byte {
	version := config.VersionOf(c.flavor())
	b = appendText(append(b, '{'), "name", c.Name)
	b = appendState(append(appendMember(b, "connector"), '{'), c.State, c.WorkerID, version, c.Trace)
	b = append(appendMember(append(b, '}'), "tasks"), '[')
	for i, t := range c.Tasks {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTask(b, t, version)
	}
	b = appendText(append(b, ']'), "type", "source")
	if w := h.warnings(c); len(w) > 0 {
		b = appendStrings(appendMember(b, "warnings"), w)
	}
	return append(b, '}')
}

// flavor is what the connector's class says.
func (c Connector) flavor() config.Flavor {
	class, _ := settingsOf(c.Config).get("connector.class")
	flavor, _ := config.FlavorOf(class)
	return flavor
}

// warnings are those that the config gives cause for, and those of the running connector.
func (h *Handler) warnings(c Connector) []string {
	texts, ok := h.told.get(c)
	if !ok {
		_, cfg, _ := settingsOf(c.Config).split()
		_, res := h.cfg.Secrets.Parse(c.Name, cfg)
		texts = res.Texts()
		h.told.put(c, texts)
	}
	return append(texts[:len(texts):len(texts)], c.Warnings...)
}

// told remembers the warnings of configs: to find them a config is parsed, which costs more than all else that a read of a status does.
type told struct {
	mu    sync.Mutex
	texts map[string]toldTexts // by connector
}

type toldTexts struct {
	revision int64 // of the record that they are of
	at       time.Time
	texts    []string
}

const (
	// maxTold bounds what is remembered: more connectors than a coordinator has had so far. Above it all is forgotten.
	maxTold = 10_000
	// toldFor is how long texts are believed: a file that a reference names may change without the config.
	toldFor = time.Minute
)

func (t *told) get(c Connector) ([]string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x, ok := t.texts[c.Name]
	return x.texts, ok && c.ModRevision != 0 && x.revision == c.ModRevision && time.Since(x.at) < toldFor
}

func (t *told) put(c Connector, texts []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.texts) >= maxTold {
		clear(t.texts)
	}
	t.texts[c.Name] = toldTexts{c.ModRevision, time.Now(), texts}
}

func appendTask(b []byte, t Task, version string) []byte {
	b = fmt.Append(appendMember(append(b, '{'), "id"), t.ID)
	b = appendState(b, string(t.State), t.WorkerID, version, t.Trace)
	if s := t.Snapshot; s != nil {
		b = appendText(append(appendMember(b, "snapshot"), '{'), "table", s.Table)
		b = fmt.Appendf(b, `,"rows_done":%d,"rows_estimated":%d,"tables_done":%d,"tables":%d}`, s.Rows, s.Estimate, s.TablesDone, s.Tables)
	}
	return append(b, '}')
}

func appendState(b []byte, state, worker, version, trace string) []byte {
	b = appendText(b, "state", state)
	b = appendText(b, "worker_id", worker)
	b = appendText(b, "version", version)
	if trace != "" {
		b = appendText(b, "trace", trace)
	}
	return b
}

func (h *Handler) status(r *request) reply {
	c, err := h.control.Get(r.Context(), r.names[0])
	if err != nil {
		return failed(err, "No status found for connector "+r.names[0])
	}
	return document(http.StatusOK, h.appendStatus(nil, c))
}

func (h *Handler) pause(r *request) reply {
	return h.target(r, registry.Paused, http.StatusAccepted)
}

func (h *Handler) resume(r *request) reply {
	return h.target(r, registry.Running, http.StatusAccepted)
}

func (h *Handler) stop(r *request) reply {
	return h.target(r, registry.Stopped, http.StatusNoContent)
}

func (h *Handler) target(r *request, target registry.Target, status int) reply {
	if err := h.control.SetTarget(r.Context(), r.names[0], target); err != nil {
		return failed(err, "Unknown connector "+r.names[0])
	}
	h.cfg.Log.Info("connector target changed", "connector", r.names[0], "target", target)
	return empty(status)
}

// restart answers with a status only if a flag is set, as Kafka Connect does; what is about to start again reads RESTARTING in it.
func (h *Handler) restart(r *request) reply {
	name, missing := r.names[0], "Unknown connector: "+r.names[0]
	what := Restart{IncludeTasks: r.flag("includeTasks"), OnlyFailed: r.flag("onlyFailed")}
	c, err := h.control.Get(r.Context(), name)
	if err == nil {
		err = h.control.Restart(r.Context(), name, what)
	}
	if err != nil {
		return failed(err, missing)
	}
	h.cfg.Log.Info("connector restarted", "connector", name, "tasks", what.IncludeTasks, "onlyFailed", what.OnlyFailed)
	if !what.IncludeTasks && !what.OnlyFailed {
		return empty(http.StatusNoContent)
	}
	if !what.OnlyFailed || c.State == "FAILED" {
		c.State = restarting
	}
	c.Tasks = append([]Task(nil), c.Tasks...)
	for i, t := range c.Tasks {
		if what.IncludeTasks && (!what.OnlyFailed || t.State == registry.LaneFailed) {
			c.Tasks[i].State = restarting
		}
	}
	return document(http.StatusAccepted, h.appendStatus(nil, c))
}

// flag reads a query flag: "true" in any case is true, all else is false.
func (r *request) flag(name string) bool { return strings.EqualFold(r.query.Get(name), "true") }

func (h *Handler) tasks(r *request) reply {
	c, err := h.control.Get(r.Context(), r.names[0])
	if err != nil {
		return failed(err, notFound(r.names[0]))
	}
	s := settings(set(h.shown(settingsOf(c.Config)), member{"task.class", value{kind: 's', text: config.ClassOf(c.flavor()) + "Task"}}))
	b := []byte{'['}
	for i, t := range c.Tasks {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTaskID(appendMember(append(b, '{'), "id"), c.Name, t.ID)
		b = append(s.append(appendMember(b, "config")), '}')
	}
	return document(http.StatusOK, append(b, ']'))
}

// task returns the number of the task in the path. Kafka Connect answers a text that is no integer as a path that does not exist.
func (r *request) task() (int64, *reply) {
	n, err := strconv.ParseInt(r.names[1], 10, 32)
	if err != nil {
		a := failure(http.StatusNotFound, "HTTP 404 Not Found")
		return 0, &a
	}
	return n, nil
}

func (h *Handler) taskStatus(r *request) reply {
	n, refused := r.task()
	if refused != nil {
		return *refused
	}
	missing := fmt.Sprintf("No status found for task %s-%d", r.names[0], n)
	c, err := h.control.Get(r.Context(), r.names[0])
	if err != nil {
		return failed(err, missing)
	}
	for _, t := range c.Tasks {
		if int64(t.ID) == n {
			return document(http.StatusOK, appendTask(nil, t, config.VersionOf(c.flavor())))
		}
	}
	return failure(http.StatusNotFound, missing)
}

func (h *Handler) restartTask(r *request) reply {
	n, refused := r.task()
	if refused != nil {
		return *refused
	}
	name := r.names[0]
	c, err := h.control.Get(r.Context(), name)
	if err != nil {
		return failed(err, "Unknown connector: "+name)
	}
	for _, t := range c.Tasks {
		if int64(t.ID) != n {
			continue
		}
		if err := h.control.Restart(r.Context(), name, Restart{Task: &t.ID}); err != nil {
			return failed(err, "Unknown connector: "+name)
		}
		h.cfg.Log.Info("task restarted", "connector", name, "task", n)
		return empty(http.StatusNoContent)
	}
	return failure(http.StatusNotFound, fmt.Sprintf("Unknown task: %s-%d", name, n))
}

// topics answers for a connector that does not exist too, as Kafka Connect does.
func (h *Handler) topics(r *request) reply {
	name := r.names[0]
	c, err := h.control.Get(r.Context(), name)
	if err != nil && errs.KindOf(err) != errs.NotFound {
		return failed(err, "")
	}
	b := append(appendMember([]byte{'{'}, name), '{')
	b = appendStrings(appendMember(b, "topics"), c.Topics)
	return document(http.StatusOK, append(b, "}}"...))
}

func (h *Handler) resetTopics(r *request) reply {
	err := h.control.ResetTopics(r.Context(), r.names[0])
	if err != nil && errs.KindOf(err) != errs.NotFound {
		return failed(err, "")
	}
	return empty(http.StatusAccepted)
}
