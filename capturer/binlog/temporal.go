package binlog

import (
	"encoding/binary"
	"fmt"

	"github.com/rowmesh/rowmesh/services/row"
)

// maxMicro is the longest fraction of a second, in microseconds.
const maxMicro = 999_999

// microFactor turns the stored fraction of a value with so many digits into microseconds: a byte holds two digits.
var microFactor = [7]uint64{0, 10000, 10000, 100, 100, 1, 1}

// temporal decodes dates and times. The forms are those of my_time.h: the newer ones are big endian, so that they compare as bytes.
func (c *column) temporal(dst, b []byte) ([]byte, []byte, error) {
	frac := int(c.size)
	switch c.op {
	case opDatetime2:
		if 5+frac > len(b) {
			return dst, b, errShort
		}
		v := uint64(b[0])<<32 | uint64(binary.BigEndian.Uint32(b[1:]))
		// Sign, year and month as one number, day, hour, minute, second: the packed form has the same fields in the same widths.
		v &^= 1 << 39
		micro := c.micro(b[5:])
		if v>>12&31 > 23 || v>>6&63 > 59 || v&63 > 59 || micro > maxMicro {
			return dst, b, fmt.Errorf("time of day %02d:%02d:%02d and %d microseconds in a DATETIME", v>>12&31, v>>6&63, v&63, micro)
		}
		return row.AppendDatetime(dst, v<<24|micro), b[5+frac:], nil
	case opTimestamp2:
		if 4+frac > len(b) {
			return dst, b, errShort
		}
		seconds, micro := int64(binary.BigEndian.Uint32(b)), c.micro(b[4:])
		if micro > maxMicro {
			return dst, b, fmt.Errorf("%d microseconds in a TIMESTAMP", micro)
		}
		return row.AppendInt(dst, seconds*1e6+int64(micro)), b[4+frac:], nil
	case opTime2:
		if 3+frac > len(b) {
			return dst, b, errShort
		}
		v, ok := c.time2(b)
		if !ok {
			return dst, b, fmt.Errorf("bytes % x in a TIME", b[:3+frac])
		}
		return row.AppendInt(dst, v), b[3+frac:], nil
	case opDate:
		if len(b) < 3 {
			return dst, b, errShort
		}
		v := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 // year 15 bits, month 4, day 5
		if v>>5&15 > 12 {
			return dst, b, fmt.Errorf("month %d in a DATE", v>>5&15)
		}
		return row.AppendUint(dst, row.PackDate(v>>9, v>>5&15, v&31)), b[3:], nil
	case opYear:
		if len(b) < 1 {
			return dst, b, errShort
		}
		year := uint64(b[0])
		if year != 0 {
			year += 1900
		}
		return row.AppendUint(dst, year), b[1:], nil
	}
	return c.oldTemporal(dst, b)
}

// micro reads the fraction of a second.
func (c *column) micro(b []byte) uint64 {
	if c.size == 0 {
		return 0
	}
	return uintBE(b[:c.size]) * microFactor[c.digits]
}

// time2 reads a TIME: 24 bits of sign, hours (10 bits), minutes and seconds (6 each) as an offset from 0x800000, then the fraction. A negative value is
// the two's complement over all its bytes. It is false for minutes, seconds or a fraction that no time has.
func (c *column) time2(b []byte) (int64, bool) {
	const offset = 0x800000
	n := 3 + int(c.size)
	width := 8 * uint(c.size)
	v := int64(uintBE(b[:n])) - offset<<width
	negative := v < 0
	if negative {
		v = -v
	}
	fraction := v & (1<<width - 1)
	v >>= width
	fraction *= int64(microFactor[c.digits])
	micro := ((v>>12&1023)*3600+(v>>6&63)*60+v&63)*1e6 + fraction
	ok := v>>6&63 <= 59 && v&63 <= 59 && fraction <= maxMicro
	if negative {
		return -micro, ok
	}
	return micro, ok
}

// oldTemporal decodes what tables made before MySQL 5.6.4 hold: decimal digits in an integer.
func (c *column) oldTemporal(dst, b []byte) ([]byte, []byte, error) {
	switch c.op {
	case opOldTimestamp:
		if len(b) < 4 {
			return dst, b, errShort
		}
		return row.AppendInt(dst, int64(binary.LittleEndian.Uint32(b))*1e6), b[4:], nil
	case opOldTime:
		if len(b) < 3 {
			return dst, b, errShort
		}
		v := signed(b[:3]) // HHMMSS
		sign := int64(1)
		if v < 0 {
			v, sign = -v, -1
		}
		return row.AppendInt(dst, sign*(v/10000*3600+v/100%100*60+v%100)*1e6), b[3:], nil
	}
	if len(b) < 8 {
		return dst, b, errShort
	}
	v := binary.LittleEndian.Uint64(b) // YYYYMMDDHHMMSS
	date, clock := v/1000000, v%1000000
	if date/100%100 > 12 || date%100 > 31 || date/10000 > 9999 || clock/10000 > 23 || clock/100%100 > 59 || clock%100 > 59 {
		return dst, b, fmt.Errorf("DATETIME %d", v)
	}
	packed := row.PackDatetime(row.PackDate(date/10000, date/100%100, date%100), clock/10000, clock/100%100, clock%100, 0)
	return row.AppendDatetime(dst, packed), b[8:], nil
}
