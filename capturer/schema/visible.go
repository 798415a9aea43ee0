package schema

import (
	"slices"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

// Visible returns a table without the columns that the server keeps to itself (MariaDB's row_start, row_end and hashes of unique indexes), as whoever reads its
// definition sees it. The table itself is returned if it has none; else the columns are shared with it.
func Visible(t *rowv1.Table) *rowv1.Table {
	hidden := func(c *rowv1.Column) bool { return c.Hidden }
	if !slices.ContainsFunc(t.Columns, hidden) {
		return t
	}
	v := &rowv1.Table{SchemaId: t.SchemaId, Database: t.Database, Table: t.Table, Charset: t.Charset, Collation: t.Collation, Comment: t.Comment}
	place := make([]int, len(t.Columns))
	for i, c := range t.Columns {
		place[i] = -1
		if !c.Hidden {
			place[i] = len(v.Columns)
			v.Columns = append(v.Columns, c)
		}
	}
	// moved gives the new places of columns; of hidden ones it gives none.
	moved := func(at []uint32) []uint32 {
		var out []uint32
		for _, i := range at {
			if int(i) < len(place) && place[i] >= 0 {
				out = append(out, uint32(place[i]))
			}
		}
		return out
	}
	v.Key = moved(t.Key)
	for _, ix := range t.Indexes {
		v.Indexes = append(v.Indexes, &rowv1.Index{Name: ix.Name, Columns: moved(ix.Columns), Unique: ix.Unique, Functional: ix.Functional, Prefix: ix.Prefix, Hash: ix.Hash})
	}
	return v
}
