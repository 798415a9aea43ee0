package binlog

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
)

// The lists of character sets have an entry for columns that hold no text, and which ones those are differs between the servers: one entry too few or too many
// gives all columns behind it another's character set.
func TestCharsetListsCountEveryStringColumn(t *testing.T) {
	const latin1, gbk = 8, 28
	types := []byte{byte(typeVector), byte(typeGeometry), byte(typeVarchar), byte(typeJSON), byte(typeVarchar)}
	meta := []byte{4, 4, 40, 0, 4, 40, 0}
	for name, c := range map[string]struct {
		mariadb bool
		opt     []byte
		want    []uint16
	}{
		"MySQL, a list":        {false, []byte{optColumnCharset, 3, binaryCollation, latin1, gbk}, []uint16{binaryCollation, 0, latin1, 0, gbk}},
		"MySQL, a default":     {false, []byte{optDefaultCharset, 5, latin1, 0, binaryCollation, 2, gbk}, []uint16{binaryCollation, 0, latin1, 0, gbk}},
		"MariaDB, a list":      {true, []byte{optColumnCharset, 4, binaryCollation, binaryCollation, latin1, gbk}, []uint16{binaryCollation, binaryCollation, latin1, 0, gbk}},
		"MariaDB, a default":   {true, []byte{optDefaultCharset, 5, binaryCollation, 2, latin1, 3, gbk}, []uint16{binaryCollation, binaryCollation, latin1, 0, gbk}},
		"nothing of the sort":  {false, nil, nil},
		"an unknown kind only": {false, []byte{99, 2, 1, 2}, nil},
	} {
		tm, err := parseTableMap(tableMapBody(1, "d", "t", types, meta, c.opt), 6, c.mariadb)
		if err != nil || tm.metaErr != nil {
			t.Fatalf("%s: %v, %v", name, err, tm.metaErr)
		}
		if d := cmp.Diff(c.want, tm.meta.collations); d != "" {
			t.Errorf("%s: collations (-want +got):\n%s", name, d)
		}
	}
}

// Optional metadata that cannot be read is the trouble of who wants the table: the stream goes on.
func TestBadMetadataIsOfItsTable(t *testing.T) {
	w := newLog("binlog.000001")
	w.add(gtidEvent, gtidBody(5, 1, 2))
	w.add(queryEvent, queryBody(9, "d", "BEGIN"))
	w.add(tableMapEvent, tableMapBody(7, "d", "bad", []byte{byte(typeLong)}, nil, []byte{optDefaultCharset, 3, 8, 7, 8}))
	w.add(writeRowsV2, rowsBodyV2(7, 1, [][]byte{ones(1)}, []byte{0, 1, 0, 0, 0}))
	w.add(tableMapEvent, tableMapBody(8, "d", "good", []byte{byte(typeLong)}, nil, nil))
	w.add(writeRowsV2, rowsBodyV2(8, 1, [][]byte{ones(1)}, []byte{0, 2, 0, 0, 0}))
	w.add(xidEvent, make([]byte, 8))
	s := newStream(&memory{packets: w.packets}, testConfig())
	shape := &rowv1.Table{Columns: []*rowv1.Column{{Name: "id", Kind: rowv1.Kind_KIND_INT, TypeName: "INT"}}}
	errsOf := map[string]error{}
	for {
		ev, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		if ev.Kind == Commit {
			break
		}
		if ev.Kind == Rows {
			_, errsOf[ev.Table.Name] = Compile(ev.Table, shape)
			if _, ok := ShapeFromMetadata(ev.Table); ok {
				t.Errorf("%s has a shape in the log", ev.Table.Name)
			}
		}
	}
	if err := errsOf["bad"]; errs.KindOf(err) != errs.Corrupt || !strings.Contains(err.Error(), "d.bad") {
		t.Errorf("bad: %v, want a Corrupt error that names the table", err)
	}
	if err, ok := errsOf["good"]; !ok || err != nil {
		t.Errorf("good: %v", err)
	}
}

// A table has at most 4096 columns on any server: a map with more is refused before its lists are read, which would take minutes.
func TestTableMapWithTooManyColumns(t *testing.T) {
	body := append(appendN(nil, 7, 6), 1, 0, 1, 'd', 0, 1, 't', 0, 0xfc, 0x01, 0x10) // 4097 columns
	body = append(body, make([]byte, 10_000)...)
	if _, err := parseTableMap(body, 6, false); errs.KindOf(err) != errs.Corrupt || !strings.Contains(err.Error(), "d.t") {
		t.Errorf("got %v, want a Corrupt error that names the table", err)
	}
}
