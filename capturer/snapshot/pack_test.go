package snapshot

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
	"github.com/rowmesh/rowmesh/services/source"
)

// textRow spells a row as the protocol does; nil is NULL.
func textRow(cells ...any) []byte {
	var b []byte
	for _, c := range cells {
		if c == nil {
			b = append(b, 0xfb)
			continue
		}
		s := fmt.Sprint(c)
		switch n := len(s); {
		case n < 0xfb:
			b = append(b, byte(n))
		case n < 1<<16:
			b = append(b, 0xfc, byte(n), byte(n>>8))
		default:
			b = append(b, 0xfd, byte(n), byte(n>>8), byte(n>>16))
		}
		b = append(b, s...)
	}
	return b
}

func column(kind rowv1.Kind, typeName string, numbers ...uint32) *rowv1.Column {
	c := &rowv1.Column{Name: "c", Kind: kind, TypeName: typeName}
	if len(numbers) > 0 {
		c.Length = &numbers[0]
	}
	if len(numbers) > 1 {
		c.Scale = &numbers[1]
	}
	return c
}

// show spells a packed cell for comparison.
func show(k rowv1.Kind, c *row.Cell) string {
	if c.Null {
		return "NULL"
	}
	switch k {
	case rowv1.Kind_KIND_INT, rowv1.Kind_KIND_TIMESTAMP, rowv1.Kind_KIND_TIME:
		return fmt.Sprint(c.Int())
	case rowv1.Kind_KIND_UINT, rowv1.Kind_KIND_YEAR, rowv1.Kind_KIND_BIT, rowv1.Kind_KIND_ENUM, rowv1.Kind_KIND_SET:
		return fmt.Sprint(c.Uint())
	case rowv1.Kind_KIND_FLOAT32:
		return fmt.Sprint(math.Float32frombits(c.Fixed32()))
	case rowv1.Kind_KIND_FLOAT64:
		return fmt.Sprint(math.Float64frombits(c.Fixed64()))
	case rowv1.Kind_KIND_DECIMAL:
		return fmt.Sprintf("%x", c.Data)
	case rowv1.Kind_KIND_DATE:
		y, m, d := row.UnpackDate(c.Uint())
		return fmt.Sprintf("%04d-%02d-%02d", y, m, d)
	case rowv1.Kind_KIND_DATETIME:
		date, h, min, s, us := row.UnpackDatetime(c.Fixed64())
		y, m, d := row.UnpackDate(date)
		return fmt.Sprintf("%04d-%02d-%02d %02d:%02d:%02d.%06d", y, m, d, h, min, s, us)
	case rowv1.Kind_KIND_UUID, rowv1.Kind_KIND_BYTES, rowv1.Kind_KIND_GEOMETRY, rowv1.Kind_KIND_VECTOR:
		return fmt.Sprintf("%x", c.Data)
	}
	return string(c.Data)
}

func packOne(t *testing.T, c *rowv1.Column, text any) (string, error) {
	t.Helper()
	p, err := newPlan(&rowv1.Table{Columns: []*rowv1.Column{c}}, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.appendRow(nil, textRow(text))
	if err != nil {
		return "", err
	}
	cells := make([]row.Cell, 1)
	rest, err := row.NewLayout([]*rowv1.Column{c}).Split(cells, b, false)
	if err != nil || len(rest) > 0 {
		t.Fatalf("%v: %x, rest %x: %v", text, b, rest, err)
	}
	return show(c.Kind, &cells[0]), nil
}

func TestPack(t *testing.T) {
	const (
		integer   = rowv1.Kind_KIND_INT
		unsigned  = rowv1.Kind_KIND_UINT
		decimal   = rowv1.Kind_KIND_DECIMAL
		timestamp = rowv1.Kind_KIND_TIMESTAMP
		clock     = rowv1.Kind_KIND_TIME
	)
	tests := []struct {
		column     *rowv1.Column
		text, want any
	}{
		{column(integer, "BIGINT"), "-9223372036854775808", "-9223372036854775808"},
		{column(integer, "BIGINT"), "9223372036854775807", "9223372036854775807"},
		{column(integer, "TINYINT"), "0", "0"},
		{column(integer, "INT"), nil, "NULL"},
		{column(unsigned, "BIGINT UNSIGNED"), "18446744073709551615", "18446744073709551615"},
		{column(unsigned, "INT UNSIGNED ZEROFILL"), "0000000042", "42"},
		{column(rowv1.Kind_KIND_FLOAT32, "FLOAT"), "3.4028234663852886e38", "3.4028235e+38"},
		{column(rowv1.Kind_KIND_FLOAT32, "FLOAT"), "0.10000000149011612", "0.1"},
		{column(rowv1.Kind_KIND_FLOAT32, "FLOAT"), "1.401298464324817e-45", "1e-45"},
		{column(rowv1.Kind_KIND_FLOAT32, "FLOAT"), "-0", "-0"},
		{column(rowv1.Kind_KIND_FLOAT64, "DOUBLE"), "0.30000000000000004", "0.30000000000000004"},
		{column(rowv1.Kind_KIND_FLOAT64, "DOUBLE"), "-1.7976931348623157e308", "-1.7976931348623157e+308"},
		{column(decimal, "DECIMAL", 5, 2), "-1.28", "80"},
		{column(decimal, "DECIMAL", 5, 2), "1.28", "0080"},
		{column(decimal, "DECIMAL", 5, 2), "0.00", "00"},
		{column(decimal, "DECIMAL", 5, 2), "-0.01", "ff"},
		{column(decimal, "DECIMAL", 5, 2), "7", "02bc"},
		{column(decimal, "DECIMAL", 5, 2), "7.000", "02bc"},
		{column(decimal, "DECIMAL ZEROFILL", 5, 2), "001.28", "0080"},
		{column(rowv1.Kind_KIND_STRING, "VARCHAR", 10), "é€😀", "é€😀"},
		{column(rowv1.Kind_KIND_STRING, "TEXT"), strings.Repeat("x", 70000), strings.Repeat("x", 70000)},
		{column(rowv1.Kind_KIND_JSON, "JSON"), `{"a": 1}`, `{"a": 1}`},
		{column(rowv1.Kind_KIND_BYTES, "BINARY", 4), "ab", "61620000"},
		{column(rowv1.Kind_KIND_BYTES, "BINARY", 2), "ab", "6162"},
		{column(rowv1.Kind_KIND_BYTES, "BINARY", 10), "", ""}, // BINARY(0)
		{column(rowv1.Kind_KIND_BYTES, "VARBINARY", 4), "", ""},
		{column(rowv1.Kind_KIND_DATE, "DATE"), "0000-00-00", "0000-00-00"},
		{column(rowv1.Kind_KIND_DATE, "DATE"), "2024-00-31", "2024-00-31"},
		{column(rowv1.Kind_KIND_DATE, "DATE"), "9999-12-31", "9999-12-31"},
		{column(rowv1.Kind_KIND_DATETIME, "DATETIME"), "2024-02-29 23:59:59", "2024-02-29 23:59:59.000000"},
		{column(rowv1.Kind_KIND_DATETIME, "DATETIME", 3), "1000-01-01 00:00:00.120", "1000-01-01 00:00:00.120000"},
		{column(rowv1.Kind_KIND_DATETIME, "DATETIME", 6), "0000-00-00 00:00:00.000000", "0000-00-00 00:00:00.000000"},
		{column(timestamp, "TIMESTAMP"), "0000-00-00 00:00:00", "0"},
		{column(timestamp, "TIMESTAMP", 6), "1970-01-01 00:00:01.000001", "1000001"},
		{column(timestamp, "TIMESTAMP", 1), "2038-01-19 03:14:07.9", "2147483647900000"},
		{column(clock, "TIME"), "-838:59:59", "-3020399000000"},
		{column(clock, "TIME", 6), "-00:00:00.000001", "-1"},
		{column(clock, "TIME", 2), "00:00:01.05", "1050000"},
		{column(rowv1.Kind_KIND_YEAR, "YEAR"), "0000", "0"},
		{column(rowv1.Kind_KIND_YEAR, "YEAR"), "2155", "2155"},
		{column(rowv1.Kind_KIND_BIT, "BIT", 9), "\x01\x02", "258"},
		{column(rowv1.Kind_KIND_BIT, "BIT", 64), "\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"},
		{column(rowv1.Kind_KIND_ENUM, "ENUM"), "3", "3"},
		{column(rowv1.Kind_KIND_SET, "SET"), "9223372036854775809", "9223372036854775809"},
		{column(rowv1.Kind_KIND_GEOMETRY, "POINT"), "\x00\x00\x00\x00\x01", "0000000001"},
		{column(rowv1.Kind_KIND_UUID, "UUID"), "00112233-4455-6677-8899-aabbccddeeff", "00112233445566778899aabbccddeeff"},
	}
	for _, tt := range tests {
		got, err := packOne(t, tt.column, tt.text)
		if err != nil {
			t.Errorf("%s %.40v: %v", tt.column.TypeName, tt.text, err)
		} else if got != tt.want {
			t.Errorf("%s %.40v = %.80s, want %.80v", tt.column.TypeName, tt.text, got, tt.want)
		}
	}
}

func TestPackRefuses(t *testing.T) {
	for _, c := range []*rowv1.Column{
		column(rowv1.Kind_KIND_INT, "BIGINT"), column(rowv1.Kind_KIND_UINT, "BIGINT UNSIGNED"), column(rowv1.Kind_KIND_FLOAT32, "FLOAT"), column(rowv1.Kind_KIND_FLOAT64, "DOUBLE"),
		column(rowv1.Kind_KIND_DECIMAL, "DECIMAL", 5, 2), column(rowv1.Kind_KIND_DATE, "DATE"), column(rowv1.Kind_KIND_DATETIME, "DATETIME"),
		column(rowv1.Kind_KIND_TIMESTAMP, "TIMESTAMP"), column(rowv1.Kind_KIND_TIME, "TIME"), column(rowv1.Kind_KIND_UUID, "UUID"), column(rowv1.Kind_KIND_ENUM, "ENUM"),
		column(rowv1.Kind_KIND_UNSPECIFIED, "?"),
	} {
		for _, text := range []string{"", "x", "-", "1x", "2024-13-01", "2024-01-01T00:00:00", "2024-01-01 25:00:00", "1:2", "-.", "12:61:00",
			"00112233-4455-6677-8899-aabbccddeefg", strings.Repeat("9", 100)} {
			got, err := packOne(t, c, text)
			if err == nil && !(c.Kind == rowv1.Kind_KIND_FLOAT32 || c.Kind == rowv1.Kind_KIND_FLOAT64) {
				t.Errorf("%s %q = %s", c.TypeName, text, got)
			}
			if err != nil && (errs.KindOf(err) != errs.Corrupt || !strings.Contains(err.Error(), "column c")) {
				t.Errorf("%s %q: %v", c.TypeName, text, err)
			}
		}
	}
}

func TestDecimalAgainstBig(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 20000 {
		precision := 1 + rnd.IntN(65)
		scale := rnd.IntN(min(precision, 30) + 1)
		var sb strings.Builder
		if rnd.IntN(2) == 0 {
			sb.WriteByte('-')
		}
		for i := range precision {
			if i == precision-scale {
				if i == 0 {
					sb.WriteByte('0')
				}
				sb.WriteByte('.')
			}
			sb.WriteByte(byte('0' + rnd.IntN(10)))
		}
		text := sb.String()
		b, err := appendDecimal(nil, []byte(text), scale)
		if err != nil {
			t.Fatalf("seed %d: %s: %v", seed, text, err)
		}
		want, _ := new(big.Int).SetString(strings.Replace(text, ".", "", 1), 10)
		n, size := binary.Uvarint(b)
		if int(n) != len(b)-size {
			t.Fatalf("seed %d: %s: length %d of %x", seed, text, n, b)
		}
		data := b[size:]
		got := new(big.Int).SetBytes(data)
		if data[0] >= 0x80 {
			got.Sub(got, new(big.Int).Lsh(big.NewInt(1), uint(8*len(data))))
		}
		if got.Cmp(want) != 0 {
			t.Fatalf("seed %d: %s = %s", seed, text, got)
		}
		if len(data) > 1 && (data[0] == 0 && data[1] < 0x80 || data[0] == 0xff && data[1] >= 0x80) {
			t.Fatalf("seed %d: %s is not in the shortest form: %x", seed, text, data)
		}
	}
}

func TestTimestampAgainstTime(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 20000 {
		want := rnd.Int64N(253402300799e6)
		got, err := parseTimestamp([]byte(time.UnixMicro(want).UTC().Format("2006-01-02 15:04:05.000000")))
		if err != nil || got != want {
			t.Fatalf("seed %d: %d = %d, %v", seed, want, got, err)
		}
	}
}

func TestPlanOverride(t *testing.T) {
	shape := &rowv1.Table{Key: []uint32{0}, Columns: []*rowv1.Column{
		{Name: "Id", Kind: rowv1.Kind_KIND_INT}, {Name: "kind", Kind: rowv1.Kind_KIND_ENUM, Members: []string{"a", "b"}},
		{Name: "flags", Kind: rowv1.Kind_KIND_SET, Members: []string{"x", "y", "z"}}, {Name: "left_out", Kind: rowv1.Kind_KIND_STRING}}}
	result := []source.ResultColumn{{Name: "kind"}, {Name: "other"}, {Name: "ID"}, {Name: "flags"}}
	p, err := newPlan(shape, result, true)
	if err != nil {
		t.Fatal(err)
	}
	if p.flags != row.PartialAfter {
		t.Error("a column that the statement leaves out counts as present")
	}
	layout := row.NewLayout(shape.Columns)
	for _, tt := range []struct {
		text []byte
		want []string
	}{
		{textRow("b", "dropped", "7", "x,z"), []string{"7", "2", "5", "absent"}},
		{textRow(nil, nil, "8", ""), []string{"8", "NULL", "0", "absent"}},
	} {
		b, err := p.appendRow(nil, tt.text)
		if err != nil {
			t.Fatal(err)
		}
		cells := make([]row.Cell, 4)
		if _, err := layout.Split(cells, b, true); err != nil {
			t.Fatal(err)
		}
		var got []string
		for i := range cells {
			if !cells[i].Present {
				got = append(got, "absent")
			} else {
				got = append(got, show(shape.Columns[i].Kind, &cells[i]))
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := p.appendRow(nil, textRow("c", "", "7", "")); errs.KindOf(err) != errs.Corrupt {
		t.Errorf("an unknown member: %v", err)
	}
	if _, err := newPlan(shape, result[:2], true); errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), "Id") {
		t.Errorf("a statement without the key: %v", err)
	}
}

func FuzzAppendRow(f *testing.F) {
	var columns []*rowv1.Column
	for k := rowv1.Kind_KIND_INT; k <= rowv1.Kind_KIND_UUID; k++ {
		columns = append(columns, column(k, k.String()))
	}
	p, _ := newPlan(&rowv1.Table{Columns: columns}, nil, false)
	layout := row.NewLayout(columns)
	f.Add(textRow("1", "2", "1.5", "2.5", "12", "s", "b", "2024-01-01", "2024-01-01 00:00:00", "2024-01-01 00:00:00", "-10:00:00", "2024", "\x01", "1", "3", "{}", "g", "v",
		"00112233-4455-6677-8899-aabbccddeeff"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := p.appendRow(nil, raw)
		if err != nil {
			return
		}
		if rest, err := layout.Split(make([]row.Cell, len(columns)), b, false); err != nil || len(rest) > 0 {
			t.Fatalf("%x packs as %x: %v, rest %x", raw, b, err, rest)
		}
	})
}
