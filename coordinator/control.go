package coordinator

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
)

const (
	// seeTimeout bounds how long a write waits for this coordinator's cache, so that the next read here knows of it. A write that succeeded is not
	// called a failure because of that.
	seeTimeout = time.Second
	// loadTimeout bounds how long a read waits for the first reading of the registry.
	loadTimeout = 5 * time.Second
	// clearTimeout bounds how long a create waits until the leader has cleared away what an earlier connector of that name has left. That takes
	// milliseconds; without a leader the lanes of the old one become the new one's.
	clearTimeout = time.Second
	// writeAttempts when somebody else writes the same connector meanwhile. Each failure means that another writer got through.
	writeAttempts = 20
)

// Control is what users can do. Its methods work on any coordinator, leader or not, and none of them checks configs: that is done before, by REST
// and by Server. Errors have a kind: NotFound, Exists, Invalid, Unavailable (etcd).
type Control struct {
	cfg      Config
	rules    rules
	store    *registry.Store
	cache    *registry.Cache
	reports  *reports
	warnings func(name string, config map[string]string) []string
	// latest is the viewer of the state that was looked at last: making one goes through all lanes, and clients read more often than lanes change.
	latest *atomic.Pointer[viewer]
}

// state returns the cache's state, waiting for the first.
func (c *Control) state(ctx context.Context) (*registry.State, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	return c.cache.Wait(ctx, 0)
}

// see waits until the cache has revision, for a while.
func (c *Control) see(ctx context.Context, revision int64) {
	ctx, cancel := context.WithTimeout(ctx, seeTimeout)
	defer cancel()
	_, _ = c.cache.Wait(ctx, revision) // what is older than a second then is said by the next read
}

func (c *Control) viewer(st *registry.State) *viewer {
	if v := c.latest.Load(); v != nil && v.st == st {
		return v
	}
	v := newViewer(st, c.cfg.HTTPAddress, c.rules, c.warnings)
	c.latest.Store(v)
	return v
}

// Names returns the names of all connectors, sorted, as last seen.
func (c *Control) Names(ctx context.Context) ([]string, error) {
	st, err := c.state(ctx)
	if err != nil {
		return nil, err
	}
	return slices.Clone(c.viewer(st).names), nil
}

// List returns all connectors by name, as last seen.
func (c *Control) List(ctx context.Context) ([]View, error) {
	st, err := c.state(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]View, 0, len(st.Connectors))
	v := c.viewer(st)
	for _, name := range v.names {
		out = append(out, v.view(st.Connectors[name]))
	}
	return out, nil
}

// Get returns a connector as last seen. One that is not known here is looked for in etcd, since another coordinator may just have created it.
func (c *Control) Get(ctx context.Context, name string) (View, error) {
	st, err := c.state(ctx)
	if err != nil {
		return View{}, err
	}
	if conn, ok := st.Connectors[name]; ok {
		return c.viewer(st).view(conn), nil
	}
	conn, err := c.store.Connector(ctx, name)
	if err != nil {
		return View{}, err
	}
	c.see(ctx, conn.ModRevision)
	if st, err = c.state(ctx); err != nil {
		return View{}, err
	}
	return c.viewer(st).view(conn), nil
}

// Create stores a new connector: errs.Exists if the name is taken.
func (c *Control) Create(ctx context.Context, name string, config []registry.Entry, target registry.Target) error {
	if strings.TrimSpace(name) == "" {
		return errs.E(errs.Invalid, "a connector needs a name")
	}
	c.awaitClear(ctx, name)
	stored, err := c.store.CreateConnector(ctx, registry.Connector{Name: name, Config: config, Target: target, CreatedMS: time.Now().UnixMilli()})
	if err != nil {
		return err
	}
	c.see(ctx, stored.ModRevision)
	return nil
}

// awaitClear waits until nothing is left of a connector that was deleted just now: clients that create it again at once would see its tasks and topics.
func (c *Control) awaitClear(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, clearTimeout)
	defer cancel()
	for {
		st, changed := c.cache.State()
		if st == nil {
			return
		}
		if _, exists := st.Connectors[name]; exists || len(lanesOf(st)[name]) == 0 && len(statusesOf(st)[name]) == 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// Update replaces a connector's config, or creates the connector, running. A config that says the same as before changes nothing.
func (c *Control) Update(ctx context.Context, name string, config []registry.Entry) (created bool, err error) {
	err = c.change(ctx, name, func(conn *registry.Connector) error {
		conn.Unreadable = "" // what could not be read is replaced as a whole
		if !sameConfig(conn.Config, config) {
			conn.ConfigRevision++
		}
		conn.Config = config
		return nil
	})
	if errs.KindOf(err) == errs.NotFound {
		err = c.Create(ctx, name, config, registry.Running)
		if errs.KindOf(err) == errs.Exists { // created by somebody else between the two
			return c.Update(ctx, name, config)
		}
		return err == nil, err
	}
	return false, err
}

func sameConfig(a, b []registry.Entry) bool {
	return maps.Equal((&registry.Connector{Config: a}).Map(), (&registry.Connector{Config: b}).Map())
}

// Delete deletes a connector. Its lanes stop as soon as there is a leader; its offsets in Kafka stay.
func (c *Control) Delete(ctx context.Context, name string) error {
	revision, err := c.store.DeleteConnector(ctx, name)
	if err != nil {
		return err
	}
	c.see(ctx, revision)
	return nil
}

// SetTarget pauses, resumes or stops a connector.
func (c *Control) SetTarget(ctx context.Context, name string, target registry.Target) error {
	switch target {
	case registry.Running, registry.Paused, registry.Stopped:
	default:
		return errs.E(errs.Invalid, "target %q of connector %s is none of RUNNING, PAUSED, STOPPED", target, name)
	}
	return c.change(ctx, name, func(conn *registry.Connector) error {
		conn.Target = target
		return nil
	})
}

// Restart says what to start again.
type Restart struct {
	Task         *uint32 // only this task
	IncludeTasks bool    // where Task is nil: the tasks too
	OnlyFailed   bool    // only what failed
}

// Restart starts lanes again. A connector without its tasks has nothing that runs, so that alone changes nothing. errs.NotFound names a task that
// does not exist.
func (c *Control) Restart(ctx context.Context, name string, what Restart) error {
	v, err := c.Get(ctx, name)
	if err != nil {
		return err
	}
	var tasks []uint32 // to restart one by one
	switch {
	case what.Task != nil:
		if !slices.ContainsFunc(v.Lanes, func(l registry.LaneStatus) bool { return l.Task == *what.Task }) {
			return errs.E(errs.NotFound, "task %s-%d does not exist", name, *what.Task)
		}
		tasks = []uint32{*what.Task}
	case !what.IncludeTasks:
		return nil
	case what.OnlyFailed:
		for _, l := range v.Lanes {
			if l.State == registry.LaneFailed {
				tasks = append(tasks, l.Task)
			}
		}
		if len(tasks) == 0 {
			return nil
		}
	}
	return c.change(ctx, name, func(conn *registry.Connector) error {
		if len(tasks) == 0 {
			conn.Restart++
			return nil
		}
		conn.TaskRestart = maps.Clone(conn.TaskRestart)
		if conn.TaskRestart == nil {
			conn.TaskRestart = make(map[uint32]uint64)
		}
		for _, task := range tasks {
			conn.TaskRestart[task]++
		}
		return nil
	})
}

// Topics returns the topics that a connector has written to, sorted.
func (c *Control) Topics(ctx context.Context, name string) ([]string, error) {
	v, err := c.Get(ctx, name)
	return v.Topics, err
}

// ResetTopics forgets which topics a connector has written to; each comes back when it is written again. The publishers are told first: what they
// remember would come back with their next status.
func (c *Control) ResetTopics(ctx context.Context, name string) error {
	if _, err := c.Get(ctx, name); err != nil {
		return err
	}
	if err := c.tell(ctx, func(ctx context.Context, m controlv1.MemberServiceClient) error {
		_, err := m.ForgetTopics(ctx, &controlv1.ForgetTopicsRequest{Connector: name})
		return err
	}, registry.Publisher); err != nil {
		return err
	}
	return c.store.ResetTopics(ctx, name)
}

// SetLogLevels sets a logger on all other members that answer in time.
func (c *Control) SetLogLevels(ctx context.Context, logger, level string) error {
	return c.tell(ctx, func(ctx context.Context, m controlv1.MemberServiceClient) error {
		_, err := m.SetLogLevel(ctx, &controlv1.SetLogLevelRequest{Logger: logger, Level: level})
		return err
	}, registry.Coordinator, registry.Capturer, registry.Publisher)
}

// tell calls f for the other members of some roles.
func (c *Control) tell(ctx context.Context, f func(context.Context, controlv1.MemberServiceClient) error, roles ...registry.Role) error {
	st, err := c.state(ctx)
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(slices.Collect(maps.Values(st.Members)), func(m registry.Member) bool { return m.ID == c.cfg.ID })
	c.reports.tell(ctx, others, f, roles...)
	return nil
}

// change reads a connector, changes it and stores it, again if somebody else was faster. A change that changes nothing is not stored.
func (c *Control) change(ctx context.Context, name string, f func(*registry.Connector) error) error {
	var err error
	for range writeAttempts {
		conn, rerr := c.store.Connector(ctx, name)
		if rerr != nil {
			return rerr
		}
		before := conn
		if err := f(&conn); err != nil {
			return err
		}
		if sameRecord(before, conn) {
			return nil
		}
		var stored registry.Connector
		if stored, err = c.store.UpdateConnector(ctx, conn); err == nil {
			c.see(ctx, stored.ModRevision)
			return nil
		}
		if errs.KindOf(err) != errs.Stale {
			return err
		}
	}
	return err
}

func sameRecord(a, b registry.Connector) bool {
	return a.Target == b.Target && a.ConfigRevision == b.ConfigRevision && a.Restart == b.Restart && maps.Equal(a.TaskRestart, b.TaskRestart) &&
		a.Unreadable == b.Unreadable && slices.Equal(a.Config, b.Config)
}

// Mesh is everything at once.
type Mesh struct {
	Members  []registry.Member
	Leader   registry.MemberID
	Sources  []registry.Source
	Lanes    []registry.Lane
	Progress []Progress // of the publishers that answered in time
}

// Mesh returns members, sources and lanes as last seen, with the progress that publishers report now.
func (c *Control) Mesh(ctx context.Context) (Mesh, error) {
	st, err := c.state(ctx)
	if err != nil {
		return Mesh{}, err
	}
	m := Mesh{Leader: st.Leader}
	for _, id := range slices.Sorted(maps.Keys(st.Members)) {
		m.Members = append(m.Members, st.Members[id])
	}
	for _, id := range slices.Sorted(maps.Keys(st.Sources)) {
		m.Sources = append(m.Sources, st.Sources[id])
	}
	for _, l := range st.Lanes {
		m.Lanes = append(m.Lanes, l)
	}
	slices.SortFunc(m.Lanes, func(a, b registry.Lane) int { return strings.Compare(laneItem(a.LaneID), laneItem(b.LaneID)) })
	m.Progress = c.reports.collect(ctx, m.Members)
	return m, nil
}
