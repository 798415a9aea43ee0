package snapshot

import (
	"context"
	"strings"
	"sync"

	"github.com/rowmesh/rowmesh/capturer/chunk"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/source"
)

const (
	// leastRange and mostRange bound the rows of a range. Finding where one ends reads so many keys, which is some percent of reading the rows; less than a hundred thousand
	// round trips come to that too. With more the readers would not end at the same time.
	leastRange = 10_000
	mostRange  = 200_000
	// usualRange is that of a table of which the server knows no size.
	usualRange = 50_000
)

// tableScan is the reading of one table, range by range, by any number of readers.
type tableScan struct {
	*table
	first    bool         // of the snapshot's tables
	shape    *rowv1.Table // as the subscriber sees it
	override string       // the user's statement; empty: whole rows
	key      *chunk.Key   // the primary key, where ranges of it are read; nil: the table is read in one
	size     uint64       // rows of a range

	mu    sync.Mutex // held while the end of a range is looked for
	after []string   // literals of the key where the ranges given out end; nil: none was
	given int        // ranges
	spent bool       // no more ranges are given out

	// What follows is the merger's.
	told, begun bool
	scanTime    uint64 // microseconds
	rows        uint64 // sent, or kept back in last
	last        *part  // kept back until it is known whether it is the table's last
	done, total int    // ranges read, and of how many; 0: not known yet
	err         error  // why it is not read to the end
}

// rangeKey returns the primary key if ranges of it can be read. Other keys are none to cut a table by: where one may hold NULLs, no range would have those rows.
func rangeKey(t *rowv1.Table) *chunk.Key {
	key, err := chunk.KeyOf(t, "")
	if err != nil || !(Range{Table: t, Key: key}).primary() {
		return nil
	}
	return &key
}

// rangeRows is how many rows a range of a table has: each reader shall have as many ranges as the multiplier says.
func rangeRows(estimate uint64, readers, multiplier int) uint64 {
	if estimate == 0 {
		return usualRange
	}
	return min(max(estimate/uint64(readers*max(multiplier, 1)), leastRange), mostRange)
}

// next gives out the next range. Requires: mu, and that the table is not spent.
func (t *tableScan) next(ctx context.Context, view *Ranges) (chunk.Range, error) {
	r := chunk.Range{After: t.after}
	t.given++
	t.spent = true
	if t.key == nil {
		return r, nil
	}
	border, err := view.Border(ctx, Range{Table: t.shape, Key: *t.key, Range: r}, int(t.size)-1, false)
	if err == nil && border != nil && border.More {
		r.UpTo = border.Literals
		t.after, t.spent = r.UpTo, false
	}
	return r, err
}

// query returns the statement that reads a range. The index is named: a server that takes a range for most of the table would read the table for each.
func (t *tableScan) query(r chunk.Range) string {
	if t.override != "" {
		return t.override
	}
	exprs := make([]string, len(t.shape.Columns))
	for i, c := range t.shape.Columns {
		exprs[i] = selectExpr(c)
	}
	sql := "SELECT " + strings.Join(exprs, ", ") + " FROM " + source.QuoteTable(t.database, t.name)
	if t.key == nil {
		return sql
	}
	sql += " FORCE INDEX (`PRIMARY`)"
	if where := r.Where(t.key.Names(t.shape)); where != "" {
		sql += " WHERE " + where
	}
	return sql
}

// workload hands out what is left to read.
type workload struct {
	tables []*tableScan

	mu    sync.Mutex
	first int // tables before it are spent
}

// take returns a table with something left, its mu held; nil if there is none. Readers work on the same table, but do not wait for each other where there are others.
func (w *workload) take() *tableScan {
	w.mu.Lock()
	rest := w.tables[w.first:]
	w.mu.Unlock()
	for i, t := range rest {
		if !t.mu.TryLock() {
			continue
		}
		if !t.spent {
			return t
		}
		t.mu.Unlock()
		if i == 0 {
			w.mu.Lock()
			if w.first < len(w.tables) && w.tables[w.first] == t {
				w.first++
			}
			w.mu.Unlock()
		}
	}
	for _, t := range rest {
		if t.mu.Lock(); !t.spent {
			return t
		}
		t.mu.Unlock()
	}
	return nil
}

// spend gives out no more ranges of a table, and returns how many were.
func (t *tableScan) spend() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spent = true
	return t.given
}
