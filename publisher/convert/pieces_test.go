package convert

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/services/config"
)

// TestPieces: however a batch is cut, the records are those of the whole, and no piece is larger than the limit and one row.
func TestPieces(t *testing.T) {
	day := 25 * 3600 * 1_000_000 // no time of day: fails and is tolerated
	batch := oneGroup('c', 0, 4, image(false, 1, "x", 5, 1000), image(false, 2, "x", 5, day), image(false, 3, "yy", 5, 2000), image(false, 4, "z", 5, 3000))
	encoder := func() *Encoder {
		e := newEncoder(t, func(c *config.Connector) { c.TimeMode, c.ConvertFailure = "connect", "fail" })
		e.opts.Tolerate = true
		return e
	}
	collect := func(limit int) (records []string, failed []int, largest int) {
		var out Output
		err := encoder().Pieces(batch, &out, limit, func() error {
			for _, r := range out.Records {
				records = append(records, string(out.Bytes(r.Key))+" "+string(out.Bytes(r.Value)))
			}
			for _, f := range out.Failed {
				failed = append(failed, f.Index)
			}
			largest = max(largest, len(out.Arena))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return records, failed, largest
	}
	want, wantFailed, whole := collect(1 << 20)
	if len(want) != 3 || len(wantFailed) != 1 {
		t.Fatalf("%d records, %d failed", len(want), len(wantFailed))
	}
	row := whole / 2 // a third and its surroundings
	for _, limit := range []int{1, 100, row, whole} {
		got, failed, largest := collect(limit)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("limit %d: %s", limit, d)
		}
		if d := cmp.Diff(wantFailed, failed); d != "" {
			t.Errorf("limit %d: %s", limit, d)
		}
		if largest >= limit+row {
			t.Errorf("limit %d: a piece of %d bytes", limit, largest)
		}
	}
	full := errors.New("queue")
	var out Output
	if err := encoder().Pieces(batch, &out, 1, func() error { return full }); err != full {
		t.Errorf("got %v, want what take returned", err)
	}
}
