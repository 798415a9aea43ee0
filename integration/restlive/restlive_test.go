// Package restlive replays what a real worker of Kafka Connect was recorded to answer against a mesh of real processes with real databases.
package restlive

import (
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/rowmesh/rowmesh/coordinator/connect/replay"
	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/integration/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// recordings stand beside the package that they are first replayed on.
const recordings = "../../coordinator/connect/testdata/rest"

// setup makes the tables that the recorded connectors read.
func setup(t *testing.T, addr string) {
	t.Helper()
	c, err := client.Connect(addr, servers.RootUser, "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, q := range []string{
		"create database if not exists rest_inv",
		"create table if not exists rest_inv.customers (id int primary key, name varchar(50) not null, email varchar(80))",
		"create table if not exists rest_inv.orders (id int primary key, customer_id int not null, total decimal(10,2))",
		"insert ignore into rest_inv.customers values (1, 'Ann', 'ann@example.org'), (2, 'Ben', null)",
		"insert ignore into rest_inv.orders values (10, 1, 19.90)",
	} {
		if _, err := c.Execute(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

// TestRecordings sends the requests of every scenario to one mesh and compares with what the recorded worker answered.
func TestRecordings(t *testing.T) {
	mysql, mariadb := harness.Addr(t, harness.MySQL), harness.Addr(t, harness.MariaDB)
	setup(t, mysql)
	setup(t, mariadb)
	m := harness.Start(t, harness.Size{Coordinators: 2, Capturers: 2, Publishers: 2}, nil)
	mysqlHost, mysqlPort, _ := net.SplitHostPort(mysql)
	_, mariadbPort, _ := net.SplitHostPort(mariadb)
	vars := [][2]string{{"BASE", m.REST}, {"KAFKA", m.Kafka}, {"WORKER", strings.TrimPrefix(m.REST, "http://")}, {"RUN", fmt.Sprintf("r%x", time.Now().UnixNano())},
		// Another name for the same host tells the two databases apart.
		{"MYSQL_PORT", mysqlPort}, {"MARIADB_PORT", mariadbPort}, {"MARIADB_HOST", "localhost"}, {"MYSQL_HOST", mysqlHost}}
	departures := replay.Departures()
	// Two dozen offsets of malformed partitions, each fenced and committed on its own, take most of a minute and say nothing about the mesh.
	delete(departures, "24-offsets-malformed")
	for _, name := range slices.Sorted(maps.Keys(departures)) {
		t.Run(name, func(t *testing.T) {
			if name < "35" || name >= "42" { // those between share names, and come first, one after the other
				t.Parallel()
			}
			found, err := replay.Run(t.Context(), name, replay.Config{Dir: recordings, Base: m.REST, Vars: vars, Departures: departures[name], Live: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range found {
				t.Error(d)
			}
		})
	}
}
