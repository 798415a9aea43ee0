package converter

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bufbuild/protocompile"
	"github.com/santhosh-tekuri/jsonschema/v6"
	twmb "github.com/twmb/avro"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/rowmesh/rowmesh/publisher/record"
)

// TestOtherReaders writes the keys and values of every type case and has them read by libraries that know nothing of this package, by the schema that was registered
// alone. What they read must be what was recorded.
func TestOtherReaders(t *testing.T) {
	if testing.Short() {
		t.Skip("3000 texts through three libraries take seconds, and minutes with the race detector")
	}
	for _, f := range []struct {
		kind string
		read func(schema string, b []byte, d record.Data) error
	}{{"avro", (&avroReader{map[string]*twmb.Schema{}}).check}, {"protobuf", (&protoReader{map[string]protoreflect.MessageDescriptor{}}).check}, {"jsonschema", (&jsonReader{map[string]*jsonschema.Schema{}}).check}} {
		t.Run(f.kind, func(t *testing.T) {
			t.Parallel()
			inputs := newInputs(t)
			registry := newFakeRegistry(t)
			converters := map[string]record.Converter{"key": newConverter(t, Key, f.kind, "schema.registry.url="+registry.URL), "value": newConverter(t, Value, f.kind, "schema.registry.url="+registry.URL)}
			n, failed := 0, 0
			for _, g := range readGoldens(t, f.kind) {
				if g.Error != "" || digitInNamespace.MatchString(g.Topic) {
					continue
				}
				d := inputs.read(t, g)
				b, null, err := converters[g.Part].Append(nil, g.Topic, nil, d)
				if err == nil && !null {
					n++
					err = f.read(registry.text(int(binary.BigEndian.Uint32(b[1:]))), b[5:], d)
				}
				if err != nil {
					if failed++; failed <= 5 {
						t.Errorf("%s/%s line %d %s: %v", g.Case, g.Engine, g.Line, g.Part, err)
					}
				}
			}
			if n == 0 || failed > 5 {
				t.Errorf("%d of %d failed", failed, n)
			}
			t.Logf("%d keys and values", n)
		})
	}
}

// digitInNamespace matches the topics of tables whose names begin with a digit or hold a hyphen: a part of the schema's namespace, which Debezium does not adjust and Java takes as it is,
// but others do not read.
var digitInNamespace = regexp.MustCompile(`\.[0-9][^.]*$|-`)

type avroReader struct{ schemas map[string]*twmb.Schema }

func (r *avroReader) check(text string, b []byte, d record.Data) error {
	s := r.schemas[text]
	if s == nil {
		var err error
		// As plain numbers and bytes; what dates and decimals mean is another matter.
		if s, err = twmb.Parse(regexp.MustCompile(`,"logicalType":"[a-z-]+"`).ReplaceAllString(text, "")); err != nil {
			return err
		}
		r.schemas[text] = s
	}
	var got any
	rest, err := s.Decode(b, &got)
	if err != nil || len(rest) > 0 {
		return fmt.Errorf("%w, %d bytes left", err, len(rest))
	}
	return sameAs("", got, d.Schema, d.Value)
}

// sameAs compares what a reader without types gives with a value.
func sameAs(at string, got any, s *record.Schema, v record.Value) error {
	v = record.OrDefault(v, s)
	if v.IsNull() || got == nil {
		if v.IsNull() != (got == nil) {
			return fmt.Errorf("%s: got %v, null is %v", at, got, v.IsNull())
		}
		return nil
	}
	ok := false
	switch got := got.(type) {
	case bool:
		ok = got == v.Bool() && v.Kind() == record.BoolKind
	case int32:
		ok = int64(got) == v.Int() && v.Kind() == record.IntKind
	case int64:
		ok = got == v.Int() && v.Kind() == record.IntKind
	case float32:
		ok = got == float32(v.Float()) || got != got && v.Float() != v.Float()
	case float64:
		ok = got == v.Float() || got != got && v.Float() != v.Float()
	case string:
		ok = got == string(javaUTF8(v.Bytes())) && v.Kind() == record.StringKind
	case []byte:
		ok = bytes.Equal(got, v.Bytes()) && v.Kind() != record.StringKind
	case []any:
		list := v.List()
		ok = len(list) == len(got) && v.Kind() == record.ListKind
		for i := 0; ok && i < len(got); i++ {
			if err := sameAs(fmt.Sprintf("%s[%d]", at, i), got[i], s.Elem, list[i]); err != nil {
				return err
			}
		}
	case map[string]any:
		data := v.Struct()
		ok = data != nil && len(got) == len(data.Values)
		for i := 0; ok && i < len(data.Values); i++ {
			f := data.Schema.Fields[i]
			if err := sameAs(at+"."+f.Name, got[f.Name], f.Schema, data.Values[i]); err != nil {
				return err
			}
		}
	}
	if !ok {
		return fmt.Errorf("%s: got %T %v, want kind %d", at, got, got, v.Kind())
	}
	return nil
}

type protoReader struct {
	messages map[string]protoreflect.MessageDescriptor
}

// protoFiles are the files that schemas refer to and that no Go module here brings.
var protoFiles = map[string]string{
	"confluent/type/decimal.proto": `syntax = "proto3"; package confluent.type; message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }`,
	"google/type/date.proto":       `syntax = "proto3"; package google.type; message Date { int32 year = 1; int32 month = 2; int32 day = 3; }`,
	"google/type/timeofday.proto":  `syntax = "proto3"; package google.type; message TimeOfDay { int32 hours = 1; int32 minutes = 2; int32 seconds = 3; int32 nanos = 4; }`,
}

func (r *protoReader) message(text string) (protoreflect.MessageDescriptor, error) {
	if m := r.messages[text]; m != nil {
		return m, nil
	}
	files := map[string]string{"schema.proto": regexp.MustCompile(` \[\(confluent\.field_meta\)[^;]*\]`).ReplaceAllString(text, "")}
	for name, source := range protoFiles {
		files[name] = source
	}
	c := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(files)})}
	found, err := c.Compile(context.Background(), "schema.proto")
	if err != nil {
		return nil, err
	}
	m := found[0].Messages().Get(0)
	r.messages[text] = m
	return m, nil
}

func (r *protoReader) check(text string, b []byte, d record.Data) error {
	desc, err := r.message(text)
	if err != nil {
		return err
	}
	if len(b) == 0 || b[0] != 0 {
		return fmt.Errorf("the message's index is %x", b)
	}
	m := dynamicpb.NewMessage(desc)
	if err := (proto.UnmarshalOptions{}).Unmarshal(b[1:], m); err != nil {
		return err
	}
	if len(m.GetUnknown()) > 0 {
		return fmt.Errorf("unknown fields %x", m.GetUnknown())
	}
	return sameMessage("", m, d.Value.Struct())
}

func sameMessage(at string, m protoreflect.Message, d *record.StructData) error {
	for i, f := range d.Schema.Fields {
		fd := m.Descriptor().Fields().ByName(protoreflect.Name(f.Name))
		if fd == nil {
			return fmt.Errorf("%s: the message has no field %s", at, f.Name)
		}
		if err := sameField(at+"."+f.Name, m, fd, f.Schema, d.At(i)); err != nil {
			return err
		}
	}
	return nil
}

func sameField(at string, m protoreflect.Message, fd protoreflect.FieldDescriptor, s *record.Schema, v record.Value) error {
	got := m.Get(fd)
	switch {
	case v.IsNull():
		if m.Has(fd) {
			return fmt.Errorf("%s: got %v, want nothing", at, got)
		}
		return nil
	case v.Kind() == record.ListKind:
		list := v.List()
		if got.List().Len() != len(list) {
			return fmt.Errorf("%s: %d elements, want %d", at, got.List().Len(), len(list))
		}
		for i, e := range list {
			if err := sameScalar(fmt.Sprintf("%s[%d]", at, i), got.List().Get(i), s.Elem, e); err != nil {
				return err
			}
		}
		return nil
	}
	return sameScalar(at, got, s, v)
}

func sameScalar(at string, got protoreflect.Value, s *record.Schema, v record.Value) error {
	part := func(name string) int64 {
		m := got.Message()
		f := m.Descriptor().Fields().ByName(protoreflect.Name(name))
		switch n := m.Get(f).Interface().(type) {
		case int32:
			return int64(n)
		case uint32:
			return int64(n)
		case int64:
			return n
		}
		return math.MinInt64
	}
	ok := false
	switch s.Name {
	case record.DecimalName:
		value := got.Message().Get(got.Message().Descriptor().Fields().ByName("value")).Bytes()
		ok = bytes.Equal(value, v.Bytes()) && part("scale") == int64(v.Scale()) && part("precision") == int64(len(strings.TrimPrefix(record.BigInt(v.Bytes()).String(), "-")))
	case record.DateName:
		at := time.Date(int(part("year")), time.Month(part("month")), int(part("day")), 0, 0, 0, 0, time.UTC)
		ok = at.Unix() == v.Int()*24*60*60
	case record.TimeName:
		ok = ((part("hours")*60+part("minutes"))*60+part("seconds"))*1000+part("nanos")/1_000_000 == v.Int()
	case record.TimestampName:
		ok = part("seconds")*1000+part("nanos")/1_000_000 == v.Int()
	default:
		switch got := got.Interface().(type) {
		case protoreflect.Message:
			return sameMessage(at, got, v.Struct())
		default:
			return sameAs(at, got, s, v)
		}
	}
	if !ok {
		return fmt.Errorf("%s: got %v", at, got)
	}
	return nil
}

type jsonReader struct{ schemas map[string]*jsonschema.Schema }

// check validates the text by the registered schema, and compares it with what Kafka's JsonConverter wrote, of which it is a kind.
func (r *jsonReader) check(text string, b []byte, d record.Data) error {
	s := r.schemas[text]
	if s == nil {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			return err
		}
		c := jsonschema.NewCompiler()
		c.DefaultDraft(jsonschema.Draft7)
		if err := c.AddResource("schema.json", doc); err != nil {
			return err
		}
		if s, err = c.Compile("schema.json"); err != nil {
			return err
		}
		r.schemas[text] = s
	}
	got, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		return err
	}
	if strings.Contains(string(b), `"NaN"`) || strings.Contains(string(b), `Infinity"`) {
		return sameJSON("", got, d.Schema, d.Value) // which JSON has no numbers for
	}
	if err := s.Validate(got); err != nil {
		return err
	}
	return sameJSON("", got, d.Schema, d.Value)
}

func sameJSON(at string, got any, s *record.Schema, v record.Value) error {
	v = record.OrDefault(v, s)
	switch g := got.(type) {
	case json.Number:
		if v.Kind() == record.IntKind {
			n, err := g.Int64()
			if err != nil || n != v.Int() {
				return fmt.Errorf("%s: got %s, want %d", at, g, v.Int())
			}
			return nil
		}
		n, err := g.Float64()
		if err != nil || n != v.Float() && float32(n) != float32(v.Float()) {
			return fmt.Errorf("%s: got %s, want %v", at, g, v.Float())
		}
		return nil
	case string:
		switch v.Kind() {
		case record.BytesKind, record.DecimalKind:
			if g != base64.StdEncoding.EncodeToString(v.Bytes()) {
				return fmt.Errorf("%s: got %s", at, g)
			}
			return nil
		case record.FloatKind:
			return nil
		}
	case []any:
		for i, e := range g {
			if err := sameJSON(at, e, s.Elem, v.List()[i]); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		data := v.Struct()
		if data == nil || len(g) != len(data.Values) {
			return fmt.Errorf("%s: %d members", at, len(g))
		}
		for i, f := range data.Schema.Fields {
			if err := sameJSON(at+"."+f.Name, g[f.Name], f.Schema, data.Values[i]); err != nil {
				return err
			}
		}
		return nil
	}
	return sameAs(at, got, s, v)
}
