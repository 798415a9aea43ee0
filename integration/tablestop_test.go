package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/integration/harness"
)

// TestTableStops gives a connector rows of a table that nobody knows: it came to be outside the log and was moved away. That table stops, the other goes on, also
// when the publisher is started again. Once the table is there again and the task is restarted, its rows follow, and none comes twice.
func TestTableStops(t *testing.T) {
	addr := harness.Addr(t, harness.MySQL)
	m := harness.Start(t, harness.Size{Coordinators: 1, Capturers: 1, Publishers: 1}, nil)
	c := harness.Root(t, addr)
	harness.Exec(t, c, "drop database if exists tablestop", "create database tablestop", "create table tablestop.good (id int primary key)", "insert into tablestop.good values (1)")
	m.Create(t, "tablestop", m.Connector(harness.MySQL, addr, "tablestop", "tablestop", map[string]string{
		"key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false"}))
	r := follow(t, m.Kafka, "tablestop")
	arrived := func(table string, want ...int) {
		t.Helper()
		harness.Await(t, 20*time.Second, "rows of "+table, func() error {
			if got := idsOf(t, r, "tablestop.tablestop."+table); !slices.Equal(got, want) {
				return fmt.Errorf("%v, want %v; %s", got, want, status(t, m, "tablestop"))
			}
			return nil
		})
	}
	arrived("good", 1)

	m.Call(t, http.MethodPut, "/connectors/tablestop/stop", nil)
	harness.Await(t, 20*time.Second, "stop", func() error {
		if s := status(t, m, "tablestop"); !strings.Contains(s, `"tasks":[]`) {
			return fmt.Errorf("status %s", s)
		}
		return nil
	})
	harness.Exec(t, c, "set sql_log_bin=0", "create table tablestop.lost (id int primary key)", "set sql_log_bin=1",
		"insert into tablestop.good values (2)", "insert into tablestop.lost values (1),(2)", "insert into tablestop.good values (3)", "insert into tablestop.lost values (3)",
		"set sql_log_bin=0", "rename table tablestop.lost to tablestop.away", "set sql_log_bin=1")
	m.Call(t, http.MethodPut, "/connectors/tablestop/resume", nil)
	stopped := func() error {
		s := status(t, m, "tablestop")
		for _, w := range []string{"table tablestop.lost stopped at ", "POST /connectors/tablestop/tasks/0/restart"} {
			if !strings.Contains(s, w) {
				return fmt.Errorf("status does not say %q: %s", w, s)
			}
		}
		return m.Running(t, "tablestop", 1)
	}
	harness.Await(t, 20*time.Second, "stopped table", stopped)
	arrived("good", 1, 2, 3)

	m.Process("publisher-1").Kill()
	m.Spawn(t, "publisher-1")
	harness.Exec(t, c, "insert into tablestop.good values (4)")
	arrived("good", 1, 2, 3, 4)
	harness.Await(t, 20*time.Second, "table still stopped", stopped)

	harness.Exec(t, c, "set sql_log_bin=0", "rename table tablestop.away to tablestop.lost", "set sql_log_bin=1", "insert into tablestop.lost values (4)")
	if code, body := m.Call(t, http.MethodPost, "/connectors/tablestop/tasks/0/restart", nil); code/100 != 2 {
		t.Fatalf("restart: %d %s", code, body)
	}
	arrived("lost", 1, 2, 3, 4)
	harness.Exec(t, c, "insert into tablestop.lost values (5)", "insert into tablestop.good values (5)")
	arrived("lost", 1, 2, 3, 4, 5)
	arrived("good", 1, 2, 3, 4, 5)
	if s := status(t, m, "tablestop"); strings.Contains(s, "stopped at") {
		t.Errorf("status still says that a table stopped: %s", s)
	}
}

// idsOf returns the ids of a topic's keys in their order.
func idsOf(t *testing.T, r *reader, topic string) []int {
	t.Helper()
	var out []int
	for _, x := range r.records() {
		if x.Topic != topic {
			continue
		}
		var key struct{ ID int }
		if err := json.Unmarshal(x.Key, &key); err != nil {
			t.Fatalf("key %s: %v", x.Key, err)
		}
		out = append(out, key.ID)
	}
	return out
}
