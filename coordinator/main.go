package coordinator

import (
	"context"
	"flag"
	"io"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"google.golang.org/grpc"

	"github.com/rowmesh/rowmesh/coordinator/connect"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/offset"
	"github.com/rowmesh/rowmesh/services/process"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/rpc"
	"github.com/rowmesh/rowmesh/services/source"
)

// flags are what a coordinator's command line says on top of what every process has.
type flags struct {
	process.Config
	kafka, offsetsTopic, mesh string
	properties                process.Properties // librdkafka's, bootstrap.servers included once they are parsed
	rest                      restFlags
}

func parseFlags(args []string, out io.Writer) (flags, error) {
	var c flags
	f := flag.NewFlagSet("coordinator", flag.ContinueOnError)
	f.SetOutput(out)
	c.Flags(f)
	f.StringVar(&c.kafka, "kafka", "127.0.0.1:9092", "Kafka's bootstrap servers, comma-separated; the offsets of connectors stand there")
	c.properties = process.Properties{}
	f.Var(c.properties, "kafka-property", "librdkafka property for connections to it, name=value, the same as the publishers'; may be given more than once")
	f.StringVar(&c.offsetsTopic, "offsets-topic", "connect-offsets", "topic of the checkpoints, the same as the publishers'")
	f.StringVar(&c.mesh, "mesh", "rowmesh", "first part of transactional ids, the same as the publishers'")
	c.rest.declare(f)
	err := f.Parse(args)
	c.properties["bootstrap.servers"] = c.kafka
	return c, err
}

// Main runs a coordinator process with command line args until ctx ends.
func Main(ctx context.Context, args []string, version string, logs io.Writer) error {
	c, err := parseFlags(args, logs)
	if err == flag.ErrHelp {
		return nil
	}
	if err != nil {
		return errs.E(errs.Invalid, "coordinator: %w", err)
	}
	secrets, err := c.Secrets()
	if err != nil {
		return err
	}
	p, err := process.New(c.Config, registry.Coordinator, version, logs)
	if err != nil {
		return err
	}
	listener, err := c.rest.listen(c.Security.Insecure)
	if err != nil {
		p.Close()
		return err
	}
	dial := func(addr string) (*grpc.ClientConn, error) { return rpc.Dial(addr, c.Security) }
	v := validator{secrets: secrets, directory: p.Store.NewDirectory(), dial: dial}
	co, err := New(Config{ID: p.Member.ID, GRPCAddress: p.Member.GRPCAddress, HTTPAddress: listener.Addr().String(), RESTURL: c.rest.url, Version: version}, Deps{
		Store: p.Store, Dial: dial,
		Tables: v.tables, Validate: v.validate, Warnings: v.warnings, Source: v.source, Registerer: p.Metrics, Log: p.Log,
	})
	if err != nil {
		listener.Close()
		p.Close()
		return err
	}
	controlv1.RegisterControlServiceServer(p.GRPC, co.Server())
	rest := connect.New(connect.Config{
		URL: c.rest.url, Ready: co.Health, Secrets: secrets, MaskSecrets: c.rest.maskSecrets, Log: p.Log,
		ClusterID: func(ctx context.Context) (string, error) { return clusterID(ctx, c.properties) },
		Snapshots: co.Control(),
		Level:     c.LogLevel, Loggers: partNames, SetLevel: p.Level.Set,
		SetLevels: func(ctx context.Context, logger, level string) {
			if err := co.Control().SetLogLevels(ctx, logger, level); err != nil {
				p.Log.Warn("log level is not set on the other members", "logger", logger, "level", level, "error", err)
			}
		},
	}, co.Control().REST(), connect.Preflight{}, offsets{
		topic: c.offsetsTopic, mesh: c.mesh, secrets: secrets, lanes: co.Control().lanes,
		client: c.properties,
		open: func(client map[string]string, topic string) offsetTopic {
			return offset.NewStore(offset.Config{Client: client, Topic: topic})
		},
	})
	controlv1.RegisterMemberServiceServer(p.GRPC, restMember{rest: rest, levels: p.Level})
	healthy := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		return co.Health(ctx)
	}
	return p.Run(ctx, healthy, v.directory.Run, co.Run, func(ctx context.Context) error { return c.rest.serve(ctx, p.Log, listener, rest) })
}

// validator checks configs for callers other than the REST API, which has its own answers.
type validator struct {
	secrets   config.Secrets
	directory *registry.Directory
	dial      func(addr string) (*grpc.ClientConn, error)
}

// source returns the source that a config reads from, references resolved: connectors of one server share it however they name it.
func (v validator) source(cfg map[string]string) (registry.SourceID, error) {
	address := map[string]string{"database.hostname": cfg["database.hostname"], "database.port": cfg["database.port"]}
	resolved, err := v.secrets.Resolve(address)
	if err != nil {
		return "", err
	}
	return registry.SourceOf(resolved)
}

func (v validator) validate(ctx context.Context, name string, cfg map[string]string) (warnings, problems []string) {
	c, r := v.secrets.Parse(name, cfg)
	if len(r.Errors) == 0 {
		live := v.secrets.Hide(cfg, connect.Preflight{}.Validate(ctx, c))
		r.Warnings, r.Errors = append(r.Warnings, live.Warnings...), live.Errors
	}
	return texts(r.Warnings), texts(r.Errors)
}

func (v validator) warnings(name string, cfg map[string]string) []string {
	_, r := v.secrets.Parse(name, cfg)
	return texts(r.Warnings)
}

func texts(ps []config.Problem) (out []string) {
	for _, p := range ps {
		out = append(out, p.Text)
	}
	return out
}

// clusterID asks the broker for the id of its cluster.
func clusterID(ctx context.Context, properties map[string]string) (string, error) {
	client := kafka.ConfigMap{}
	for k, v := range properties {
		client[k] = v
	}
	a, err := kafka.NewAdminClient(&client)
	if err != nil {
		return "", errs.E(errs.Invalid, "client for Kafka at %s: %w", properties["bootstrap.servers"], err)
	}
	defer a.Close()
	return a.ClusterID(ctx)
}

// tables asks the capturer of a connector's source for the tables that it captures, with the server's size estimates.
func (v validator) tables(ctx context.Context, rc registry.Connector) ([]Table, error) {
	c, r := v.secrets.Parse(rc.Name, rc.Map())
	if len(r.Errors) > 0 {
		return nil, errs.E(errs.Invalid, "%s", strings.Join(texts(r.Errors), "; "))
	}
	id := source.FromConnector(c).ID()
	addr, err := v.directory.SourceOwner(ctx, id)
	if err != nil {
		return nil, err
	}
	conn, err := v.dial(addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	d, err := capturev1.NewCaptureServiceClient(conn).DescribeSource(ctx, &capturev1.DescribeSourceRequest{Source: string(id), Tables: capture.TableFilter(c)})
	if err != nil {
		return nil, errs.FromStatus(err)
	}
	var out []Table
	for _, t := range d.Tables {
		out = append(out, Table{Name: t.Database + "." + t.Table, Rows: t.Rows, Bytes: t.Bytes})
	}
	return out, nil
}
