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
)

// Main runs a capturer process with command line args until ctx ends.
func Main(ctx context.Context, args []string, version string, logs io.Writer) error {
	var c process.Config
	f := flag.NewFlagSet("capturer", flag.ContinueOnError)
	f.SetOutput(logs)
	c.Flags(f)
	if err := f.Parse(args); err == flag.ErrHelp {
		return nil
	} else if err != nil {
		return errs.E(errs.Invalid, "capturer: %w", err)
	}
	secrets, err := c.Secrets()
	if err != nil {
		return err
	}
	pool := capture.NewPool()
	p, err := process.New(c, registry.Capturer, version, logs, capture.ServerOptions(pool)...)
	if err != nil {
		return err
	}
	dir := p.Store.NewDirectory()
	cap := New(Config{ID: p.Member.ID, Pool: pool}, Deps{
		Assignments: registryAssignments{p.Store, dir, secrets, p.Member.ID}, Schemas: p.Store.Tables(), Registerer: p.Metrics, Log: p.Log,
	})
	capturev1.RegisterCaptureServiceServer(p.GRPC, capture.NewServer(cap))
	controlv1.RegisterMemberServiceServer(p.GRPC, member{capturer: cap})
	return p.Run(ctx, nil, p.Register, dir.Run, cap.Run)
}

// registryAssignments is the registry as a capturer sees it.
type registryAssignments struct {
	store   *registry.Store
	dir     *registry.Directory
	secrets config.Secrets
	id      registry.MemberID
}

var _ Assignments = registryAssignments{}

// Watch implements Assignments.
func (a registryAssignments) Watch(ctx context.Context) (<-chan []registry.Source, error) {
	return a.store.WatchSources(ctx, a.id), nil
}

// Config implements Assignments: as stored, or as seen last while etcd is away.
func (a registryAssignments) Config(ctx context.Context, connector string) (map[string]string, error) {
	c, err := a.store.Connector(ctx, connector)
	if errs.KindOf(err) == errs.Unavailable {
		c, err = a.dir.Find(ctx, connector)
	}
	if err != nil {
		return nil, err
	}
	return a.secrets.Resolve(c.Map())
}

// member reports to coordinators.
type member struct {
	controlv1.UnimplementedMemberServiceServer
	capturer *Capturer
}

// Report implements controlv1.MemberServiceServer.
func (m member) Report(context.Context, *controlv1.ReportRequest) (*controlv1.ReportResponse, error) {
	out := new(controlv1.ReportResponse)
	for _, s := range m.capturer.Sources() {
		out.Sources = append(out.Sources, string(s.ID))
	}
	return out, nil
}
