package convert

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/row"
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

// Complete sees inserts and updates of the log, with what an update leaves out taken from the row before, and what it puts in is converted. Its error ends the batch.
func TestRowsAreCompleted(t *testing.T) {
	var seen []string
	var fail error
	enc := newEncoder(t, nil)
	enc.opts.Complete = func(r Row) error {
		seen = append(seen, fmt.Sprint(r.Table.Table, r.Key, r.Value, r.After[1].Present))
		if !r.After[1].Present {
			r.After[1] = row.Cell{Present: true, Data: []byte("read again")}
		}
		return fail
	}
	value := func(op byte, flags byte, images ...[]byte) (string, error) {
		var out Output
		b := oneGroup(op, flags, 1, images...)
		if err := enc.Batch(b, &out); err != nil {
			return "", err
		}
		return string(out.Bytes(out.Records[0].Value)), nil
	}
	without := image(true, 5, nil, 7, "NULL")
	for _, c := range []struct {
		op    byte
		flags byte
		rows  [][]byte
		want  string
	}{
		{'c', row.PartialAfter, [][]byte{without}, `"note":"read again"`},
		{'u', row.PartialAfter, [][]byte{image(false, 5, "kept", 6, "NULL"), without}, `"after":{"id":5,"note":"kept","n":7`},
		{'r', 0, [][]byte{image(false, 5, "a", 6, "NULL")}, `"note":"a"`},
		{'d', 0, [][]byte{image(false, 5, "a", 6, "NULL")}, `"note":"a"`},
	} {
		if got, err := value(c.op, c.flags, c.rows...); err != nil || !strings.Contains(got, c.want) {
			t.Errorf("%c: %s, %v, want %s", c.op, got, err, c.want)
		}
	}
	if d := cmp.Diff([]string{"t[0] [0 1 2 3] false", "t[0] [0 1 2 3] true"}, seen); d != "" {
		t.Error(d)
	}
	fail = errors.New("the server is away")
	if _, err := value('c', 0, image(false, 5, "a", 6, "NULL")); !errors.Is(err, fail) {
		t.Errorf("error %v", err)
	}
}
