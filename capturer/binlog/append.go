package binlog

import (
	"encoding/binary"
	"math"

	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
)

// Append decodes the event's rows from firstRow on, and appends their packed images to dst: one a row, or before and after for updates. It stops after the
// row with which the images reach maxBytes (at least one row; 0: no bound), so that a huge event can be split; done says that no row is left. rows is
// how many were appended. Calls that go on where the last one stopped cost nothing extra.
//
// Errors name table, column and position; dst is then as before the call. A plan of another table version is refused.
func (p *Plan) Append(dst []byte, ev *Event, firstRow, maxBytes int) (out []byte, rows int, done bool, err error) {
	if ev.Table != p.table {
		return dst, 0, false, errs.E(errs.Internal, "rows of %s.%s decoded with the plan of another version", ev.Table.Database, ev.Table.Name)
	}
	b := &ev.rows
	if firstRow < b.row {
		b.row, b.offset = 0, 0
	}
	start := len(dst)
	out = dst
	for b.offset < len(b.data) {
		if b.row >= firstRow && maxBytes > 0 && rows > 0 && len(out)-start >= maxBytes {
			return out, rows, false, nil
		}
		at := len(out)
		next, col, err := p.appendRow(out, ev)
		if err != nil {
			return dst[:start], 0, false, p.fail(ev, col, err)
		}
		if out = next; b.row < firstRow {
			out = out[:at]
		} else {
			rows++
		}
		b.row++
	}
	return out, rows, true, nil
}

func (p *Plan) fail(ev *Event, col int, err error) error {
	name := "?"
	if col < len(p.cols) {
		name = p.cols[col].name
	}
	return errs.E(errs.Corrupt, "decode %s.%s at %s:%d: row %d, column %q: %w", p.table.Database, p.table.Name, ev.File, ev.Pos, ev.rows.row, name, err)
}

// appendRow decodes the row at the event's offset, and moves on.
func (p *Plan) appendRow(dst []byte, ev *Event) (out []byte, col int, err error) {
	b := &ev.rows
	rest := b.data[b.offset:]
	if ev.Op != row.Create {
		if dst, rest, col, err = p.image(dst, rest, b.before, nil, b.partial); err != nil {
			return dst, col, err
		}
	}
	if ev.Op != row.Delete {
		var diffs []byte
		if b.partial {
			if diffs, rest, err = p.partialBits(rest); err != nil {
				return dst, len(p.cols), err
			}
		}
		if dst, rest, col, err = p.image(dst, rest, b.after, diffs, false); err != nil {
			return dst, col, err
		}
	}
	if len(rest) == len(b.data)-b.offset {
		return dst, len(p.cols), errShort // an image of no bytes would never end
	}
	b.offset = len(b.data) - len(rest)
	return dst, 0, nil
}

// image decodes one image: a null bitmap over the columns present, then the cells that are not NULL. keep remembers where the JSON cells lie; diffs has a
// bit for each JSON column whose cell is a diff of the before image. Returns what follows the image.
func (p *Plan) image(dst, b, present, diffs []byte, keep bool) (out, rest []byte, col int, err error) {
	n := len(p.cols)
	full := allPresent(present, n)
	if !full {
		at := len(dst)
		dst = append(dst, present...)
		if n&7 != 0 {
			dst[at+p.bitmap-1] &= 1<<(n&7) - 1
		}
	}
	have := n
	if !full {
		have = countBits(present, n)
	}
	nb := (have + 7) / 8
	if nb > len(b) {
		return dst, b, 0, errShort
	}
	nulls := b[:nb]
	b = b[nb:]
	at := len(dst) // of the packed null bitmap
	if full {
		dst = append(dst, nulls...)
		if n&7 != 0 {
			dst[at+nb-1] &= 1<<(n&7) - 1
		}
	} else {
		dst = appendZeros(dst, p.bitmap)
	}
	k := 0    // columns present so far
	json := 0 // JSON columns so far
	for i := range p.cols {
		c := &p.cols[i]
		diff := false
		if c.isJSON {
			diff = diffs != nil && diffs[json>>3]&(1<<(json&7)) != 0
			json++
			if keep {
				p.scratch.before[i] = nil
			}
		}
		if !full && present[i>>3]&(1<<(i&7)) == 0 {
			continue
		}
		null := nulls[k>>3]&(1<<(k&7)) != 0
		k++
		if null {
			dst[at+i>>3] |= 1 << (i & 7)
			continue
		}
		if c.op == opJSON {
			dst, b, err = p.jsonCell(dst, b, i, at, diff, keep)
		} else {
			dst, b, err = c.cell(dst, b, &p.scratch)
		}
		if err != nil {
			return dst, b, i, err
		}
	}
	return dst, b, 0, nil
}

func countBits(bitmap []byte, n int) int {
	have := 0
	for i := range n {
		have += int(bitmap[i>>3] >> (i & 7) & 1)
	}
	return have
}

func appendZeros(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, 0)
	}
	return dst
}

// cell decodes one value and returns what follows it. Of the stored forms, numbers are little endian unless said otherwise.
func (c *column) cell(dst, b []byte, s *scratch) ([]byte, []byte, error) {
	switch c.op {
	case opCopy8:
		if len(b) == 0 || int(b[0]) >= len(b) {
			return dst, b, errShort
		}
		n := int(b[0])
		if n < 0x80 { // the prefix stays the same
			return append(dst, b[:1+n]...), b[1+n:], nil
		}
		return row.AppendBytes(dst, b[1:1+n]), b[1+n:], nil
	case opInt:
		n := int(c.size)
		if n > len(b) {
			return dst, b, errShort
		}
		return row.AppendInt(dst, signed(b[:n])), b[n:], nil
	case opUint, opUintLE:
		n := int(c.size)
		if n > len(b) {
			return dst, b, errShort
		}
		return row.AppendUint(dst, uintLE(b[:n])), b[n:], nil
	case opDecimal:
		return appendDecimal(dst, b, int(c.whole), int(c.digits))
	case opCopy16, opCopyN:
		v, rest, ok := prefixed(b, int(c.size))
		if !ok {
			return dst, b, errShort
		}
		return row.AppendBytes(dst, v), rest, nil
	case opText:
		v, rest, ok := prefixed(b, int(c.size))
		if !ok {
			return dst, b, errShort
		}
		return c.appendText(dst, v), rest, nil
	case opFloat32, opFloat64, opFloat32To64, opFloat64To32:
		return c.float(dst, b)
	case opDate, opDatetime2, opTimestamp2, opTime2, opOldDatetime, opOldTimestamp, opOldTime, opYear:
		return c.temporal(dst, b)
	}
	return c.rare(dst, b, s)
}

// rare decodes the types that are seldom seen in a hot table.
func (c *column) rare(dst, b []byte, s *scratch) ([]byte, []byte, error) {
	if c.op == opBit {
		n := int(c.size)
		if n > len(b) {
			return dst, b, errShort
		}
		return row.AppendUint(dst, uintBE(b[:n])), b[n:], nil
	}
	v, rest, ok := prefixed(b, int(c.size))
	if !ok {
		return dst, b, errShort
	}
	switch c.op {
	case opPad:
		if len(v) > int(c.width) {
			return dst, b, errs.E(errs.Corrupt, "%d bytes in BINARY(%d)", len(v), c.width)
		}
		dst = binary.AppendUvarint(dst, uint64(c.width))
		dst = append(dst, v...)
		return appendZeros(dst, int(c.width)-len(v)), rest, nil
	case opCompressed:
		v, err := s.inflate.column(v)
		if err != nil {
			return dst, b, err
		}
		if c.text != nil {
			return c.appendText(dst, v), rest, nil
		}
		return row.AppendBytes(dst, v), rest, nil
	case opUUID, opInet4, opInet6:
		var full [16]byte
		if len(v) > 16 {
			return dst, b, errs.E(errs.Corrupt, "%d bytes of 16", len(v))
		}
		copy(full[:], v) // zeros at the end are not stored
		return c.address(dst, full), rest, nil
	}
	return dst, b, errs.E(errs.Internal, "opcode %d", c.op)
}

// appendText transcodes a value; the length prefix is not known before, so the text is made behind the longest prefix it can have and moved down.
func (c *column) appendText(dst, v []byte) []byte {
	at := len(dst)
	dst = c.text(dst, v)
	n := len(dst) - at
	var prefix [binary.MaxVarintLen64]byte
	m := binary.PutUvarint(prefix[:], uint64(n))
	dst = append(dst, prefix[:m]...)
	copy(dst[at+m:], dst[at:at+n])
	copy(dst[at:], prefix[:m])
	return dst
}

// address appends MariaDB's UUID, INET4 and INET6, which are stored as binary strings.
func (c *column) address(dst []byte, v [16]byte) []byte {
	switch c.op {
	case opInet4:
		var text [15]byte // 255.255.255.255
		return row.AppendBytes(dst, appendInet4(text[:0], v[:4]))
	case opInet6:
		var text [46]byte // INET6_ADDRSTRLEN
		return row.AppendBytes(dst, appendInet6(text[:0], v))
	}
	// Records hold the time-based versions with their groups in reverse order, so that they sort by time (sql_type_uuid.h: rec_need_swap).
	if v[6]&0x80 != 0 && v[8] >= 1 && v[8] <= 0x80 {
		dst = append(dst, v[12:16]...)
		dst = append(dst, v[10:12]...)
		dst = append(dst, v[8:10]...)
		dst = append(dst, v[6:8]...)
		return append(dst, v[0:6]...)
	}
	return append(dst, v[:]...)
}

func (c *column) float(dst, b []byte) ([]byte, []byte, error) {
	n := 4
	if c.op == opFloat64 || c.op == opFloat64To32 {
		n = 8
	}
	if n > len(b) {
		return dst, b, errShort
	}
	switch c.op {
	case opFloat32To64:
		f := math.Float32frombits(binary.LittleEndian.Uint32(b))
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(float64(f))), b[n:], nil
	case opFloat64To32:
		f := math.Float64frombits(binary.LittleEndian.Uint64(b))
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(f))), b[n:], nil
	}
	return append(dst, b[:n]...), b[n:], nil
}

// prefixed splits off a value with a length prefix of n bytes.
func prefixed(b []byte, n int) (v, rest []byte, ok bool) {
	if n > len(b) {
		return nil, b, false
	}
	size := uintLE(b[:n])
	if size > uint64(len(b)-n) {
		return nil, b, false
	}
	end := n + int(size)
	return b[n:end:end], b[end:], true
}

// signed reads a two's complement number of len(b) bytes, little endian.
func signed(b []byte) int64 {
	shift := 64 - 8*uint(len(b))
	return int64(uintLE(b)<<shift) >> shift
}
