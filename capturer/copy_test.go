package capturer

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/row"
	"github.com/rowmesh/rowmesh/services/source"
)

var lockFree = &capturev1.Start{At: &capturev1.Start_Snapshot{Snapshot: true}}

func inChunks(rows uint32) func(*capturev1.Open) {
	return func(o *capturev1.Open) {
		o.Snapshot = &capturev1.SnapshotOptions{Data: true, LockFree: true, ChunkRows: rows, Threads: 3}
		o.MaxBatchBytes = 8 << 10
	}
}

// materialized is what a consumer that keeps the last event of each key has: rows by table and key, as text.
type materialized struct {
	*testing.T
	rows     map[string]string
	schemas  map[uint32]*rowv1.Table
	token    []byte
	complete bool
	reads    int // rows with op 'r'
	batches  int
	progress []*capturev1.SnapshotProgress
	markers  []rowv1.Marker // of the rows with op 'r', group by group
	errors   []string
	replaced bool // a table was replaced by another of its name: what is read of it is no row that the stream has told of
}

func newMaterialized(t *testing.T) *materialized {
	return &materialized{T: t, rows: map[string]string{}, schemas: map[uint32]*rowv1.Table{}}
}

// take applies a message. A row that is read must be the one that the consumer has, if it has one: it is what the table holds at that place of the log.
func (m *materialized) take(x *capturev1.SubscribeResponse) {
	switch x := x.Message.(type) {
	case *capturev1.SubscribeResponse_Schema:
		m.schemas[x.Schema.SchemaId] = x.Schema
	case *capturev1.SubscribeResponse_Batch:
		m.batch(x.Batch)
		m.token = x.Batch.Checkpoint.GetToken()
		m.batches++
	case *capturev1.SubscribeResponse_Ddl:
		if t := x.Ddl.Checkpoint.GetToken(); len(t) > 0 {
			m.token = t
		}
		for _, name := range x.Ddl.Truncated {
			m.forget(name)
		}
	case *capturev1.SubscribeResponse_Progress:
		m.token = x.Progress.Checkpoint.Token
	case *capturev1.SubscribeResponse_Snapshot:
		m.progress = append(m.progress, x.Snapshot)
		if x.Snapshot.Complete {
			m.complete = true
			if t := x.Snapshot.Checkpoint.GetToken(); len(t) > 0 {
				m.token = t
			}
		}
	case *capturev1.SubscribeResponse_TableError:
		m.errors = append(m.errors, x.TableError.Reason)
	}
}

func (m *materialized) forget(table string) {
	for k := range m.rows {
		if strings.HasPrefix(k, table+" ") {
			delete(m.rows, k)
		}
	}
}

func (m *materialized) batch(b *rowv1.Batch) {
	payload := b.Payload
	for g := range b.GroupSchema {
		shape := m.schemas[b.GroupSchema[g]]
		if shape == nil {
			m.Fatalf("batch %d uses schema %d, which was not sent", b.Seq, b.GroupSchema[g])
		}
		op := row.Op(b.GroupOp[g])
		name := shape.Database + "." + shape.Table
		if op == row.Truncate {
			m.forget(name)
		}
		if op == row.Read {
			m.reads += int(b.GroupRows[g])
			m.markers = append(m.markers, rowv1.Marker(b.GroupMarker[g]))
		}
		lay := row.NewLayout(shape.Columns)
		for range b.GroupRows[g] {
			for image := range op.Images() {
				cells := make([]row.Cell, len(shape.Columns))
				var err error
				if payload, err = lay.Split(cells, payload, false); err != nil {
					m.Fatal(err)
				}
				key := name
				for _, k := range shape.Key {
					key += " " + textOf(shape.Columns[k], &cells[k])
				}
				if op == row.Delete || op == row.Update && image == 0 {
					delete(m.rows, key)
					continue
				}
				value := spell(shape, cells)
				if len(shape.Key) == 0 {
					key += " " + value
				}
				if had, ok := m.rows[key]; ok && op == row.Read && had != value && b.Snapshot && !m.replaced {
					m.Fatalf("batch %d: row %s is read as %.200s where the stream stands at %.200s", b.Seq, key, value, had)
				}
				m.rows[key] = value
			}
		}
	}
}

func textOf(c *rowv1.Column, cell *row.Cell) string {
	switch c.Kind {
	case rowv1.Kind_KIND_INT:
		return fmt.Sprint(cell.Int())
	case rowv1.Kind_KIND_UINT, rowv1.Kind_KIND_YEAR, rowv1.Kind_KIND_BIT:
		return fmt.Sprint(cell.Uint())
	}
	return row.Text(c, cell)
}

// follow reads a stream until enough says so or it ends.
func (m *materialized) follow(s *capture.Stream, enough func() bool) {
	m.Helper()
	for !enough() {
		x, err := s.Recv()
		if err == io.EOF {
			return
		}
		if err != nil {
			m.Fatalf("after %d batches: %v", m.batches, err)
		}
		m.take(x)
		s.Release(x)
	}
}

// finished waits for a row of the table finished, which is written last.
func (m *materialized) finished(db string) func() bool {
	return func() bool {
		_, ok := m.rows[db+".finished 1"]
		return ok && m.complete
	}
}

// truth is what a table holds, spelled as materialized does, read through a snapshot with a lock.
func (m *mesh) truth(t *testing.T) map[string]string {
	t.Helper()
	x := newMaterialized(t)
	s := m.open(lockFree, func(o *capturev1.Open) {
		o.Consumer = "truth"
		o.Snapshot = &capturev1.SnapshotOptions{Data: true, Only: true}
	})
	x.follow(s, func() bool { return false })
	s.Close()
	if !x.complete {
		t.Fatal("the snapshot that is the truth did not end")
	}
	return x.rows
}

// writers change the rows of t and of u until stop is closed: updates, key changes, deletes, and rows that come back.
func (m *mesh) writers(n int, keys int, stop <-chan struct{}) (wait func()) {
	done := make(chan error, n)
	for w := range n {
		conn, err := source.Connect(context.Background(), source.Config{Addr: m.addr, User: "root"})
		if err != nil {
			m.t.Fatal(err)
		}
		go func() {
			defer conn.Close()
			r := rand.New(rand.NewPCG(uint64(w), 7))
			for i := 0; ; i++ {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				id := r.IntN(keys)
				var sql string
				switch r.IntN(6) {
				case 0:
					sql = fmt.Sprintf("DELETE FROM %s.t WHERE id=%d", m.db, id)
				case 1:
					sql = fmt.Sprintf("INSERT IGNORE INTO %s.t VALUES (%d, 'new %d', REPEAT('n', 100))", m.db, id, i)
				case 2:
					sql = fmt.Sprintf("UPDATE IGNORE %s.t SET id=%d WHERE id=%d", m.db, r.IntN(keys), id)
				case 3:
					sql = fmt.Sprintf("UPDATE %s.u SET a=IF(a=LOWER(a), UPPER(a), LOWER(a)), v=v+1 WHERE b=%d", m.db, id%97)
				default:
					sql = fmt.Sprintf("UPDATE %s.t SET v='%d %d' WHERE id BETWEEN %d AND %d", m.db, w, i, id, id+r.IntN(5))
				}
				if err := conn.Exec(context.Background(), sql); err != nil && source.ErrorCode(err) != 1213 {
					done <- fmt.Errorf("%s: %w", sql, err)
					return
				}
			}
		}()
	}
	return func() {
		for range n {
			if err := <-done; err != nil {
				m.t.Error(err)
			}
		}
	}
}

// fillCopied makes the tables that writers change.
func (m *mesh) fillCopied(keys int) {
	m.exec("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(50), w VARCHAR(200))",
		"CREATE TABLE u (a VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, b INT UNSIGNED, v BIGINT, PRIMARY KEY (a, b))",
		"CREATE TABLE finished (id INT PRIMARY KEY)", "CREATE TABLE none (id INT)", "INSERT INTO none VALUES (1),(1),(2)")
	var t, u []string
	for i := range keys {
		t = append(t, fmt.Sprintf("(%d,'old',REPEAT('o',100))", i))
		u = append(u, fmt.Sprintf("('%c%c',%d,0)", 'a'+i%26, 'A'+i/26%26, i%97))
		if len(t) == 500 {
			m.exec("INSERT IGNORE INTO t VALUES "+strings.Join(t, ","), "INSERT IGNORE INTO u VALUES "+strings.Join(u, ","))
			t, u = nil, nil
		}
	}
}

func TestCopyConvergesUnderWritesAndKills(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		const keys, kills = 4_000, 20
		m.fillCopied(keys)
		stop := make(chan struct{})
		wait := m.writers(3, keys, stop)
		x := newMaterialized(t)
		start := lockFree
		random := seeded(t)
		for range kills {
			s := m.open(start, inChunks(100))
			x.complete = false
			until := x.batches + 1 + random.IntN(12)
			x.follow(s, func() bool { return x.batches >= until || x.complete })
			s.Close()
			if len(x.token) > 0 {
				start = fromToken(x.token)
			}
			if x.complete {
				break
			}
		}
		s := m.open(start, inChunks(100))
		if !x.complete {
			x.follow(s, func() bool { return x.complete })
		}
		close(stop)
		wait()
		m.exec("INSERT INTO finished VALUES (1)")
		x.follow(s, x.finished(m.db))
		s.Close()
		want := m.truth(t)
		if diff := cmp.Diff(want, x.rows); diff != "" {
			t.Errorf("consumer and table differ: %.3000s", diff)
		}
		if len(x.errors) > 0 {
			t.Error(x.errors)
		}
		t.Logf("%d rows read, %d rows in the end", x.reads, len(want))
	})
}

func TestCopyOfIdleServerNeedsNoTimer(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		for i := range 30 {
			m.exec(fmt.Sprintf("CREATE TABLE t%d (id INT PRIMARY KEY)", i), fmt.Sprintf("INSERT INTO t%d VALUES (1),(2),(3)", i))
		}
		x := newMaterialized(t)
		began := time.Now()
		s := m.open(lockFree, inChunks(1))
		x.follow(s, func() bool { return x.complete })
		if took := time.Since(began); took > 45*time.Second {
			t.Errorf("90 chunks took %v: they wait for something that does not come by itself", took)
		} else {
			t.Logf("90 chunks in %v", took)
		}
		if x.reads != 90 {
			t.Errorf("%d rows read, want 90", x.reads)
		}
		for name, c := range map[string]*prometheus.CounterVec{"rows": m.capturer.metrics.copiedRows, "bytes": m.capturer.metrics.copiedBytes} {
			var got dto.Metric
			if err := c.WithLabelValues(strings.ToLower(m.addr)).Write(&got); err != nil || got.Counter.GetValue() < 90 {
				t.Errorf("the counter of %s is %v after 90 rows, %v", name, got.Counter.GetValue(), err)
			}
		}
		if x.markers[0] != rowv1.Marker_MARKER_FIRST || x.markers[len(x.markers)-1] != rowv1.Marker_MARKER_LAST {
			t.Errorf("markers %v", x.markers)
		}
	})
}

// Connections of a snapshot that are killed, and statements that the server ends, are done again by the chunk.
func TestCopyAfterKilledConnections(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		const keys = 5000
		m.fillCopied(keys)
		x := newMaterialized(t)
		s := m.open(lockFree, inChunks(50), func(o *capturev1.Open) { o.MaxBatchBytes, o.Credit = 2000, 6000 })
		for killed := 0; killed < 5 && !x.complete; {
			until := x.batches + 5
			x.follow(s, func() bool { return x.batches >= until || x.complete })
			res, err := m.conn.Query(t.Context(), "SELECT id FROM information_schema.processlist WHERE command<>'Binlog Dump' AND command<>'Binlog Dump GTID' AND user='"+testUser+"'")
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range res.Rows {
				m.conn.Exec(t.Context(), "KILL "+r[0].Text) // may be gone already
				killed++
			}
		}
		m.exec("INSERT INTO finished VALUES (1)")
		x.follow(s, x.finished(m.db))
		s.Close()
		if diff := cmp.Diff(m.truth(t), x.rows); diff != "" {
			t.Errorf("consumer and table differ: %.2000s", diff)
		}
		if len(x.errors) > 0 {
			t.Error(x.errors)
		}
	})
}
