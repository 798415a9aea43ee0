package transform

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rowmesh/rowmesh/services/errs"
)

// dateFormat is a pattern of Java's SimpleDateFormat in UTC and the root locale.
type dateFormat struct {
	pattern string
	fields  []dateField
}

// dateField is a letter of the pattern with its width, or text (letter 0).
type dateField struct {
	letter byte
	width  int
	text   string
}

// dateLetters are those that SimpleDateFormat knows.
const dateLetters = "GyYMLwWDdFEuaHkKhmsSzZX"

// newDateFormat reads a pattern. Text stands between single quotes, two of which are one; other letters than the known ones are errors.
func newDateFormat(pattern string) (*dateFormat, error) {
	f := &dateFormat{pattern: pattern}
	text := func(s string) {
		if n := len(f.fields); n > 0 && f.fields[n-1].letter == 0 {
			f.fields[n-1].text += s
			return
		}
		f.fields = append(f.fields, dateField{text: s})
	}
	for i := 0; i < len(pattern); {
		c := pattern[i]
		switch {
		case c == '\'':
			end := i + 1
			var b strings.Builder
			for ; end < len(pattern); end++ {
				if pattern[end] == '\'' {
					if end+1 < len(pattern) && pattern[end+1] == '\'' {
						end++
					} else {
						break
					}
				}
				b.WriteByte(pattern[end])
			}
			switch {
			case end == len(pattern):
				return nil, errs.E(errs.Invalid, "Unterminated quote")
			case end == i+1:
				b.WriteByte('\'')
			}
			text(b.String())
			i = end + 1
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			if strings.IndexByte(dateLetters, c) < 0 {
				return nil, errs.E(errs.Invalid, "Illegal pattern character '%c'", c)
			}
			width := 1
			for i+width < len(pattern) && pattern[i+width] == c {
				width++
			}
			if c == 'X' && width > 3 {
				return nil, errs.E(errs.Invalid, "invalid ISO 8601 format: length=%d", width)
			}
			f.fields = append(f.fields, dateField{letter: c, width: width})
			i += width
		default:
			_, size := utf8.DecodeRuneInString(pattern[i:])
			text(pattern[i : i+size])
			i += size
		}
	}
	return f, nil
}

// append formats a time, which is in UTC.
func (f *dateFormat) append(dst []byte, t time.Time) []byte {
	for _, field := range f.fields {
		if field.letter == 0 {
			dst = append(dst, field.text...)
			continue
		}
		dst = field.append(dst, t)
	}
	return dst
}

// append formats one field.
func (d dateField) append(dst []byte, t time.Time) []byte {
	if n, ok := d.number(t); ok {
		return appendPadded(dst, n, d.width)
	}
	switch d.letter {
	case 'G':
		if t.Year() <= 0 {
			return append(dst, "BC"...)
		}
		return append(dst, "AD"...)
	case 'y', 'Y': // two digits
		return appendPadded(dst, eraYear(d.year(t))%100, 2)
	case 'M', 'L':
		if d.width >= 4 {
			return append(dst, t.Month().String()...)
		}
		return append(dst, t.Month().String()[:3]...)
	case 'E':
		if d.width >= 4 {
			return append(dst, t.Weekday().String()...)
		}
		return append(dst, t.Weekday().String()[:3]...)
	case 'a':
		if t.Hour() >= 12 {
			return append(dst, "PM"...)
		}
		return append(dst, "AM"...)
	case 'z':
		if d.width >= 4 {
			return append(dst, "Coordinated Universal Time"...)
		}
		return append(dst, "UTC"...)
	case 'Z':
		return append(dst, "+0000"...)
	}
	return append(dst, 'Z') // X
}

// year is the year of the calendar, or that of the week.
func (d dateField) year(t time.Time) int {
	if d.letter == 'Y' {
		return weekYear(t)
	}
	return t.Year()
}

// eraYear counts years before the first one from 1 too.
func eraYear(year int) int {
	if year <= 0 {
		return 1 - year
	}
	return year
}

// number returns the number of a field that is one.
func (d dateField) number(t time.Time) (n int, ok bool) {
	switch d.letter {
	case 'y', 'Y':
		return eraYear(d.year(t)), d.width != 2
	case 'M', 'L':
		return int(t.Month()), d.width < 3
	case 'w':
		if weekYear(t) > t.Year() {
			return 1, true
		}
		return weekOf(t.YearDay(), t.Weekday()), true
	case 'W':
		return weekOf(t.Day(), t.Weekday()), true
	case 'D':
		return t.YearDay(), true
	case 'd':
		return t.Day(), true
	case 'F':
		return (t.Day()-1)/7 + 1, true
	case 'u':
		return (int(t.Weekday())+6)%7 + 1, true
	case 'H':
		return t.Hour(), true
	case 'k':
		return (t.Hour()+23)%24 + 1, true
	case 'K':
		return t.Hour() % 12, true
	case 'h':
		return (t.Hour()+11)%12 + 1, true
	case 'm':
		return t.Minute(), true
	case 's':
		return t.Second(), true
	case 'S':
		return t.Nanosecond() / 1e6, true
	}
	return 0, false
}

func appendPadded(dst []byte, n, width int) []byte {
	for least := 10; width > 1 && least < 1e9; width-- {
		if n < least {
			zeros := width - 1
			for ; zeros > 0; zeros-- {
				dst = append(dst, '0')
			}
			return strconv.AppendInt(dst, int64(n), 10)
		}
		least *= 10
	}
	return strconv.AppendInt(dst, int64(n), 10)
}

// weekOf is the week of a year or a month: weeks begin on Sunday, and the first is the one that holds the first day.
func weekOf(day int, weekday time.Weekday) int {
	first := (int(weekday) - (day-1)%7 + 7) % 7 // weekday of the first day
	return (day-1+first)/7 + 1
}

// weekYear is the year to which the week belongs: days at the year's end belong to the next one if its first day is in their week.
func weekYear(t time.Time) int {
	saturday := t.AddDate(0, 0, 6-int(t.Weekday()))
	return saturday.Year()
}

// parse reads a time as SimpleDateFormat does leniently: values beyond their range carry over, and what follows the pattern is not looked at.
func (f *dateFormat) parse(text string) (time.Time, bool) {
	p := dateParser{text: text, year: 1970, month: 1, day: 1}
	for i, field := range f.fields {
		if field.letter == 0 {
			if !strings.HasPrefix(p.text, field.text) {
				return time.Time{}, false
			}
			p.text = p.text[len(field.text):]
			continue
		}
		// A number that another follows without anything between has as many digits as the pattern says.
		adjacent := i+1 < len(f.fields) && f.fields[i+1].numeric()
		if !p.field(field, adjacent) {
			return time.Time{}, false
		}
	}
	return p.time(), true
}

func (d dateField) numeric() bool {
	return d.letter != 0 && strings.IndexByte("GEazZX", d.letter) < 0 && (d.letter != 'M' && d.letter != 'L' || d.width < 3)
}

// dateParser collects fields.
type dateParser struct {
	text                                    string
	year, month, day, hour, minute, seconds int
	millis                                  int
	yearDay                                 int
	pm, twelve, bc                          bool
	offset                                  time.Duration
}

func (p *dateParser) time() time.Time {
	if p.twelve && p.pm {
		p.hour += 12
	}
	if p.bc {
		p.year = 1 - p.year
	}
	month, day := p.month, p.day
	if p.yearDay > 0 {
		month, day = 1, p.yearDay
	}
	t := time.Date(p.year, time.Month(month), day, p.hour, p.minute, p.seconds, 0, time.UTC)
	return t.Add(time.Duration(p.millis)*time.Millisecond - p.offset)
}

// number takes digits, width of them if that counts.
func (p *dateParser) number(width int, exact bool) (n, digits int, ok bool) {
	s := strings.TrimLeft(p.text, " \t")
	i := 0
	if i < len(s) && s[i] == '-' && !exact {
		i++
	}
	start := i
	for i < len(s) && s[i] >= '0' && s[i] <= '9' && i-start < maxDateDigits && (!exact || i < width) {
		i++
	}
	if i == start || exact && i < width {
		return 0, 0, false
	}
	n, err := strconv.Atoi(s[:i])
	p.text = s[i:]
	return n, i - start, err == nil
}

// maxDateDigits bounds a number: nine digits are in the range of an int.
const maxDateDigits = 9

// name takes one of some words, in full or its first three letters.
func (p *dateParser) name(words func(i int) string, n int) (int, bool) {
	for _, short := range []bool{false, true} {
		for i := range n {
			w := words(i)
			if short && len(w) > 3 {
				w = w[:3]
			}
			if len(p.text) >= len(w) && strings.EqualFold(p.text[:len(w)], w) {
				p.text = p.text[len(w):]
				return i, true
			}
		}
	}
	return 0, false
}

// field takes one field.
func (p *dateParser) field(d dateField, exact bool) bool {
	switch d.letter {
	case 'G':
		i, ok := p.name(func(i int) string { return []string{"AD", "BC"}[i] }, 2)
		p.bc = i == 1
		return ok
	case 'E':
		_, ok := p.name(func(i int) string { return time.Weekday(i).String() }, 7)
		return ok
	case 'a':
		i, ok := p.name(func(i int) string { return []string{"AM", "PM"}[i] }, 2)
		p.pm = i == 1
		return ok
	case 'z', 'Z', 'X':
		return p.zone()
	case 'M', 'L':
		if d.width >= 3 {
			i, ok := p.name(func(i int) string { return time.Month(i + 1).String() }, 12)
			p.month = i + 1
			return ok
		}
	}
	n, digits, ok := p.number(d.width, exact)
	switch d.letter {
	case 'y', 'Y':
		p.year = n
		if d.width <= 2 && digits == 2 {
			p.year = century(n)
		}
	case 'M', 'L':
		p.month = n
	case 'd':
		p.day = n
	case 'D':
		p.yearDay = n
	case 'H':
		p.hour = n
	case 'k':
		p.hour = n % 24
	case 'K':
		p.hour, p.twelve = n, true
	case 'h':
		p.hour, p.twelve = n%12, true
	case 'm':
		p.minute = n
	case 's':
		p.seconds = n
	case 'S':
		p.millis = n
	}
	return ok
}

// century completes a year of two digits: the one within 80 years before and 20 after now.
func century(n int) int {
	now := time.Now().Year()
	year := now/100*100 + n
	switch {
	case year > now+20:
		year -= 100
	case year <= now-80:
		year += 100
	}
	return year
}

// zone takes an offset from UTC.
func (p *dateParser) zone() bool {
	for _, name := range []string{"UTC", "GMT", "Z"} {
		if rest, ok := strings.CutPrefix(p.text, name); ok {
			p.text = rest
			if name == "Z" || rest == "" || rest[0] != '+' && rest[0] != '-' {
				return true
			}
			break
		}
	}
	if p.text == "" || p.text[0] != '+' && p.text[0] != '-' {
		return false
	}
	negative := p.text[0] == '-'
	p.text = p.text[1:]
	hours, digits, ok := p.number(2, false)
	if !ok {
		return false
	}
	minutes := 0
	switch {
	case digits > 2:
		hours, minutes = hours/100, hours%100
	case strings.HasPrefix(p.text, ":"):
		p.text = p.text[1:]
		if minutes, _, ok = p.number(2, true); !ok {
			return false
		}
	}
	p.offset = time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if negative {
		p.offset = -p.offset
	}
	return true
}
