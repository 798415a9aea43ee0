package harness

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/rowmesh/rowmesh/deploy/servers"
)

// Root returns a connection with all rights to the database at addr; it ends with the test.
func Root(t testing.TB, addr string) *client.Conn {
	t.Helper()
	c, err := client.Connect(addr, servers.RootUser, "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Exec runs statements and fails the test at the first that the server refuses.
func Exec(t testing.TB, c *client.Conn, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := c.Execute(s); err != nil {
			t.Fatalf("%.200s: %v", s, err)
		}
	}
}

// Running returns nil if a connector and all its tasks run, of which there must be as many.
func (m *Mesh) Running(t testing.TB, name string, tasks int) error {
	code, body := m.Call(t, http.MethodGet, "/connectors/"+name+"/status", nil)
	if code != http.StatusOK || strings.Count(body, `"state":"RUNNING"`) != tasks+1 {
		return fmt.Errorf("%d %s", code, body)
	}
	return nil
}
