// Package etcdnode runs an etcd server inside this process: for a mesh on one machine (deploy) and for tests, which also make a member of a cluster of it. It serves
// plain text on loopback only. A mesh that must survive the loss of a machine uses a cluster of three outside.
package etcdnode

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// Config says where the node lives.
type Config struct {
	Dir     string // data; made if absent
	Address string // host:port for clients, on loopback; empty or port 0: a free port
	// NoSync leaves out fsync: faster starts and writes, and data may be lost with the machine. For tests.
	NoSync bool
	// Member makes the node a member of a cluster; nil: it is alone.
	Member *Member
}

// Member says which member of a cluster a node is. Start returns once the cluster has a leader.
type Member struct {
	// Name is the member's in Cluster.
	Name string
	// Listen is where it hears the other members, host:port.
	Listen string
	// Cluster says by which host:port the members reach each other.
	Cluster map[string]string
	// QuotaBytes bounds the data; 0: etcd's 2 GiB.
	QuotaBytes int64
}

// Node is a running server.
type Node struct {
	server *embed.Etcd
	cfg    Config
	close  func()
}

// Start starts a node and returns when it serves, or when ctx ends.
func Start(ctx context.Context, cfg Config) (*Node, error) {
	if cfg.Address == "" {
		cfg.Address = "127.0.0.1:0"
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("etcd data folder: %w", err)
	}
	c := embed.NewConfig()
	c.Dir = cfg.Dir
	c.LogLevel = "error"
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	c.ListenClientUrls = []url.URL{{Scheme: "http", Host: cfg.Address}}
	c.AdvertiseClientUrls = c.ListenClientUrls
	cfg.peers(c)
	c.UnsafeNoFsync = cfg.NoSync
	c.EnableGRPCGateway = false // nobody asks it by JSON
	var calls openCalls
	c.ServiceRegister = calls.add
	// Schema history and statuses are rewritten for ever; old revisions are of no use after an hour.
	c.AutoCompactionMode, c.AutoCompactionRetention = embed.CompactorModePeriodic, "1h"

	server, err := embed.StartEtcd(c)
	if err != nil {
		return nil, fmt.Errorf("start etcd in %s on %s: %w", cfg.Dir, cfg.Address, err)
	}
	select {
	case <-server.Server.ReadyNotify():
	case err := <-server.Err():
		server.Close()
		return nil, fmt.Errorf("start etcd in %s: %w", cfg.Dir, err)
	case <-ctx.Done():
		server.Close()
		return nil, fmt.Errorf("start etcd in %s: %w", cfg.Dir, ctx.Err())
	}
	cfg.Address = server.Clients[0].Addr().String()
	return &Node{server: server, cfg: cfg, close: sync.OnceFunc(func() { calls.closeWith(server) })}, nil
}

// peers says who else is in the cluster.
func (cfg Config) peers(c *embed.Config) {
	m := cfg.Member
	if m == nil {
		// The only member needs no peers, but etcd listens for them all the same. The name is part of the data folder's identity, the port is not.
		m = &Member{Name: c.Name, Listen: "127.0.0.1:0", Cluster: map[string]string{c.Name: "127.0.0.1:1"}}
	}
	c.Name = m.Name
	c.QuotaBackendBytes = m.QuotaBytes
	c.ListenPeerUrls = []url.URL{{Scheme: "http", Host: m.Listen}}
	c.AdvertisePeerUrls = []url.URL{{Scheme: "http", Host: m.Cluster[m.Name]}}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(m.Cluster)) {
		all = append(all, name+"=http://"+m.Cluster[name])
	}
	c.InitialCluster = strings.Join(all, ",")
}

// Address returns host:port for clients.
func (n *Node) Address() string { return n.cfg.Address }

// Config returns the config with the address in use, to start the node again where it was.
func (n *Node) Config() Config { return n.cfg }

// Run waits until ctx ends and stops the node, or returns why the node ended.
func (n *Node) Run(ctx context.Context) error {
	defer n.Close()
	select {
	case <-ctx.Done():
		return nil
	case err := <-n.server.Err():
		return fmt.Errorf("etcd in %s: %w", n.cfg.Dir, err)
	case <-n.server.Server.StopNotify():
		return errors.New("etcd stopped by itself")
	}
}

// Close stops the node; the second call does nothing.
func (n *Node) Close() { n.close() }

// Client returns a client of the node. The caller closes it.
func (n *Node) Client() (*clientv3.Client, error) {
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{n.cfg.Address}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return nil, fmt.Errorf("client of etcd at %s: %w", n.cfg.Address, err)
	}
	return c, nil
}

// closeGrace is how long open calls may take when the node closes. Watches never end by themselves, and etcd would wait 7 s for them.
const closeGrace = 300 * time.Millisecond

// openCalls ends the calls that etcd would wait for.
type openCalls struct {
	mu      sync.Mutex
	servers []*grpc.Server
}

func (o *openCalls) add(s *grpc.Server) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.servers = append(o.servers, s)
}

func (o *openCalls) closeWith(server *embed.Etcd) {
	timer := time.AfterFunc(closeGrace, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, s := range o.servers {
			s.Stop()
		}
	})
	defer timer.Stop()
	server.Close()
}
