package convert

import (
	"fmt"
	"strconv"
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/row"
)

// parseTemporal reads a date or time literal with MySQL's freedom: any punctuation, no leading zeros, or digits alone (20240229, 10203).
// TIMESTAMP literals are taken for UTC, the zone in which schemas are read.
func parseTemporal(k rowv1.Kind, text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if k == rowv1.Kind_KIND_TIME {
		v, err := parseTime(text)
		return row.AppendInt(nil, v), err
	}
	datePart, clockPart := text, ""
	if i := strings.IndexAny(text, " T"); i >= 0 {
		datePart, clockPart = text[:i], strings.TrimSpace(text[i+1:])
	} else if digitsOnly(text) && len(text) >= 12 {
		datePart, clockPart = text[:len(text)-6], text[len(text)-6:]
	}
	year, month, day, err := parseDateParts(datePart)
	if err != nil {
		return nil, err
	}
	packed := row.PackDate(year, month, day)
	if k == rowv1.Kind_KIND_DATE {
		return row.AppendUint(nil, packed), nil
	}
	clock := int64(0)
	if clockPart != "" {
		if clock, err = parseTime(clockPart); err != nil || clock < 0 || clock >= dayMicros {
			return nil, fmt.Errorf("%q is no time of day", clockPart)
		}
	}
	if k == rowv1.Kind_KIND_DATETIME {
		s := uint64(clock / 1e6)
		return row.AppendDatetime(nil, row.PackDatetime(packed, s/3600, s/60%60, s%60, uint64(clock%1e6))), nil
	}
	if year == 0 || month == 0 || day == 0 {
		return row.AppendInt(nil, 0), nil
	}
	return row.AppendInt(nil, civilDays(int(year), int(month), int(day))*dayMicros+clock), nil
}

func digitsOnly(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func parseDateParts(text string) (year, month, day uint64, err error) {
	parts := strings.FieldsFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if len(parts) == 1 && (len(text) == 8 || len(text) == 6) {
		n := len(text) - 4
		parts = []string{text[:n], text[n : n+2], text[n+2:]}
	}
	if len(parts) != 3 {
		return 0, 0, 0, fmt.Errorf("%q is no date", text)
	}
	var v [3]uint64
	for i, p := range parts {
		if v[i], err = strconv.ParseUint(p, 10, 16); err != nil {
			return 0, 0, 0, err
		}
	}
	if len(parts[0]) <= 2 && v[0]+v[1]+v[2] > 0 {
		v[0] = uint64(adjustYear(int(v[0])))
	}
	if v[0] > 9999 || v[1] > 12 || v[2] > 31 {
		return 0, 0, 0, fmt.Errorf("%q is no date", text)
	}
	return v[0], v[1], v[2], nil
}

// parseTime reads [-]H:M[:S[.fraction]] or [-]HHMMSS[.fraction] as microseconds.
func parseTime(text string) (int64, error) {
	body, negative := strings.CutPrefix(text, "-")
	body, fraction, _ := strings.Cut(body, ".")
	var h, m, s uint64
	var err error
	if parts := strings.Split(body, ":"); len(parts) > 1 {
		parts = append(parts, "0")
		for i, p := range []*uint64{&h, &m, &s} {
			if err == nil {
				*p, err = strconv.ParseUint(parts[i], 10, 16)
			}
		}
	} else {
		var n uint64
		n, err = strconv.ParseUint(body, 10, 32)
		h, m, s = n/10000, n/100%100, n%100
	}
	if err != nil || m > 59 || s > 59 || h > 838 {
		return 0, fmt.Errorf("%q is no time", text)
	}
	v := int64(h*3600+m*60+s) * 1e6
	if fraction != "" {
		f, err := strconv.ParseUint((fraction + "000000")[:6], 10, 32)
		if err != nil {
			return 0, fmt.Errorf("%q is no time", text)
		}
		v += int64(f)
	}
	if negative {
		v = -v
	}
	return v, nil
}
