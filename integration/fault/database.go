package fault

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/rowmesh/rowmesh/deploy/servers"
)

// Names of the proxies in front of databases: Source is in front of the primary, whichever server that is, Spare in front of the server that stands alone.
const (
	Source = "mysql"
	Spare  = "spare"
)

// node is one database server.
type node struct {
	name string // "mysql-1"
	dir  string
	port int
	id   int
	// gone: it was lost in a failover, and nobody starts it again.
	gone bool
}

func (n *node) addr() string { return local(n.port) }

// planDatabases lays out primary, replica and spare server.
func (c *Cluster) planDatabases() error {
	names := []string{"mysql-1"}
	if c.Replica {
		names = append(names, "mysql-2")
	}
	if c.Options.Spare {
		names = append(names, "spare-1")
	}
	ports, err := freePorts(len(names))
	if err != nil {
		return err
	}
	for i, name := range names {
		n := &node{name: name, dir: filepath.Join(c.Dir, name), port: ports[i], id: i + 1}
		c.nodes = append(c.nodes, n)
		c.starts[name] = func(ctx context.Context) (*servers.Process, error) {
			// Small, and quick to stop: there are up to three of them.
			args := []string{"--innodb-buffer-pool-size=64M", "--max-connections=200"}
			if c.Database == servers.MySQL {
				args = append(args, "--performance-schema=OFF")
			}
			return c.database.Start(ctx, servers.DatabaseOptions{Dir: n.dir, Port: n.port, ServerID: n.id, Extra: append(args, c.MySQL...)})
		}
	}
	if _, err := c.Net.listen(Source, c.nodes[0].addr(), nil); err != nil {
		return err
	}
	if c.Options.Spare {
		if _, err := c.Net.listen(Spare, c.nodes[len(c.nodes)-1].addr(), nil); err != nil {
			return err
		}
	}
	return nil
}

// node returns a server by name.
func (c *Cluster) node(name string) (*node, error) {
	for _, n := range c.nodes {
		if n.name == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("no database server %s in this cluster", name)
}

// retired says whether a process is not to be started again.
func (c *Cluster) retired(name string) bool {
	n, err := c.node(name)
	return err == nil && n.gone
}

// Primary returns the name of the server behind a proxy.
func (c *Cluster) Primary(proxy string) string {
	target := c.Net.Proxy(proxy).Target()
	for _, n := range c.nodes {
		if n.addr() == target {
			return n.name
		}
	}
	return ""
}

// replica returns the name of the server that is not the primary.
func (c *Cluster) replica() (string, error) {
	for _, n := range c.nodes {
		if strings.HasPrefix(n.name, "mysql-") && n.name != c.Primary(Source) {
			return n.name, nil
		}
	}
	return "", fmt.Errorf("this cluster has no replica")
}

// Session connects to a server itself, past the proxies, as root. The caller closes it.
func (c *Cluster) Session(ctx context.Context, server string) (*client.Conn, error) {
	n, err := c.node(server)
	if err != nil {
		return nil, err
	}
	conn, err := client.ConnectWithContext(ctx, n.addr(), servers.RootUser, "", "", 5*time.Second)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", server, err)
	}
	return conn, nil
}

// Exec runs statements one after the other in one session of a server.
func (c *Cluster) Exec(ctx context.Context, server string, statements ...string) error {
	conn, err := c.Session(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, s := range statements {
		if _, err := conn.Execute(s); err != nil {
			return fmt.Errorf("%s: %.200s: %w", server, s, err)
		}
	}
	return nil
}

// Ask returns the first value of a query's answer; empty if there is none.
func (c *Cluster) Ask(ctx context.Context, server, query string) (string, error) {
	conn, err := c.Session(ctx, server)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	r, err := conn.Execute(query)
	if err != nil {
		return "", fmt.Errorf("%s: %.200s: %w", server, query, err)
	}
	if r.Resultset == nil || len(r.Values) == 0 {
		return "", nil
	}
	text, err := r.GetString(0, 0)
	return strings.Clone(text), err
}

// follow makes a server a replica of another.
func (c *Cluster) follow(ctx context.Context, replica, primary string) error {
	n, err := c.node(primary)
	if err != nil {
		return err
	}
	return c.Exec(ctx, replica, fmt.Sprintf("change replication source to source_host='127.0.0.1', source_port=%d, source_user='root', source_password='', "+
		"source_auto_position=1, get_source_public_key=1, source_connect_retry=1, source_heartbeat_period=1", n.port), "start replica", "set global super_read_only=1")
}

// replicate starts the replica's replication.
func (c *Cluster) replicate(ctx context.Context) error {
	if !c.Replica {
		return nil
	}
	return c.follow(ctx, "mysql-2", "mysql-1")
}

// CatchUp waits until the replica has all that the primary has.
func (c *Cluster) CatchUp(ctx context.Context, replica, primary string) error {
	set, err := c.Ask(ctx, primary, "select @@global.gtid_executed")
	if err != nil {
		return err
	}
	late, err := c.Ask(ctx, replica, "select wait_for_executed_gtid_set('"+set+"', 30)")
	if err != nil {
		return err
	}
	if late != "0" {
		return fmt.Errorf("%s does not catch up with %s", replica, primary)
	}
	return nil
}

// Promote makes the replica the primary and points the proxy at it. The old one is not touched.
func (c *Cluster) Promote(ctx context.Context, replica string) error {
	n, err := c.node(replica)
	if err != nil {
		return err
	}
	if err := c.Exec(ctx, replica, "stop replica", "reset replica all", "set global super_read_only=0", "set global read_only=0"); err != nil {
		return err
	}
	c.Net.Proxy(Source).Point(n.addr())
	return nil
}

// Failover makes the replica the primary after it has caught up and no write is under way. kill ends the old one instead of leaving it readable. The old one comes
// back as the replica.
func (c *Cluster) Failover(ctx context.Context, kill bool) (writable time.Time, err error) {
	old := c.Primary(Source)
	next, err := c.replica()
	if err != nil {
		return writable, err
	}
	if err := c.Exec(ctx, old, "set global super_read_only=1"); err != nil {
		return writable, err
	}
	if err := c.CatchUp(ctx, next, old); err != nil {
		return writable, err
	}
	if kill {
		if err := c.Kill(old); err != nil {
			return writable, err
		}
	}
	if err := c.Promote(ctx, next); err != nil {
		return writable, err
	}
	writable = time.Now()
	c.Net.Proxy(Source).reset(func(string, string) bool { return true })
	if kill {
		if err := c.Spawn(ctx, old); err != nil {
			return writable, err
		}
	}
	return writable, c.follow(ctx, old, next)
}

// copyData copies the data folder of a server, which must not run, to a folder, or back from it.
func (c *Cluster) copyData(server, to string, back bool) error {
	n, err := c.node(server)
	if err != nil {
		return err
	}
	from, dest := filepath.Join(n.dir, "data"), to
	if back {
		from, dest = dest, from
	}
	if err := os.RemoveAll(dest); err != nil {
		return err
	}
	return os.CopyFS(dest, os.DirFS(from))
}

// dump reads the log of a server under a server id, as a replica does, until stop is called.
func (c *Cluster) dump(ctx context.Context, server string, id uint32) (stop func(), err error) {
	n, err := c.node(server)
	if err != nil {
		return nil, err
	}
	at, err := c.Ask(ctx, server, "show binary log status")
	if err != nil {
		return nil, err
	}
	b := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{ServerID: id, Flavor: "mysql", Host: "127.0.0.1", Port: uint16(n.port), User: servers.RootUser, DisableRetrySync: true, Logger: slog.New(slog.DiscardHandler)})
	s, err := b.StartSync(mysql.Position{Name: at, Pos: 4})
	if err != nil {
		b.Close()
		return nil, err
	}
	if _, err := s.GetEvent(ctx); err != nil {
		b.Close()
		return nil, fmt.Errorf("read the log of %s with server id %d: %w", server, id, err)
	}
	return b.Close, nil
}

// hostPort splits a proxy's address for a connector's config.
func hostPort(addr string) (host, port string) {
	host, port, _ = net.SplitHostPort(addr)
	return host, port
}
