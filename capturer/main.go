package capturer

import (
	"context"
	"flag"
	"io"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/process"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/telemetry"
)

// Main runs a capturer process with command line args until ctx ends.
func Main(ctx context.Context, args []string, version string, logs io.Writer) error {
	var pc process.Config
	f := flag.NewFlagSet("capturer", flag.ContinueOnError)
	f.SetOutput(logs)
	pc.Flags(f)
	if err := f.Parse(args); err != nil {
		if err == flag.ErrHelp {
			return nil
		}
		return errs.E(errs.Invalid, "capturer: %w", err)
	}
	secrets, err := pc.Secrets()
	if err != nil {
		return err
	}
	pool := capture.NewPool()
	p, err := process.New(pc, registry.Capturer, version, logs, capture.ServerOptions(pool)...)
	if err != nil {
		return err
	}
	dir := p.Store.NewDirectory()
	c := New(Config{ID: p.Member.ID, Pool: pool}, Deps{
		Assignments: registered{p.Store, dir, p.Member.ID, secrets}, Schemas: p.Store.Tables(), Registerer: p.Metrics, Log: p.Log,
	})
	capturev1.RegisterCaptureServiceServer(p.GRPC, capture.NewServer(c))
	controlv1.RegisterMemberServiceServer(p.GRPC, Member{C: c, Levels: p.Level})
	return p.Run(ctx, nil, p.Register, dir.Run, c.Run)
}

// registered is the registry as a capturer sees it.
type registered struct {
	store   *registry.Store
	dir     *registry.Directory
	id      registry.MemberID
	secrets config.Secrets
}

var _ Assignments = registered{}

// Watch implements Assignments.
func (m registered) Watch(ctx context.Context) <-chan []registry.Source {
	return m.store.WatchSources(ctx, m.id)
}

// Config implements Assignments: a linearizable read, or what was seen last while etcd is away.
func (m registered) Config(ctx context.Context, connector string) (map[string]string, error) {
	c, err := m.store.Connector(ctx, connector)
	if errs.KindOf(err) == errs.Unavailable {
		if seen, serr := m.dir.Find(ctx, connector); serr == nil {
			c, err = seen, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return m.secrets.Resolve(c.Map())
}

// Owner implements Assignments.
func (m registered) Owner(ctx context.Context, id registry.SourceID) (registry.MemberID, error) {
	r, err := m.dir.Source(ctx, id)
	return r.Owner, err
}

// Member serves rowmesh.control.v1.MemberService for a capturer.
type Member struct {
	controlv1.UnimplementedMemberServiceServer
	C *Capturer
	// Levels are those of the process; nil: they stay.
	Levels *telemetry.Levels
}

var _ controlv1.MemberServiceServer = Member{}

// Report implements controlv1.MemberServiceServer.
func (m Member) Report(context.Context, *controlv1.ReportRequest) (*controlv1.ReportResponse, error) {
	resp := &controlv1.ReportResponse{}
	for _, s := range m.C.Sources() {
		resp.Sources = append(resp.Sources, string(s.ID))
	}
	return resp, nil
}

// ForgetTopics implements controlv1.MemberServiceServer: a capturer writes none.
func (m Member) ForgetTopics(context.Context, *controlv1.ForgetTopicsRequest) (*controlv1.ForgetTopicsResponse, error) {
	return &controlv1.ForgetTopicsResponse{}, nil
}

// SetLogLevel implements controlv1.MemberServiceServer.
func (m Member) SetLogLevel(_ context.Context, r *controlv1.SetLogLevelRequest) (*controlv1.SetLogLevelResponse, error) {
	return &controlv1.SetLogLevelResponse{}, m.Levels.SetByName(r.Logger, r.Level)
}
