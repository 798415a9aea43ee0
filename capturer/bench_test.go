package capturer

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
)

// BenchmarkBacklog reads a backlog of a real server through gRPC: decoding, batching and both ends of the stream. It prints rows a second and the CPU of
// this process a row, server and mysqld excluded.
func BenchmarkBacklog(b *testing.B) {
	addr := os.Getenv(engines[0].env)
	if addr == "" {
		b.Skip("needs a real server: set " + engines[0].env)
	}
	const rows = 100_000
	for _, perTxn := range []int{1000, 1} {
		n := rows
		if perTxn == 1 {
			n = 20_000 // written one by one
		}
		b.Run(fmt.Sprintf("rows_per_transaction=%d", perTxn), func(b *testing.B) {
			m := newMesh(b, engines[0], addr)
			m.exec("CREATE TABLE t (id BIGINT PRIMARY KEY, a INT, c CHAR(120), v VARCHAR(60), d DATETIME(3), p DECIMAL(12,2), j JSON)")
			start := fromToken(new(place).token(m.head().GetPosition(), cursor{}, true)) // nobody else writes meanwhile
			m.fill(n, perTxn)
			b.ReportAllocs()
			b.ResetTimer()
			before := cpu()
			began := time.Now()
			for range b.N {
				s := m.open(start, func(o *capturev1.Open) { o.Ddl = capturev1.DdlScope_DDL_SCOPE_NONE })
				for got := 0; got < n; {
					r, err := s.Recv()
					if err != nil {
						b.Fatal(err)
					}
					for _, k := range r.GetBatch().GetGroupRows() {
						got += int(k)
					}
					s.Release(r)
				}
				s.Close()
			}
			total := float64(b.N * n)
			b.ReportMetric(total/time.Since(began).Seconds(), "rows/s")
			b.ReportMetric(float64((cpu()-before).Microseconds())/total, "cpu-us/row")
		})
	}
}

// BenchmarkForeignTransactions counts what transactions of a table that nobody wants cost: 20 subscribers, one connection.
func BenchmarkForeignTransactions(b *testing.B) {
	addr := os.Getenv(engines[0].env)
	if addr == "" {
		b.Skip("needs a real server: set " + engines[0].env)
	}
	m := newMesh(b, engines[0], addr)
	m.exec("CREATE TABLE t (id BIGINT PRIMARY KEY, a INT, c CHAR(120), v VARCHAR(60), d DATETIME(3), p DECIMAL(12,2), j JSON)", "CREATE TABLE mine (id INT PRIMARY KEY)")
	for i := range 20 {
		s := m.open(latest, func(o *capturev1.Open) {
			o.Consumer, o.Tables = fmt.Sprint("c", i), &capturev1.TableFilter{IncludeTables: []string{m.db + `\.mine`}}
		})
		go func() {
			for {
				r, err := s.Recv()
				if err != nil {
					return
				}
				s.Release(r)
			}
		}()
	}
	m.awaitConnections(1)
	b.ResetTimer()
	before := cpu()
	m.fill(b.N, 1)
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-us/txn") // the writing client included
}

// fill writes wide rows.
func (m *mesh) fill(n, perTxn int) {
	m.t.Helper()
	for i := 0; i < n; i += perTxn {
		var values []string
		for k := range perTxn {
			id := i + k
			values = append(values, fmt.Sprintf("(%d,%d,REPEAT('c',120),REPEAT('v',60),'2026-01-02 03:04:05.678',%d.25,'{\"a\": 1, \"name\": \"value %d\", \"tags\": [1,2,3], \"more\": \"%s\"}')", id, id, id, id, strings.Repeat("m", 40)))
		}
		m.exec("INSERT INTO t VALUES " + strings.Join(values, ","))
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSnapshot reads wide rows of a real server through gRPC: from one cut, and in chunks without a lock while the log is streamed.
func BenchmarkSnapshot(b *testing.B) {
	addr := os.Getenv(engines[0].env)
	if addr == "" {
		b.Skip("needs a real server: set " + engines[0].env)
	}
	const rows = 200_000
	m := newMesh(b, engines[0], addr)
	m.exec("CREATE TABLE t (id BIGINT PRIMARY KEY, a INT, c CHAR(120), v VARCHAR(60), d DATETIME(3), p DECIMAL(12,2), j JSON)")
	m.fill(rows, 1000)
	for _, c := range []struct {
		name    string
		options *capturev1.SnapshotOptions
	}{
		{"cut", &capturev1.SnapshotOptions{Data: true}},
		{"chunks", &capturev1.SnapshotOptions{Data: true, LockFree: true}},
		{"chunks of two connections", &capturev1.SnapshotOptions{Data: true, LockFree: true, Threads: 2}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			before, began, got := cpu(), time.Now(), 0
			for b.Loop() {
				s := m.open(&capturev1.Start{At: &capturev1.Start_Snapshot{Snapshot: true}}, func(o *capturev1.Open) {
					o.Ddl, o.Snapshot = capturev1.DdlScope_DDL_SCOPE_NONE, c.options
				})
				for complete := false; !complete; {
					r, err := s.Recv()
					if err != nil {
						b.Fatal(err)
					}
					for _, k := range r.GetBatch().GetGroupRows() {
						got += int(k)
					}
					complete = r.GetSnapshot().GetComplete()
					s.Release(r)
				}
				s.Close()
			}
			b.ReportMetric(float64(got)/time.Since(began).Seconds(), "rows/s")
			b.ReportMetric(float64((cpu()-before).Microseconds())/float64(got), "cpu-us/row")
			if got%rows != 0 {
				b.Errorf("%d rows, want a multiple of %d", got, rows)
			}
		})
	}
}
