package convert

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
)

// Batch converts all rows of a batch and appends their records to out. The batch is only read, and not kept.
//
// Errors: a batch that contradicts itself or uses an unknown schema id is errs.Corrupt. A row that cannot be converted is a *RowError (errs.Invalid),
// unless the encoder tolerates such rows; out then holds the records of the rows before it and nothing of the row itself.
func (e *Encoder) Batch(b *rowv1.Batch, out *Output) error {
	return e.batch(b, out, pieces{limit: math.MaxInt})
}

// Pieces is Batch in pieces: between two rows, when out holds limit bytes or more, and at the end if anything is left, it calls take and resets out. An
// error of take is returned as it is. The memory that out needs follows from limit, not from how much larger than a batch its records are: a batch of
// narrow rows becomes forty times its size.
func (e *Encoder) Pieces(b *rowv1.Batch, out *Output, limit int, take func() error) error {
	if err := e.batch(b, out, pieces{limit, take}); err != nil {
		return err
	}
	if len(out.Records) == 0 && len(out.Failed) == 0 && out.Warned == 0 {
		return nil
	}
	return take()
}

// pieces says where a batch is cut and who takes the piece.
type pieces struct {
	limit int
	take  func() error
}

func (e *Encoder) batch(b *rowv1.Batch, out *Output, cut pieces) error {
	n := len(b.GroupSchema)
	if len(b.GroupOp) != n || len(b.GroupRows) != n || len(b.GroupEnd) != n {
		return errs.E(errs.Corrupt, "batch %d at %s: %d schemas, %d operations, %d row counts, %d ends", b.Seq, b.File, n, len(b.GroupOp),
			len(b.GroupRows), len(b.GroupEnd))
	}
	now := e.opts.Now()
	start, begun := uint64(0), 0
	metadata := e.txn.on && !b.Snapshot && rowv1.Marker(at(b.GroupMarker, 0)) != rowv1.Marker_MARKER_INCREMENTAL
	e.sortSources(b)
	for i := range n {
		end := uint64(b.GroupEnd[i])
		if end < start || end > uint64(len(b.Payload)) {
			return errs.E(errs.Corrupt, "batch %d at %s: group %d ends at %d of %d bytes", b.Seq, b.File, i, end, len(b.Payload))
		}
		if metadata {
			t := int(at(b.GroupTxn, i))
			if t >= len(b.TxnFlags) {
				return errs.E(errs.Corrupt, "batch %d at %s: group %d is of transaction %d of %d", b.Seq, b.File, i, t, len(b.TxnFlags))
			}
			begun = e.reach(b, begun, t, i, out)
		}
		op := row.Op(b.GroupOp[i])
		if len(e.left) > 0 && e.left[b.GroupSchema[i]] || op != row.Read && (strings.IndexByte(e.cfg.SkippedOperations, byte(op)) >= 0 || e.isForeign(b, i)) {
			start = end
			continue
		}
		p := e.plans[b.GroupSchema[i]]
		if p == nil {
			return errs.E(errs.Corrupt, "batch %d at %s: group %d has schema %d, which was not sent", b.Seq, b.File, i, b.GroupSchema[i])
		}
		g := &e.group
		g.index, g.plan, g.op, g.flags, g.trim = i, p, op, at(b.GroupFlags, i), op == row.Read
		if err := e.groupRows(b, b.Payload[start:end], now, out, cut); err != nil {
			return err
		}
		start = end
	}
	if metadata {
		e.reach(b, begun, len(b.TxnFlags), n, out)
	}
	return nil
}

// sortSources finds out which sources of a batch's GTIDs are not wanted.
func (e *Encoder) sortSources(b *rowv1.Batch) {
	e.foreign = e.foreign[:0]
	if len(e.gtids.include) == 0 && len(e.gtids.exclude) == 0 {
		return
	}
	for _, sid := range b.Sids {
		source, _, _ := strings.Cut(sid, ":") // a tag is none of its name
		e.foreign = append(e.foreign, !e.gtids.selects(source))
	}
}

// isForeign says whether a group is of a transaction of a source that is not wanted. Transactions without GTID are nobody's.
func (e *Encoder) isForeign(b *rowv1.Batch, group int) bool {
	if len(e.foreign) == 0 {
		return false
	}
	sid := int(at(b.TxnSid, int(at(b.GroupTxn, group))))
	return sid > 0 && sid <= len(e.foreign) && e.foreign[sid-1]
}

// groupRows converts the rows of e.group, whose images are payload.
func (e *Encoder) groupRows(b *rowv1.Batch, payload []byte, now int64, out *Output, cut pieces) error {
	g := &e.group
	marker := rowv1.Marker(at(b.GroupMarker, g.index))
	rows := int(b.GroupRows[g.index])
	g.marker = markerOf(marker, 0, rows)
	g.render(e, b, now)
	if g.op == row.Truncate {
		e.truncate(out)
		return nil
	}
	if g.op != row.Read && rows > 0 {
		e.lastRow = g.first + uint32(rows) - 1
	}
	for i := range rows {
		if m := markerOf(marker, i, rows); m != g.marker {
			g.marker = m
			g.render(e, b, now)
		}
		var err error
		if payload, err = e.split(payload); err != nil {
			return errs.E(errs.Corrupt, "batch %d at %s:%d: row %d of %s.%s: %w", b.Seq, b.File, g.pos, i, g.plan.table.Database,
				g.plan.table.Table, err)
		}
		arena, records, counted := len(out.Arena), len(out.Records), e.txn.total
		e.index = i
		if e.opts.Complete != nil && (g.op == row.Create || g.op == row.Update) {
			if err := e.completed(); err != nil {
				return err
			}
		}
		if err := e.row(out); err != nil {
			if g.counted {
				e.txn.uncount(g.plan.name, e.txn.total-counted)
			}
			out.Arena, out.Records = out.Arena[:arena], out.Records[:records]
			failure := e.rowError(err)
			if !e.opts.Tolerate {
				return failure
			}
			out.Failed = append(out.Failed, failure)
		}
		if len(out.Arena) >= cut.limit {
			if err := cut.take(); err != nil {
				return err
			}
			out.Reset()
		}
	}
	if len(payload) != 0 {
		return errs.E(errs.Corrupt, "batch %d at %s:%d: %d bytes behind the %d rows of group %d", b.Seq, b.File, g.pos, len(payload), rows, g.index)
	}
	return nil
}

// split splits the images of the next row into e.cells, before in 0 and after in 1, and returns what follows.
func (e *Encoder) split(payload []byte) ([]byte, error) {
	g := &e.group
	var err error
	if g.op == row.Update || g.op == row.Delete {
		if payload, err = g.plan.layout.Split(e.cells[0], payload, g.flags&row.PartialBefore != 0); err != nil {
			return nil, err
		}
	}
	if g.op != row.Delete {
		if payload, err = g.plan.layout.Split(e.cells[1], payload, g.flags&row.PartialAfter != 0); err != nil {
			return nil, err
		}
	}
	return payload, nil
}

// row converts the row in e.cells.
func (e *Encoder) row(out *Output) error {
	g, i := &e.group, uint32(e.index)
	r := Record{Topic: g.plan.topic, Key: null, Partition: -1, Context: e.cfg.ExtendedHeaders, ExtraValue: null, Group: int32(g.index), Row: i,
		Shape: e.shape()}
	number := g.first + i
	if g.op == row.Read {
		number = 0 // rows of snapshots are not in the log
	}
	switch g.op {
	case row.Create, row.Read:
		return e.insert(r, number, out)
	case row.Delete:
		return e.delete(r, number, out)
	case row.Update:
		if g.flags&row.PartialAfter != 0 {
			e.complete()
		}
		if e.cfg.SkipUnchanged && e.unchanged() {
			return nil
		}
		if e.keyChanged() {
			return e.rekey(r, number, out)
		}
		return e.update(r, number, out)
	}
	return fmt.Errorf("unknown operation %q", byte(g.op))
}

// shape returns the shape of the group's records, nil if none is wanted.
func (e *Encoder) shape() *Shape {
	if !e.opts.Shapes {
		return nil
	}
	return &e.group.plan.shape
}

// complete gives the after image what it leaves out: those columns did not change, so the before image has their values if any has.
func (e *Encoder) complete() {
	for i := range e.group.plan.table.Columns {
		if !e.cells[1][i].Present {
			e.cells[1][i] = e.cells[0][i]
		}
	}
}

// completed lets the options complete the after image. What an update leaves out is taken from the before image first.
func (e *Encoder) completed() error {
	g := &e.group
	if g.op == row.Update && g.flags&row.PartialAfter != 0 {
		e.complete()
	}
	r := Row{Table: g.plan.table, After: e.cells[1][:len(g.plan.table.Columns)]}
	for i := range g.plan.key {
		r.Key = append(r.Key, g.plan.key[i].index)
	}
	for i := range g.plan.value {
		r.Value = append(r.Value, g.plan.value[i].index)
	}
	return e.opts.Complete(r)
}

func sameCell(a, b *row.Cell) bool {
	return a.Present == b.Present && a.Null == b.Null && bytes.Equal(a.Data, b.Data)
}

func (e *Encoder) unchanged() bool {
	for i := range e.group.plan.value {
		n := e.group.plan.value[i].index
		if !sameCell(&e.cells[0][n], &e.cells[1][n]) {
			return false
		}
	}
	return true
}

// keyChanged reports whether the message key differs between the images.
func (e *Encoder) keyChanged() bool {
	for i := range e.group.plan.key {
		n := e.group.plan.key[i].index
		if e.cells[0][n].Present && !sameCell(&e.cells[0][n], &e.cells[1][n]) {
			return true
		}
	}
	return false
}

func (e *Encoder) insert(r Record, number uint32, out *Output) error {
	if err := e.appendKey(&r, e.cells[1], out); err != nil {
		return err
	}
	start := len(out.Arena)
	out.Arena = append(append(out.Arena, e.group.plan.valueHead...), `{"before":null,"after":`...)
	if err := e.appendImage(e.cells[1], e.group.flags&row.PartialAfter != 0, out); err != nil {
		return err
	}
	e.finish(&r, start, number, e.group.op, out)
	return nil
}

func (e *Encoder) delete(r Record, number uint32, out *Output) error {
	if err := e.appendKey(&r, e.cells[0], out); err != nil {
		return err
	}
	if err := e.appendDeleted(&r, number, out); err != nil {
		return err
	}
	if e.cfg.TombstonesOnDelete {
		e.tombstone(r, out)
	}
	return nil
}

// appendDeleted appends the envelope of a delete.
func (e *Encoder) appendDeleted(r *Record, number uint32, out *Output) error {
	start := len(out.Arena)
	out.Arena = append(append(out.Arena, e.group.plan.valueHead...), `{"before":`...)
	if err := e.appendImage(e.cells[0], false, out); err != nil {
		return err
	}
	out.Arena = append(out.Arena, `,"after":null`...)
	e.finish(r, start, number, row.Delete, out)
	return nil
}

func (e *Encoder) tombstone(r Record, out *Output) {
	r.Value = null
	out.Records = append(out.Records, r)
}

func (e *Encoder) update(r Record, number uint32, out *Output) error {
	if err := e.appendKey(&r, e.cells[1], out); err != nil {
		return err
	}
	start := len(out.Arena)
	out.Arena = append(append(out.Arena, e.group.plan.valueHead...), `{"before":`...)
	if e.group.flags&row.PartialBefore != 0 && e.incomplete() {
		out.Arena = append(out.Arena, `null,"after":`...)
		if err := e.appendImage(e.cells[1], false, out); err != nil {
			return err
		}
	} else if err := e.appendImages(out); err != nil {
		return err
	}
	e.finish(&r, start, number, row.Update, out)
	return nil
}

// incomplete reports whether the before image lacks a column for which no placeholder can stand.
func (e *Encoder) incomplete() bool {
	for i := range e.group.plan.value {
		f := &e.group.plan.value[i]
		if !e.cells[0][f.index].Present && !f.standIn {
			return true
		}
	}
	return false
}

// rekey writes an update of the message key: a delete and a tombstone under the old key, a create under the new one. Headers name the other key.
func (e *Encoder) rekey(r Record, number uint32, out *Output) error {
	g := &e.group
	oldKey, newKey := r, r
	for _, h := range []struct {
		record *Record
		extra  ExtraHeader
		cells  []row.Cell
	}{{&oldKey, NewKey, e.cells[1]}, {&newKey, OldKey, e.cells[0]}} {
		start := len(out.Arena)
		var err error
		if out.Arena, err = appendHeaderStruct(out.Arena, g.plan.header, g.plan.headerTail, h.cells, g.trim); err != nil {
			return err
		}
		h.record.Extra, h.record.ExtraValue = h.extra, out.since(start)
	}
	if err := e.delete(oldKey, number, out); err != nil {
		return err
	}
	if err := e.appendKey(&newKey, e.cells[1], out); err != nil {
		return err
	}
	start := len(out.Arena)
	out.Arena = append(append(out.Arena, g.plan.valueHead...), `{"before":null,"after":`...)
	if err := e.appendImage(e.cells[1], false, out); err != nil {
		return err
	}
	e.finish(&newKey, start, number, row.Create, out)
	return nil
}

// truncate writes the truncate of e.group's table: no key, no images.
func (e *Encoder) truncate(out *Output) {
	g := &e.group
	start := len(out.Arena)
	out.Arena = append(append(out.Arena, g.plan.valueHead...), `{"before":null,"after":null`...)
	r := Record{Topic: g.plan.topic, Key: null, Partition: -1, Context: e.cfg.ExtendedHeaders, ExtraValue: null, Group: int32(g.index), Shape: e.shape()}
	e.finish(&r, start, e.lastRow, row.Truncate, out)
}

// finish appends what follows the images and adds the record whose value began at start.
func (e *Encoder) finish(r *Record, start int, number uint32, op row.Op, out *Output) {
	g := &e.group
	dst := append(out.Arena, g.head...)
	dst = strconv.AppendUint(dst, uint64(number), 10)
	dst = append(dst, g.middle...)
	if g.counted {
		dst = append(e.txn.appendBlock(dst, g.plan.name), `,"op":"`...)
	}
	dst = append(dst, byte(op))
	out.Arena = append(dst, g.tail...)
	r.Value = out.since(start)
	out.Records = append(out.Records, *r)
}

// appendKey appends the key of an image and hashes it. Tables without key have none.
func (e *Encoder) appendKey(r *Record, cells []row.Cell, out *Output) error {
	p := e.group.plan
	if !p.keyed {
		return nil
	}
	start := len(out.Arena)
	dst := append(out.Arena, p.keyHead...)
	for i := range p.key {
		f := &p.key[i]
		dst = append(dst, f.open...)
		var err error
		switch cell := &cells[f.index]; {
		case !cell.Present:
			return columnError{f.source.Name, errors.New("the log does not hold this column of the key; set binlog_row_image=FULL")}
		case cell.Null:
			dst, err = appendNull(dst, f)
		default:
			dst, err = e.appendCell(dst, f, cell, out)
		}
		if err != nil {
			return err
		}
	}
	out.Arena = append(dst, p.keyTail...)
	r.Key = out.since(start)
	r.Hash = Murmur2(out.Arena[start:])
	return nil
}

// rowError gives a conversion error of the row in e.cells its place.
func (e *Encoder) rowError(err error) *RowError {
	g, i := &e.group, e.index
	out := &RowError{
		Database: g.plan.table.Database, Table: g.plan.table.Table, File: g.file, Pos: g.pos, Row: g.first + uint32(i), GTID: string(g.gtid),
		Group: g.index, Index: i, Err: err,
	}
	var c columnError
	if errors.As(err, &c) {
		out.Column, out.Err = c.column, c.err
	}
	return out
}
