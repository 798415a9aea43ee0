package publisher

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/rpc"
)

// Config is a publisher's own.
type Config struct {
	// WorkerID is host:port, as Connect's worker_id.
	WorkerID string
	// Kafka holds librdkafka's properties for all connectors: bootstrap.servers, security.protocol and so on. producer.override.* goes over it.
	Kafka map[string]string
	// OffsetsTopic is offset.storage.topic for connectors that name none. Default "connect-offsets", as Kafka Connect's sample files.
	OffsetsTopic string
	// OffsetsPartitions and OffsetsReplication shape it where it must be made. Default 25 and -1, the broker's.
	OffsetsPartitions, OffsetsReplication int
	// MeshName is the first part of transactional ids. Default "rowmesh". Two meshes on one Kafka need two names.
	MeshName string
	// QueueBytes bounds what one lane has waiting for the broker. Default 8 MiB: enough for full speed (5 requests of up to 1 MB are in
	// flight). Twice as much was measured to gain nothing, and a dead broker fills it for each lane.
	QueueBytes int
	// PlainProducer hands over records one by one; for comparisons.
	PlainProducer bool
	// Parse reads a connector's config. Default config.Parse; a process that resolves secrets gives its own.
	Parse func(name string, cfg map[string]string) (*config.Connector, config.Result)
	// Dial connects to servers of foreign transforms. Default: plain text.
	Dial func(address string) (*grpc.ClientConn, error)
	// Describe asks the capturer at addr what a source is; nil: signals mean tables by their exact names.
	Describe func(ctx context.Context, addr string, req *capturev1.DescribeSourceRequest) (*capturev1.DescribeSourceResponse, error)
	// RunID goes into the header __debezium.context.… of each record where the connector asks for it; unique per start.
	RunID string
}

func (c Config) withDefaults() Config {
	if c.OffsetsTopic == "" {
		c.OffsetsTopic = "connect-offsets"
	}
	if c.MeshName == "" {
		c.MeshName = "rowmesh"
	}
	if c.QueueBytes == 0 {
		c.QueueBytes = 8 << 20
	}
	if c.Parse == nil {
		c.Parse = func(name string, cfg map[string]string) (*config.Connector, config.Result) {
			return config.Parse(name, cfg)
		}
	}
	if c.Dial == nil {
		c.Dial = func(address string) (*grpc.ClientConn, error) { return rpc.Dial(address, rpc.Security{}) }
	}
	return c
}

// Assignments is what the publisher needs of the mesh's registry.
type Assignments interface {
	// Watch sends all lanes of this member at each change, the newest only.
	Watch(ctx context.Context) <-chan []registry.Lane
	// Confirm says by a linearizable read whether the lane is still this member's in this generation; errors of kind NotOwner and Stale say no.
	Confirm(ctx context.Context, l registry.Lane) error
	// Connector returns a connector's record.
	Connector(ctx context.Context, name string) (registry.Connector, error)
	// CapturerFor returns host:port of the capturer that owns a source; kind Unavailable while none does.
	CapturerFor(ctx context.Context, source registry.SourceID) (addr string, err error)
	// PutStatus stores what a lane says of itself.
	PutStatus(ctx context.Context, s registry.LaneStatus) error
}

// Stream is a subscription, as services/capture's client has it.
type Stream interface {
	Recv() (*capturev1.SubscribeResponse, error)
	Release(m *capturev1.SubscribeResponse)
	Ack(seq uint64) error
	Snapshot(c *capturev1.SnapshotCommand) error
	Close() error
}

// Subscribe opens a subscription on the capturer at addr.
type Subscribe func(ctx context.Context, addr string, open *capturev1.Open) (Stream, error)

// Publisher runs the lanes that are assigned to it.
type Publisher struct {
	cfg       Config
	mesh      Assignments
	subscribe Subscribe
	log       *slog.Logger
	metrics   *metrics
	out       outside

	mu    sync.Mutex
	tasks map[registry.LaneID]*task // guarded by mu; only Run changes it
}

// New returns a publisher.
func New(cfg Config, mesh Assignments, subscribe Subscribe, log *slog.Logger, reg Registerer) (*Publisher, error) {
	m, err := newMetrics(reg)
	if err != nil {
		return nil, err
	}
	out, mesh, err := seams(mesh)
	if err != nil {
		return nil, err
	}
	return &Publisher{cfg: cfg.withDefaults(), mesh: mesh, subscribe: subscribe, log: log, metrics: m, out: out, tasks: map[registry.LaneID]*task{}}, nil
}

// Run runs lanes until ctx ends; then each lane commits what it may commit at once, within a few seconds.
func (p *Publisher) Run(ctx context.Context) error {
	ended := make(chan registry.LaneID)
	var running sync.WaitGroup
	defer func() {
		done := make(chan struct{})
		go func() {
			running.Wait()
			close(done)
		}()
		for {
			select {
			case <-ended:
			case <-done:
				return
			}
		}
	}()
	r := &roster{p: p, assigned: map[registry.LaneID]registry.Lane{}}
	r.start = func(t *task) {
		running.Go(func() {
			t.run(ctx)
			ended <- t.id
		})
	}
	watch := p.mesh.Watch(ctx)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case lanes, ok := <-watch:
			if !ok {
				<-ctx.Done()
				return ctx.Err()
			}
			r.follow(lanes)
		case id := <-ended:
			r.ended(id, ctx.Err() == nil)
		}
	}
}

// roster is what a publisher has and which tasks run for it. One goroutine uses it.
type roster struct {
	p        *Publisher
	assigned map[registry.LaneID]registry.Lane
	// start runs a task; when that ends, ended is called.
	start func(t *task)
}

// follow takes over all lanes that the member has now.
func (r *roster) follow(lanes []registry.Lane) {
	next := map[registry.LaneID]registry.Lane{}
	for _, l := range lanes {
		next[l.LaneID] = l
	}
	for id := range r.assigned {
		if _, still := next[id]; !still {
			r.p.task(id).inbox.put(nil)
		}
	}
	r.assigned = next
	for _, id := range slices.SortedFunc(maps.Keys(next), compareLanes) {
		if l := next[id]; r.p.task(id) != nil {
			r.p.task(id).inbox.put(&l)
		} else {
			r.begin(l)
		}
	}
}

func (r *roster) begin(l registry.Lane) {
	t := newTask(r.p, l.LaneID)
	t.inbox.put(&l)
	r.p.mu.Lock()
	r.p.tasks[l.LaneID] = t
	r.p.mu.Unlock()
	r.start(t)
}

// ended takes a task out that has ended; on says that the process goes on.
func (r *roster) ended(id registry.LaneID, on bool) {
	r.p.mu.Lock()
	delete(r.p.tasks, id)
	r.p.mu.Unlock()
	if l, again := r.assigned[id]; again && on { // it came back while the task ended
		r.begin(l)
	}
}

func (p *Publisher) task(id registry.LaneID) *task {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tasks[id]
}

func compareLanes(a, b registry.LaneID) int {
	if a.Connector != b.Connector {
		if a.Connector < b.Connector {
			return -1
		}
		return 1
	}
	return int(a.Task) - int(b.Task)
}

// inbox holds the newest assignment of a task.
type inbox struct {
	mu    sync.Mutex
	lane  *registry.Lane
	fresh bool
	gone  bool // the lane was taken away
	wake  chan struct{}
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1)} }

// put puts an assignment; nil takes the lane away, for good: a lane that comes back is another task's, for what this one knows may be of a connector
// that was deleted and made again under its name.
func (b *inbox) put(l *registry.Lane) {
	b.mu.Lock()
	if !b.gone {
		b.lane, b.fresh, b.gone = l, true, l == nil
	}
	b.mu.Unlock()
	b.poke()
}

// poke wakes the lane, so that it looks at what may have changed.
func (b *inbox) poke() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take returns what was put last, once.
func (b *inbox) take() (l *registry.Lane, fresh bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fresh, b.fresh = b.fresh, false
	return b.lane, fresh
}

// clock is the lane machine's time.
func (t *task) clock() time.Duration { return t.p.out.now().Sub(t.born) }
