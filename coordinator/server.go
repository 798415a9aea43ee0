package coordinator

import (
	"context"
	"strings"

	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	statev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/state/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/rpc"
)

// server serves Control over gRPC. Errors keep their kind: services/rpc turns them into statuses.
type server struct {
	controlv1.UnimplementedControlServiceServer
	control  *Control
	validate func(ctx context.Context, name string, config map[string]string) (warnings, problems []string)
}

var _ controlv1.ControlServiceServer = (*server)(nil)

// Server returns the control service of this coordinator, to be registered with a gRPC server.
func (c *Coordinator) Server() controlv1.ControlServiceServer {
	return &server{control: c.control, validate: c.deps.Validate}
}

// check validates a config, and returns it with its name in it, as REST does.
func (s *server) check(ctx context.Context, name string, config []*statev1.ConfigEntry) ([]registry.Entry, []string, error) {
	entries := registry.EntriesFromProto(config)
	conn := registry.Connector{Config: entries}
	m := conn.Map()
	switch inner, given := m["name"]; {
	case strings.TrimSpace(name) == "":
		return nil, nil, errs.E(errs.Invalid, "a connector needs a name")
	case !given:
		entries = append(entries, registry.Entry{Key: "name", Value: name})
		m["name"] = name
	case inner != name:
		return nil, nil, errs.E(errs.Invalid, "config of connector %s says that its name is %s; leave name out of the config or make them agree", name, inner)
	}
	if len(m) != len(entries) {
		return nil, nil, errs.E(errs.Invalid, "config of connector %s holds an option twice", name)
	}
	if s.validate == nil {
		return entries, nil, nil
	}
	warnings, problems := s.validate(ctx, name, m)
	if len(problems) > 0 {
		return nil, warnings, errs.E(errs.Invalid, "config of connector %s has %d errors:\n%s", name, len(problems), strings.Join(problems, "\n"))
	}
	return entries, warnings, nil
}

// view returns a connector as it is after a write.
func (s *server) view(ctx context.Context, name string) (*controlv1.ConnectorView, error) {
	v, err := s.control.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	return shown(ctx, viewToProto(v)), nil
}

// shown leaves the secrets out of a config for clients that may look but not administer.
func shown(ctx context.Context, v *controlv1.ConnectorView) *controlv1.ConnectorView {
	if g, ok := rpc.GrantOf(ctx); !ok || g.Has(rpc.Administer) {
		return v
	}
	for _, e := range v.Config {
		e.Value = config.Masked(e.Key, e.Value)
	}
	return v
}

// CreateConnector implements controlv1.ControlServiceServer.
func (s *server) CreateConnector(ctx context.Context, r *controlv1.CreateConnectorRequest) (*controlv1.CreateConnectorResponse, error) {
	entries, warnings, err := s.check(ctx, r.Name, r.Config)
	if err != nil {
		return nil, err
	}
	if err := s.control.Create(ctx, r.Name, entries, registry.TargetFromProto(r.InitialState)); err != nil {
		return nil, err
	}
	v, err := s.view(ctx, r.Name)
	return &controlv1.CreateConnectorResponse{Connector: v, Warnings: warnings}, err
}

// UpdateConnector implements controlv1.ControlServiceServer.
func (s *server) UpdateConnector(ctx context.Context, r *controlv1.UpdateConnectorRequest) (*controlv1.UpdateConnectorResponse, error) {
	entries, warnings, err := s.check(ctx, r.Name, r.Config)
	if err != nil {
		return nil, err
	}
	created, err := s.control.Update(ctx, r.Name, entries)
	if err != nil {
		return nil, err
	}
	v, err := s.view(ctx, r.Name)
	return &controlv1.UpdateConnectorResponse{Connector: v, Created: created, Warnings: warnings}, err
}

// GetConnector implements controlv1.ControlServiceServer.
func (s *server) GetConnector(ctx context.Context, r *controlv1.GetConnectorRequest) (*controlv1.GetConnectorResponse, error) {
	v, err := s.view(ctx, r.Name)
	return &controlv1.GetConnectorResponse{Connector: v}, err
}

// ListConnectors implements controlv1.ControlServiceServer.
func (s *server) ListConnectors(ctx context.Context, _ *controlv1.ListConnectorsRequest) (*controlv1.ListConnectorsResponse, error) {
	all, err := s.control.List(ctx)
	if err != nil {
		return nil, err
	}
	resp := &controlv1.ListConnectorsResponse{}
	for _, v := range all {
		resp.Connectors = append(resp.Connectors, shown(ctx, viewToProto(v)))
	}
	return resp, nil
}

// DeleteConnector implements controlv1.ControlServiceServer.
func (s *server) DeleteConnector(ctx context.Context, r *controlv1.DeleteConnectorRequest) (*controlv1.DeleteConnectorResponse, error) {
	return &controlv1.DeleteConnectorResponse{}, s.control.Delete(ctx, r.Name)
}

// SetTarget implements controlv1.ControlServiceServer.
func (s *server) SetTarget(ctx context.Context, r *controlv1.SetTargetRequest) (*controlv1.SetTargetResponse, error) {
	if r.Target == statev1.TargetState_TARGET_STATE_UNSPECIFIED {
		return nil, errs.E(errs.Invalid, "no target given for connector %s; it is RUNNING, PAUSED or STOPPED", r.Name)
	}
	return &controlv1.SetTargetResponse{}, s.control.SetTarget(ctx, r.Name, registry.TargetFromProto(r.Target))
}

// Restart implements controlv1.ControlServiceServer.
func (s *server) Restart(ctx context.Context, r *controlv1.RestartRequest) (*controlv1.RestartResponse, error) {
	if err := s.control.Restart(ctx, r.Name, Restart{Task: r.Task, IncludeTasks: r.IncludeTasks, OnlyFailed: r.OnlyFailed}); err != nil {
		return nil, err
	}
	v, err := s.view(ctx, r.Name)
	return &controlv1.RestartResponse{Connector: v}, err
}

// GetMesh implements controlv1.ControlServiceServer.
func (s *server) GetMesh(ctx context.Context, _ *controlv1.GetMeshRequest) (*controlv1.GetMeshResponse, error) {
	m, err := s.control.Mesh(ctx)
	if err != nil {
		return nil, err
	}
	return meshToProto(m), nil
}
