package fault

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/services/lease/etcdnode"
	"github.com/rowmesh/rowmesh/services/registry"
)

// memberCommand is the first argument with which a program that uses this package becomes a member of the cluster's etcd.
const memberCommand = "etcd-member"

// Member runs this process as an etcd member if it was started as one, and returns its exit code then. A program that starts clusters calls it first of all:
//
//	if code, ok := fault.Member(os.Args); ok {
//		os.Exit(code)
//	}
func Member(args []string) (code int, ok bool) {
	if len(args) != 3 || args[1] != memberCommand {
		return 0, false
	}
	if err := runMember(args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	return 0, true
}

func runMember(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var cfg etcdnode.Config
	if err := json.Unmarshal(b, &cfg); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	n, err := etcdnode.Start(ctx, cfg)
	if err != nil {
		return err
	}
	return n.Run(ctx)
}

// etcdMember is one member of the cluster.
type etcdMember struct {
	name   string
	config etcdnode.Config
	client *Proxy // where the mesh connects
}

// planEtcd lays out n members with a proxy in front of each for clients, and one for the other members.
func (c *Cluster) planEtcd(n int) error {
	cluster := map[string]string{}
	for i := 1; i <= n; i++ {
		name := fmt.Sprintf("etcd-%d", i)
		ports, err := freePorts(2)
		if err != nil {
			return err
		}
		client, peer := local(ports[0]), local(ports[1])
		p, err := c.Net.listen(name, client, nil)
		if err != nil {
			return err
		}
		peers, err := c.Net.listen(name+"-peer", peer, nil)
		if err != nil {
			return err
		}
		cluster[name] = peers.Addr
		c.etcd = append(c.etcd, &etcdMember{name: name, client: p, config: etcdnode.Config{Dir: filepath.Join(c.Dir, name), Address: client, NoSync: true,
			Member: &etcdnode.Member{Name: name, Listen: peer, Cluster: cluster, QuotaBytes: c.EtcdQuota}}})
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, m := range c.etcd {
		c.starts[m.name] = func(context.Context) (*servers.Process, error) {
			b, err := json.Marshal(m.config)
			if err != nil {
				return nil, err
			}
			file := filepath.Join(c.Dir, m.name+".json")
			if err := os.WriteFile(file, b, 0o644); err != nil {
				return nil, err
			}
			return servers.Spawn(m.name, c.Dir, c.logFile(m.name), nil, 5*time.Second, self, memberCommand, file)
		}
	}
	return nil
}

// etcdClient returns a client of the members themselves, past the proxies. The caller closes it.
func (c *Cluster) etcdClient(names ...string) (*clientv3.Client, error) {
	var at []string
	for _, m := range c.etcd {
		for _, name := range names {
			if m.name == name {
				at = append(at, m.config.Address)
			}
		}
		if len(names) == 0 {
			at = append(at, m.config.Address)
		}
	}
	return registry.Dial(registry.Etcd{Endpoints: at})
}

// withEtcd calls f with a client of the members themselves, or of those named.
func (c *Cluster) withEtcd(ctx context.Context, f func(ctx context.Context, cl *clientv3.Client) error, names ...string) error {
	cl, err := c.etcdClient(names...)
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return f(ctx, cl)
}

// awaitEtcd waits until etcd takes writes.
func (c *Cluster) awaitEtcd(ctx context.Context) error {
	return Until(ctx, 40*time.Second, "etcd to take writes", func() error {
		return c.withEtcd(ctx, func(ctx context.Context, cl *clientv3.Client) error {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			_, err := cl.Put(ctx, "/probe", "1")
			return err
		})
	})
}

// EtcdLeader returns the name of the member that leads.
func (c *Cluster) EtcdLeader(ctx context.Context) (leader string, err error) {
	err = Until(ctx, 20*time.Second, "a leader of etcd", func() error {
		for _, m := range c.etcd {
			if !c.Alive(m.name) {
				continue
			}
			err := c.withEtcd(ctx, func(ctx context.Context, cl *clientv3.Client) error {
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				s, err := cl.Status(ctx, m.config.Address)
				if err != nil {
					return err
				}
				if s.Leader == s.Header.MemberId {
					leader = m.name
				}
				return nil
			}, m.name)
			if err == nil && leader != "" {
				return nil
			}
		}
		return fmt.Errorf("no member says that it leads")
	})
	return leader, err
}

// etcdNames are all members.
func (c *Cluster) etcdNames() (out []string) {
	for _, m := range c.etcd {
		out = append(out, m.name)
	}
	return out
}

// copyEtcd copies the data of all members, which must not run, to a folder, or back from it.
func (c *Cluster) copyEtcd(to string, back bool) error {
	for _, m := range c.etcd {
		from, dest := m.config.Dir, filepath.Join(to, m.name)
		if back {
			from, dest = dest, from
		}
		if err := os.RemoveAll(dest); err != nil {
			return err
		}
		if err := os.CopyFS(dest, os.DirFS(from)); err != nil {
			return fmt.Errorf("copy the data of %s: %w", m.name, err)
		}
	}
	return nil
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", fmt.Sprint(port)) }

// freePorts returns ports that nobody listens on now, all different.
func freePorts(n int) (ports []int, err error) {
	var held []io.Closer
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		held = append(held, l)
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
