package integration

import (
	"context"
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/integration/harness"
	"github.com/rowmesh/rowmesh/integration/traffic"
)

// TestKillAnyProcess kills each of the six processes under load, without warning and one after the other, and starts it again three seconds later.
// A consumer of committed records must see every change once and in order, and nobody touches the connector.
func TestKillAnyProcess(t *testing.T) {
	for _, engine := range []harness.Part{harness.MySQL, harness.MariaDB} {
		t.Run(string(engine), func(t *testing.T) {
			addr := harness.Addr(t, engine)
			m := harness.Start(t, harness.Size{Coordinators: 2, Capturers: 2, Publishers: 2}, nil)
			w := &traffic.Registers{Addr: addr, User: servers.RootUser, Database: "kill_" + string(engine), Tables: 4, Writers: 4, Keys: 40, Pause: 5 * time.Millisecond, Seed: 1}
			if err := w.Setup(t.Context()); err != nil {
				t.Fatal(err)
			}
			prefix := "kill-" + string(engine)
			r := follow(t, m.Kafka, prefix)
			m.Create(t, prefix, m.Connector(engine, addr, prefix, w.Database, map[string]string{
				"tasks.max": "2", "key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false",
			}))
			harness.Await(t, 30*time.Second, "running", func() error { return m.Running(t, prefix, 2) })
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- w.Run(ctx) }()
			for _, name := range []string{"publisher-1", "capturer-1", "coordinator-2", "publisher-2", "capturer-2", "coordinator-1"} {
				time.Sleep(2 * time.Second) // load
				t.Logf("kill -9 %s after %d changes, %d records", name, w.Count(), len(r.records()))
				r.fault("kill -9", name)
				m.Process(name).Kill()
				time.Sleep(3 * time.Second) // without it
				m.Spawn(t, name)
			}
			time.Sleep(2 * time.Second)
			stop()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			judge(t, r, prefix, w, 60*time.Second)
		})
	}
}
