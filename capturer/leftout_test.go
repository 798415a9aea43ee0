package capturer

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/capturer/binlog"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
)

// leftOut returns what a subscriber was told of tables, and which statements.
func leftOut(s *subscriber) (told []*capturev1.TableError, statements []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		if e := m.GetTableError(); e != nil {
			told = append(told, e)
		}
		if d := m.GetDdl(); d != nil {
			statements = append(statements, d.Statement)
		}
	}
	return told, statements
}

// allTables subscribes to all tables of the script.
func allTables(o *capturev1.Open, _ *subscriber) { o.Tables.IncludeTables = []string{`db\..*`} }

// A subscriber that wants known tables only gets the rows of a table once a statement has told its shape; others, beside it, get all.
func TestRowsOfUnknownTablesAreLeftOut(t *testing.T) {
	t.Parallel()
	sc := newScripted(t)
	sc.s.txn("ghost", []int64{1})
	sc.s.txn("ghost", []int64{2})
	sc.s.append(binlog.Event{Kind: binlog.Query, Database: "db", SQL: "ALTER TABLE ghost ADD COLUMN c INT"})
	sc.s.txn("ghost", []int64{3})
	sc.s.append(binlog.Event{Kind: binlog.Query, Database: "db", SQL: "CREATE TABLE k (id INT)"})
	sc.s.txn("k", []int64{4})
	sub := sc.subscribe(at(4), allTables, func(o *capturev1.Open, _ *subscriber) {
		o.KnownTablesOnly, o.Ddl = true, capturev1.DdlScope_DDL_SCOPE_ALL
	})
	sub.awaitRows(t, 1)
	if diff := cmp.Diff([]int64{4}, sub.ids); diff != "" {
		t.Error(diff)
	}
	told, statements := leftOut(sub)
	if len(told) != 1 || told[0].Table != "ghost" || !told[0].Unknown || !told[0].Skipped || told[0].Position.GetPos() == 0 {
		t.Errorf("told %v, want ghost once", told)
	}
	if diff := cmp.Diff([]string{"ALTER TABLE ghost ADD COLUMN c INT", "CREATE TABLE k (id INT)"}, statements); diff != "" {
		t.Error(diff)
	}
	all := sc.subscribe(at(4), allTables)
	all.awaitRows(t, 4)
	if told, _ := leftOut(all); len(told) > 0 {
		t.Errorf("told %v", told)
	}
}

// A subscriber that does without what cannot be read goes on with the next event of the table, and is told of each; for the others the table stops.
func TestEventsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	sc := newScripted(t)
	sc.s.append(binlog.Event{Kind: binlog.Query, Database: "db", SQL: "CREATE TABLE t (id INT)"}, binlog.Event{Kind: binlog.Query, Database: "db", SQL: "CREATE TABLE u (id INT)"})
	sc.s.txn("t", []int64{1})
	sc.s.txn("t", []int64{badRow << 24})
	sc.s.txn("t", []int64{2}, []int64{badRow << 24})
	sc.s.txn("t", []int64{3})
	sc.s.txn("u", []int64{4})
	skips := sc.subscribe(at(4), allTables, func(o *capturev1.Open, _ *subscriber) { o.SkipBadRows = true })
	stops := sc.subscribe(at(4), allTables)
	skips.awaitRows(t, 4)
	stops.awaitRows(t, 2)
	if diff := cmp.Diff([]int64{1, 2, 3, 4}, skips.ids); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int64{1, 4}, stops.ids); diff != "" {
		t.Error(diff)
	}
	told, _ := leftOut(skips)
	if len(told) != 2 || !told[0].Skipped || told[0].Unknown || told[0].Position.GetPos() == told[1].Position.GetPos() || !strings.Contains(told[0].Reason, "row 0 is broken") {
		t.Errorf("told %v, want each of two events", told)
	}
	if told, _ = leftOut(stops); len(told) != 1 || told[0].Skipped {
		t.Errorf("told %v, want one stop", told)
	}
}
