package coordinator

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
)

// defaultMaxLanes bounds tasks.max: each lane is a transactional producer and a stream, and 256 of them saturate any one source.
const defaultMaxLanes = 256

// Config of a coordinator.
type Config struct {
	ID          registry.MemberID // unique per start
	GRPCAddress string            // host:port that others reach
	HTTPAddress string            // host:port of the REST API; what clients see as worker_id
	RESTURL     string            // base URL of the REST API for clients
	Version     string            // of the build
	MaxLanes    uint32            // lanes of one connector at most, whatever its tasks.max; default 256
	LeaderTTL   time.Duration     // lease of the leader; default lease.LeaderTTL
}

func (c Config) withDefaults() Config {
	if c.MaxLanes == 0 {
		c.MaxLanes = defaultMaxLanes
	}
	return c
}

// Validate checks a config.
func (c Config) Validate() error {
	if c.ID == "" || c.GRPCAddress == "" {
		return errs.E(errs.Invalid, "coordinator needs an id and the gRPC address that others reach (id %q, address %q)", c.ID, c.GRPCAddress)
	}
	return nil
}

// Table is a table that a connector captures, with its size.
type Table struct {
	Name        string // database.table
	Rows, Bytes uint64 // estimates of the server
}

// Deps is what a coordinator needs of others.
type Deps struct {
	Store *registry.Store
	// Dial connects to a member for its report.
	Dial func(address string) (*grpc.ClientConn, error)
	// Tables lists the tables that a connector captures, to spread them by size over several lanes. nil: all by hash.
	Tables func(ctx context.Context, c registry.Connector) ([]Table, error)
	// Validate checks a config with all means, the server included. nil: all configs pass.
	Validate func(ctx context.Context, name string, config map[string]string) (warnings, problems []string)
	// Warnings says what of a config is not honoured, without asking anybody. nil: nothing.
	Warnings func(name string, config map[string]string) []string
	// Source says which source a config reads from, the references in it resolved. nil: registry.SourceOf.
	Source func(config map[string]string) (registry.SourceID, error)
	// Registerer takes the metrics.
	Registerer prometheus.Registerer
	Log        *slog.Logger
}

// Coordinator is one of the mesh's coordinators.
type Coordinator struct {
	cfg     Config
	rules   rules
	deps    Deps
	cache   *registry.Cache
	control *Control
	reports *reports
	metrics *metrics
	log     *slog.Logger
}

// New returns a coordinator that works while Run runs.
func New(cfg Config, deps Deps) (*Coordinator, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	if deps.Registerer == nil {
		deps.Registerer = prometheus.NewRegistry()
	}
	if deps.Source == nil {
		deps.Source = registry.SourceOf
	}
	c := &Coordinator{cfg: cfg, rules: rules{cfg.MaxLanes, deps.Source}, deps: deps, cache: deps.Store.NewCache(), log: deps.Log, reports: newReports(deps.Dial, deps.Log)}
	c.metrics = newMetrics(deps.Registerer, c.cache, c.rules)
	c.control = &Control{cfg: cfg, rules: c.rules, store: deps.Store, cache: c.cache, reports: c.reports, warnings: deps.Warnings, latest: new(atomic.Pointer[viewer])}
	return c, nil
}

// Control returns the operations that REST and gRPC stand on.
func (c *Coordinator) Control() *Control { return c.control }

// Run registers this coordinator, follows the registry and campaigns until ctx ends.
func (c *Coordinator) Run(ctx context.Context) error {
	defer c.reports.close()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.cache.Run(ctx) })
	g.Go(func() error {
		return c.deps.Store.Register(ctx, registry.Member{
			ID: c.cfg.ID, Role: registry.Coordinator, GRPCAddress: c.cfg.GRPCAddress, HTTPAddress: c.cfg.HTTPAddress, RESTURL: c.cfg.RESTURL,
			Version: c.cfg.Version, StartedMS: time.Now().UnixMilli(),
		})
	})
	g.Go(func() error { return c.campaign(ctx) })
	return g.Wait()
}

// Health returns nil if this coordinator can answer reads and writes now, else why not.
func (c *Coordinator) Health(ctx context.Context) error {
	if st, _ := c.cache.State(); st == nil {
		return errs.E(errs.Unavailable, "the registry has not been read from etcd yet")
	}
	return c.deps.Store.Ping(ctx)
}
