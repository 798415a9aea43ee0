package binlog

import (
	"testing"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

// typePlans are a plan and an event of many rows for each type.
func typePlans(tb testing.TB, rows int) (names []string, plans []*Plan, events []*Event) {
	for i := range cellKinds {
		k := &cellKinds[i]
		col := &rowv1.Column{Kind: k.col.Kind, TypeName: k.col.TypeName, Charset: k.col.Charset, Length: k.col.Length, Unsigned: k.col.Unsigned}
		p, err := oneColumn(k.typ, k.meta, col)
		if err != nil {
			tb.Fatalf("%s: %v", k.name, err)
		}
		var data []byte
		for range rows {
			data = append(append(data, 0), fromHex(k.image)...)
		}
		names, plans, events = append(names, k.name), append(plans, p), append(events, insert(p, data))
	}
	return names, plans, events
}

const benchRows = 100

// BenchmarkDecode decodes and packs a value of each type; the unit is one value. What allocates is a difference of JSON: it is applied to a tree.
func BenchmarkDecode(b *testing.B) {
	names, plans, events := typePlans(b, benchRows)
	dst := make([]byte, 0, 1<<20)
	for i, name := range names {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for n := 0; n < b.N; n += benchRows {
				if _, _, _, err := plans[i].Append(dst[:0], events[i], 0, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("json diff", func(b *testing.B) {
		diffs := []byte{0, 3, '$', '.', 'a', 3, 5, 7, 0}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := appendPatchedJSON(dst[:0], smallDocument, diffs); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// No type allocates per row.
func TestNoTypeAllocates(t *testing.T) {
	names, plans, events := typePlans(t, benchRows)
	dst := make([]byte, 0, 1<<20)
	for i, name := range names {
		decode := func() {
			if _, rows, _, err := plans[i].Append(dst[:0], events[i], 0, 0); err != nil || rows != benchRows {
				t.Fatalf("%s: %d rows, %v", name, rows, err)
			}
		}
		decode() // scratch memory grows
		if n := testing.AllocsPerRun(20, decode); n > 0 {
			t.Errorf("%s: %.0f allocations for %d values, want none", name, n, benchRows)
		}
	}
}
