package roundtrip

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// field is a field of a Connect schema.
type field struct {
	Type       string
	Name       string
	Field      string
	Optional   bool
	Version    int
	Fields     []*field
	Parameters map[string]string
	Default    json.RawMessage
}

func (f *field) at(name string) *field {
	for _, x := range f.Fields {
		if x.Field == name {
			return x
		}
	}
	return nil
}

// event is a record of a table.
type event struct {
	op            string
	before, after map[string]value
	key           map[string]value
	tombstone     bool
	row           *field // schema of before and after
	source        struct{ Table string }
	text          string // for messages
}

// value is what a field decodes to.
type value struct {
	null bool
	text string
}

// decoder reads records; schemas come with each and are read once.
type decoder struct{ schemas map[string]*field }

func (d *decoder) split(b []byte) (*field, json.RawMessage, error) {
	var m struct{ Schema, Payload json.RawMessage }
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, nil, err
	}
	s := d.schemas[string(m.Schema)]
	if s == nil {
		s = &field{}
		if err := json.Unmarshal(m.Schema, s); err != nil {
			return nil, nil, err
		}
		d.schemas[string(m.Schema)] = s
	}
	return s, m.Payload, nil
}

// event reads a record's key and value.
func (d *decoder) event(key, val []byte) (*event, error) {
	e := &event{text: fmt.Sprintf("key %.600s value %.6000s", key, payload(val))}
	if key != nil {
		s, p, err := d.split(key)
		if err == nil {
			e.key, err = row(s, p)
		}
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", key, err)
		}
	}
	if val == nil {
		e.tombstone = true
		return e, nil
	}
	s, p, err := d.split(val)
	if err != nil {
		return nil, fmt.Errorf("value %.1000s: %w", val, err)
	}
	var m struct {
		Op            string
		Before, After json.RawMessage
		Source        struct{ Table string }
	}
	if err := json.Unmarshal(p, &m); err != nil {
		return nil, fmt.Errorf("value %.1000s: %w", p, err)
	}
	e.op, e.source, e.row = m.Op, m.Source, s.at("after")
	if e.row == nil {
		return nil, fmt.Errorf("the schema has no after: %.1000s", val)
	}
	if e.before, err = row(e.row, m.Before); err == nil {
		e.after, err = row(e.row, m.After)
	}
	if err != nil {
		return nil, fmt.Errorf("value %.4000s: %w", p, err)
	}
	return e, nil
}

func payload(b []byte) []byte {
	if i := bytes.Index(b, []byte(`"payload":`)); i >= 0 {
		return b[i:]
	}
	return b
}

// row decodes the fields of a struct; nil for null.
func row(s *field, raw json.RawMessage) (map[string]value, error) {
	if string(raw) == "null" || len(raw) == 0 {
		return nil, nil
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, err
	}
	if len(m) != len(s.Fields) {
		return nil, fmt.Errorf("%d fields, the schema has %d", len(m), len(s.Fields))
	}
	out := map[string]value{}
	for _, f := range s.Fields {
		v, ok := m[f.Field]
		if !ok {
			return nil, fmt.Errorf("no field %q", f.Field)
		}
		if string(v) == "null" {
			if !f.Optional {
				return nil, fmt.Errorf("null in the required field %q", f.Field)
			}
			out[f.Field] = value{null: true}
			continue
		}
		t, err := f.decode(v)
		if err != nil {
			return nil, fmt.Errorf("field %q (%s %s): %s: %w", f.Field, f.Type, f.Name, v, err)
		}
		out[f.Field] = value{text: t}
	}
	return out, nil
}

// decode turns a value into the text of the column's value, knowing nothing but its schema.
func (f *field) decode(raw json.RawMessage) (string, error) {
	switch f.Type {
	case "boolean":
		return map[string]string{"true": "1", "false": "0"}[string(raw)], nil
	case "int8", "int16", "int32", "int64":
		bits, _ := strconv.Atoi(f.Type[3:])
		n, err := strconv.ParseInt(string(raw), 10, bits)
		if err != nil {
			return "", err
		}
		return f.number(n)
	case "float", "double":
		bits := map[string]int{"float": 32, "double": 64}[f.Type]
		v, err := strconv.ParseFloat(string(raw), bits)
		return float(v, bits), err
	case "string":
		var s string
		err := json.Unmarshal(raw, &s)
		if err == nil {
			s, err = f.text(s)
		}
		return s, err
	case "bytes":
		var b []byte
		if err := json.Unmarshal(raw, &b); err != nil {
			return "", err
		}
		return f.bytes(b)
	case "struct":
		return f.geometry(raw)
	case "array":
		var v []float32
		err := json.Unmarshal(raw, &v)
		var b []byte
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
		return hex.EncodeToString(b), err
	}
	return "", fmt.Errorf("type %q", f.Type)
}

const dateLayout, datetimeLayout = "2006-01-02", "2006-01-02 15:04:05.999999999"

func (f *field) number(n int64) (string, error) {
	switch f.Name {
	case "":
		return strconv.FormatInt(n, 10), nil
	case "io.debezium.time.Year":
		return strconv.FormatInt(n, 10), nil
	case "io.debezium.time.Date", "org.apache.kafka.connect.data.Date":
		return time.Unix(n*86400, 0).UTC().Format(dateLayout), nil
	case "io.debezium.time.MicroTime":
		return clock(n), nil
	case "org.apache.kafka.connect.data.Time":
		return clock(n * 1000), nil
	case "io.debezium.time.NanoTime":
		return clock(n / 1000), nil
	case "io.debezium.time.Timestamp", "org.apache.kafka.connect.data.Timestamp":
		return time.UnixMilli(n).UTC().Format(datetimeLayout), nil
	case "io.debezium.time.MicroTimestamp":
		return time.UnixMicro(n).UTC().Format(datetimeLayout), nil
	case "io.debezium.time.NanoTimestamp":
		return time.Unix(0, n).UTC().Format(datetimeLayout), nil
	}
	return "", fmt.Errorf("schema name %q", f.Name)
}

// clock spells microseconds as TIME.
func clock(us int64) string {
	sign := ""
	if us < 0 {
		us, sign = -us, "-"
	}
	s := us / 1e6
	return trimFraction(fmt.Sprintf("%s%02d:%02d:%02d.%06d", sign, s/3600, s/60%60, s%60, us%1e6))
}

func (f *field) text(s string) (string, error) {
	switch f.Name {
	case "io.debezium.time.ZonedTimestamp", "io.debezium.time.IsoTimestamp":
		t, err := time.Parse("2006-01-02T15:04:05.999999999Z", s)
		return t.Format(datetimeLayout), err
	case "io.debezium.time.IsoDate":
		return strings.TrimSuffix(s, "Z"), nil
	case "io.debezium.time.IsoTime":
		return trimFraction(strings.TrimSuffix(s, "Z")), nil
	}
	return s, nil
}

func (f *field) bytes(b []byte) (string, error) {
	switch f.Name {
	case "":
		return hex.EncodeToString(b), nil
	case "io.debezium.data.Bits":
		var full [8]byte
		if copy(full[:], b); len(b) > 8 {
			return "", fmt.Errorf("%d bytes of bits", len(b))
		}
		return strconv.FormatUint(binary.LittleEndian.Uint64(full[:]), 10), nil
	case "org.apache.kafka.connect.data.Decimal":
		scale, err := strconv.Atoi(f.Parameters["scale"])
		if err != nil || len(b) == 0 {
			return "", fmt.Errorf("scale %q, %d bytes", f.Parameters["scale"], len(b))
		}
		v := new(big.Int).SetBytes(b)
		if b[0] >= 0x80 {
			v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
		return new(big.Rat).SetFrac(v, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)).FloatString(scale), nil
	}
	return "", fmt.Errorf("schema name %q", f.Name)
}

// geometry puts SRID and WKB together as the servers store them.
func (f *field) geometry(raw json.RawMessage) (string, error) {
	var g struct {
		X, Y *float64
		WKB  []byte
		SRID *int32
	}
	if err := json.Unmarshal(raw, &g); err != nil {
		return "", err
	}
	if f.Name == "io.debezium.data.geometry.Point" {
		if g.X == nil || g.Y == nil || len(g.WKB) != 21 {
			return "", fmt.Errorf("point %s", raw)
		}
		x, y := math.Float64frombits(binary.LittleEndian.Uint64(g.WKB[5:])), math.Float64frombits(binary.LittleEndian.Uint64(g.WKB[13:]))
		if x != *g.X || y != *g.Y {
			return "", fmt.Errorf("x and y are not those of wkb: %s", raw)
		}
	}
	srid := uint32(0)
	if g.SRID != nil {
		srid = uint32(*g.SRID)
	}
	return hex.EncodeToString(append(binary.LittleEndian.AppendUint32(nil, srid), g.WKB...)), nil
}

// sameText says whether two spellings of a column's value mean the same.
func (c *column) sameText(want, got string) bool {
	if want == got {
		return true
	}
	switch c.fam {
	case document:
		return sameJSON(want, got)
	case decimal: // ZEROFILL prints zeros in front
		x, okX := new(big.Rat).SetString(want)
		y, okY := new(big.Rat).SetString(got)
		return okX && okY && x.Cmp(y) == 0 && len(got)-strings.IndexByte(got+".", '.') == len(want)-strings.IndexByte(want+".", '.')
	case year, bit, integer:
		return strings.TrimLeft(want, "0") == strings.TrimLeft(got, "0")
	case uuid:
		return strings.EqualFold(want, got)
	}
	return false
}

// sameJSON compares documents by meaning: order of keys, blanks and spellings of numbers aside. What JSON has no type for is text in both, which the server's
// rendering marks and events do not.
func sameJSON(a, b string) bool {
	x, errX := parseJSON(a)
	y, errY := parseJSON(b)
	return errX == nil && errY == nil && sameValue(x, y)
}

func parseJSON(s string) (any, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, fmt.Errorf("more behind the document")
	}
	return v, nil
}

func sameValue(a, b any) bool {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for k := range x {
			if v, ok := y[k]; !ok || !sameValue(x[k], v) {
				return false
			}
		}
		return true
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !sameValue(x[i], y[i]) {
				return false
			}
		}
		return true
	case json.Number:
		y, ok := b.(json.Number)
		return ok && sameNumber(x.String(), y.String())
	case string:
		y, ok := b.(string)
		return ok && plain(x) == plain(y)
	}
	return a == b
}

// plain undoes what a rendering adds to values of SQL types.
func plain(s string) string {
	if rest, ok := strings.CutPrefix(s, "base64:type"); ok {
		if _, b, ok := strings.Cut(rest, ":"); ok {
			if _, err := base64.StdEncoding.DecodeString(b); err == nil {
				return b
			}
		}
	}
	if len(s) >= 15 && s[len(s)-7] == '.' && strings.Count(s, ":") == 2 {
		return trimFraction(s)
	}
	return s
}

// maxDoubleDigits is how many digits tell any two doubles apart.
const maxDoubleDigits = 17

// sameNumber compares numbers exactly, but for spellings of doubles, of which one has all its digits and the other as many as are needed.
func sameNumber(a, b string) bool {
	x, okX := new(big.Rat).SetString(a)
	y, okY := new(big.Rat).SetString(b)
	if !okX || !okY {
		return false
	}
	if x.Cmp(y) == 0 {
		return true
	}
	if !strings.ContainsAny(a+b, ".eE") || min(digitsOf(a), digitsOf(b)) > maxDoubleDigits {
		return false
	}
	f, errF := strconv.ParseFloat(a, 64)
	g, errG := strconv.ParseFloat(b, 64)
	return errF == nil && errG == nil && f == g
}

// digitsOf counts the digits that matter.
func digitsOf(s string) int {
	s, _, _ = strings.Cut(strings.ToLower(s), "e")
	return len(strings.TrimLeft(strings.Trim(strings.ReplaceAll(s, ".", ""), "-0"), "0"))
}
