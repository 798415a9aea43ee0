package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/config"
)

// small makes ranges of few rows, so that small tables have many.
const small = 7

// TestRangesOfKeys reads tables with all kinds of keys by several readers in small ranges: every row comes once.
func TestRangesOfKeys(t *testing.T) {
	onServers(t, func(t *testing.T, f *fixture) {
		keys := map[string]string{ // of 200 rows, n from 0 on
			"k_int":        "k int PRIMARY KEY|n*3-100",
			"k_bigint":     "k bigint unsigned PRIMARY KEY|18446744073709551615-n",
			"k_char":       "k varchar(20) CHARACTER SET utf8mb4 PRIMARY KEY|CONCAT(IF(n%2,'É','e'), IF(n%3,'ß','SS'), n)",
			"k_bin_coll":   "k varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY|CONCAT(IF(n%2,'É','e'), n, '''')",
			"k_latin1":     "k varchar(20) CHARACTER SET latin1 PRIMARY KEY|CONCAT(IF(n%2,'é','E'), n)",
			"k_binary":     "k binary(16) PRIMARY KEY|UNHEX(LEFT(SHA2(n,256),32))",
			"k_varbinary":  "k varbinary(16) PRIMARY KEY|UNHEX(CONCAT(LPAD(HEX(n),4,'0'), '00'))",
			"k_datetime":   "k datetime(6) PRIMARY KEY|'2024-01-01' + INTERVAL n*777 MICROSECOND",
			"k_timestamp":  "k timestamp(3) PRIMARY KEY|'2024-10-27 00:00:00' + INTERVAL n MINUTE",
			"k_date":       "k date PRIMARY KEY|'1999-12-01' + INTERVAL n DAY",
			"k_decimal":    "k decimal(20,4) PRIMARY KEY|n*1.0001-100",
			"k_double":     "k double PRIMARY KEY|n/7",
			"k_composite":  "a int, k varchar(10), c date, PRIMARY KEY (a, k, c)|n DIV 50, CONCAT('x', n%5), '2024-01-01' + INTERVAL n DAY",
			"k_desc":       "k int, PRIMARY KEY (k DESC)|n",
			"k_enum":       "e enum('b','a','c'), k int, PRIMARY KEY (e, k)|1+n%3, n",
			"k_prefix":     "k varchar(50), PRIMARY KEY (k(5))|CONCAT(LPAD(n,5,'0'), 'tail')",
			"k_none":       "k int|n",
			"k_unique":     "k int NOT NULL, UNIQUE (k)|n",
			"k_null":       "k int, UNIQUE (k)|IF(n%10, n, NULL)",
			"k_null_multi": "k int, c int NOT NULL, UNIQUE (k, c)|IF(n%10, n, NULL), n",
		}
		if f.conn.Flavor() == config.MariaDB {
			keys["k_uuid"] = "k uuid PRIMARY KEY|CAST(CONCAT(LEFT(SHA2(n,256),8),'-0000-1000-8000-',RIGHT(SHA2(n,256),12)) AS uuid)"
		}
		var numbers []string
		for n := range 200 {
			numbers = append(numbers, fmt.Sprintf("(%d)", n))
		}
		f.exec("SET SESSION time_zone='+00:00'")
		f.exec("CREATE TABLE numbers (n int)")
		f.exec("INSERT INTO numbers VALUES " + strings.Join(numbers, ","))
		var tables []string
		for name, k := range keys {
			columns, values, _ := strings.Cut(k, "|")
			f.exec("CREATE TABLE " + name + " (n int, " + columns + ")")
			f.exec("INSERT INTO " + name + " SELECT n, " + values + " FROM numbers")
			tables = append(tables, name)
		}
		o := f.options(tables...)
		o.Snapshot.Threads = 3
		o.rangeRows = small
		s := newSink()
		res, err := Run(t.Context(), o, s.emit)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range tables {
			var got []int
			for _, r := range s.rows[name] {
				var n int
				fmt.Sscanf(r, "%d|", &n)
				got = append(got, n)
			}
			slices.Sort(got)
			if len(got) != 200 || len(slices.Compact(got)) != 200 {
				t.Errorf("%s (%s): %d rows", name, keys[name], len(s.rows[name]))
			}
		}
		checkMarkers(t, s)
		checkEnd(t, f, s, res)
	})
}

// checkMarkers checks that the snapshot's first and last rows are marked once, and each table's.
func checkMarkers(t *testing.T, s *sink) {
	t.Helper()
	first, last := map[string]int{}, map[string]int{}
	for i, m := range s.markers {
		table, mark, _ := strings.Cut(m, " ")
		switch strings.TrimPrefix(mark, "MARKER_") {
		case "FIRST", "FIRST_IN_DATA_COLLECTION":
			first[table]++
		case "LAST_IN_DATA_COLLECTION", "LAST":
			last[table]++
		}
		if (mark == "MARKER_FIRST") != (i == 0) || (mark == "MARKER_LAST") != (i == len(s.markers)-1) {
			t.Errorf("marker %d of %d is %s", i, len(s.markers), m)
		}
	}
	for table := range s.rows {
		if first[table] != 1 || last[table] != 1 {
			t.Errorf("%s: %d first rows, %d last ones", table, first[table], last[table])
		}
	}
}

// TestConsistentCutOfReaders moves amounts between rows of two tables and within one while several readers read them in ranges: the total never changes.
func TestConsistentCutOfReaders(t *testing.T) {
	const rows, total = 100, 100 * 1000
	onServers(t, func(t *testing.T, f *fixture) {
		for _, n := range []string{"a", "b", "c"} {
			f.exec("CREATE TABLE " + n + " (id int PRIMARY KEY, v int)")
			var values []string
			for i := range rows {
				values = append(values, fmt.Sprintf("(%d, 1000)", i))
			}
			f.exec("INSERT INTO " + n + " VALUES " + strings.Join(values, ","))
		}
		ctx, cancel := context.WithCancel(t.Context())
		writer := f.connect()
		done := make(chan error, 1)
		go func() {
			for i := 0; ; i++ {
				for _, q := range []string{"BEGIN", fmt.Sprintf("UPDATE %s.a SET v=v-1 WHERE id=%d", f.db, i%rows), fmt.Sprintf("UPDATE %s.b SET v=v+1 WHERE id=%d", f.db, i*7%rows),
					fmt.Sprintf("UPDATE %s.c SET v=v-1 WHERE id=%d", f.db, i*11%rows), fmt.Sprintf("UPDATE %s.c SET v=v+1 WHERE id=%d", f.db, i*13%rows), "COMMIT"} {
					if err := writer.Exec(ctx, q); err != nil {
						done <- err
						return
					}
				}
			}
		}()
		user := f.user("LOCK TABLES")
		sum := func(s *sink, table string) (n int) {
			for _, r := range s.rows[table] {
				var id, v int
				fmt.Sscanf(r, "%d|%d", &id, &v)
				n += v
			}
			return n
		}
		for _, how := range []struct {
			user string
			lock capturev1.LockingMode
		}{{"root", capturev1.LockingMode_LOCKING_MODE_MINIMAL}, {user, capturev1.LockingMode_LOCKING_MODE_MINIMAL}, {"root", capturev1.LockingMode_LOCKING_MODE_EXTENDED}} {
			for range 3 {
				o := f.options()
				o.Source.User = how.user
				o.Snapshot.Locking, o.Snapshot.Threads, o.rangeRows = how.lock, 4, small
				s := newSink()
				res, err := Run(t.Context(), o, s.emit)
				if err != nil {
					t.Fatalf("%s as %s: %v", how.lock, how.user, err)
				}
				if a, b, c := sum(s, "a"), sum(s, "b"), sum(s, "c"); a+b != 2*total || c != total || res.Rows != 3*rows {
					t.Errorf("%s as %s: %d rows, a+b=%d, c=%d", how.lock, how.user, res.Rows, a+b, c)
				}
				if extended := how.lock == capturev1.LockingMode_LOCKING_MODE_EXTENDED; (res.Locked > 0) == extended {
					t.Errorf("%s: locked for %s", how.lock, res.Locked)
				}
			}
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("writer: %v", err)
		}
	})
}

// user makes an account that may read all tables and has some more privileges.
func (f *fixture) user(privileges string) string {
	f.Helper()
	name := "snapshot_" + strings.ToLower(strings.ReplaceAll(privileges, " ", "_"))
	f.exec("DROP USER IF EXISTS " + name)
	f.exec("CREATE USER " + name)
	f.Cleanup(func() { f.conn.Exec(context.Background(), "DROP USER "+name) })
	f.exec("GRANT SELECT, REPLICATION CLIENT, " + privileges + " ON *.* TO " + name)
	return name
}

// TestIsolation has a row committed and one written after the cut, before its table is read.
func TestIsolation(t *testing.T) {
	onServers(t, func(t *testing.T, f *fixture) {
		for level, want := range map[capturev1.Isolation][]string{
			capturev1.Isolation_ISOLATION_REPEATABLE_READ: {"1"}, capturev1.Isolation_ISOLATION_READ_COMMITTED: {"1", "2"},
			capturev1.Isolation_ISOLATION_READ_UNCOMMITTED: {"1", "2", "3"}, capturev1.Isolation_ISOLATION_SERIALIZABLE: {"1", "2"},
		} {
			f.exec("DROP TABLE IF EXISTS t")
			f.exec("CREATE TABLE t (id int PRIMARY KEY)")
			f.exec("INSERT INTO t VALUES (1)")
			other := f.connect()
			o := f.options("t")
			o.Snapshot.Isolation = level
			s := newSink()
			once := false
			s.each = func(m *capturev1.SubscribeResponse) error {
				if m.GetSnapshot().GetTables() == 0 || once {
					return nil
				}
				once = true
				f.exec("INSERT INTO t VALUES (2)")
				if level == capturev1.Isolation_ISOLATION_SERIALIZABLE {
					return nil // which waits for open transactions
				}
				if err := other.Exec(t.Context(), "BEGIN"); err != nil {
					return err
				}
				return other.Exec(t.Context(), "INSERT INTO "+f.db+".t VALUES (3)")
			}
			res, err := Run(t.Context(), o, s.emit)
			if err != nil {
				t.Fatalf("%s: %v", level, err)
			}
			if diff := cmp.Diff(want, s.rows["t"]); diff != "" {
				t.Errorf("%s: %s", level, diff)
			}
			other.Close()
			checkEnd(t, f, s, res)
		}
	})
}

func TestOrderByRowsAndBatchRows(t *testing.T) {
	onServers(t, func(t *testing.T, f *fixture) {
		for i, n := range []string{"mid", "big", "tiny"} {
			f.exec("CREATE TABLE " + n + " (id int PRIMARY KEY AUTO_INCREMENT, v int)")
			f.exec("INSERT INTO " + n + " (v) VALUES (1)")
			for range []int{6, 9, 2}[i] {
				f.exec("INSERT INTO " + n + " (v) SELECT v FROM " + n)
			}
			f.exec("ANALYZE TABLE " + n)
		}
		for order, want := range map[capturev1.RowOrder][]string{
			capturev1.RowOrder_ROW_ORDER_UNSPECIFIED: {"big", "mid", "tiny"}, capturev1.RowOrder_ROW_ORDER_ASCENDING: {"tiny", "mid", "big"},
			capturev1.RowOrder_ROW_ORDER_DESCENDING: {"big", "mid", "tiny"},
		} {
			o := f.options()
			o.Snapshot.OrderByRows, o.Snapshot.FetchRows = order, 50
			s := newSink()
			if _, err := Run(t.Context(), o, s.emit); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range s.progress {
				if p.TableComplete {
					got = append(got, strings.TrimPrefix(p.Table, f.db+"."))
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", order, diff)
			}
			for _, b := range s.batches {
				rows := uint32(0)
				for _, n := range b.GroupRows {
					rows += n
				}
				if rows > 50 {
					t.Errorf("a batch of %d rows, snapshot.fetch.size is 50", rows)
				}
			}
		}
	})
}

// TestLockDoesNotGrowWithTables measures how long writers are kept away: definitions are read before. ROWMESH_FULL=1 makes a thousand tables, which takes a minute.
func TestLockDoesNotGrowWithTables(t *testing.T) {
	tables := 40
	if os.Getenv("ROWMESH_FULL") != "" {
		tables = 1000
	}
	onServers(t, func(t *testing.T, f *fixture) {
		for i := range tables {
			f.exec(fmt.Sprintf("CREATE TABLE t%d (id int PRIMARY KEY, v varchar(20))", i))
		}
		o := f.options()
		o.Snapshot.Threads = 2
		began := time.Now()
		res, err := Run(t.Context(), o, func(*capturev1.SubscribeResponse) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		t.Logf("%d tables: locked for %s of %s", tables, res.Locked, took)
		if len(res.Tables) != tables || res.Locked <= 0 {
			t.Errorf("%d tables, locked for %s", len(res.Tables), res.Locked)
		}
		if tables == 1000 && res.Locked > took/5 { // some milliseconds of seconds; a loaded machine stretches both
			t.Errorf("writers were kept away for %s of %s", res.Locked, took)
		}
	})
}

// TestLockIsPatient has a transaction hold up the lock on tables: writers of other tables are not held up for longer than an attempt, and the lock is had once the transaction ends.
func TestLockIsPatient(t *testing.T) {
	onServers(t, func(t *testing.T, f *fixture) {
		f.exec("CREATE TABLE a (id int PRIMARY KEY)")
		f.exec("CREATE TABLE b (id int PRIMARY KEY, v int)")
		f.exec("INSERT INTO a VALUES (1)")
		f.exec("INSERT INTO b VALUES (1, 0)")
		holder, writer := f.connect(), f.connect()
		for _, q := range []string{"BEGIN", "INSERT INTO " + f.db + ".b VALUES (2, 0)"} {
			if err := holder.Exec(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		o := f.options()
		o.Source.User = f.user("LOCK TABLES")
		done := make(chan error, 1)
		var over atomic.Bool
		s := newSink()
		go func() {
			_, err := Run(t.Context(), o, s.emit)
			over.Store(true)
			done <- err
		}()
		// Writers of a queue behind the attempts; each of them is over soon.
		longest := time.Duration(0)
		for i, began := 0, time.Now(); time.Since(began) < 2*time.Second; i++ {
			at := time.Now()
			if err := writer.Exec(t.Context(), fmt.Sprintf("INSERT INTO %s.a VALUES (%d)", f.db, 100+i)); err != nil {
				t.Fatal(err)
			}
			longest = max(longest, time.Since(at))
		}
		if over.Load() {
			t.Error("the lock was had while a transaction had changed the table")
		}
		t.Logf("a writer waited for %s at most", longest)
		if longest > o.lockTimeout()/2 { // an attempt waits for 100, 200, 400 ms; a lock that is waited for to the end would have held the writer up for all of the timeout
			t.Errorf("a writer waited for %s", longest)
		}
		if err := holder.Exec(t.Context(), "COMMIT"); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := len(s.rows["b"]); got != 2 {
			t.Errorf("%d rows of b, want 2", got)
		}
	})
}

// TestPace reads with a rate, and rests while the server is busy.
func TestPace(t *testing.T) {
	onServers(t, func(t *testing.T, f *fixture) {
		f.exec("CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, v int)")
		f.exec("INSERT INTO t (v) VALUES (1)")
		for range 10 {
			f.exec("INSERT INTO t (v) SELECT v FROM t")
		}
		for name, limit := range map[string]func(*capturev1.SnapshotOptions){
			"rows":  func(o *capturev1.SnapshotOptions) { o.RowsPerSecond = 1000 },
			"bytes": func(o *capturev1.SnapshotOptions) { o.BytesPerSecond = 4000 },
		} {
			o := f.options()
			o.Snapshot.FetchRows, o.Snapshot.Threads, o.rangeRows = 50, 2, 100
			limit(o.Snapshot)
			began := time.Now()
			s := newSink()
			res, err := Run(t.Context(), o, s.emit)
			took := time.Since(began)
			if err != nil || res.Rows != 1024 {
				t.Fatalf("%s: %v, %d rows", name, err, res.Rows)
			}
			if took < 600*time.Millisecond {
				t.Errorf("%s: 1024 rows of 4 bytes or so came in %s", name, took)
			}
		}
		// More statements than other tests on this server run beside.
		const limit, sleepers, seconds = 40, 60, 2
		o := f.options()
		o.Snapshot.MaxThreadsRunning = limit
		began := time.Now()
		group, ctx := errgroup.WithContext(t.Context())
		for range sleepers {
			conn := f.connect()
			group.Go(func() error { return conn.Exec(ctx, fmt.Sprintf("SELECT SLEEP(%d)", seconds)) })
		}
		for running := false; !running; {
			load, _, err := ReadLoad(t.Context(), f.conn)
			if running = load.ThreadsRunning > limit; err != nil || time.Since(began) > time.Minute {
				t.Fatal(load, err)
			}
		}
		s := newSink()
		if _, err := Run(t.Context(), o, s.emit); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < seconds*time.Second {
			t.Errorf("a busy server was read at once, in %s", took)
		}
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func TestReadLoad(t *testing.T) {
	onServers(t, func(t *testing.T, f *fixture) {
		load, hidden, err := ReadLoad(t.Context(), f.conn)
		if err != nil || len(hidden) > 0 || load.ThreadsRunning == 0 {
			t.Errorf("%+v, hidden %v, %v", load, hidden, err)
		}
		f.exec("DROP USER IF EXISTS snapshot_blind")
		f.exec("CREATE USER snapshot_blind")
		t.Cleanup(func() { f.conn.Exec(context.Background(), "DROP USER snapshot_blind") })
		f.cfg.User = "snapshot_blind"
		load, hidden, err = ReadLoad(t.Context(), f.connect())
		if err != nil || len(hidden) == 0 || load.ThreadsRunning == 0 {
			t.Errorf("without privileges: %+v, hidden %v, %v", load, hidden, err)
		}
	})
}

// TestMemoryIsBounded counts the batches that are read and not yet taken while the subscriber does not take any.
func TestMemoryIsBounded(t *testing.T) {
	onServers(t, func(t *testing.T, f *fixture) {
		f.exec("CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, v varchar(1000))")
		f.exec("INSERT INTO t (v) VALUES (REPEAT('v', 1000))")
		for range 12 {
			f.exec("INSERT INTO t (v) SELECT v FROM t")
		}
		const threads = 3
		var lent atomic.Int64
		o := f.options()
		o.Snapshot.Threads, o.MaxBatchBytes, o.rangeRows = threads, 20_000, 500
		o.Payload = func(capacity int) []byte { lent.Add(1); return make([]byte, 0, capacity) }
		taken, most := int64(0), int64(0)
		_, err := Run(t.Context(), o, func(m *capturev1.SubscribeResponse) error {
			if m.GetBatch() == nil {
				return nil
			}
			if taken++; taken == 20 {
				last := int64(-1)
				for n := lent.Load(); n != last; n = lent.Load() { // until the readers rest
					last = n
					time.Sleep(100 * time.Millisecond)
				}
			}
			most = max(most, lent.Load()-taken)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		// A reader builds one and has one on its way; the table's newest is kept back, and the one after it is in the merger's hand.
		if most > 2*threads+2 {
			t.Errorf("%d batches were under way for %d readers", most, threads)
		}
	})
}
