package schema

import (
	"testing"

	"github.com/rowmesh/rowmesh/services/config"
)

// BenchmarkAffects is what each statement of the log costs that shapes no table.
func BenchmarkAffects(b *testing.B) {
	c := NewCatalog(Options{Flavor: config.MySQL})
	b.ReportAllocs()
	for b.Loop() {
		if c.Affects("db", "/* app */ INSERT INTO orders (id, name) VALUES (1, 'a'), (2, 'b')") {
			b.Fatal("an INSERT shapes no table")
		}
	}
}

// BenchmarkApply is an ALTER of a table of 20 columns.
func BenchmarkApply(b *testing.B) {
	c := NewCatalog(Options{Flavor: config.MySQL})
	create := "create table t (id bigint not null primary key"
	for _, n := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s"} {
		create += ", " + n + " varchar(20) character set latin1 not null default 'x' comment 'y'"
	}
	if _, err := c.Apply("db", create+")", ApplyOptions{}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Apply("db", "alter table t modify s varchar(30), modify a int first", ApplyOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
