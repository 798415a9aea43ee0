package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/deploy/roles"
	"github.com/rowmesh/rowmesh/deploy/servers"
)

// Mesh is a mesh of real processes.
type Mesh struct {
	Kafka, Etcd string
	// Members by name: "publisher-2".
	Members map[string]roles.Member
	// REST is the base URL of the first coordinator.
	REST string
	// Control is the gRPC address of the first coordinator.
	Control string

	dir   string
	mu    sync.Mutex
	procs map[string]*servers.Process
}

// Size is how many of each role a mesh has.
type Size struct{ Coordinators, Capturers, Publishers int }

// Start starts a mesh on the shared Kafka and etcd, under an etcd prefix and an offsets topic of its own, and stops it at the end of the test.
func Start(t testing.TB, n Size, extra map[string][]string) *Mesh {
	t.Helper()
	m := &Mesh{Kafka: Addr(t, Kafka), Etcd: Addr(t, Etcd), Members: map[string]roles.Member{}, procs: map[string]*servers.Process{}, dir: t.TempDir()}
	unique := fmt.Sprintf("t%x", time.Now().UnixNano())
	all := map[string][]string{}
	for _, r := range []string{"coordinator", "capturer", "publisher"} {
		all[r] = append([]string{"-etcd-prefix", "/" + unique}, extra[r]...)
		if r != "capturer" {
			all[r] = append(all[r], "-offsets-topic", "offsets-"+unique)
		}
	}
	members, err := roles.Plan(roles.Options{Dir: m.dir, Etcd: m.Etcd, Kafka: m.Kafka, Coordinators: n.Coordinators, Capturers: n.Capturers, Publishers: n.Publishers, Extra: all})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.stop(t) })
	m.REST, m.Control = members[0].REST, members[0].GRPC
	for _, x := range members {
		m.Members[x.Name] = x
		m.Spawn(t, x.Name)
	}
	Await(t, 30*time.Second, "the REST API", func() error {
		code, body := m.Call(t, http.MethodGet, "/health", nil)
		if code != 200 {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
	return m
}

// Spawn starts a member that does not run.
func (m *Mesh) Spawn(t testing.TB, name string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := m.Members[name].Spawn(self, m.dir)
	if err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.procs[name] = p
}

// Process returns a member's process.
func (m *Mesh) Process(name string) *servers.Process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.procs[name]
}

// Log returns what a member has logged so far.
func (m *Mesh) Log(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(m.dir, name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (m *Mesh) stop(t testing.TB) {
	var wg sync.WaitGroup
	for _, p := range m.procs {
		wg.Go(p.Stop)
	}
	wg.Wait()
	if t.Failed() {
		for name := range m.procs {
			b, _ := os.ReadFile(filepath.Join(m.dir, name+".log"))
			t.Logf("log of %s:\n%s", name, b[max(0, len(b)-4000):])
		}
	}
}

// Call does a request to the REST API. body is sent as JSON unless it is nil or a string.
func (m *Mesh) Call(t testing.TB, method, path string, body any) (int, string) {
	t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		j, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		r = bytes.NewReader(j)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, m.REST+path, r)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	p, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, err.Error()
	}
	defer p.Body.Close()
	b, err := io.ReadAll(p.Body)
	if err != nil {
		return 0, err.Error()
	}
	return p.StatusCode, string(b)
}

// Connector is a config with the options that every connector needs, for the database at addr; more replaces and adds, an empty value removes.
func (m *Mesh) Connector(engine Part, addr, prefix, database string, more map[string]string) map[string]string {
	host, port, _ := net.SplitHostPort(addr)
	class := "io.debezium.connector.mysql.MySqlConnector"
	if engine == MariaDB {
		class = "io.debezium.connector.mariadb.MariaDbConnector"
	}
	c := map[string]string{
		"connector.class": class, "tasks.max": "1", "database.hostname": host, "database.port": port,
		"database.user": servers.ConnectorUser, "database.password": servers.ConnectorPass, "database.server.id": fmt.Sprint(5000 + time.Now().UnixNano()/1000%50000),
		"topic.prefix": prefix, "database.include.list": database,
		"schema.history.internal.kafka.bootstrap.servers": m.Kafka, "schema.history.internal.kafka.topic": "history-" + prefix,
		"key.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter": "org.apache.kafka.connect.json.JsonConverter",
	}
	for k, v := range more {
		c[k] = v
		if v == "" {
			delete(c, k)
		}
	}
	return c
}

// Create creates a connector and fails the test if it is refused.
func (m *Mesh) Create(t testing.TB, name string, config map[string]string) {
	t.Helper()
	if code, body := m.Call(t, http.MethodPost, "/connectors", map[string]any{"name": name, "config": config}); code != http.StatusCreated {
		t.Fatalf("create %s: %d %s", name, code, body)
	}
}

// Await calls f until it returns nil and fails the test after limit.
func Await(t testing.TB, limit time.Duration, what string, f func() error) {
	t.Helper()
	for end := time.Now().Add(limit); ; {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not after %s: %v", what, limit, err)
		}
		time.Sleep(50 * time.Millisecond) // the thing awaited is in another process
	}
}
