package capturer

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Statements about tables that are not there as far as anybody knows: they were made outside the log. Where the server can say what such a table is, its rows come; where
// it cannot, because the table was changed again or is gone, the table stops with the statement's place and what to do. The others go on.
func TestStatementsAboutNoTable(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		m.exec("CREATE TABLE good (id INT PRIMARY KEY)")
		s := m.open(latest)
		head := m.head()
		s.Close()
		m.outside("CREATE TABLE a (id INT PRIMARY KEY)", "CREATE TABLE b (id INT PRIMARY KEY)", "CREATE TABLE c (id INT PRIMARY KEY)", "CREATE TABLE d (id INT PRIMARY KEY)")
		m.exec("INSERT INTO good VALUES (1)",
			"ALTER TABLE a ADD x INT", "INSERT INTO a VALUES (1,10)", // as it is today
			"ALTER TABLE b ADD x INT", "INSERT INTO b VALUES (1,10)", "ALTER TABLE b ADD y INT", // changed once more
			"RENAME TABLE c TO e", "INSERT INTO e VALUES (1)", // under another name
			"ALTER TABLE d ADD x INT", "INSERT INTO d VALUES (1,10)", "DROP TABLE d", // gone
			"DROP TABLE IF EXISTS nowhere", "CREATE TABLE late (id INT PRIMARY KEY)", "INSERT INTO late VALUES (1)", "INSERT INTO good VALUES (2)")
		got := newSeen()
		got.expectErrors = true
		got.read(t, m.open(head), func(s *seen) bool { return len(s.rows) > 0 && s.rows[len(s.rows)-1] == "c good 2" })
		var rows []string
		for _, r := range got.rows {
			if !strings.HasPrefix(r, "ddl ") {
				rows = append(rows, r)
			}
		}
		if diff := cmp.Diff([]string{"c good 1", "c a 1,10", "c e 1", "c late 1", "c good 2"}, rows); diff != "" {
			t.Error(diff)
		}
		stopped := map[string]string{}
		for _, e := range got.errors {
			stopped[e.Table] = e.Reason
			if e.Database != m.db || e.Position.GetFile() == "" || e.Position.GetPos() == 0 {
				t.Errorf("table %s stops at %v, want its place", e.Table, e.Position)
			}
		}
		for table, words := range map[string][]string{"b": {"ADD y INT", "snapshot.mode"}, "d": {"d", "snapshot.mode"}} {
			for _, w := range words {
				if !strings.Contains(stopped[table], w) {
					t.Errorf("table %s stops with %q, want %q in it", table, stopped[table], w)
				}
			}
		}
		if len(stopped) != 2 {
			t.Errorf("stopped are %v, want b and d", stopped)
		}
	})
}
