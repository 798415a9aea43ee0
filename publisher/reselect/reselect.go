package reselect

import (
	"context"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/publisher/convert"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
	"github.com/rowmesh/rowmesh/services/source"
)

// Session runs queries on the source.
type Session interface {
	Query(ctx context.Context, sql string) (*source.Result, error)
	Close() error
}

// Processor completes rows as all post processors of a connector say. One goroutine uses it.
type Processor struct {
	connect func(context.Context) (Session, error)
	tell    func(problem error) // of what is left as it was
	rules   []rule
	session Session
}

// rule is one post processor.
type rule struct {
	config.Reselect
	include, exclude []*regexp.Regexp
}

// New returns what runs the post processors; nil where there is none. tell is told why a row stays as it is where that is no reason to stop.
func New(processors []config.Reselect, connect func(context.Context) (Session, error), tell func(problem error)) (*Processor, error) {
	if len(processors) == 0 {
		return nil, nil
	}
	p := &Processor{connect: connect, tell: tell}
	for _, c := range processors {
		r := rule{Reselect: c}
		for _, l := range []struct {
			list []string
			to   *[]*regexp.Regexp
		}{{c.Include, &r.include}, {c.Exclude, &r.exclude}} {
			for _, x := range l.list {
				re, err := regexp.Compile(x)
				if err != nil {
					return nil, errs.E(errs.Invalid, "post.processors: %q is no regular expression: %w", x, err)
				}
				*l.to = append(*l.to, re)
			}
		}
		p.rules = append(p.rules, r)
	}
	return p, nil
}

// Close ends the session. A nil Processor has none.
func (p *Processor) Close() {
	if p != nil && p.session != nil {
		p.session.Close()
		p.session = nil
	}
}

// Complete reads the columns of a row that the post processors choose. An error is that of the server, and has its kind.
func (p *Processor) Complete(ctx context.Context, r convert.Row) error {
	for i := range p.rules {
		rule := &p.rules[i]
		columns := rule.columns(r)
		if len(columns) == 0 {
			continue
		}
		key := make([]int, 0, len(r.Table.Key))
		for _, k := range r.Table.Key {
			key = append(key, int(k))
		}
		if rule.EventKey {
			key = r.Key
		}
		if len(key) == 0 || slices.ContainsFunc(key, func(k int) bool { return !r.After[k].Present }) {
			continue
		}
		if err := p.read(ctx, r, key, columns); err != nil {
			err = errs.E(errs.KindOf(err), "post.processors: read columns of table %s.%s again: %w", r.Table.Database, r.Table.Table, err)
			if rule.Fails {
				return err
			}
			p.tell(err)
		}
	}
	return nil
}

// columns returns the columns of a row's value that are read again.
func (r *rule) columns(x convert.Row) []int {
	var out []int
	for _, i := range x.Value {
		cell := &x.After[i]
		if (!cell.Present && r.Unavailable || cell.Present && cell.Null && r.Nulls) && r.selects(x.Table, x.Table.Columns[i].Name) {
			out = append(out, i)
		}
	}
	return out
}

// selects says whether the lists choose a column. They name it as database.table:column.
func (r *rule) selects(t *rowv1.Table, column string) bool {
	name := t.Database + "." + t.Table + ":" + column
	matches := func(re *regexp.Regexp) bool { return re.MatchString(name) }
	return (len(r.include) == 0 || slices.ContainsFunc(r.include, matches)) && !slices.ContainsFunc(r.exclude, matches)
}

func (p *Processor) read(ctx context.Context, r convert.Row, key, columns []int) error {
	if p.session == nil {
		s, err := p.connect(ctx)
		if err != nil {
			return err
		}
		p.session = s
	}
	res, err := p.session.Query(ctx, statement(r, key, columns))
	if err != nil {
		p.Close() // it may be of no more use
		return err
	}
	if len(res.Rows) != 1 {
		return nil // it is gone; of several nobody knows which
	}
	for n, i := range columns {
		v := res.Rows[0][n]
		if v.Null {
			r.After[i] = row.Cell{Present: true, Null: true}
			continue
		}
		data, err := convert.ParseText(r.Table.Columns[i], []byte(v.Text))
		if err != nil {
			return errs.E(errs.Corrupt, "column %s: %w", r.Table.Columns[i].Name, err)
		}
		r.After[i] = row.Cell{Present: true, Data: data}
	}
	return nil
}

// statement selects columns of the row with a key, two rows at most.
func statement(r convert.Row, key, columns []int) string {
	var b strings.Builder
	b.WriteString("SELECT ")
	for n, i := range columns {
		if n > 0 {
			b.WriteString(", ")
		}
		b.WriteString(expression(r.Table.Columns[i]))
	}
	fmt.Fprintf(&b, " FROM %s WHERE ", source.QuoteTable(r.Table.Database, r.Table.Table))
	for n, i := range key {
		if n > 0 {
			b.WriteString(" AND ")
		}
		c := r.Table.Columns[i]
		fmt.Fprintf(&b, "%s <=> %s", source.Quote(c.Name), literal(c, &r.After[i]))
	}
	b.WriteString(" LIMIT 2")
	return b.String()
}

// expression selects a column as convert.ParseText reads it.
func expression(c *rowv1.Column) string {
	switch c.Kind {
	case rowv1.Kind_KIND_BIT, rowv1.Kind_KIND_ENUM, rowv1.Kind_KIND_SET:
		return source.Quote(c.Name) + "+0"
	case rowv1.Kind_KIND_FLOAT32: // alone it is printed with six digits
		return source.Quote(c.Name) + "+0E0"
	}
	return source.Quote(c.Name)
}

// literal spells a cell of a key.
func literal(c *rowv1.Column, cell *row.Cell) string {
	if cell.Null {
		return "NULL"
	}
	switch c.Kind {
	case rowv1.Kind_KIND_INT, rowv1.Kind_KIND_UINT, rowv1.Kind_KIND_YEAR, rowv1.Kind_KIND_BIT, rowv1.Kind_KIND_FLOAT32, rowv1.Kind_KIND_FLOAT64:
		return string(row.AppendJSON(nil, c, cell))
	case rowv1.Kind_KIND_BYTES, rowv1.Kind_KIND_GEOMETRY, rowv1.Kind_KIND_VECTOR:
		return "x'" + hex.EncodeToString(cell.Data) + "'"
	case rowv1.Kind_KIND_TIMESTAMP: // the session is in UTC
		return source.QuoteText(strings.TrimSuffix(strings.Replace(row.Text(c, cell), "T", " ", 1), "Z"))
	}
	return source.QuoteText(row.Text(c, cell))
}
