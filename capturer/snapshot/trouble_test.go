package snapshot

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/errs"
)

// TestTablesThatCannotBeRead stop alone, each with its reason; the others are read.
func TestTablesThatCannotBeRead(t *testing.T) {
	onServers(t, func(t *testing.T, f *fixture) {
		for _, n := range []string{"a_good", "denied", "wrong", "typo", "keyless", "unparsed", "z_good"} {
			f.exec("CREATE TABLE " + n + " (id int PRIMARY KEY, v int)")
			f.exec("INSERT INTO " + n + " VALUES (1, 10), (2, 20)")
		}
		user := "snapshot_partly"
		f.exec("DROP USER IF EXISTS " + user)
		f.exec("CREATE USER " + user)
		t.Cleanup(func() { f.conn.Exec(context.Background(), "DROP USER "+user) })
		f.exec("GRANT RELOAD, REPLICATION CLIENT ON *.* TO " + user)
		for _, n := range []string{"a_good", "wrong", "typo", "keyless", "z_good"} {
			f.exec("GRANT SELECT ON " + f.db + "." + n + " TO " + user)
		}
		f.exec("GRANT INSERT ON " + f.db + ".denied TO " + user) // it sees the table and may not read it
		for _, threads := range []uint32{1, 3} {
			o := f.options("a_good", "denied", "wrong", "typo", "keyless", "z_good")
			o.Source.User = user
			o.Snapshot.Threads = threads
			o.Snapshot.SelectOverrides = map[string]string{
				f.db + ".wrong": "SELECT id, FROM", f.db + ".typo": "SELECT id, w FROM " + f.db + ".typo", f.db + ".keyless": "SELECT v FROM " + f.db + ".keyless",
			}
			s := newSink()
			res, err := Run(t.Context(), o, s.emit)
			if err != nil {
				t.Fatalf("%d readers: %v", threads, err)
			}
			want := []string{"1|10", "2|20"}
			if diff := cmp.Diff(map[string][]string{"a_good": want, "z_good": want}, s.rows); diff != "" {
				t.Errorf("%d readers: %s", threads, diff)
			}
			says := map[string]string{}
			for _, e := range s.failed {
				says[e.Table] += e.Reason
			}
			for table, text := range map[string]string{"denied": "GRANT SELECT ON", "wrong": "overrides." + f.db + ".wrong", "typo": "overrides." + f.db + ".typo", "keyless": "key column id"} {
				if !strings.Contains(says[table], text) || !strings.Contains(says[table], f.db+"."+table) {
					t.Errorf("%d readers: table %s stops with %q, want %q in it", threads, table, says[table], text)
				}
			}
			if len(says) != 4 || s.markers[len(s.markers)-1] != "z_good MARKER_LAST" && threads == 1 {
				t.Errorf("%d readers: stopped %v, markers %v", threads, says, s.markers)
			}
			checkEnd(t, f, s, res)
		}
	})
}

// TestTableThatComes between the list of tables and the cut is in the snapshot: the log behind the cut does not have it.
func TestTableThatComes(t *testing.T) {
	onServers(t, func(t *testing.T, f *fixture) {
		f.exec("CREATE TABLE early (id int PRIMARY KEY, v int)")
		f.exec("INSERT INTO early VALUES (1, 10)")
		for i, locking := range []capturev1.LockingMode{capturev1.LockingMode_LOCKING_MODE_MINIMAL, capturev1.LockingMode_LOCKING_MODE_NONE} {
			late := fmt.Sprintf("late%d", i)
			o := f.options("early", "late0", "late1")
			o.Snapshot.Locking = locking
			wants, once := o.Rows, sync.Once{}
			o.Rows = func(db, table string) bool { // asked about the tables of the list
				once.Do(func() {
					f.exec("CREATE TABLE " + late + " (id int PRIMARY KEY, v int)")
					f.exec("INSERT INTO " + late + " VALUES (2, 20)")
				})
				return wants(db, table)
			}
			s := newSink()
			res, err := Run(t.Context(), o, s.emit)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"2|20"}, s.rows[late]); diff != "" {
				t.Errorf("%s: %s", locking, diff)
			}
			checkEnd(t, f, s, res)
		}
	})
}

// TestTablesThatChange while the snapshot is under way: what is gone is left to the log, what is there is read as it is then, and other tables are read as they were at the cut.
func TestTablesThatChange(t *testing.T) {
	for name, c := range map[string]struct {
		change []string
		want   map[string][]string // of the tables that change
	}{
		"dropped":   {[]string{"DROP TABLE x"}, nil},
		"truncated": {[]string{"TRUNCATE x", "INSERT INTO x VALUES (7, 70)"}, map[string][]string{"x": {"7|70"}}},
		"renamed":   {[]string{"RENAME TABLE x TO y"}, map[string][]string{"y": {"1|10", "2|20"}}},
		"swapped": {[]string{"CREATE TABLE x_new (id int PRIMARY KEY, v bigint)", "INSERT INTO x_new SELECT * FROM x", "RENAME TABLE x TO x_old, x_new TO x"},
			map[string][]string{"x": {"1|10", "2|20"}, "x_old": {"1|10", "2|20"}}},
		"altered":        {[]string{"ALTER TABLE x ADD COLUMN w int NOT NULL DEFAULT 5"}, map[string][]string{"x": {"1|10|5", "2|20|5"}}},
		"made again":     {[]string{"ALTER TABLE x DROP COLUMN v", "ALTER TABLE x ADD COLUMN v bigint DEFAULT 7"}, map[string][]string{"x": {"1|7", "2|7"}}},
		"indexed":        {[]string{"ALTER TABLE x ADD INDEX (v)"}, map[string][]string{"x": {"1|10", "2|20"}}},
		"database gone":  {[]string{"DROP DATABASE %s_2"}, map[string][]string{"x": {"1|10", "2|20"}}},
		"keys in ranges": {[]string{"ALTER TABLE x DROP PRIMARY KEY, ADD PRIMARY KEY (v)"}, map[string][]string{"x": {"1|10", "2|20"}}},
	} {
		t.Run(name, func(t *testing.T) {
			onServers(t, func(t *testing.T, f *fixture) {
				f.exec("DROP DATABASE IF EXISTS " + f.db + "_2")
				f.exec("CREATE DATABASE " + f.db + "_2")
				t.Cleanup(func() { f.conn.Exec(context.Background(), "DROP DATABASE IF EXISTS "+f.db+"_2") })
				f.exec("CREATE TABLE " + f.db + "_2.other (id int PRIMARY KEY)")
				for _, n := range []string{"a", "x", "z"} {
					f.exec("CREATE TABLE " + n + " (id int PRIMARY KEY, v int)")
					f.exec("INSERT INTO " + n + " VALUES (1, 10), (2, 20)")
				}
				o := f.options()
				o.Rows = func(db, _ string) bool { return strings.HasPrefix(db, f.db) }
				s := newSink()
				changed := false
				s.each = func(m *capturev1.SubscribeResponse) error {
					if m.GetSnapshot().GetTables() > 0 && !changed { // the cut is taken, and nothing is read
						changed = true
						for _, sql := range c.change {
							f.exec(strings.ReplaceAll(sql, "%s", f.db))
						}
						f.exec("INSERT INTO z VALUES (3, 30)") // not at the cut
					}
					return nil
				}
				res, err := Run(t.Context(), o, s.emit)
				if err != nil {
					t.Fatal(err)
				}
				want := map[string][]string{"a": {"1|10", "2|20"}, "z": {"1|10", "2|20"}}
				for n, rows := range c.want {
					want[n] = rows
				}
				if diff := cmp.Diff(want, s.rows); diff != "" || len(s.failed) > 0 {
					t.Errorf("%s, failed %v", diff, s.failed)
				}
				if last := s.markers[len(s.markers)-1]; !strings.HasSuffix(last, "MARKER_LAST") {
					t.Errorf("markers %v", s.markers)
				}
				checkEnd(t, f, s, res)
			})
		})
	}
}

// TestATableThatNeverRests is told as an error, and ends nothing.
func TestATableThatNeverRests(t *testing.T) {
	onServers(t, func(t *testing.T, f *fixture) {
		f.exec("CREATE TABLE a (id int PRIMARY KEY)")
		f.exec("CREATE TABLE x (id int PRIMARY KEY, v int)")
		n := 0
		s := newSink()
		s.each = func(m *capturev1.SubscribeResponse) error {
			if p := m.GetSnapshot(); p.GetTables() > 0 && p.GetTable() == "" && !p.GetComplete() { // before each round
				n++
				f.exec(fmt.Sprintf("ALTER TABLE x ADD COLUMN v%d int", n))
			}
			return nil
		}
		res, err := Run(t.Context(), f.options(), s.emit)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range s.progress {
			if diff := cmp.Diff([]string{f.db + ".a", f.db + ".x"}, p.TableNames); len(p.TableNames) > 0 && diff != "" {
				t.Error(diff)
			}
		}
		if n != mostRounds+1 || len(s.failed) != 1 || s.failed[0].Table != "x" || !strings.Contains(s.failed[0].Reason, "ask for a snapshot") {
			t.Errorf("%d changes, failed %v", n, s.failed)
		}
		checkEnd(t, f, s, res)
	})
}

// TestModesThatNeedMore end with a clear error.
func TestModesThatNeedMore(t *testing.T) {
	onServers(t, func(t *testing.T, f *fixture) {
		f.exec("CREATE TABLE t (id int PRIMARY KEY)")
		for _, mode := range []capturev1.LockingMode{capturev1.LockingMode_LOCKING_MODE_MINIMAL_PERCONA, capturev1.LockingMode_LOCKING_MODE_MINIMAL_PERCONA_NO_TABLE_LOCKS} {
			o := f.options()
			o.Snapshot.Locking = mode
			if _, err := Run(t.Context(), o, newSink().emit); errs.KindOf(err) != errs.Unsupported || !strings.Contains(err.Error(), "minimal_percona") || !strings.Contains(err.Error(), "use minimal") {
				t.Errorf("%s on a server without backup locks: %v", mode, err)
			}
		}
		user := "snapshot_nolock"
		f.exec("DROP USER IF EXISTS " + user)
		f.exec("CREATE USER " + user)
		t.Cleanup(func() { f.conn.Exec(context.Background(), "DROP USER "+user) })
		f.exec("GRANT SELECT, REPLICATION CLIENT ON *.* TO " + user)
		o := f.options()
		o.Source.User = user
		o.Snapshot.Locking = capturev1.LockingMode_LOCKING_MODE_EXTENDED
		if _, err := Run(t.Context(), o, newSink().emit); errs.KindOf(err) != errs.Denied || !strings.Contains(err.Error(), "grant RELOAD") {
			t.Errorf("extended without a privilege: %v", err)
		}
	})
}
