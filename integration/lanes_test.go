package integration

import (
	"context"
	"encoding/json"
	"fmt"
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

// TestLanesMoveToNewPublishers scales publishers from one to two and back under load: lanes move, nothing is lost, doubled or reordered.
func TestLanesMoveToNewPublishers(t *testing.T) {
	addr := harness.Addr(t, harness.MySQL)
	m := harness.Start(t, harness.Size{Coordinators: 2, Capturers: 2, Publishers: 2}, nil)
	m.Process("publisher-2").Stop()
	w := &traffic.Registers{Addr: addr, User: servers.RootUser, Database: "lanes", Tables: 6, Writers: 4, Keys: 30, Pause: 5 * time.Millisecond, Seed: 2}
	if err := w.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }() // before the connector: its snapshot meets rows that change
	time.Sleep(time.Second)
	r := follow(t, m.Kafka, "lanes")
	m.Create(t, "lanes", m.Connector(harness.MySQL, addr, "lanes", w.Database, map[string]string{
		"tasks.max": "4", "key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false",
	}))
	spread := func(want int) func() error {
		return func() error {
			by, err := workers(t, m, "lanes")
			if err != nil {
				return err
			}
			distinct := map[string]bool{}
			for _, x := range by {
				distinct[x] = true
			}
			if len(by) != 4 || len(distinct) != want {
				return fmt.Errorf("tasks on %v", by)
			}
			return nil
		}
	}
	harness.Await(t, 40*time.Second, "four tasks on one publisher", spread(1))
	time.Sleep(time.Second)
	m.Spawn(t, "publisher-2")
	harness.Await(t, 40*time.Second, "tasks on two publishers", spread(2))
	time.Sleep(2 * time.Second)
	m.Process("publisher-1").Stop()
	harness.Await(t, 40*time.Second, "tasks back on one publisher", spread(1))
	time.Sleep(time.Second)
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	judge(t, r, "lanes", w, 60*time.Second)
}
