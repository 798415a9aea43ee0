package convert

import (
	"errors"
	"strings"
	"testing"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/row"
)

// A value that its column cannot hold is an error that names table, column and place where the mode is fail; where it is warn or skip, null stands in its place
// and the rows around it come as they are.
func TestValuesThatTheirColumnsCannotHold(t *testing.T) {
	three := uint32(3)
	members := []string{"a", "b"}
	for name, c := range map[string]struct {
		col       *rowv1.Column
		good, bad []byte
		want      string // of the good one
		says      string
	}{
		"enum index": {&rowv1.Column{Kind: rowv1.Kind_KIND_ENUM, TypeName: "ENUM", Members: members}, row.AppendUint(nil, 2), row.AppendUint(nil, 3), `"b"`,
			"index 3 of an enum with 2 members"},
		"set bit": {&rowv1.Column{Kind: rowv1.Kind_KIND_SET, TypeName: "SET", Members: members}, row.AppendUint(nil, 3), row.AppendUint(nil, 4), `"a,b"`,
			"bits 0x4 of a set with 2 members"},
		"31 February": {&rowv1.Column{Kind: rowv1.Kind_KIND_DATE, TypeName: "DATE"}, row.AppendUint(nil, row.PackDate(1970, 1, 2)),
			row.AppendUint(nil, row.PackDate(2021, 2, 31)), `1`, "2021-02-31"},
		"31 February at noon": {&rowv1.Column{Kind: rowv1.Kind_KIND_DATETIME, TypeName: "DATETIME", Length: &three},
			row.AppendDatetime(nil, row.PackDatetime(row.PackDate(1970, 1, 1), 0, 0, 1, 0)), row.AppendDatetime(nil, row.PackDatetime(row.PackDate(2021, 2, 31), 12, 0, 0, 0)),
			`1000`, "2021-02-31"},
		"cut geometry": {&rowv1.Column{Kind: rowv1.Kind_KIND_GEOMETRY, TypeName: "POINT"}, append([]byte{0, 0, 0, 0, 1, 1, 0, 0, 0}, make([]byte, 16)...), []byte{0, 0, 0, 0, 1, 1, 0, 0, 0},
			`{"x":0.0,"y":0.0,"wkb":"AQEAAAAAAAAAAAAAAAAAAAAAAAAA","srid":null}`, "a point of 5 bytes"},
	} {
		c.col.Name, c.col.Position, c.col.Nullable = "c", 2, true
		table := &rowv1.Table{SchemaId: 9, Database: "d", Table: "bad", Key: []uint32{0}, Columns: []*rowv1.Column{
			{Name: "id", Kind: rowv1.Kind_KIND_INT, TypeName: "INT", Position: 1}, c.col}}
		image := func(id int64, cell []byte) []byte {
			b := row.AppendInt([]byte{0}, id)
			if row.Prefixed(c.col.Kind) {
				return row.AppendBytes(b, cell)
			}
			return append(b, cell...)
		}
		batch := oneGroup('c', 0, 3, image(1, c.good), image(2, c.bad), image(3, c.good))
		batch.GroupSchema[0] = 9
		for _, mode := range []string{"fail", "warn", "skip"} {
			enc := newEncoder(t, func(cfg *config.Connector) { cfg.ConvertFailure = mode })
			if err := enc.AddTable(table); err != nil {
				t.Fatal(err)
			}
			var out Output
			err := enc.Batch(batch, &out)
			if mode == "fail" {
				var bad *RowError
				if !errors.As(err, &bad) || bad.Column != "c" || bad.Row != 1 || bad.Pos != 99 || len(out.Records) != 1 {
					t.Errorf("%s: %v after %d records", name, err, len(out.Records))
				}
				for _, w := range []string{"d.bad.c", "f.1:99 row 1", c.says} {
					if !strings.Contains(err.Error(), w) {
						t.Errorf("%s: %v does not say %q", name, err, w)
					}
				}
				continue
			}
			if err != nil || len(out.Records) != 3 || (mode == "warn") != (out.Warned == 1) {
				t.Fatalf("%s, %s: %v, %d records, %d warnings", name, mode, err, len(out.Records), out.Warned)
			}
			for i, want := range []string{c.want, "null", c.want} {
				if v := string(out.Bytes(out.Records[i].Value)); !strings.Contains(v, `"c":`+want+`}`) {
					t.Errorf("%s, %s: record %d is %s, want %s", name, mode, i, v, want)
				}
			}
		}
	}
}

// Bytes that are no UTF-8 become U+FFFD: the row comes, and its JSON can be read.
func TestBytesThatAreNoText(t *testing.T) {
	enc := newEncoder(t, nil)
	var out Output
	if err := enc.Batch(oneGroup('c', 0, 1, image(false, 1, "a\xff\xc3(b", 5, 0)), &out); err != nil {
		t.Fatal(err)
	}
	if v, want := string(out.Bytes(out.Records[0].Value)), "\"a\uFFFD\uFFFD(b\""; !strings.Contains(v, want) {
		t.Errorf("%s does not hold %s", v, want)
	}
}
