// Package harness gives the tests real servers and meshes of real processes on this machine.
//
// Servers are started when the first test needs them, shared by all tests of a binary, and stopped by Main. A server that cannot be had skips the
// test that needs it, or fails it where ROWMESH_REQUIRE_REAL=1 is set.
package harness

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/deploy/command"
	"github.com/rowmesh/rowmesh/deploy/roles"
	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/services/lease/etcdnode"
)

// Main runs a test binary's tests, then stops what they started; when the binary was started as a role of a mesh it runs that instead. Use it as
// the whole of TestMain: os.Exit(harness.Main(m)).
func Main(m *testing.M) int {
	if len(os.Args) > 1 && os.Args[1] == roles.Command {
		return command.Execute(os.Args[2:])
	}
	dir, err := os.MkdirTemp("", "rowmesh-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	shared.dir = dir
	defer os.RemoveAll(dir)
	defer shared.stop()
	return m.Run()
}

// Command is the test binary as rowmesh with a command line.
func Command(ctx context.Context, t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(ctx, self, append([]string{roles.Command}, args...)...)
}

// Part is a server that a test needs.
type Part string

// Parts.
const (
	MySQL   = Part(servers.MySQL)
	MySQL80 = Part(servers.MySQL80)
	MySQL57 = Part(servers.MySQL57)
	MariaDB = Part(servers.MariaDB)
	Kafka   = Part("kafka")
	Etcd    = Part("etcd")
	// Registry is a schema registry that speaks Confluent's API under servers.RegistryPath.
	Registry = Part("registry")
)

// shared holds the servers of this test binary.
var shared pool

type pool struct {
	dir   string
	mu    sync.Mutex
	addrs map[Part]string
	errs  map[Part]error
	stops []func()
	procs map[Part]*servers.Process
}

func (p *pool) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.stops) - 1; i >= 0; i-- {
		p.stops[i]()
	}
}

// Addr starts a part if it does not run yet and returns its host:port.
func Addr(t testing.TB, part Part) string {
	t.Helper()
	if testing.Short() {
		t.Skipf("needs a real %s: not under -short", part)
	}
	addr, err := shared.get(part, t.Logf)
	if err != nil {
		if os.Getenv("ROWMESH_REQUIRE_REAL") == "1" {
			t.Fatalf("no real %s: %v", part, err)
		}
		t.Skipf("no real %s: %v", part, err)
	}
	return addr
}

// Process returns the process of a part that runs.
func Process(part Part) *servers.Process {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	return shared.procs[part]
}

// ProgramAt returns the program of the database server that was started at addr.
func ProgramAt(t testing.TB, addr string) *servers.Program {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	for part, a := range shared.addrs {
		if a == addr {
			cache := &servers.Cache{Say: func(l string) { t.Log(l) }}
			p, err := cache.Database(t.Context(), servers.Database(part))
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
	}
	t.Fatalf("no server of this test runs at %s", addr)
	return nil
}

func (p *pool) get(part Part, logf func(string, ...any)) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a, ok := p.addrs[part]; ok {
		return a, p.errs[part]
	}
	if p.addrs == nil {
		p.addrs, p.errs, p.procs = map[Part]string{}, map[Part]error{}, map[Part]*servers.Process{}
	}
	begin := time.Now()
	addr, err := p.start(part, 0)
	p.addrs[part], p.errs[part] = addr, err
	logf("%s at %s after %.1f s (%v)", part, addr, time.Since(begin).Seconds(), err)
	return addr, err
}

// Restart starts a part that was killed again, on its port and its data.
func Restart(t testing.TB, part Part) {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	_, port, err := net.SplitHostPort(shared.addrs[part])
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shared.start(part, n); err != nil {
		t.Fatal(err)
	}
}

// start starts a part; port 0 is a free one.
func (p *pool) start(part Part, port int) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // the first run fetches
	defer cancel()
	cache := &servers.Cache{Say: func(l string) { fmt.Fprintln(os.Stderr, l) }}
	dir := filepath.Join(p.dir, string(part))
	var proc *servers.Process
	switch part {
	case Etcd:
		e, err := etcdnode.Start(ctx, etcdnode.Config{Dir: dir, NoSync: true})
		if err != nil {
			return "", err
		}
		p.stops = append(p.stops, e.Close)
		return e.Address(), nil
	case Kafka:
		b, err := cache.Kafka(ctx)
		if err != nil {
			return "", err
		}
		if proc, err = b.Start(ctx, servers.BrokerOptions{Dir: dir, Port: port}); err != nil {
			return "", err
		}
	case Registry:
		r, err := cache.Registry(ctx)
		if err != nil {
			return "", err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
		if proc, err = r.Start(ctx, dir); err != nil {
			return "", err
		}
	default:
		d, err := cache.Database(ctx, servers.Database(part))
		if err != nil {
			return "", err
		}
		id := map[Part]int{MySQL: 1, MariaDB: 2, MySQL80: 3, MySQL57: 4}[part]
		if proc, err = d.Start(ctx, servers.DatabaseOptions{Dir: dir, ServerID: id, Port: port}); err != nil {
			return "", err
		}
	}
	p.procs[part] = proc
	p.stops = append(p.stops, proc.Stop)
	return proc.Addr, nil
}
