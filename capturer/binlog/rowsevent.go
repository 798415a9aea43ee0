package binlog

import (
	"fmt"

	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
)

// rowsBody is the part of a row event that Append decodes: views into the event.
type rowsBody struct {
	data          []byte
	before, after []byte // columns present in the images, a bit each; before is nil for inserts, after for deletes
	partial       bool   // after images may hold JSON diffs (PARTIAL_UPDATE_ROWS)

	// Where the row stands that Append comes to next.
	row, offset int
}

// dummyTableID marks a row event that only ends a statement.
const dummyTableID = 0x00ffffff

// rowsShape says how the row event types differ.
type rowsShape struct {
	op         row.Op
	extra      bool // version 2: extra data behind the flags
	compressed bool
}

func shapeOfRows(t eventType) rowsShape {
	switch t {
	case writeRowsV0, writeRowsV1:
		return rowsShape{op: row.Create}
	case updateRowsV0, updateRowsV1:
		return rowsShape{op: row.Update}
	case deleteRowsV0, deleteRowsV1:
		return rowsShape{op: row.Delete}
	case writeRowsV2:
		return rowsShape{op: row.Create, extra: true}
	case updateRowsV2, partialUpdateRowsEvent:
		return rowsShape{op: row.Update, extra: true}
	case deleteRowsV2:
		return rowsShape{op: row.Delete, extra: true}
	case mariaWriteCompressedV1:
		return rowsShape{op: row.Create, compressed: true}
	case mariaUpdateCompressedV1:
		return rowsShape{op: row.Update, compressed: true}
	case mariaDeleteCompressedV1:
		return rowsShape{op: row.Delete, compressed: true}
	case mariaWriteCompressedV2:
		return rowsShape{op: row.Create, extra: true, compressed: true}
	case mariaUpdateCompressedV2:
		return rowsShape{op: row.Update, extra: true, compressed: true}
	}
	return rowsShape{op: row.Delete, extra: true, compressed: true}
}

// rows handles a row event: table id, flags, extra data in version 2, number of columns, bitmaps of the columns present, then images.
func (s *Stream) rows(h header, body []byte, at place) (bool, error) {
	shape := shapeOfRows(h.kind)
	c := cursor{b: body}
	id := c.uintN(s.tableIDSize)
	c.skip(2)
	if shape.extra {
		c.skip(int(c.u16()) - 2)
	}
	columns := c.lenenc()
	if c.failed {
		return false, fmt.Errorf("%s event: %w", h.kind, errShort)
	}
	if !s.txn.open {
		return false, errs.E(errs.Invalid, "a row event at %d stands outside of a transaction: the start position is in the middle of one; start at a "+
			"transaction's end", at.pos)
	}
	if id == dummyTableID {
		s.txn.index++
		return false, nil
	}
	table := s.tables.get(id, s.txn.gen)
	if table == nil {
		return false, errs.E(errs.Corrupt, "the row event at %d names table id %d, which its transaction does not describe", at.pos, id)
	}
	if columns != uint64(len(table.Columns)) {
		return false, errs.E(errs.Corrupt, "the row event at %d of %s.%s has %d columns, its table map %d", at.pos, table.Database, table.Name, columns, len(table.Columns))
	}
	s.event(h, Rows, at)
	e := &s.ev
	e.rows = rowsBody{partial: h.kind == partialUpdateRowsEvent}
	n := (len(table.Columns) + 7) / 8
	present := c.take(n)
	switch shape.op {
	case row.Create:
		e.rows.after = present
	case row.Delete:
		e.rows.before = present
	case row.Update:
		e.rows.before, e.rows.after = present, c.take(n)
	}
	if c.failed {
		return false, fmt.Errorf("%s event of %s.%s: %w", h.kind, table.Database, table.Name, errShort)
	}
	e.rows.data = c.b
	if shape.compressed {
		var err error
		if e.rows.data, err = s.inflate.mariaDB(c.b, s.cfg.MaxEventBytes); err != nil {
			return false, fmt.Errorf("compressed rows of %s.%s at %d: %w", table.Database, table.Name, at.pos, err)
		}
	}
	e.Table, e.Op, e.EventIndex = table, shape.op, s.txn.index
	if len(s.query) > 0 {
		e.Query = s.query
	}
	s.txn.index++
	return true, nil
}
