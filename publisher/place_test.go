package publisher

import (
	"testing"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

// A reader that has just begun has seen no event: its first progress has no time, and the place keeps the one that it has.
func TestPlaceKeepsItsTime(t *testing.T) {
	var p place
	for _, c := range []struct{ told, want int64 }{{0, 0}, {7, 7}, {0, 7}, {9, 9}} {
		p.move(&rowv1.Checkpoint{Offset: &rowv1.SourceOffset{TsSec: c.told, File: "f", Pos: 4}}, 1)
		if got := p.taken.Source.TsSec; got != c.want {
			t.Errorf("after %d the place is of %d, want %d", c.told, got, c.want)
		}
	}
}
