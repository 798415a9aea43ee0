package convert

import (
	"strings"

	"github.com/rowmesh/rowmesh/services/row"
)

// headerEscape escapes the quote and the backslash.
func headerEscape[T []byte | string](dst []byte, s T) []byte {
	for i := range len(s) {
		if c := s[i]; c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return dst
}

// appendHeaderStruct appends the key of an image as SimpleHeaderConverter prints a struct: strings with only the quote and the backslash escaped,
// numbers plainly, bytes in base64, Connect's own dates and times as text without quotes. tail closes it.
func appendHeaderStruct(dst []byte, fields []field, tail []byte, cells []row.Cell, trim bool) ([]byte, error) {
	dst = append(dst, '{')
	for i := range fields {
		f := &fields[i]
		dst = append(dst, f.open...)
		cell := &cells[f.index]
		if !cell.Present || cell.Null {
			dst = append(dst, f.null...)
			continue
		}
		var err error
		if dst, err = f.appendHeaderValue(dst, cell, trim); err == errNullDate {
			dst = append(dst, f.null...)
		} else if err != nil {
			return dst, columnError{f.source.Name, err}
		}
	}
	return append(dst, tail...), nil
}

func (c *column) appendHeaderValue(dst []byte, cell *row.Cell, trim bool) ([]byte, error) {
	connect := strings.HasPrefix(c.schema.name, "org.apache.")
	switch {
	case c.op == opString:
		dst = append(dst, '"')
		dst = headerEscape(dst, cell.Data)
		return append(dst, '"'), nil
	case c.op == opDate && connect:
		text := *c
		text.op = opDateText
		start := len(dst)
		dst, err := text.appendValue(dst, cell, trim)
		if err == nil { // without the quotes, and without a time
			dst = dst[:start+copy(dst[start:], dst[start+1:start+1+len("YYYY-MM-DD")])]
		}
		return dst, err
	case c.op == opTimeMillis:
		return appendMillisText(dst, cell.Int()), nil
	case c.op == opDatetimeMillis && connect:
		return c.appendHeaderDatetime(dst, cell.Fixed64())
	}
	return c.appendValue(dst, cell, trim)
}

// appendHeaderDatetime spells Connect's Timestamp: the date alone at midnight, else date and time with milliseconds.
func (c *column) appendHeaderDatetime(dst []byte, packed uint64) ([]byte, error) {
	d, hour, minute, second, micro := row.UnpackDatetime(packed)
	year, month, day, state := date(d, c.adjust, noZeroYear)
	if state != dateGood {
		return dst, dateError(year, month, day, state)
	}
	dst = appendDateText(dst, year, month, day)
	clock := int64(hour*3600+minute*60+second)*1e6 + int64(micro)
	if clock/1000 == 0 {
		return dst, nil
	}
	return appendMillisText(append(dst, 'T'), clock), nil
}

// appendMillisText appends a time of day in microseconds as HH:MM:SS.mmmZ.
func appendMillisText(dst []byte, micros int64) []byte {
	s := int(micros / 1e6)
	dst = appendClock(dst, s/3600, s/60%60, s%60)
	dst = append(dst, '.')
	ms := int(micros / 1000 % 1000)
	return append(dst, byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}
