package capturer

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
)

func TestComparePositions(t *testing.T) {
	for _, c := range []struct {
		fileA string
		posA  uint64
		fileB string
		posB  uint64
		want  int
	}{
		{"binlog.000001", 4, "binlog.000001", 4, 0},
		{"binlog.000001", 5, "binlog.000001", 1 << 40, -1},
		{"binlog.999999", 4, "binlog.1000000", 4, -1}, // the number decides, not the text
		{"binlog.000010", 4, "binlog.000009", 900, 1},
		{"", 0, "binlog.000001", 4, -1},
	} {
		if got := comparePositions(c.fileA, c.posA, c.fileB, c.posB); got != c.want {
			t.Errorf("%s:%d against %s:%d is %d, want %d", c.fileA, c.posA, c.fileB, c.posB, got, c.want)
		}
	}
}

// Readers share a connection where their places are the same. A transaction that is before a position and not yet among the GTIDs is still to come to the one, and
// was delivered to the other.
func TestSamePlace(t *testing.T) {
	const u, v = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "4e11fa47-71ca-11e1-9e33-c80aa9429562"
	at := func(pos uint64, uuid, gtids string, exact bool) place {
		p, err := newPlace(config.MySQL, &rowv1.Position{File: "binlog.000001", Pos: pos, Gtids: gtids, ServerUuid: uuid})
		if err != nil {
			t.Fatal(err)
		}
		p.exact = exact
		return p
	}
	for name, c := range map[string]struct {
		a, b place
		want bool
	}{
		"position":                       {at(9, u, "", false), at(9, u, "", false), true},
		"other position":                 {at(9, u, "", false), at(8, u, "", false), false},
		"position on another server":     {at(9, u, "", false), at(9, v, "", false), false},
		"position where one has GTIDs":   {at(9, u, "", false), at(9, u, u+":1-5", true), true},
		"position near which one stands": {at(9, u, "", false), at(9, u, u+":1-5", false), false},
		"GTIDs":                          {at(9, u, u+":1-5", false), at(4, v, u+":1-5", true), true},
		"a transaction before its GTID":  {at(9, u, u+":1-4", false), at(9, u, u+":1-5", true), false},
	} {
		if got := c.a.same(&c.b); got != c.want || c.b.same(&c.a) != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}

func TestTokens(t *testing.T) {
	start := &rowv1.Position{File: "binlog.000007", Pos: 1 << 33, Gtids: "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5", ServerUuid: "u"}
	from := place{server: 7}
	got, err := decodeToken(from.token(start, cursor{3, 9}, true))
	if err != nil {
		t.Fatal(err)
	}
	want := &rowv1.ResumeToken{Version: 1, Start: start, Event: 3, Row: 9, Exact: true, ServerId: 7}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	for name, b := range map[string][]byte{"empty": nil, "text": []byte("token"), "truncated": from.token(start, cursor{}, false)[:20]} {
		if _, err := decodeToken(b); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: %v, want Invalid", name, err)
		}
	}
}

func shape(table, column string) *rowv1.Table {
	return &rowv1.Table{Database: "db", Table: table, Columns: []*rowv1.Column{{Name: column}}}
}

// The shape of a table at a place is the newest one that is valid there, by GTIDs where both have them and by position on the same server otherwise.
func TestHistoryAtPlace(t *testing.T) {
	const u = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	store := NewMemoryStore()
	put := func(file string, pos uint64, gtids string, s *rowv1.Table, table string) {
		t.Helper()
		v := registry.TableVersion{Database: "db", Table: table, ValidFrom: &rowv1.Position{File: file, Pos: pos, Gtids: gtids, ServerUuid: "one"}, Shape: s}
		if err := store.Put(t.Context(), "s", v); err != nil {
			t.Fatal(err)
		}
	}
	put("binlog.000002", 100, u+":1-20", shape("a", "second"), "a")
	put("binlog.000001", 100, u+":1-10", shape("a", "first"), "a")
	put("binlog.000002", 500, u+":1-30", nil, "a")
	put("binlog.000003", 100, u+":1-40", shape("a", "again"), "a")
	h := newHistory(store, "s")
	if err := h.load(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name         string
		at           *rowv1.Position
		known, guess string
	}{
		{"before all", &rowv1.Position{File: "binlog.000001", Pos: 50, Gtids: u + ":1-9"}, "", "first"},
		{"at the first", &rowv1.Position{File: "binlog.000001", Pos: 100, Gtids: u + ":1-10"}, "first", ""},
		{"between", &rowv1.Position{File: "binlog.000002", Pos: 99, Gtids: u + ":1-19"}, "first", ""},
		{"second", &rowv1.Position{File: "binlog.000002", Pos: 400, Gtids: u + ":1-25"}, "second", ""},
		{"dropped", &rowv1.Position{File: "binlog.000002", Pos: 600, Gtids: u + ":1-35"}, "", ""},
		{"made again", &rowv1.Position{File: "binlog.000009", Pos: 4, Gtids: u + ":1-50"}, "again", ""},
		{"other server, same GTIDs", &rowv1.Position{File: "log.000001", Pos: 4, Gtids: u + ":1-25", ServerUuid: "two"}, "second", ""},
		{"position alone", &rowv1.Position{File: "binlog.000002", Pos: 101, ServerUuid: "one"}, "second", ""},
		{"other server, position alone", &rowv1.Position{File: "binlog.000002", Pos: 101, ServerUuid: "two"}, "", "first"},
	} {
		at, err := newPlace(config.MySQL, c.at)
		if err != nil {
			t.Fatal(err)
		}
		known, guess := h.at(config.MySQL, &at)
		if got := columnOf(known); got != c.known {
			t.Errorf("%s: known %q, want %q", c.name, got, c.known)
		}
		if got := columnOf(guess); got != c.guess {
			t.Errorf("%s: guess %q, want %q", c.name, got, c.guess)
		}
		if one := h.table(config.MySQL, &at, "db", "a"); (one == nil) != (c.known == "") {
			t.Errorf("%s: table is %v", c.name, one)
		}
	}
}

func columnOf(tables []*rowv1.Table) string {
	if len(tables) == 0 {
		return ""
	}
	return tables[0].Columns[0].Name
}
