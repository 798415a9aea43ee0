package capturer

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/capture/capturetest"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
)

func TestConforms(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		n := 0
		capturetest.Test(t, func(t *testing.T) capturetest.Fixture {
			n++
			table := fmt.Sprint("t", n)
			m.exec("CREATE TABLE "+table+" (id INT PRIMARY KEY, name VARCHAR(20))", "CREATE TABLE IF NOT EXISTS other (id INT AUTO_INCREMENT PRIMARY KEY)")
			return capturetest.Fixture{
				Service: m.capturer, Source: m.addr, Table: &capturev1.TableFilter{IncludeTables: []string{m.db + `\.` + table}},
				Commit: func(ids ...int64) {
					var values []string
					for _, id := range ids {
						values = append(values, fmt.Sprintf("(%d,'row')", id))
					}
					m.exec("INSERT INTO " + table + " VALUES " + strings.Join(values, ","))
				},
				Foreign: func() { m.exec("INSERT INTO other VALUES ()") },
			}
		})
	})
}

func TestSnapshotThenStream(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		m.exec("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(50))", "INSERT INTO t VALUES (1,'a'),(2,'b')")
		s := m.open(&capturev1.Start{At: &capturev1.Start_Snapshot{Snapshot: true}}, func(o *capturev1.Open) {
			o.Snapshot, o.Ddl = &capturev1.SnapshotOptions{Data: true}, capturev1.DdlScope_DDL_SCOPE_NONE
		})
		got := newSeen()
		got.read(t, s, func(s *seen) bool { return s.last.GetSnapshot().GetComplete() })
		cut := got.last.GetSnapshot().Checkpoint
		m.exec("INSERT INTO t VALUES (3,'c')", "ALTER TABLE t ADD COLUMN n INT", "INSERT INTO t VALUES (4,'d',4)")
		got.read(t, s, rowsAtLeast(4))
		want := []string{"r t 1,a", "r t 2,b", "c t 3,c", "c t 4,d,4"}
		if diff := cmp.Diff(want, got.rows); diff != "" {
			t.Error(diff)
		}
		s.Close()
		// Another capturer, which has only the store, resumes at the cut and decodes with the shapes of then.
		m.start()
		again := newSeen().read(t, m.open(fromToken(cut.Token), func(o *capturev1.Open) { o.Ddl = capturev1.DdlScope_DDL_SCOPE_NONE }), rowsAtLeast(2))
		if diff := cmp.Diff(want[2:], again.rows); diff != "" {
			t.Error(diff)
		}
	})
}

func TestConnectionLostInTransaction(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		m.exec("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(1000))")
		start := m.head()
		// 20 MB in one transaction: more than the sockets on the way hold.
		const inserts, each = 10, 2000
		m.exec("BEGIN")
		for n := range inserts {
			var values []string
			for i := range each {
				values = append(values, fmt.Sprintf("(%d,REPEAT('x',1000))", n*each+i))
			}
			m.exec("INSERT INTO t VALUES " + strings.Join(values, ","))
		}
		m.exec("COMMIT")
		s := m.open(start, func(o *capturev1.Open) { o.MaxBatchBytes, o.Credit = 64<<10, 256<<10 })
		got := newSeen().read(t, s, rowsAtLeast(1))
		for range 3 {
			m.killDumps()
			got.read(t, s, rowsAtLeast(len(got.rows)+3000))
		}
		m.exec("INSERT INTO t VALUES (50000,'end')")
		got.read(t, s, rowsAtLeast(inserts*each+1))
		for i, r := range got.rows[:inserts*each] {
			if want := fmt.Sprintf("c t %d,", i); !strings.HasPrefix(r, want) {
				t.Fatalf("row %d is %.20q, want %q", i, r, want)
			}
		}
		if n := len(got.rows); n != inserts*each+1 {
			t.Errorf("%d rows, want %d", n, inserts*each+1)
		}
	})
}

// killDumps ends all binlog connections of the server that are ours.
func (m *mesh) killDumps() {
	m.t.Helper()
	res, err := m.conn.Query(m.t.Context(), "SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%' AND user='"+testUser+"'")
	if err != nil {
		m.t.Fatal(err)
	}
	for _, row := range res.Rows {
		_ = m.conn.Exec(m.t.Context(), "KILL "+row[0].Text) // it may have gone by itself
	}
}

func TestGap(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		m.exec("CREATE TABLE t (id INT PRIMARY KEY)")
		head := m.head().GetPosition()
		ahead := proto.CloneOf(head)
		ahead.Gtids = "11111111-1111-1111-1111-111111111111:1-5"
		if head.ServerUuid == "" {
			ahead.Gtids = "77-1-5"
		}
		gone := &rowv1.Position{File: "gone.000001", Pos: 4}
		src, err := m.capturer.find(t.Context(), m.addr)
		if err != nil {
			t.Fatal(err)
		}
		src.patience = 0 // for transactions that the server may still execute
		for name, p := range map[string]*rowv1.Position{"another server": ahead, "purged file": gone} {
			s, err := m.client.Subscribe(t.Context(), &capturev1.Open{Source: m.addr, Start: &capturev1.Start{At: &capturev1.Start_Position{Position: p}}})
			if err != nil {
				t.Fatal(err)
			}
			r, err := s.Recv()
			if err != nil || r.GetGap() == nil || r.GetGap().Reason == "" {
				t.Errorf("%s: %v, %v; want Gap with a reason", name, r, err)
			}
		}
		// Sources whose transactions do not count for the subscriber (gtid.source.includes) are no gap.
		for name, c := range map[string]struct {
			sources *capturev1.GtidSources
			opened  bool
		}{
			"excluded":     {&capturev1.GtidSources{Exclude: []string{"77-.*", "11111111-.*"}}, true},
			"not included": {&capturev1.GtidSources{Include: []string{"0-.*", "22222222-.*"}}, true},
			"included":     {&capturev1.GtidSources{Include: []string{"77-1", "11111111-1111-1111-1111-111111111111"}}, false},
		} {
			start := &capturev1.Start{At: &capturev1.Start_Position{Position: ahead}, GtidSources: c.sources}
			s, err := m.client.Subscribe(t.Context(), &capturev1.Open{Source: m.addr, Start: start})
			if err != nil {
				t.Fatal(err)
			}
			if r, err := s.Recv(); err != nil || (r.GetOpened() != nil) != c.opened {
				t.Errorf("%s: %v, %v; opened is to be %v", name, r, err, c.opened)
			}
			s.Close()
		}
		// The start is in the log, but a place behind it, up to which the subscriber has some tables, is not.
		token, err := proto.Marshal(&rowv1.ResumeToken{Version: tokenVersion, Start: ahead})
		if err != nil {
			t.Fatal(err)
		}
		s, err := m.client.Subscribe(t.Context(), &capturev1.Open{Source: m.addr, Start: &capturev1.Start{At: &capturev1.Start_Position{Position: head}}, Delivered: [][]byte{token}})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := s.Recv(); err != nil || r.GetGap() == nil || !strings.Contains(r.GetGap().Reason, "never executed") {
			t.Errorf("delivered on another server: %v, %v; want Gap", r, err)
		}
	})
}

func TestOwnership(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		m.exec("CREATE TABLE t (id INT PRIMARY KEY)")
		open := func(source string) error {
			s, err := m.client.Subscribe(t.Context(), &capturev1.Open{Source: source, Start: latest})
			if err != nil {
				return err
			}
			_, err = s.Recv()
			return err
		}
		if err := open("elsewhere:3306"); errs.KindOf(err) != errs.NotOwner || !strings.Contains(err.Error(), "other") {
			t.Errorf("a source of another member: %v, want NotOwner with its name", err)
		}
		s := m.open(latest, func(o *capturev1.Open) { o.Source = "c1" }) // by connector
		m.assigned.set()
		for {
			if _, err := s.Recv(); err != nil {
				if errs.KindOf(err) != errs.NotOwner {
					t.Errorf("the source was taken away: %v, want NotOwner", err)
				}
				break
			}
		}
		m.assigned.set(m.source())
		deadline := time.Now().Add(10 * time.Second)
		for open(m.addr) != nil {
			if time.Now().After(deadline) {
				t.Fatal("the source does not come back")
			}
		}
	})
}

func TestStoppedTable(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		m.exec("CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE good (id INT PRIMARY KEY)")
		head := m.head()
		wrong := &rowv1.Table{Database: m.db, Table: "t", Columns: []*rowv1.Column{{Name: "id", Kind: rowv1.Kind_KIND_INT, TypeName: "INT"}, {Name: "x", Kind: rowv1.Kind_KIND_INT, TypeName: "INT"}}}
		if err := m.store.Put(t.Context(), registry.SourceID(m.addr), registry.TableVersion{Database: m.db, Table: "t", ValidFrom: head.GetPosition(), Shape: wrong}); err != nil {
			t.Fatal(err)
		}
		m.exec("INSERT INTO t VALUES (1)", "DROP TABLE t", "INSERT INTO good VALUES (1)")
		got := newSeen()
		got.expectErrors = true
		got.read(t, m.open(head), rowsAtLeast(2))
		if diff := cmp.Diff("c good 1", got.rows[1]); diff != "" {
			t.Error(diff)
		}
		if len(got.errors) != 1 || got.errors[0].Table != "t" || got.errors[0].Position.GetPos() == 0 {
			t.Errorf("table errors: %v, want one about t with its position", got.errors)
		}
	})
}

func TestTruncateAndOperations(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		m.exec("CREATE TABLE t (id INT PRIMARY KEY, a INT, secret VARCHAR(10))")
		all := m.open(latest, func(o *capturev1.Open) {
			o.Consumer, o.Ddl, o.ExcludeColumns = "all", capturev1.DdlScope_DDL_SCOPE_NONE, []string{`.*\.secret`, `.*\.id`}
		})
		some := m.open(latest, func(o *capturev1.Open) { o.Consumer, o.SkipOperations = "some", []byte("ut") })
		m.exec("INSERT INTO t VALUES (1,10,'x')", "UPDATE t SET a=11", "TRUNCATE t", "INSERT INTO t VALUES (2,20,NULL)")
		want := []string{"c t 1,10", "u t 1,10 1,11", "t t", "c t 2,20"}
		if diff := cmp.Diff(want, newSeen().read(t, all, rowsAtLeast(4)).rows); diff != "" {
			t.Error(diff)
		}
		want = []string{"c t 1,10,x", "ddl TRUNCATE t", "c t 2,20,NULL"}
		if diff := cmp.Diff(want, newSeen().read(t, some, rowsAtLeast(3)).rows); diff != "" {
			t.Error(diff)
		}
	})
}

func TestStarts(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		m.exec("CREATE TABLE t (id INT PRIMARY KEY)")
		s := m.open(latest)
		m.exec("INSERT INTO t VALUES (1)")
		time.Sleep(1100 * time.Millisecond) // MariaDB's log has whole seconds only
		from := time.Now().Truncate(time.Second)
		m.exec("INSERT INTO t VALUES (2)", "BEGIN", "INSERT INTO t VALUES (3),(4),(5)", "INSERT INTO t VALUES (6)", "COMMIT")
		got := newSeen()
		var offset *rowv1.SourceOffset
		for len(got.rows) < 6 {
			msg, err := s.Recv()
			if err != nil {
				t.Fatal(err)
			}
			got.take(t, msg)
			if b := msg.GetBatch(); b != nil {
				offset = proto.CloneOf(b.Checkpoint.Offset)
			}
			s.Release(msg)
		}
		s.Close()
		// A Debezium offset after the second row of the second event's predecessor: row 4 of the last transaction is next.
		offset.Event, offset.Row = 2, 2
		for name, c := range map[string]struct {
			start *capturev1.Start
			want  []string
		}{
			"time":   {&capturev1.Start{At: &capturev1.Start_TimestampUs{TimestampUs: uint64(from.UnixMicro())}}, []string{"c t 2", "c t 3", "c t 4", "c t 5", "c t 6"}},
			"offset": {&capturev1.Start{At: &capturev1.Start_Offset{Offset: offset}}, []string{"c t 5", "c t 6"}},
		} {
			t.Run(name, func(t *testing.T) {
				got := newSeen().read(t, m.open(c.start, func(o *capturev1.Open) { o.Consumer = name }), rowsAtLeast(len(c.want)))
				if diff := cmp.Diff(c.want, got.rows); diff != "" {
					t.Error(diff)
				}
			})
		}
	})
}
