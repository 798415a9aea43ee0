package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/integration/harness"
	"github.com/rowmesh/rowmesh/integration/traffic"
)

// workers returns the worker of each task.
func workers(t *testing.T, m *harness.Mesh, name string) (map[int]string, error) {
	code, body := m.Call(t, "GET", "/connectors/"+name+"/status", nil)
	var s struct {
		Tasks []struct {
			ID       int    `json:"id"`
			State    string `json:"state"`
			WorkerID string `json:"worker_id"`
		} `json:"tasks"`
	}
	if err := json.Unmarshal([]byte(body), &s); code != 200 || err != nil {
		return nil, fmt.Errorf("%d %s", code, body)
	}
	out := map[int]string{}
	for _, x := range s.Tasks {
		if x.State != "RUNNING" {
			return nil, fmt.Errorf("task %d is %s: %s", x.ID, x.State, body)
		}
		out[x.ID] = x.WorkerID
	}
	return out, nil
}

// spread returns nil if a connector's tasks are as many as wanted, and run on as many publishers.
func spread(t *testing.T, m *harness.Mesh, name string, tasks, publishers int) error {
	by, err := workers(t, m, name)
	if err != nil {
		return err
	}
	distinct := map[string]bool{}
	for _, x := range by {
		distinct[x] = true
	}
	if len(by) != tasks || len(distinct) != publishers {
		return fmt.Errorf("tasks on %v, want %d on %d publishers", by, tasks, publishers)
	}
	return nil
}

// TestLanesMove scales publishers from one to four and back under load, by asking them to end and by killing them, and changes the number of tasks meanwhile, so that
// tables move between lanes and lanes between publishers: nothing is lost, doubled or reordered. With ROWMESH_FULL=1 it does so every ten seconds for five minutes.
func TestLanesMove(t *testing.T) {
	cycles, stay := 1, 2*time.Second
	if os.Getenv("ROWMESH_FULL") == "1" {
		cycles, stay = 15, 10*time.Second
	}
	addr := harness.Addr(t, harness.MySQL)
	m := harness.Start(t, harness.Size{Coordinators: 2, Capturers: 2, Publishers: 4}, nil)
	others := []string{"publisher-2", "publisher-3", "publisher-4"}
	for _, name := range others {
		m.Process(name).Stop()
	}
	w := &traffic.Registers{Addr: addr, User: servers.RootUser, Database: "lanes", Tables: 8, Writers: 4, Keys: 30, Pause: 5 * time.Millisecond, Seed: 2}
	if err := w.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }() // before the connector: its snapshot meets rows that change
	time.Sleep(time.Second)
	r := follow(t, m.Kafka, "lanes")
	config := m.Connector(harness.MySQL, addr, "lanes", w.Database, map[string]string{"tasks.max": "4", "key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false"})
	m.Create(t, "lanes", config)
	tasks := 4
	await := func(publishers int) {
		t.Helper()
		harness.Await(t, time.Minute, fmt.Sprintf("%d tasks on %d publishers", tasks, publishers), func() error { return spread(t, m, "lanes", tasks, publishers) })
		time.Sleep(stay) // load
	}
	await(1)
	for i := range cycles {
		for _, name := range others {
			r.fault("started", name)
			m.Spawn(t, name)
		}
		await(4)
		tasks = []int{6, 4, 5}[i%3]
		config["tasks.max"] = fmt.Sprint(tasks)
		r.fault(fmt.Sprintf("tasks.max=%d", tasks), "lanes")
		if code, body := m.Call(t, "PUT", "/connectors/lanes/config", config); code != 200 {
			t.Fatalf("tasks.max=%d: %d %s", tasks, code, body)
		}
		await(4)
		for k, name := range others {
			if (i+k)%2 == 0 {
				r.fault("asked to end", name)
				m.Process(name).Stop()
			} else {
				r.fault("kill -9", name)
				m.Process(name).Kill()
			}
		}
		await(1)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	judge(t, r, "lanes", w, 60*time.Second)
}
