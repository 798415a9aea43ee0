package bound

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/rowmesh/rowmesh/integration/harness"
)

// limitMB is the promise for capturer and publisher together. What they are made of: two programs (80 MB of code and read-only data), a Go heap of 10 and
// 25 MB, the producer's queue and what librdkafka keeps beside it (80 MB).
const limitMB = 300

const (
	rowBytes  = 500
	statement = 2000 // rows
)

// huge inserts n rows in one transaction; a row is about rowBytes in the log.
func huge(t testing.TB, c *client.Conn, table string, from, n int) {
	t.Helper()
	harness.Exec(t, c, "begin")
	var sb strings.Builder
	for i := from; i < from+n; i += statement {
		sb.Reset()
		sb.WriteString("insert into " + table + " values ")
		for j := i; j < min(i+statement, from+n); j++ {
			if j > i {
				sb.WriteByte(',')
			}
			fmt.Fprintf(&sb, "(%d,%d,'%s')", j, j%97, strings.Repeat(string(rune('a'+j%26)), rowBytes-20))
		}
		harness.Exec(t, c, sb.String())
	}
	harness.Exec(t, c, "commit")
}

// TestHugeTransactionAndKafkaAway writes one huge transaction and takes Kafka away while it is delivered: by stopping the broker's process, which looks like a
// network that swallows everything, and by killing it. The lane must recover by itself, in bounded memory, and deliver each row once.
func TestHugeTransactionAndKafkaAway(t *testing.T) {
	rows, away := 300_000, 20*time.Second
	if *full {
		rows, away = 2_000_000, 2*time.Minute
	}
	addr, kafka := harness.Addr(t, harness.MySQL), harness.Addr(t, harness.Kafka)
	for _, c := range []struct {
		name       string
		take, give func(t *testing.T)
	}{
		{"stopped", func(t *testing.T) { signal(t, syscall.SIGSTOP) }, func(t *testing.T) { signal(t, syscall.SIGCONT) }},
		{"killed", func(*testing.T) { harness.Process(harness.Kafka).Kill() }, func(t *testing.T) { harness.Restart(t, harness.Kafka) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := harness.Start(t, one, nil)
			db := "bound_" + c.name
			conn := harness.Root(t, addr)
			harness.Exec(t, conn, "drop database if exists "+db, "create database "+db, "create table "+db+".big (id int primary key, n int not null, pad varchar(1000) not null)")
			t.Cleanup(func() { harness.Exec(t, conn, "drop database "+db) })
			m.Create(t, db, m.Connector(harness.MySQL, addr, db, db, plain(db+".big")))
			harness.Await(t, 30*time.Second, "running", func() error { return started(t, m, db) })
			w := watch(t, kafka, db+"."+db+".big", rows+1)
			begin := time.Now()
			huge(t, conn, db+".big", 0, rows)
			t.Logf("%d rows, %d MB, committed after %.1f s", rows, rows*rowBytes/1_000_000, time.Since(begin).Seconds())
			harness.Await(t, 2*time.Minute, "the first rows", func() error { return w.reached(1) })
			before := time.Now()
			c.take(t)
			time.Sleep(away) // the outage
			under(t, m, limitMB)
			c.give(t)
			back := time.Now()
			// A lane that failed tries again after a minute at most; the rest is the work itself, on a machine that may be busy.
			harness.Await(t, 90*time.Second+time.Duration(rows/10_000)*time.Second, "all rows", func() error { return w.reached(rows) })
			t.Logf("Kafka was away for %.1f s; all rows %.1f s after it came back", back.Sub(before).Seconds(), time.Since(back).Seconds())
			harness.Exec(t, conn, fmt.Sprintf("insert into %s.big values (%d, 0, 'behind it')", db, rows))
			harness.Await(t, 30*time.Second, "the row behind", func() error { return w.reached(rows + 1) })
			w.exact(t)
			if err := m.Running(t, db, 1); err != nil {
				t.Error(err)
			}
			under(t, m, limitMB)
		})
	}
}

func signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := harness.Process(harness.Kafka).Signal(s); err != nil {
		t.Fatal(err)
	}
}
