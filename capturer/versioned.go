package capturer

import (
	"fmt"
	"slices"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/row"
)

// A system-versioned table of MariaDB keeps its deleted rows: DELETE is logged as an update that sets row_end. Where that column is one of the server's own,
// which nobody else sees, such an update is told as the delete that it is. A row that lives has the end of time there.
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

// copyVersioned appends rows of a table with a hidden row_end to a feed's batch: updates, and the deletes among them.
func (r *reader) copyVersioned(f *feed, st *tableState, rows []byte, g group) error {
	lay, cells := row.NewLayout(st.shape.Columns), make([]row.Cell, len(st.shape.Columns))
	var run []byte
	part := g
	part.rows = 0
	flush := func() error {
		if part.rows == 0 || f.skips[part.op] {
			return nil
		}
		return r.copyTo(f, st, run, part)
	}
	for i := 0; len(rows) > 0; i++ {
		after, err := lay.Split(cells, rows, g.flags&row.PartialBefore != 0)
		if err != nil {
			return fmt.Errorf("read before image: %w", err)
		}
		rest, err := lay.Split(cells, after, g.flags&row.PartialAfter != 0)
		if err != nil {
			return fmt.Errorf("read after image: %w", err)
		}
		op, flags, image := row.Update, g.flags, rows[:len(rows)-len(rest)]
		if end := &cells[st.end]; end.Present && !end.Null && end.Int() != endOfTime && end.Int() != endOfTime32 {
			op, flags, image = row.Delete, g.flags&^row.PartialAfter, rows[:len(rows)-len(after)]
		}
		if op != part.op || part.rows == 0 {
			if err := flush(); err != nil {
				return err
			}
			run, part.op, part.flags, part.rows, part.first = run[:0], op, flags, 0, g.first+i
		}
		run = append(run, image...)
		part.rows++
		rows = rest
	}
	return flush()
}
