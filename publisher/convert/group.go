package convert

import (
	"strconv"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/row"
)

// group is what the rows of one group have in common, rendered once. An envelope is
//
//	{"before":…,"after":… head row middle op tail
//
// where head is the source block up to row, middle ends before the operation, and tail follows it.
type group struct {
	index  int
	plan   *plan
	op     row.Op
	flags  byte
	trim   bool
	marker rowv1.Marker
	// first is the row number of the group's first row in its log event.
	first uint32

	// counted: the events belong to a transaction whose metadata is wanted. Then middle ends before the member transaction instead.
	counted            bool
	head, middle, tail []byte
	gtid               []byte
	file               string
	pos                uint64
}

// at returns an element of a per-group or per-transaction field; 0 where the sender left the field out.
func at[T any](s []T, i int) T {
	var zero T
	if i < 0 || i >= len(s) {
		return zero
	}
	return s[i]
}

// markerText is source.snapshot of snapshot rows.
func markerText(m rowv1.Marker) string {
	switch m {
	case rowv1.Marker_MARKER_FIRST:
		return "first"
	case rowv1.Marker_MARKER_FIRST_IN_DATA_COLLECTION:
		return "first_in_data_collection"
	case rowv1.Marker_MARKER_LAST_IN_DATA_COLLECTION:
		return "last_in_data_collection"
	case rowv1.Marker_MARKER_LAST:
		return "last"
	case rowv1.Marker_MARKER_INCREMENTAL:
		return "incremental"
	}
	return "true"
}

// markerOf returns the marker of one row of a group: "first" belongs to the group's first row only, "last" to its last.
func markerOf(m rowv1.Marker, i, rows int) rowv1.Marker {
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

// render renders the group's parts. now is the time of conversion in nanoseconds.
func (g *group) render(e *Encoder, b *rowv1.Batch, now int64) {
	i := g.index
	txn := int(at(b.GroupTxn, i))
	g.file, g.pos = b.File, at(b.GroupPos, i)
	micros := int64(at(b.TxnCommitUs, txn))
	if micros == 0 {
		micros = int64(at(b.GroupTime, i)) * 1e6
	}
	g.first = at(b.GroupFirstRow, i)
	snapshot := b.Snapshot && g.marker != rowv1.Marker_MARKER_INCREMENTAL
	g.gtid = g.gtid[:0]
	thread, server := at(b.TxnThread, txn), at(b.TxnServerId, txn)
	if snapshot {
		g.first, thread, server = 0, 0, 0
		if w := e.opts.Blocking; w != nil {
			g.gtid, thread, server = append(g.gtid, w.GTID...), w.Thread, w.ServerID
		}
	} else if g.gtid = e.appendGTID(g.gtid, b, txn); len(g.gtid) > 0 && e.modes.mariadb {
		thread = 0
	}

	h := append(g.head[:0], ',')
	h = append(h, e.sourceHead...)
	h = strconv.AppendInt(h, micros/1000, 10)
	h = append(h, `,"snapshot":`...)
	h = e.appendSnapshotField(h, b.Snapshot, g.marker)
	h = append(h, g.plan.sourceDB...)
	h = appendSourceTimes(h, micros)
	h = append(h, g.plan.sourceTable...)
	h = strconv.AppendUint(h, uint64(server), 10)
	h = appendSourcePosition(h, g.gtid, b.File, g.pos)
	g.head = h

	query := ""
	if e.cfg.IncludeQuery && !b.Snapshot {
		query = at(b.GroupQuery, i)
	}
	m := append(g.middle[:0], `,"thread":`...)
	if thread == 0 {
		m = append(m, "null"...)
	} else {
		m = strconv.AppendUint(m, uint64(thread), 10)
	}
	m = append(m, `,"query":`...)
	if query == "" {
		m = append(m, "null"...)
	} else {
		m = appendString(m, query)
	}
	g.middle = append(m, `},"transaction":`...)
	if g.counted = e.txn.open && !b.Snapshot && g.op != row.Truncate; !g.counted {
		g.middle = append(g.middle, `null,"op":"`...)
	}

	t := append(g.tail[:0], `","ts_ms":`...)
	t = strconv.AppendInt(t, now/1e6, 10)
	t = append(t, `,"ts_us":`...)
	t = strconv.AppendInt(t, now/1e3, 10)
	t = append(t, `,"ts_ns":`...)
	t = strconv.AppendInt(t, now, 10)
	t = append(t, '}')
	g.tail = append(t, g.plan.valueTail...)
}

// appendGTID appends the GTID of a transaction of a batch; nothing if it has none.
func (e *Encoder) appendGTID(dst []byte, b *rowv1.Batch, txn int) []byte {
	sid := int(at(b.TxnSid, txn))
	if sid == 0 {
		return dst
	}
	dst = append(dst, at(b.Sids, sid-1)...)
	separator := byte(':')
	if e.modes.mariadb {
		separator = '-'
	}
	return strconv.AppendUint(append(dst, separator), at(b.TxnGno, txn), 10)
}

// appendSnapshotField appends source.snapshot. In rows of the log Debezium's struct holds null there, which prints as the field's default "false"
// unless the converter keeps nulls.
func (e *Encoder) appendSnapshotField(dst []byte, snapshot bool, m rowv1.Marker) []byte {
	switch {
	case snapshot || m == rowv1.Marker_MARKER_INCREMENTAL:
		dst = append(dst, '"')
		dst = append(dst, markerText(m)...)
		return append(dst, '"')
	case e.cfg.ValueConverter.NullDefault:
		return append(dst, `"false"`...)
	}
	return append(dst, "null"...)
}

// appendSourceTimes appends ts_us and ts_ns, of which the name of the first is already there.
func appendSourceTimes(dst []byte, micros int64) []byte {
	dst = strconv.AppendInt(dst, micros, 10)
	dst = append(dst, `,"ts_ns":`...)
	dst = strconv.AppendInt(dst, micros, 10)
	if micros != 0 {
		dst = append(dst, "000"...)
	}
	return dst
}

// appendSourcePosition appends gtid, file and pos, and the name of row.
func appendSourcePosition(dst, gtid []byte, file string, pos uint64) []byte {
	dst = append(dst, `,"gtid":`...)
	if len(gtid) == 0 {
		dst = append(dst, "null"...)
	} else {
		dst = appendString(dst, gtid)
	}
	dst = append(dst, `,"file":`...)
	dst = appendString(dst, file)
	dst = append(dst, `,"pos":`...)
	dst = strconv.AppendUint(dst, pos, 10)
	return append(dst, `,"row":`...)
}
