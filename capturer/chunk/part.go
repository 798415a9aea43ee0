package chunk

import (
	"fmt"

	"github.com/rowmesh/rowmesh/services/row"
)

// Part is a run of rows of a chunk, packed: what one message takes.
type Part struct {
	Payload []byte
	Rows    int
	// Last is where the last row begins in Payload.
	Last int
	// Border holds the literals of the last row's key, and To spells it for people: behind this part that is how far the table is read.
	Border []string
	To     string
}

// Layout says how the rows of a part are packed.
type Layout struct {
	Row     *row.Layout
	Columns int
	Key     Key
	// Partial says that images carry a presence bitmap.
	Partial bool
}

// Drop takes the rows out of a part that a window knows as touched. It may use p.Payload again.
func (l Layout) Drop(p *Part, v View) error {
	if !v.Any() {
		return nil
	}
	cells := make([]row.Cell, l.Columns)
	var key []byte
	kept, last, rows := 0, 0, 0
	for at := 0; at < len(p.Payload); {
		rest, err := l.Row.Split(cells, p.Payload[at:], l.Partial)
		if err != nil {
			return fmt.Errorf("row %d of a chunk: %w", rows, err)
		}
		end := len(p.Payload) - len(rest)
		var whole bool
		if key, whole = l.Key.Append(key[:0], cells); !whole {
			return fmt.Errorf("row %d of a chunk has no key", rows)
		}
		if !v.Touched(key) {
			last = kept
			kept += copy(p.Payload[kept:], p.Payload[at:end])
			rows++
		}
		at = end
	}
	p.Payload, p.Rows, p.Last = p.Payload[:kept], rows, last
	return nil
}
