package binlog

import (
	"bytes"
	"errors"
	"testing"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
)

// cellKinds are the stored types with the packed forms that they can have; benchmarks and fuzzing take their columns from here.
var cellKinds = []struct {
	name  string
	typ   columnType
	meta  string
	col   rowv1.Column
	image string // a value, without the null bitmap
}{
	{"tinyint", typeTiny, "", rowv1.Column{Kind: rowv1.Kind_KIND_INT}, "85"},
	{"int", typeLong, "", rowv1.Column{Kind: rowv1.Kind_KIND_INT}, "40e20100"},
	{"bigint unsigned", typeLongLong, "", rowv1.Column{Kind: rowv1.Kind_KIND_UINT, Unsigned: true}, "ffffffffffffff7f"},
	{"float", typeFloat, "04", rowv1.Column{Kind: rowv1.Kind_KIND_FLOAT32}, "c3f54840"},
	{"float(m,d)", typeFloat, "04", rowv1.Column{Kind: rowv1.Kind_KIND_FLOAT64}, "c3f54840"},
	{"double", typeDouble, "08", rowv1.Column{Kind: rowv1.Kind_KIND_FLOAT64}, "182d4454fb210940"},
	{"decimal(10,2)", typeNewDecimal, "0a02", rowv1.Column{Kind: rowv1.Kind_KIND_DECIMAL}, "800bc61443"},
	{"decimal(65,30)", typeNewDecimal, "411e", rowv1.Column{Kind: rowv1.Kind_KIND_DECIMAL}, "84999999" + "3b9ac9ff3b9ac9ff3b9ac9ff3b9ac9ff3b9ac9ff3b9ac9ff03e7"},
	{"varchar utf8mb4", typeVarchar, "ff00", rowv1.Column{Kind: rowv1.Kind_KIND_STRING, Charset: "utf8mb4"}, "0b68656c6c6f20776f726c64"},
	{"varchar latin1", typeVarchar, "ff00", rowv1.Column{Kind: rowv1.Kind_KIND_STRING, Charset: "latin1"}, "0b68e46c6c6f20776f726c64"},
	{"varchar gbk", typeVarchar, "ff00", rowv1.Column{Kind: rowv1.Kind_KIND_STRING, Charset: "gbk"}, "08c4e3bac3cac0bde7"},
	{"varchar utf16", typeVarchar, "ff00", rowv1.Column{Kind: rowv1.Kind_KIND_STRING, Charset: "utf16"}, "0800680069d83ddc00"},
	{"text", typeBlob, "02", rowv1.Column{Kind: rowv1.Kind_KIND_STRING, Charset: "utf8mb4"}, "0b0068656c6c6f20776f726c64"},
	{"blob", typeBlob, "02", rowv1.Column{Kind: rowv1.Kind_KIND_BYTES}, "0b0068656c6c6f20776f726c64"},
	{"binary(16)", typeString, "fe10", rowv1.Column{Kind: rowv1.Kind_KIND_BYTES}, "03616263"},
	{"date", typeDate, "", rowv1.Column{Kind: rowv1.Kind_KIND_DATE}, "5dd00f"},
	{"time(6)", typeTime2, "06", rowv1.Column{Kind: rowv1.Kind_KIND_TIME, Length: u32p(6)}, "80c8b801e240"},
	{"datetime(6)", typeDatetime2, "06", rowv1.Column{Kind: rowv1.Kind_KIND_DATETIME, Length: u32p(6)}, "99b27ac8b801e240"},
	{"timestamp(6)", typeTimestamp2, "06", rowv1.Column{Kind: rowv1.Kind_KIND_TIMESTAMP, Length: u32p(6)}, "6553f10001e240"},
	{"old datetime", typeDatetime, "", rowv1.Column{Kind: rowv1.Kind_KIND_DATETIME}, "80c5aa8b68120000"},
	{"old timestamp", typeTimestamp, "", rowv1.Column{Kind: rowv1.Kind_KIND_TIMESTAMP}, "00f15365"},
	{"old time", typeTime, "", rowv1.Column{Kind: rowv1.Kind_KIND_TIME}, "40e201"},
	{"year", typeYear, "", rowv1.Column{Kind: rowv1.Kind_KIND_YEAR}, "7c"},
	{"bit(17)", typeBit, "0102", rowv1.Column{Kind: rowv1.Kind_KIND_BIT}, "010203"},
	{"enum", typeString, "f701", rowv1.Column{Kind: rowv1.Kind_KIND_ENUM}, "02"},
	{"set", typeString, "f808", rowv1.Column{Kind: rowv1.Kind_KIND_SET}, "0500000000000080"},
	{"json", typeJSON, "04", rowv1.Column{Kind: rowv1.Kind_KIND_JSON}, "0d000000" + "0001000c000b00010005070061"},
	{"geometry", typeGeometry, "04", rowv1.Column{Kind: rowv1.Kind_KIND_GEOMETRY}, "19000000" + "00000000" + "0101000000" + "000000000000f03f" + "0000000000000040"},
	{"vector(2)", typeVector, "04", rowv1.Column{Kind: rowv1.Kind_KIND_VECTOR}, "08000000" + "0000803f" + "00000040"},
	{"uuid", typeString, "fe10", rowv1.Column{Kind: rowv1.Kind_KIND_UUID, TypeName: "UUID"}, "1000112233445566778899aabbccddeeff"},
	{"inet4", typeString, "fe04", rowv1.Column{Kind: rowv1.Kind_KIND_STRING, TypeName: "INET4"}, "04c0a80001"},
	{"inet6", typeString, "fe10", rowv1.Column{Kind: rowv1.Kind_KIND_STRING, TypeName: "INET6"}, "1020010db8000000000000000000000001"},
	{"compressed blob", typeBlobCompressed, "02", rowv1.Column{Kind: rowv1.Kind_KIND_BYTES}, "060000" + "68656c6c6f"},
}

// FuzzCell decodes any bytes as a value of any type: what is packed splits again, what is not names the column.
func FuzzCell(f *testing.F) {
	for i := range cellKinds {
		f.Add(uint8(i), append([]byte{0}, fromHex(cellKinds[i].image)...))
		f.Add(uint8(i), []byte{0})
	}
	f.Fuzz(func(t *testing.T, kind uint8, image []byte) {
		k := &cellKinds[int(kind)%len(cellKinds)]
		col := &rowv1.Column{Kind: k.col.Kind, TypeName: k.col.TypeName, Charset: k.col.Charset, Length: k.col.Length, Unsigned: k.col.Unsigned}
		p, err := oneColumn(k.typ, k.meta, col)
		if err != nil {
			t.Fatal(err)
		}
		out, rows, done, err := p.Append(nil, insert(p, image), 0, 0)
		if err != nil {
			if errs.KindOf(err) == errs.Internal || len(out) > 0 {
				t.Fatalf("%s: %v, with %d bytes", k.name, err, len(out))
			}
			return
		}
		if !done {
			t.Fatalf("%s: not done after %d rows without a bound", k.name, rows)
		}
		l := row.NewLayout([]*rowv1.Column{col})
		var cells [1]row.Cell
		for range rows {
			if out, err = l.Split(cells[:], out, false); err != nil {
				t.Fatalf("%s: %x: %v", k.name, image, err)
			}
			row.AppendJSON(nil, col, &cells[0])
		}
		if len(out) != 0 {
			t.Fatalf("%s: %d bytes behind %d rows", k.name, len(out), rows)
		}
	})
}

// FuzzTableMap reads any table map, and compiles it with the shape that it tells itself.
func FuzzTableMap(f *testing.F) {
	opt := []byte{optSignedness, 1, 0x80, optDefaultCharset, 3, 8, 1, 45, optColumnName, 14, 1, 'a', 1, 'b', 1, 'c', 1, 'd', 1, 'e', 1, 'f', 1, 'g', optSimplePrimaryKey, 1, 0}
	f.Add(tableMapBody(88, "d", "wide", wideTypes, wideMeta, opt), false)
	f.Add(tableMapBody(1, "d", "t", []byte{byte(typeString), byte(typeString)}, []byte{0xf7, 1, 0xf8, 1}, []byte{optColumnName, 4, 1, 'e', 1, 's',
		optEnumValues, 5, 2, 1, 'x', 1, 'y', optSetValues, 3, 1, 1, 'z', optEnumSetDefaultCharset, 1, 45, optVisibility, 1, 0x40}), true)
	f.Fuzz(func(t *testing.T, body []byte, mariadb bool) {
		tm, err := parseTableMap(body, 6, mariadb)
		if err != nil {
			return
		}
		if shape, ok := ShapeFromMetadata(tm); ok {
			if len(shape.Columns) != len(tm.Columns) {
				t.Fatalf("%d columns of %d", len(shape.Columns), len(tm.Columns))
			}
			Compile(tm, shape) // an error is fine, a panic is not
		}
	})
}

// FuzzTransactionEvents reads the bodies of events that begin and end transactions.
func FuzzTransactionEvents(f *testing.F) {
	f.Add(gtidBody(5, 1, 2), "XA PREPARE X'61',X'',1")
	f.Add([]byte{2, 180, 16, 0, 2, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 4, 2, 6, 4, 'a', 'b', 12, 2}, "/* c */ insert into t values (1)")
	f.Add(append(appendN(nil, 9, 8), 0, 0, 0, 0, mariaPreparedXA, 1, 0, 0, 0, 1, 1, 'a', 'b'), "XA COMMIT 'a','b',1 ONE PHASE")
	f.Add(queryBody(9, "d", "BEGIN"), "xa rollback x'6'")
	f.Fuzz(func(t *testing.T, body []byte, statement string) {
		var sids sidCache
		for _, parse := range []func([]byte) (gtidInfo, error){sids.parseGTID, sids.parseTaggedGTID,
			func(b []byte) (gtidInfo, error) { return sids.parseMariaGTID(b, 7) }} {
			if _, err := parse(bytes.Clone(body)); err != nil && errs.KindOf(err) == errs.Internal && !errors.Is(err, errShort) {
				t.Errorf("an error of no kind: %v", err)
			}
		}
		parseQuery(body)
		verbOf([]byte(statement))
		xidOf([]byte(statement))
	})
}

// FuzzJSONPath reads any path, and applies it to a document.
func FuzzJSONPath(f *testing.F) {
	for _, p := range []string{"$", "$.a", `$."a b"[0].c`, `$."q\"\u00e9\\"`, "$[4294967296]", "$.", "$[", `$."`} {
		f.Add([]byte(p))
	}
	f.Fuzz(func(t *testing.T, path []byte) {
		legs, err := parsePath(path)
		if err == nil && len(legs) > len(path) {
			t.Errorf("%d legs in %d bytes", len(legs), len(path))
		}
		for _, op := range []byte{diffReplace, diffInsert, diffRemove} {
			root, err := parseJSON(smallDocument)
			if err != nil {
				t.Fatal(err)
			}
			apply(root, op, path, &node{kind: jsonLiteral, scalar: []byte{1}})
		}
	})
}

// FuzzInflate undoes MariaDB's compression of any bytes, never beyond the bound.
func FuzzInflate(f *testing.F) {
	f.Add([]byte{0x81, 5, 0x78, 0x9c, 0x63, 0x60, 0x65, 0, 0, 0, 0x06, 0, 0x02})
	f.Add([]byte{0, 'h', 'i'})
	f.Add([]byte{0x8b, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var i inflater
		const limit = 1 << 20
		if out, err := i.mariaDB(b, limit); err == nil && len(out) > limit {
			t.Errorf("%d bytes beyond the bound", len(out))
		}
		i.column(b)
	})
}
