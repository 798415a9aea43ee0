package binlog

import (
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

// signs reads the bitmap of unsigned columns, a bit for each numeric one. Older servers (MySQL 8.0.15) do not count YEAR, newer ones do and call it
// unsigned, and nothing in the event says which it is: where both readings are possible both are kept.
func (m *metadata) signs(bits []byte, cols []ColumnMap) {
	m.signed = true
	with, okWith := readSigns(bits, cols, true)
	without, okWithout := readSigns(bits, cols, false)
	switch {
	case okWith && okWithout:
		m.unsigned, m.otherSigns = with, without
	case okWith:
		m.unsigned = with
	default:
		m.unsigned = without
	}
}

// readSigns reads the bitmap in one way, and says whether it could be meant so: its length fits, and YEAR, if counted, is unsigned.
func readSigns(bits []byte, cols []ColumnMap, year bool) (unsigned []bool, ok bool) {
	unsigned, ok = make([]bool, len(cols)), true
	n := 0
	for i := range cols {
		isYear := columnType(cols[i].Type) == typeYear
		if !isNumeric(cols[i].Type) || isYear && !year {
			continue
		}
		set := n/8 < len(bits) && bits[n/8]&(0x80>>(n%8)) != 0
		if isYear {
			ok = ok && set
		} else {
			unsigned[i] = set
		}
		n++
	}
	return unsigned, ok && (n+7)/8 == len(bits)
}

// signsFor returns the reading of the signs that agrees with a shape, or else the likelier one.
func (m *metadata) signsFor(cols []ColumnMap, shape *rowv1.Table) []bool {
	agrees := func(signs []bool) bool {
		for i, c := range shape.Columns {
			if isNumeric(cols[i].Type) && columnType(cols[i].Type) != typeYear && signs[i] != isUnsigned(c) {
				return false
			}
		}
		return true
	}
	if m.otherSigns != nil && !agrees(m.unsigned) && agrees(m.otherSigns) {
		return m.otherSigns
	}
	return m.unsigned
}

func isUnsigned(c *rowv1.Column) bool { return c.Unsigned || c.Kind == rowv1.Kind_KIND_UINT }
