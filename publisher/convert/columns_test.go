package convert

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/services/errs"
)

func TestMessageKeyColumns(t *testing.T) {
	for option, want := range map[string]string{
		"db.t:note":          `{"note":"a"}`,
		"db.t:N,ID":          `{"n":1,"id":5}`,
		"db.t:n.*":           `{"note":"a","n":1}`,
		"db.other:id":        `{"id":5}`,
		"(.*):gone":          `{"id":5}`, // as Debezium's
		"(.*):gone,n":        `{"n":1}`,
		"db.t:n;(.*).t:note": `{"n":1,"note":"a"}`,
		"db.t:gone":          "message.key.columns names column gone, which table db.t does not have; it has id, note, n, at",
		"db.t:n,note_id":     "message.key.columns names column note_id, which table db.t does not have; it has id, note, n, at",
	} {
		enc := parsed(t, "message.key.columns="+option)
		if err := enc.AddTable(smallTable()); err != nil {
			if errs.KindOf(err) != errs.Invalid || err.Error() != want {
				t.Errorf("%s: %v, want %s", option, err, want)
			}
			continue
		}
		var out Output
		if err := enc.Batch(oneGroup('c', 0, 1, image(false, 5, "a", 1, "NULL")), &out); err != nil {
			t.Fatal(err)
		}
		if got := string(out.Bytes(out.Records[0].Key)); got != want {
			t.Errorf("%s: %s, want %s", option, got, want)
		}
	}
}

func TestColumnsThatAreMissing(t *testing.T) {
	for option, want := range map[string][]string{
		"db.t.id,db.t.NOTE,db.u.x": nil,
		`db\.t\.id,db.t.gone`:      {"column.include.list names column gone, which table db.t does not have; it has id, note, n, at"},
		"db.t.g.*":                 {"column.include.list takes no column of table db.t, so its rows are empty; it has id, note, n, at"},
		"db.u.id":                  {"column.include.list takes no column of table db.t, so its rows are empty; it has id, note, n, at"},
	} {
		if d := cmp.Diff(want, parsed(t, "column.include.list="+option).Missing(smallTable())); d != "" {
			t.Errorf("%s: %s", option, d)
		}
	}
	if got := parsed(t).Missing(smallTable()); got != nil {
		t.Errorf("without a list: %v", got)
	}
}

func TestRowsOfARefusedTableAreLeftOut(t *testing.T) {
	enc := parsed(t, "message.key.columns=db.t:gone")
	if err := enc.AddTable(smallTable()); err == nil {
		t.Fatal("accepted")
	}
	enc.Leave(7)
	var out Output
	if err := enc.Batch(oneGroup('c', 0, 1, image(false, 5, "a", 1, "NULL")), &out); err != nil || len(out.Records) > 0 {
		t.Errorf("%d records, %v", len(out.Records), err)
	}
	mended := smallTable()
	mended.Columns[1].Name = "gone"
	if err := enc.AddTable(mended); err != nil {
		t.Fatal(err)
	}
	if err := enc.Batch(oneGroup('c', 0, 1, image(false, 5, "a", 1, "NULL")), &out); err != nil || len(out.Records) != 1 || !strings.Contains(string(out.Bytes(out.Records[0].Key)), "gone") {
		t.Errorf("%d records, %v", len(out.Records), err)
	}
}
