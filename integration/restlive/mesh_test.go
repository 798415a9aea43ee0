package restlive

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/integration/harness"
)

// TestResetTopicsLasts resets the topics of a connector that runs: none are listed until they are written again, whatever its status says meanwhile.
func TestResetTopicsLasts(t *testing.T) {
	addr := harness.Addr(t, harness.MySQL)
	setup(t, addr)
	c, err := client.Connect(addr, servers.RootUser, "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m := harness.Start(t, harness.Size{Coordinators: 2, Capturers: 1, Publishers: 1}, nil)
	m.Create(t, "reset", m.Connector(harness.MySQL, addr, "rest-reset", "rest_inv", map[string]string{"include.schema.changes": "false"}))
	topics := func(want string) {
		t.Helper()
		harness.Await(t, 30*time.Second, "topics "+want, func() error {
			if _, got := m.Call(t, "GET", "/connectors/reset/topics", nil); got != `{"reset":{"topics":[`+want+`]}}` {
				return fmt.Errorf("%s", got)
			}
			return nil
		})
	}
	const both = `"rest-reset.rest_inv.customers","rest-reset.rest_inv.orders"`
	topics(both)
	harness.Await(t, 30*time.Second, "the snapshot to be behind it", func() error {
		if _, got := m.Call(t, "GET", "/connectors/reset/offsets", nil); !strings.Contains(got, `"pos"`) || strings.Contains(got, "snapshot") {
			return fmt.Errorf("%s", got)
		}
		return nil
	})
	if code, body := m.Call(t, "PUT", "/connectors/reset/topics/reset", nil); code != http.StatusAccepted {
		t.Fatal(code, body)
	}
	topics("")
	// A change of state makes the lane tell its status, and with it what it has written.
	for _, verb := range []string{"pause", "resume"} {
		if code, body := m.Call(t, "PUT", "/connectors/reset/"+verb, nil); code != http.StatusAccepted {
			t.Fatal(code, body)
		}
		state := map[string]string{"pause": "PAUSED", "resume": "RUNNING"}[verb]
		harness.Await(t, 30*time.Second, state, func() error {
			if _, got := m.Call(t, "GET", "/connectors/reset/status", nil); strings.Count(got, `"state":"`+state+`"`) != 2 {
				return fmt.Errorf("%s", got)
			}
			return nil
		})
	}
	topics("")
	if _, err := c.Execute("insert into rest_inv.orders values (?, 1, 1.00)", time.Now().UnixNano()%1_000_000_000+1000); err != nil {
		t.Fatal(err)
	}
	topics(`"rest-reset.rest_inv.orders"`)
}

// TestLogLevelsOfTheMesh sets a level with scope=cluster: members other than the one that was asked log by it, and the other coordinator shows it.
func TestLogLevelsOfTheMesh(t *testing.T) {
	addr := harness.Addr(t, harness.MySQL)
	setup(t, addr)
	m := harness.Start(t, harness.Size{Coordinators: 2, Capturers: 1, Publishers: 1}, nil)
	m.Create(t, "quiet", m.Connector(harness.MySQL, addr, "rest-quiet", "rest_inv", nil))
	harness.Await(t, 30*time.Second, "the connector to run", func() error { return m.Running(t, "quiet", 1) })
	if code, body := m.Call(t, "PUT", "/admin/loggers/rowmesh.publisher?scope=cluster", `{"level":"OFF"}`); code != http.StatusNoContent {
		t.Fatal(code, body)
	}
	r, err := http.Get(m.Members["coordinator-2"].REST + "/admin/loggers/rowmesh.publisher")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if _, here := m.Call(t, "GET", "/admin/loggers/rowmesh.publisher", nil); r.StatusCode != 200 || !strings.HasPrefix(here, `{"level":"OFF"`) {
		t.Errorf("coordinator 2 answers %s, coordinator 1 %s", r.Status, here)
	}
	before := strings.Count(m.Log(t, "publisher-1"), "lane runs")
	for _, verb := range []string{"pause", "resume"} {
		m.Call(t, "PUT", "/connectors/quiet/"+verb, nil)
		state := map[string]string{"pause": "PAUSED", "resume": "RUNNING"}[verb]
		harness.Await(t, 30*time.Second, state, func() error {
			if _, got := m.Call(t, "GET", "/connectors/quiet/status", nil); strings.Count(got, `"state":"`+state+`"`) != 2 {
				return fmt.Errorf("%s", got)
			}
			return nil
		})
	}
	if text := m.Log(t, "publisher-1"); before == 0 || strings.Count(text, "lane runs") != before {
		t.Errorf("the publisher logs on: %s", text)
	}
	if text := m.Log(t, "capturer-1"); !strings.Contains(text, "source acquired") {
		t.Errorf("the capturer logs no more: %s", text)
	}
}

// TestReadsWithoutALeader kills the coordinator that leads: the other answers every read all the time.
func TestReadsWithoutALeader(t *testing.T) {
	addr := harness.Addr(t, harness.MySQL)
	setup(t, addr)
	m := harness.Start(t, harness.Size{Coordinators: 2, Capturers: 1, Publishers: 1}, nil)
	m.Create(t, "read", m.Connector(harness.MySQL, addr, "rest-read", "rest_inv", nil))
	harness.Await(t, 30*time.Second, "the connector to run", func() error { return m.Running(t, "read", 1) })
	leader, other := "coordinator-1", "coordinator-2"
	if strings.Contains(m.Log(t, other), "msg=leading") {
		leader, other = other, leader
	}
	m.Process(leader).Kill()
	base := m.Members[other].REST
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); { // an election takes about two
		for _, path := range []string{"/connectors", "/connectors?expand=status&expand=info", "/connectors/read", "/connectors/read/config", "/connectors/read/status",
			"/connectors/read/tasks", "/connectors/read/tasks/0/status", "/connectors/read/topics", "/connector-plugins"} {
			r, err := http.Get(base + path)
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
			if r.StatusCode != http.StatusOK {
				t.Errorf("%s: %s", path, r.Status)
			}
		}
	}
}
