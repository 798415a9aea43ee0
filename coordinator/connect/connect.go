package connect

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/offset"
	"github.com/rowmesh/rowmesh/services/registry"
)

// Control is what the API needs of the mesh. Errors carry a kind of package errs: NotFound where the connector does not exist, Exists where it does.
type Control interface {
	// Names returns the names of all connectors, sorted.
	Names(ctx context.Context) ([]string, error)
	// List returns all connectors.
	List(ctx context.Context) ([]Connector, error)
	// Get returns one.
	Get(ctx context.Context, name string) (Connector, error)
	// Create stores a new connector.
	Create(ctx context.Context, name string, config []registry.Entry, target registry.Target) error
	// Update replaces the config of a connector, or creates it running.
	Update(ctx context.Context, name string, config []registry.Entry) (created bool, err error)
	// Delete removes a connector. Its offsets stay.
	Delete(ctx context.Context, name string) error
	// SetTarget pauses, resumes or stops.
	SetTarget(ctx context.Context, name string, target registry.Target) error
	// Restart starts again what is asked for.
	Restart(ctx context.Context, name string, what Restart) error
	// ResetTopics forgets which topics a connector has written to.
	ResetTopics(ctx context.Context, name string) error
}

// Connector is a connector as the API shows it.
type Connector struct {
	registry.Connector
	State    string // RUNNING, PAUSED, STOPPED, FAILED, UNASSIGNED, RESTARTING
	WorkerID string // host:port of the worker that answers for it; never empty
	Trace    string // why it failed
	Tasks    []Task // by number; those that exist, so none of a stopped connector
	Topics   []string
	Warnings []string // besides those that its config gives cause for
}

// Task is a lane as the API shows it.
type Task struct {
	ID       uint32
	State    registry.LaneState
	WorkerID string
	Trace    string
	Snapshot *Snapshot // while one runs that is worth a look
}

// Snapshot is how far a task's snapshot is: the table being read, its rows read and estimated, tables read of all.
type Snapshot struct {
	Table              string // database.table
	Rows, Estimate     uint64
	Tables, TablesDone uint32
}

// Restart says what to start again.
type Restart struct {
	Task         *uint32 // only this task
	IncludeTasks bool    // where Task is nil: the tasks too
	OnlyFailed   bool    // only what failed
}

// Validator checks a config against the servers it names: can they be reached, does the user have what it needs, does the server log rows. The connector's
// secrets are resolved. The errors it returns are told to the client word for word, the warnings to the log.
type Validator interface {
	Validate(ctx context.Context, c *config.Connector) config.Result
}

// Offsets reads and writes the offsets of connectors.
type Offsets interface {
	// List returns a connector's offsets.
	List(ctx context.Context, connector string) ([]offset.Entry, error)
	// Put writes offsets of a stopped connector; one without a value is removed.
	Put(ctx context.Context, connector string, entries []offset.Entry) error
}

// Config says how the API presents itself.
type Config struct {
	// Version is the version of Kafka Connect that clients gate their features on. Default 4.3.0.
	Version string
	// Commit is shown beside it: 16 hexadecimal digits. Default zeros.
	Commit string
	// ClusterID returns the id of the Kafka cluster. Default: none.
	ClusterID func(context.Context) (string, error)
	// URL is the base that Location headers begin with. Default: the host that the client asked for.
	URL string
	// Ready is nil once the coordinator can answer; its error is told in /health. Default: always ready.
	Ready func(context.Context) error
	// Snapshots starts and steers snapshots; nil: there are none.
	Snapshots Snapshots
	// MaxBodyBytes bounds a request's body. Default 1 MiB: etcd takes records of 1.5 MiB at most, and the largest configs seen hold some 100 KiB.
	MaxBodyBytes int64
	// Timeout bounds what a request waits for. Default 90 s, which is Kafka Connect's.
	Timeout time.Duration
	// MaskSecrets shows passwords and the like as "[hidden]"; one that comes back so stands for what is stored. Default: configs are shown as they were sent,
	// as Kafka Connect does and as clients that compare them want.
	MaskSecrets bool
	// Secrets resolves references in configs for validation.
	Secrets config.Secrets
	// SetLevel changes the level of one of this process's loggers and of those below it ("root" for all); nil: levels are kept and shown, and change nothing.
	SetLevel func(logger string, level slog.Level)
	// SetLevels does it on all other members of the mesh, where they can be reached. Nil: there are none.
	SetLevels func(ctx context.Context, logger, level string)
	// Level is what the root logger is at. Default INFO.
	Level string
	// Loggers are names that are shown before somebody sets them.
	Loggers []string
	// Log takes state changes and failures. Default: nothing.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Version == "" {
		c.Version = "4.3.0"
	}
	if c.Commit == "" {
		c.Commit = "0000000000000000"
	}
	if c.MaxBodyBytes <= 0 {
		c.MaxBodyBytes = 1 << 20
	}
	if c.Timeout <= 0 {
		c.Timeout = 90 * time.Second
	}
	if c.Level == "" {
		c.Level = "INFO"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Handler serves the API.
type Handler struct {
	cfg       Config
	control   Control
	validator Validator
	offsets   Offsets
	loggers   *loggers
	told      *told
	routes    []route
}

var _ http.Handler = (*Handler)(nil)

// New returns a handler. validator and offsets may be nil.
func New(cfg Config, control Control, validator Validator, offsets Offsets) *Handler {
	h := &Handler{cfg: cfg.withDefaults(), control: control, validator: validator, offsets: offsets, told: &told{texts: map[string]toldTexts{}}}
	h.loggers = newLoggers(h.cfg.Level, h.cfg.Loggers, cfg.SetLevel, time.Now)
	h.routes = h.table()
	return h
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), h.cfg.Timeout)
	defer cancel()
	answer := h.answer(w, r.WithContext(ctx))
	if answer.status >= 500 {
		h.cfg.Log.Warn("request failed", "method", r.Method, "path", r.URL.Path, "status", answer.status, "message", answer.message)
	}
	answer.write(w, r)
}

// answer makes the reply. A defect of ours in a handler must not take the coordinator down with it.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request) (a reply) {
	defer func() {
		if p := recover(); p != nil {
			h.cfg.Log.Error("request handler failed", "method", r.Method, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			a = failure(http.StatusInternalServerError, "Internal error; the coordinator's log has the details")
		}
	}()
	req, refused := h.route(r)
	if refused == nil {
		refused = req.negotiate()
	}
	if refused != nil {
		return *refused
	}
	r.Body = http.MaxBytesReader(w, r.Body, h.cfg.MaxBodyBytes)
	a = req.handle(req)
	a.params = req.accept
	return a
}
