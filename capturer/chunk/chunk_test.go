package chunk

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/row"
)

func TestWhere(t *testing.T) {
	for _, c := range []struct {
		r     Range
		names []string
		want  string
	}{
		{Range{}, []string{"`a`"}, ""},
		{Range{After: []string{"1"}}, []string{"`a`"}, "`a` > 1"},
		{Range{UpTo: []string{"9"}}, []string{"`a`"}, "(`a` <= 9 OR `a` IS NULL)"},
		{Range{After: []string{"NULL"}, UpTo: []string{"9"}}, []string{"`a`"}, "`a` IS NOT NULL AND (`a` <= 9 OR `a` IS NULL)"},
		{Range{UpTo: []string{"NULL"}}, []string{"`a`"}, "`a` IS NULL"},
		{Range{After: []string{"1", "2", "3"}}, []string{"`a`", "`b`", "`c`"},
			"`a` >= 1 AND (`a` > 1 OR (`a` = 1 AND `b` >= 2 AND (`b` > 2 OR (`b` = 2 AND `c` > 3))))"},
		{Range{UpTo: []string{"1", "2"}}, []string{"`a`", "`b`"}, "`a` <= 1 AND (`a` < 1 OR (`a` = 1 AND (`b` <= 2 OR `b` IS NULL)))"},
	} {
		if got := c.r.Where(c.names); got != c.want {
			t.Errorf("%v: got %s, want %s", c.r, got, c.want)
		}
	}
}

func table(key []uint32, kinds ...rowv1.Kind) *rowv1.Table {
	t := &rowv1.Table{Database: "d", Table: "t", Key: key, Indexes: []*rowv1.Index{{Name: "PRIMARY", Columns: key, Unique: true}}}
	for i, k := range kinds {
		t.Columns = append(t.Columns, &rowv1.Column{Name: fmt.Sprintf("c`%d", i), Kind: k})
	}
	return t
}

func TestKeyOf(t *testing.T) {
	none := table(nil, rowv1.Kind_KIND_INT)
	prefix := table([]uint32{0}, rowv1.Kind_KIND_STRING)
	prefix.Indexes[0].Prefix = true
	lossy := table([]uint32{0}, rowv1.Kind_KIND_STRING)
	lossy.Columns[0].Charset = "sjis"
	for name, c := range map[string]struct {
		t         *rowv1.Table
		surrogate string
		want      string // error
	}{
		"key":              {table([]uint32{1, 0}, rowv1.Kind_KIND_INT, rowv1.Kind_KIND_BYTES), "", ""},
		"no key":           {none, "", "no primary key"},
		"surrogate":        {none, "C`0", ""},
		"unknown":          {none, "x", "no column x"},
		"prefix":           {prefix, "", "only the beginning"},
		"lossy":            {lossy, "", "character set sjis"},
		"json":             {table([]uint32{0}, rowv1.Kind_KIND_JSON), "", "is of type"},
		"prefix, but read": {prefix, "c`0", ""},
	} {
		_, err := KeyOf(c.t, c.surrogate)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestLiteral(t *testing.T) {
	length := uint32(6)
	for _, c := range []struct {
		col  *rowv1.Column
		data []byte
		want string
	}{
		{&rowv1.Column{Kind: rowv1.Kind_KIND_INT}, row.AppendInt(nil, -5), "-5"},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_UINT}, row.AppendUint(nil, 1<<64-1), "18446744073709551615"},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_STRING, Charset: "utf8mb4"}, []byte("a'\\"), "_utf8mb4 X'61275c'"},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_STRING}, []byte("::1'"), "'::1'''"},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_BYTES}, []byte{0, 255}, "X'00ff'"},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_ENUM, Members: []string{"x"}}, row.AppendUint(nil, 1), "1"},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_FLOAT32}, []byte{0xcd, 0xcc, 0x8c, 0x3f}, "1.100000023841858e+00"},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_TIMESTAMP}, row.AppendInt(nil, 1_700_000_000_500_000), "'2023-11-14 22:13:20.500000'"},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_TIMESTAMP}, row.AppendInt(nil, 0), "'0000-00-00 00:00:00'"},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_DATETIME, Length: &length}, row.AppendDatetime(nil, row.PackDatetime(row.PackDate(2024, 2, 29), 1, 2, 3, 4)), "'2024-02-29 01:02:03.000004'"},
	} {
		if got := Literal(c.col, &row.Cell{Data: c.data, Present: true}); got != c.want {
			t.Errorf("%s: got %s, want %s", c.col.Kind, got, c.want)
		}
	}
	if got := Literal(&rowv1.Column{}, &row.Cell{Present: true, Null: true}); got != Null {
		t.Errorf("NULL: got %s", got)
	}
}

func TestDrop(t *testing.T) {
	shape := table([]uint32{0}, rowv1.Kind_KIND_INT, rowv1.Kind_KIND_STRING)
	lay := Layout{Row: row.NewLayout(shape.Columns), Columns: 2, Key: Key{Columns: []int{0}}}
	image := func(id int64) []byte {
		return row.AppendBytes(row.AppendInt([]byte{0}, id), strings.Repeat("x", int(id)))
	}
	key := func(id int64) []byte {
		cells := make([]row.Cell, 2)
		if _, err := lay.Row.Split(cells, image(id), false); err != nil {
			t.Fatal(err)
		}
		k, _ := lay.Key.Append(nil, cells)
		return k
	}
	touched := NewTouched(1 << 20)
	touched.Watch("d.t")
	touched.Note("d.t", key(1)) // no window is open
	touched.Ended()
	m := touched.Open()
	touched.Note("d.t", key(2), key(5))
	touched.Ended()
	later := touched.Open()
	var p Part
	for id := int64(1); id <= 5; id++ {
		p.Last = len(p.Payload)
		p.Payload = append(p.Payload, image(id)...)
		p.Rows++
	}
	drop := func(m Mark) Part {
		x := p
		x.Payload = bytes.Clone(p.Payload)
		touched.At("d.t", m, func(v View) {
			if v.Broken {
				t.Fatal("the window is broken")
			}
			if err := lay.Drop(&x, v); err != nil {
				t.Fatal(err)
			}
		})
		return x
	}
	got := drop(m)
	want := Part{Payload: append(append(image(1), image(3)...), image(4)...), Rows: 3, Last: len(image(1)) + len(image(3))}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got := drop(later); got.Rows != 5 {
		t.Errorf("%d rows behind all that was touched, want 5", got.Rows)
	}
	touched.Break("d.t")
	touched.At("d.t", later, func(v View) {
		if !v.Broken {
			t.Error("the definition has changed, and the window does not know")
		}
	})
	touched.Ended()
	if m := touched.Open(); m != 3 {
		t.Fatalf("mark %d", m)
	}
	touched.At("d.t", 3, func(v View) {
		if v.Broken {
			t.Error("a window behind the change is broken")
		}
	})
}

// What has no room breaks the windows that are open, and no other.
func TestTouchedIsBounded(t *testing.T) {
	touched := NewTouched(1000)
	touched.Watch("d.t")
	m := touched.Open()
	for i := range 100 {
		touched.Note("d.t", fmt.Appendf(nil, "key %d", i))
	}
	touched.Ended()
	if touched.bytes > 2000 {
		t.Errorf("%d bytes", touched.bytes)
	}
	next := touched.Open()
	touched.At("d.t", m, func(v View) {
		if !v.Broken {
			t.Error("a window that lost keys is not broken")
		}
	})
	touched.At("d.t", next, func(v View) {
		if v.Broken {
			t.Error("a window that opened later is broken")
		}
	})
	touched.Close(m)
	touched.Close(next)
	if touched.bytes != 0 || len(touched.tables["d.t"].keys) != 0 {
		t.Errorf("%d bytes, %d keys with no window open", touched.bytes, len(touched.tables["d.t"].keys))
	}
	touched.Unwatch("d.t")
	if touched.Watched("d.t") {
		t.Error("watched")
	}
}

func TestSizer(t *testing.T) {
	s := NewSizer(1000, 0, 0)
	if n := s.Rows(0); n != firstRows {
		t.Errorf("first chunk of %d rows", n)
	}
	s.Took(10, 1000)
	if n := s.Rows(0); n != 10 {
		t.Errorf("%d rows of 100 bytes, want 10", n)
	}
	s.Took(10, 10_000) // wider rows count at once
	if n := s.Rows(0); n != 1 {
		t.Errorf("%d rows of 1000 bytes, want 1", n)
	}
	if n := NewSizer(1000, 7, 100).Rows(3); n != 3 {
		t.Errorf("%d rows, want 3", n)
	}
	if n := NewSizer(1<<40, 0, 1).Rows(0); n != maxRows {
		t.Errorf("%d rows, want %d", n, maxRows)
	}
}
