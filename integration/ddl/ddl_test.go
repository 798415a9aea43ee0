package ddl

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/capturer"
	"github.com/rowmesh/rowmesh/capturer/binlog"
	"github.com/rowmesh/rowmesh/capturer/schema"
	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/integration/harness"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/source"
)

// TestMain puts the servers' data into memory where there is room: a statement that changes tables waits for the disk several times.
func TestMain(m *testing.M) {
	const memory, room = "/dev/shm", 4 << 30 // three servers take some 300 MB each, and what their logs grow to
	var fs syscall.Statfs_t
	if os.Getenv("TMPDIR") == "" && syscall.Statfs(memory, &fs) == nil && fs.Bavail*uint64(fs.Bsize) > room {
		os.Setenv("TMPDIR", memory)
	}
	os.Exit(harness.Main(m))
}

const (
	// defaultSteps is how many statements each server must take. Three servers beside each other take and answer some 100 a second each on two cores.
	defaultSteps = 1000
	// everyTable is how often all tables are compared, and not only those that the model says were changed.
	everyTable = 40
)

// TestModelFollowsServers runs random statements on each real server, and compares the model with information_schema after each.
func TestModelFollowsServers(t *testing.T) {
	parts := []harness.Part{harness.MySQL, harness.MySQL80, harness.MariaDB}
	if os.Getenv("ROWMESH_FULL") == "1" {
		parts = append(parts, harness.MySQL57)
	}
	for _, part := range parts {
		t.Run(string(part), func(t *testing.T) {
			addr := os.Getenv("ROWMESH_TEST_" + strings.ToUpper(string(part)))
			if addr == "" {
				addr = harness.Addr(t, part)
			}
			t.Parallel()
			s := newServer(t, addr)
			s.follow(newGenerator(s, seed(t)), steps(t))
		})
	}
}

func seed(t *testing.T) uint64 {
	n := uint64(1)
	if v := os.Getenv("ROWMESH_TEST_SEED"); v == "random" {
		n = rand.Uint64()
	} else if v != "" {
		var err error
		if n, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatalf("ROWMESH_TEST_SEED=%s: want a number, or random", v)
		}
	}
	t.Logf("ROWMESH_TEST_SEED=%d", n)
	return n
}

func steps(t *testing.T) int {
	v := os.Getenv("ROWMESH_TEST_STEPS")
	if v == "" {
		return defaultSteps
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("ROWMESH_TEST_STEPS=%s: want a number", v)
	}
	return n
}

// server is a server with its log and the model of its tables.
type server struct {
	*testing.T
	info       source.Info
	mariadb    bool
	run, look  *source.Conn // statements, and questions: a session sees its temporary tables in place of others
	log        *binlog.Stream
	at         *rowv1.Position
	catalog    *schema.Catalog
	dbs        []string
	collations map[string]string // default collations by character set
	trail      []string          // what was logged
}

func newServer(t *testing.T, addr string) *server {
	s := &server{T: t, dbs: []string{"ddl_a", "ddl_b", "ddl-ç"}, collations: map[string]string{}}
	for _, c := range []**source.Conn{&s.run, &s.look} {
		conn, err := source.Connect(t.Context(), source.Config{Addr: addr, User: servers.RootUser})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		*c = conn
	}
	var err error
	if s.info, err = source.Describe(t.Context(), s.look); err != nil {
		t.Fatal(err)
	}
	s.mariadb = s.info.Flavor == config.MariaDB
	drop := func(ctx context.Context) {
		for _, db := range s.dbs {
			s.look.Exec(ctx, "DROP DATABASE IF EXISTS "+source.Quote(db))
		}
		s.look.Exec(ctx, "DROP USER IF EXISTS ddl_u@localhost")
	}
	drop(t.Context())
	t.Cleanup(func() { drop(context.Background()) })
	for _, r := range s.query("SELECT character_set_name, default_collate_name FROM information_schema.character_sets") {
		s.collations[oneName(r[0].Text)] = oneName(r[1].Text)
	}
	if s.mariadb {
		for _, p := range strings.Split(s.query("SELECT @@character_set_collations")[0][0].Text, ",") {
			if name, collation, ok := strings.Cut(p, "="); ok {
				s.collations[oneName(name)] = collation
			}
		}
	}
	s.catalog = capturer.NewCatalog(s.info)
	if s.at, err = source.Head(t.Context(), s.look); err != nil {
		t.Fatal(err)
	}
	s.log, err = binlog.Dial(t.Context(), binlog.Config{Addr: addr, User: servers.RootUser, Flavor: s.info.Flavor, ServerID: 1<<30 + rand.Uint32N(1<<20), Heartbeat: time.Second,
		ReadTimeout: time.Minute, VerifyChecksum: true}, binlog.Start{File: s.at.File, Pos: s.at.Pos})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.log.Close() })
	return s
}

func newGenerator(s *server, seed uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, 1)), mariadb: s.mariadb, version: s.info.Number(), catalog: s.catalog, dbs: s.dbs}
}

// query returns the rows of a question.
func (s *server) query(sql string) [][]source.Value {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	r, err := s.look.Query(ctx, sql)
	if err != nil {
		s.Fatalf("%s: %v", sql, err)
	}
	return r.Rows
}

// exec runs a statement and says whether the server took it.
func (s *server) exec(sql string) bool {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	err := s.run.Exec(ctx, sql)
	if err != nil && source.ErrorCode(err) == 0 {
		s.Fatalf("%s: %v", sql, err)
	}
	return err == nil
}

// follow runs statements until the server has taken as many as wanted.
func (s *server) follow(g *generator, want int) {
	begun := []string{"create database ddl_a", "create database ddl_b", "create database `ddl-ç` character set latin1", "use ddl_a", "set session lock_wait_timeout=2"}
	if (s.mariadb || s.info.Number() < 90000) && g.chance(50) { // for all of the run: ALTER TABLE in this mode also changes columns that were made in the other
		begun = append(begun, "set session explicit_defaults_for_timestamp=0")
	}
	for _, sql := range begun {
		if !s.exec(sql) {
			s.Fatalf("the server refuses %s", sql)
		}
	}
	begin, taken, refused := time.Now(), 0, 0
	for taken < want {
		sql := g.statement()
		if s.exec(sql) {
			taken++
		} else if refused++; refused > 20*want {
			s.Fatalf("the server took %d statements and refused %d", taken, refused)
		}
		changed := s.catchUp(sql)
		if taken%everyTable == 0 || taken == want {
			changed = nil
			s.catalog.Tables(func(t *rowv1.Table) bool { changed = append(changed, t); return true })
		}
		s.compareNames(sql)
		for _, t := range changed {
			s.compare(sql, t)
		}
		if s.Failed() {
			return
		}
	}
	s.Logf("%s %s: %d statements, %d refused, %.0f s", s.info.Flavor, s.info.Version, taken, refused, time.Since(begin).Seconds())
}

// catchUp moves the model over what a statement left in the log. It returns the tables that changed.
func (s *server) catchUp(sql string) []*rowv1.Table {
	s.Helper()
	head, err := source.Head(s.Context(), s.look)
	if err != nil {
		s.Fatal(err)
	}
	names := map[[2]string]bool{}
	for s.at.File != head.File || s.at.Pos < head.Pos {
		ev, err := s.log.Next()
		if err != nil {
			s.Fatalf("after %s: %v", sql, err)
		}
		s.at = &rowv1.Position{File: ev.File, Pos: max(ev.EndPos, ev.Pos)}
		if ev.Kind != binlog.Query {
			continue
		}
		if s.trail = append(s.trail, ev.SQL); len(s.trail) > 400 {
			s.trail = s.trail[200:]
		}
		changes, err := s.catalog.Apply(ev.Database, ev.SQL, capturer.StatementOptions(s.info, &ev.Session))
		if err != nil {
			s.Fatalf("%s\nis not understood: %v\n%s", ev.SQL, err, s.past(""))
		}
		for _, c := range changes {
			names[[2]string{c.Database, c.Table}] = true
		}
	}
	var changed []*rowv1.Table
	for n := range names {
		if t := s.catalog.Table(n[0], n[1]); t != nil {
			changed = append(changed, t)
		}
	}
	return changed
}

// past returns the logged statements that name a table, all of the last for an empty name.
func (s *server) past(table string) string {
	var out []string
	for _, sql := range s.trail {
		if strings.Contains(sql, strings.ReplaceAll(table, "`", "``")) {
			out = append(out, sql)
		}
	}
	return "in the log before:\n" + strings.Join(out[max(0, len(out)-12):], ";\n")
}

// compareNames compares which tables there are.
func (s *server) compareNames(sql string) {
	s.Helper()
	var want, got []string
	in := "('ddl_a','ddl_b','ddl-ç')"
	for _, r := range s.query("SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_schema IN " + in + " AND table_type<>'VIEW'") {
		name := r[0].Text + "." + r[1].Text
		switch r[2].Text {
		case "SEQUENCE":
			name += " (sequence)"
		case "TEMPORARY":
			continue
		}
		want = append(want, name)
		if r[2].Text == "SEQUENCE" && s.catalog.IsSequence(r[0].Text, r[1].Text) {
			got = append(got, name)
		}
	}
	s.catalog.Tables(func(t *rowv1.Table) bool {
		name := t.Database + "." + t.Table
		if s.catalog.IsSequence(t.Database, t.Table) {
			name += " (table and sequence)"
		}
		got = append(got, name)
		return true
	})
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("after\n%s\n-server +model\n%s\n%s", sql, diff, s.past(""))
	}
}

// compare compares one table with the server's description of it, and with what the parser reads in SHOW CREATE TABLE.
func (s *server) compare(sql string, t *rowv1.Table) {
	s.Helper()
	var want, got []string
	for _, r := range s.query(fmt.Sprintf(columnQuery, source.QuoteText(t.Database), source.QuoteText(t.Table))) {
		want = append(want, s.serverColumn(r))
	}
	want = append(want, s.indexes(t.Database, t.Table)...)
	for _, c := range t.Columns {
		if !c.Hidden {
			got = append(got, s.modelColumn(c))
		}
	}
	got = append(got, modelIndexes(t)...)
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("after\n%s\n%s.%s: -server +model\n%s\n%s", sql, t.Database, t.Table, diff, s.past(t.Table))
		return
	}
	text := s.query("SHOW CREATE TABLE " + source.QuoteTable(t.Database, t.Table))[0][1].Text
	read, err := schema.ParseCreate(s.catalog.Options(), t.Database, text)
	if err != nil {
		s.Errorf("%s\n%v", text, err)
		return
	}
	if diff := cmp.Diff(s.spelled(read), s.spelled(t)); diff != "" {
		s.Errorf("after\n%s\nwhere the server says\n%s\n-read +model\n%s\n%s", sql, text, diff, s.past(t.Table))
	}
}

// spelled is what must be the same of a table whichever way it came about: also the columns that the server keeps to itself.
func (s *server) spelled(t *rowv1.Table) []string {
	collation := oneName(t.Collation)
	if collation == "" {
		collation = s.collations[oneName(t.Charset)]
	}
	out := []string{"default charset " + oneName(t.Charset) + "/" + collation}
	if slices.ContainsFunc(t.Indexes, func(ix *rowv1.Index) bool { return ix.Name == primaryName }) {
		out = append(out, fmt.Sprint("key ", key(t)))
	}
	for _, c := range t.Columns {
		text := fmt.Sprintf("%s hidden=%v", s.modelColumn(c), c.Hidden)
		if c.Nullable { // the model does not tell a default that is an expression from NULL, which no other column can have
			text += fmt.Sprintf(" has-default=%v", c.HasDefault)
		}
		out = append(out, text)
	}
	return out
}
