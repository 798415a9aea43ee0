package convert

import (
	"github.com/rowmesh/rowmesh/services/row"
)

// civilDays returns the days from 1970-01-01 to a date of the proleptic Gregorian calendar, which is the one that java.time uses and the servers
// store. (Howard Hinnant, "chrono-compatible low-level date algorithms".)
func civilDays(year, month, day int) int64 {
	y := int64(year)
	if month <= 2 {
		y--
	}
	era := y / 400
	if y < 0 {
		era = (y - 399) / 400
	}
	yoe := y - era*400
	mp := int64(month+9) % 12
	doy := (153*mp+2)/5 + int64(day) - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return era*146097 + doe - 719468
}

// civilDate undoes civilDays for days that begin in years 0 to 9999.
func civilDate(days int64) (year, month, day int) {
	z := days + 719468
	era := z / 146097
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day = int(doy - (153*mp+2)/5 + 1)
	month = int(mp) + 3
	if month > 12 {
		month -= 12
	}
	year = int(yoe + era*400)
	if month <= 2 {
		year++
	}
	return year, month, day
}

var monthDays = [13]int{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// realDate reports whether the calendar has the date.
func realDate(year, month, day int) bool {
	if month < 1 || month > 12 || day < 1 || day > monthDays[month] {
		return false
	}
	return month != 2 || day != 29 || year%4 == 0 && (year%100 != 0 || year%400 == 0)
}

// adjustYear is enable.time.adjuster: years that look like two digits are taken for 1970 to 2069.
func adjustYear(year int) int {
	switch {
	case year < 70:
		return year + 2000
	case year < 100:
		return year + 1900
	}
	return year
}

// dateState says what a packed date is.
type dateState int

const (
	dateGood dateState = iota
	// dateZero: year, month or day is 0. Debezium takes it for NULL.
	dateZero
	// dateBad: the calendar does not have it (2021-02-31, which ALLOW_INVALID_DATES lets in).
	dateBad
)

// date unpacks a date and adjusts its year. A date of year 0 counts as zero in rows of the log. Snapshots read it (Debezium's by way of a driver that
// has no year 0): its year is zeroYear before it is adjusted.
func date(packed uint64, adjust bool, zeroYear int) (year, month, day int, state dateState) {
	year, month, day = row.UnpackDate(packed)
	if month == 0 || day == 0 || year == 0 && (zeroYear < 0 || !adjust) {
		return year, month, day, dateZero
	}
	if year == 0 {
		year = zeroYear
	}
	if adjust && year < 100 {
		year = adjustYear(year)
	}
	if day > 28 && !realDate(year, month, day) || month > 12 {
		return year, month, day, dateBad
	}
	return year, month, day, dateGood
}

func append2(dst []byte, v int) []byte { return append(dst, byte('0'+v/10), byte('0'+v%10)) }

// appendDateText appends YYYY-MM-DD.
func appendDateText(dst []byte, year, month, day int) []byte {
	dst = append2(dst, year/100%100)
	dst = append2(dst, year%100)
	dst = append(dst, '-')
	dst = append2(dst, month)
	dst = append(dst, '-')
	return append2(dst, day)
}

// appendClock appends HH:MM:SS.
func appendClock(dst []byte, hour, minute, second int) []byte {
	dst = append2(dst, hour)
	dst = append(dst, ':')
	dst = append2(dst, minute)
	dst = append(dst, ':')
	return append2(dst, second)
}

// appendFraction appends the point and digits of microseconds: exactly digits of them, or if digits is negative as many as are needed, and no
// point for none.
func appendFraction(dst []byte, micro, digits int) []byte {
	if digits == 0 || digits < 0 && micro == 0 {
		return dst
	}
	var buf [6]byte
	for i := 5; i >= 0; i-- {
		buf[i] = byte('0' + micro%10)
		micro /= 10
	}
	n := min(digits, 6)
	if digits < 0 {
		for n = 6; buf[n-1] == '0'; n-- {
		}
	}
	dst = append(dst, '.')
	return append(dst, buf[:n]...)
}

// appendInstant appends microseconds since the epoch as Debezium's ZonedTimestamp in UTC, quoted; digits as in appendFraction.
func appendInstant(dst []byte, micros int64, digits int) []byte {
	seconds := micros / 1e6
	micro := int(micros - seconds*1e6)
	if micro < 0 {
		micro += 1e6
		seconds--
	}
	days := seconds / 86400
	clock := int(seconds - days*86400)
	if clock < 0 {
		clock += 86400
		days--
	}
	dst = append(dst, '"')
	dst = appendDateText(civilText(dst, days))
	dst = append(dst, 'T')
	dst = appendClock(dst, clock/3600, clock/60%60, clock%60)
	dst = appendFraction(dst, micro, digits)
	return append(dst, 'Z', '"')
}

func civilText(dst []byte, days int64) ([]byte, int, int, int) {
	y, m, d := civilDate(days)
	return dst, y, m, d
}

// appendTimeText appends a time of day in microseconds as Debezium's IsoTime, quoted.
func appendTimeText(dst []byte, micros int64) []byte {
	seconds := int(micros / 1e6)
	dst = append(dst, '"')
	dst = appendClock(dst, seconds/3600, seconds/60%60, seconds%60)
	dst = appendFraction(dst, int(micros%1e6), -1)
	return append(dst, 'Z', '"')
}
