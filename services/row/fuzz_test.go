package row

import (
	"errors"
	"testing"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

// FuzzSplit splits any bytes as an image of any columns, and prints what is in it.
func FuzzSplit(f *testing.F) {
	f.Add([]byte{1, 5, 6, 9}, []byte{0, 2, 1, 5, 3, 'a', 'b', 'c'}, false)
	f.Add([]byte{3, 4, 10, 18, 19}, append([]byte{0x1f, 0x02}, make([]byte, 40)...), true)
	f.Add([]byte{14, 15, 13}, []byte{0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3}, false)
	f.Add([]byte{6}, []byte{0, 0xff, 0xff, 0xff, 0xff, 0x0f}, false)
	f.Fuzz(func(t *testing.T, kinds, image []byte, partial bool) {
		columns := make([]*rowv1.Column, len(kinds))
		for i, k := range kinds {
			n, scale := uint32(k%7), uint32(k%31)
			columns[i] = &rowv1.Column{Kind: rowv1.Kind(1 + k%19), Length: &n, Scale: &scale, Members: []string{"a", "b"}}
		}
		cells := make([]Cell, len(columns))
		rest, err := NewLayout(columns).Split(cells, image, partial)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if len(rest) > len(image) {
			t.Fatalf("%d bytes left of %d", len(rest), len(image))
		}
		for i := range cells {
			AppendJSON(nil, columns[i], &cells[i])
		}
	})
}
