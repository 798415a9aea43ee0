package capturer

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
)

// A subscriber that joins a reader which has never heard of its tables is told of DDL about them, in the spelling of its snapshot.
func TestSharedReaderLearnsShapes(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		m.exec("CREATE TABLE t (id INT PRIMARY KEY, b BOOL)", "CREATE TABLE other (id INT PRIMARY KEY)")
		first := m.open(&capturev1.Start{At: &capturev1.Start_Latest{Latest: true}}, func(o *capturev1.Open) {
			o.Tables = &capturev1.TableFilter{IncludeTables: []string{m.db + `\.other`}}
		})
		m.exec("INSERT INTO other VALUES (1)")
		newSeen().read(t, first, rowsAtLeast(1)) // the shared reader is at the end of the log, and knows nothing of t
		s := m.open(&capturev1.Start{At: &capturev1.Start_Snapshot{Snapshot: true}}, func(o *capturev1.Open) {
			o.Tables = &capturev1.TableFilter{IncludeTables: []string{m.db + `\.t`}}
			o.Snapshot, o.Ddl = &capturev1.SnapshotOptions{Data: true}, capturev1.DdlScope_DDL_SCOPE_UNSPECIFIED
		})
		got := newSeen()
		got.read(t, s, func(s *seen) bool { return s.last.GetSnapshot().GetComplete() })
		told := len(got.rows)
		m.exec("CREATE TABLE t2 LIKE t", "INSERT INTO t VALUES (1,1)", "ALTER TABLE t ADD COLUMN n INT", "INSERT INTO t VALUES (2,1,3)")
		got.read(t, s, rowsAtLeast(told+3))
		want := []string{"c t 1,1", "ddl ALTER TABLE t ADD COLUMN n INT", "c t 2,1,3"}
		if diff := cmp.Diff(want, got.rows[told:]); diff != "" {
			t.Error(diff)
		}
		for _, shape := range got.schemas {
			if shape.Columns[1].TypeName != "TINYINT" {
				t.Errorf("b is %s, the snapshot said TINYINT", shape.Columns[1].TypeName)
			}
		}
	})
}

// What MariaDB keeps to itself stays there: columns of the system period, and sequences. A DELETE is one although the log calls it an update.
func TestVersionedTablesAndSequences(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		if !strings.HasSuffix(t.Name(), "mariadb") {
			t.Skip("MariaDB has these")
		}
		m.exec("CREATE SEQUENCE sq", "CREATE TABLE v (id INT PRIMARY KEY, n INT) WITH SYSTEM VERSIONING", "INSERT INTO v VALUES (1,1),(2,2),(3,3)")
		s := m.open(&capturev1.Start{At: &capturev1.Start_Snapshot{Snapshot: true}}, func(o *capturev1.Open) {
			o.Snapshot, o.Ddl = &capturev1.SnapshotOptions{Data: true}, capturev1.DdlScope_DDL_SCOPE_NONE
		})
		got := newSeen()
		got.read(t, s, func(s *seen) bool { return s.last.GetSnapshot().GetComplete() })
		m.exec("UPDATE v SET n=n+10 WHERE id<3", "DELETE FROM v WHERE id<>2", "SELECT NEXTVAL(sq)", "DELETE HISTORY FROM v", "INSERT INTO v VALUES (4,4),(5,5)")
		want := []string{"r v 1,1", "r v 2,2", "r v 3,3", "u v 1,1 1,11", "u v 2,2 2,12", "d v 1,11", "d v 3,3", "c v 4,4", "c v 5,5"}
		got.read(t, s, rowsAtLeast(len(want)))
		if diff := cmp.Diff(want, got.rows); diff != "" {
			t.Error(diff)
		}
	})
}
