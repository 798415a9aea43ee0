package fault

import (
	"context"
	"fmt"
	"strings"
)

// Script is what statements can do to a stream: they are done one after the other in a session of the source, and just these events must come.
type Script struct {
	// ID is the fault's number, Name what is done.
	ID, Name string
	// Tables are created before; t is the name that the statements have for the script's own table, and names with t in them for further ones.
	Tables []string
	// Run are the statements. One that begins with "! " is done in a session of its own.
	Run []string
	// Want are the events of each table: operation, key, version.
	Want map[string][]string
	// Values are texts that the newest event of a key must hold: "table key" and the text.
	Values map[string]string
}

const plainTable = "create table t (k bigint primary key, version bigint not null, v varchar(2000))"

// only returns the events wanted of table t alone.
func only(events ...string) map[string][]string { return map[string][]string{"t": events} }

// Scripts are the faults of group M, and T3, that statements make.
func Scripts() []Script {
	return []Script{
		{ID: "M10", Name: "row image MINIMAL in one session", Tables: []string{plainTable},
			Run:  []string{"insert into t values (1,1,'a'), (2,1,'b')", "set session binlog_row_image=MINIMAL", "insert into t values (3,1,'c')", "set session binlog_row_image=FULL", "update t set version=2 where k=1", "delete from t where k=2"},
			Want: only("c 1 1", "c 2 1", "c 3 1", "u 1 2", "d 2 2")},
		{ID: "M10", Name: "row image NOBLOB for an update", Tables: []string{"create table t (k bigint primary key, version bigint not null, v longtext)"},
			Run:  []string{"insert into t values (1,1,'kept')", "set session binlog_row_image=NOBLOB", "update t set version=2 where k=1", "set session binlog_row_image=FULL", "update t set version=3 where k=1"},
			Want: only("c 1 1", "u 1 2", "u 1 3"), Values: map[string]string{"t 1": "kept"}},
		{ID: "M13", Name: "JSON documents logged as differences", Tables: []string{"create table t (k bigint primary key, version bigint not null, v json)"},
			Run: []string{`insert into t values (1,1,'{"a": 1, "long": "` + strings.Repeat("x", 300) + `"}')`, "set session binlog_row_value_options=PARTIAL_JSON, binlog_row_image=FULL",
				"update t set version=2, v=json_set(v, '$.a', 4711) where k=1"},
			Want: only("c 1 1", "u 1 2"), Values: map[string]string{"t 1": "4711"}},
		{ID: "M14", Name: "compressed transactions", Tables: []string{plainTable},
			Run:  []string{"set session binlog_transaction_compression=on", "begin", "insert into t values (1,1,repeat('a',1500)), (2,1,repeat('b',1500))", "update t set version=2 where k=1", "commit"},
			Want: only("c 1 1", "c 2 1", "u 1 2")},
		{ID: "M16", Name: "XA: prepared and rolled back, prepared and committed later", Tables: []string{plainTable},
			Run: []string{"xa start 'f1'", "insert into t values (1,1,'never')", "xa end 'f1'", "xa prepare 'f1'", "xa rollback 'f1'",
				"xa start 'f2'", "insert into t values (2,1,'later')", "xa end 'f2'", "xa prepare 'f2'", "! insert into t values (3,1,'before')", "xa commit 'f2'", "insert into t values (4,1,'after')"},
			Want: only("c 3 1", "c 2 1", "c 4 1")},
		{ID: "M17", Name: "a foreign key deletes and updates by cascade", Tables: []string{plainTable, "create table tc (k bigint primary key, version bigint not null, parent bigint, foreign key (parent) references t(k) on delete cascade)"},
			Run:  []string{"insert into t values (1,1,'p'), (2,1,'p')", "insert into tc values (10,1,1), (11,1,1), (20,1,2)", "delete from t where k=1"},
			Want: map[string][]string{"t": {"c 1 1", "c 2 1", "d 1 2"}, "tc": {"c 10 1", "c 11 1", "c 20 1", "d 10 2", "d 11 2"}}},
		{ID: "M18", Name: "TRUNCATE, and partitions truncated and dropped", Tables: []string{plainTable + " partition by range (k) (partition p0 values less than (10), partition p1 values less than (20), partition p2 values less than maxvalue)"},
			Run:  []string{"insert into t values (1,1,'a'), (11,1,'b'), (21,1,'c')", "alter table t truncate partition p0", "insert into t values (2,1,'d')", "alter table t drop partition p1", "insert into t values (12,1,'e')", "truncate table t", "insert into t values (3,1,'f')"},
			Want: only("c 1 1", "c 11 1", "c 21 1", "c 2 1", "c 12 1", "c 3 1")},
		{ID: "M19", Name: "CREATE TABLE ... SELECT", Tables: []string{plainTable},
			Run:  []string{"insert into t values (1,1,'a'), (2,1,'b')", "create table tt (k bigint primary key, version bigint not null) select k, version, v from t", "insert into tt values (3,1,'c')"},
			Want: map[string][]string{"t": {"c 1 1", "c 2 1"}, "tt": {"c 1 1", "c 2 1", "c 3 1"}}},
		{ID: "M20", Name: "savepoints rolled back, tables of two engines", Tables: []string{plainTable, "create table tm (k bigint primary key, version bigint not null) engine=myisam"},
			Run: []string{"begin", "insert into t values (1,1,'kept')", "savepoint s", "insert into t values (2,1,'gone')", "rollback to savepoint s", "insert into t values (3,1,'kept')", "commit", "insert into tm values (1,1), (2,1)",
				"begin", "insert into t values (4,1,'gone')", "rollback"},
			Want: map[string][]string{"t": {"c 1 1", "c 3 1"}, "tm": {"c 1 1", "c 2 1"}}},
		{ID: "M21", Name: "cut-over as gh-ost does it", Tables: []string{plainTable},
			Run: []string{"insert into t values (1,1,'a'), (2,1,'b')", "create table tgho like t", "alter table tgho add column extra int default 7", "insert into tgho (k, version, v) select k, version, v from t",
				"insert into t values (3,1,'c')", "insert into tgho (k, version, v) values (3,1,'c')", "rename table t to tdel, tgho to t", "insert into t values (4,1,'d',8)", "update t set version=2 where k=1"},
			Want:   map[string][]string{"t": {"c 1 1", "c 2 1", "c 3 1", "c 4 1", "u 1 2"}, "tgho": {"c 1 1", "c 2 1", "c 3 1"}},
			Values: map[string]string{"t 4": `"extra":8`}},
		{ID: "M22", Name: "two tables swap their names in one statement", Tables: []string{plainTable, "create table ta (k bigint primary key, version bigint not null, n int)"},
			Run:    []string{"insert into t values (1,1,'text')", "insert into ta values (1,1,42)", "rename table t to tx, ta to t, tx to ta", "insert into t values (2,1,43)", "insert into ta values (2,1,'more')"},
			Want:   map[string][]string{"t": {"c 1 1", "c 2 1"}, "ta": {"c 1 1", "c 2 1"}},
			Values: map[string]string{"t 2": `"n":43`, "ta 2": `"v":"more"`}},
		{ID: "M24", Name: "columns added, dropped and changed in place; generated and invisible ones", Tables: []string{plainTable},
			Run: []string{"insert into t values (1,1,'a')", "alter table t add column n int default 5, algorithm=instant", "insert into t values (2,1,'b',6)", "alter table t drop column v, algorithm=instant", "insert into t values (3,1,7)",
				"alter table t add column g bigint generated always as (n+1) stored, add column i int default 9 invisible", "insert into t (k,version,n) values (4,1,8)", "alter table t modify n bigint", "insert into t (k,version,n) values (5,1,9000000000)"},
			Want: only("c 1 1", "c 2 1", "c 3 1", "c 4 1", "c 5 1")},
		{ID: "M25", Name: "INSERT ... SELECT and statements of many rows", Tables: []string{plainTable, "create table ts like t"},
			Run:  []string{"insert into t with recursive n(k) as (select 1 union all select k+1 from n where k < 500) select k, 1, repeat('r', 200) from n", "insert into ts select * from t where k <= 3", "update t set version=2 where k <= 2"},
			Want: map[string][]string{"t": append(inserts(500), "u 1 2", "u 2 2"), "ts": inserts(3)}},
		{ID: "M30", Name: "GTIDs with tags", Tables: []string{plainTable},
			Run:  []string{"set gtid_next='AUTOMATIC:tagged'", "insert into t values (1,1,'a')", "insert into t values (2,1,'b')", "set gtid_next='AUTOMATIC'", "insert into t values (3,1,'c')", "set gtid_next='AUTOMATIC:other'", "update t set version=2 where k=1", "set gtid_next='AUTOMATIC'"},
			Want: only("c 1 1", "c 2 1", "c 3 1", "u 1 2")},
		{ID: "M32", Name: "names with quotes, back-ticks and other scripts", Tables: []string{plainTable, "create table `t'\"``;--` (k bigint primary key, version bigint not null, `c\"o'l` int)", "create table `tñ漢` (k bigint primary key, version bigint not null)"},
			Run:  []string{"set session sql_mode='ANSI_QUOTES'", `insert into "t'""` + "`" + `;--" values (1,1,2)`, `insert into "tñ漢" values (1,1)`, "insert into t values (1,1,'a')"},
			Want: only("c 1 1")},
		{ID: "M33", Name: "zero dates, other time zones and modes", Tables: []string{"create table t (k bigint primary key, version bigint not null, d datetime, s timestamp null, h time)"},
			Run: []string{"set session sql_mode=''", "insert into t values (1,1,'0000-00-00 00:00:00',null,'838:59:59')", "set session time_zone='+09:00'", "insert into t values (2,1,'2024-11-03 01:30:00','2024-11-03 01:30:00','-838:59:59')",
				"set session time_zone='-05:00'", "update t set version=2 where k=1"},
			Want: only("c 1 1", "c 2 1", "u 1 2")},
		{ID: "T3", Name: "the source's clock goes back and forth", Tables: []string{plainTable},
			Run:  []string{"set timestamp=1000000000", "insert into t values (1,1,'2001')", "set timestamp=2000000000", "insert into t values (2,1,'2033')", "set timestamp=1500000000", "update t set version=2 where k=1", "set timestamp=default", "insert into t values (3,1,'now')"},
			Want: only("c 1 1", "c 2 1", "u 1 2", "c 3 1")},
		{ID: "S2", Name: "a row gets another key, and its old key another row", Tables: []string{plainTable},
			Run:  []string{"insert into t values (1,1,'a')", "update t set k=2 where k=1", "insert into t values (1,3,'b')"},
			Want: only("c 1 1", "d 1 2", "c 2 1", "c 1 3")},
	}
}

// inserts are the events of n new rows.
func inserts(n int) (out []string) {
	for k := range n {
		out = append(out, fmt.Sprintf("c %d 1", k+1))
	}
	return out
}

// named puts a script's own table names into a statement: t and names that begin with t stand for those with a prefix, so that scripts share a database.
func (x *Script) named(statement, as string) string {
	names := []string{"tgho", "tdel", "t'\"``;--", `t'""` + "`;--", "tñ漢", "tc", "tt", "tm", "ta", "tx", "ts", "t"}
	var b strings.Builder
	for i := 0; i < len(statement); {
		done := false
		if i == 0 || strings.IndexByte(" `\",(.", statement[i-1]) >= 0 {
			for _, n := range names {
				rest := statement[i:]
				if strings.HasPrefix(rest, n) && (len(rest) == len(n) || strings.IndexByte(" `\",(.)", rest[len(n)]) >= 0) {
					b.WriteString(as + n[1:])
					i += len(n)
					done = true
					break
				}
			}
		}
		if !done {
			b.WriteByte(statement[i])
			i++
		}
	}
	return b.String()
}

// RunScript does a script to the load's source, in the load's database, and waits for its events.
func (s *Stage) RunScript(ctx context.Context, x Script) error {
	if err := s.script(ctx, x); err != nil {
		return fmt.Errorf("%s %s: %w", x.ID, x.Name, err)
	}
	return nil
}

func (s *Stage) script(ctx context.Context, x Script) error {
	as := fmt.Sprintf("s%d", s.Rnd.IntN(1_000_000_000))
	server := s.Primary(s.Load.Proxy)
	conn, err := s.Session(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, q := range append([]string{"use " + s.Load.W.Database}, x.Tables...) {
		if _, err := conn.Execute(x.named(q, as)); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	for _, q := range x.Run {
		if other, ok := strings.CutPrefix(q, "! "); ok {
			if err := s.Exec(ctx, server, "use "+s.Load.W.Database, x.named(other, as)); err != nil {
				return err
			}
			continue
		}
		if _, err := conn.Execute(x.named(q, as)); err != nil {
			return fmt.Errorf("%s: %w", x.named(q, as), err)
		}
	}
	for table, want := range x.Want {
		if err := s.Load.Exactly(ctx, as+table[1:], want...); err != nil {
			return err
		}
	}
	for at, want := range x.Values {
		table, key, _ := strings.Cut(at, " ")
		all, err := s.Load.Events(as + table[1:])
		if err != nil {
			return err
		}
		found := false
		for _, e := range all {
			if fmt.Sprint(e.Key) == key {
				found = strings.Contains(string(e.Value), want)
			}
		}
		if !found {
			return fmt.Errorf("the newest event of %s does not hold %s", at, want)
		}
	}
	return nil
}
