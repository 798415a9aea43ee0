package binlog

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/rowmesh/rowmesh/services/config"
)

// elsewhere runs statements in a session of their own, which then ends.
func (s *server) elsewhere(statements ...string) {
	s.t.Helper()
	c, err := client.Connect(s.addr, "root", "", s.db)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	for _, q := range statements {
		if _, err := c.Execute(q); err != nil {
			s.t.Fatalf("%.100s: %v", q, err)
		}
	}
}

// outcome commits or rolls back what another session prepared. MariaDB does not know the transaction before that session has ended, which takes it a moment.
func (s *server) outcome(sql string) {
	s.t.Helper()
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		_, err := s.conn.Execute(sql)
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), "XAER_NOTA") || time.Since(begin) > 30*time.Second {
			s.t.Fatalf("%s: %v", sql, err)
		}
	}
}

// TestXABeyondTheBound prepares a transaction that is larger than what may be held, and a small one, in sessions that end. Both are committed by another session; one more is
// rolled back. Nobody holds more than the bound, and a reader that begins between prepare and commit sees the same. With ROWMESH_FULL=1 it has 500 MB.
func TestXABeyondTheBound(t *testing.T) {
	const rows, limit = 1000, 64 << 10 // rows: cte_max_recursion_depth
	width := 1000
	if os.Getenv("ROWMESH_FULL") == "1" {
		width = 500_000
	}
	bothServers(t, func(t *testing.T, s *server) {
		s.exec("create table t (id int primary key, v longtext) charset utf8mb4")
		fill := fmt.Sprintf("insert into t with recursive n (i) as (select 1 union all select i+1 from n where i < %d) select i, repeat('x', %d) from n", rows, width)
		session := []string{"set @x = 0"}
		if s.flavor == config.MySQL && len(s.query("show variables like 'binlog_transaction_compression'")) > 0 {
			session = append(session, "set session binlog_transaction_compression = 1")
		}
		xid := func(name string) string { return fmt.Sprintf("'%s_%s'", s.db, name) }
		prepare := func(name, statement string) {
			s.elsewhere(append(session, "xa start "+xid(name), statement, "xa end "+xid(name), "xa prepare "+xid(name))...)
		}
		cfg := s.config()
		cfg.MaxHeldBytes = limit
		before, err := Dial(t.Context(), cfg, s.here())
		if err != nil {
			t.Fatal(err)
		}
		defer before.Close()
		prepare("big", fill)
		prepare("small", "insert into t values (5001,'small')")
		prepare("no", "insert into t values (5002,'rolled back')")
		between, err := Dial(t.Context(), cfg, s.here())
		if err != nil {
			t.Fatal(err)
		}
		defer between.Close()
		s.exec("insert into t values (5003,'first')")
		s.outcome("xa commit " + xid("small"))
		s.outcome("xa rollback " + xid("no"))
		s.outcome("xa commit " + xid("big"))
		if s.flavor == config.MySQL {
			s.elsewhere("xa start "+xid("one"), "delete from t where id <= 1000", "xa end "+xid("one"), "xa commit "+xid("one")+" one phase")
		}
		for name, st := range map[string]*Stream{"before": before, "between": between} {
			checkXA(t, s, st, name, rows, limit, width)
		}
	})
}

// checkXA reads what TestXABeyondTheBound wrote.
func checkXA(t *testing.T, s *server, st *Stream, name string, rows, limit, width int) {
	t.Helper()
	var got []string
	var heap uint64
	held, inserted, deleted := 0, 0, 0
	shape := s.shape("t")
	s.ours(st, func(ev *Event) {
		held = max(held, st.xa.bytes)
		if ev.Kind == Commit && inserted+deleted > 0 {
			got = append(got, fmt.Sprintf("%d+%d-", inserted, deleted))
			inserted, deleted = 0, 0
		}
		if ev.Kind != Rows {
			return
		}
		p, err := Compile(ev.Table, shape)
		if err != nil {
			t.Fatal(err)
		}
		images := len(decodeAll(t, p, ev, shape))
		if ev.Op == 'c' {
			inserted += images
		} else {
			deleted += images
		}
		if width > 1<<16 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			heap = max(heap, m.HeapAlloc)
		}
	})
	want := []string{"1+0-", "1+0-", strconv.Itoa(rows) + "+0-"}
	if s.flavor == config.MySQL {
		want = append(want, fmt.Sprintf("0+%d-", rows))
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s: transactions %v, want %v", name, got, want)
	}
	if held > limit || st.xa.bytes != 0 {
		t.Errorf("%s: %d bytes held at most, %d at the end", name, held, st.xa.bytes)
	}
	if heap > 128<<20 { // rows of half a megabyte, and what the collector has not come to
		t.Errorf("%s: a heap of %d MB", name, heap>>20)
	}
	t.Logf("%s: %d bytes held at most, heap %d MB", name, held, heap>>20)
}
