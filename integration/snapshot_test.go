package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/integration/harness"
)

// TestSnapshotProgressIsInTheStatus reads the status while a table of some size is copied: its rows done grow towards the estimate, and are gone from
// the status when it is done. Every row arrives once.
func TestSnapshotProgressIsInTheStatus(t *testing.T) {
	const rows = 400_000
	addr := harness.Addr(t, harness.MySQL)
	m := harness.Start(t, harness.Size{Coordinators: 1, Capturers: 1, Publishers: 1}, nil)
	c := harness.Root(t, addr)
	harness.Exec(t, c, "drop database if exists snap", "create database snap", "create table snap.t (id int primary key auto_increment, pad char(200))", "insert into snap.t (pad) values ('x')")
	for n := 1; n < rows; n *= 2 {
		harness.Exec(t, c, fmt.Sprintf("insert into snap.t (pad) select pad from snap.t limit %d", rows-n))
	}
	harness.Exec(t, c, "analyze table snap.t")
	m.Create(t, "snap", m.Connector(harness.MySQL, addr, "snap", "snap", map[string]string{
		"key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false", "include.schema.changes": "false", "extended.headers.enabled": "false",
	}))
	type progress struct {
		Table     string `json:"table"`
		Done      uint64 `json:"rows_done"`
		Estimated uint64 `json:"rows_estimated"`
	}
	var seen []progress
	harness.Await(t, 60*time.Second, "end of the snapshot", func() error {
		var s struct {
			Tasks []struct{ Snapshot *progress }
		}
		body := status(t, m, "snap")
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			return err
		}
		if len(s.Tasks) == 1 && s.Tasks[0].Snapshot != nil {
			seen = append(seen, *s.Tasks[0].Snapshot)
		}
		_, offsets := m.Call(t, "GET", "/connectors/snap/offsets", nil)
		if !strings.Contains(offsets, `"pos"`) || strings.Contains(offsets, "INITIAL") {
			return fmt.Errorf("offsets %s, status %s", offsets, body)
		}
		return nil
	})
	if len(seen) == 0 {
		t.Fatal("no progress in the status")
	}
	for i, p := range seen {
		if p.Table != "snap.t" || p.Estimated < rows/2 || p.Estimated > rows*2 || i > 0 && p.Done < seen[i-1].Done {
			t.Fatalf("progress %d: %+v after %+v", i, p, seen[max(i-1, 0)])
		}
	}
	t.Logf("progress seen %d times, first %d, last %d of %d", len(seen), seen[0].Done, seen[len(seen)-1].Done, seen[0].Estimated)
	r := follow(t, m.Kafka, "snap")
	harness.Await(t, 60*time.Second, "all rows", func() error {
		if n := len(r.records()); n < rows {
			return fmt.Errorf("%d of %d", n, rows)
		}
		return nil
	})
	keys := map[string]bool{}
	for _, x := range r.records() {
		keys[string(x.Key)] = true
	}
	if len(keys) != rows || len(r.records()) != rows {
		t.Errorf("%d records, %d keys, want %d", len(r.records()), len(keys), rows)
	}
}

// TestSnapshotGoesOnWithoutSomeTables gives a snapshot of several readers a table that the connector's user may not read and one whose statement is wrong. Both stop, with the next step in
// the status; the others are copied, each row once, and stream on.
func TestSnapshotGoesOnWithoutSomeTables(t *testing.T) {
	const rows = 30_000
	addr := harness.Addr(t, harness.MySQL)
	m := harness.Start(t, harness.Size{Coordinators: 1, Capturers: 1, Publishers: 1}, nil)
	c := harness.Root(t, addr)
	harness.Exec(t, c, "drop database if exists partly", "create database partly", "drop user if exists partly@'%'", "create user partly@'%' identified by 'partly'",
		"grant reload, replication slave, replication client on *.* to partly@'%'")
	for _, table := range []string{"big", "denied", "small", "wrong"} {
		harness.Exec(t, c, "create table partly."+table+" (id int primary key auto_increment, v varchar(20))", "insert into partly."+table+" (v) values ('a'), ('b')",
			map[bool]string{true: "grant insert on partly.denied to partly@'%'", false: "grant select on partly." + table + " to partly@'%'"}[table == "denied"])
	}
	for n := 2; n < rows; n *= 2 {
		harness.Exec(t, c, fmt.Sprintf("insert into partly.big (v) select v from partly.big limit %d", rows-n))
	}
	m.Create(t, "partly", m.Connector(harness.MySQL, addr, "partly", "partly", map[string]string{
		"database.user": "partly", "database.password": "partly", "snapshot.locking.mode": "minimal", "snapshot.max.threads": "3", "include.schema.changes": "false",
		"snapshot.select.statement.overrides": "partly.wrong", "snapshot.select.statement.overrides.partly.wrong": "select nonsense from partly.wrong",
		"key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false",
	}))
	r := follow(t, m.Kafka, "partly")
	keys := func(table string) map[string]int {
		seen := map[string]int{}
		for _, x := range r.records() {
			if x.Topic == "partly.partly."+table {
				seen[string(x.Key)]++
			}
		}
		return seen
	}
	harness.Await(t, 60*time.Second, "rows and reasons", func() error {
		s := status(t, m, "partly")
		for _, w := range []string{"GRANT SELECT ON `partly`.`denied`", "snapshot.select.statement.overrides.partly.wrong"} {
			if !strings.Contains(s, w) {
				return fmt.Errorf("the status does not say %q: %s", w, s)
			}
		}
		if big, small := len(keys("big")), len(keys("small")); big != rows || small != 2 {
			return fmt.Errorf("%d and %d rows; %s", big, small, s)
		}
		return m.Running(t, "partly", 1)
	})
	harness.Exec(t, c, "insert into partly.small (v) values ('c')")
	harness.Await(t, 30*time.Second, "a row of the log", func() error {
		if n := len(keys("small")); n != 3 {
			return fmt.Errorf("%d rows; %s", n, status(t, m, "partly"))
		}
		return nil
	})
	for key, n := range keys("big") {
		if n != 1 {
			t.Fatalf("row %s came %d times", key, n)
		}
	}
	if n := len(keys("denied")) + len(keys("wrong")); n > 0 {
		t.Errorf("%d rows of tables that cannot be read", n)
	}
}
