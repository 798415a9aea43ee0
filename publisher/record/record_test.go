package record

import (
	"math/big"
	"strings"
	"testing"
	"testing/quick"

	"github.com/google/go-cmp/cmp"
)

// TestDecimalSpelling: as Java's BigDecimal.toString, and read back as BigDecimal(String) reads.
func TestDecimalSpelling(t *testing.T) {
	for _, c := range []struct {
		text  string
		scale int32
		want  string
	}{
		{"0", 0, "0"}, {"0.00", 2, "0.00"}, {"-1.50", 2, "-1.50"}, {"0.000001", 6, "0.000001"}, {"0.0000001", 7, "1E-7"}, {"0.00000012", 8, "1.2E-7"},
		{"12e3", -3, "1.2E+4"}, {"-1e-10", 10, "-1E-10"}, {"123456789012345678901234567890.5", 1, "123456789012345678901234567890.5"}, {"0E-10", 10, "0E-10"},
	} {
		v, err := ParseDecimal(c.text)
		if err != nil {
			t.Fatalf("%s: %v", c.text, err)
		}
		if got := string(AppendDecimal(nil, v)); v.Scale() != c.scale || got != c.want {
			t.Errorf("%s: scale %d, %s; want scale %d, %s", c.text, v.Scale(), got, c.scale, c.want)
		}
	}
	for _, text := range []string{"", "-", ".", "1.2.3", "1e", "0x1", "1e999999999", "NaN"} {
		if v, err := ParseDecimal(text); err == nil {
			t.Errorf("%q was read as %s", text, AppendDecimal(nil, v))
		}
	}
}

// TestTwosComplement: the shortest form, which reads back.
func TestTwosComplement(t *testing.T) {
	for n, want := range map[int64][]byte{0: {0}, 127: {127}, 128: {0, 128}, -1: {255}, -128: {128}, -129: {255, 127}, 256: {1, 0}, -32768: {128, 0}} {
		if diff := cmp.Diff(want, TwosComplement(big.NewInt(n))); diff != "" {
			t.Errorf("%d: %s", n, diff)
		}
	}
	if err := quick.Check(func(n int64) bool { return BigInt(TwosComplement(big.NewInt(n))).Int64() == n }, nil); err != nil {
		t.Error(err)
	}
}

// TestValues: what goes in comes out, and only as what it is.
func TestValues(t *testing.T) {
	schema := NewStruct([]Field{{"a", Of(Int32, false)}, {"b", &Schema{Type: String, Optional: true, Default: StringOf("d")}}})
	d := &StructData{Schema: schema, Values: []Value{IntOf(7), Null}}
	if d.Get("b").Text() != "d" || !d.Raw("b").IsNull() || !d.Get("nosuch").IsNull() {
		t.Errorf("b reads as %q", d.Get("b").Text())
	}
	d.Values[1] = KeptNull
	if !d.Get("b").IsNull() || !KeptNull.Equal(Null) {
		t.Error("a kept null reads as the default")
	}
	all := []Value{Null, BoolOf(true), IntOf(1), FloatOf(1), StringOf("1"), BytesOf([]byte("1")), DecimalOf([]byte{1}, 0), ListOf([]Value{IntOf(1)}),
		MapOf([]Entry{{StringOf("a"), IntOf(1)}}), StructOf(d)}
	for i, a := range all {
		for j, b := range all {
			if a.Equal(b) != (i == j) {
				t.Errorf("%s and %s: equal is %v", a.JavaClass(), b.JavaClass(), a.Equal(b))
			}
		}
		if a.Kind() != BoolKind && a.Bool() || a.Kind() != IntKind && a.Int() != 0 || a.Kind() != StringKind && a.Text() != "" || a.Kind() != ListKind && a.List() != nil ||
			a.Kind() != MapKind && a.Map() != nil || a.Kind() != StructKind && a.Struct() != nil {
			t.Errorf("%s is something else too", a.JavaClass())
		}
	}
	if StringOf("").Text() != "" || TextOf(nil).IsNull() || len(BytesOf(nil).Bytes()) != 0 {
		t.Error("empty texts")
	}
}

func TestSlab(t *testing.T) {
	var s Slab
	for round := range 3 {
		a := s.Values(3)
		b := s.Values(2 * slabValues)
		if len(a) != 3 || cap(a) != 3 || len(b) != 2*slabValues || !a[0].IsNull() || !b[len(b)-1].IsNull() {
			t.Fatalf("round %d: %d, %d, %d", round, len(a), cap(a), len(b))
		}
		a[0], b[len(b)-1] = IntOf(1), IntOf(2)
		if got := string(s.Copy([]byte("text"))); got != "text" {
			t.Fatalf("copy: %s", got)
		}
		s.Reset()
	}
	if n := testing.AllocsPerRun(100, func() { s.Values(100); s.Struct(&Schema{Type: Struct}); s.Reset() }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

// TestJSONRefuses: the errors of JsonConverter.
func TestJSONRefuses(t *testing.T) {
	j := &JSON{Schemas: true, NullDefault: true}
	for _, c := range []struct {
		d    Data
		want string
	}{
		{Data{Of(Int32, false), Null}, "Conversion error: null value for field that is required and has no default value"},
		{Data{Of(Int32, false), StringOf("x")}, "Invalid type for INT32: java.lang.String"},
		{Data{DecimalSchema(2, false), DecimalOf([]byte{1}, 0)}, "Decimal value has mismatching scale for given Decimal schema. Schema has scale 2, value has scale 0."},
		{Data{NewStruct([]Field{{"a", Of(Int32, true)}}), StructOf(&StructData{Schema: NewStruct(nil)})}, "Mismatching schema."},
	} {
		dst, _, err := j.Append([]byte("x"), "t", nil, c.d)
		if err == nil || err.Error() != c.want || string(dst) != "x" {
			t.Errorf("got %v and %q, want %s", err, dst, c.want)
		}
	}
	if _, null, err := j.Append(nil, "t", nil, Data{}); !null || err != nil {
		t.Errorf("data without schema and value: null %v, %v", null, err)
	}
	if got, null, err := j.Append(nil, "t", nil, Data{Of(Int32, true), Null}); string(got) != `{"schema":{"type":"int32","optional":true},"payload":null}` || null || err != nil {
		t.Errorf("null with a schema: %s, %v, %v", got, null, err)
	}
}

// TestNaturalJSON: JSON without a schema reads and writes the same.
func TestNaturalJSON(t *testing.T) {
	for _, text := range []string{`null`, `true`, `-5`, `1.5`, `"a\"b\\\n\uD83D\uDE00é"`, `"\uD83D"`, `[]`, `{}`, `[1,[2,{"a":null}]]`, `{"a":{"b":[true,false]},"c":"` + strings.Repeat("x", 100) + `"}`} {
		var slab Slab
		v, err := DecodePayload([]byte(text), nil, &slab)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		got, err := (&JSON{}).AppendPayload(nil, nil, v)
		if err != nil || string(got) != text {
			t.Errorf("%s became %s, %v", text, got, err)
		}
	}
	for _, text := range []string{``, `[1,`, `{"a"}`, `"a`, `"\u12"`, `tru`, `[1 2]`, `1 2`, `{"a":1,}x`, strings.Repeat("[", 2000)} {
		if _, err := DecodePayload([]byte(text), nil, &Slab{}); err == nil {
			t.Errorf("%.40q was read", text)
		}
	}
}

// FuzzDecode: no text panics, and what is read writes.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"a":[1,2.5,"x\u0041",null,{"b":true}]}`))
	f.Add([]byte(`{"type":"struct","fields":[{"type":"int32","optional":false,"default":5,"field":"a"}],"optional":false}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if v, err := DecodePayload(text, nil, &Slab{}); err == nil {
			if _, err := (&JSON{}).AppendPayload(nil, nil, v); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
		if s, err := ParseSchema(text); err == nil && s != nil {
			(&JSON{}).AppendSchema(nil, s)
		}
	})
}
