package binlog

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"
)

// opaque appends a value of an SQL type: the type, a length, the bytes.
func (w *jsonWriter) opaque(dst, b []byte) ([]byte, error) {
	if len(b) < 1 {
		return dst, errJSON
	}
	v, _, ok := jsonBytes(b[1:])
	if !ok {
		return dst, errJSON
	}
	w.budget -= len(v)
	switch columnType(b[0]) {
	case typeNewDecimal:
		return appendJSONDecimal(dst, v)
	case typeDate, typeDatetime, typeTimestamp, typeTime:
		if len(v) != 8 {
			return dst, errJSON
		}
		dst = append(dst, '"')
		dst = appendJSONTemporal(dst, columnType(b[0]), int64(binary.LittleEndian.Uint64(v)))
		return append(dst, '"'), nil
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, v)
	return append(dst, '"'), nil
}

// appendJSONTemporal spells a packed date or time (my_time.h, the same form as DATETIME2 and TIME2 with six digits).
func appendJSONTemporal(dst []byte, t columnType, packed int64) []byte {
	if packed < 0 {
		packed = -packed
		dst = append(dst, '-')
	}
	v, micro := uint64(packed)>>24, uint64(packed)&(1<<24-1)
	if t == typeTime {
		dst = appendClock(dst, v>>12&1023, v>>6&63, v&63)
		return appendFraction(dst, micro)
	}
	date := v >> 17
	yearMonth := date >> 5
	dst = appendPadded(dst, yearMonth/13, 4)
	dst = append(dst, '-')
	dst = appendPadded(dst, yearMonth%13, 2)
	dst = append(dst, '-')
	dst = appendPadded(dst, date&31, 2)
	if t == typeDate {
		return dst
	}
	dst = append(dst, ' ')
	dst = appendClock(dst, v>>12&31, v>>6&63, v&63)
	return appendFraction(dst, micro)
}

func appendClock(dst []byte, hour, minute, second uint64) []byte {
	dst = appendPadded(dst, hour, 2)
	dst = append(dst, ':')
	dst = appendPadded(dst, minute, 2)
	dst = append(dst, ':')
	return appendPadded(dst, second, 2)
}

// appendFraction appends microseconds without zeros at the end, or nothing.
func appendFraction(dst []byte, micro uint64) []byte {
	if micro == 0 {
		return dst
	}
	dst = append(dst, '.')
	dst = appendPadded(dst, micro, 6)
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// appendPadded appends a number with zeros in front. Requires: width <= groupDigits.
func appendPadded(dst []byte, v uint64, width int) []byte {
	for w := width - 1; w > 0 && v < powersOfTen[w]; w-- {
		dst = append(dst, '0')
	}
	return strconv.AppendUint(dst, v, 10)
}

// appendJSONDecimal spells a DECIMAL: precision and scale, then the stored form.
func appendJSONDecimal(dst, v []byte) ([]byte, error) {
	if len(v) < 2 || v[1] > v[0] || v[0] > maxDecimalDigits {
		return dst, errJSON
	}
	whole, fraction := int(v[0]-v[1]), int(v[1])
	v = v[2:]
	if n := decimalBytes(whole, fraction); n == 0 || n != len(v) {
		return dst, errJSON
	}
	d := decimalReader{b: v, first: true}
	if v[0]&0x80 == 0 {
		d.mask = 0xff
		dst = append(dst, '-')
	}
	at := len(dst)
	digits := func(n int) bool {
		if n == 0 {
			return true
		}
		g := d.group(n)
		dst = appendPadded(dst, g, n)
		return g < powersOfTen[n]
	}
	ok := digits(whole % groupDigits)
	for range whole / groupDigits {
		ok = digits(groupDigits) && ok
	}
	// Zeros in front go, but one digit stays before the point.
	zeros := 0
	for at+zeros < len(dst)-1 && dst[at+zeros] == '0' {
		zeros++
	}
	dst = append(dst[:at], dst[at+zeros:]...)
	if len(dst) == at {
		dst = append(dst, '0')
	}
	if fraction > 0 {
		dst = append(dst, '.')
		for range fraction / groupDigits {
			ok = digits(groupDigits) && ok
		}
		ok = digits(fraction%groupDigits) && ok
	}
	if !ok {
		return dst, errJSON
	}
	return dst, nil
}
