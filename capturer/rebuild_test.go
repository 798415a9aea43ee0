package capturer

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/gtid"
	"github.com/rowmesh/rowmesh/services/source"
)

// A store that was lost is rebuilt from the statements that were told before, from any place of a log with fifty of them: the rest is what it was. Without them the
// subscription is asked for them where it offers that.
func TestTablesAreRebuiltFromAHistory(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		head := m.head()
		m.exec(fiftyDDLs()...)
		databases := func(o *capturev1.Open) {
			o.MaxBatchBytes, o.Consumer, o.Ddl = 1, "history", capturev1.DdlScope_DDL_SCOPE_DATABASES
		}
		s := m.open(head, databases)
		want := newSeen().read(t, s, func(s *seen) bool { return len(s.rows) > 0 && s.rows[len(s.rows)-1] == "t u" })
		s.Close()
		var past []*capturev1.PastStatement
		for _, d := range want.ddls {
			past = append(past, &capturev1.PastStatement{Origin: "test", Offset: d.Checkpoint.Offset, Database: d.Database, Statement: d.Statement})
		}
		var ends []int
		for i, end := range want.ends {
			if end && want.after[i] < len(want.rows) && (i == 0 || !slices.Equal(want.tokens[i], want.tokens[i-1])) {
				ends = append(ends, i)
			}
		}
		tried := 0
		for n := 3; n < len(ends); n += 17 {
			tried++
			at := fromToken(want.tokens[ends[n]])
			m.store = NewMemoryStore()
			m.start()
			if !m.asksFor(at) {
				t.Fatalf("end %d: the subscription is not asked for the tables", n)
			}
			resp, err := m.client.Define(t.Context(), oneByOne(m.addr, at, nil, past))
			if err != nil {
				t.Fatal(err)
			}
			if resp.Tables != 2 || resp.Statements == 0 {
				t.Errorf("end %d: %v, want 2 tables", n, resp)
			}
			if m.asksFor(at) {
				t.Errorf("end %d: the subscription is asked again", n)
			}
			s := m.open(at, databases)
			got := newSeen().read(t, s, func(s *seen) bool { return len(s.rows) > 0 && s.rows[len(s.rows)-1] == "t u" })
			s.Close()
			if diff := cmp.Diff(want.rows[want.after[ends[n]]:], got.rows); diff != "" {
				t.Fatalf("from end %d of %d on: -uninterrupted +rebuilt\n%s", n, len(ends), diff)
			}
			if n+20 < len(ends) { // others start further on: statements in between are known too
				later := fromToken(want.tokens[ends[n+20]])
				if m.asksFor(later) {
					t.Errorf("end %d: a subscription further on is asked", n)
				}
			}
		}
		t.Logf("%d places of %d", tried, len(ends))
		_, err := m.client.Define(t.Context(), oneByOne(m.addr, fromToken(want.tokens[ends[40]]), fromToken(want.tokens[ends[3]]), past))
		if errs.KindOf(err) != errs.Unavailable || !strings.Contains(err.Error(), "complete up to") {
			t.Errorf("a history that is behind: %v, want Unavailable", err)
		}
	})
}

// asksFor says whether a subscription at a place is asked for the tables.
func (m *mesh) asksFor(at *capturev1.Start) bool {
	m.t.Helper()
	s, err := m.client.Subscribe(m.t.Context(), &capturev1.Open{Consumer: "asked", Source: m.addr, Tables: &capturev1.TableFilter{IncludeDatabases: []string{m.db}}, Start: at, CanDefine: true})
	if err != nil {
		m.t.Fatal(err)
	}
	defer s.Close()
	r, err := s.Recv()
	if err != nil {
		m.t.Fatal(err)
	}
	if !r.GetOpened().GetDefine() {
		return false
	}
	if _, err := s.Recv(); err != io.EOF {
		m.t.Errorf("behind the question comes %v, want the end", err)
	}
	return true
}

// oneByOne sends statements in a message each.
func oneByOne(source string, at, complete *capturev1.Start, past []*capturev1.PastStatement) func() (*capturev1.DefineTablesRequest, error) {
	i := -1
	return func() (*capturev1.DefineTablesRequest, error) {
		if i++; i == 0 {
			return &capturev1.DefineTablesRequest{Source: source, At: at, Complete: complete}, nil
		}
		if i > len(past) {
			return nil, io.EOF
		}
		return &capturev1.DefineTablesRequest{Statements: past[i-1 : i]}, nil
	}
}

func newPast(t *testing.T, at place) *past {
	t.Helper()
	return &past{catalog: NewCatalog(source.Info{Flavor: config.MySQL, Version: "8.4.0"}), flavor: config.MySQL, at: &at}
}

// Where a statement stands says whether it is before a place.
func TestPassed(t *testing.T) {
	set := func(s string) *gtid.Set {
		g, err := gtid.Parse(config.MySQL, s)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	const u = "453a28ca-e69b-11f1-8913-02fc00000001"
	byGTID := place{file: "binlog.000002", pos: 100, gtids: set(u + ":1-20")}
	byFile := place{file: "binlog.000010", pos: 5_000_000_000}
	for _, c := range []struct {
		name string
		at   place
		o    *rowv1.SourceOffset
		want bool
	}{
		{"before it", byGTID, &rowv1.SourceOffset{Gtids: u + ":1-19", File: "other.000009", Pos: 900}, true},
		{"the next of the log", byGTID, &rowv1.SourceOffset{Gtids: u + ":1-20", File: "binlog.000002", Pos: 50}, false},
		{"behind it", byGTID, &rowv1.SourceOffset{Gtids: u + ":1-21", File: "binlog.000001", Pos: 4}, false},
		{"the snapshot at it", byGTID, &rowv1.SourceOffset{Gtids: u + ":1-20", Snapshot: "INITIAL"}, true},
		{"a statement that ends there", byFile, &rowv1.SourceOffset{File: "binlog.000010", Pos: 5_000_000_000}, true},
		{"beyond 2 GiB", byFile, &rowv1.SourceOffset{File: "binlog.000010", Pos: 5_000_000_001}, false},
		{"in a transaction that begins there", byFile, &rowv1.SourceOffset{File: "binlog.000010", Pos: 5_000_000_000, Event: 1}, false},
		{"a file of fewer digits", byFile, &rowv1.SourceOffset{File: "binlog.000009", Pos: 6_000_000_000}, true},
		{"a place without GTIDs", byFile, &rowv1.SourceOffset{Gtids: u + ":1-99", File: "binlog.000009", Pos: 4}, true},
	} {
		at := c.at
		p := past{flavor: config.MySQL, at: &at}
		if got, err := p.passed(&capturev1.PastStatement{Offset: c.o}); err != nil || got != c.want {
			t.Errorf("%s: %v %v, want %v", c.name, got, err, c.want)
		}
	}
	p := past{flavor: config.MySQL, at: &byGTID}
	if _, err := p.passed(&capturev1.PastStatement{Origin: "topic h, offset 3", Offset: &rowv1.SourceOffset{Gtids: "0-1-5"}}); errs.KindOf(err) != errs.Corrupt || !strings.Contains(err.Error(), "topic h, offset 3") {
		t.Errorf("GTIDs of another kind: %v", err)
	}
}

// What cannot be replayed is taken as it was told: a table whose creation nobody recorded, and a statement that is not understood.
func TestPastTables(t *testing.T) {
	p := newPast(t, place{file: "b.000001", pos: 1000})
	at := &rowv1.SourceOffset{File: "b.000001", Pos: 4}
	const ddl = "CREATE TABLE `t` (`id` INT NOT NULL, `v` VARCHAR(9) CHARACTER SET latin1 NULL, PRIMARY KEY (`id`)) DEFAULT CHARSET=utf8mb4"
	for _, st := range []*capturev1.PastStatement{
		{Database: "d", Statement: "alter table t add v varchar(9)", Tables: []*capturev1.PastTable{{Database: "d", Table: "t", Definition: ddl}}},
		{Database: "d", Statement: "create table u (a int)"},
		{Database: "d", Statement: "rename table other.x to d.w", Tables: []*capturev1.PastTable{{Database: "d", Table: "w", PreviousDatabase: "other", PreviousTable: "x",
			Definition: strings.Replace(ddl, "`t`", "`w`", 1)}}},
		{Database: "d", Tables: []*capturev1.PastTable{{Database: "d", Table: "u"}}},
		{Database: "d", Statement: "drop table u", Tables: []*capturev1.PastTable{{Database: "d", Table: "u"}}},
		{Database: "d", Statement: "alter table u /*!50100 add column plus int"},
	} {
		st.Offset = at
		if err := p.replay(st); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"t", "w"} {
		got := p.catalog.Table("d", name)
		if got == nil || len(got.Columns) != 2 || got.Columns[1].Charset != "latin1" {
			t.Errorf("table %s is %v", name, got)
		}
	}
	if p.catalog.Table("d", "u") != nil {
		t.Error("table u is known")
	}
	bad := &capturev1.PastStatement{Origin: "topic h, offset 9", Offset: at, Database: "d", Tables: []*capturev1.PastTable{{Database: "d", Table: "b", Definition: "CREATE TABLE `b` (`x` NOSUCHTYPE)"}}}
	if err := p.replay(bad); errs.KindOf(err) != errs.Corrupt || !strings.Contains(err.Error(), "topic h, offset 9") || !strings.Contains(err.Error(), "d.b") {
		t.Errorf("a definition that is none: %v", err)
	}
}
