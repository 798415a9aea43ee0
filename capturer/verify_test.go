package capturer

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/services/source"
)

// outside runs statements that the log does not have.
func (m *mesh) outside(statements ...string) {
	m.t.Helper()
	m.exec("SET SESSION sql_log_bin=0")
	m.exec(statements...)
	m.exec("SET SESSION sql_log_bin=1")
}

func TestChangedOutsideTheLog(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		m.exec("CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE u (id INT PRIMARY KEY)")
		s := m.open(latest)
		m.exec("INSERT INTO t VALUES (1)", "INSERT INTO u VALUES (1)")
		got := newSeen().read(t, s, rowsAtLeast(2)) // both are known as they were
		m.outside("ALTER TABLE t ADD x INT", "ALTER TABLE u ADD x INT")
		m.exec("INSERT INTO t VALUES (2,20)", "ALTER TABLE u MODIFY x BIGINT", "INSERT INTO u VALUES (2,20)")
		got.read(t, s, func(s *seen) bool { return len(s.rows) >= 4 || len(s.errors) > 0 })
		m.exec("ALTER TABLE t ADD y INT", "INSERT INTO t VALUES (3,30,300)")
		want := []string{"c t 1", "c u 1", "c t 2,20", "c u 2,20", "ddl ALTER TABLE t ADD y INT", "c t 3,30,300"}
		got.read(t, s, func(s *seen) bool { return len(s.rows) >= len(want) || len(s.errors) > 0 })
		if diff := cmp.Diff(want, got.rows); diff != "" {
			t.Error(diff)
		}
	})
}

// TestChangedSince has rows of tables that later statements change: what those are today says nothing of them.
func TestChangedSince(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		m.exec("CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE u (id INT PRIMARY KEY)", "CREATE TABLE good (id INT PRIMARY KEY)")
		s := m.open(latest)
		head := m.head()
		s.Close()
		m.outside("ALTER TABLE t ADD x INT", "ALTER TABLE u ADD x INT")
		m.exec("INSERT INTO t VALUES (1,10)", "ALTER TABLE u MODIFY x BIGINT", "INSERT INTO u VALUES (1,10)", "ALTER TABLE "+m.db+".t ADD y INT",
			"RENAME TABLE "+source.QuoteTable(m.db, "u")+" TO v, v TO u", "INSERT INTO good VALUES (1)")
		got := newSeen()
		got.expectErrors = true
		got.read(t, m.open(head), func(s *seen) bool { return len(s.rows) > 0 && s.rows[len(s.rows)-1] == "c good 1" })
		if len(got.errors) != 2 {
			t.Fatalf("table errors %v, want one about t and one about u", got.errors)
		}
		for i, words := range [][]string{{"columns", "ADD y INT", "snapshot.mode"}, {"MODIFY x BIGINT", "RENAME TABLE", "snapshot.mode"}} {
			for _, w := range words {
				if e := got.errors[i]; !strings.Contains(e.Reason, w) || e.Position.GetPos() == 0 {
					t.Errorf("%s: %s (at %v): want %q in it, and a position", e.Table, e.Reason, e.Position, w)
				}
			}
		}
	})
}
