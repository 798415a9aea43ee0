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

// TestConnectorLife creates a connector from YAML, changes it in an editor, pauses, stops and restarts it, sets and resets its offsets, by a named mesh.
func TestConnectorLife(t *testing.T) {
	addr := harness.Addr(t, harness.MySQL)
	database(t, addr, "cli_life", "create table cli_life.t (id int primary key)", "insert into cli_life.t values (1)")
	m := harness.Start(t, harness.Size{Coordinators: 1, Capturers: 1, Publishers: 1}, nil)
	dir := t.TempDir()
	t.Setenv("ROWMESH_CONFIG", filepath.Join(dir, "contexts", "config.yaml"))
	succeeds(t, "context", "set", "mesh", "--server", m.REST)
	if got := succeeds(t, "context", "list"); !strings.Contains(got, "*        mesh  "+m.REST) {
		t.Errorf("contexts:\n%s", got)
	}
	config := m.Connector(harness.MySQL, addr, "cli-life", "cli_life", nil)
	file := filepath.Join(dir, "life.yaml")
	yaml := "name: life\nconfig:\n"
	for k, v := range config {
		yaml += fmt.Sprintf("  %s: %q\n", k, v)
	}
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := succeeds(t, "connector", "validate", "-f", file); strings.TrimSpace(got) != "CONNECTOR  OPTION  PROBLEM" {
		t.Errorf("validate found\n%s", got)
	}
	succeeds(t, "connector", "create", "-f", file, "--wait")
	got := succeeds(t, "connector", "get", "life", "-o", "yaml")
	for _, w := range []string{"topic.prefix: cli-life", "database.password: '[hidden]'", "type: source"} {
		if !strings.Contains(got, w) {
			t.Errorf("get does not say %q:\n%s", w, got)
		}
	}
	if got := succeeds(t, "connector", "get", "life", "--secrets", "-o", "json"); !strings.Contains(got, `"database.password": "`+config["database.password"]+`"`) {
		t.Errorf("get --secrets:\n%s", got)
	}
	harness.Await(t, 30*time.Second, "a description with topics and offsets", func() error {
		got := succeeds(t, "connector", "describe", "life")
		for _, w := range []string{"State:    RUNNING on 127.0.0.1:", "0 RUNNING on", "cli-life.cli_life.t", `{"server":"cli-life"}`, "database.password = [hidden]"} {
			if !strings.Contains(got, w) {
				return fmt.Errorf("no %q in\n%s", w, got)
			}
		}
		return nil
	})

	// The editor is sed.
	t.Setenv("EDITOR", "sed -i s/^tasks.max:.*/tasks.max:\\x202/")
	if got := succeeds(t, "connector", "edit", "life"); got != "connector life is configured\n" {
		t.Errorf("edit printed %q", got)
	}
	t.Setenv("EDITOR", "true")
	if got := succeeds(t, "connector", "edit", "life"); got != "connector life is unchanged\n" {
		t.Errorf("edit printed %q", got)
	}
	if got := succeeds(t, "connector", "get", "life", "-o", "json"); !strings.Contains(got, `"tasks.max": "2"`) {
		t.Errorf("after the edit:\n%s", got)
	}
	succeeds(t, "connector", "restart", "life", "--wait")
	succeeds(t, "connector", "pause", "life", "--wait")
	succeeds(t, "connector", "resume", "life", "--wait")

	refused(t, rowmesh(t, "", "connector", "offsets", "set", "life", "--log", "binlog.000001"), "STOPPED", "rowmesh connector stop life --wait")
	succeeds(t, "connector", "stop", "life", "--wait")
	saved := succeeds(t, "connector", "offsets", "get", "life", "-o", "json")
	succeeds(t, "connector", "offsets", "set", "life", "--log", "binlog.000001", "--pos", "157")
	if got := succeeds(t, "connector", "offsets", "get", "life"); !strings.Contains(got, `"pos":157`) {
		t.Errorf("offsets that were set:\n%s", got)
	}
	if r := rowmesh(t, saved, "connector", "offsets", "set", "life", "-f", "-"); r.code != 0 {
		t.Errorf("offsets from a file: %+v", r)
	}
	refused(t, rowmesh(t, "", "connector", "offsets", "reset", "life"), "--yes")
	succeeds(t, "connector", "offsets", "reset", "life", "--yes")
	if got := succeeds(t, "connector", "offsets", "get", "life", "-o", "name"); got != "" {
		t.Errorf("offsets that were reset: %s", got)
	}
	succeeds(t, "connector", "apply", file)
	if got := succeeds(t, "__complete", "connector", "stop", ""); !strings.HasPrefix(got, "life\n") {
		t.Errorf("completion of names: %q", got)
	}
	succeeds(t, "connector", "delete", "life")
	if got := succeeds(t, "connector", "list", "-o", "json"); strings.TrimSpace(got) != "[]" {
		t.Errorf("after the deletion: %s", got)
	}
}

// TestExitCodes tells what is wrong by the exit code: 1 what could not be done, 2 what was asked wrongly, 3 what was found.
func TestExitCodes(t *testing.T) {
	m := harness.Start(t, harness.Size{Coordinators: 1}, nil)
	server := "--server=" + m.REST
	bad := connectorFileOf(t, `{"name":"bad","config":{"connector.class":"MySql","tasks.max":"none","database.hostname":"127.0.0.1","database.port":"1"}}`)
	for args, want := range map[string]int{
		"connector status nobody " + server:          1,
		"connector pause nobody none " + server:      1,
		"connector list --server http://127.0.0.1:1": 1,
		"connector bogus":                            2,
		"connector list --bogus":                     2,
		"connector list -o xml " + server:            2,
		"connector create /no/such":                  2,
		"connector create " + bad + " " + server:     2,
		"connector list --context nowhere":           2,
		"connector validate " + bad + " " + server:   3,
		"options tombstones.on.delete":               0,
		"plugins list " + server:                     0,
		"plugins describe MySql " + server:           0,
	} {
		if r := rowmesh(t, "", strings.Fields(args)...); r.code != want {
			t.Errorf("%s: exit code %d, want %d: %s %s", args, r.code, want, r.stdout, r.stderr)
		}
	}
	r := rowmesh(t, "", "connector", "validate", bad, server, "-o", "json")
	var found map[string][]struct{ Option, Text string }
	if json.Unmarshal([]byte(r.stdout), &found) != nil || len(found["bad"]) < 3 {
		t.Errorf("validate -o json: %s", r.stdout)
	}
}

// connectorFileOf writes a file.
func connectorFileOf(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "connector.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestWatch watches a list while a connector comes.
func TestWatch(t *testing.T) {
	m := harness.Start(t, harness.Size{Coordinators: 1}, nil)
	w := start(t, "connector", "list", "--watch", "--interval", "20ms", "-o", "name", "--server", m.REST)
	addr := harness.Addr(t, harness.MySQL)
	m.Create(t, "seen", m.Connector(harness.MySQL, addr, "cli-watch", "cli_watch", nil))
	w.await(t, "seen")
	w.interrupt(t)
}
