package convert

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/rowmesh/rowmesh/services/row"
)

// errNullDate: the cell holds a zero or partial date, which is written as NULL is.
var errNullDate = errors.New("zero date")

// trimmed stands for as many fraction digits as are needed: how snapshots and defaults spell instants. Rows of the log have all digits of the type.
const trimmed = -1

// appendValue appends a cell that is present and not NULL. trim says that it is of a snapshot, where instants lose
// trailing zeros and dates may have the year 0. On an error nothing useful was appended;
// errNullDate asks for what NULL prints.
func (c *column) appendValue(dst []byte, cell *row.Cell, trim bool) ([]byte, error) {
	switch c.op {
	case opInt:
		return strconv.AppendInt(dst, cell.Int(), 10), nil
	case opUint:
		return strconv.AppendUint(dst, cell.Uint(), 10), nil
	case opUintWrapped:
		return strconv.AppendInt(dst, int64(cell.Uint()), 10), nil
	case opUintDecimal:
		var buf [9]byte
		return appendBase64(dst, base64.StdEncoding, appendUnsigned(buf[:0], cell.Uint())), nil
	case opString:
		return appendString(dst, cell.Data), nil
	case opBase64:
		return appendBase64(dst, c.encoding, cell.Data), nil
	case opHex:
		return appendHex(dst, cell.Data), nil
	case opFloat32:
		return appendFloat(dst, float64(math.Float32frombits(cell.Fixed32())), 32), nil
	case opFloat32Wide:
		return appendFloat(dst, float64(math.Float32frombits(cell.Fixed32())), 64), nil
	case opFloat64:
		return appendFloat(dst, math.Float64frombits(cell.Fixed64()), 64), nil
	case opDecimalBytes, opDecimalNumber, opDecimalText, opDecimalDouble:
		return c.appendDecimal(dst, cell.Data)
	case opDate, opDateText:
		return c.appendDate(dst, cell.Uint(), trim)
	case opTimeMicros:
		return strconv.AppendInt(dst, cell.Int(), 10), nil
	case opTimeMillis, opTimeNanos, opTimeText:
		return c.appendTime(dst, cell.Int())
	case opDatetimeMillis, opDatetimeMicros, opDatetimeNanos, opDatetimeText:
		return c.appendDatetime(dst, cell.Fixed64(), trim)
	case opInstant:
		micros := cell.Int()
		if micros == 0 {
			return dst, errNullDate
		}
		digits := c.digits
		if trim {
			digits = trimmed
		}
		return appendInstant(dst, micros, digits), nil
	case opBoolBit:
		return strconv.AppendBool(dst, cell.Uint()&1 != 0), nil
	case opBoolInt:
		return strconv.AppendBool(dst, cell.Uint() != 0), nil // zero in both encodings of integers
	case opFlag:
		return c.appendFlag(dst, cell), nil
	case opFloat64Short:
		return appendFloat(dst, float64(float32(math.Float64frombits(cell.Fixed64()))), 32), nil
	case opBits:
		var buf [8]byte
		binary.LittleEndian.PutUint64(buf[:], cell.Uint())
		return appendBase64(dst, base64.StdEncoding, buf[:c.bytes]), nil
	case opEnum:
		return c.appendEnum(dst, cell.Uint())
	case opSet:
		return c.appendSet(dst, cell.Uint())
	case opPoint, opGeometry:
		return c.appendGeometry(dst, cell.Data)
	case opVector:
		return appendVector(dst, cell.Data), nil
	case opUUID:
		return appendUUID(dst, cell.Data), nil
	case opChanged:
		return c.appendChanged(dst, cell.Data, cell.Uint())
	}
	return dst, fmt.Errorf("operation %d", c.op)
}

func (c *column) appendDecimal(dst, b []byte) ([]byte, error) {
	if len(b) > maxDecimalBytes {
		return dst, fmt.Errorf("a decimal of %d bytes", len(b))
	}
	switch c.op {
	case opDecimalNumber:
		return appendDecimalNumber(dst, b, c.scale), nil
	case opDecimalText:
		dst = append(dst, '"')
		dst = appendDecimalPlain(dst, b, c.scale)
		return append(dst, '"'), nil
	case opDecimalDouble:
		return appendFloat(dst, decimalDouble(b, c.scale), 64), nil
	}
	return appendBase64(dst, base64.StdEncoding, b), nil
}

// What year 0 is in a snapshot: a date's stays, a date and time's becomes the year 1. Rows of the log have none.
const (
	zeroDateYear     = 0
	zeroDatetimeYear = 1
	noZeroYear       = -1
)

func (c *column) appendDate(dst []byte, packed uint64, snapshot bool) ([]byte, error) {
	zero := noZeroYear
	if snapshot {
		zero = zeroDateYear
	}
	year, month, day, state := date(packed, c.adjust, zero)
	if state != dateGood {
		return dst, dateError(year, month, day, state)
	}
	if c.op == opDate {
		return strconv.AppendInt(dst, civilDays(year, month, day), 10), nil
	}
	dst = append(dst, '"')
	dst = appendDateText(dst, year, month, day)
	return append(dst, 'Z', '"'), nil
}

func dateError(year, month, day int, state dateState) error {
	if state == dateZero {
		return errNullDate
	}
	return fmt.Errorf("the calendar has no %04d-%02d-%02d", year, month, day)
}

const (
	dayMicros = 86400 * 1e6
	maxNanos  = math.MaxInt64 / 1000
)

func (c *column) appendTime(dst []byte, micros int64) ([]byte, error) {
	if c.op == opTimeNanos {
		if micros > maxNanos || micros < -maxNanos {
			return dst, fmt.Errorf("the time of %d us does not fit into nanoseconds", micros)
		}
		return strconv.AppendInt(dst, micros*1000, 10), nil
	}
	if micros < 0 || micros > dayMicros {
		return dst, fmt.Errorf("the time of %d us is no time of day, which is all that this time.precision.mode can say", micros)
	}
	if c.op == opTimeMillis {
		return strconv.AppendInt(dst, micros/1000, 10), nil
	}
	return appendTimeText(dst, micros), nil
}

func (c *column) appendDatetime(dst []byte, packed uint64, snapshot bool) ([]byte, error) {
	d, hour, minute, second, micro := row.UnpackDatetime(packed)
	zero := noZeroYear
	if snapshot {
		zero = zeroDatetimeYear
	}
	year, month, day, state := date(d, c.adjust, zero)
	if state != dateGood {
		return dst, dateError(year, month, day, state)
	}
	if c.op == opDatetimeText {
		dst = append(dst, '"')
		dst = appendDateText(dst, year, month, day)
		dst = append(dst, 'T')
		dst = appendClock(dst, hour, minute, second)
		dst = appendFraction(dst, micro, trimmed)
		return append(dst, 'Z', '"'), nil
	}
	seconds := civilDays(year, month, day)*86400 + int64(hour*3600+minute*60+second)
	switch c.op {
	case opDatetimeMillis:
		return strconv.AppendInt(dst, seconds*1000+int64(micro/1000), 10), nil
	case opDatetimeMicros:
		return strconv.AppendInt(dst, seconds*1e6+int64(micro), 10), nil
	}
	micros := seconds*1e6 + int64(micro)
	if micros > maxNanos || micros < -maxNanos {
		return dst, fmt.Errorf("%04d-%02d-%02d does not fit into nanoseconds since 1970", year, month, day)
	}
	return strconv.AppendInt(dst, micros*1000, 10), nil
}

func (c *column) appendEnum(dst []byte, index uint64) ([]byte, error) {
	if index > uint64(len(c.members)) {
		return dst, fmt.Errorf("index %d of an enum with %d members", index, len(c.members))
	}
	dst = append(dst, '"')
	if index > 0 {
		dst = append(dst, c.members[index-1]...)
	}
	return append(dst, '"'), nil
}

func (c *column) appendSet(dst []byte, mask uint64) ([]byte, error) {
	if len(c.members) < 64 && mask>>len(c.members) != 0 {
		return dst, fmt.Errorf("bits %#x of a set with %d members", mask, len(c.members))
	}
	dst = append(dst, '"')
	first := true
	for i, m := range c.members {
		if mask&(1<<i) == 0 {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, m...)
	}
	return append(dst, '"'), nil
}

// appendGeometry appends the struct of a geometry: SRID (4 bytes little endian; 0 is written null), then WKB. The coordinates of a point follow
// the byte order (1) and the type (4).
func (c *column) appendGeometry(dst, b []byte) ([]byte, error) {
	if len(b) < 9 {
		return dst, fmt.Errorf("a geometry of %d bytes", len(b))
	}
	srid, wkb := binary.LittleEndian.Uint32(b), b[4:]
	dst = append(dst, '{')
	if c.op == opPoint {
		if len(wkb) != 21 {
			return dst, fmt.Errorf("a point of %d bytes", len(wkb))
		}
		dst = append(dst, `"x":`...)
		dst = appendFloat(dst, coordinate(wkb[0], wkb[5:]), 64)
		dst = append(dst, `,"y":`...)
		dst = appendFloat(dst, coordinate(wkb[0], wkb[13:]), 64)
		dst = append(dst, ',')
	}
	dst = append(dst, `"wkb":`...)
	dst = appendBase64(dst, base64.StdEncoding, wkb)
	if srid == 0 {
		return append(dst, `,"srid":null}`...), nil
	}
	dst = append(dst, `,"srid":`...)
	dst = strconv.AppendInt(dst, int64(int32(srid)), 10)
	return append(dst, '}'), nil
}

func coordinate(order byte, b []byte) float64 {
	if order == 0 {
		return math.Float64frombits(binary.BigEndian.Uint64(b))
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}
