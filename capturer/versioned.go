package capturer

import (
	"fmt"
	"slices"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/row"
)

// A system-versioned table of MariaDB keeps the past versions of its rows, as rows whose row_end has passed; a row that lives has the end of time there. The
// log has all of it: UPDATE is an update and the insert of the past version, DELETE an update that sets row_end, DELETE HISTORY the delete of past
// versions. Where row_end is one of the server's own columns, which nobody else sees, past versions are not told of, and what ends a row's life is told as the
// delete that it is.
const (
	endOfTime   = 4294967295999999 // 2106-02-07 06:28:15.999999, in microseconds since the epoch
	endOfTime32 = 2147483647999999 // 2038-01-19 03:14:07.999999, before MariaDB 11.5
)

// periodEnd returns the place of the hidden row_end of a table, or -1.
func periodEnd(shape *rowv1.Table) int {
	isTime := func(c *rowv1.Column) bool { return c.Hidden && c.Kind == rowv1.Kind_KIND_TIMESTAMP }
	start := slices.IndexFunc(shape.Columns, isTime)
	if start < 0 {
		return -1
	}
	end := slices.IndexFunc(shape.Columns[start+1:], isTime)
	if end < 0 {
		return -1
	}
	return start + 1 + end
}

// copyVersioned appends rows of a table with a hidden row_end to a feed's batch: what happens to rows that live.
func (r *reader) copyVersioned(f *feed, st *tableState, rows []byte, g group) error {
	v := versioned{lay: row.NewLayout(st.shape.Columns), cells: make([]row.Cell, len(st.shape.Columns)), end: st.end, group: g}
	var run []byte // rows that follow one another and are of one operation
	part := g
	part.rows = 0
	flush := func() error {
		if part.rows == 0 || f.skips[part.op] {
			return nil
		}
		return r.copyTo(f, st, run, part)
	}
	for i := 0; len(rows) > 0; i++ {
		op, image, rest, err := v.next(rows)
		if err != nil {
			return err
		}
		rows = rest
		if image == nil {
			if err := flush(); err != nil {
				return err
			}
			part.rows = 0
			continue
		}
		if op != part.op || part.rows == 0 {
			if err := flush(); err != nil {
				return err
			}
			run, part.op, part.flags, part.rows, part.first = run[:0], op, g.flags, 0, g.first+i
			if op == row.Delete {
				part.flags &^= row.PartialAfter
			}
		}
		run = append(run, image...)
		part.rows++
	}
	return flush()
}

// versioned reads the rows of a group of a system-versioned table.
type versioned struct {
	lay   *row.Layout
	cells []row.Cell
	end   int // place of row_end
	group group
}

// next takes a row: what it comes to, and the images that tell it; none for what concerns past versions alone.
func (v *versioned) next(rows []byte) (op row.Op, image, rest []byte, err error) {
	op, rest = v.group.op, rows
	lives := true
	if op != row.Create {
		if rest, lives, err = v.image(rest, row.PartialBefore); err != nil {
			return op, nil, nil, fmt.Errorf("read before image: %w", err)
		}
	}
	before := rows[:len(rows)-len(rest)]
	livesOn := lives
	if op != row.Delete {
		if rest, livesOn, err = v.image(rest, row.PartialAfter); err != nil {
			return op, nil, nil, fmt.Errorf("read after image: %w", err)
		}
	}
	switch {
	case !lives || op == row.Create && !livesOn:
		return op, nil, rest, nil
	case op == row.Update && !livesOn:
		return row.Delete, before, rest, nil
	}
	return op, rows[:len(rows)-len(rest)], rest, nil
}

// image takes one image and says whether it is of a row that lives. One without row_end is taken for such.
func (v *versioned) image(b []byte, partial byte) (rest []byte, lives bool, err error) {
	rest, err = v.lay.Split(v.cells, b, v.group.flags&partial != 0)
	if err != nil {
		return nil, false, err
	}
	c := &v.cells[v.end]
	return rest, !c.Present || c.Null || c.Int() == endOfTime || c.Int() == endOfTime32, nil
}
