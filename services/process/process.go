// Package process holds what every process of the mesh has: flags, logs, metrics, an etcd client, a registry, a gRPC server and an HTTP server.
package process

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/rpc"
	"github.com/rowmesh/rowmesh/services/run"
	"github.com/rowmesh/rowmesh/services/telemetry"
)

// Config is what the flags of every process say.
type Config struct {
	ID        string // unique among the running members; default: role-hostname-pid
	Etcd      string // endpoints, comma-separated; default 127.0.0.1:2379
	Prefix    string // of all keys in etcd; default /rowmesh
	Listen    string // of the gRPC server; default: a free port of loopback
	Advertise string // host:port by which the others reach it; default: the address listened on
	HTTP      string // of /metrics and /health; default: a free port of loopback
	Capacity  int    // share of the work relative to the others; default 100
	KeyFile   string // hex of the 32-byte key that seals connector configs; empty: they stand in etcd in clear
	LogLevel  string // default info
	LogFormat string // text or json; default text
	Profile   bool   // /debug/pprof on the HTTP server
	Security  rpc.Security

	EtcdUser         string       // empty: none
	EtcdPasswordFile string       // file with the password of EtcdUser
	EtcdSecurity     rpc.Security // certificates for etcd; all empty: plain text

	SecretRoots string // folders, comma-separated, whose files ${file:...} and ${dir:...} references may name; default none
	SecretEnv   string // regular expression of the variables that ${env:...} references may name; default none

	Converters Properties // "key.converter" and so on with their members, for connectors that name none; default: JSON with schemas
}

// Flags declares the flags on f.
func (c *Config) Flags(f *flag.FlagSet) {
	f.StringVar(&c.ID, "id", "", "member id, unique among the running members (default: role-host-pid)")
	f.StringVar(&c.Etcd, "etcd", "127.0.0.1:2379", "etcd endpoints, comma-separated")
	f.StringVar(&c.Prefix, "etcd-prefix", registry.DefaultPrefix, "prefix of all keys in etcd: one per mesh")
	f.StringVar(&c.Listen, "listen", "127.0.0.1:0", "address of the gRPC server")
	f.StringVar(&c.Advertise, "advertise", "", "host:port by which the other members reach the gRPC server (default: the address listened on)")
	f.StringVar(&c.HTTP, "http", "127.0.0.1:0", "address of /metrics and /health")
	f.IntVar(&c.Capacity, "capacity", 100, "share of the work that this member takes, relative to the others")
	f.StringVar(&c.KeyFile, "key", "", "file with the mesh's key (64 hex digits), which seals connector configs in etcd")
	f.StringVar(&c.LogLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&c.LogFormat, "log-format", "text", "text or json")
	f.BoolVar(&c.Profile, "profile", false, "serve /debug/pprof on the HTTP server")
	f.StringVar(&c.Security.CertFile, "tls-cert", "", "PEM certificate of this member")
	f.StringVar(&c.Security.KeyFile, "tls-key", "", "its key")
	f.StringVar(&c.Security.CAFile, "tls-ca", "", "PEM certificates of the authority that the others' certificates must come from")
	f.StringVar(&c.Security.AccessFile, "access", "", "JSON file that says which clients may do what, by the names in their certificates; needs -tls-ca")
	f.StringVar(&c.EtcdUser, "etcd-user", "", "user of etcd")
	f.StringVar(&c.EtcdPasswordFile, "etcd-password-file", "", "file with its password")
	f.StringVar(&c.EtcdSecurity.CAFile, "etcd-tls-ca", "", "PEM certificates of the authority that etcd's certificate must come from")
	f.StringVar(&c.EtcdSecurity.CertFile, "etcd-tls-cert", "", "PEM certificate to show to etcd")
	f.StringVar(&c.EtcdSecurity.KeyFile, "etcd-tls-key", "", "its key")
	f.BoolVar(&c.Security.Insecure, "insecure", false, "listen in plain text on addresses other than loopback")
	f.StringVar(&c.SecretRoots, "secret-roots", "", "folders, comma-separated, whose files ${file:...} and ${dir:...} references in configs may name")
	f.StringVar(&c.SecretEnv, "secret-env", "", "regular expression of the environment variables that ${env:...} references in configs may name")
	c.Converters = Properties{}
	f.Var(c.Converters, "converter", "converter for connectors that name none, the same on all members: value.converter=..., value.converter.schemas.enable=false; may be given more than once")
}

// Properties is a flag that may be given more than once, each time as name=value.
type Properties map[string]string

// String implements flag.Value.
func (Properties) String() string { return "" }

// Set implements flag.Value.
func (p Properties) Set(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return fmt.Errorf("%q is not name=value", s)
	}
	p[name] = value
	return nil
}

var converterOption = regexp.MustCompile(`^(key|value|header)\.converter(\..+)?$`)

// Secrets returns what references in configs of connectors may name.
func (c Config) Secrets() (config.Secrets, error) {
	s := config.Secrets{Converters: c.Converters}
	for name := range c.Converters {
		if !converterOption.MatchString(name) {
			return s, errs.E(errs.Invalid, "-converter %s: it is key.converter, value.converter or header.converter, or a member of one", name)
		}
	}
	if c.SecretRoots != "" {
		s.Roots = strings.Split(c.SecretRoots, ",")
	}
	if c.SecretEnv != "" {
		re, err := regexp.Compile("^(?:" + c.SecretEnv + ")$")
		if err != nil {
			return s, errs.E(errs.Invalid, "-secret-env: %w", err)
		}
		s.Env = re
	}
	return s, nil
}

// Process is a process part that is ready to serve. Owners register their services on GRPC, then Run.
type Process struct {
	Config  Config
	Member  registry.Member
	Log     *slog.Logger
	Level   *telemetry.Levels
	Metrics *prometheus.Registry
	Store   *registry.Store
	GRPC    *grpc.Server

	health *health.Server
	etcd   *clientv3.Client
	grpcL  net.Listener
	httpL  net.Listener
}

// New listens and connects; the gRPC server gets opts on top of the usual ones. Close what New returns if Run is not called.
func New(c Config, role registry.Role, version string, logs io.Writer, opts ...grpc.ServerOption) (_ *Process, err error) {
	if c.ID == "" {
		host, _ := os.Hostname()
		c.ID = fmt.Sprintf("%s-%s-%d", role, host, os.Getpid())
	}
	p := &Process{Config: c, Metrics: telemetry.NewRegistry()}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	log, level, err := telemetry.NewLogger(logs, c.LogLevel, c.LogFormat)
	if err != nil {
		return nil, err
	}
	p.Log, p.Level = log.With("member", c.ID), level
	key, err := readKey(c.KeyFile)
	if err != nil {
		return nil, err
	}
	etcd, err := c.etcd()
	if err != nil {
		return nil, err
	}
	if p.etcd, err = registry.Dial(etcd); err != nil {
		return nil, err
	}
	if p.Store, err = registry.New(p.etcd, registry.Options{Prefix: c.Prefix, Key: key, Log: p.Log}); err != nil {
		return nil, err
	}
	if p.grpcL, err = rpc.Listen(c.Listen, c.Security); err != nil {
		return nil, err
	}
	if p.httpL, err = net.Listen("tcp", c.HTTP); err != nil {
		return nil, fmt.Errorf("listen on %s for metrics: %w", c.HTTP, err)
	}
	if p.GRPC, p.health, err = rpc.NewServer(p.Log, c.Security, opts...); err != nil {
		return nil, err
	}
	if key == nil && role == registry.Coordinator {
		p.Log.Warn("no -key: connector configs, and the passwords in them, stand in etcd in clear")
	}
	address := c.Advertise
	if address == "" {
		address = p.grpcL.Addr().String()
	}
	p.Member = registry.Member{
		ID: registry.MemberID(c.ID), Role: role, GRPCAddress: address, HTTPAddress: p.httpL.Addr().String(), Capacity: c.Capacity,
		Version: version, StartedMS: time.Now().UnixMilli(),
	}
	return p, nil
}

// Register keeps the member in the registry until ctx ends.
func (p *Process) Register(ctx context.Context) error { return p.Store.Register(ctx, p.Member) }

// Run serves and runs fs until ctx ends or one of them fails. healthy is what /health asks; nil: always healthy.
func (p *Process) Run(ctx context.Context, healthy func() error, fs ...run.Func) error {
	defer p.Close()
	if healthy == nil {
		healthy = func() error { return nil }
	}
	p.Log.Info("started", "role", p.Member.Role, "grpc", p.Member.GRPCAddress, "http", p.Member.HTTPAddress, "version", p.Member.Version)
	fs = append(fs,
		func(ctx context.Context) error { return rpc.Serve(ctx, p.GRPC, p.health, p.grpcL) },
		func(ctx context.Context) error {
			return telemetry.Serve(ctx, p.httpL, telemetry.Handler(p.Metrics, healthy, p.Config.Profile))
		})
	return run.All(ctx, fs...)
}

// Close releases what New took.
func (p *Process) Close() {
	for _, l := range []net.Listener{p.grpcL, p.httpL} {
		if l != nil {
			l.Close()
		}
	}
	if p.etcd != nil {
		p.etcd.Close()
	}
}

// readKey reads the mesh's key; an empty name means none.
func readKey(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("key of the mesh: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil || len(key) != 32 {
		return nil, errs.E(errs.Invalid, "key of the mesh: %s must hold 64 hex digits; make one with: openssl rand -hex 32 > %s", file, file)
	}
	return key, nil
}

// etcd says how etcd is reached.
func (c Config) etcd() (registry.Etcd, error) {
	e := registry.Etcd{User: c.EtcdUser}
	for p := range strings.SplitSeq(c.Etcd, ",") {
		if p = strings.TrimSpace(p); p != "" {
			e.Endpoints = append(e.Endpoints, p)
		}
	}
	if len(e.Endpoints) == 0 {
		return e, errs.E(errs.Invalid, "-etcd is empty: give host:port of etcd, comma-separated")
	}
	if c.EtcdPasswordFile != "" {
		b, err := os.ReadFile(c.EtcdPasswordFile)
		if err != nil {
			return e, fmt.Errorf("password of etcd: %w", err)
		}
		e.Password = strings.TrimRight(string(b), "\r\n")
	}
	var err error
	if e.TLS, err = c.EtcdSecurity.TLS(); err != nil {
		return e, fmt.Errorf("etcd: %w", err)
	}
	if e.TLS != nil && c.EtcdSecurity.CertFile != "" { // a certificate that is replaced in its file holds from the next connection on
		e.TLS.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			cert, err := tls.LoadX509KeyPair(c.EtcdSecurity.CertFile, c.EtcdSecurity.KeyFile)
			return &cert, err
		}
	}
	return e, nil
}
