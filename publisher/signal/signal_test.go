package signal

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/services/errs"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name string
		in   Signal
		want Command
	}{
		{"incremental by default", Signal{ID: "a", Type: "execute-snapshot", Data: `{"data-collections": [" db.t ", "db.u"]}`},
			Command{ID: "a", Execute: &Execute{Tables: []string{"db.t", "db.u"}}}},
		{"conditions", Signal{ID: "a", Type: "execute-snapshot", Data: `{"type":"Incremental","data-collections":["db.t"],"additional-conditions":[{"data-collection":"db.t","filter":"id > 1 and name <> 'd'"}],"surrogate-key":"name"}`},
			Command{ID: "a", Execute: &Execute{Tables: []string{"db.t"}, SurrogateKey: "name", Conditions: []Condition{{"db.t", "id > 1 and name <> 'd'"}}}}},
		{"blocking", Signal{ID: "a", Type: "execute-snapshot", Data: `{"type":"blocking","data-collections":["db.t"],"additional-conditions":[{"data-collection":"db.t","filter":"SELECT * FROM db.t WHERE id < 3"}]}`},
			Command{ID: "a", Execute: &Execute{Blocking: true, Tables: []string{"db.t"}, Conditions: []Condition{{"db.t", "SELECT * FROM db.t WHERE id < 3"}}}}},
		{"limits", Signal{ID: "a", Type: "execute-snapshot", Data: `{"data-collections":["db.t"],"chunk-rows":7,"rows-per-second":8,"bytes-per-second":9}`},
			Command{ID: "a", Execute: &Execute{Tables: []string{"db.t"}, Limits: Limits{7, 8, 9}}}},
		{"stop all", Signal{Type: "stop-snapshot"}, Command{Control: &Control{Action: Stop}}},
		{"stop some", Signal{Type: "stop-snapshot", Data: `{"type":"INCREMENTAL","data-collections":["db.t"]}`}, Command{Control: &Control{Action: Stop, Tables: []string{"db.t"}}}},
		{"pause one", Signal{Type: "pause-snapshot", Data: `{"type":"incremental","snapshot":"x"}`}, Command{Control: &Control{Action: Pause, Snapshot: "x"}}},
		{"resume", Signal{Type: "resume-snapshot", Data: `{}`}, Command{Control: &Control{Action: Resume}}},
		{"log", Signal{Type: "log", Data: `{"message":"at {}"}`}, Command{Log: "at {}"}},
		{"a window", Signal{ID: "u-open", Type: "snapshot-window-open", Data: `{"openWindowTimestamp": "x"}`}, Command{ID: "u-open"}},
		{"file and position", Signal{Type: "set-binlog-position", Data: `{"binlog_filename":"binlog.000012","binlog_position":4}`}, Command{Position: &Position{File: "binlog.000012", Pos: 4}}},
		{"GTIDs", Signal{Type: "set-binlog-position", Data: `{"gtid_set":"453a28ca-e69b-11f1-8913-02fc00000001:1-20"}`}, Command{Position: &Position{Gtids: "453a28ca-e69b-11f1-8913-02fc00000001:1-20"}}},
		{"MariaDB's GTIDs", Signal{Type: "set-binlog-position", Data: `{"gtid_set":"0-1-270,1-2-3"}`}, Command{Position: &Position{Gtids: "0-1-270,1-2-3"}}},
	} {
		got, err := Parse(c.in)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ kind, data, want string }{
		{"no-such-type", `{}`, `the type "no-such-type" is not recognized`},
		{"execute-snapshot", `not json`, "cannot be parsed"},
		{"execute-snapshot", `{"type":"incremental"}`, "'data-collections' is missing"},
		{"execute-snapshot", `{"data-collections":[1]}`, "non-string data collection"},
		{"execute-snapshot", `{"data-collections":[" "]}`, "an empty name"},
		{"execute-snapshot", `{"data-collections":["db.(t"]}`, "no regular expression"},
		{"execute-snapshot", `{"type":"other","data-collections":["db.t"]}`, "an unexpected snapshot type"},
		{"execute-snapshot", `{"data-collections":["db.t"],"additional-condition":"id = 1"}`, "give additional-conditions"},
		{"execute-snapshot", `{"data-collections":["db.t"],"additional-conditions":[{"filter":"id = 1"}]}`, "lacks data-collection or filter"},
		{"execute-snapshot", `{"data-collections":["db.t"],"additional-conditions":[{"data-collection":"db.t","filter":"id = 1; DROP TABLE db.t"}]}`, "it holds a ;"},
		{"execute-snapshot", `{"type":"blocking","data-collections":["db.t"],"surrogate-key":"v"}`, "surrogate-key is for incremental"},
		{"execute-snapshot", `{"type":"blocking","data-collections":["db.t"],"additional-conditions":[{"data-collection":"db.t","filter":"id = 1"}]}`, "must begin with SELECT"},
		{"stop-snapshot", `{"type":"blocking"}`, "only incremental snapshots"},
		{"log", ``, "'message' is missing"},
		{"set-binlog-position", `{}`, "must hold"},
		{"set-binlog-position", `{"binlog_filename":"binlog.000001"}`, "given together"},
		{"set-binlog-position", `{"binlog_filename":"binlog.1","binlog_position":4}`, "no name of a log file"},
		{"set-binlog-position", `{"binlog_filename":"binlog.000001","binlog_position":1}`, "in front of the file's first event"},
		{"set-binlog-position", `{"gtid_set":"x"}`, "no set of GTIDs"},
		{"set-binlog-position", `{"gtid_set":"0-1-2","binlog_position":4}`, "not both"},
		{"schema-changes", `{"database":"d"}`, "'changes' is missing"},
		{"schema-changes", `{"changes":[{"type":"ALTER","id":"\"d\".\"t\""}]}`, "'database' is missing"},
		{"schema-changes", `{"database":"d","changes":[{"type":"ALTER","id":"\"d\".\"t\""}]}`, "has no columns"},
	} {
		_, err := Parse(Signal{ID: "s-1", Type: c.kind, Data: c.data})
		if err == nil || !strings.Contains(err.Error(), c.want) || errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s %s: %v, want %s", c.kind, c.data, err, c.want)
		}
		if err != nil && !strings.Contains(err.Error(), `"s-1"`) {
			t.Errorf("%s %s: the error does not name the signal: %v", c.kind, c.data, err)
		}
	}
	if _, err := Parse(Signal{Type: "execute-snapshot", Data: `{"data-collections":["db.t"]}`}); err == nil || !strings.Contains(err.Error(), "no id") {
		t.Errorf("without an id: %v", err)
	}
}

func TestCheckExpression(t *testing.T) {
	for _, good := range []string{"id > 1", "name = 'it''s; -- no comment'", `name = "a)b"`, "(a or b) and `weird;name` = 1", "id in (select id from other)", "a - -1 > 2", "created < now() - interval 1 day"} {
		if err := CheckExpression(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		"1; drop table t":       "it holds a ;",
		"1) or (1":              "closes nothing",
		"(1":                    "1 ( are not closed",
		"1 -- ":                 "comment",
		"1 # x":                 "comment",
		"1 /* x":                "comment",
		"1 /*! or 1 */":         "comment",
		"*/ 1":                  "comment",
		"name = 'a":             "not closed",
		"name = `a":             "not closed",
		`name = 'a\' or 1; -- `: "", // whatever a backslash means there
		"a = '\x00'":            "not closed",
		"a \x00":                "NUL",
	} {
		if err := CheckExpression(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", bad, err, want)
		}
	}
}

func TestCheckSelect(t *testing.T) {
	for _, good := range []string{"SELECT * FROM db.t WHERE id < 3", "select*from t", "(select 1)", "WITH x AS (SELECT 1) SELECT * FROM x", "select `outfile` from t where a = 'into outfile'"} {
		if err := CheckSelect(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"delete from t", "id < 3", "select 1; select 2", "selectx", "select * from t into outfile '/tmp/x'", "SELECT 1 INTO DumpFile 'x'", ""} {
		if err := CheckSelect(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// Whatever is let through stays between its brackets, with and without backslash escapes.
func FuzzCheckExpression(f *testing.F) {
	for _, s := range []string{"id > 1", "a = 'x\\' and b", "((a))", "'", "`", "--", "/*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		if CheckExpression(sql) != nil {
			return
		}
		for _, escapes := range []bool{true, false} {
			if err := scan("("+sql+") and (1 = 1", escapes); err == nil {
				t.Errorf("%q swallows its bracket", sql)
			}
			if err := scan("("+sql+")", escapes); err != nil {
				t.Errorf("%q between brackets: %v", sql, err)
			}
		}
	})
}

func TestExpand(t *testing.T) {
	tables := []string{"db.orders", "db.orders_2024", "db.t", "other.t"}
	for _, c := range []struct{ patterns, want []string }{
		{[]string{"db.t"}, []string{"db.t"}},
		{[]string{`db\.orders.*`, "db.orders"}, []string{"db.orders", "db.orders_2024"}},
		{[]string{"db.nosuch", "db.t"}, []string{"db.nosuch", "db.t"}},
		{[]string{".*"}, tables},
		{[]string{"DB.T"}, []string{"DB.T"}},
	} {
		if d := cmp.Diff(c.want, Expand(c.patterns, tables)); d != "" {
			t.Errorf("%v: %s", c.patterns, d)
		}
	}
	e := &Execute{Conditions: []Condition{{`DB\.o.*`, "a"}, {"db.orders", "b"}}}
	if got := e.Condition("db.orders"); got != "a" {
		t.Errorf("condition %q, want that of the first that matches", got)
	}
	if got := e.Condition("db.t"); got != "" {
		t.Errorf("condition %q of a table without one", got)
	}
}

func TestSchemaChanges(t *testing.T) {
	c, err := Parse(Signal{ID: "sc", Type: "schema-changes", Data: `{"database":"d","changes":[{"type":"ALTER","id":"\"d\".\"t\"","table":{"defaultCharsetName":"utf8mb4","primaryKeyColumnNames":["id"],
		"columns":[{"name":"id","jdbcType":4,"typeName":"INT","typeExpression":"INT","position":1,"optional":false},{"name":"e","typeName":"ENUM","enumValues":["'a'","'it''s'"],"position":2,"optional":true,"length":1}]}},
		{"type":"DROP","id":"d.u"}]}`})
	if err != nil {
		t.Fatal(err)
	}
	s := c.Schema
	if s.Database != "d" || len(s.Changes) != 2 || s.Changes[1].Table != "u" || s.Changes[1].After != nil {
		t.Fatalf("%v", s)
	}
	table := s.Changes[0].After
	if table.Table != "t" || len(table.Key) != 1 || table.Key[0] != 0 || table.Charset != "utf8mb4" || cmp.Diff([]string{"a", "it's"}, table.Columns[1].Members) != "" || !table.Columns[1].Nullable {
		t.Errorf("%v", table)
	}
}
