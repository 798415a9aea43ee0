package capturer

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
)

// Assignments say which sources this capturer reads.
type Assignments interface {
	// Watch sends the sources that this capturer owns, all of them, at first and whenever one changes, until ctx ends. While the registry is away nothing is
	// sent, and what was sent last stands.
	Watch(ctx context.Context) <-chan []registry.Source
	// Config is a connector's config, secrets resolved.
	Config(ctx context.Context, connector string) (map[string]string, error)
	// Owner is the member that reads a source: NotFound if no connector uses it, Busy while nobody does.
	Owner(ctx context.Context, source registry.SourceID) (registry.MemberID, error)
}

// Config is what a capturer is made with.
type Config struct {
	// ID is this member's; it reads the sources that have it as their owner.
	ID registry.MemberID
	// Pool lends the buffers that batches are built in; the gRPC server's options should name the same one. Default: a new one.
	Pool *capture.Pool
}

// Deps are what a capturer needs from others.
type Deps struct {
	Assignments Assignments
	Schemas     SchemaStore
	// Server makes the access to a source's server from a connector's config, and says which replica id the config asks for (0: none). Default: NewServer.
	Server     func(connector string, config map[string]string) (Server, uint32, error)
	Registerer prometheus.Registerer // default: a registry of its own
	Log        *slog.Logger          // default: slog.Default
}

// Capturer reads the sources assigned to it and serves their rows.
type Capturer struct {
	cfg     Config
	deps    Deps
	metrics *metrics

	mu      sync.Mutex
	started bool // the assignments are known
	owned   map[registry.SourceID]*ownedSource
	changed chan struct{} // closed and replaced when owned changes
}

// ownedSource is a source that this capturer reads.
type ownedSource struct {
	source     *dbSource
	connector  string
	generation uint64
	config     map[string]string
	err        error // why there is no source
	cancel     context.CancelFunc
}

var _ capture.Service = (*Capturer)(nil)

// configEvery is how often the configs of the connectors whose credentials are used are read again: a changed password is found that soon.
const configEvery = 10 * time.Second

// assignmentWait is how long a subscription waits for the first assignments after a start, before it is told that nobody has the source.
const assignmentWait = 3 * time.Second

// ownerTimeout bounds the question who has a source: the answer is in memory, once the registry was read.
const ownerTimeout = 2 * time.Second

// New returns a capturer. It serves once Run runs.
func New(cfg Config, deps Deps) *Capturer {
	if cfg.Pool == nil {
		cfg.Pool = capture.NewPool()
	}
	if deps.Server == nil {
		deps.Server = NewServer
	}
	if deps.Registerer == nil {
		deps.Registerer = prometheus.NewRegistry()
	}
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	return &Capturer{cfg: cfg, deps: deps, metrics: newMetrics(deps.Registerer), owned: make(map[registry.SourceID]*ownedSource), changed: make(chan struct{})}
}

// Run follows the assignments until ctx ends. It returns when all readers have ended.
func (c *Capturer) Run(ctx context.Context) error {
	watch := c.deps.Assignments.Watch(ctx)
	g, gctx := errgroup.WithContext(ctx)
	ticker := time.NewTicker(configEvery)
	defer ticker.Stop()
	var current []registry.Source
	for {
		select {
		case <-ctx.Done():
			return g.Wait()
		case sources, ok := <-watch:
			if !ok {
				watch = nil // ctx ends; or the registry is gone, which must not stop the data
				continue
			}
			current = sources
		case <-ticker.C:
		}
		c.follow(gctx, g, current)
	}
}

// follow makes the sources that run those that are assigned.
func (c *Capturer) follow(ctx context.Context, g *errgroup.Group, sources []registry.Source) {
	assigned := make(map[registry.SourceID]bool, len(sources))
	for _, s := range sources {
		if s.Owner == c.cfg.ID {
			assigned[s.ID] = true
		}
	}
	c.mu.Lock()
	owned := maps.Clone(c.owned)
	c.mu.Unlock()
	for id, o := range owned {
		if !assigned[id] {
			c.release(id, o)
		}
	}
	for _, s := range sources {
		if assigned[s.ID] {
			c.acquire(ctx, g, s, owned[s.ID])
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started = true
	close(c.changed)
	c.changed = make(chan struct{})
}

// release ends a source that somebody else has now.
func (c *Capturer) release(id registry.SourceID, o *ownedSource) {
	c.mu.Lock()
	delete(c.owned, id)
	c.mu.Unlock()
	if o.source != nil {
		c.deps.Log.Info("source released", "source", string(id))
	}
	o.cancel()
}

// acquire starts a source, or gives it the access to its server that has changed.
func (c *Capturer) acquire(ctx context.Context, g *errgroup.Group, s registry.Source, old *ownedSource) {
	cfg, err := c.deps.Assignments.Config(ctx, s.Connector)
	if err != nil && old != nil && old.err == nil {
		return // goes on as it is: the registry being away is no reason to stop
	}
	access := accessOf(cfg)
	if old != nil && old.err == nil && maps.Equal(old.config, access) {
		return
	}
	if old != nil && old.err == nil && err == nil {
		server, _, err := c.deps.Server(s.Connector, cfg)
		if err != nil {
			c.deps.Log.Error("new settings of a source cannot be used; it goes on with the old ones", "source", string(s.ID), "connector", s.Connector, "error", err)
			return
		}
		old.source.setAccess(server)
		c.deps.Log.Info("source has new settings, for connections made from now on", "source", string(s.ID), "connector", s.Connector)
		c.mu.Lock()
		defer c.mu.Unlock()
		old.connector, old.config = s.Connector, access
		return
	}
	if old != nil {
		c.release(s.ID, old)
	}
	o := &ownedSource{connector: s.Connector, generation: s.Generation, config: access, err: err, cancel: func() {}}
	if err == nil {
		var server Server
		var serverID uint32
		if server, serverID, o.err = c.deps.Server(s.Connector, cfg); o.err == nil {
			o.source = newSource(s.ID, server, c.deps.Schemas, c.cfg.Pool, c.metrics, c.deps.Log, serverID)
		}
	}
	if o.source != nil {
		sctx, cancel := context.WithCancel(ctx)
		o.cancel = cancel
		g.Go(func() error {
			o.source.run(sctx, func() error {
				return errs.E(errs.NotOwner, "source %s is no longer read by this capturer; subscribe again", s.ID)
			})
			return nil
		})
		c.deps.Log.Info("source acquired", "source", string(s.ID), "connector", s.Connector, "generation", s.Generation)
	} else if old == nil || old.err == nil || old.err.Error() != o.err.Error() {
		c.deps.Log.Error("source cannot be read", "source", string(s.ID), "connector", s.Connector, "error", o.err)
	}
	c.mu.Lock()
	c.owned[s.ID] = o
	c.mu.Unlock()
}

// accessOf are the options that say how a server is reached; a change of others leaves the source alone.
func accessOf(config map[string]string) map[string]string {
	out := make(map[string]string)
	for k, v := range config {
		if strings.HasPrefix(k, "database.") || strings.HasPrefix(k, "driver.") || strings.HasPrefix(k, "connect.") || strings.HasPrefix(k, "rowmesh.ssl.") || k == "connector.class" || k == "rowmesh.snapshot.host" {
			if !strings.HasSuffix(k, ".list") {
				out[k] = v
			}
		}
	}
	return out
}

// elsewhere is the error of a source that is not ours: NotOwner with the owner's name, or why there is none.
func (c *Capturer) elsewhere(ctx context.Context, id registry.SourceID) error {
	ctx, cancel := context.WithTimeout(ctx, ownerTimeout)
	defer cancel()
	owner, err := c.deps.Assignments.Owner(ctx, id)
	switch {
	case err != nil && errs.KindOf(err) != errs.Internal:
		return err
	case err != nil || owner == "":
		return errs.E(errs.NotOwner, "source %s: this capturer does not read it", id)
	case owner == c.cfg.ID:
		return errs.E(errs.Busy, "source %s: this capturer was given it a moment ago; try again", id)
	}
	return errs.E(errs.NotOwner, "source %s: this capturer does not read it, member %s does", id, owner)
}

// find returns the source that a subscription names, by id or by connector. After a start it waits a moment for the assignments.
func (c *Capturer) find(ctx context.Context, name string) (*dbSource, error) {
	id, err := c.idOf(ctx, name)
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(assignmentWait)
	defer timer.Stop()
	for {
		c.mu.Lock()
		changed, o, started := c.changed, c.owned[id], c.started
		c.mu.Unlock()
		switch {
		case o != nil && o.source != nil:
			return o.source, nil
		case o != nil:
			return nil, o.err
		case started:
			return nil, c.elsewhere(ctx, id)
		}
		select {
		case <-changed:
		case <-timer.C:
			return nil, errs.E(errs.Busy, "source %s: this capturer does not know its assignments yet; try again", name)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// idOf finds the id of the source that is named, by itself or by a connector that uses it.
func (c *Capturer) idOf(ctx context.Context, name string) (registry.SourceID, error) {
	id := registry.SourceID(strings.ToLower(name))
	if _, _, err := net.SplitHostPort(name); err == nil {
		return id, nil
	}
	cfg, err := c.deps.Assignments.Config(ctx, name)
	if err != nil {
		return "", err
	}
	return registry.SourceOf(cfg)
}

// Subscribe implements capture.Service.
func (c *Capturer) Subscribe(ctx context.Context, open *capturev1.Open, out capture.Sender) error {
	s, err := c.find(ctx, open.Source)
	if err != nil {
		return err
	}
	f, err := newFeed(open, c.cfg.Pool)
	if err != nil {
		return err
	}
	err = s.subscribe(ctx, f, out)
	if errs.KindOf(err) == errs.Gap {
		return out.Send(gapMessage(err))
	}
	return err
}

// Describe implements capture.Service.
func (c *Capturer) Describe(ctx context.Context, req *capturev1.DescribeSourceRequest) (*capturev1.DescribeSourceResponse, error) {
	s, err := c.find(ctx, req.Source)
	if err != nil {
		return nil, err
	}
	f, err := newFilter(req.Tables)
	if err != nil {
		return nil, err
	}
	session, err := s.access().Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	info := session.Info()
	resp := &capturev1.DescribeSourceResponse{Source: string(s.id), Flavor: string(info.Flavor), Version: info.Version, Settings: maps.Clone(info.Settings)}
	if resp.Position, err = session.Head(ctx); err != nil {
		return nil, err
	}
	sizes, err := session.Sizes(ctx)
	if err != nil {
		return nil, err
	}
	resp.Tables = slices.DeleteFunc(sizes, func(t *capturev1.TableInfo) bool { return f.table(t.Database, t.Table)&wanted == 0 })
	resp.Subscribers, resp.Connections = s.subscribers()
	return resp, nil
}

// Position is where the shared reader of a source stands, for reports to the coordinator; nil if there is none or it is in motion.
func (c *Capturer) Position(id registry.SourceID) *rowv1.Position {
	c.mu.Lock()
	o := c.owned[id]
	c.mu.Unlock()
	if o == nil || o.source == nil {
		return nil
	}
	s := o.source
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shared == nil || !s.shared.parked {
		return nil
	}
	return proto.CloneOf(s.shared.at.position())
}

// Sources are the sources that this capturer reads now, with their generations, for reports to the coordinator.
func (c *Capturer) Sources() []registry.Source {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []registry.Source
	for id, o := range c.owned {
		out = append(out, registry.Source{ID: id, Connector: o.connector, Owner: c.cfg.ID, Generation: o.generation})
	}
	slices.SortFunc(out, func(a, b registry.Source) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return out
}
