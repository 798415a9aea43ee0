package converter

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

func newConverter(t testing.TB, role Role, kind string, options ...string) record.Converter {
	t.Helper()
	m := map[string]string{}
	for _, o := range options {
		k, v, _ := strings.Cut(o, "=")
		m[k] = v
	}
	c, err := New(role, config.NewConverter(kind, m), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestJavaText(t *testing.T) {
	inner := record.NewStruct([]record.Field{{Name: "x", Schema: record.Of(record.Float32, true)}, {Name: "n", Schema: record.Of(record.String, true)}})
	list := &record.Schema{Type: record.Array, Elem: record.Of(record.String, true)}
	entries := &record.Schema{Type: record.Map, Key: record.Of(record.String, false), Elem: record.Of(record.Int32, true)}
	outer := record.NewStruct([]record.Field{
		{Name: "i", Schema: record.Of(record.Int64, false)}, {Name: "s", Schema: inner}, {Name: "l", Schema: list}, {Name: "m", Schema: entries},
		{Name: "b", Schema: record.Of(record.Bytes, false)}, {Name: "d", Schema: record.Of(record.Bytes, false)}, {Name: "t", Schema: record.TimestampSchema(false)},
		{Name: "f", Schema: record.Of(record.Float64, false)}, {Name: "o", Schema: record.Of(record.Boolean, true)}})
	v := record.StructOf(&record.StructData{Schema: outer, Values: []record.Value{
		record.IntOf(-5), record.StructOf(&record.StructData{Schema: inner, Values: []record.Value{record.FloatOf(1e10), record.Null}}),
		record.ListOf([]record.Value{record.StringOf("a b"), record.Null}), record.MapOf([]record.Entry{{Key: record.StringOf("k"), Value: record.IntOf(1)}}),
		record.BytesOf([]byte{0, 1, 2}), record.DecimalOf([]byte{150}, 2), record.IntOf(1_700_000_000_000), record.FloatOf(math.NaN()), record.Null}})
	const want = "Struct{i=-5,s=Struct{x=1.0E10},l=[a b, null],m={k=1},b=java.nio.HeapByteBuffer[pos=0 lim=3 cap=3],d=-1.06,t=Tue Nov 14 22:13:20 UTC 2023,f=NaN}"
	got, null, err := newConverter(t, Value, "string").Append([]byte("x"), "t", nil, record.Data{Schema: outer, Value: v})
	if string(got) != "x"+want || null || err != nil {
		t.Errorf("got  %s, %v, %v\nwant %s", got, null, err, want)
	}
}

func TestEncodings(t *testing.T) {
	half := record.TextOf([]byte("a\xED\xA0\xBDb")) // half of an emoji
	for _, c := range []struct {
		encoding string
		v        record.Value
		want     string
	}{
		{"UTF8", half, "a?b"},
		{"utf-8", record.StringOf("é😀"), "é😀"},
		{"ISO-8859-1", record.StringOf("é漢"), "\xe9?"},
		{"US-ASCII", record.StringOf("é"), "?"},
		{"UTF-16", record.StringOf("a😀"), "\xfe\xff\x00a\xd8\x3d\xde\x00"},
		{"UTF-16LE", record.StringOf("a"), "a\x00"},
	} {
		got, _, err := newConverter(t, Key, "string", "converter.encoding="+c.encoding).Append(nil, "t", nil, record.Data{Value: c.v})
		if string(got) != c.want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", c.encoding, got, err, c.want)
		}
	}
	if _, err := New(Key, config.NewConverter("string", map[string]string{"converter.encoding": "EBCDIC"}), nil); err == nil || !strings.Contains(err.Error(), "key.converter.converter.encoding") {
		t.Errorf("an unknown encoding: %v", err)
	}
}

func TestPlainConverters(t *testing.T) {
	of := func(typ record.Type, v record.Value) record.Data {
		return record.Data{Schema: record.Of(typ, true), Value: v}
	}
	for _, c := range []struct {
		kind string
		d    record.Data
		want string
		err  string
	}{
		{"short", of(record.Int16, record.IntOf(-2)), "\xff\xfe", ""},
		{"integer", of(record.Int32, record.IntOf(258)), "\x00\x00\x01\x02", ""},
		{"long", of(record.Int64, record.IntOf(1)), "\x00\x00\x00\x00\x00\x00\x00\x01", ""},
		{"float", of(record.Float32, record.FloatOf(1.5)), "\x3f\xc0\x00\x00", ""},
		{"double", of(record.Float64, record.FloatOf(-2)), "\xc0\x00\x00\x00\x00\x00\x00\x00", ""},
		{"boolean", of(record.Boolean, record.BoolOf(true)), "\x01", ""},
		{"boolean", of(record.Int32, record.IntOf(1)), "", "Invalid schema type for BooleanConverter: INT32"},
		{"bytearray", of(record.Bytes, record.BytesOf([]byte("ab"))), "ab", ""},
		{"bytearray", of(record.Struct, record.Null), "", "Invalid schema type for ByteArrayConverter: STRUCT"},
		{"bytearray", record.Data{Value: record.StringOf("x")}, "", "ByteArrayConverter is not compatible with objects of type class java.lang.String"},
		{"binary", of(record.Bytes, record.BytesOf([]byte("ab"))), "ab", ""},
		{"binary", of(record.Int32, record.IntOf(1)), "", "delegate.converter.type"},
		{"simple", of(record.String, record.StringOf("a\"b")), `a"b`, ""},
		{"json", record.Data{Value: record.IntOf(3)}, `{"schema":null,"payload":3}`, ""},
	} {
		got, null, err := newConverter(t, Header, c.kind).Append([]byte("-"), "t", nil, c.d)
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) || errs.KindOf(err) != errs.Invalid || string(got) != "-" {
				t.Errorf("%s: got %q, %v, want the error %s", c.kind, got, err, c.err)
			}
		case string(got) != "-"+c.want || null || err != nil:
			t.Errorf("%s: got %q, %v, %v, want %q", c.kind, got, null, err, c.want)
		}
	}
	for _, kind := range []string{"string", "bytearray", "long", "binary", "simple", "json"} {
		if got, null, err := newConverter(t, Value, kind).Append(nil, "t", nil, record.Data{}); !null || err != nil || len(got) > 0 {
			t.Errorf("%s: a tombstone is %q, %v, %v", kind, got, null, err)
		}
	}
}

func TestDelegate(t *testing.T) {
	c := newConverter(t, Value, "binary", "delegate.converter.type=org.apache.kafka.connect.json.JsonConverter", "delegate.converter.type.schemas.enable=false")
	got, _, err := c.Append(nil, "t", nil, record.Data{Schema: record.Of(record.Int32, false), Value: record.IntOf(4)})
	if string(got) != "4" || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestScrubbedNames(t *testing.T) {
	got := map[string]string{}
	for _, name := range []string{"plain_1", "1st", "a b", "a-b", "é", "_x", "a/b", ""} {
		got[name] = scrub(name, false) + " " + scrub(name, true)
	}
	want := map[string]string{"plain_1": "plain_1 plain_1", "1st": "x1st x1st", "a b": "a_b a_b", "a-b": "a_b a_b", "é": "_C3_A9 _C3_A9", "_x": "_x x_x", "a/b": "a_2Fb a_2Fb", "": " "}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
