package schema

import (
	"testing"

	"github.com/rowmesh/rowmesh/services/config"
)

// A statement is about a table if it names it behind its database, or alone where that is the session's; a table of the same name elsewhere is another one.
func TestMentions(t *testing.T) {
	c := NewCatalog(Options{Flavor: config.MySQL, Version: 90704})
	for _, x := range []struct {
		current, sql string
		want         bool
	}{
		{"d", "alter table t add column x int", true},
		{"d", "alter table `T` add column x int", true},
		{"other", "alter table t add column x int", false},
		{"", "alter table t add column x int", false},
		{"other", "alter table d.t add column x int", true},
		{"other", "alter table `d` . `t` add column x int", true},
		{"other", "rename table x.t to y.t, d.t to d.u", true},
		{"other", "rename table x.t to y.t", false},
		{"other", "create table t (d int, t int)", false},
		{"d", "create table x (t int)", true}, // may be taken for one
		{"other", "drop database d", true},
		{"other", "drop database other", false},
		{"d", "insert into t values (1)", false},
	} {
		if got := c.Mentions(x.sql, ApplyOptions{}, x.current, "d", "t"); got != x.want {
			t.Errorf("%q in %q: %v, want %v", x.sql, x.current, got, x.want)
		}
	}
}
