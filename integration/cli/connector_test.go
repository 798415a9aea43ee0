package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/integration/harness"
)

// connectorFile writes the file of a connector.
func connectorFile(t *testing.T, name string, config map[string]string) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{"name": name, "config": config})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), name+".json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestConnectorCommands takes a connector through its life by command line.
func TestConnectorCommands(t *testing.T) {
	addr := harness.Addr(t, harness.MySQL)
	database(t, addr, "cli_connector", "create table cli_connector.t (id int primary key)", "insert into cli_connector.t values (1)")
	m := harness.Start(t, harness.Size{Coordinators: 1, Capturers: 1, Publishers: 1}, nil)
	server := "--server=" + m.REST
	if got := succeeds(t, "connector", "list", server); strings.TrimSpace(got) != "NAME  STATE  TASKS" {
		t.Errorf("an empty mesh lists %q", got)
	}
	config := m.Connector(harness.MySQL, addr, "cli-connector", "cli_connector", nil)
	file := connectorFile(t, "first", config)
	var created struct {
		Name   string
		Config map[string]string
	}
	if got := succeeds(t, "connector", "create", file, "-o", "json", server); json.Unmarshal([]byte(got), &created) != nil || created.Name != "first" || created.Config["topic.prefix"] != "cli-connector" {
		t.Errorf("create printed %s", got)
	}
	b, err := os.ReadFile(connectorFile(t, "second of two", m.Connector(harness.MySQL, addr, "cli-second", "cli_connector", nil)))
	if err != nil {
		t.Fatal(err)
	}
	if r := rowmesh(t, string(b), "connector", "create", "-", server); r.code != 0 || r.stdout != "connector second of two is created\n" {
		t.Errorf("create from standard input: %+v", r)
	}
	harness.Await(t, 30*time.Second, "both to run", func() error {
		got := succeeds(t, "connector", "list", server)
		lines := strings.Split(strings.TrimSpace(got), "\n")
		if len(lines) != 3 || !strings.HasPrefix(lines[1], "first ") || !strings.HasPrefix(lines[2], "second of two ") || strings.Count(got, "0 RUNNING on 127.0.0.1:") != 2 {
			return fmt.Errorf("listed\n%s", got)
		}
		return nil
	})
	var status struct {
		Name      string
		Connector struct{ State string }
		Tasks     []struct{ State string }
	}
	if got := succeeds(t, "connector", "status", "second of two", server); json.Unmarshal([]byte(got), &status) != nil || status.Name != "second of two" ||
		status.Connector.State != "RUNNING" || len(status.Tasks) != 1 || status.Tasks[0].State != "RUNNING" {
		t.Errorf("status printed %s", got)
	}

	refused(t, rowmesh(t, "", "connector", "create", file, server), file, "409", "first already exists")
	wrong := m.Connector(harness.MySQL, addr, "cli-wrong", "cli_connector", map[string]string{"database.password": "guess", "snapshot.mode": "initial"})
	r := rowmesh(t, "", "connector", "create", connectorFile(t, "wrong", wrong), server)
	refused(t, r, "wrong.json", "Access denied", "'dbz'")
	if strings.Contains(r.stderr, "guess") {
		t.Errorf("the password is told: %s", r.stderr)
	}
	refused(t, rowmesh(t, "", "connector", "status", "nobody", server), "404", "nobody")
	refused(t, rowmesh(t, "", "connector", "delete", "nobody", server), "404", "Connector nobody not found")
	refused(t, rowmesh(t, `{"name":"x","config":`, "connector", "create", "-", server), "no connector in JSON", `{"name": "..."`)
	refused(t, rowmesh(t, `{"connector.class":"MySql"}`, "connector", "create", "-", server), "lacks a name or a config", `{"name": "..."`)
	refused(t, rowmesh(t, "", "connector", "list", "--server=http://127.0.0.1:1"), "127.0.0.1:1", "coordinator", "--server")
	refused(t, rowmesh(t, "", "connector", "list", server+"/elsewhere"), "/elsewhere/connectors", "404")

	for _, name := range []string{"first", "second of two"} {
		if got := succeeds(t, "connector", "delete", name, server); !strings.Contains(got, name) {
			t.Errorf("delete printed %q", got)
		}
	}
	if got := succeeds(t, "connector", "list", server); strings.TrimSpace(got) != "NAME  STATE  TASKS" {
		t.Errorf("after the deletion: %q", got)
	}
}
