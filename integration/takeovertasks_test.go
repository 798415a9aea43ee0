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
	"github.com/rowmesh/rowmesh/integration/traffic"
)

// TestTakeOverBySeveralTasks takes a connector over from a real Debezium, which has one place in the log, gives it three tasks, each of which then has its own, and gives it
// back from them, under load. A consumer of its topics sees every change once and in order.
func TestTakeOverBySeveralTasks(t *testing.T) {
	if os.Getenv("ROWMESH_FULL") != "1" {
		t.Skip("a minute with a real Kafka Connect; TestTakeOver has one task: set ROWMESH_FULL=1")
	}
	addr := harness.Addr(t, harness.MySQL)
	m := harness.Start(t, harness.Size{Coordinators: 1, Capturers: 1, Publishers: 2}, nil)
	old := connectWorker(t, m.Kafka)
	const name = "takeover3"
	load := &traffic.Registers{Addr: addr, User: servers.RootUser, Database: name, Tables: 6, Writers: 2, Keys: 40, Pause: 10 * time.Millisecond, Seed: 5}
	if err := load.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	config := m.Connector(harness.MySQL, addr, name, name, map[string]string{"key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false"})
	harness.Await(t, time.Minute, "create it in Kafka Connect", func() error {
		if code, body := old.Call(t, http.MethodPost, "/connectors", map[string]any{"name": name, "config": config}); code != http.StatusCreated {
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
		harness.Await(t, 5*time.Minute, fmt.Sprint(n, " records more"), func() error {
			if got := len(r.records()); got < from+n {
				return fmt.Errorf("%d of %d", got-from, n)
			}
			return nil
		})
	}
	more(400)
	harness.Await(t, time.Minute, "Debezium to store an offset behind its snapshot", func() error {
		if _, body := old.Call(t, http.MethodGet, "/connectors/"+name+"/offsets", nil); !strings.Contains(body, `"pos"`) || strings.Contains(body, `"snapshot"`) {
			return fmt.Errorf("%s", body)
		}
		return nil
	})
	command(t, "migrate", "connect", name, "--server", m.REST, "--connect", old.REST)
	config["tasks.max"] = "3" // which Debezium refuses
	if code, body := m.Call(t, http.MethodPut, "/connectors/"+name+"/config", config); code != http.StatusOK {
		t.Fatal(code, body)
	}
	harness.Await(t, time.Minute, "three tasks to run", func() error { return m.Running(t, name, 3) })
	more(600)
	command(t, "migrate", "back", name, "--server", m.REST, "--connect", old.REST)
	more(400)
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	judge(t, r, name, load, time.Minute)
	_, status := old.Call(t, http.MethodGet, "/connectors/"+name+"/status", nil)
	_, here := m.Call(t, http.MethodGet, "/connectors/"+name, nil)
	if !strings.Contains(status, `"RUNNING"`) || strings.Contains(status, "FAILED") || !strings.Contains(here, `"tasks.max":"3"`) {
		t.Errorf("there %s, here %s", status, here)
	}
}
