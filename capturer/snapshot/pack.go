package snapshot

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"unsafe"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/row"
)

// append packs the text of a value that is not NULL.
func (c *cell) append(dst, text []byte) ([]byte, error) {
	switch c.kind {
	case rowv1.Kind_KIND_STRING, rowv1.Kind_KIND_JSON, rowv1.Kind_KIND_GEOMETRY, rowv1.Kind_KIND_VECTOR:
		return row.AppendBytes(dst, text), nil
	case rowv1.Kind_KIND_BYTES:
		// No text at all is a BINARY(0), of which the shape of a MySQL table says 10, as Debezium does.
		if len(text) > 0 && len(text) < c.width {
			return c.pad(dst, text), nil
		}
		return row.AppendBytes(dst, text), nil
	case rowv1.Kind_KIND_INT:
		v, ok := parseInt(text)
		return row.AppendInt(dst, v), check(ok)
	case rowv1.Kind_KIND_UINT, rowv1.Kind_KIND_YEAR:
		v, ok := parseUint(text)
		return row.AppendUint(dst, v), check(ok)
	case rowv1.Kind_KIND_ENUM, rowv1.Kind_KIND_SET:
		v, ok := c.memberValue(text)
		return row.AppendUint(dst, v), check(ok)
	case rowv1.Kind_KIND_BIT:
		v, ok := parseBit(text)
		return row.AppendUint(dst, v), check(ok)
	case rowv1.Kind_KIND_FLOAT32:
		// The text is that of a double which holds the float exactly (selectExpr), so narrowing it loses nothing.
		f, err := strconv.ParseFloat(str(text), 64)
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(f))), err
	case rowv1.Kind_KIND_FLOAT64:
		f, err := strconv.ParseFloat(str(text), 64)
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f)), err
	case rowv1.Kind_KIND_DECIMAL:
		return appendDecimal(dst, text, c.scale)
	case rowv1.Kind_KIND_DATE:
		v, rest, ok := parseDate(text)
		return row.AppendUint(dst, v), check(ok && len(rest) == 0)
	case rowv1.Kind_KIND_DATETIME:
		v, ok := parseDatetime(text)
		return row.AppendDatetime(dst, v), check(ok)
	case rowv1.Kind_KIND_TIMESTAMP:
		v, err := parseTimestamp(text)
		return row.AppendInt(dst, v), err
	case rowv1.Kind_KIND_TIME:
		v, ok := parseTime(text)
		return row.AppendInt(dst, v), check(ok)
	case rowv1.Kind_KIND_UUID:
		return appendUUID(dst, text)
	}
	return nil, errText
}

func check(ok bool) error {
	if !ok {
		return errText
	}
	return nil
}

// str views text as a string for the length of a call that keeps nothing of it.
func str(text []byte) string { return unsafe.String(unsafe.SliceData(text), len(text)) }

// pad appends text filled up with zero bytes to the column's width.
func (c *cell) pad(dst, text []byte) []byte {
	dst = append(binary.AppendUvarint(dst, uint64(c.width)), text...)
	for range c.width - len(text) {
		dst = append(dst, 0)
	}
	return dst
}

func parseUint(b []byte) (uint64, bool) {
	// 19 digits fit for certain, so that the loop needs no check; only longer texts, and those alone, take the slow way.
	if len(b) == 0 || len(b) > 19 {
		v, err := strconv.ParseUint(str(b), 10, 64)
		return v, err == nil
	}
	var v uint64
	for _, c := range b {
		d := c - '0'
		if d > 9 {
			return 0, false
		}
		v = v*10 + uint64(d)
	}
	return v, true
}

func parseInt(b []byte) (int64, bool) {
	if len(b) == 0 {
		return 0, false
	}
	neg := b[0] == '-'
	if neg {
		b = b[1:]
	}
	v, ok := parseUint(b)
	if neg {
		return -int64(v), ok && v <= 1<<63
	}
	return int64(v), ok && v < 1<<63
}

// parseBit reads the bytes that BIT comes as: big endian, as many as its length needs.
func parseBit(b []byte) (uint64, bool) {
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v, len(b) <= 8
}

// memberValue reads an ENUM's index or a SET's bits: a number, or members by name where the user's statement selects them.
func (c *cell) memberValue(b []byte) (uint64, bool) {
	if c.members == nil {
		return parseUint(b)
	}
	if len(b) == 0 {
		return 0, true
	}
	if c.kind == rowv1.Kind_KIND_ENUM {
		v, ok := c.members[string(b)]
		return v, ok
	}
	var v uint64
	for name := range strings.SplitSeq(string(b), ",") {
		bit, ok := c.members[name]
		if !ok {
			return 0, false
		}
		v |= bit
	}
	return v, true
}

// digits reads n digits.
func digits(b []byte, n int) (uint64, bool) {
	if len(b) < n {
		return 0, false
	}
	var v uint64
	for _, c := range b[:n] {
		d := c - '0'
		if d > 9 {
			return 0, false
		}
		v = v*10 + uint64(d)
	}
	return v, true
}

// parseDate reads YYYY-MM-DD into the packed form.
func parseDate(b []byte) (packed uint64, rest []byte, ok bool) {
	if len(b) < 10 || b[4] != '-' || b[7] != '-' {
		return 0, nil, false
	}
	y, ok1 := digits(b, 4)
	m, ok2 := digits(b[5:], 2)
	d, ok3 := digits(b[8:], 2)
	return row.PackDate(y, m, d), b[10:], ok1 && ok2 && ok3 && m <= 12 && d <= 31
}

// parseClock reads MM:SS[.ffffff].
func parseClock(b []byte) (minute, second, micro uint64, ok bool) {
	if len(b) < 5 || b[2] != ':' {
		return 0, 0, 0, false
	}
	minute, ok1 := digits(b, 2)
	second, ok2 := digits(b[3:], 2)
	micro, ok3 := parseFraction(b[5:])
	return minute, second, micro, ok1 && ok2 && ok3 && minute < 60 && second < 60
}

// parseFraction reads "" or ".f" to ".ffffff" as microseconds.
func parseFraction(b []byte) (uint64, bool) {
	if len(b) == 0 {
		return 0, true
	}
	if b[0] != '.' || len(b) < 2 || len(b) > 7 {
		return 0, false
	}
	v, ok := digits(b[1:], len(b)-1)
	for range 7 - len(b) {
		v *= 10
	}
	return v, ok
}

// parseDatetime reads YYYY-MM-DD HH:MM:SS[.ffffff] into the packed form.
func parseDatetime(b []byte) (uint64, bool) {
	date, rest, ok := parseDate(b)
	if !ok || len(rest) < 9 || rest[0] != ' ' || rest[3] != ':' {
		return 0, false
	}
	hour, ok1 := digits(rest[1:], 2)
	minute, second, micro, ok2 := parseClock(rest[4:])
	return row.PackDatetime(date, hour, minute, second, micro), ok1 && ok2 && hour < 24
}

// parseTimestamp reads the same text as an instant, in microseconds. The zero timestamp is 0.
func parseTimestamp(b []byte) (int64, error) {
	packed, ok := parseDatetime(b)
	if !ok {
		return 0, errText
	}
	date, hour, minute, second, micro := row.UnpackDatetime(packed)
	y, m, d := row.UnpackDate(date)
	if m == 0 || d == 0 {
		return 0, check(packed == 0)
	}
	seconds := daysSinceEpoch(y, m, d)*86400 + int64(hour*3600+minute*60+second)
	return seconds*1e6 + int64(micro), nil
}

// daysSinceEpoch counts the days from 1970-01-01 in the Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date algorithms"). Years
// begin in March here, so that the leap day is their last.
func daysSinceEpoch(y, m, d int) int64 {
	if m <= 2 {
		y, m = y-1, m+12
	}
	era := y / 400
	yoe := y % 400
	doy := (153*(m-3)+2)/5 + d - 1
	return int64(era*146097 + yoe*365 + yoe/4 - yoe/100 + doy - 719468)
}

// parseTime reads [-]H+:MM:SS[.ffffff] as microseconds.
func parseTime(b []byte) (int64, bool) {
	neg := len(b) > 0 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	n := 0
	for n < len(b) && b[n] != ':' {
		n++
	}
	if n == 0 || n > 3 || n == len(b) {
		return 0, false
	}
	hour, ok1 := digits(b, n)
	minute, second, micro, ok2 := parseClock(b[n+1:])
	v := int64((hour*3600+minute*60+second)*1e6 + micro)
	if neg {
		v = -v
	}
	return v, ok1 && ok2
}

// appendUUID reads 8-4-4-4-12 hexadecimal digits.
func appendUUID(dst, b []byte) ([]byte, error) {
	if len(b) != 36 || b[8] != '-' || b[13] != '-' || b[18] != '-' || b[23] != '-' {
		return nil, errText
	}
	var compact [32]byte
	n := copy(compact[:], b[:8])
	n += copy(compact[n:], b[9:13])
	n += copy(compact[n:], b[14:18])
	n += copy(compact[n:], b[19:23])
	copy(compact[n:], b[24:])
	return hex.AppendDecode(dst, compact[:])
}
