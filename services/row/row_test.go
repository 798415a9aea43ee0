package row

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

func columns(kinds ...rowv1.Kind) (out []*rowv1.Column) {
	for _, k := range kinds {
		out = append(out, &rowv1.Column{Kind: k})
	}
	return out
}

// image packs an image by the rules of the package's documentation, on its own.
func image(kinds []rowv1.Kind, cells []Cell, partial bool) []byte {
	nb := (len(kinds) + 7) / 8
	present, nulls := make([]byte, nb), make([]byte, nb)
	var body []byte
	for i, c := range cells {
		if c.Present {
			present[i/8] |= 1 << (i % 8)
		}
		if c.Null {
			nulls[i/8] |= 1 << (i % 8)
		}
		if !c.Present || c.Null {
			continue
		}
		if Prefixed(kinds[i]) {
			body = binary.AppendUvarint(body, uint64(len(c.Data)))
		}
		body = append(body, c.Data...)
	}
	out := nulls
	if partial {
		out = append(present, nulls...)
	}
	return append(out, body...)
}

func randomCell(r *rand.Rand, k rowv1.Kind) []byte {
	switch widthOf(k) {
	case varintWidth:
		return binary.AppendUvarint(nil, r.Uint64()>>r.UintN(64))
	case prefixed:
		return make([]byte, r.IntN(300))
	}
	return make([]byte, widthOf(k))
}

func TestSplitRandomImages(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		var kinds []rowv1.Kind
		var want []Cell
		partial := r.IntN(2) == 0
		for range 1 + r.IntN(20) {
			k := rowv1.Kind(1 + r.IntN(19))
			kinds = append(kinds, k)
			c := Cell{Present: !partial || r.IntN(3) > 0}
			if c.Present {
				if c.Null = r.IntN(4) == 0; !c.Null {
					c.Data = randomCell(r, k)
				}
			}
			want = append(want, c)
		}
		l, got := NewLayout(columns(kinds...)), make([]Cell, len(kinds))
		b := append(image(kinds, want, partial), "next"...)
		rest, err := l.Split(got, b, partial)
		if err != nil || string(rest) != "next" {
			t.Fatalf("rest %q, %v", rest, err)
		}
		if d := cmp.Diff(want, got, cmp.Comparer(bytes.Equal)); d != "" {
			t.Fatal(d)
		}
		for cut := range len(b) - len("next") {
			if _, err := l.Split(got, b[:cut], partial); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("cut at %d: %v", cut, err)
			}
		}
	}
}

func TestNumbersRoundTrip(t *testing.T) {
	for _, v := range []int64{0, 1, -1, 63, 64, -64, -65, math.MaxInt64, math.MinInt64} {
		if got := (&Cell{Data: AppendInt(nil, v)}).Int(); got != v {
			t.Errorf("int %d: got %d", v, got)
		}
	}
	for _, v := range []uint64{0, 127, 128, math.MaxUint64} {
		if got := (&Cell{Data: AppendUint(nil, v)}).Uint(); got != v {
			t.Errorf("uint %d: got %d", v, got)
		}
	}
}

func TestTextOfEachKind(t *testing.T) {
	u := func(n uint32) *uint32 { return &n }
	for _, c := range []struct {
		col  *rowv1.Column
		data []byte
		want string
	}{
		{&rowv1.Column{Kind: rowv1.Kind_KIND_INT}, AppendInt(nil, -5), `-5`},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_UINT}, AppendUint(nil, math.MaxUint64), `18446744073709551615`},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_FLOAT32}, binary.LittleEndian.AppendUint32(nil, math.Float32bits(3.14)), `3.14`},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_DECIMAL, Scale: u(2)}, []byte{0xff, 0x85}, `"-1.23"`},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_DECIMAL, Scale: u(3)}, []byte{5}, `"0.005"`},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_STRING}, []byte("é\"<"), `"é\"\u003c"`},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_DATE}, AppendUint(nil, PackDate(2024, 0, 10)), `"2024-00-10"`},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_DATETIME, Length: u(3)}, AppendDatetime(nil, PackDatetime(PackDate(9999, 12, 31), 23, 59, 59, 999000)), `"9999-12-31 23:59:59.999"`},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_TIMESTAMP}, AppendInt(nil, 1_700_000_000_000_000), `"2023-11-14T22:13:20Z"`},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_TIMESTAMP}, AppendInt(nil, 0), `"0000-00-00 00:00:00"`},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_TIME, Length: u(6)}, AppendInt(nil, -3_600_500_000), `"-01:00:00.500000"`},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_ENUM, Members: []string{"a", "b"}}, AppendUint(nil, 2), `"b"`},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_SET, Members: []string{"x", "y", "z"}}, AppendUint(nil, 5), `"x,z"`},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_JSON}, []byte(`{"a":1}`), `{"a":1}`},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_UUID}, []byte("0123456789abcdef"), `"30313233-3435-3637-3839-616263646566"`},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_VECTOR}, binary.LittleEndian.AppendUint32(nil, math.Float32bits(1.5)), `[1.5]`},
		{&rowv1.Column{Kind: rowv1.Kind_KIND_BYTES}, []byte{0, 255}, `"AP8="`},
	} {
		if got := string(AppendJSON(nil, c.col, &Cell{Data: c.data, Present: true})); got != c.want {
			t.Errorf("%s: got %s, want %s", c.col.Kind, got, c.want)
		}
	}
	if got := string(AppendJSON(nil, &rowv1.Column{}, &Cell{Null: true, Present: true})); got != "null" {
		t.Errorf("NULL: got %s", got)
	}
}

func BenchmarkSplitWide(b *testing.B) {
	kinds := []rowv1.Kind{rowv1.Kind_KIND_INT, rowv1.Kind_KIND_INT, rowv1.Kind_KIND_STRING, rowv1.Kind_KIND_STRING, rowv1.Kind_KIND_DATETIME, rowv1.Kind_KIND_DECIMAL, rowv1.Kind_KIND_JSON}
	cells := make([]Cell, len(kinds))
	for i, n := range []int{3, 2, 120, 60, 8, 5, 40} {
		cells[i] = Cell{Present: true, Data: make([]byte, n)}
	}
	cells[0].Data, cells[1].Data = AppendInt(nil, 100_000), AppendInt(nil, 1000)
	img := image(kinds, cells, false)
	l := NewLayout(columns(kinds...))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Split(cells, img, false); err != nil {
			b.Fatal(err)
		}
	}
}
