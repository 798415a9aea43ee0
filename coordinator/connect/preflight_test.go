package connect

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/source"
)

// connectorAt returns a connector that reads from an address.
func connectorAt(t *testing.T, addr, user, password string, changes map[string]string) *config.Connector {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	cfg := map[string]string{"connector.class": "MySql", "database.hostname": host, "database.port": port, "database.user": user, "database.password": password,
		"database.server.id": "5", "topic.prefix": "p"}
	for k, v := range changes {
		cfg[k] = v
	}
	c, res := config.Parse("c", cfg)
	if c == nil {
		t.Fatal(res.Message())
	}
	return c
}

func expectProblem(t *testing.T, res config.Result, contains ...string) {
	t.Helper()
	if len(res.Errors) == 0 {
		t.Fatal("no problem was found")
	}
	all := res.Message()
	for _, c := range contains {
		if !strings.Contains(all, c) {
			t.Errorf("%q is not in %s", c, all)
		}
	}
}

func TestPreflightUnreachable(t *testing.T) {
	expectProblem(t, Preflight{}.Validate(t.Context(), connectorAt(t, "127.0.0.1:1", "u", "hunter2", nil)), "Unable to connect: ", "127.0.0.1:1", "database.port")
	expectProblem(t, Preflight{}.Validate(t.Context(), connectorAt(t, "no-such-host.invalid:3306", "u", "hunter2", nil)), "Unable to connect: ", "no-such-host.invalid", "database.hostname")
}

// TestPreflightSilent asks a server that accepts and says nothing.
func TestPreflightSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr := "127.0.0.1:" + strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	start := time.Now()
	expectProblem(t, Preflight{Timeout: 50 * time.Millisecond}.Validate(t.Context(), connectorAt(t, addr, "u", "hunter2", nil)), "Unable to connect: ", addr)
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("it took %s", d)
	}
}

func TestPreflightGrants(t *testing.T) {
	mysql, _ := realServers(t)
	c, err := source.Connect(t.Context(), source.Config{Addr: mysql, User: "root"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, sql := range []string{"DROP USER IF EXISTS 'rest_poor'@'%'", "CREATE USER 'rest_poor'@'%' IDENTIFIED BY 'poor'"} {
		if err := c.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	defer c.Exec(t.Context(), "DROP USER 'rest_poor'@'%'")
	expectProblem(t, Preflight{}.Validate(t.Context(), connectorAt(t, mysql, "rest_poor", "poor", nil)), "The 'database.user' value is invalid: ", "REPLICATION SLAVE", "GRANT")
	if res := (Preflight{}).Validate(t.Context(), connectorAt(t, mysql, "dbz", "dbz", nil)); len(res.Errors) > 0 {
		t.Error(res.Message())
	}
	res := Preflight{}.Validate(t.Context(), connectorAt(t, mysql, "dbz", "dbz", map[string]string{"connector.class": "MariaDb"}))
	if len(res.Errors) > 0 || len(res.Warnings) == 0 || !strings.Contains(strings.Join(res.Texts(), "\n"), "MariaDB") {
		t.Errorf("another kind of server: %+v", res)
	}
}
