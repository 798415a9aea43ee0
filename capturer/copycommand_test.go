package capturer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/capture"
)

func start(id string, tables ...*capturev1.SnapshotTable) *capturev1.SnapshotCommand {
	return &capturev1.SnapshotCommand{Id: id, Action: capturev1.SnapshotAction_SNAPSHOT_ACTION_START, Tables: tables, ChunkRows: 10}
}

func command(t *testing.T, s *capture.Stream, c *capturev1.SnapshotCommand) {
	t.Helper()
	if err := s.Snapshot(c); err != nil {
		t.Fatal(err)
	}
}

// ends returns the progress that says how each table, and each command, ended.
func (m *materialized) ends() []string {
	var out []string
	for _, p := range m.progress {
		name := p.Table
		if name != "" {
			_, name = split(name)
		}
		if p.TableComplete || p.Complete {
			out = append(out, strings.TrimPrefix(fmt.Sprintf("%s %s %v", p.Id, name, p.State), ""))
		}
	}
	return out
}

// over says that a command has ended.
func (m *materialized) over(id string) func() bool {
	return func() bool {
		for _, p := range m.progress {
			if p.Id == id && p.Complete {
				return true
			}
		}
		return false
	}
}

func TestSnapshotOnDemand(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		m.exec("CREATE TABLE a (id INT PRIMARY KEY, v INT)", "CREATE TABLE b (id INT, v INT)", "CREATE TABLE c (id INT PRIMARY KEY, v INT)", "CREATE TABLE hollow (id INT PRIMARY KEY)",
			"INSERT INTO a SELECT seq, seq FROM (SELECT 1 seq UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) s", "INSERT INTO b VALUES (1,1),(NULL,2),(NULL,3),(2,4)", "INSERT INTO c VALUES (1,1)")
		for i := range 30 {
			m.exec(fmt.Sprintf("INSERT INTO a VALUES (%d, %d)", 100+i, i))
		}
		s := m.open(latest, func(o *capturev1.Open) { o.Tables.ExcludeTables = []string{m.db + `\.c`} })
		defer s.Close()
		table := func(name, condition, surrogate string) *capturev1.SnapshotTable {
			return &capturev1.SnapshotTable{Table: m.db + "." + name, Condition: condition, SurrogateKey: surrogate}
		}
		x := newMaterialized(t)
		command(t, s, start("one", table("a", "v < 20 OR 0", ""), table("b", "", ""), table("c", "", ""), table("nowhere", "", ""), table("hollow", "", ""), table("a", "1) OR (1", ""),
			table("a", "no_column = 1", "")))
		x.follow(s, x.over("one"))
		want := []string{
			"one c SNAPSHOT_STATE_UNKNOWN_SCHEMA", "one a SNAPSHOT_STATE_SQL_EXCEPTION", "one a SNAPSHOT_STATE_SUCCEEDED", "one b SNAPSHOT_STATE_NO_PRIMARY_KEY",
			"one nowhere SNAPSHOT_STATE_UNKNOWN_SCHEMA", "one hollow SNAPSHOT_STATE_EMPTY", "one a SNAPSHOT_STATE_SQL_EXCEPTION", "one  SNAPSHOT_STATE_SUCCEEDED",
		}
		if diff := cmp.Diff(want, x.ends()); diff != "" {
			t.Error(diff)
		}
		if x.reads != 24 {
			t.Errorf("%d rows read, want 24", x.reads)
		}
		for _, p := range x.progress {
			if p.Error != "" && !strings.Contains(p.Error, m.db) {
				t.Errorf("an error that does not name its table: %s", p.Error)
			}
		}

		x = newMaterialized(t)
		command(t, s, start("two", table("b", "", "ID")))
		x.follow(s, x.over("two"))
		if x.reads != 4 || x.progress[0].RowsDone == 0 {
			t.Errorf("%d rows read by a surrogate key that is NULL in some, want 4; %v", x.reads, x.progress)
		}
	})
}

// A paused snapshot stays so over a resume, and goes on where it was.
func TestSnapshotOnDemandPausesAndStops(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		m.exec("CREATE TABLE a (id INT PRIMARY KEY, v INT)")
		for i := range 20 {
			var values []string
			for k := range 50 {
				values = append(values, fmt.Sprintf("(%d,0)", i*50+k))
			}
			m.exec("INSERT INTO a VALUES " + strings.Join(values, ","))
		}
		small := func(o *capturev1.Open) { o.MaxBatchBytes, o.Credit = 200, 400 }
		s := m.open(latest, small)
		x := newMaterialized(t)
		command(t, s, start("p", &capturev1.SnapshotTable{Table: m.db + ".a"}))
		x.follow(s, func() bool { return x.reads > 100 })
		command(t, s, &capturev1.SnapshotCommand{Action: capturev1.SnapshotAction_SNAPSHOT_ACTION_PAUSE})
		paused := func() bool {
			n := len(x.progress)
			return n > 0 && x.progress[n-1].State == capturev1.SnapshotState_SNAPSHOT_STATE_PAUSED
		}
		x.follow(s, paused)
		m.exec("INSERT INTO a VALUES (100000,1)")
		x.follow(s, func() bool { _, ok := x.rows[m.db+".a 100000"]; return ok })
		s.Close()
		before := x.reads
		if before > 500 {
			t.Errorf("%d rows were read before the pause held", before)
		}
		x.progress = nil
		s = m.open(fromToken(x.token), small)
		x.follow(s, paused) // is told again
		if x.progress[0].RowsDone == 0 || x.progress[0].RowsDone > uint64(before) {
			t.Errorf("%d rows done after a resume, %d were read", x.progress[0].RowsDone, before)
		}
		command(t, s, &capturev1.SnapshotCommand{Id: "p", Action: capturev1.SnapshotAction_SNAPSHOT_ACTION_RESUME})
		x.follow(s, x.over("p"))
		s.Close()
		if x.reads != 1000 {
			t.Errorf("%d rows were read in all, want 1000: none twice, and none behind the greatest key at the beginning", x.reads)
		}
		if diff := cmp.Diff(m.truth(t), x.rows); diff != "" {
			t.Errorf("consumer and table differ: %.2000s", diff)
		}

		s = m.open(latest, small)
		x = newMaterialized(t)
		command(t, s, start("s", &capturev1.SnapshotTable{Table: m.db + ".a"}, &capturev1.SnapshotTable{Table: m.db + ".other"}))
		command(t, s, &capturev1.SnapshotCommand{Id: "s", Action: capturev1.SnapshotAction_SNAPSHOT_ACTION_STOP})
		x.follow(s, x.over("s"))
		s.Close()
		if x.reads == 0 || x.reads > 100 {
			t.Errorf("%d rows read of a snapshot that was stopped at once, want its first chunk", x.reads)
		}
		want := []string{"s other SNAPSHOT_STATE_STOPPED", "s a SNAPSHOT_STATE_STOPPED", "s  SNAPSHOT_STATE_STOPPED"}
		if diff := cmp.Diff(want, x.ends()); diff != "" {
			t.Error(diff)
		}
	})
}
