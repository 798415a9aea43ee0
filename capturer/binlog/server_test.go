package binlog

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
)

// server is a real server of a test.
type server struct {
	t      *testing.T
	addr   string
	flavor config.Flavor
	conn   *client.Conn
	db     string
}

// realServer connects to the server that an environment variable names, and makes a database that goes with the test.
func realServer(t *testing.T, variable string) *server {
	t.Helper()
	addr := os.Getenv(variable)
	if addr == "" || testing.Short() {
		t.Skipf("needs a real server: set %s=host:port and leave out -short", variable)
	}
	s := &server{t: t, addr: addr, flavor: config.MySQL, db: fmt.Sprintf("binlog_test_%x", rand.Uint32())}
	if variable == "ROWMESH_TEST_MARIADB" {
		s.flavor = config.MariaDB
	}
	conn, err := client.Connect(addr, "root", "", "")
	if err != nil {
		t.Fatalf("connect to %s: %v", addr, err)
	}
	s.conn = conn
	t.Cleanup(func() { conn.Close() })
	s.exec("create database " + s.db + " character set utf8mb4")
	t.Cleanup(func() { conn.Execute("drop database " + s.db) })
	s.exec("use " + s.db)
	return s
}

func (s *server) exec(sql string) {
	s.t.Helper()
	if _, err := s.conn.Execute(sql); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

func (s *server) query(sql string) [][]string {
	s.t.Helper()
	r, err := s.conn.Execute(sql)
	if err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	rows := make([][]string, len(r.Values))
	for i := range r.Values {
		for j := range r.Values[i] {
			v, err := r.GetString(i, j)
			if err != nil {
				s.t.Fatal(err)
			}
			rows[i] = append(rows[i], strings.Clone(v))
		}
	}
	return rows
}

// here is the end of the log.
func (s *server) here() Start {
	files := s.query("show binary logs")
	last := files[len(files)-1]
	pos, err := strconv.ParseUint(last[1], 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return Start{File: last[0], Pos: pos}
}

func (s *server) config() Config {
	return Config{Addr: s.addr, User: "root", Flavor: s.flavor, ServerID: 4_000_000, VerifyChecksum: true, Heartbeat: time.Second}
}

func (s *server) dial(start Start) *Stream {
	s.t.Helper()
	st, err := Dial(s.t.Context(), s.config(), start)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { st.Close() })
	return st
}

// ours reads events that concern the test's database, up to what is the log's end now, and hands each to f.
func (s *server) ours(st *Stream, f func(ev *Event)) {
	s.t.Helper()
	mine := false
	end := s.here()
	for {
		ev, err := st.Next()
		if err != nil {
			s.t.Fatal(err)
		}
		switch ev.Kind {
		case Begin:
			mine = false
		case Rows:
			if mine = ev.Table.Database == s.db; mine {
				f(ev)
			}
		case Query:
			if ev.Database == s.db || strings.Contains(ev.SQL, s.db) {
				f(ev)
			}
		case Commit, Rollback:
			if mine {
				f(ev)
			}
		}
		// A busy server sends no heartbeats, so the end shows in any event outside of transactions.
		outside := ev.Kind == Commit || ev.Kind == Rollback || ev.Kind == Heartbeat || ev.Kind == Query && !ev.InTransaction
		if outside && (ev.File > end.File || ev.File == end.File && ev.EndPos >= end.Pos) {
			return
		}
	}
}

// shape reads a table's shape from information_schema.
func (s *server) shape(table string) *rowv1.Table {
	s.t.Helper()
	rows := s.query(fmt.Sprintf("select column_name, data_type, column_type, ifnull(character_set_name,''), is_nullable, ifnull(datetime_precision,''), "+
		"ifnull(numeric_scale,'') from information_schema.columns where table_schema='%s' and table_name='%s' order by ordinal_position", s.db, table))
	sh := &rowv1.Table{Database: s.db, Table: table}
	for i, r := range rows {
		c := &rowv1.Column{Name: r[0], TypeName: strings.ToUpper(r[1]), Charset: r[3], Nullable: r[4] == "YES", Position: uint32(i + 1)}
		c.Unsigned = strings.Contains(r[2], "unsigned")
		c.Kind = kindOf(r[1], c.Unsigned, c.Charset)
		if r[5] != "" && r[5] != "0" {
			v, _ := strconv.ParseUint(r[5], 10, 32)
			c.Length = u32p(uint32(v))
		}
		if c.Kind == rowv1.Kind_KIND_DECIMAL {
			v, _ := strconv.ParseUint(r[6], 10, 32)
			c.Scale = u32p(uint32(v))
		}
		if c.Kind == rowv1.Kind_KIND_DATE {
			c.Length = nil
		}
		sh.Columns = append(sh.Columns, c)
	}
	return sh
}

func kindOf(dataType string, unsigned bool, charset string) rowv1.Kind {
	switch dataType {
	case "tinyint", "smallint", "mediumint", "int", "bigint":
		if unsigned {
			return rowv1.Kind_KIND_UINT
		}
		return rowv1.Kind_KIND_INT
	case "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geomcollection", "geometrycollection":
		return rowv1.Kind_KIND_GEOMETRY
	case "inet4", "inet6":
		return rowv1.Kind_KIND_STRING
	}
	if k, ok := map[string]rowv1.Kind{"float": rowv1.Kind_KIND_FLOAT32, "double": rowv1.Kind_KIND_FLOAT64, "decimal": rowv1.Kind_KIND_DECIMAL,
		"date": rowv1.Kind_KIND_DATE, "datetime": rowv1.Kind_KIND_DATETIME, "timestamp": rowv1.Kind_KIND_TIMESTAMP, "time": rowv1.Kind_KIND_TIME,
		"year": rowv1.Kind_KIND_YEAR, "bit": rowv1.Kind_KIND_BIT, "enum": rowv1.Kind_KIND_ENUM, "set": rowv1.Kind_KIND_SET,
		"json": rowv1.Kind_KIND_JSON, "vector": rowv1.Kind_KIND_VECTOR, "uuid": rowv1.Kind_KIND_UUID}[dataType]; ok {
		return k
	}
	if charset != "" {
		return rowv1.Kind_KIND_STRING
	}
	return rowv1.Kind_KIND_BYTES
}

// bothServers runs a test against MySQL and MariaDB.
func bothServers(t *testing.T, f func(t *testing.T, s *server)) {
	for _, v := range []string{"ROWMESH_TEST_MYSQL", "ROWMESH_TEST_MYSQL80", "ROWMESH_TEST_MARIADB"} {
		t.Run(strings.ToLower(strings.TrimPrefix(v, "ROWMESH_TEST_")), func(t *testing.T) { f(t, realServer(t, v)) })
	}
}
