package capturer

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/row"
)

// project leaves columns out of a table version: those that the server keeps to itself, and those whose "database.table.column" matches, but never a key
// column, without which a row could not be told from others.
func project(shape *rowv1.Table, excluded patterns) *schemaState {
	s := &schemaState{shape: shape}
	if len(excluded) == 0 && !hasHidden(shape) {
		return s
	}
	keep := make([]int, 0, len(shape.Columns))
	for i, c := range shape.Columns {
		if slices.Contains(shape.Key, uint32(i)) || !c.Hidden && !excluded.match(shape.Database+"."+shape.Table+"."+c.Name) {
			keep = append(keep, i)
		}
	}
	if len(keep) == len(shape.Columns) {
		return s
	}
	s.keep, s.lay = keep, row.NewLayout(shape.Columns)
	s.shape = proto.Clone(shape).(*rowv1.Table)
	s.shape.Columns, s.shape.Key = nil, nil
	for _, i := range keep {
		s.shape.Columns = append(s.shape.Columns, shape.Columns[i])
	}
	for _, k := range shape.Key {
		s.shape.Key = append(s.shape.Key, uint32(slices.Index(keep, int(k))))
	}
	// Indexes name their columns and matter only to whoever follows DDL.
	return s
}

func hasHidden(shape *rowv1.Table) bool {
	return slices.ContainsFunc(shape.GetColumns(), func(c *rowv1.Column) bool { return c.Hidden })
}

// projectRows appends the images in src to dst without the columns that are left out.
func (s *schemaState) projectRows(dst, src []byte, columns int, flags byte, op row.Op) ([]byte, error) {
	cells := make([]row.Cell, columns)
	images := op.Images()
	for image := 0; len(src) > 0; image++ {
		partial := flags&row.PartialAfter != 0
		if op == row.Delete || op == row.Update && image%images == 0 {
			partial = flags&row.PartialBefore != 0
		}
		rest, err := s.lay.Split(cells, src, partial)
		if err != nil {
			return dst, fmt.Errorf("leave columns out of %s.%s: %w", s.shape.Database, s.shape.Table, err)
		}
		dst = s.appendImage(dst, cells, partial)
		src = rest
	}
	return dst, nil
}

func (s *schemaState) appendImage(dst []byte, cells []row.Cell, partial bool) []byte {
	bitmap := (len(s.keep) + 7) / 8
	present := len(dst)
	if partial {
		dst = append(dst, make([]byte, bitmap)...)
	}
	nulls := len(dst)
	dst = append(dst, make([]byte, bitmap)...)
	for i, from := range s.keep {
		c := &cells[from]
		bit := byte(1) << (i & 7)
		if !c.Present {
			continue
		}
		if partial {
			dst[present+i/8] |= bit
		}
		if c.Null {
			dst[nulls+i/8] |= bit
			continue
		}
		if row.Prefixed(s.shape.Columns[i].Kind) {
			dst = row.AppendBytes(dst, c.Data)
			continue
		}
		dst = append(dst, c.Data...)
	}
	return dst
}
