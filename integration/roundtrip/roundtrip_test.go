package roundtrip

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/rowmesh/rowmesh/integration/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// modes are the options of the connectors, one each.
var modes = []mode{
	{decimal: "precise", time: "adaptive_time_microseconds", binary: "bytes", bigint: "long"},
	{decimal: "string", time: "connect", binary: "base64", bigint: "precise"},
	{decimal: "double", time: "isostring", binary: "hex", bigint: "long"},
	{decimal: "precise", time: "nanoseconds", binary: "base64-url-safe", bigint: "precise"},
	{decimal: "string", time: "microseconds", binary: "bytes", bigint: "precise"},
}

// Tables of a server, and rows that each gets before the connector and again while it streams: tables that are made while it streams get all of them then.
const (
	tablesPerServer = 200
	rowsPerPhase    = 25
)

// database holds the tables of a server.
const database = "roundtrip"

// number reads a number from the environment.
func number(t testing.TB, name string, otherwise uint64) uint64 {
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatalf("%s=%s: %v", name, v, err)
	}
	return n
}

func TestRoundTrip(t *testing.T) {
	addrs := map[harness.Part]string{harness.MySQL: harness.Addr(t, harness.MySQL), harness.MariaDB: harness.Addr(t, harness.MariaDB)}
	mesh := harness.Start(t, harness.Size{Coordinators: 1, Capturers: 1, Publishers: 1}, nil)
	seed := number(t, "ROWMESH_TEST_SEED", 1) // the same every time, so that a failure is of the change that shows it
	t.Logf("ROWMESH_TEST_SEED=%d", seed)
	for part, addr := range addrs {
		t.Run(string(part), func(t *testing.T) {
			t.Parallel()
			r := &run{T: t, mesh: mesh, part: part, addr: addr, sql: harness.Root(t, addr)}
			harness.Exec(t, r.sql, "drop database if exists "+database, "create database "+database+" character set utf8mb4")
			r.sql = session(t, addr, database)
			r.g = &grammar{r: rand.New(rand.NewPCG(seed, 0)), mariadb: part == harness.MariaDB, charsets: charsetsOf(t, r.sql)}
			r.all(int(number(t, "ROWMESH_TEST_TABLES", tablesPerServer)))
		})
	}
}

// run is the test of one server.
type run struct {
	*testing.T
	mesh   *harness.Mesh
	part   harness.Part
	addr   string
	sql    *client.Conn
	g      *grammar
	tables []*table
	// values counts what was compared: fields of events, cells of the log.
	values, logged int
	wrong          int
}

func (r *run) all(n int) {
	begin := time.Now()
	step := func(what string) {
		r.Logf("%5.1f s: %s", time.Since(begin).Seconds(), what)
	}
	for i := range n {
		k := i % len(modes)
		streamed := i/len(modes)%4 == 3
		t := r.g.table(fmt.Sprintf("m%d_t%d", k, i), k, streamed)
		if !streamed {
			t = r.create(t)
			r.insert(t, snapshotPhase, 1, rowsPerPhase)
		}
		r.tables = append(r.tables, t)
	}
	step("tables with rows")
	follow := r.follow()
	r.connect()
	step("snapshot")
	from := here(r, r.sql)
	for i, t := range r.tables {
		r.settings(i, t)
		if t.streamed {
			t = r.create(t)
			r.tables[i] = t
		}
		first, n := rowsPerPhase+1, rowsPerPhase
		if t.streamed {
			first, n = 1, 2*rowsPerPhase
		}
		r.change(t, first, n)
	}
	harness.Exec(r, r.sql, "create table zz_end (id int primary key)", "insert into zz_end values (1)")
	step("changes")
	log := readLog(r, r.addr, map[bool]string{false: mysql.MySQLFlavor, true: mysql.MariaDBFlavor}[r.g.mariadb], from, database, "zz_end")
	step("go-mysql's rows")
	want := map[string][]expected{}
	total := 0
	for _, t := range r.tables {
		want[t.name] = r.expect(t, log[t.name])
		total += len(want[t.name])
	}
	harness.Await(r, 3*time.Minute, "all events", func() error {
		got := follow.count()
		if got >= total {
			return nil
		}
		for k := range modes {
			_, s := r.mesh.Call(r, http.MethodGet, "/connectors/"+r.connector(k)+"/status", nil)
			r.failed(s)
		}
		return fmt.Errorf("%d of %d events", got, total)
	})
	step("events")
	got := make([]map[string][]*event, len(modes))
	for k := range modes {
		got[k] = r.read(follow.of(r.prefix(k) + ".rows"))
	}
	for _, t := range r.tables {
		r.compare(t, want[t.name], got[t.mode][t.name])
	}
	step("compared")
	for k := range modes {
		r.mesh.Call(r, http.MethodDelete, "/connectors/"+r.connector(k), nil)
	}
	r.Logf("%d tables, %d events with %d values, %d cells of the log: %d differences", len(r.tables), total, r.values, r.logged, r.wrong)
}

// refusals are what a server may say of a random table: it does not fit into a row, or its key into a page.
func refused(err error) bool {
	var e *mysql.MyError
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case mysql.ER_TOO_BIG_ROWSIZE, mysql.ER_TOO_LONG_KEY, mysql.ER_TOO_BIG_FIELDLENGTH:
		return true
	}
	return false
}

// create makes a table, or another one of the same name if that cannot be.
func (r *run) create(t *table) *table {
	for range 20 {
		_, err := r.sql.Execute(t.create)
		if err == nil {
			return t
		}
		if !refused(err) {
			r.Fatalf("%s: %v", t.create, err)
		}
		t = r.g.table(t.name, t.mode, t.streamed)
	}
	r.Fatal("no random table is accepted")
	return nil
}

func (r *run) insert(t *table, phase, first, n int) {
	tags := make([]int, n)
	for i := range tags {
		tags[i] = first + i
	}
	const atOnce = 10 // rows of a statement: some events hold many rows, some one
	for len(tags) > 0 {
		k := min(len(tags), 1+r.g.r.IntN(atOnce))
		r.exec(t, r.g.insert(t, modes[t.mode], phase, tags[:k]))
		tags = tags[k:]
	}
	t.states[phase] = selectRows(r, r.sql, t, modes[t.mode])
}

func (r *run) exec(t *table, statement string) {
	r.Helper()
	if _, err := r.sql.Execute(statement); err != nil {
		r.Fatalf("%s\n%s\n%v", t.create, statement, err)
	}
}

// settings changes how the log is written from table to table.
func (r *run) settings(i int, t *table) {
	if i%20 == 0 {
		harness.Exec(r, r.sql, "set global binlog_row_metadata = "+r.g.oneOf("FULL", "MINIMAL"))
		if r.g.mariadb {
			harness.Exec(r, r.sql, "set global log_bin_compress = "+r.g.oneOf("ON", "OFF"))
		}
	}
	if !r.g.mariadb {
		harness.Exec(r, r.sql, "set binlog_transaction_compression = "+r.g.oneOf("ON", "OFF"), "set binlog_row_value_options = '"+r.g.oneOf("", "PARTIAL_JSON")+"'")
	}
}

// change does what happens to a table while the connector streams.
func (r *run) change(t *table, first, n int) {
	m := modes[t.mode]
	r.insert(t, insertPhase, first, n)
	tags := make([]int, 0, len(t.states[insertPhase]))
	for tag := 1; tag <= 2*rowsPerPhase; tag++ {
		if t.states[insertPhase][tag] != nil {
			tags = append(tags, tag)
		}
	}
	r.exec(t, "begin")
	for _, tag := range tags {
		if r.g.chance(30) {
			r.exec(t, r.g.update(t, m, tag))
		}
	}
	r.exec(t, "commit")
	t.states[updatePhase] = selectRows(r, r.sql, t, m)
	patched := false
	for _, tag := range tags {
		if s := r.g.patchRow(t, tag); s != "" && r.g.chance(50) {
			r.exec(t, s)
			patched = true
		}
	}
	if patched {
		t.states[patchPhase] = selectRows(r, r.sql, t, m)
	}
	r.exec(t, fmt.Sprintf("delete from %s where tag %% 7 = 0", t.name))
}
