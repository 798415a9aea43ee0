package schema

import (
	"maps"
	"strings"
	"testing"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"

	"github.com/rowmesh/rowmesh/services/config"
)

// checkInvariants says what is wrong with a table that Apply hands out; empty if nothing.
func checkInvariants(t *rowv1.Table) string {
	names := map[string]bool{}
	for i, c := range t.Columns {
		if c.Position != uint32(i+1) {
			return "position of " + c.Name
		}
		if c.Kind == rowv1.Kind_KIND_UNSPECIFIED || c.TypeName == "" {
			return "no type of " + c.Name
		}
		if names[c.Name] {
			return "two columns " + c.Name
		}
		names[c.Name] = true
	}
	inside := func(at []uint32) bool {
		for _, i := range at {
			if int(i) >= len(t.Columns) {
				return false
			}
		}
		return true
	}
	for _, ix := range t.Indexes {
		if !inside(ix.Columns) {
			return "columns of index " + ix.Name
		}
	}
	for _, i := range t.Key {
		if int(i) >= len(t.Columns) || t.Columns[i].Nullable {
			return "key"
		}
	}
	return ""
}

// FuzzApply: no statement panics, one that fails leaves the catalog as it was, and tables keep their invariants.
func FuzzApply(f *testing.F) {
	for _, sql := range []string{
		"alter table t add column (x int, y text character set latin1), drop a, change b c decimal(10,2) unsigned zerofill default 1.5 after d",
		"create table u (a serial, b enum('x''y','z') not null default 'z', unique key (b(3)), check (a > 1)) comment='x' partition by hash (a)",
		"rename table t to u, u to `v`.w", "drop table t, u cascade", "create or replace table t like u", "/*!50100 alter table t rename column a to b */",
		"create unique index i on t ((lower(a)), b desc) using hash", "alter table t modify a int first, modify b int after a, add index (a)",
		"create database d charset latin1; use d; create table e (a int primary key)", "alter table t convert to charset utf8mb4 collate utf8mb4_bin",
		"alter table t add system versioning, add unique (b)", "set statement a=b for truncate t", "create table x (a int default (1+2) invisible, b bit default b'1')",
		"alter table t drop primary key, alter a set default 'x', alter index i invisible, rename index a to b, order by a", "drop index i on t",
	} {
		f.Add(sql, true, uint8(0))
		f.Add(strings.ToUpper(sql), false, uint8(3))
	}
	f.Fuzz(func(t *testing.T, sql string, mysql bool, mode uint8) {
		options := Options{Flavor: config.MariaDB, Version: 110809, LowerCaseNames: int(mode % 3)}
		if mysql {
			options = Options{Flavor: config.MySQL, Version: 90704, LowerCaseNames: int(mode % 3)}
		}
		o := ApplyOptions{AnsiQuotes: mode&4 != 0, NoBackslashEscapes: mode&8 != 0, ImplicitTimestamp: mode&16 != 0, Failed: mode&32 != 0}
		c := NewCatalog(options)
		if _, err := c.Apply("db", "create table t (a int not null, b varchar(10), d timestamp, e text, primary key (a), unique (b))", ApplyOptions{}); err != nil {
			t.Fatal(err)
		}
		tables, databases := maps.Clone(c.tables), maps.Clone(c.databases)
		changes, err := c.Apply("db", sql, o)
		if err != nil {
			if !maps.Equal(tables, c.tables) || !maps.Equal(databases, c.databases) {
				t.Fatalf("%q failed (%v) and changed the catalog", sql, err)
			}
			return
		}
		for _, ch := range changes {
			if ch.After == nil {
				continue
			}
			if what := checkInvariants(ch.After); what != "" {
				t.Fatalf("%q: %s of %v", sql, what, ch.After)
			}
		}
	})
}
