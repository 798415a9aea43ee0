package gtid

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/rowmesh/rowmesh/services/config"
)

// connect returns a connection to the server whose address stands in the environment variable, or skips.
func connect(t *testing.T, variable string) *client.Conn {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a server; -short")
	}
	addr := os.Getenv(variable)
	if addr == "" {
		t.Skip(variable + " is not set")
	}
	c, err := client.Connect(addr, "root", "", "")
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func queryText(t *testing.T, c *client.Conn, sql string) string {
	t.Helper()
	r, err := c.Execute(sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	text, err := r.GetString(0, 0)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return text
}

// TestAgainstMySQL compares the set algebra and the text with the server's own functions.
func TestAgainstMySQL(t *testing.T) {
	c := connect(t, "ROWMESH_TEST_MYSQL")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 100 {
		a, _ := randomSet(r)
		b, _ := randomSet(r)
		d := a.Clone()
		d.Subtract(b)
		sql := fmt.Sprintf("SELECT CONCAT(GTID_SUBSET('%s','%s'), '|', GTID_SUBTRACT('%s','%s'), '|', GTID_SUBTRACT('%s',''))", b, a, a, b, a)
		got := strings.ReplaceAll(queryText(t, c, sql), "\n", "")
		subset := 0
		if a.Contains(b) {
			subset = 1
		}
		if want := fmt.Sprintf("%d|%s|%s", subset, d, a); got != want {
			t.Fatalf("%s:\nserver %s\nours   %s", sql, got, want)
		}
	}
	executed := queryText(t, c, "SELECT @@global.gtid_executed")
	if got, want := mustParse(t, config.MySQL, executed).String(), strings.ReplaceAll(executed, "\n", ""); got != want {
		t.Errorf("gtid_executed: got %q, want %q", got, want)
	}
}

func TestAgainstMariaDB(t *testing.T) {
	c := connect(t, "ROWMESH_TEST_MARIADB")
	pos := queryText(t, c, "SELECT @@global.gtid_binlog_pos")
	if got := mustParse(t, config.MariaDB, pos).String(); got != pos {
		t.Errorf("gtid_binlog_pos: got %q, want %q", got, pos)
	}
	state := queryText(t, c, "SELECT @@global.gtid_binlog_state")
	if s := mustParse(t, config.MariaDB, state); !s.Contains(mustParse(t, config.MariaDB, pos)) {
		t.Errorf("gtid_binlog_state %q does not contain gtid_binlog_pos %q", state, pos)
	}
}
