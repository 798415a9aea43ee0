package snapshot

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/source"
)

// nameMembers finds the members of ENUM and SET columns that the server cannot print: definitions come in three-byte UTF-8, so that a character beyond
// U+FFFF is a question mark in SHOW CREATE TABLE and information_schema alike. The rows know better: one scan of a table that has such a column gives
// the name of each member that a row has. A member that no row has keeps its question marks.
func (r *run) nameMembers(ctx context.Context, c *cut) error {
	if !r.Snapshot.Data {
		return nil
	}
	for _, t := range c.wanted {
		if t.shape == nil || !r.choose.readsRows(t.id()) {
			continue
		}
		if err := nameMembersOf(ctx, c.views[0], t); err != nil && !changedUnderScan(err) { // of what changed, the scan will say so
			if ends(err) {
				return scanError(t, err)
			}
			t.problem = tableProblem(t, err)
		}
	}
	return c.views[0].Exec(ctx, "ROLLBACK TO SAVEPOINT "+savepoint)
}

// doubt is a member that may be a question mark for want of a better character.
type doubt struct {
	column *rowv1.Column
	member int
}

func doubts(shape *rowv1.Table) []doubt {
	var out []doubt
	for _, c := range shape.Columns {
		if !slices.Contains([]string{"utf8mb4", "utf16", "utf16le", "utf32", "gb18030"}, c.Charset) {
			continue // no other holds characters beyond U+FFFF
		}
		for i, m := range c.Members {
			if strings.Contains(m, "?") {
				out = append(out, doubt{c, i})
			}
		}
	}
	return out
}

func nameMembersOf(ctx context.Context, view *source.Conn, t *table) error {
	open := doubts(t.shape)
	if len(open) == 0 {
		return nil
	}
	exprs := make([]string, len(open))
	for i, d := range open {
		name := source.Quote(d.column.Name)
		has := fmt.Sprintf("%s+0=%d", name, d.member+1)
		if d.column.Kind == rowv1.Kind_KIND_SET {
			has = fmt.Sprintf("%s+0&%d", name, uint64(1)<<d.member)
		}
		// The number says which members the text is of.
		exprs[i] = fmt.Sprintf("MAX(IF(%s, CONCAT(%s+0, ':', CONVERT(%s USING utf8mb4)), NULL))", has, name, name)
	}
	res, err := view.Query(ctx, "SELECT "+strings.Join(exprs, ", ")+" FROM "+source.QuoteTable(t.database, t.name))
	if err != nil {
		return err
	}
	for i, d := range open {
		var value uint64
		if _, err := fmt.Sscanf(res.Rows[0][i].Text, "%d:", &value); err != nil {
			continue // no row has it
		}
		_, text, _ := strings.Cut(res.Rows[0][i].Text, ":")
		if d.column.Kind == rowv1.Kind_KIND_SET {
			// Members stand in their order, and hold no commas.
			names := strings.Split(text, ",")
			n := bits.OnesCount64(value & (1<<d.member - 1))
			if n >= len(names) {
				continue
			}
			text = names[n]
		}
		d.column.Members[d.member] = text
	}
	return nil
}
