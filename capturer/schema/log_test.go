package schema

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/rowmesh/rowmesh/services/config"
)

// logCases are statements whose rows in the log have other columns than the statement or the server's listings say. Each runs in a database of its own.
var logCases = []struct {
	name       string
	flavor     config.Flavor
	statements []string
}{
	{"functional index and generated columns", config.MySQL, []string{
		"create table f (id int primary key, v varchar(10), key fx ((lower(v))), g int as (id*2) virtual, s int as (id*3) stored)",
		"insert into f (id, v) values (1, 'x')"}},
	{"generated invisible primary key", config.MySQL, []string{
		"set sql_generate_invisible_primary_key=on", "create table gi (a int)", "insert into gi values (1)", "create table like_it like gi",
		"insert into like_it values (1)", "create table sel select a from gi where false", "insert into sel values (1)", "set sql_generate_invisible_primary_key=off",
		"alter table gi drop primary key, drop my_row_id", "insert into gi values (1)"}},
	{"create select", config.MySQL, []string{"create table s (id int, v varchar(5))", "create table c as select id, v, 1 as one from s",
		"insert into c values (1, 'a', 1)"}},
	{"ansi quotes", config.MySQL, []string{"set sql_mode='ansi_quotes'", `create table "q" ("a ""b" int, v varchar(5) default 'it''s')`,
		`insert into "q" values (1, 'x')`, `drop table "q"`, "set sql_mode=default"}},
	{"no backslash escapes", config.MySQL, []string{"set sql_mode='no_backslash_escapes,real_as_float'",
		`create table nb (a varchar(5) default '', b int comment '', c real)`, `insert into nb values ('x', 1, 2)`, "set sql_mode=default"}},
	{"versioned comments", config.MySQL, []string{"create table m (a int /*!99999 , z int */) /*!50100 comment='x' */", "insert into m values (1)",
		"/*!40101 alter table m add b int */", "alter table m /*M! add c int, */ /*!50100 add d int */", "insert into m values (1, 2, 3)"}},
	{"renames", config.MySQL, []string{"create table a (x int)", "create table b (x int, y int)", "rename table a to c, b to a, c to b",
		"insert into a values (1, 2)", "insert into b values (1)"}},
	{"system versioning", config.MariaDB, []string{"create table sv (id int primary key, v int) with system versioning", "insert into sv values (1, 1)",
		"set system_versioning_alter_history=keep", "alter table sv add column w int", "insert into sv values (2, 2, 2)", "create table lk like sv",
		"insert into lk values (1, 1, 1)", "alter table sv drop system versioning", "insert into sv values (3, 3, 3)", "alter table sv add system versioning",
		"alter table sv add column first_ int first, add column last_ int", "insert into sv values (1, 4, 4, 4, 5)"}},
	{"named period", config.MariaDB, []string{
		"create table p (id int, rs timestamp(6) generated always as row start, re timestamp(6) generated always as row end, period for system_time(rs, re)) with system versioning",
		"insert into p (id) values (1)"}},
	{"versioned column", config.MariaDB, []string{"create table vc (id int, v int with system versioning)", "insert into vc values (1, 1)"}},
	{"hashed unique indexes", config.MariaDB, []string{"create table h1 (a int, unique (a) using hash)", "insert into h1 values (1)",
		"create table h2 (a varchar(768) character set utf8mb4, unique (a))", "insert into h2 values (1)",
		"create table h3 (a varchar(769) character set utf8mb4, unique (a))", "insert into h3 values (1)",
		"create table h4 (a text, b int, c json, unique (a(10), b), unique (a), unique (c))", "insert into h4 values (1, 1, '1')",
		"alter table h4 add d int, drop index a_2", "insert into h4 values (1, 1, '2', 3)", "alter table h4 drop index c", "insert into h4 values (1, 2, '2', 3)",
		"create table h5 (a varchar(600) character set utf8mb4, b varchar(600) character set utf8mb4)", "create unique index u on h5 (a, b)",
		"insert into h5 values (1, 1)"}},
	{"hash and system versioning", config.MariaDB, []string{"create table hs (a text, b int, unique (a), unique u2 (b, a)) with system versioning",
		"insert into hs values (1, 1)"}},
	{"failed create or replace", config.MariaDB, []string{"create table r (a int)", "create or replace table r (x int not null, y varchar(2000000) not null)",
		"create table r (a int, b int)", "insert into r values (1, 2)"}},
	{"sequence", config.MariaDB, []string{"create sequence sq", "select nextval(sq)"}},
	{"set statement", config.MariaDB, []string{"set statement max_statement_time=10 for create table ss (a int, b int)", "insert into ss values (1, 1)"}},
	{"comments that only MySQL runs", config.MariaDB, []string{"create table mc (a int /*!80000 , z int */ /*M!100100 , y int */)", "insert into mc values (1, 2)"}},
	{"convert partition", config.MariaDB, []string{"create table cp (a int, b int) partition by range (a) (partition p0 values less than (5), partition p1 values less than maxvalue)",
		"alter table cp convert partition p0 to table t0", "insert into t0 values (1, 1)", "alter table cp add c int", "insert into cp values (9, 9, 9)"}},
}

// TestAgainstLogs reads the log of each case and moves a catalog over its statements: it must know the columns of each row event.
func TestAgainstLogs(t *testing.T) {
	eachServer(t, func(s *server) {
		if s.options.Version < 80030 {
			s.Skip("the cases need a newer server")
		}
		for _, c := range logCases {
			if c.flavor != s.options.Flavor {
				continue
			}
			s.Run(c.name, func(t *testing.T) {
				s := &server{T: t, conn: s.conn, options: s.options}
				s.followLog(s.unique("schema_log"), c.statements)
			})
		}
	})
}

// followLog runs the statements and follows them in the log.
func (s *server) followLog(database string, statements []string) {
	s.scratch(database)
	show := "SHOW BINARY LOG STATUS"
	if s.options.Flavor == config.MariaDB {
		show = "SHOW MASTER STATUS"
	}
	at := s.query(show)[0]
	pos, err := strconv.ParseUint(at[1], 10, 32)
	if err != nil {
		s.Fatal(err)
	}
	wanted := 0
	for _, sql := range append([]string{"create database " + database, "use " + database}, statements...) {
		if s.try(sql) == nil && strings.HasPrefix(sql, "insert") {
			wanted++
		}
	}
	host, port, _ := strings.Cut(s.conn.RemoteAddr().String(), ":")
	portNumber, _ := strconv.ParseUint(port, 10, 16)
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{ServerID: 1<<30 + rand.Uint32N(1<<20), Flavor: string(s.options.Flavor), Host: host,
		Port: uint16(portNumber), User: "root", Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	defer syncer.Close()
	stream, err := syncer.StartSync(mysql.Position{Name: at[0], Pos: uint32(pos)})
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.Context(), 20*time.Second)
	defer cancel()
	c := NewCatalog(s.options)
	for seen := 0; seen < wanted; {
		ev, err := stream.GetEvent(ctx)
		if err != nil {
			s.Fatalf("after %d of %d row events: %v", seen, wanted, err)
		}
		switch e := ev.Event.(type) {
		case *replication.QueryEvent:
			if string(e.Schema) != database {
				continue
			}
			// sql_mode is the second status variable (code 1), 8 bytes, behind flags2 (code 0), 4 bytes.
			var mode uint64
			if v := e.StatusVars; len(v) >= 14 && v[0] == 0 && v[5] == 1 {
				mode = binary.LittleEndian.Uint64(v[6:])
			}
			o := SessionOptions(mode, e.ErrorCode)
			if _, err := c.Apply(database, string(e.Query), o); err != nil {
				s.Errorf("%s: %v", e.Query, err)
			}
		case *replication.TableMapEvent:
			if string(e.Schema) != database || c.IsSequence(database, string(e.Table)) {
				continue
			}
			t := c.Table(database, string(e.Table))
			if t == nil {
				s.Errorf("rows of %s, which is not known", e.Table)
			} else if len(t.Columns) != int(e.ColumnCount) {
				s.Errorf("rows of %s have %d columns (types %v), we know %v", e.Table, e.ColumnCount, e.ColumnType, t.Columns)
			}
			seen++
		}
	}
}
