package capturer

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/source"
)

func TestRowsThroughGRPC(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		m.exec("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(50), n INT UNSIGNED)")
		s := m.open(latest)
		m.exec("INSERT INTO t VALUES (1,'a',10),(2,'b',NULL)", "UPDATE t SET name='c' WHERE id=1", "DELETE FROM t WHERE id=2",
			"BEGIN", "INSERT INTO t VALUES (3,'x',3)", "INSERT INTO t VALUES (4,'y',4)", "COMMIT",
			"ALTER TABLE t ADD COLUMN extra VARCHAR(10) DEFAULT 'e'", "INSERT INTO t VALUES (5,'z',5,'f')")
		got := newSeen().read(t, s, rowsAtLeast(8))
		want := []string{"c t 1,a,10", "c t 2,b,NULL", "u t 1,a,10 1,c,10", "d t 2,b,NULL", "c t 3,x,3", "c t 4,y,4", "ddl ALTER TABLE t ADD COLUMN extra VARCHAR(10) DEFAULT 'e'", "c t 5,z,5,f"}
		if diff := cmp.Diff(want, got.rows); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRestartAtEveryBatch(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		m.exec("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(200))", "CREATE TABLE other (id INT PRIMARY KEY)")
		s := m.open(latest)
		begin := m.head()
		values := ""
		for i := range 300 {
			values += fmt.Sprintf(",(%d,REPEAT('x',100))", i)
		}
		m.exec("INSERT INTO t VALUES "+values[1:], "BEGIN", "INSERT INTO other VALUES (1)", "UPDATE t SET name='y' WHERE id<100", "DELETE FROM t WHERE id>=250", "COMMIT",
			"INSERT INTO t VALUES (1000,'end')")
		small := func(s *seen) bool { return len(s.rows) >= 452 }
		want := newSeen().read(t, s, small)
		s.Close()
		start := m.open(begin, smallBatches)
		full := newSeen().read(t, start, small)
		if diff := cmp.Diff(want.rows, full.rows); diff != "" {
			t.Fatal(diff)
		}
		start.Close()
		if len(full.tokens) < 10 {
			t.Fatalf("%d batches; small ones were asked for", len(full.tokens))
		}
		for i, token := range full.tokens {
			if i%3 != 0 && i < len(full.tokens)-2 {
				continue // a third of them, for time
			}
			rest := full.rows[full.after[i]:]
			if len(rest) == 0 {
				continue
			}
			s := m.open(fromToken(token), smallBatches)
			got := newSeen().read(t, s, rowsAtLeast(len(rest)))
			s.Close()
			if diff := cmp.Diff(rest, got.rows); diff != "" {
				t.Fatalf("from token %d (after %d rows, transaction end %v): %s", i, full.after[i], full.ends[i], diff)
			}
		}
	})
}

// head is the end of the log as a start.
func (m *mesh) head() *capturev1.Start {
	m.t.Helper()
	p, err := source.Head(m.t.Context(), m.conn)
	if err != nil {
		m.t.Fatal(err)
	}
	return &capturev1.Start{At: &capturev1.Start_Position{Position: p}}
}

func smallBatches(o *capturev1.Open) { o.MaxBatchBytes = 1000 }
