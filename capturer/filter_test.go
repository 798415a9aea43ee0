package capturer

import (
	"testing"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/errs"
)

func TestFilter(t *testing.T) {
	f, err := newFilter(&capturev1.TableFilter{
		IncludeDatabases: []string{"shop", "a.*"}, ExcludeDatabases: []string{"audit"},
		IncludeTables: []string{`SHOP\.orders`, `.*\.t[0-9]`}, ExcludeTables: []string{`shop\.t9`},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[[2]string]bool{
		{"shop", "orders"}: true, {"SHOP", "Orders"}: true, {"shop", "orders2"}: false, {"shop", "t1"}: true, {"shop", "t9"}: false,
		{"audit", "t1"}: false, {"abc", "t1"}: true, {"other", "t1"}: false, {"mysql", "t1"}: false,
	} {
		for range 2 { // the second answer is remembered
			if got := f.table(name[0], name[1])&wanted != 0; got != want {
				t.Errorf("%v wanted: %v, want %v", name, got, want)
			}
		}
	}
}

// What a client may read bounds what it asks for, and is all that it gets where it asks for everything.
func TestFilterWithin(t *testing.T) {
	within := []string{`shop\..*`, `crm\.people`}
	for _, c := range []struct {
		filter *capturev1.TableFilter
		want   map[[2]string]bool
	}{
		{&capturev1.TableFilter{WithinTables: within}, map[[2]string]bool{{"shop", "orders"}: true, {"CRM", "People"}: true, {"crm", "salaries"}: false, {"other", "t"}: false}},
		{&capturev1.TableFilter{WithinTables: within, IncludeTables: []string{`.*\.orders`, `crm\..*`}},
			map[[2]string]bool{{"shop", "orders"}: true, {"shop", "items"}: false, {"crm", "people"}: true, {"crm", "salaries"}: false, {"other", "orders"}: false}},
	} {
		f, err := newFilter(c.filter)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range c.want {
			if got := f.table(name[0], name[1])&wanted != 0; got != want {
				t.Errorf("%v: %v wanted: %v, want %v", c.filter, name, got, want)
			}
		}
	}
}

func TestFilterBuiltin(t *testing.T) {
	for builtin, want := range map[bool]answer{false: 0, true: selected | wanted} {
		f, err := newFilter(&capturev1.TableFilter{Builtin: builtin})
		if err != nil {
			t.Fatal(err)
		}
		if got := f.table("mysql", "user"); got != want {
			t.Errorf("builtin=%v: %d, want %d", builtin, got, want)
		}
	}
}

// Every table belongs to exactly one shard, pins go first, and a table of another shard is still selected.
func TestFilterShards(t *testing.T) {
	const count = 3
	pins := map[string]uint32{"db.t5": 2}
	var filters []*filter
	for i := range uint32(count) {
		f, err := newFilter(&capturev1.TableFilter{Shard: &capturev1.Shard{Index: i, Count: count, Pins: pins}})
		if err != nil {
			t.Fatal(err)
		}
		filters = append(filters, f)
	}
	used := make(map[int]bool)
	for _, table := range []string{"t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8"} {
		owners := 0
		for i, f := range filters {
			switch f.table("db", table) {
			case selected | wanted:
				owners++
				used[i] = true
				if table == "t5" && i != 2 {
					t.Errorf("t5 is pinned to shard 2 and wanted by %d", i)
				}
			case selected:
			default:
				t.Errorf("%s is not selected in shard %d", table, i)
			}
		}
		if owners != 1 {
			t.Errorf("%s belongs to %d shards", table, owners)
		}
	}
	if len(used) != count {
		t.Errorf("eight tables are spread over %d of %d shards", len(used), count)
	}
}

func TestFilterRefuses(t *testing.T) {
	for name, f := range map[string]*capturev1.TableFilter{
		"regex": {ExcludeTables: []string{"a("}},
		"shard": {Shard: &capturev1.Shard{Index: 3, Count: 3}},
	} {
		if _, err := newFilter(f); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: %v, want Invalid", name, err)
		}
	}
}
