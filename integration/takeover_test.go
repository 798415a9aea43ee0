package integration

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/integration/harness"
	"github.com/rowmesh/rowmesh/integration/rival"
	"github.com/rowmesh/rowmesh/integration/traffic"
)

// connectWorker starts a real Kafka Connect with Debezium on the tests' Kafka; of the mesh that it returns only the REST API is there.
func connectWorker(t *testing.T, kafka string) *harness.Mesh {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // the first run fetches
	defer cancel()
	p, err := rival.Connect(ctx, &servers.Cache{Say: func(l string) { fmt.Fprintln(os.Stderr, l) }}, t.TempDir(), kafka, "1g")
	if err != nil {
		if os.Getenv("ROWMESH_REQUIRE_REAL") == "1" {
			t.Fatalf("no real Kafka Connect: %v", err)
		}
		t.Skipf("no real Kafka Connect: %v", err)
	}
	t.Cleanup(p.Stop)
	return &harness.Mesh{REST: "http://" + p.Addr}
}

// command runs rowmesh to its end, which must be a good one.
func command(t *testing.T, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	out, err := harness.Command(ctx, t, args...).CombinedOutput()
	t.Logf("rowmesh %s\n%s", strings.Join(args[:2], " "), out)
	if err != nil {
		t.Fatal(err)
	}
}

// TestTakeOver takes a connector over from a real Debezium under load, and gives it back, with DDL while it is here. A consumer of its topics sees
// every change once and in order, and notices nothing.
func TestTakeOver(t *testing.T) {
	addr := harness.Addr(t, harness.MySQL)
	m := harness.Start(t, harness.Size{Coordinators: 1, Capturers: 1, Publishers: 1}, nil)
	old := connectWorker(t, m.Kafka)
	const name = "takeover"
	load := &traffic.Registers{Addr: addr, User: servers.RootUser, Database: name, Tables: 2, Writers: 2, Keys: 40, Pause: 10 * time.Millisecond, Seed: 3}
	if err := load.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	config := m.Connector(harness.MySQL, addr, name, name, map[string]string{"key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false"})
	harness.Await(t, time.Minute, "create it in Kafka Connect", func() error {
		code, body := old.Call(t, http.MethodPost, "/connectors", map[string]any{"name": name, "config": config})
		if code != http.StatusCreated {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
	r := follow(t, m.Kafka, name)
	r.foreign = true
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- load.Run(ctx) }()
	more := func(n int) {
		t.Helper()
		from := len(r.records())
		harness.Await(t, 2*time.Minute, fmt.Sprint(n, " records more"), func() error {
			if got := len(r.records()); got < from+n {
				return fmt.Errorf("%d of %d", got-from, n)
			}
			return nil
		})
	}
	more(300)
	harness.Await(t, time.Minute, "Debezium to store an offset behind its snapshot", func() error {
		if _, body := old.Call(t, http.MethodGet, "/connectors/"+name+"/offsets", nil); !strings.Contains(body, `"pos"`) || strings.Contains(body, `"snapshot"`) {
			return fmt.Errorf("%s", body)
		}
		return nil
	})
	command(t, "migrate", "connect", name, "--server", m.REST, "--connect", old.REST)
	more(300)
	if err := m.Running(t, name, 1); err != nil {
		t.Error(err)
	}
	harness.Exec(t, harness.Root(t, addr), "alter table "+name+".r0 modify pad varchar(300), add key (version)")
	more(300)
	command(t, "migrate", "back", name, "--server", m.REST, "--connect", old.REST)
	more(300)
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	judge(t, r, name, load, time.Minute)
	_, status := old.Call(t, http.MethodGet, "/connectors/"+name+"/status", nil)
	_, here := m.Call(t, http.MethodGet, "/connectors/"+name+"/status", nil)
	if !strings.Contains(status, `"RUNNING"`) || strings.Contains(status, "FAILED") || !strings.Contains(here, `"STOPPED"`) {
		t.Errorf("there %s, here %s", status, here)
	}
	if _, cfg := old.Call(t, http.MethodGet, "/connectors/"+name+"/config", nil); strings.Contains(cfg, "recovery") {
		t.Errorf("Debezium keeps the mode of its first start: %s", cfg)
	}
}
