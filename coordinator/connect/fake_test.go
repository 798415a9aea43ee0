package connect

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/offset"
	"github.com/rowmesh/rowmesh/services/registry"
)

const testWorker = "127.0.0.1:8083"

// mesh is a mesh in memory: what is asked of it is true at once.
type mesh struct {
	mu         sync.Mutex
	connectors map[string]*Connector
	offsets    map[string]map[string]json.RawMessage
	restarts   []Restart
	err        error // returned by every call
}

var (
	_ Control   = (*mesh)(nil)
	_ Offsets   = (*meshOffsets)(nil)
	_ Validator = meshValidator{}
)

func newMesh() *mesh {
	return &mesh{connectors: map[string]*Connector{}, offsets: map[string]map[string]json.RawMessage{}}
}

func newTestHandler(validator Validator) *Handler {
	m := newMesh()
	cluster := func(context.Context) (string, error) { return "MkU3OEVBNTcwNTJENDM2Qg", nil }
	return New(Config{ClusterID: cluster}, m, validator, &meshOffsets{m})
}

func (m *mesh) List(context.Context) ([]Connector, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Connector
	for _, c := range m.connectors {
		out = append(out, *c)
	}
	return out, m.err
}

func (m *mesh) Names(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.connectors)), m.err
}

func (m *mesh) find(name string) (*Connector, error) {
	if m.err != nil {
		return nil, m.err
	}
	c, ok := m.connectors[name]
	if !ok {
		return nil, errs.E(errs.NotFound, "connector %s does not exist", name)
	}
	return c, nil
}

func (m *mesh) Get(_ context.Context, name string) (Connector, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.find(name)
	if err != nil {
		return Connector{}, err
	}
	return *c, nil
}

func (m *mesh) Create(_ context.Context, name string, cfg []registry.Entry, target registry.Target) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	if _, ok := m.connectors[name]; ok {
		return errs.E(errs.Exists, "connector %s exists", name)
	}
	c := &Connector{Connector: registry.Connector{Name: name, Config: cfg, Target: target}, WorkerID: testWorker}
	m.connectors[name] = c
	m.settle(c)
	return nil
}

// failure is why the tasks of a connector fail: a transform that has no field to work on, or a place that is not in the log.
func (m *mesh) failure(name string, cfg map[string]string) string {
	if cfg["transforms.k.fields"] == "nosuchfield" {
		return "Tolerance exceeded in error handler: Field does not exist: nosuchfield"
	}
	for _, v := range m.offsets[name] {
		if strings.Contains(string(v), "binlog.999999") {
			return "position binlog.999999:4 is no longer available in the log of the server"
		}
	}
	for _, alias := range strings.Split(cfg["transforms"], ",") {
		if p, ok := cfg["transforms."+alias+".predicate"]; ok && !slices.Contains(strings.Split(cfg["predicates"], ","), p) {
			return "Unknown predicate " + p
		}
	}
	return ""
}

// settle gives a connector the state of its target. Tasks appear when it runs first and vanish when it stops.
func (m *mesh) settle(c *Connector) {
	c.State = string(c.Target)
	cfg := c.Map()
	switch c.Target {
	case registry.Stopped:
		c.Tasks = nil
		return
	case registry.Paused:
		for i := range c.Tasks {
			if c.Tasks[i].State != registry.LaneFailed { // which stays as it is
				c.Tasks[i].State = registry.LanePaused
			}
		}
		return
	}
	count, _ := strconv.Atoi(strings.TrimSpace(cfg["tasks.max"]))
	c.Tasks = nil
	for i := range max(count, 1) {
		c.Tasks = append(c.Tasks, Task{ID: uint32(i), State: registry.LaneRunning, WorkerID: testWorker})
	}
	if trace := m.failure(c.Name, cfg); trace != "" {
		for i := range c.Tasks {
			c.Tasks[i].State, c.Tasks[i].Trace = registry.LaneFailed, trace
		}
	}
	prefix := cfg["topic.prefix"]
	if m.offsets[c.Name] == nil {
		m.offsets[c.Name] = map[string]json.RawMessage{
			fmt.Sprintf(`{"server":%q}`, prefix): json.RawMessage(`{"ts_sec":1795370281,"file":"binlog.000001","pos":695589,"gtids":"5c846985-e695-11f1-a502-02fc00000001:1-1620"}`),
		}
		c.Topics = []string{prefix, prefix + ".rest_inv.customers", prefix + ".rest_inv.orders"}
	}
}

func (m *mesh) Update(_ context.Context, name string, cfg []registry.Entry) (bool, error) {
	m.mu.Lock()
	c, err := m.find(name)
	if err != nil {
		m.mu.Unlock()
		if errs.KindOf(err) == errs.NotFound {
			return true, m.Create(context.Background(), name, cfg, registry.Running)
		}
		return false, err
	}
	defer m.mu.Unlock()
	c.Config = cfg
	m.settle(c)
	return false, nil
}

func (m *mesh) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.find(name); err != nil {
		return err
	}
	delete(m.connectors, name)
	return nil
}

func (m *mesh) SetTarget(_ context.Context, name string, target registry.Target) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.find(name)
	if err != nil {
		return err
	}
	c.Target = target
	m.settle(c)
	return nil
}

func (m *mesh) Restart(_ context.Context, name string, what Restart) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := m.find(name)
	m.restarts = append(m.restarts, what)
	return err
}

func (m *mesh) ResetTopics(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.find(name)
	if err == nil {
		c.Topics = nil
	}
	return err
}

// meshOffsets are the offsets of a mesh; they outlive its connectors.
type meshOffsets struct{ m *mesh }

func (o *meshOffsets) List(_ context.Context, connector string) ([]offset.Entry, error) {
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	var out []offset.Entry
	for p, v := range o.m.offsets[connector] {
		out = append(out, offset.Entry{Partition: json.RawMessage(p), Value: v})
	}
	return out, nil
}

func (o *meshOffsets) Put(_ context.Context, connector string, entries []offset.Entry) error {
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	if o.m.offsets[connector] == nil {
		o.m.offsets[connector] = map[string]json.RawMessage{}
	}
	for _, e := range entries {
		if e.Value == nil {
			delete(o.m.offsets[connector], string(e.Partition))
		} else {
			o.m.offsets[connector][string(e.Partition)] = e.Value
		}
	}
	return nil
}

// meshValidator stands for a database with one user, dbz, whose password is dbz, behind the ports of the test servers.
type meshValidator struct{}

func (meshValidator) Validate(_ context.Context, c *config.Connector) config.Result {
	problem := func(format string, args ...any) config.Result {
		return config.Result{Errors: []config.Problem{{Option: "database.hostname", Text: fmt.Sprintf(format, args...)}}}
	}
	if !slices.Contains([]string{"mysql.test", "mariadb.test"}, c.Hostname) || c.Port != 23306 && c.Port != 23307 {
		if c.Flavor == config.MariaDB {
			return problem("Unable to connect: Socket fail to connect to %s:%d. Connection refused", c.Hostname, c.Port)
		}
		return problem("Error during connection validation: io.debezium.DebeziumException: Failed to establish connection with the database: ")
	}
	if c.User != "dbz" || c.Password != "dbz" {
		using := "YES"
		if c.Password == "" {
			using = "NO"
		}
		return problem("Unable to connect: Access denied for user '%s'@'localhost' (using password: %s)", c.User, using)
	}
	if v := c.Raw["database.initial.statements"]; v == "x" {
		return problem("Unable to connect: database.initial.statements: statement 1, %s: You have an error in your SQL syntax", v)
	}
	return config.Result{}
}
