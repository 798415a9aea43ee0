package schema

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"

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

// seed returns the seed of a random test: that of ROWMESH_TEST_SEED to replay one, else a new one. It is printed when the test fails.
func seed(t *testing.T) uint64 {
	n, err := strconv.ParseUint(os.Getenv("ROWMESH_TEST_SEED"), 10, 64)
	if err != nil {
		n = rand.Uint64()
	}
	t.Logf("ROWMESH_TEST_SEED=%d", n)
	return n
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

// described is a table as the server describes it in information_schema.
func (s *server) described(database, table string) string {
	where := fmt.Sprintf("WHERE table_schema='%s' AND table_name='%s'", database, table)
	var b strings.Builder
	for _, r := range s.query("SELECT column_name, data_type, column_type, is_nullable, character_set_name, extra FROM information_schema.columns " +
		where + " ORDER BY ordinal_position") {
		unsigned := strings.Contains(r[2], "unsigned")
		invisible := strings.Contains(r[5], "INVISIBLE")
		if strings.HasSuffix(r[1], "text") {
			r[1] = "text"
		}
		fmt.Fprintf(&b, "%s %s unsigned=%v null=%s charset=%s invisible=%v\n", r[0], r[1], unsigned, r[3], oneName(r[4]), invisible)
	}
	expression := "NULL"
	if s.options.Flavor == config.MySQL {
		expression = "expression"
	}
	indexes := map[string]string{}
	for _, r := range s.query("SELECT index_name, non_unique, column_name, " + expression + " FROM information_schema.statistics " + where +
		" ORDER BY index_name, seq_in_index") {
		if r[2] == "NULL" {
			r[2] = "(expression)"
		}
		if indexes[r[0]] == "" {
			indexes[r[0]] = fmt.Sprintf("index %s unique=%v", r[0], r[1] == "0")
		}
		indexes[r[0]] += " " + r[2] + ";"
	}
	return b.String() + strings.Join(slices.Sorted(maps.Values(indexes)), "\n")
}

// oneName gives utf8 the name that servers call it by since MySQL 8.0.24.
func oneName(charset string) string {
	if charset == "utf8" {
		return "utf8mb3"
	}
	return charset
}

// ours describes a table of the catalog in the same way.
func ours(t *rowv1.Table) string {
	var b strings.Builder
	for _, c := range t.Columns {
		if c.Hidden {
			continue
		}
		null, cs := "NO", "NULL"
		if c.Nullable {
			null = "YES"
		}
		if c.Charset != "" {
			cs = oneName(c.Charset)
		}
		fmt.Fprintf(&b, "%s %s unsigned=%v null=%s charset=%s invisible=%v\n", c.Name, dataType(c), c.Unsigned, null, cs, c.Invisible)
	}
	var indexes []string
	for _, ix := range t.Indexes {
		text := fmt.Sprintf("index %s unique=%v", ix.Name, ix.Unique)
		if ix.Functional {
			text += " (expression);"
		}
		for _, i := range ix.Columns {
			text += " " + t.Columns[i].Name + ";"
		}
		indexes = append(indexes, text)
	}
	slices.Sort(indexes)
	return b.String() + strings.Join(indexes, "\n")
}
