package integration

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/integration/harness"
)

// TestBadInput gives a mesh configs that cannot work. Each answer names the thing and the next step, and a connector that works beside goes on.
func TestBadInput(t *testing.T) {
	addr := harness.Addr(t, harness.MySQL)
	m := harness.Start(t, harness.Size{Coordinators: 1, Capturers: 1, Publishers: 1}, nil)
	c := harness.Root(t, addr)
	harness.Exec(t, c, "drop database if exists bad", "create database bad", "create table bad.good (id int primary key)", "insert into bad.good values (1)",
		"drop user if exists weak@'%'", "create user weak@'%' identified by 'weak'", "grant select on *.* to weak@'%'")
	m.Create(t, "good", m.Connector(harness.MySQL, addr, "bad-good", "bad", map[string]string{"table.include.list": "bad.good"}))
	r := follow(t, m.Kafka, "bad-good")
	for name, c := range map[string]struct {
		more map[string]string
		want []string // in the answer
	}{
		"wrong password":       {map[string]string{"database.password": "wrong"}, []string{"Access denied", "dbz"}},
		"unknown host":         {map[string]string{"database.hostname": "no-such-host.invalid"}, []string{"database.hostname", "no-such-host.invalid"}},
		"nobody listens":       {map[string]string{"database.port": "1"}, []string{"database.hostname"}},
		"no replication grant": {map[string]string{"database.user": "weak", "database.password": "weak"}, []string{"REPLICATION SLAVE", "GRANT"}},
		"bad regex":            {map[string]string{"table.include.list": "bad.(good"}, []string{"table.include.list", "bad.(good"}},
		"no tasks":             {map[string]string{"tasks.max": "0"}, []string{"tasks.max"}},
		"no prefix":            {map[string]string{"topic.prefix": ""}, []string{"topic.prefix", "A value is required"}},
		"unknown class":        {map[string]string{"connector.class": "com.example.Nope"}, []string{"com.example.Nope"}},
		"bad enumeration":      {map[string]string{"snapshot.mode": "sometimes"}, []string{"snapshot.mode", "one of", "when_needed"}},
	} {
		t.Run(name, func(t *testing.T) {
			config := m.Connector(harness.MySQL, addr, "bad-x", "bad", c.more)
			code, body := m.Call(t, http.MethodPost, "/connectors", map[string]any{"name": "x", "config": config})
			if code/100 == 2 {
				m.Call(t, http.MethodDelete, "/connectors/x", nil)
				t.Fatalf("accepted: %s", body)
			}
			for _, w := range c.want {
				if !strings.Contains(strings.ToLower(body), strings.ToLower(w)) {
					t.Errorf("%d %s does not say %q", code, body, w)
				}
			}
			if strings.Contains(body, "wrong") && name == "wrong password" {
				t.Errorf("the answer shows the password: %s", body)
			}
		})
	}
	t.Run("duplicate", func(t *testing.T) {
		code, body := m.Call(t, http.MethodPost, "/connectors", map[string]any{"name": "good", "config": m.Connector(harness.MySQL, addr, "p", "bad", nil)})
		if code != http.StatusConflict || !strings.Contains(body, "good") {
			t.Errorf("%d %s", code, body)
		}
	})
	t.Run("malformed JSON", func(t *testing.T) {
		if code, body := m.Call(t, http.MethodPost, "/connectors", `{"name":"x","config":{`); code != http.StatusBadRequest {
			t.Errorf("%d %s", code, body)
		}
	})
	t.Run("record too large", func(t *testing.T) {
		harness.Exec(t, c, "create table bad.big (id int primary key, v longtext)")
		m.Create(t, "big", m.Connector(harness.MySQL, addr, "bad-big", "bad", map[string]string{"table.include.list": "bad.big", "snapshot.mode": "no_data"}))
		snapshotDone(t, m, "big")
		harness.Exec(t, c, "insert into bad.big values (7, repeat('x', 3000000))")
		harness.Await(t, 30*time.Second, "failure", func() error {
			s := status(t, m, "big")
			for _, w := range []string{`"FAILED"`, "bad.big", "max.request.size"} {
				if !strings.Contains(s, w) {
					return fmt.Errorf("status %s does not say %s", s, w)
				}
			}
			return nil
		})
	})
	t.Run("statement format", func(t *testing.T) { statementFormat(t, m) })
	harness.Exec(t, c, "insert into bad.good values (2)")
	harness.Await(t, 30*time.Second, "the good connector's second row", func() error {
		if n := len(r.records()); n != 2 {
			return fmt.Errorf("%d records, %s", n, status(t, m, "good"))
		}
		return nil
	})
}

// statementFormat needs servers of its own: the settings are global.
func statementFormat(t *testing.T, m *harness.Mesh) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	program, err := (&servers.Cache{}).Database(ctx, servers.MySQL)
	if err != nil {
		t.Fatal(err)
	}
	for extra, want := range map[string]string{"--binlog-format=STATEMENT": "binlog_format", "--skip-log-bin": "log_bin"} {
		p, err := program.Start(ctx, servers.DatabaseOptions{Dir: t.TempDir(), Extra: []string{extra}})
		if err != nil {
			t.Fatal(err)
		}
		code, body := m.Call(t, http.MethodPost, "/connectors", map[string]any{"name": "x", "config": m.Connector(harness.MySQL, p.Addr, "p", "bad", nil)})
		if code != http.StatusBadRequest || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", extra, code, body)
		}
		p.Stop()
	}
}

// TestPurgedPosition stops a connector, purges the log that it needs, and resumes it: it says what is gone and what to do.
func TestPurgedPosition(t *testing.T) {
	addr := harness.Addr(t, harness.MySQL)
	m := harness.Start(t, harness.Size{Coordinators: 1, Capturers: 1, Publishers: 1}, nil)
	c := harness.Root(t, addr)
	harness.Exec(t, c, "drop database if exists purged", "create database purged", "create table purged.t (id int primary key)")
	m.Create(t, "purged", m.Connector(harness.MySQL, addr, "purged", "purged", nil))
	snapshotDone(t, m, "purged")
	m.Call(t, http.MethodPut, "/connectors/purged/stop", nil)
	harness.Exec(t, c, "insert into purged.t values (1)", "flush logs", "insert into purged.t values (2)", "flush logs")
	purge(t, c)
	m.Call(t, http.MethodPut, "/connectors/purged/resume", nil)
	harness.Await(t, 30*time.Second, "failure", func() error {
		s := status(t, m, "purged")
		if !strings.Contains(s, "snapshot.mode") && !strings.Contains(s, "when_needed") {
			return fmt.Errorf("status %s", s)
		}
		return nil
	})
}

// purge removes all log files but the newest.
func purge(t *testing.T, c *client.Conn) {
	t.Helper()
	r, err := c.Execute("show binary logs")
	if err != nil {
		t.Fatal(err)
	}
	last, err := r.GetString(r.RowNumber()-1, 0)
	if err != nil {
		t.Fatal(err)
	}
	harness.Exec(t, c, "purge binary logs to '"+last+"'")
}
