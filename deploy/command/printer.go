package command

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
)

// table is a table version with what it takes to split its rows.
type table struct {
	*rowv1.Table
	layout *row.Layout
	cells  [2][]row.Cell
}

// printer prints messages of a subscription.
type printer struct {
	out    io.Writer
	notes  io.Writer // what is no row
	token  string    // printed last
	opened bool
	tables map[uint32]*table
	buf    []byte
}

func (p *printer) message(m *capturev1.SubscribeResponse) error {
	switch x := m.Message.(type) {
	case *capturev1.SubscribeResponse_Opened:
		p.opened = true
		o, at := x.Opened, x.Opened.GetPosition()
		fmt.Fprintf(p.notes, "reading %s (%s %s) from %s:%d %s\n", o.Source, o.Flavor, o.Version, at.GetFile(), at.GetPos(), at.GetGtids())
	case *capturev1.SubscribeResponse_Schema:
		n := len(x.Schema.Columns)
		p.tables[x.Schema.SchemaId] = &table{x.Schema, row.NewLayout(x.Schema.Columns), [2][]row.Cell{make([]row.Cell, n), make([]row.Cell, n)}}
	case *capturev1.SubscribeResponse_Batch:
		return p.batch(x.Batch)
	case *capturev1.SubscribeResponse_Ddl:
		fmt.Fprintf(p.out, "{\"ddl\":%s,\"database\":%s}\n", row.AppendJSONString(nil, x.Ddl.Statement), row.AppendJSONString(nil, x.Ddl.Database))
	case *capturev1.SubscribeResponse_Gap:
		p.token = "" // leads to where nothing is any more
		return errs.E(errs.Gap, "%s", x.Gap.Reason)
	case *capturev1.SubscribeResponse_Reset_:
		p.token = base64.StdEncoding.EncodeToString(x.Reset_.Token)
		return errs.E(errs.Busy, "this reader fell behind: %s", x.Reset_.Reason)
	case *capturev1.SubscribeResponse_TableError:
		fmt.Fprintf(p.notes, "table %s.%s stopped: %s\n", x.TableError.Database, x.TableError.Table, x.TableError.Reason)
	}
	return nil
}

// ended says where to go on after err ended the stream.
func (p *printer) ended(ctx context.Context, source string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if p.token == "" {
		return fmt.Errorf("rows of %s: %w", source, err)
	}
	return fmt.Errorf("rows of %s: %w; go on with --from %s", source, err, p.token)
}

func (p *printer) batch(b *rowv1.Batch) error {
	rest := b.Payload
	for i, op := range b.GroupOp {
		t := p.tables[b.GroupSchema[i]]
		if t == nil {
			return errs.E(errs.Corrupt, "rows of schema %d, which was not sent", b.GroupSchema[i])
		}
		for range b.GroupRows[i] {
			images := row.Op(op).Images()
			for k := range images {
				partial := b.GroupFlags[i]&row.PartialBefore != 0
				if row.Op(op) != row.Delete && k == images-1 {
					partial = b.GroupFlags[i]&row.PartialAfter != 0
				}
				var err error
				if rest, err = t.layout.Split(t.cells[k], rest, partial); err != nil {
					return errs.E(errs.Corrupt, "%s.%s: %w", t.Database, t.Table.Table, err)
				}
			}
			p.row(op, t, images)
		}
	}
	if b.Checkpoint.GetTransactionEnd() && !b.Snapshot {
		p.token = base64.StdEncoding.EncodeToString(b.Checkpoint.Token)
		fmt.Fprintf(p.out, "{\"token\":%q}\n", p.token)
	}
	return nil
}

func (p *printer) row(op byte, t *table, images int) {
	p.buf = append(p.buf[:0], `{"op":"`...)
	p.buf = append(p.buf, op)
	p.buf = append(p.buf, `","table":`...)
	p.buf = row.AppendJSONString(p.buf, t.Database+"."+t.Table.Table)
	names := [2]string{"row", ""}
	if images == 2 {
		names = [2]string{"before", "after"}
	}
	for k := range images {
		p.buf = append(p.buf, `,"`+names[k]+`":{`...)
		first := true
		for i, c := range t.Columns {
			if !t.cells[k][i].Present {
				continue
			}
			if !first {
				p.buf = append(p.buf, ',')
			}
			first = false
			p.buf = append(row.AppendJSONString(p.buf, c.Name), ':')
			p.buf = row.AppendJSON(p.buf, c, &t.cells[k][i])
		}
		p.buf = append(p.buf, '}')
	}
	p.buf = append(p.buf, "}\n"...)
	p.out.Write(p.buf)
}
