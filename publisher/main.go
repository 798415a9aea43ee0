package publisher

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"io"

	"google.golang.org/grpc"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/process"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/rpc"
)

// Main runs a publisher process with command line args until ctx ends.
func Main(ctx context.Context, args []string, version string, logs io.Writer) error {
	var pc process.Config
	cfg := Config{Kafka: process.Properties{}}
	f := flag.NewFlagSet("publisher", flag.ContinueOnError)
	f.SetOutput(logs)
	pc.Flags(f)
	brokers := f.String("kafka", "127.0.0.1:9092", "Kafka's bootstrap servers, comma-separated")
	f.Var(process.Properties(cfg.Kafka), "kafka-property", "librdkafka property for all connectors, key=value; may be given more than once")
	f.StringVar(&cfg.OffsetsTopic, "offsets-topic", "connect-offsets", "topic of the checkpoints (offset.storage.topic of Kafka Connect)")
	f.IntVar(&cfg.OffsetsPartitions, "offsets-partitions", 25, "partitions of it, where it must be made")
	f.IntVar(&cfg.OffsetsReplication, "offsets-replication", -1, "replication factor of it, where it must be made; -1: the broker's default")
	f.StringVar(&cfg.MeshName, "mesh", "rowmesh", "first part of transactional ids; two meshes on one Kafka need two names")
	if err := f.Parse(args); err != nil {
		if err == flag.ErrHelp {
			return nil
		}
		return errs.E(errs.Invalid, "publisher: %w", err)
	}
	cfg.Kafka["bootstrap.servers"] = *brokers
	secrets, err := pc.Secrets()
	if err != nil {
		return err
	}
	cfg.Parse = func(name string, c map[string]string) (*config.Connector, config.Result) {
		return secrets.Parse(name, c)
	}
	p, err := process.New(pc, registry.Publisher, version, logs)
	if err != nil {
		return err
	}
	cfg.WorkerID, cfg.RunID = p.Member.GRPCAddress, newRunID()
	cfg.Dial = func(address string) (*grpc.ClientConn, error) { return rpc.Dial(address, pc.Security) }
	cfg.Describe = Describe(pc.Security)
	dir := p.Store.NewDirectory()
	pub, err := New(cfg, mesh{p.Store, dir, p.Member.ID}, Remote(pc.Security), p.Log, p.Metrics)
	if err != nil {
		p.Close()
		return err
	}
	controlv1.RegisterMemberServiceServer(p.GRPC, Member{P: pub, Levels: p.Level})
	return p.Run(ctx, nil, p.Register, dir.Run, pub.Run)
}

// newRunID makes a random UUID, as the header of that name holds one.
func newRunID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // version 4, RFC 9562
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// mesh is the registry as a publisher sees it.
type mesh struct {
	*registry.Store
	dir *registry.Directory
	id  registry.MemberID
}

var _ Assignments = mesh{}

// Watch implements Assignments.
func (m mesh) Watch(ctx context.Context) <-chan []registry.Lane { return m.WatchLanes(ctx, m.id) }

// Confirm implements Assignments.
func (m mesh) Confirm(ctx context.Context, l registry.Lane) error { return m.ConfirmLane(ctx, l) }

// Connector implements Assignments: a linearizable read, or what was seen last while etcd is away.
func (m mesh) Connector(ctx context.Context, name string) (registry.Connector, error) {
	c, err := m.Store.Connector(ctx, name)
	if errs.KindOf(err) == errs.Unavailable {
		if c, seen := m.dir.Find(ctx, name); seen == nil {
			return c, nil
		}
	}
	return c, err
}

// CapturerFor implements Assignments.
func (m mesh) CapturerFor(ctx context.Context, source registry.SourceID) (string, error) {
	return m.dir.SourceOwner(ctx, source)
}

// Remote subscribes over gRPC. Each subscription has a connection of its own: streams of one connection share its flow-control window, and a lane that is
// blocked by its Kafka would hold up the others.
func Remote(security rpc.Security) Subscribe {
	pool := capture.NewPool()
	return func(ctx context.Context, addr string, open *capturev1.Open) (Stream, error) {
		cc, err := rpc.Dial(addr, security, capture.DialOptions(pool)...)
		if err != nil {
			return nil, errs.E(errs.Invalid, "capturer %s: %w", addr, err)
		}
		s, err := capture.NewClient(cc).Subscribe(ctx, open)
		if err != nil {
			cc.Close()
			return nil, err
		}
		return &remote{Stream: s, close: cc.Close}, nil
	}
}

// Describe asks over gRPC, on a connection of its own: it is rare.
func Describe(security rpc.Security) func(context.Context, string, *capturev1.DescribeSourceRequest) (*capturev1.DescribeSourceResponse, error) {
	return func(ctx context.Context, addr string, req *capturev1.DescribeSourceRequest) (*capturev1.DescribeSourceResponse, error) {
		cc, err := rpc.Dial(addr, security, capture.DialOptions(capture.NewPool())...)
		if err != nil {
			return nil, errs.E(errs.Invalid, "capturer %s: %w", addr, err)
		}
		defer cc.Close()
		return capture.NewClient(cc).Describe(ctx, req)
	}
}

// remote is a subscription with its connection.
type remote struct {
	*capture.Stream
	close func() error
}

// Close implements Stream.
func (r *remote) Close() error {
	r.Stream.Close()
	return r.close()
}
