package convert

import (
	"testing"
	"time"
)

// TestCivil compares with package time, over four centuries day by day and at the ends.
func TestCivil(t *testing.T) {
	for day := civilDays(1, 1, 1); day < civilDays(9999, 12, 31); day += 1 + day&15 {
		want := time.Unix(day*86400, 0).UTC()
		y, m, d := civilDate(day)
		if y != want.Year() || m != int(want.Month()) || d != want.Day() {
			t.Fatalf("day %d: got %d-%d-%d, want %v", day, y, m, d, want)
		}
		if back := civilDays(y, m, d); back != day {
			t.Fatalf("%d-%d-%d: got day %d, want %d", y, m, d, back, day)
		}
	}
}

func TestRealDate(t *testing.T) {
	for _, c := range []struct {
		y, m, d int
		want    bool
	}{{2024, 2, 29, true}, {2023, 2, 29, false}, {1900, 2, 29, false}, {2000, 2, 29, true}, {2021, 4, 31, false}, {2021, 12, 31, true}, {2021, 13, 1, false}} {
		if got := realDate(c.y, c.m, c.d); got != c.want {
			t.Errorf("%d-%d-%d: got %v", c.y, c.m, c.d, got)
		}
	}
}

func TestInstant(t *testing.T) {
	for _, c := range []struct {
		micros int64
		digits int
		want   string
	}{
		{1_000_000, 0, `"1970-01-01T00:00:01Z"`},
		{1_000_000, 3, `"1970-01-01T00:00:01.000Z"`},
		{1_500_000, trimmed, `"1970-01-01T00:00:01.5Z"`},
		{1_000_000, trimmed, `"1970-01-01T00:00:01Z"`},
		{-1, 6, `"1969-12-31T23:59:59.999999Z"`},
		{4102444799_999999, 6, `"2099-12-31T23:59:59.999999Z"`},
	} {
		if got := string(appendInstant(nil, c.micros, c.digits)); got != c.want {
			t.Errorf("%d us with %d digits: got %s, want %s", c.micros, c.digits, got, c.want)
		}
	}
}

func TestParseTime(t *testing.T) {
	for text, want := range map[string]int64{
		"10203": 3723_000000, "10:11": 36660_000000, "-01:02:03.456": -3723_456000, "838:59:59": 3020399_000000, "0:0:0.000001": 1, "59": 59_000000,
	} {
		if got, err := parseTime(text); err != nil || got != want {
			t.Errorf("%s: got %d (%v), want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "1:60", "900:00:00", "1:2:x", "--1"} {
		if got, err := parseTime(text); err == nil {
			t.Errorf("%q read as %d", text, got)
		}
	}
}
