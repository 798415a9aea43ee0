package deadletter

import (
	"google.golang.org/protobuf/proto"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
)

// Cut returns one row of a batch as a failed row: the i-th of a group, whose table is t. It shares nothing with the batch.
func Cut(b *rowv1.Batch, t *rowv1.Table, group, i int) (*rowv1.FailedRow, error) {
	if group < 0 || group >= len(b.GroupSchema) || group >= len(b.GroupEnd) || group >= len(b.GroupOp) {
		return nil, errs.E(errs.Internal, "batch %d has no group %d", b.Seq, group)
	}
	op := row.Op(b.GroupOp[group])
	txn := int(at(b.GroupTxn, group))
	out := &rowv1.Batch{
		File: b.File, Snapshot: b.Snapshot, GroupSchema: []uint32{t.SchemaId}, GroupOp: []byte{byte(op)}, GroupFlags: []byte{at(b.GroupFlags, group)},
		GroupRows: []uint32{0}, GroupEnd: []uint32{0}, GroupPos: []uint64{at(b.GroupPos, group)}, GroupEvent: []uint32{at(b.GroupEvent, group)},
		GroupFirstRow: []uint32{at(b.GroupFirstRow, group) + uint32(i)}, GroupTime: []uint32{at(b.GroupTime, group)}, GroupTxn: []uint32{0},
		TxnGno: []uint64{at(b.TxnGno, txn)}, TxnCommitUs: []uint64{at(b.TxnCommitUs, txn)}, TxnPos: []uint64{at(b.TxnPos, txn)},
		TxnThread: []uint32{at(b.TxnThread, txn)}, TxnServerId: []uint32{at(b.TxnServerId, txn)}, TxnSid: []uint32{0}, TxnFlags: []byte{0},
	}
	if sid := int(at(b.TxnSid, txn)); sid > 0 && sid <= len(b.Sids) {
		out.Sids, out.TxnSid[0] = []string{b.Sids[sid-1]}, 1
	}
	if q := at(b.GroupQuery, group); q != "" {
		out.GroupQuery = []string{q}
	}
	if len(b.GroupMarker) > 0 {
		out.GroupMarker = []byte{byte(marker(rowv1.Marker(at(b.GroupMarker, group)), i, int(b.GroupRows[group])))}
	}
	if op != row.Truncate {
		images, err := images(b, t, group, i)
		if err != nil {
			return nil, err
		}
		out.GroupRows[0], out.GroupEnd[0], out.Payload = 1, uint32(len(images)), images
	}
	return &rowv1.FailedRow{Table: proto.CloneOf(t), Batch: out}, nil
}

// images returns a copy of the images of the i-th row of a group.
func images(b *rowv1.Batch, t *rowv1.Table, group, i int) ([]byte, error) {
	start := uint32(0)
	if group > 0 {
		start = b.GroupEnd[group-1]
	}
	rest := b.Payload[start:b.GroupEnd[group]]
	op, flags, layout, cells := row.Op(b.GroupOp[group]), at(b.GroupFlags, group), row.NewLayout(t.Columns), make([]row.Cell, len(t.Columns))
	for n := range i + 1 {
		before := rest
		for image := range op.Images() {
			partial := flags&row.PartialAfter != 0
			if op == row.Delete || op == row.Update && image == 0 {
				partial = flags&row.PartialBefore != 0
			}
			var err error
			if rest, err = layout.Split(cells, rest, partial); err != nil {
				return nil, errs.E(errs.Corrupt, "row %d of group %d of batch %d: %w", n, group, b.Seq, err)
			}
		}
		if n == i {
			return append([]byte(nil), before[:len(before)-len(rest)]...), nil
		}
	}
	return nil, nil
}

// marker is the marker of one row of a snapshot: the first of a group's belongs to its first row, the last to its last.
func marker(m rowv1.Marker, i, rows int) rowv1.Marker {
	switch m {
	case rowv1.Marker_MARKER_FIRST, rowv1.Marker_MARKER_FIRST_IN_DATA_COLLECTION:
		if i > 0 {
			return rowv1.Marker_MARKER_TRUE
		}
	case rowv1.Marker_MARKER_LAST, rowv1.Marker_MARKER_LAST_IN_DATA_COLLECTION:
		if i < rows-1 {
			return rowv1.Marker_MARKER_TRUE
		}
	}
	return m
}

// at returns an element of a per-group or per-transaction field; 0 where the sender left the field out.
func at[T any](s []T, i int) T {
	var zero T
	if i < 0 || i >= len(s) {
		return zero
	}
	return s[i]
}
