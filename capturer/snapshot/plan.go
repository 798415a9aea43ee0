package snapshot

import (
	"errors"
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
	"github.com/rowmesh/rowmesh/services/source"
)

// selectExpr returns what to select so that the text holds the value exactly.
//
//   - FLOAT prints six digits, and FLOAT(M,D) and DOUBLE(M,D) print D decimals. Times 1e0 each becomes a plain double, printed with the shortest
//     text that reads back the same; negative zero keeps its sign, which it would lose by adding zero.
//   - ENUM and SET as numbers: members may hold commas, and their text depends on character sets.
//
// A statement of the user's own (snapshot.select.statement.overrides) is run as it stands: its FLOATs have the digits that it selects.
func selectExpr(c *rowv1.Column) string {
	name := source.Quote(c.Name)
	switch c.Kind {
	case rowv1.Kind_KIND_FLOAT32:
		return name + "*1e0"
	case rowv1.Kind_KIND_FLOAT64:
		if c.Length != nil || strings.HasPrefix(c.TypeName, "FLOAT") {
			return name + "*1e0"
		}
	case rowv1.Kind_KIND_ENUM, rowv1.Kind_KIND_SET:
		return "CAST(" + name + " AS UNSIGNED)"
	}
	return name
}

// plan packs the rows of one result.
type plan struct {
	shape *rowv1.Table
	cells []cell
	// from maps the result's columns to the table's; -1 drops one. nil: they are the same.
	from []int
	// views holds the row's cells by table column, where from is used.
	views []view
	// present is the presence bitmap, where the result lacks columns of the table.
	present []byte
	flags   byte
	nulls   int // bytes of the null bitmap
}

// view is one cell of an overriding statement's row.
type view struct {
	text    []byte
	present bool
}

// cell is how one column is packed.
type cell struct {
	kind   rowv1.Kind
	scale  int
	width  int // BINARY(n): n; otherwise 0
	column *rowv1.Column
	// members is set where ENUM and SET come as text, in statements of the user.
	members map[string]uint64
}

func newPlan(shape *rowv1.Table, result []source.ResultColumn, override bool) (*plan, error) {
	p := &plan{shape: shape, cells: make([]cell, len(shape.Columns)), nulls: (len(shape.Columns) + 7) / 8}
	for i, c := range shape.Columns {
		p.cells[i] = cell{kind: c.Kind, scale: int(c.GetScale()), column: c}
		if c.TypeName == "BINARY" {
			p.cells[i].width = int(c.GetLength())
		}
	}
	if !override {
		return p, nil
	}
	byName := map[string]int{}
	for i, c := range shape.Columns {
		byName[strings.ToLower(c.Name)] = i
		if c.Kind == rowv1.Kind_KIND_ENUM || c.Kind == rowv1.Kind_KIND_SET {
			p.cells[i].members = memberValues(c)
		}
	}
	p.views = make([]view, len(shape.Columns))
	present := make([]byte, p.nulls)
	found := 0
	for _, rc := range result {
		i, ok := byName[strings.ToLower(rc.Name)]
		if !ok || present[i>>3]&(1<<(i&7)) != 0 {
			i = -1
		} else {
			present[i>>3] |= 1 << (i & 7)
			found++
		}
		p.from = append(p.from, i)
	}
	for _, k := range shape.Key {
		if present[k>>3]&(1<<(k&7)) == 0 {
			return nil, errs.E(errs.Invalid, "the statement of snapshot.select.statement.overrides does not select the key column %s: add it", shape.Columns[k].Name)
		}
	}
	if found < len(shape.Columns) {
		p.present, p.flags = present, row.PartialAfter
	}
	return p, nil
}

func memberValues(c *rowv1.Column) map[string]uint64 {
	m := make(map[string]uint64, len(c.Members))
	for i, name := range c.Members {
		if c.Kind == rowv1.Kind_KIND_SET {
			m[name] = 1 << i
		} else {
			m[name] = uint64(i) + 1
		}
	}
	return m
}

// appendRow packs a row of the text protocol. On an error dst is of no more use. Errors: Corrupt, naming the column.
func (p *plan) appendRow(dst, raw []byte) ([]byte, error) {
	if p.from != nil {
		return p.appendMapped(dst, raw)
	}
	base := len(dst)
	for range p.nulls {
		dst = append(dst, 0)
	}
	for i := range p.cells {
		text, rest, ok := source.Cell(raw)
		if !ok {
			return nil, p.corrupt(i, nil, row.ErrCorrupt)
		}
		raw = rest
		if text == nil {
			dst[base+i>>3] |= 1 << (i & 7)
			continue
		}
		var err error
		if dst, err = p.cells[i].append(dst, text); err != nil {
			return nil, p.corrupt(i, text, err)
		}
	}
	return dst, nil
}

// appendMapped packs a row whose columns come in an order of the user's.
func (p *plan) appendMapped(dst, raw []byte) ([]byte, error) {
	clear(p.views)
	for _, i := range p.from {
		text, rest, ok := source.Cell(raw)
		if !ok {
			return nil, row.ErrCorrupt
		}
		raw = rest
		if i >= 0 {
			p.views[i] = view{text, true}
		}
	}
	dst = append(dst, p.present...)
	base := len(dst)
	for range p.nulls {
		dst = append(dst, 0)
	}
	for i, v := range p.views {
		switch {
		case !v.present:
		case v.text == nil:
			dst[base+i>>3] |= 1 << (i & 7)
		default:
			var err error
			if dst, err = p.cells[i].append(dst, v.text); err != nil {
				return nil, p.corrupt(i, v.text, err)
			}
		}
	}
	return dst, nil
}

func (p *plan) corrupt(i int, text []byte, err error) error {
	const shown = 64
	if len(text) > shown {
		text = text[:shown]
	}
	c := p.shape.Columns[i]
	return errs.E(errs.Corrupt, "column %s (%s): the server's text %q cannot be read: %w", c.Name, c.TypeName, text, err)
}

var errText = errors.New("it does not have the form of the column's type")
