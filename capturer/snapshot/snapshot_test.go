package snapshot

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/source"
)

func onServers(t *testing.T, test func(t *testing.T, f *fixture)) {
	for _, v := range servers {
		t.Run(strings.TrimPrefix(v, "ROWMESH_TEST_"), func(t *testing.T) {
			t.Parallel() // one server does not wait for another
			test(t, newFixture(t, v))
		})
	}
}

func TestOrderAndMarkers(t *testing.T) {
	onServers(t, func(t *testing.T, f *fixture) {
		for _, n := range []string{"a_empty", "b", "c", "d_one", "z"} {
			f.exec("CREATE TABLE " + n + " (id int PRIMARY KEY)")
		}
		f.exec("INSERT INTO b VALUES (1),(2),(3)")
		f.exec("INSERT INTO c VALUES (1),(2)")
		f.exec("INSERT INTO d_one VALUES (1)")
		f.exec("INSERT INTO z VALUES (1)")
		o := f.options("b", "c", "d_one", "a_empty")
		o.Schemas = func(db, _ string) bool { return db == f.db }
		o.Ddl = capturev1.DdlScope_DDL_SCOPE_ALL
		o.Order = []string{f.db + "[.]C", f.db + "\\.b|nothing"}
		s := newSink()
		res, err := Run(t.Context(), o, s.emit)
		if err != nil {
			t.Fatal(err)
		}
		// Wanted are c, b, then by name a_empty and d_one; z is told of alone.
		markers := []string{"c MARKER_FIRST", "c MARKER_LAST_IN_DATA_COLLECTION", "b MARKER_FIRST_IN_DATA_COLLECTION", "b MARKER_TRUE",
			"b MARKER_LAST_IN_DATA_COLLECTION", "d_one MARKER_LAST"}
		if diff := cmp.Diff(markers, s.markers); diff != "" {
			t.Error(diff)
		}
		var firstWords []string
		for _, d := range s.ddl {
			firstWords = append(firstWords, strings.ReplaceAll(strings.SplitN(d, " (", 2)[0], f.db, "DB"))
		}
		info := res.Info
		want := []string{"SET character_set_server=" + info.Charset + ", collation_server=" + info.Collation,
			"DROP TABLE IF EXISTS `DB`.`a_empty`", "DROP TABLE IF EXISTS `DB`.`b`", "DROP TABLE IF EXISTS `DB`.`c`", "DROP TABLE IF EXISTS `DB`.`d_one`", "DROP TABLE IF EXISTS `DB`.`z`",
			"DROP DATABASE IF EXISTS `DB`", "CREATE DATABASE `DB` CHARSET utf8mb4 COLLATE " + res.Databases[0].Collation, "USE `DB`",
			"CREATE TABLE `a_empty`", "CREATE TABLE `b`", "CREATE TABLE `c`", "CREATE TABLE `d_one`", "CREATE TABLE `z`"}
		if diff := cmp.Diff(want, firstWords); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"Ddl", "Snapshot", "Schema", "Batch", "Snapshot", "Schema", "Batch", "Snapshot", "Schema", "Snapshot", "Schema", "Batch", "Snapshot"}, s.order); diff != "" {
			t.Error(diff)
		}
		if len(res.Tables) != 5 || res.Rows != 6 {
			t.Errorf("%d tables, %d rows", len(res.Tables), res.Rows)
		}
		checkEnd(t, f, s, res)
	})
}

func checkEnd(t *testing.T, f *fixture, s *sink, res *Result) {
	t.Helper()
	last := s.progress[len(s.progress)-1]
	if !last.Complete || last.TablesDone != last.Tables || last.Checkpoint.Offset.Snapshot != "" || !proto.Equal(last.Checkpoint, res.Checkpoint) {
		t.Errorf("last progress %v", last)
	}
	token := &rowv1.ResumeToken{}
	if err := proto.Unmarshal(last.Checkpoint.Token, token); err != nil || !proto.Equal(token.Start, res.Cut) {
		t.Errorf("token %v, cut %v", token, res.Cut)
	}
	for _, b := range s.batches {
		if b.Checkpoint.Offset.Snapshot != "INITIAL" || len(b.Checkpoint.Token) > 0 || !b.Snapshot || b.File != res.Cut.File {
			t.Errorf("batch checkpoint %v", b.Checkpoint)
		}
		if at := time.UnixMicro(int64(b.TxnCommitUs[0])); time.Since(at).Abs() > time.Hour {
			t.Errorf("scan time %s", at)
		}
	}
}

func TestTypes(t *testing.T) {
	onServers(t, func(t *testing.T, f *fixture) {
		members := make([]string, 64)
		for i := range members {
			members[i] = fmt.Sprintf("'m%d'", i)
		}
		f.exec(`CREATE TABLE t (id int PRIMARY KEY, f float, f2 float(7,3), d double, d2 double(12,4), de decimal(20,3) unsigned zerofill, bu bigint unsigned, b9 bit(9), b64 bit(64),
			c char(5), l1 varchar(20) CHARACTER SET latin1, sj varchar(20) CHARACTER SET sjis, bin binary(4), bl blob, da date, dt datetime(6), ts timestamp(6) NULL,
			ti time(3), y year, e enum('a','b,c','é'), s set(` + strings.Join(members, ",") + `), p geometry)`)
		f.exec("SET SESSION sql_mode='', time_zone='+00:00'")
		f.exec(`INSERT INTO t VALUES
			(1, 0.1, 9999.999, 0.30000000000000004, 99999999.9999, 1.5, 18446744073709551615, b'100000001', b'1', 'x', 'é€', '日本', 'ab', x'00ff', '0000-00-00', '2024-02-30 00:00:00',
			 '2024-01-01 00:00:00.5', '-838:59:59', 0, 'b,c', 'm0,m63', ST_GeomFromText('POINT(1 2)')),
			(2, 3.402823466e38, -0.001, -1e-300, -0.0001, 0, 0, 0, 0xffffffffffffffff, '', '', '', '', '', '2024-00-00', '9999-12-31 23:59:59.999999', '0000-00-00', '00:00:00.001', 2155,
			 '', '', NULL),
			(3, 16777217, 1.1, 1e22, 0.1, 99999999999999999.999, 1, 1, 1, 'abcde', 'a', 'a', 'abcd', 'a', '1000-01-01', '1000-01-01', '2038-01-19 03:14:07', '12:34:56.789', 1901, 'é',
			 'm1,m2', NULL),
			(4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`)
		s := newSink()
		if _, err := Run(t.Context(), f.options("t"), s.emit); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"1|0.1|9999.999|0.30000000000000004|9.99999999999e+07|05dc|18446744073709551615|257|1|x|é€|日本|61620000|00ff|0000-00-00|0000-00-00 00:00:00.000000|" +
				"1704067200500000|-3020399000000|0|2|9223372036854775809|000000000101000000000000000000f03f0000000000000040",
			// What DOUBLE(12,4) stores for -0.0001, and logs; the server prints it as -0.0001.
			"2|3.4028235e+38|-0.001|-1e-300|-9.999999999998899e-05|00|0|0|18446744073709551615|||||" + "|" + "2024-00-00|9999-12-31 23:59:59.999999|0|1000|2155|0|0|NULL",
			"3|1.6777216e+07|1.1|1e+22|0.1|056bc75e2d630fffff|1|1|1|abcde|a|a|61626364|61|1000-01-01|1000-01-01 00:00:00.000000|2147483647000000|45296789000|1901|3|6|NULL",
			"4" + strings.Repeat("|NULL", 21),
		}
		want[1] = strings.Replace(want[1], "18446744073709551615|||||", "18446744073709551615||||00000000|", 1)
		if diff := cmp.Diff(want, s.rows["t"]); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTypesOfOneServer(t *testing.T) {
	t.Run("MYSQL", func(t *testing.T) {
		f := newFixture(t, "ROWMESH_TEST_MYSQL")
		f.exec("CREATE TABLE t (id int PRIMARY KEY, j json, v vector(2), inv int INVISIBLE DEFAULT 7, g int GENERATED ALWAYS AS (id+1) VIRTUAL)")
		f.exec(`INSERT INTO t (id, j, v) VALUES (1, '{"b":1,"a":[1.0,"x"]}', TO_VECTOR('[1,2]')), (2, NULL, NULL)`)
		s := newSink()
		if _, err := Run(t.Context(), f.options(), s.emit); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{`1|{"a": [1.0, "x"], "b": 1}|0000803f00000040|7|2`, "2|NULL|NULL|7|3"}, s.rows["t"]); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("MARIADB", func(t *testing.T) {
		f := newFixture(t, "ROWMESH_TEST_MARIADB")
		f.exec("CREATE TABLE t (id int PRIMARY KEY, u uuid, i6 inet6, i4 inet4, v vector(2) NOT NULL, c text COMPRESSED, j json) WITH SYSTEM VERSIONING")
		f.exec(`INSERT INTO t VALUES (1, '00112233-4455-6677-8899-aabbccddeeff', '::1', '1.2.3.4', Vec_FromText('[1,2]'), 'text', '{"b": 1}')`)
		f.exec(`UPDATE t SET i4 = '1.2.3.5'`)
		s := newSink()
		if _, err := Run(t.Context(), f.options(), s.emit); err != nil {
			t.Fatal(err)
		}
		// The period's columns follow: they are in the log too.
		want := `1|00112233445566778899aabbccddeeff|::1|1.2.3.5|0000803f00000040|text|{"b": 1}|`
		if got := s.rows["t"]; len(got) != 1 || !strings.HasPrefix(got[0], want) || !strings.HasSuffix(got[0], "|4294967295999999") {
			t.Errorf("got %q, want %s and the period", got, want)
		}
	})
}

func TestBatches(t *testing.T) {
	onServers(t, func(t *testing.T, f *fixture) {
		f.exec("CREATE TABLE t (id int PRIMARY KEY, v varchar(2000), big longblob)")
		for i := 0; i < 3000; i += 500 {
			var values []string
			for j := i; j < i+500; j++ {
				values = append(values, fmt.Sprintf("(%d, REPEAT('v', %d), NULL)", j, j%1500))
			}
			f.exec("INSERT INTO t VALUES " + strings.Join(values, ","))
		}
		f.exec("INSERT INTO t VALUES (5000, 'big', REPEAT('b', 3000000))")
		o := f.options()
		o.MaxBatchBytes = 20000
		s := newSink()
		res, err := Run(t.Context(), o, s.emit)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(s.rows["t"]); got != 3001 || res.Rows != 3001 {
			t.Fatalf("%d rows, result says %d", got, res.Rows)
		}
		for i, r := range s.rows["t"][:3000] {
			if want := fmt.Sprintf("%d|%s|NULL", i, strings.Repeat("v", i%1500)); r != want {
				t.Fatalf("row %d is %.80s", i, r)
			}
		}
		for i, b := range s.batches {
			if cap(b.Payload) > 2*len(b.Payload)+firstBatchBytes {
				t.Errorf("batch %d holds %d bytes in %d", i, len(b.Payload), cap(b.Payload))
			}
			if i < len(s.batches)-1 && (len(b.Payload) < 20000 || len(b.Payload) > 20000+2000) {
				t.Errorf("batch %d of %d has %d bytes", i, len(s.batches), len(b.Payload))
			}
			var flags byte
			if i == 0 {
				flags = 1
			}
			if i == len(s.batches)-1 {
				flags |= 2
			}
			if b.TxnFlags[0] != flags {
				t.Errorf("batch %d of %d has transaction flags %d", i, len(s.batches), b.TxnFlags[0])
			}
		}
		if diff := cmp.Diff([]string{"t MARKER_FIRST", "t MARKER_TRUE", "t MARKER_LAST"}, s.markers); diff != "" {
			t.Error(diff)
		}
	})
}

func TestFiltersAndOverrides(t *testing.T) {
	onServers(t, func(t *testing.T, f *fixture) {
		f.exec("CREATE TABLE t (id int PRIMARY KEY, e enum('a','b'), v int)")
		f.exec("CREATE TABLE u (id int PRIMARY KEY)")
		f.exec("CREATE TABLE bad_one (id int PRIMARY KEY)")
		f.exec("INSERT INTO t VALUES (1,'a',5),(2,'b',6),(3,'a',7)")
		f.exec("INSERT INTO u VALUES (1)")
		o := f.options()
		o.Snapshot = &capturev1.SnapshotOptions{Data: true, IncludeTables: []string{f.db + "\\.(T|bad_one)"},
			SelectOverrides: map[string]string{f.db + ".t": "SELECT v, e, id FROM " + f.db + ".t WHERE id <> 2 ORDER BY id DESC"}}
		s := newSink()
		res, err := Run(t.Context(), o, s.emit)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string][]string{"t": {"3|1|7", "1|1|5"}}, s.rows); diff != "" {
			t.Error(diff)
		}
		if len(s.failed) != 1 || s.failed[0].Table != "bad_one" || len(res.Tables) != 2 {
			t.Errorf("failed tables %v, tables %d", s.failed, len(res.Tables))
		}
		o.Snapshot = &capturev1.SnapshotOptions{Data: false}
		s = newSink()
		if _, err := Run(t.Context(), o, s.emit); err != nil || len(s.rows) > 0 || len(s.progress) != 1 {
			t.Errorf("without data: %v, %v, %v", err, s.rows, s.progress)
		}
		o.Snapshot = &capturev1.SnapshotOptions{Data: true, IncludeTables: []string{"("}}
		if _, err := Run(t.Context(), o, newSink().emit); errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), "snapshot.include.collection.list") {
			t.Errorf("a wrong expression: %v", err)
		}
	})
}

// TestConsistentCut has a writer move amounts between two tables and count its transactions. Whatever the lock: the total never changes, and the
// count in the rows is that of the cut.
func TestConsistentCut(t *testing.T) {
	onServers(t, func(t *testing.T, f *fixture) {
		f.exec("CREATE TABLE a (id int PRIMARY KEY, v int)")
		f.exec("CREATE TABLE b (id int PRIMARY KEY, v int)")
		f.exec("CREATE TABLE seq (id int PRIMARY KEY, v int)")
		f.exec("INSERT INTO a VALUES (1, 1000)")
		f.exec("INSERT INTO b VALUES (1, 1000)")
		f.exec("INSERT INTO seq VALUES (1, 0)")
		writer := f.connect()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			for {
				for _, q := range []string{"BEGIN", "UPDATE %s.a SET v=v-1", "UPDATE %s.b SET v=v+1", "UPDATE %s.seq SET v=v+1", "COMMIT"} {
					if err := writer.Exec(ctx, strings.ReplaceAll(q, "%s", f.db)); err != nil {
						done <- err
						return
					}
				}
			}
		}()
		user := "snapshot_locker"
		f.exec("DROP USER IF EXISTS " + user)
		f.exec("CREATE USER " + user)
		t.Cleanup(func() { f.conn.Exec(context.Background(), "DROP USER "+user) })
		f.exec("GRANT SELECT, REPLICATION CLIENT, LOCK TABLES ON *.* TO " + user)
		exact := f.conn.Flavor() == config.MariaDB
		for _, how := range []struct {
			name  string
			user  string
			lock  capturev1.LockingMode
			exact bool
		}{
			{"global", "root", capturev1.LockingMode_LOCKING_MODE_MINIMAL, true}, {"tables", user, capturev1.LockingMode_LOCKING_MODE_MINIMAL, true},
			{"extended", "root", capturev1.LockingMode_LOCKING_MODE_EXTENDED, true}, {"none", "root", capturev1.LockingMode_LOCKING_MODE_NONE, exact},
		} {
			for range 3 {
				o := f.options()
				o.Source.User = how.user
				o.Snapshot.Locking = how.lock
				s := newSink()
				res, err := Run(t.Context(), o, s.emit)
				if err != nil {
					t.Fatalf("%s: %v", how.name, err)
				}
				a, b, seq := value(t, s, "a"), value(t, s, "b"), value(t, s, "seq")
				if a+b != 2000 || b != 1000+seq {
					t.Errorf("%s: a=%d b=%d after %d transactions", how.name, a, b, seq)
				}
				next := nextInLog(t, f, res.Cut)
				if how.exact && next != seq || next > seq {
					t.Errorf("%s: the rows have %d transactions, the log goes on after %d", how.name, seq, next)
				}
			}
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("writer: %v", err)
		}
	})
}

func value(t *testing.T, s *sink, table string) int {
	t.Helper()
	var id, v int
	if _, err := fmt.Sscanf(strings.Join(s.rows[table], ""), "%d|%d", &id, &v); err != nil {
		t.Fatalf("rows of %s: %q: %v", table, s.rows[table], err)
	}
	return v
}

// TestSnapshotAndLog has writers insert, update and delete at random while snapshots are taken: the rows of each, with the log from its cut applied,
// are what the table holds in the end.
func TestSnapshotAndLog(t *testing.T) {
	const writers, statements, keys = 3, 600, 200
	onServers(t, func(t *testing.T, f *fixture) {
		f.exec("CREATE TABLE t (id int PRIMARY KEY, v int)")
		f.exec("CREATE TABLE finished (id int PRIMARY KEY)")
		seed := uint64(time.Now().UnixNano())
		var group errgroup.Group
		for w := range writers {
			conn, rnd := f.connect(), rand.New(rand.NewPCG(seed, uint64(w)))
			group.Go(func() error {
				for range statements {
					// Each writer has its own keys, so that no statement waits for another's row.
					id, v := rnd.IntN(keys)*writers+w, rnd.Int32()
					q := fmt.Sprintf("REPLACE INTO %s.t VALUES (%d, %d)", f.db, id, v)
					switch rnd.IntN(3) {
					case 0:
						q = fmt.Sprintf("DELETE FROM %s.t WHERE id = %d", f.db, id)
					case 1:
						q = fmt.Sprintf("UPDATE %s.t SET v = %d WHERE id = %d", f.db, v, id)
					}
					if err := conn.Exec(t.Context(), q); err != nil {
						return err
					}
				}
				return nil
			})
		}
		var states []map[string]string
		var cuts []*rowv1.Position
		for i := range 3 {
			o := f.options("t")
			if i%3 == 2 {
				o.Snapshot.Locking = capturev1.LockingMode_LOCKING_MODE_NONE
			}
			s := newSink()
			res, err := Run(t.Context(), o, s.emit)
			if err != nil {
				t.Fatal(err)
			}
			state := map[string]string{}
			for _, r := range s.rows["t"] {
				state[strings.SplitN(r, "|", 2)[0]] = r
			}
			states, cuts = append(states, state), append(cuts, res.Cut)
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		f.exec("INSERT INTO finished VALUES (1)")
		want := map[string]string{}
		res, err := f.conn.Query(t.Context(), "SELECT id, v FROM t")
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range res.Rows {
			want[r[0].Text] = r[0].Text + "|" + r[1].Text
		}
		for i, state := range states {
			taken := len(state)
			replay(t, f, cuts[i], state)
			if diff := cmp.Diff(want, state); diff != "" {
				t.Errorf("seed %d, snapshot %d of %d rows at %v: %s", seed, i, taken, cuts[i], diff)
			}
		}
	})
}

func TestLockTimeout(t *testing.T) {
	onServers(t, func(t *testing.T, f *fixture) {
		f.exec("CREATE TABLE t (id int PRIMARY KEY)")
		user := "snapshot_timeout"
		f.exec("DROP USER IF EXISTS " + user)
		f.exec("CREATE USER " + user)
		t.Cleanup(func() { f.conn.Exec(context.Background(), "DROP USER "+user) })
		f.exec("GRANT SELECT, REPLICATION CLIENT, LOCK TABLES ON *.* TO " + user)
		other := f.connect()
		// A write lock on the one table: a global lock held here would stand in the way of other tests on this server.
		if err := other.Exec(t.Context(), "LOCK TABLES "+f.db+".t WRITE"); err != nil {
			t.Fatal(err)
		}
		o := f.options()
		o.Source.User = user
		o.Snapshot.LockTimeoutMs = 1000
		_, err := Run(t.Context(), o, newSink().emit)
		if errs.KindOf(err) != errs.Busy || !strings.Contains(err.Error(), "snapshot.lock.timeout.ms") {
			t.Errorf("%v is %s, want Busy", err, errs.KindOf(err))
		}
	})
}

func TestKilledAndGivenFree(t *testing.T) {
	onServers(t, func(t *testing.T, f *fixture) {
		f.exec("CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, v varchar(2000))")
		f.exec("CREATE TABLE u (id int PRIMARY KEY)")
		f.exec("INSERT INTO u VALUES (1)")
		f.exec("INSERT INTO t (v) VALUES (REPEAT('x', 2000))")
		for range 13 {
			f.exec("INSERT INTO t (v) SELECT v FROM t")
		}
		kill := func() error {
			res, err := f.conn.Query(t.Context(), "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT `id`, `v` FROM `"+f.db+"`.%'")
			if err != nil || len(res.Rows) != 1 {
				return fmt.Errorf("found %v, %v", res, err)
			}
			return f.conn.Exec(t.Context(), "KILL "+res.Rows[0][0].Text)
		}
		s := newSink()
		s.each = func(*capturev1.SubscribeResponse) error {
			if len(s.batches) == 1 {
				s.batches = append(s.batches, s.batches[0])
				return kill()
			}
			return nil
		}
		_, err := Run(t.Context(), f.options("t"), s.emit)
		if errs.KindOf(err) != errs.Unavailable || !strings.Contains(err.Error(), f.db+".t") {
			t.Errorf("killed: %v is %s, want Unavailable", err, errs.KindOf(err))
		}
		f.exec("CREATE TABLE changed (id int PRIMARY KEY, v int)")
		f.exec("CREATE TABLE kept (id int PRIMARY KEY AUTO_INCREMENT)")
		// A table that was read is free again while the others are.
		s = newSink()
		s.each = func(m *capturev1.SubscribeResponse) error {
			if m.GetSchema().GetTable() == "kept" {
				f.exec("SET SESSION lock_wait_timeout=2")
				f.exec("ALTER TABLE changed ADD COLUMN w int")
			}
			return nil
		}
		if _, err := Run(t.Context(), f.options("changed", "kept"), s.emit); err != nil {
			t.Errorf("a table altered after it was read: %v", err)
		}
		stop := errors.New("the subscriber is gone")
		if _, err := Run(t.Context(), f.options(), func(*capturev1.SubscribeResponse) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("emit failed: %v", err)
		}
	})
}

func TestNoConnection(t *testing.T) {
	_, err := Run(t.Context(), Options{Source: source.Config{Addr: "127.0.0.1:1"}, Rows: func(string, string) bool { return true }}, newSink().emit)
	if errs.KindOf(err) != errs.Unavailable {
		t.Errorf("%v is %s", err, errs.KindOf(err))
	}
}
