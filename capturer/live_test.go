package capturer

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/capture"
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

func TestManySubscribersOneConnection(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		m.exec("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(50))", "INSERT INTO t VALUES (-1,'before')")
		const n = 20
		var streams []*capture.Stream
		for i := range n {
			streams = append(streams, m.open(latest, func(o *capturev1.Open) { o.Consumer = fmt.Sprint("c", i) }))
		}
		for i := range 50 {
			m.exec(fmt.Sprintf("INSERT INTO t VALUES (%d,'x')", i))
		}
		var first []string
		for i, s := range streams {
			got := newSeen().read(t, s, rowsAtLeast(50))
			if i == 0 {
				first = got.rows
			}
			if diff := cmp.Diff(first, got.rows); diff != "" || len(got.rows) != 50 {
				t.Fatalf("subscriber %d has %d rows: %s", i, len(got.rows), diff)
			}
		}
		m.awaitConnections(1)
	})
}

func TestCatchUpJoins(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		m.exec("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(200))")
		start := m.head()
		stop, done := make(chan struct{}), make(chan int, 1)
		go func() { done <- m.write(stop) }()
		live := m.open(start, func(o *capturev1.Open) { o.Consumer = "live" })
		var readers []*capture.Stream
		for i := range 5 {
			readers = append(readers, m.open(start, func(o *capturev1.Open) { o.Consumer = fmt.Sprint("behind ", i) }))
		}
		streams := append(readers, live)
		results := make([]*seen, len(streams))
		progressed := make(chan int, len(streams))
		errc := make(chan error, len(streams))
		enough := make(chan struct{})
		for i, s := range streams {
			results[i] = newSeen()
			go func() {
				errc <- results[i].drain(s, enough, func() { progressed <- i })
			}()
		}
		for range streams {
			<-progressed // each has read something while the table is written
		}
		m.awaitConnections(1)
		close(stop)
		total := <-done
		m.exec("INSERT INTO t VALUES (1000000,'last')")
		close(enough)
		for range streams {
			if err := <-errc; err != nil {
				t.Fatal(err)
			}
		}
		for i, r := range results {
			if len(r.rows) != total+1 {
				t.Errorf("subscriber %d has %d rows, want %d", i, len(r.rows), total+1)
			}
			for k := range min(len(r.rows), total) {
				if want := fmt.Sprintf("c t %d,", k+1); !strings.HasPrefix(r.rows[k], want) {
					t.Fatalf("subscriber %d: row %d is %q, want %q", i, k, r.rows[k], want)
				}
			}
		}
	})
}

// write inserts rows one by one until stop is closed, and returns how many.
func (m *mesh) write(stop <-chan struct{}) int {
	conn, err := source.Connect(context.Background(), source.Config{Addr: m.addr, User: "root"})
	if err != nil {
		return -1
	}
	defer conn.Close()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return n
		default:
		}
		if conn.Exec(context.Background(), "INSERT INTO "+m.db+".t (name) VALUES (REPEAT('x',100))") != nil {
			return -1
		}
	}
}

// awaitConnections waits until the source has so many binlog connections.
func (m *mesh) awaitConnections(n uint32) {
	m.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		d, err := m.client.Describe(m.t.Context(), &capturev1.DescribeSourceRequest{Source: m.addr, Tables: &capturev1.TableFilter{IncludeDatabases: []string{m.db}}})
		if err != nil {
			m.t.Fatal(err)
		}
		if d.Connections == n {
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("%d connections for %d subscribers, want %d", d.Connections, len(d.Subscribers), n)
		}
		time.Sleep(50 * time.Millisecond) // polls a remote state that has no event
	}
}

// drain reads until the row with id 1000000.
func (s *seen) drain(stream *capture.Stream, enough <-chan struct{}, first func()) error {
	t := new(testing.T)
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		before := len(s.rows)
		s.take(t, m)
		stream.Release(m)
		if before == 0 && len(s.rows) > 0 {
			first()
		}
		if n := len(s.rows); n > 0 && strings.HasPrefix(s.rows[n-1], "c t 1000000,") {
			return nil
		}
	}
}
