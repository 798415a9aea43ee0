package binlog

import (
	"strings"
	"testing"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
)

// A value that its type cannot hold is an error that names the table, the column, the place in the log and the row, and nothing of its event is packed. What
// becomes of the table is the reader's to decide.
func TestValuesThatTheirTypesCannotHold(t *testing.T) {
	time6 := rowv1.Column{Kind: rowv1.Kind_KIND_TIME, Length: u32p(6)}
	for name, c := range map[string]struct {
		typ   columnType
		meta  string
		col   *rowv1.Column
		image string // of the second row; the first one's is good
		good  string
		says  string
	}{
		"truncated JSON": {typeJSON, "04", &rowv1.Column{Kind: rowv1.Kind_KIND_JSON}, "08000000" + "0001000c000b0001", "0d000000" + "0001000c000b00010005070061", "binary JSON"},
		"JSON that contains itself": {typeJSON, "04", &rowv1.Column{Kind: rowv1.Kind_KIND_JSON}, "08000000" + "0201000700020000", "0d000000" + "0001000c000b00010005070061",
			"binary JSON"},
		"month 13":                 {typeDate, "", &rowv1.Column{Kind: rowv1.Kind_KIND_DATE}, "a1d10f", "5dd00f", "month 13"},
		"hour 27":                  {typeDatetime2, "00", &rowv1.Column{Kind: rowv1.Kind_KIND_DATETIME}, "99b27bb000", "99b27ac8b8", "time of day 27:00:00"},
		"minute 60":                {typeDatetime2, "00", &rowv1.Column{Kind: rowv1.Kind_KIND_DATETIME}, "99b2770f00", "99b27ac8b8", "time of day 16:60:00"},
		"a second of microseconds": {typeTimestamp2, "06", &rowv1.Column{Kind: rowv1.Kind_KIND_TIMESTAMP, Length: u32p(6)}, "6553f1000f4240", "6553f10001e240", "1000000 microseconds"},
		"a time of 61 minutes":     {typeTime2, "06", &time6, "800f40000000", "80c8b801e240", "TIME"},
		"a digit too many":         {typeNewDecimal, "0a02", &rowv1.Column{Kind: rowv1.Kind_KIND_DECIMAL}, "800bc614ff", "800bc61443", "DECIMAL group"},
		"more bytes than BINARY":   {typeString, "fe02", &rowv1.Column{Kind: rowv1.Kind_KIND_BYTES}, "03616263", "0161", "3 bytes in BINARY(2)"},
		"text behind the event":    {typeVarchar, "2800", &rowv1.Column{Kind: rowv1.Kind_KIND_STRING, Charset: "utf8mb4"}, "0a6162", "0161", "shorter"},
	} {
		p, err := oneColumn(c.typ, c.meta, c.col)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ev := insert(p, fromHex("00"+c.good+"00"+c.image))
		out, rows, _, err := p.Append(nil, ev, 0, 0)
		if errs.KindOf(err) != errs.Corrupt || len(out) > 0 || rows > 0 {
			t.Errorf("%s: %d rows, %v, want a Corrupt error", name, rows, err)
			continue
		}
		for _, w := range []string{"d.t", `column "c"`, "binlog.000001:4", "row 1", c.says} {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", name, err, w)
			}
		}
	}
}
