package connect

import (
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/rowmesh/rowmesh/coordinator/connect/replay"
	"github.com/rowmesh/rowmesh/services/source"
)

// databases are the addresses for the placeholders of a scenario, and who checks configs against them.
type databases struct {
	mysql, mariadb string // host:port
	validator      Validator
}

var inMemory = databases{"mysql.test:23306", "mariadb.test:23307", meshValidator{}}

// replayScenario runs a scenario on a fresh server.
func replayScenario(t *testing.T, name string, departures map[int]replay.Departure, db databases) {
	server := httptest.NewServer(newTestHandler(db.validator))
	defer server.Close()
	mysqlHost, mysqlPort, _ := net.SplitHostPort(db.mysql)
	mariadbHost, mariadbPort, _ := net.SplitHostPort(db.mariadb)
	found, err := replay.Run(t.Context(), name, replay.Config{
		Dir: "testdata/rest", Base: server.URL, Departures: departures,
		Vars: [][2]string{{"BASE", server.URL}, {"WORKER", testWorker}, {"KAFKA", "kafka.test:9092"}, {"RUN", "run7"},
			{"MYSQL_PORT", mysqlPort}, {"MARIADB_PORT", mariadbPort}, {"MARIADB_HOST", mariadbHost}, {"MYSQL_HOST", mysqlHost}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range found {
		t.Error(d)
	}
}

// TestRecordings sends the requests of every scenario and compares with what the recorded worker answered.
func TestRecordings(t *testing.T) {
	for name, departures := range replay.Departures() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			replayScenario(t, name, departures, inMemory)
		})
	}
}

// realServers returns the addresses of real databases, on which it makes the user of the recordings.
func realServers(t *testing.T) (mysql, mariadb string) {
	t.Helper()
	mysql, mariadb = os.Getenv("ROWMESH_TEST_MYSQL"), os.Getenv("ROWMESH_TEST_MARIADB")
	if testing.Short() || mysql == "" || mariadb == "" {
		t.Skip("needs ROWMESH_TEST_MYSQL and ROWMESH_TEST_MARIADB (host:port, user root without password), and no -short")
	}
	for _, addr := range []string{mysql, mariadb} {
		c, err := source.Connect(t.Context(), source.Config{Addr: addr, User: "root"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, sql := range []string{"CREATE USER IF NOT EXISTS 'dbz'@'%' IDENTIFIED BY 'dbz'", "GRANT ALL PRIVILEGES ON *.* TO 'dbz'@'%'"} {
			if err := c.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Another name for the same host, so that placeholders tell the two apart.
	return mysql, strings.Replace(mariadb, "127.0.0.1", "localhost", 1)
}

// TestRecordingsWithRealServers replays the scenarios that reach the database, with the check that production uses.
func TestRecordingsWithRealServers(t *testing.T) {
	mysql, mariadb := realServers(t)
	for _, name := range []string{"02-create-mysql", "11-mysql-unreachable", "42-mariadb-invalid"} {
		t.Run(name, func(t *testing.T) {
			replayScenario(t, name, replay.Departures()[name], databases{mysql, mariadb, Preflight{}})
		})
	}
}
