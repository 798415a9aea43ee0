package transform

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/publisher/record"
)

// TestLiteral: the schema that Kafka's Values.parseString infers, and the value as it prints.
func TestLiteral(t *testing.T) {
	for text, want := range map[string]string{
		"":                         `{"type":"string","optional":false}`,
		"true":                     `{"type":"boolean","optional":false} true`,
		"true}":                    `{"type":"string","optional":false} true}`,
		"null":                     `null null`,
		"5":                        `{"type":"int8","optional":false} 5`,
		"-300":                     `{"type":"int16","optional":false} -300`,
		"70000":                    `{"type":"int32","optional":false} 70000`,
		"5000000000":               `{"type":"int64","optional":false} 5000000000`,
		"2.50":                     `{"type":"float","optional":false} 2.5`,
		"1e300":                    `{"type":"double","optional":false} 1.0E300`,
		"2.0":                      `{"type":"int8","optional":false} 2`,
		"12345678901234567890":     `{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"0"}} 12345678901234567890`,
		"2024-02-29":               `{"type":"int32","optional":false,"name":"org.apache.kafka.connect.data.Date","version":1} 2024-02-29`,
		"2024-02-29T01:02:03.004Z": `{"type":"int64","optional":false,"name":"org.apache.kafka.connect.data.Timestamp","version":1} 2024-02-29T01:02:03.004Z`,
		"01:02:03.004Z":            `{"type":"int32","optional":false,"name":"org.apache.kafka.connect.data.Time","version":1} 01:02:03.004Z`,
		`[1, 200, null]`:           `{"type":"array","items":{"type":"int16","optional":false},"optional":false} [1,200,null]`,
		`[1, "a"]`:                 `{"type":"array","items":null,"optional":false} [1,"a"]`,
		`{"n": 1}`:                 `{"type":"map","keys":{"type":"string","optional":false},"values":{"type":"int8","optional":false},"optional":false} {"n":1}`,
		`{"n" 1}`:                  `{"type":"string","optional":false} {"n" 1}`,
		`[1,`:                      `{"type":"string","optional":false} [1,`,
		`plain text`:               `{"type":"string","optional":false} plain text`,
		`"quoted"`:                 `{"type":"string","optional":false} "quoted"`,
		`1 2`:                      `{"type":"string","optional":false} 1 2`,
	} {
		d := literal(text)
		got := string((&record.JSON{}).AppendSchema(nil, d.Schema)) + " " + string(record.AppendText(nil, d))
		if text == "" {
			want += " "
		}
		if got != want {
			t.Errorf("%q:\ngot  %s\nwant %s", text, got, want)
		}
	}
}

func TestDateFormat(t *testing.T) {
	at := time.Date(2024, 12, 31, 23, 5, 9, 7e6, time.UTC)
	for pattern, want := range map[string]string{
		"yyyy-MM-dd'T'HH:mm:ss.SSSXXX": "2024-12-31T23:05:09.007Z",
		"yy.M.d k:m:s.S":               "24.12.31 23:5:9.7",
		"EEEE, MMMM d, yyyy GG":        "Tuesday, December 31, 2024 AD",
		"hh 'o''clock' a, zzz Z":       "11 o'clock PM, UTC +0000",
		"D w W F u YYYY":               "366 1 5 5 2 2025",
		"KK h ''dd''":                  "11 11 '31'",
	} {
		f, err := newDateFormat(pattern)
		if err != nil {
			t.Fatalf("%s: %v", pattern, err)
		}
		if got := string(f.append(nil, at)); got != want {
			t.Errorf("%s: got %s, want %s", pattern, got, want)
		}
	}
	for _, c := range []struct {
		pattern, text, want string
	}{
		{"yyyy-MM-dd HH:mm:ss", "2024-02-30 25:00:00 and more", "2024-03-02 01:00:00"}, // lenient, as in Java
		{"yyyyMMddHHmmss", "20240101020304", "2024-01-01 02:03:04"},
		{"dd MMM yyyy h:mm a", "3 feb 2024 12:30 am", "2024-02-03 00:30:00"},
		{"yyyy-MM-dd'T'HH:mm:ssXXX", "2024-01-01T02:00:00+02:00", "2024-01-01 00:00:00"},
		{"yyyy-MM-dd Z", "2024-01-01 -0130", "2024-01-01 01:30:00"},
		{"yyyy-MM-dd", "soon", ""},
		{"yyyy DDD", "2024 060", "2024-02-29 00:00:00"},
	} {
		f, err := newDateFormat(c.pattern)
		if err != nil {
			t.Fatalf("%s: %v", c.pattern, err)
		}
		got := ""
		if at, ok := f.parse(c.text); ok {
			got = at.Format(time.DateTime)
		}
		if got != c.want {
			t.Errorf("%s of %s: got %q, want %q", c.text, c.pattern, got, c.want)
		}
	}
	for pattern, want := range map[string]string{"yyyy'": "Unterminated quote", "b": "Illegal pattern character 'b'", "XXXX": "invalid ISO 8601 format: length=4"} {
		if _, err := newDateFormat(pattern); err == nil || err.Error() != want {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}

func TestPath(t *testing.T) {
	for text, want := range map[string]path{
		"a": {"a"}, "a.b": {"a", "b"}, "`a.b`.c": {"a.b", "c"}, "a.": {"a", ""}, "`a`b`.c": {"a`b", "c"}, "`a\\`.b`": {"a`.b"}, "": {""},
	} {
		got, err := parsePath(text)
		if err != nil || cmp.Diff(want, got) != "" {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	if _, err := parsePath("`a.b"); err == nil || err.Error() != "Incomplete backtick pair in path: [`a.b], consider adding a backslash before backtick at position 0 to escape it" {
		t.Errorf("got %v", err)
	}
}

// TestJavaHash compares with what Java's hashCode returns.
func TestJavaHash(t *testing.T) {
	long := record.Of(record.Int64, false)
	for _, c := range []struct {
		schema *record.Schema
		v      record.Value
		want   int32
	}{
		{nil, record.StringOf("hello"), 99162322}, {nil, record.StringOf("😀"), 1772899}, {nil, record.StringOf(""), 0}, {long, record.IntOf(1 << 40), 256},
		{long, record.IntOf(-1), 0}, {record.Of(record.Int32, false), record.IntOf(-7), -7}, {nil, record.BoolOf(true), 1231}, {nil, record.FloatOf(1.5), 1073217536},
		{record.Of(record.Float32, false), record.FloatOf(1.5), 1069547520}, {nil, record.BytesOf([]byte{1, 2, 0xff}), 29793 + 31*2 + 1 - 31*31},
		{nil, record.DecimalOf([]byte{0x30, 0x39}, 2), 12345*31 + 2},
	} {
		if c.v.Kind() == record.BytesKind { // from the end: ((31+(-1))*31+2)*31+1
			c.want = ((31+(-1))*31+2)*31 + 1
		}
		if got := javaHash(c.schema, c.v); got != c.want {
			t.Errorf("%s: got %d, want %d", record.AppendText(nil, record.Data{Value: c.v}), got, c.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		f    float64
		bits int
		want int64
	}{{math.NaN(), 32, 0}, {1e20, 64, math.MaxInt64}, {-1e20, 32, math.MinInt32}, {-2.9, 32, -2}, {3e9, 32, math.MaxInt32}} {
		if got := truncateTo(c.f, c.bits); got != c.want {
			t.Errorf("%v to %d bits: %d", c.f, c.bits, got)
		}
	}
	d, err := record.ParseDecimal("123.45e1")
	if err != nil {
		t.Fatal(err)
	}
	if n, exact := whole(d); n.Int64() != 1234 || exact {
		t.Errorf("whole: %v %v", n, exact)
	}
}

// TestOffsetAt: a local time that does not exist has the offset before it, one that exists twice the first one.
func TestOffsetAt(t *testing.T) {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	z := &timezone{zone: zone}
	for text, want := range map[string]int{"2024-03-10 01:59:00": -5, "2024-03-10 02:30:00": -5, "2024-03-10 03:00:00": -4, "2024-11-03 01:30:00": -4, "2024-11-03 02:30:00": -5, "2024-07-01 12:00:00": -4} {
		local, err := time.Parse(time.DateTime, text)
		if err != nil {
			t.Fatal(err)
		}
		if got := z.offsetAt(local.Unix()); got != want*3600 {
			t.Errorf("%s: %d, want %d", text, got/3600, want)
		}
	}
}

// TestRecordSizeCuts: the long text of a record that is too large is cut.
func TestRecordSizeCuts(t *testing.T) {
	r := change(t, event("null", `{"id":1,"name":"`+string(make64())+`","price":null,"at":null,"raw":null,"flag":null,"ratio":null,"list":null,"home":null}`, "c"))
	got := applied(t, "s.type="+debezium+"EnforceRecordSize\ns.max.bytes=3000\ns.min.field.size=100", r)
	if n := len(got); n > 2500 || n < 300 {
		t.Errorf("%d characters remain: %s", n, got)
	}
}

func make64() []byte {
	b := make([]byte, 64<<10)
	for i := range b {
		b[i] = 'x'
	}
	return b
}
