package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/rowmesh/rowmesh/integration/harness"
)

// snapshots are what GET /connectors/NAME/snapshots answers.
type snapshots struct {
	Snapshots []struct {
		ID     string `json:"id"`
		Task   int    `json:"task"`
		State  string `json:"state"`
		Ended  int64  `json:"ended_ms"`
		Tables []struct {
			Table string `json:"table"`
			State string `json:"state"`
			Rows  int    `json:"rows_done"`
			Error string `json:"error"`
		} `json:"tables"`
	} `json:"snapshots"`
}

// ended waits for the end of a snapshot and returns its tables' states with their errors.
func ended(t *testing.T, m *harness.Mesh, connector, id string) map[string]string {
	t.Helper()
	states := map[string]string{}
	harness.Await(t, 90*time.Second, "end of snapshot "+id, func() error {
		var s snapshots
		code, body := m.Call(t, http.MethodGet, "/connectors/"+connector+"/snapshots/"+id, nil)
		if code != http.StatusOK || json.Unmarshal([]byte(body), &s) != nil {
			return fmt.Errorf("%d %s", code, body)
		}
		for _, x := range s.Snapshots {
			if x.Ended == 0 {
				return fmt.Errorf("%s", body)
			}
			for _, table := range x.Tables {
				states[table.Table] = strings.TrimSpace(table.State + " " + table.Error)
			}
		}
		return nil
	})
	return states
}

// reads counts the records of a table that snapshots have written, by key.
func reads(recs []*kgo.Record, topic string) map[string]int {
	out := map[string]int{}
	for _, r := range recs {
		if r.Topic == topic && bytes.Contains(r.Value, []byte(`"op":"r"`)) {
			out[string(r.Key)]++
		}
	}
	return out
}

// TestSnapshotsOnDemand asks a connector with two tasks for snapshots in each way, kills the publishers in the middle, and asks for what cannot be.
func TestSnapshotsOnDemand(t *testing.T) {
	const rows = 400
	addr := harness.Addr(t, harness.MySQL)
	m := harness.Start(t, harness.Size{Coordinators: 1, Capturers: 2, Publishers: 2}, nil)
	c := harness.Root(t, addr)
	harness.Exec(t, c, "drop database if exists ond", "create database ond", "create table ond.hidden (id int primary key)", "create table ond.secret (id int primary key)",
		"create table ond.signals (id varchar(42) primary key, type varchar(32) not null, data varchar(2048) null)", "insert into ond.secret values (1)",
		"drop user if exists ond@'%'", "create user ond@'%' identified by 'ond'", "grant replication slave, replication client, reload on *.* to ond@'%'", "grant insert on ond.secret to ond@'%'",
		"grant select, insert on ond.signals to ond@'%'", "grant select on ond.hidden to ond@'%'")
	var tables []string
	for i := range 6 {
		name := fmt.Sprintf("ond.t%d", i)
		tables = append(tables, name)
		harness.Exec(t, c, "create table "+name+" (id int primary key auto_increment, v int)", "insert into "+name+" (v) values (0)", "grant select on "+name+" to ond@'%'")
		for n := 1; n < rows; n *= 2 {
			harness.Exec(t, c, fmt.Sprintf("insert into %s (v) select 0 from %s limit %d", name, name, rows-n))
		}
	}
	m.Create(t, "ond", m.Connector(harness.MySQL, addr, "ond", "ond", map[string]string{"snapshot.mode": "no_data", "tasks.max": "2", "database.user": "ond", "database.password": "ond",
		"table.include.list": `ond\.t.*,ond\.secret`, "signal.data.collection": "ond.signals", "incremental.snapshot.chunk.size": "50", "extended.headers.enabled": "false",
		"key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false", "include.schema.changes": "false"}))
	r := follow(t, m.Kafka, "ond")
	harness.Await(t, 60*time.Second, "the tasks", func() error { return m.Running(t, "ond", 2) })
	start := func(body string) (int, string) {
		return m.Call(t, http.MethodPost, "/connectors/ond/snapshots", json.RawMessage(body))
	}
	t.Run("what cannot be is refused", func(t *testing.T) {
		for body, want := range map[string]string{
			`{"tables":["ond.nosuch"]}`: "table ond.nosuch does not exist",
			`{"tables":["ond.hidden"]}`: "table ond.hidden is not captured by connector ond",
			`{"tables":["ond.t0"],"conditions":[{"table":"ond.t0","filter":"1; drop table ond.t0"}]}`: "it holds a ;",
			`{"tables":["ond.t0"],"conditions":[{"table":"ond.t0","filter":"id = 1) or (1 = 1"}]}`:    "closes nothing",
			`{"tables":["ond.t0"],"conditions":[{"table":"ond.t0","filter":"id = 1 -- "}]}`:           "a comment",
			`{"tables":["ond.(t"]}`:               "no regular expression",
			`{"tables":[]}`:                       "no tables are named",
			`{"tables":["ond.t0"],"type":"half"}`: "incremental or blocking",
			`{"tabels":["ond.t0"]}`:               "tabels",
		} {
			if code, answer := start(body); code != http.StatusBadRequest || !strings.Contains(answer, want) {
				t.Errorf("%s: %d %s, want %s", body, code, answer, want)
			}
		}
		if code, answer := m.Call(t, http.MethodPatch, "/connectors/ond/snapshots/nosuch", map[string]string{"state": "PAUSED"}); code != http.StatusNotFound {
			t.Errorf("pause of nothing: %d %s", code, answer)
		}
		if code, answer := m.Call(t, http.MethodPost, "/connectors/nosuch/snapshots", json.RawMessage(`{"tables":["a.b"]}`)); code != http.StatusNotFound {
			t.Errorf("no connector: %d %s", code, answer)
		}
	})
	t.Run("what the server refuses ends its table alone", func(t *testing.T) {
		code, answer := start(`{"id":"bad","tables":["ond.t0","ond.secret","ond.t1"],"conditions":[{"table":"ond.t0","filter":"nosuch = 1"},{"table":"ond.t1","filter":"id <= 3"}]}`)
		if code != http.StatusAccepted {
			t.Fatalf("%d %s", code, answer)
		}
		got := ended(t, m, "ond", "bad")
		for table, want := range map[string]string{"ond.t0": "nosuch", "ond.secret": "denied", "ond.t1": "SUCCEEDED"} {
			if !strings.Contains(got[table], want) || strings.HasPrefix(got[table], "SQL_EXCEPTION") != (want != "SUCCEEDED") {
				t.Errorf("%s: %s, want %s", table, got[table], want)
			}
		}
		harness.Await(t, 30*time.Second, "rows", func() error {
			if n := len(reads(r.records(), "ond.ond.t1")); n != 3 {
				return fmt.Errorf("%d rows", n)
			}
			return nil
		})
	})
	t.Run("by the command line, over the loss of all publishers", func(t *testing.T) {
		run := func(args ...string) string {
			t.Helper()
			c := harness.Command(t.Context(), t, append([]string{"snapshot"}, append(args, "--server", m.REST)...)...)
			out, err := c.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %v: %s", args, err, out)
			}
			return string(out)
		}
		run("start", "ond", `ond\.t[0-9]`, "--id", "cli", "--rows-per-second", "10") // two minutes, however slow the machine is: it is let go below
		run("pause", "ond", "cli")
		run("resume", "ond", "cli")
		for i := range 2 {
			name := fmt.Sprintf("publisher-%d", i+1)
			m.Process(name).Kill()
			m.Spawn(t, name)
		}
		harness.Exec(t, c, "update ond.t2 set v = 1 where id <= 100")
		harness.Await(t, 60*time.Second, "the tasks", func() error { return m.Running(t, "ond", 2) })
		run("throttle", "ond", "cli")
		for table, state := range ended(t, m, "ond", "cli") {
			if state != "SUCCEEDED" && state != "EMPTY" {
				t.Errorf("%s: %s", table, state)
			}
		}
		if out := run("status", "ond", "cli"); !strings.Contains(out, "100%") {
			t.Error(out)
		}
		harness.Await(t, 60*time.Second, "every row", func() error {
			for _, table := range tables {
				if n := len(reads(r.records(), "ond."+table)); n != rows {
					return fmt.Errorf("%s: %d of %d rows", table, n, rows)
				}
			}
			return nil
		})
		last := map[string]string{}
		for _, x := range r.records() {
			if x.Topic == "ond.ond.t2" {
				last[string(x.Key)] = string(x.Value)
			}
		}
		if v := last[`{"id":7}`]; !strings.Contains(v, `"after":{"id":7,"v":1}`) {
			t.Errorf("the last of row 7 is %s", v)
		}
	})
	t.Run("by the signal table, for the tables of both tasks", func(t *testing.T) {
		before := len(r.records())
		harness.Exec(t, c, `insert into ond.signals values ('sig','execute-snapshot','{"data-collections":["ond.t[0-9]"],"additional-conditions":[{"data-collection":"ond.t.*","filter":"id = 7"}]}')`)
		harness.Await(t, 60*time.Second, "a row of each table", func() error {
			for _, table := range tables {
				if n := reads(r.records()[before:], "ond."+table)[`{"id":7}`]; n != 1 {
					return fmt.Errorf("%s: %d times", table, n)
				}
			}
			return nil
		})
		n := 0
		for _, x := range r.records() {
			if x.Topic == "ond.ond.signals" && bytes.Contains(x.Value, []byte(`"id":"sig"`)) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("the signal's row came %d times: one task has it, both hear it", n)
		}
	})
}
