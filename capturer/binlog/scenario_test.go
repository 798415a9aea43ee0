package binlog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
)

// trace reads the events of the test's database as lines.
func (s *server) trace(st *Stream, shapes map[string]*rowv1.Table) []string {
	s.t.Helper()
	var lines []string
	s.ours(st, func(ev *Event) {
		line := ev.Kind.String()
		switch ev.Kind {
		case Query:
			line += " " + strings.ReplaceAll(strings.Join(strings.Fields(ev.SQL), " "), s.db, "DB")
			if ev.InTransaction {
				line += " (inside)"
			}
		case Rows:
			p, err := Compile(ev.Table, shapes[ev.Table.Name])
			if err != nil {
				s.t.Fatal(err)
			}
			line += fmt.Sprintf(" %c %s", ev.Op, ev.Table.Name)
			for _, im := range decodeAll(s.t, p, ev, shapes[ev.Table.Name]) {
				line += " [" + strings.Join(im, ",") + "]"
			}
			if ev.Query != nil {
				line += " by " + string(ev.Query)
			}
		}
		if (ev.SID == "") != (ev.GNO == 0) || ev.GNO == 0 {
			line += " without GTID"
		}
		lines = append(lines, line)
	})
	return lines
}

func (s *server) script(sql string) {
	s.t.Helper()
	for _, q := range strings.Split(sql, ";") {
		if q = strings.TrimSpace(q); q != "" {
			s.exec(q)
		}
	}
}

var twoColumns = map[string]*rowv1.Table{"t": {Columns: []*rowv1.Column{
	{Name: "id", Kind: rowv1.Kind_KIND_INT, TypeName: "INT"},
	{Name: "v", Kind: rowv1.Kind_KIND_STRING, TypeName: "VARCHAR", Charset: "utf8mb4", Nullable: true},
}}}

func TestTransactionsOnRealServers(t *testing.T) {
	bothServers(t, func(t *testing.T, s *server) {
		st := s.dial(s.here())
		s.script(`create table t (id int primary key, v varchar(50)) charset utf8mb4;
			insert into t values (1,'a');
			begin; update t set v='b'; savepoint s; insert into t values (9,'lost'); rollback to s; delete from t; commit;
			begin; insert into t values (8,'lost'); rollback;
			xa start 'one'; insert into t values (2,'one phase'); xa end 'one'; xa commit 'one' one phase;
			xa start 'two'; insert into t values (3,'kept'); xa end 'two'; xa prepare 'two'; xa commit 'two';
			xa start 'no'; insert into t values (4,'undone'); xa end 'no'; xa prepare 'no'; xa rollback 'no';
			truncate t`)
		by := func(sql string) string {
			if s.flavor == config.MariaDB {
				return " by " + sql
			}
			return ""
		}
		want := []string{
			"Query create table t (id int primary key, v varchar(50)) charset utf8mb4",
			"Rows c t [1,a]" + by("insert into t values (1,'a')"), "Commit",
			"Rows u t [1,a] [1,b]" + by("update t set v='b'"), "Rows d t [1,b]" + by("delete from t"), "Commit",
			"Rows c t [2,one phase]" + by("insert into t values (2,'one phase')"), "Commit",
			"Rows c t [3,kept]" + by("insert into t values (3,'kept')"), "Commit",
		}
		got := s.trace(st, twoColumns)
		var rest []string
		for _, l := range got {
			if strings.Contains(l, "XA ") {
				continue // whether such a statement names a database differs
			}
			rest = append(rest, l)
		}
		want = append(want, "Query truncate t")
		if d := cmp.Diff(want, rest); d != "" {
			t.Fatalf("events (-want +got):\n%s", d)
		}
	})
}

// A stream that begins between XA PREPARE and XA COMMIT finds the rows in the log, in an earlier file too.
func TestXACommitBehindTheStart(t *testing.T) {
	bothServers(t, func(t *testing.T, s *server) {
		s.script(`create table t (id int primary key, v varchar(50)) charset utf8mb4;
			xa start 'late'; insert into t values (1,'first use, rolled back'); xa end 'late'; xa prepare 'late'; xa rollback 'late';
			xa start 'late'; insert into t values (2,'late'); xa end 'late'; xa prepare 'late'`)
		st := s.dial(s.here())
		s.script("xa commit 'late'")
		want := []string{"Rows c t [2,late]", "Commit"}
		var got []string
		for _, l := range s.trace(st, twoColumns) {
			got = append(got, strings.Split(l, " by ")[0])
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("events (-want +got):\n%s", d)
		}
	})
}

func TestMySQLForms(t *testing.T) {
	s := realServer(t, "ROWMESH_TEST_MYSQL")
	s.script("create table t (id int primary key, v varchar(50)) charset utf8mb4")
	st := s.dial(s.here())
	s.script(`set session binlog_rows_query_log_events=1; insert into t values (1,'a'); set session binlog_rows_query_log_events=0;
		set session binlog_transaction_compression=1;
		begin; insert into t values (2,'packed'),(3,'packed'); update t set v='new' where id=3; commit;
		insert into t values (4,'packed too');
		set session binlog_transaction_compression=0, binlog_row_image=minimal;
		update t set v='minimal' where id=1; delete from t where id=2; insert into t(id) values (5);
		set session binlog_row_image=full; set gtid_next='AUTOMATIC:tagged'; insert into t values (6,'tag'); set gtid_next=automatic;
		create table u as select * from t where id=1`)
	shapes := map[string]*rowv1.Table{"t": twoColumns["t"], "u": twoColumns["t"]}
	want := []string{
		"Rows c t [1,a] by insert into t values (1,'a')", "Commit",
		"Rows c t [2,packed] [3,packed]", "Rows u t [3,packed] [3,new]", "Commit",
		"Rows c t [4,packed too]", "Commit",
		"Rows u t [1,absent] [absent,minimal]", "Commit", "Rows d t [2,absent]", "Commit", "Rows c t [5,absent]", "Commit",
		"Rows c t [6,tag]", "Commit",
		"Query CREATE TABLE `u` ( `id` int NOT NULL, `v` varchar(50) DEFAULT NULL ) START TRANSACTION (inside)",
		"Rows c u [1,minimal]", "Commit",
	}
	if d := cmp.Diff(want, s.trace(st, shapes)); d != "" {
		t.Fatalf("events (-want +got):\n%s", d)
	}
}

// The spellings are those of Debezium's stream.
func TestJSONOnMySQL(t *testing.T) {
	s := realServer(t, "ROWMESH_TEST_MYSQL")
	cases := [][2]string{
		{`'{"b":1,"a":2,"aa":3,"c":{"z":[1,2,{"y":null}]}}'`, `{"a":2,"b":1,"c":{"z":[1,2,{"y":null}]},"aa":3}`},
		{`'[1, "two", 3.5, true, null, [], {}]'`, `[1,"two",3.5,true,null,[],{}]`},
		{`'{"ключ":"значение","漢":"字","😀":"💥","":"empty key"}'`, `{"":"empty key","漢":"字","😀":"💥","ключ":"значение"}`},
		{`'{"q\\"k":"line\\nfeed","b\\\\":"\\/"}'`, `{"b\\":"/","q\"k":"line\nfeed"}`},
		{`'"\\u0001\\t\\u0008\\u000c\\r"'`, `"\u0001\t\b\f\r"`},
		{`'1e10'`, `10000000000`}, {`'1.0'`, `1.0`}, {`'-0.0'`, `-0.0`}, {`'0.001'`, `0.001`}, {`'9999999.5'`, `9999999.5`}, {`'10000000.5'`, `10000000.5`},
		{`'1e-7'`, `0.0000000999999999999999954748111825886258685613938723690807819366455078125`},
		{`'123456789012345678901234567890'`, `123456789012345677877719597056`},
		{`'1e100'`, `10000000000000000159028911097599180468360808563945281389781327557747838772170381060813469985856815104`},
		{`'18446744073709551615'`, `18446744073709551615`}, {`'-9223372036854775808'`, `-9223372036854775808`}, {`'65536'`, `65536`}, {`'-32769'`, `-32769`},
		{`json_object('t',cast('-12:34:56.123456' as time(6)),'t0',cast('838:59:59' as time))`, `{"t":"-12:34:56.123456","t0":"838:59:59"}`},
		{`json_object('dt',cast('2024-02-29 12:34:56' as datetime),'dt6',cast('2024-02-29 12:34:56.000001' as datetime(6)))`,
			`{"dt":"2024-02-29 12:34:56","dt6":"2024-02-29 12:34:56.000001"}`},
		{`json_object('ts',timestamp('2024-02-29 12:34:56.5'),'d',cast('0900-01-02' as date))`, `{"d":"0900-01-02","ts":"2024-02-29 12:34:56.5"}`},
		{`json_object('dec',cast(123.450 as decimal(10,3)),'neg',cast(-0.001 as decimal(5,3)),'big',cast('99999999999999999999999999999999999.99' as decimal(40,2)))`,
			`{"big":99999999999999999999999999999999999.99,"dec":123.450,"neg":-0.001}`},
		{`json_object('blob',cast(x'00FF41' as binary),'bit',b'10101')`, `{"bit":"FQ==","blob":"AP9B"}`},
		{`json_object('u',cast(18446744073709551615 as unsigned),'y',cast(2024 as year),'f',cast(1.1 as float),'dbl',1.1e0)`,
			`{"f":1.100000023841858,"u":18446744073709551615,"y":2024,"dbl":1.1}`},
		{`concat('[',repeat('[',89),'1',repeat(']',89),']')`, strings.Repeat("[", 90) + "1" + strings.Repeat("]", 90)},
		{`json_object('a',repeat('A',70000),'b',1)`, `{"a":"` + strings.Repeat("A", 70000) + `","b":1}`},
	}
	s.exec("create table j (j json)")
	st := s.dial(s.here())
	for _, c := range cases {
		s.exec("insert into j values (" + c[0] + ")")
	}
	shape := s.shape("j")
	n := 0
	s.ours(st, func(ev *Event) {
		if ev.Kind != Rows {
			return
		}
		cells := splitOne(t, ev, shape)
		if got := string(cells[0].Data); got != cases[n][1] {
			t.Errorf("%s\n got %s\nwant %s", cases[n][0], got, cases[n][1])
		}
		n++
	})
	if n != len(cases) {
		t.Fatalf("%d of %d rows came", n, len(cases))
	}
}

func splitOne(t *testing.T, ev *Event, shape *rowv1.Table) []row.Cell {
	t.Helper()
	p, err := Compile(ev.Table, shape)
	if err != nil {
		t.Fatal(err)
	}
	out, _, _, err := p.Append(nil, ev, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	cells := make([]row.Cell, len(shape.Columns))
	if _, err := row.NewLayout(shape.Columns).Split(cells, out, false); err != nil {
		t.Fatal(err)
	}
	return cells
}

// JSON differences are applied: the after image must read as the server itself reads the row.
func TestPartialJSON(t *testing.T) {
	s := realServer(t, "ROWMESH_TEST_MYSQL")
	s.script(`create table p (id int primary key, a json, n int, b json);
		insert into p values (1, '{"a": 1, "b": "long enough text to make a partial update worth it", "l": [1,2,{"x":"y"}], "k \\"q\\" ü": 0}', 1, '[1,2,3]');
		set session binlog_row_value_options='PARTIAL_JSON'`)
	shape := s.shape("p")
	updates := []string{
		`a=json_set(a,'$.a',2)`, `n=2`, `a=json_replace(a,'$.l[2].x',cast('2024-02-29' as date)), n=3`, `a=json_remove(a,'$.l[0]')`,
		`a=json_set(a,'$.zz',json_array(1,2),'$."k \\"q\\" ü"','new','$.l[0]',7)`, `b=json_array_insert(b,'$[1]','in'), a=json_remove(a,'$.b')`,
		`a=json_set(a,'$.new',json_object('x',1.5)), b=json_array_append(b,'$',repeat('v',300))`, `b=json_set(b,'$[0]',null)`, `a=null`, `a='[]'`,
	}
	st := s.dial(s.here())
	var want [][]string
	for _, u := range updates {
		s.exec("update p set " + u)
		want = append(want, s.query("select ifnull(a,'NULL'), b from p")[0])
	}
	n, partial := 0, 0
	s.ours(st, func(ev *Event) {
		if ev.Kind != Rows {
			return
		}
		if ev.rows.partial {
			partial++
		}
		p, err := Compile(ev.Table, shape)
		if err != nil {
			t.Fatal(err)
		}
		after := decodeAll(t, p, ev, shape)[1]
		a := want[n][0]
		if a != "NULL" {
			a = normalJSON(a)
		}
		if after[1] != a || after[3] != normalJSON(want[n][1]) {
			t.Errorf("%s:\n got %s %s\nwant %s %s", updates[n], after[1], after[3], a, normalJSON(want[n][1]))
		}
		n++
	})
	if n != len(updates) || partial == 0 {
		t.Fatalf("%d of %d updates, %d partial", n, len(updates), partial)
	}
}

func TestMariaDBTypes(t *testing.T) {
	s := realServer(t, "ROWMESH_TEST_MARIADB")
	s.exec("create table m (u uuid, i6 inet6, i4 inet4, c varchar(3000) compressed charset latin1, b blob compressed, tx text compressed, v vector(3))")
	shape := s.shape("m")
	for i, k := range map[int]rowv1.Kind{6: rowv1.Kind_KIND_VECTOR} {
		shape.Columns[i].Kind = k
	}
	st := s.dial(s.here())
	uuids := []string{"00000000-0000-0000-0000-000000000000", "123e4567-e89b-12d3-a456-426655440000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
		"6ba7b811-9dad-51d1-80b4-00c04fd43000", "01890a5d-ac96-774b-bcce-b302099a8057", "320c3d4d-cc00-875b-8ec9-32d5f69181c0", "123e4567-e89b-12d3-0456-426655440000",
		"6ba7b811-9dad-11d1-ffb4-00c04fd43000"}
	long := strings.Repeat("äb", 700)
	for _, u := range uuids {
		s.exec(fmt.Sprintf("insert into m values ('%s','2001:db8::ff00:42:8329','192.168.7.0','%s','short',repeat('x',5000),vec_fromtext('[1,2.5,-3]'))", u, long))
	}
	n := 0
	s.ours(st, func(ev *Event) {
		if ev.Kind != Rows {
			return
		}
		cells := splitOne(t, ev, shape)
		want := []string{uuids[n], "2001:db8::ff00:42:8329", "192.168.7.0", long, "short", strings.Repeat("x", 5000),
			"\x00\x00\x80\x3f\x00\x00\x20\x40\x00\x00\x40\xc0"}
		for i, w := range want {
			got := string(cells[i].Data)
			if i == 0 {
				got = formatUUID(cells[i].Data)
			}
			if got != w {
				t.Errorf("row %d column %s: got %q, want %q", n, shape.Columns[i].Name, got, w)
			}
		}
		n++
	})
	if n != len(uuids) {
		t.Fatalf("%d of %d rows came", n, len(uuids))
	}
}

func TestGTIDStart(t *testing.T) {
	bothServers(t, func(t *testing.T, s *server) {
		s.script("create table t (id int primary key, v varchar(50)) charset utf8mb4")
		q := "select @@global.gtid_executed"
		if s.flavor == config.MariaDB {
			q = "select @@global.gtid_binlog_pos"
		}
		set := strings.ReplaceAll(s.query(q)[0][0], "\n", "")
		s.exec("insert into t values (1,'a')")
		st := s.dial(Start{GTIDs: set})
		var got []string
		for _, l := range s.trace(st, twoColumns) {
			got = append(got, strings.Split(l, " by ")[0])
		}
		if d := cmp.Diff([]string{"Rows c t [1,a]", "Commit"}, got); d != "" {
			t.Fatalf("events (-want +got):\n%s", d)
		}
	})
}

func TestStartErrors(t *testing.T) {
	bothServers(t, func(t *testing.T, s *server) {
		first := func(cfg Config, start Start) error {
			st, err := Dial(t.Context(), cfg, start)
			if err != nil {
				return err
			}
			defer st.Close()
			for {
				if ev, err := st.Next(); err != nil || ev.Kind == Heartbeat {
					return err
				}
			}
		}
		cfg := s.config()
		for _, c := range []struct {
			name  string
			start Start
			edit  func(*Config)
			want  errs.Kind
		}{
			{"purged file", Start{File: "binlog.999999", Pos: 4}, nil, errs.Gap},
			{"position behind the end", Start{File: s.here().File, Pos: 1 << 31}, nil, errs.Gap},
			{"wrong password", Start{}, func(c *Config) { c.User, c.Password = "nobody", "x" }, errs.Denied},
			{"nobody listens", Start{}, func(c *Config) { c.Addr = "127.0.0.1:1" }, errs.Unavailable},
			{"no server id", Start{}, func(c *Config) { c.ServerID = 0 }, errs.Invalid},
		} {
			edited := cfg
			if c.edit != nil {
				c.edit(&edited)
			}
			err := first(edited, c.start)
			if err == nil || errs.KindOf(err) != c.want {
				t.Errorf("%s: kind %s (%v), want %s", c.name, errs.KindOf(err), err, c.want)
			}
		}
	})
}

func TestCloseEndsNext(t *testing.T) {
	bothServers(t, func(t *testing.T, s *server) {
		cfg := s.config()
		cfg.Heartbeat = time.Minute
		st, err := Dial(context.Background(), cfg, s.here())
		if err != nil {
			t.Fatal(err)
		}
		failed := make(chan error, 1)
		go func() {
			for {
				if _, err := st.Next(); err != nil {
					failed <- err
					return
				}
			}
		}()
		st.Close()
		select {
		case err := <-failed:
			if !errors.Is(err, io.ErrClosedPipe) {
				t.Fatalf("got %v, want a closed stream", err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("Next still waits after Close")
		}
	})
}

// Two streams with one server id live side by side.
func TestTwoStreams(t *testing.T) {
	bothServers(t, func(t *testing.T, s *server) {
		s.script("create table t (id int primary key, v varchar(50)) charset utf8mb4")
		a, b := s.dial(s.here()), s.dial(s.here())
		for i := range 2 {
			s.exec(fmt.Sprintf("insert into t values (%d,'x')", i))
			for _, st := range []*Stream{a, b} {
				if got := s.trace(st, twoColumns); len(got) != 2 {
					t.Fatalf("got %q, want rows and a commit", got)
				}
			}
		}
	})
}

// A user with a password and no more rights than it needs, in plain text and over TLS.
func TestLoginAndTLS(t *testing.T) {
	bothServers(t, func(t *testing.T, s *server) {
		user := fmt.Sprintf("reader_%s", s.db[len(s.db)-6:])
		s.exec(fmt.Sprintf("create user '%s'@'%%' identified by 'secret'", user))
		t.Cleanup(func() { s.conn.Execute(fmt.Sprintf("drop user '%s'@'%%'", user)) })
		s.script("create table t (id int primary key, v varchar(50)) charset utf8mb4")
		cfg := s.config()
		cfg.User, cfg.Password = user, "secret"
		if st, err := Dial(t.Context(), cfg, s.here()); err == nil {
			// Without REPLICATION SLAVE the answer comes with the dump or before it.
			if _, err = st.Next(); errs.KindOf(err) != errs.Denied {
				t.Errorf("without rights: %v", err)
			}
			st.Close()
		} else if errs.KindOf(err) != errs.Denied {
			t.Errorf("without rights: %v", err)
		}
		s.exec(fmt.Sprintf("grant replication slave, replication client on *.* to '%s'@'%%'", user))
		secure := len(s.query("show status like 'Ssl_server_not_after'")) > 0 && s.query("show status like 'Ssl_server_not_after'")[0][1] != ""
		// Old builds of MySQL 8.0 offer only key exchange that Go leaves out unless it is named.
		old := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10}
		for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
			old.CipherSuites = append(old.CipherSuites, suite.ID)
		}
		for _, c := range []*tls.Config{nil, old} {
			if c != nil && !secure && s.flavor == config.MariaDB {
				continue
			}
			cfg.TLS = c
			st, err := Dial(t.Context(), cfg, s.here())
			if err != nil {
				if c != nil && strings.Contains(err.Error(), "does not support TLS") {
					continue
				}
				t.Fatalf("TLS %t: %v", c != nil, err)
			}
			s.exec("insert into t values (1,'a')")
			s.exec("delete from t")
			if got := s.trace(st, twoColumns); len(got) != 4 {
				t.Errorf("TLS %t: got %q", c != nil, got)
			}
			st.Close()
		}
	})
}
