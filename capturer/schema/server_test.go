package schema

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/rowmesh/rowmesh/services/config"
)

// servers are the environment variables that hold the address of a server.
var servers = []struct {
	variable string
	flavor   config.Flavor
}{{"ROWMESH_TEST_MYSQL", config.MySQL}, {"ROWMESH_TEST_MYSQL80", config.MySQL}, {"ROWMESH_TEST_MARIADB", config.MariaDB}}

// server is a connection and what the catalog must know of it.
type server struct {
	*testing.T
	conn    *client.Conn
	options Options
}

// eachServer runs a test on each server there is.
func eachServer(t *testing.T, f func(s *server)) {
	for _, sv := range servers {
		t.Run(strings.TrimPrefix(sv.variable, "ROWMESH_TEST_"), func(t *testing.T) {
			if testing.Short() {
				t.Skip("needs a server; -short")
			}
			addr := os.Getenv(sv.variable)
			if addr == "" {
				t.Skip(sv.variable + " is not set")
			}
			c, err := client.Connect(addr, "root", "", "")
			if err != nil {
				t.Fatalf("%s: %v", sv.variable, err)
			}
			t.Cleanup(func() { c.Close() })
			s := &server{T: t, conn: c}
			r := s.query("SELECT @@version, @@lower_case_table_names, @@character_set_server, @@collation_server")
			s.options = Options{Flavor: sv.flavor, Version: versionNumber(r[0][0]), ServerCharset: r[0][2], ServerCollation: r[0][3]}
			fmt.Sscan(r[0][1], &s.options.LowerCaseNames)
			f(s)
		})
	}
}

// versionNumber spells 9.7.4-log as 90704.
func versionNumber(v string) int {
	var a, b, c int
	fmt.Sscanf(v, "%d.%d.%d", &a, &b, &c)
	return a*10000 + b*100 + c
}

// query returns all rows as text; NULL is "NULL".
func (s *server) query(sql string) [][]string {
	s.Helper()
	r, err := s.conn.Execute(sql)
	if err != nil {
		s.Fatalf("%s: %v", sql, err)
	}
	defer r.Close()
	var rows [][]string
	for i := range r.RowNumber() {
		row := make([]string, r.ColumnNumber())
		for j := range row {
			v, err := r.GetValue(i, j)
			if err != nil {
				s.Fatal(err)
			}
			switch v := v.(type) {
			case nil:
				row[j] = "NULL"
			case []byte:
				row[j] = string(v)
			default:
				row[j] = fmt.Sprint(v)
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// try runs a statement and says whether the server took it.
func (s *server) try(sql string) error {
	_, err := s.conn.Execute(sql)
	if _, ok := err.(*mysql.MyError); err != nil && !ok {
		s.Fatalf("%s: %v", sql, err)
	}
	return err
}

// unique makes a database name that no other run uses.
func (s *server) unique(name string) string { return fmt.Sprintf("%s_%d", name, os.Getpid()) }

// scratch makes databases for the test and drops them at its end.
func (s *server) scratch(names ...string) {
	for _, n := range names {
		if err := s.try("DROP DATABASE IF EXISTS `" + n + "`"); err != nil {
			s.Fatal(err)
		}
	}
	s.Cleanup(func() {
		for _, n := range names {
			s.conn.Execute("DROP DATABASE IF EXISTS `" + n + "`")
		}
	})
}
