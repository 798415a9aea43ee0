package binlog

import (
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
)

// fromHex reads hex with blanks.
func fromHex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// oneColumn compiles a plan for a table of one column.
func oneColumn(typ columnType, meta string, col *rowv1.Column) (*Plan, error) {
	col.Name = "c"
	tm, err := parseTableMap(tableMapBody(1, "d", "t", []byte{byte(typ)}, fromHex(meta), nil), 6, false)
	if err != nil {
		return nil, err
	}
	return Compile(tm, &rowv1.Table{Columns: []*rowv1.Column{col}})
}

// insert is an event with one inserted row.
func insert(p *Plan, image []byte) *Event {
	return &Event{Kind: Rows, File: "binlog.000001", Pos: 4, Table: p.table, Op: row.Create, rows: rowsBody{data: image, after: ones(len(p.cols))}}
}

// Each case is a stored value and what its packed cell spells.
func TestCells(t *testing.T) {
	col := func(k rowv1.Kind, more ...func(*rowv1.Column)) *rowv1.Column {
		c := &rowv1.Column{Kind: k, TypeName: k.String()}
		for _, f := range more {
			f(c)
		}
		return c
	}
	digits := func(n uint32) func(*rowv1.Column) { return func(c *rowv1.Column) { c.Length = &n } }
	scale := func(n uint32) func(*rowv1.Column) { return func(c *rowv1.Column) { c.Scale = &n } }
	text := func(cs string) func(*rowv1.Column) { return func(c *rowv1.Column) { c.Charset = cs } }
	unsigned := func(c *rowv1.Column) { c.Unsigned = true }
	named := func(n string) func(*rowv1.Column) { return func(c *rowv1.Column) { c.TypeName = n } }
	const (
		i, u, dec, str, byt = rowv1.Kind_KIND_INT, rowv1.Kind_KIND_UINT, rowv1.Kind_KIND_DECIMAL, rowv1.Kind_KIND_STRING, rowv1.Kind_KIND_BYTES
		dt, ts, tim         = rowv1.Kind_KIND_DATETIME, rowv1.Kind_KIND_TIMESTAMP, rowv1.Kind_KIND_TIME
	)
	for _, c := range []struct {
		name   string
		typ    columnType
		meta   string
		col    *rowv1.Column
		stored string
		want   string
	}{
		{"tinyint least", typeTiny, "", col(i), "80", "-128"},
		{"tinyint unsigned greatest", typeTiny, "", col(u, unsigned), "ff", "255"},
		{"smallint", typeShort, "", col(i), "0080", "-32768"},
		{"mediumint", typeInt24, "", col(i), "000080", "-8388608"},
		{"mediumint -1", typeInt24, "", col(i), "ffffff", "-1"},
		{"mediumint unsigned", typeInt24, "", col(u, unsigned), "ffffff", "16777215"},
		{"int", typeLong, "", col(i), "00000080", "-2147483648"},
		{"bigint", typeLongLong, "", col(i), "0000000000000080", "-9223372036854775808"},
		{"bigint unsigned", typeLongLong, "", col(u, unsigned), "ffffffffffffffff", "18446744073709551615"},
		{"float", typeFloat, "04", col(rowv1.Kind_KIND_FLOAT32), "0000c03f", "1.5"},
		{"float for a double", typeFloat, "04", col(rowv1.Kind_KIND_FLOAT64), "c3f54840", "3.140000104904175"},
		{"double", typeDouble, "08", col(rowv1.Kind_KIND_FLOAT64), "000000000000f83f", "1.5"},
		{"double for a float", typeDouble, "08", col(rowv1.Kind_KIND_FLOAT32), "1f85eb51b81e0940", "3.14"},
		{"year 0", typeYear, "", col(rowv1.Kind_KIND_YEAR), "00", "0"},
		{"year 1901", typeYear, "", col(rowv1.Kind_KIND_YEAR), "01", "1901"},
		{"year 2155", typeYear, "", col(rowv1.Kind_KIND_YEAR), "ff", "2155"},
		{"bit(17)", typeBit, "0102", col(rowv1.Kind_KIND_BIT), "01ffff", "131071"},
		{"bit(64)", typeBit, "0008", col(rowv1.Kind_KIND_BIT), "ffffffffffffffff", "18446744073709551615"},
		{"enum of one byte", typeString, "f701", col(rowv1.Kind_KIND_ENUM), "03", "3"},
		{"enum of two bytes", typeString, "f702", col(rowv1.Kind_KIND_ENUM), "0301", "259"},
		{"enum's error value", typeString, "f701", col(rowv1.Kind_KIND_ENUM), "00", "0"},
		{"set", typeString, "f808", col(rowv1.Kind_KIND_SET), "0100000000000080", "9223372036854775809"},
		{"date", typeDate, "", col(rowv1.Kind_KIND_DATE), "5dd00f", "2024-02-29"},
		{"zero date", typeDate, "", col(rowv1.Kind_KIND_DATE), "000000", "0000-00-00"},
		{"partial date", typeDate, "", col(rowv1.Kind_KIND_DATE), "00d00f", "2024-00-00"},
		{"datetime", typeDatetime2, "00", col(dt), "99b2bac8b8", "2024-02-29 12:34:56.000000"},
		{"datetime(1)", typeDatetime2, "01", col(dt, digits(1)), "99b2bac8b8 32", "2024-02-29 12:34:56.500000"},
		{"datetime(3)", typeDatetime2, "03", col(dt, digits(3)), "99b2bac8b8 04ce", "2024-02-29 12:34:56.123000"},
		{"datetime(6)", typeDatetime2, "06", col(dt, digits(6)), "99b2bac8b8 01e240", "2024-02-29 12:34:56.123456"},
		{"zero datetime", typeDatetime2, "00", col(dt), "8000000000", "0000-00-00 00:00:00.000000"},
		{"old datetime", typeDatetime, "", col(dt), "80c5aa8b68120000", "2024-02-29 12:34:56.000000"},
		{"timestamp", typeTimestamp2, "00", col(ts), "00000001", "1970-01-01 00:00:01.000000"},
		{"timestamp(6) at the end", typeTimestamp2, "06", col(ts, digits(6)), "7fffffff 0f423f", "2038-01-19 03:14:07.999999"},
		{"timestamp of MariaDB behind 2038", typeTimestamp2, "00", col(ts), "ffffffff", "2106-02-07 06:28:15.000000"},
		{"zero timestamp", typeTimestamp2, "03", col(ts, digits(3)), "000000000000", "0000-00-00 00:00:00.000000"},
		{"old timestamp", typeTimestamp, "", col(ts), "01000000", "1970-01-01 00:00:01.000000"},
		{"time", typeTime2, "00", col(tim), "b46efb", "3020399000000"},
		{"time least", typeTime2, "00", col(tim), "4b9105", "-3020399000000"},
		{"time(1) -0.1", typeTime2, "01", col(tim, digits(1)), "7ffffff6", "-100000"},
		{"time(2) -1.01", typeTime2, "02", col(tim, digits(2)), "7ffffeff", "-1010000"},
		{"time(4) -0.0001", typeTime2, "04", col(tim, digits(4)), "7fffffffff", "-100"},
		{"time(6) -0.000001", typeTime2, "06", col(tim, digits(6)), "7fffffffffff", "-1"},
		{"time(6)", typeTime2, "06", col(tim, digits(6)), "80c8b801e240", "45296123456"},
		{"time zero", typeTime2, "00", col(tim), "800000", "0"},
		{"old time", typeTime, "", col(tim), "80e0fe", "-27360000000"},
		{"decimal(1,0) 0", typeNewDecimal, "0100", col(dec, scale(0)), "80", "0"},
		{"decimal(1,0) -9", typeNewDecimal, "0100", col(dec, scale(0)), "76", "-9"},
		{"decimal(5,3) -0.001", typeNewDecimal, "0503", col(dec, scale(3)), "7f fffe", "-0.001"},
		{"decimal(18,9)", typeNewDecimal, "1209", col(dec, scale(9)), "bb9ac9ff 3b9ac9ff", "999999999.999999999"},
		{"decimal(19,0)", typeNewDecimal, "1300", col(dec, scale(0)), "89 3b9ac9ff 3b9ac9ff", "9999999999999999999"},
		{"decimal(19,0) negative", typeNewDecimal, "1300", col(dec, scale(0)), "76 c4653600 c4653600", "-9999999999999999999"},
		{"char of utf8mb4", typeString, "fe28", col(str, text("utf8mb4")), "03 616263", "abc"},
		{"char of more than 255 bytes", typeString, "ee e0", col(str, text("utf8mb4")), "0300 616263", "abc"},
		{"varchar", typeVarchar, "2800", col(str, text("utf8mb4")), "02 c3a9", "é"},
		{"varchar with a long length", typeVarchar, "2c01", col(str, text("utf8mb4")), "0200 c3a9", "é"},
		{"varchar of 200 bytes", typeVarchar, "ff00", col(str, text("utf8mb4")), "c8" + strings.Repeat("61", 200), strings.Repeat("a", 200)},
		{"latin1 is cp1252", typeVarchar, "2800", col(str, text("latin1")), "03 80e481", "€ä\u0081"},
		{"ucs2", typeVarchar, "2800", col(str, text("ucs2")), "04 00e46f22", "ä漢"},
		{"utf16", typeVarchar, "2800", col(str, text("utf16")), "04 d83dde00", "😀"},
		{"utf16le", typeVarchar, "2800", col(str, text("utf16le")), "04 3dd800de", "😀"},
		{"utf32", typeVarchar, "2800", col(str, text("utf32")), "04 0001f600", "😀"},
		{"sjis", typeVarchar, "2800", col(str, text("sjis")), "05 8abf8e9ab1", "漢字ｱ"},
		{"gbk", typeVarchar, "2800", col(str, text("gbk")), "04 9d68d7d6", "漢字"},
		{"swe7", typeVarchar, "2800", col(str, text("swe7")), "03 7b617d", "äaå"},
		{"text", typeBlob, "02", col(str, text("utf8mb3")), "0300 616263", "abc"},
		{"longtext", typeBlob, "04", col(str, text("utf8mb4")), "03000000 616263", "abc"},
		{"binary(4) is padded", typeString, "fe04", col(byt), "01 61", "a\x00\x00\x00"},
		{"varbinary", typeVarchar, "0400", col(byt), "02 6100", "a\x00"},
		{"tinyblob", typeBlob, "01", col(byt), "02 ff00", "\xff\x00"},
		{"geometry", typeGeometry, "04", col(rowv1.Kind_KIND_GEOMETRY), "02000000 0102", "\x01\x02"},
		{"vector", typeVector, "04", col(rowv1.Kind_KIND_VECTOR), "04000000 0000803f", "\x00\x00\x80\x3f"},
		{"inet4", typeString, "fe04", col(str, named("INET4")), "03 c0a807", "192.168.7.0"},
		{"inet6", typeString, "fe10", col(str, named("INET6")), "02 2001", "2001::"},
		{"compressed, stored plain", typeVarcharCompressed, "2800", col(str, text("utf8mb4")), "03 006162", "ab"},
		{"compressed, empty", typeBlobCompressed, "02", col(byt), "0000", ""},
		{"JSON", typeJSON, "04", col(rowv1.Kind_KIND_JSON), "03000000 05ffff", "-1"},
		{"JSON of no bytes", typeJSON, "04", col(rowv1.Kind_KIND_JSON), "00000000", "NULL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := oneColumn(c.typ, c.meta, c.col)
			if err != nil {
				t.Fatal(err)
			}
			image := append([]byte{0}, fromHex(c.stored)...)
			out, rows, done, err := p.Append(nil, insert(p, image), 0, 0)
			if err != nil || rows != 1 || !done {
				t.Fatalf("%d rows, done %t, %v", rows, done, err)
			}
			var cells [1]row.Cell
			if rest, err := row.NewLayout([]*rowv1.Column{c.col}).Split(cells[:], out, false); err != nil || len(rest) > 0 {
				t.Fatalf("split: %v, %d bytes left", err, len(rest))
			}
			got := spell(&cells[0], c.col)
			if c.col.Kind == byt || c.col.Kind == rowv1.Kind_KIND_GEOMETRY || c.col.Kind == rowv1.Kind_KIND_VECTOR {
				got = string(cells[0].Data)
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			// Whatever is missing at the end is noticed.
			for n := range image {
				if _, _, _, err := p.Append(nil, insert(p, image[:n]), 0, 0); n > 0 && err == nil {
					t.Errorf("the first %d of %d bytes decode", n, len(image))
				} else if n > 0 && errs.KindOf(err) != errs.Corrupt {
					t.Errorf("the first %d bytes: kind %s (%v)", n, errs.KindOf(err), err)
				}
			}
		})
	}
}

func TestShortestInteger(t *testing.T) {
	for v, want := range map[int64]string{0: "0100", 1: "0101", -1: "01ff", 127: "017f", 128: "020080", -128: "0180", -129: "02ff7f", 255: "0200ff",
		math.MaxInt64: "087fffffffffffffff", math.MinInt64: "088000000000000000"} {
		if got := hex.EncodeToString(appendShortInt(nil, v)); got != want {
			t.Errorf("%d: got %s, want %s", v, got, want)
		}
	}
}

// A shape of another moment is refused, with the column's name.
func TestCompileRefuses(t *testing.T) {
	three := uint32(3)
	for name, c := range map[string]struct {
		typ  columnType
		meta string
		col  *rowv1.Column
		want errs.Kind
	}{
		"text for a number":      {typeLong, "", &rowv1.Column{Kind: rowv1.Kind_KIND_STRING}, errs.Corrupt},
		"number for text":        {typeVarchar, "2800", &rowv1.Column{Kind: rowv1.Kind_KIND_INT}, errs.Corrupt},
		"other fraction":         {typeDatetime2, "00", &rowv1.Column{Kind: rowv1.Kind_KIND_DATETIME, Length: &three}, errs.Corrupt},
		"other scale":            {typeNewDecimal, "0a02", &rowv1.Column{Kind: rowv1.Kind_KIND_DECIMAL, Scale: &three}, errs.Corrupt},
		"impossible precision":   {typeNewDecimal, "ff02", &rowv1.Column{Kind: rowv1.Kind_KIND_DECIMAL}, errs.Corrupt},
		"impossible fraction":    {typeTime2, "09", &rowv1.Column{Kind: rowv1.Kind_KIND_TIME}, errs.Corrupt},
		"impossible blob":        {typeBlob, "09", &rowv1.Column{Kind: rowv1.Kind_KIND_BYTES}, errs.Corrupt},
		"impossible bit":         {typeBit, "0009", &rowv1.Column{Kind: rowv1.Kind_KIND_BIT}, errs.Corrupt},
		"impossible enum":        {typeString, "f709", &rowv1.Column{Kind: rowv1.Kind_KIND_ENUM}, errs.Corrupt},
		"enum for a set":         {typeString, "f801", &rowv1.Column{Kind: rowv1.Kind_KIND_ENUM}, errs.Corrupt},
		"uuid of another length": {typeString, "fe08", &rowv1.Column{Kind: rowv1.Kind_KIND_UUID}, errs.Corrupt},
		"unknown character set":  {typeVarchar, "2800", &rowv1.Column{Kind: rowv1.Kind_KIND_STRING, Charset: "klingon"}, errs.Unsupported},
		"old format of MariaDB":  {typeDatetime, "", &rowv1.Column{Kind: rowv1.Kind_KIND_DATETIME, Length: &three}, errs.Unsupported},
		"unknown type":           {columnType(99), "", &rowv1.Column{Kind: rowv1.Kind_KIND_STRING}, errs.Unsupported},
	} {
		if _, err := oneColumn(c.typ, c.meta, c.col); err == nil || errs.KindOf(err) != c.want || !strings.Contains(fmt.Sprint(err), `column "c"`) {
			t.Errorf("%s: got %v (%s), want %s and the column's name", name, err, errs.KindOf(err), c.want)
		}
	}
}

// Optional metadata is compared with the shape, and the log's character set is followed.
func TestCompileUsesMetadata(t *testing.T) {
	opt := []byte{optSignedness, 1, 0x80, optDefaultCharset, 1, 8, optColumnName, 4, 1, 'a', 1, 'b'} // a is unsigned; b is latin1
	tm, err := parseTableMap(tableMapBody(1, "d", "t", []byte{byte(typeLong), byte(typeVarchar)}, []byte{40, 0}, opt), 6, false)
	if err != nil {
		t.Fatal(err)
	}
	shape := func() *rowv1.Table {
		return &rowv1.Table{Columns: []*rowv1.Column{{Name: "a", Kind: rowv1.Kind_KIND_UINT, Unsigned: true, TypeName: "INT UNSIGNED"},
			{Name: "b", Kind: rowv1.Kind_KIND_STRING, TypeName: "VARCHAR", Charset: "utf8mb4"}}}
	}
	sh := shape()
	p, err := Compile(tm, sh)
	if err != nil {
		t.Fatal(err)
	}
	out, _, _, err := p.Append(nil, insert(p, fromHex("00 ffffffff 01e4")), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	var cells [2]row.Cell
	if _, err := row.NewLayout(sh.Columns).Split(cells[:], out, false); err != nil {
		t.Fatal(err)
	}
	if cells[0].Uint() != math.MaxUint32 || string(cells[1].Data) != "ä" {
		t.Errorf("got %d and %q, want 4294967295 and ä", cells[0].Uint(), cells[1].Data)
	}
	sh = shape()
	sh.Columns[0].Kind, sh.Columns[0].Unsigned = rowv1.Kind_KIND_INT, false
	if _, err := Compile(tm, sh); errs.KindOf(err) != errs.Corrupt {
		t.Errorf("other signedness: %v", err)
	}
	sh = shape()
	sh.Columns[1].Name = "c"
	if _, err := Compile(tm, sh); errs.KindOf(err) != errs.Corrupt {
		t.Errorf("other name: %v", err)
	}
	sh = shape()
	sh.Columns = sh.Columns[:1]
	if _, err := Compile(tm, sh); errs.KindOf(err) != errs.Corrupt {
		t.Errorf("other number of columns: %v", err)
	}
}

// Events are split by bytes, and any row can be the first.
func TestAppendSplits(t *testing.T) {
	ev, plan := wideEvent(t, 24)
	whole, rows, done, err := plan.Append(nil, ev, 0, 0)
	if err != nil || rows != 24 || !done {
		t.Fatal(rows, done, err)
	}
	var pieces []byte
	for first := 0; ; {
		out, n, done, err := plan.Append(nil, ev, first, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if n != 5 && !done {
			t.Errorf("%d rows of about 220 bytes in a piece of 1000, want 5", n)
		}
		pieces = append(pieces, out...)
		if first += n; done {
			break
		}
	}
	if string(pieces) != string(whole) {
		t.Error("the pieces differ from the whole")
	}
	one := len(whole) / 24
	for _, first := range []int{23, 3, 0, 24} {
		out, n, done, err := plan.Append([]byte("x"), ev, first, 0)
		if err != nil || n != 24-first || !done || string(out) != "x"+string(whole[len(whole)-n*one:]) && n*one == len(out)-1 {
			t.Errorf("from row %d: %d rows, done %t, %v", first, n, done, err)
		}
	}
}
