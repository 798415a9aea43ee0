package fault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rowmesh/rowmesh/deploy/roles"
	"github.com/rowmesh/rowmesh/deploy/servers"
)

// Options say how large a cluster is.
type Options struct {
	// Dir holds data and logs; it must exist.
	Dir string
	// Program is rowmesh, built with the tag failpoint; empty: it is built.
	Program string
	// Seed decides what is random on the wires.
	Seed uint64
	// How many there are; defaults 2, 2, 2, 3, 1.
	Coordinators, Capturers, Publishers, Etcd, Brokers int
	// Database is the kind of the sources; default MySQL.
	Database servers.Database
	// Replica adds a replica that follows the primary, Spare a server that stands alone.
	Replica, Spare bool
	// Kafka are properties of brokers, MySQL arguments of database servers, Flags those of roles ("publisher").
	Kafka, MySQL []string
	Flags        map[string][]string
	// EtcdQuota bounds etcd's data; 0: its own default.
	EtcdQuota int64
	// Log gets a line for each thing that is done; nil: nothing.
	Log func(format string, args ...any)
}

func (o Options) withDefaults() Options {
	for _, x := range []struct {
		to *int
		n  int
	}{{&o.Coordinators, 2}, {&o.Capturers, 2}, {&o.Publishers, 2}, {&o.Etcd, 3}, {&o.Brokers, 1}} {
		if *x.to == 0 {
			*x.to = x.n
		}
	}
	if o.Database == "" {
		o.Database = servers.MySQL
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	return o
}

// Cluster is what faults are done to.
type Cluster struct {
	Options
	// Net is the wires between the processes.
	Net *Network
	// Members of the mesh by name: "publisher-2".
	Members map[string]roles.Member

	database *servers.Program
	broker   *servers.Broker
	nodes    []*node
	brokers  brokers
	etcd     []*etcdMember
	offsets  string // topic of checkpoints

	mu     sync.Mutex
	procs  map[string]*servers.Process
	starts map[string]func(context.Context) (*servers.Process, error)
	asked  map[string]bool // failpoint files that were written
}

// Offsets is the topic of the cluster's checkpoints.
const Offsets = "fault-offsets"

// Start starts all and returns when the REST API answers. Close what it returns.
func Start(ctx context.Context, o Options) (_ *Cluster, err error) {
	c := &Cluster{Options: o.withDefaults(), Members: map[string]roles.Member{}, offsets: Offsets, procs: map[string]*servers.Process{},
		starts: map[string]func(context.Context) (*servers.Process, error){}, asked: map[string]bool{}}
	c.brokers.proxy = map[int32]*Proxy{}
	c.Net = newNetwork(o.Seed, c.who)
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	begin := time.Now()
	cache := &servers.Cache{Say: func(l string) { c.Log("%s", l) }}
	if c.database, err = cache.Database(ctx, c.Database); err != nil {
		return nil, err
	}
	if c.broker, err = cache.Kafka(ctx); err != nil {
		return nil, err
	}
	for _, plan := range []func() error{func() error { return c.planEtcd(c.Etcd) }, c.planDatabases, c.planBrokers} {
		if err := plan(); err != nil {
			return nil, err
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	if c.Program == "" {
		g.Go(func() (err error) { c.Program, err = Build(gctx, c.Dir); return err })
	}
	for _, name := range slices.Sorted(maps.Keys(c.starts)) {
		g.Go(func() error { return c.Spawn(gctx, name) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if err := c.replicate(ctx); err != nil {
		return nil, err
	}
	if err := c.awaitEtcd(ctx); err != nil {
		return nil, err
	}
	if err := c.startMesh(ctx); err != nil {
		return nil, err
	}
	c.Log("cluster runs after %.1f s", time.Since(begin).Seconds())
	return c, nil
}

// Build builds rowmesh with the tag failpoint into dir and returns the program.
func Build(ctx context.Context, dir string) (string, error) {
	program := filepath.Join(dir, "rowmesh-failpoint")
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", "failpoint", "-o", program, "github.com/rowmesh/rowmesh/deploy/rowmesh")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build rowmesh with failpoints: %w: %s", err, out)
	}
	return program, nil
}

// startMesh lays the members out, each behind a proxy, and starts them.
func (c *Cluster) startMesh(ctx context.Context) error {
	var etcd, kafka []string
	for _, m := range c.etcd {
		etcd = append(etcd, m.client.Addr)
	}
	for i := range c.Brokers {
		kafka = append(kafka, c.Net.Proxy(fmt.Sprintf("kafka-%d", i+1)).Addr)
	}
	extra := map[string][]string{}
	for _, r := range []string{"coordinator", "capturer", "publisher"} {
		extra[r] = slices.Clone(c.Flags[r])
		if r != "capturer" {
			extra[r] = append(extra[r], "-offsets-topic", c.offsets)
		}
		if r == "publisher" { // few partitions: each of them is read at the start of a lane
			extra[r] = append(extra[r], "-offsets-partitions", "3", "-offsets-replication", fmt.Sprint(c.Brokers))
		}
	}
	members, err := roles.Plan(roles.Options{Dir: c.Dir, Etcd: strings.Join(etcd, ","), Kafka: strings.Join(kafka, ","),
		Coordinators: c.Coordinators, Capturers: c.Capturers, Publishers: c.Publishers, Extra: extra})
	if err != nil {
		return err
	}
	for _, m := range members {
		p, err := c.Net.listen(m.Name, m.GRPC, nil)
		if err != nil {
			return err
		}
		m.Args = append(m.Args, "-advertise", p.Addr)
		c.Members[m.Name] = m
		c.starts[m.Name] = func(context.Context) (*servers.Process, error) { return c.spawnMember(m.Name, m, c.Program) }
		if err := c.Spawn(ctx, m.Name); err != nil {
			return err
		}
	}
	return Until(ctx, time.Minute, "the REST API", func() error {
		code, body := c.Call(ctx, "GET", "/health", nil)
		if code != 200 {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
}

// spawnMember starts a member of the mesh under a name with a program.
func (c *Cluster) spawnMember(name string, m roles.Member, program string) (*servers.Process, error) {
	env := []string{"ROWMESH_FAILPOINTS=" + c.pointFile(name)}
	return servers.Spawn(name, c.Dir, c.logFile(name), env, 10*time.Second, append([]string{program}, m.Args...)...)
}

// logFile returns the file of a process's output, a new one for each start.
func (c *Cluster) logFile(name string) string {
	for i := 0; ; i++ {
		file := filepath.Join(c.Dir, fmt.Sprintf("%s.%d.log", name, i))
		if _, err := os.Stat(file); err != nil {
			return file
		}
	}
}

// Spawn starts a process that does not run, and waits until it is ready if it is a server.
func (c *Cluster) Spawn(ctx context.Context, name string) error {
	start := c.starts[name]
	if start == nil {
		return fmt.Errorf("no process %s in this cluster", name)
	}
	p, err := start(ctx)
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	c.mu.Lock()
	c.procs[name] = p
	c.mu.Unlock()
	return nil
}

// Process returns a process that runs or ran; nil if there never was one.
func (c *Cluster) Process(name string) *servers.Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.procs[name]
}

// Alive says whether a process runs.
func (c *Cluster) Alive(name string) bool {
	p := c.Process(name)
	if p == nil {
		return false
	}
	select {
	case <-p.Done():
		return false
	default:
		return true
	}
}

// Signal sends a signal to a process, which must run.
func (c *Cluster) Signal(name string, s syscall.Signal) error {
	if !c.Alive(name) {
		return fmt.Errorf("%s does not run: %s cannot be sent", name, s)
	}
	return c.Process(name).Signal(s)
}

// Kill ends a process, which must run, without warning.
func (c *Cluster) Kill(name string) error {
	if !c.Alive(name) {
		return fmt.Errorf("%s does not run: it cannot be killed", name)
	}
	c.Process(name).Kill()
	return nil
}

// Stop asks a process, which must run, to end, and waits until it has.
func (c *Cluster) Stop(name string) error {
	if !c.Alive(name) {
		return fmt.Errorf("%s does not run: it cannot be stopped", name)
	}
	c.Process(name).Stop()
	return nil
}

// Bounce kills a process and starts it again.
func (c *Cluster) Bounce(ctx context.Context, name string) error {
	if err := c.Kill(name); err != nil {
		return err
	}
	return c.Spawn(ctx, name)
}

// Names returns the members of a role: "publisher-1", "publisher-2".
func (c *Cluster) Names(role string) (out []string) {
	for name := range c.Members {
		if strings.HasPrefix(name, role+"-") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// who tells which process has a connection.
func (c *Cluster) who(port, to int) string {
	pids := map[int]string{}
	c.mu.Lock()
	for name, p := range c.procs {
		select {
		case <-p.Done():
		default:
			pids[p.PID()] = name
		}
	}
	c.mu.Unlock()
	return owner(port, to, pids)
}

// Heal takes all rules of the network away, continues what is stopped, and starts what does not run.
func (c *Cluster) Heal(ctx context.Context) error {
	c.Net.HealAll()
	c.disarm()
	var names []string
	c.mu.Lock()
	for name := range c.starts {
		names = append(names, name)
	}
	c.mu.Unlock()
	slices.Sort(names)
	g, gctx := errgroup.WithContext(ctx)
	for _, name := range names {
		if c.Alive(name) {
			c.Process(name).Signal(syscall.SIGCONT)
			continue
		}
		if c.retired(name) {
			continue
		}
		c.Log("%s is started again", name)
		g.Go(func() error { return c.Spawn(gctx, name) })
	}
	return g.Wait()
}

// Close ends all processes. The data stay until Dir is removed.
func (c *Cluster) Close() {
	c.mu.Lock()
	procs := c.procs
	c.procs = map[string]*servers.Process{}
	c.mu.Unlock()
	var wg sync.WaitGroup
	for _, p := range procs {
		wg.Go(func() {
			p.Signal(syscall.SIGCONT)
			p.Kill() // nothing of it is wanted any more
		})
	}
	wg.Wait()
	c.Net.close()
}

// Logs returns the ends of what the members of the mesh have logged, for a report of what went wrong.
func (c *Cluster) Logs() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.Members)) {
		files, err := filepath.Glob(filepath.Join(c.Dir, name+".*.log"))
		if err != nil || len(files) == 0 {
			continue
		}
		slices.SortFunc(files, func(a, b string) int { return len(a) - len(b) + 2*strings.Compare(a, b) })
		text, _ := os.ReadFile(files[len(files)-1])
		fmt.Fprintf(&b, "log of %s (%s):\n%s\n", name, filepath.Base(files[len(files)-1]), text[max(0, len(text)-1500):])
	}
	return b.String()
}

// Until calls f until it returns nil, and returns its last error after a limit.
func Until(ctx context.Context, limit time.Duration, what string, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s: not within %s", what, limit), err)
		case <-time.After(30 * time.Millisecond): // what is awaited is in another process
		}
	}
}
