package converter

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

func person(fields ...string) *record.Schema {
	var list []record.Field
	for _, f := range fields {
		name, optional := strings.CutSuffix(f, "?")
		list = append(list, record.Field{Name: name, Schema: record.Of(record.Int32, optional)})
	}
	s := record.NewStruct(list)
	s.Name = "app.Person"
	return s
}

func numbers(s *record.Schema, ns ...int64) record.Data {
	d := &record.StructData{Schema: s}
	for _, n := range ns {
		d.Values = append(d.Values, record.IntOf(n))
	}
	return record.Data{Schema: s, Value: record.StructOf(d)}
}

// TestIDsAreAskedOnce: a schema costs one question, whatever comes between.
func TestIDsAreAskedOnce(t *testing.T) {
	registry := newFakeRegistry(t)
	c := newConverter(t, Value, "avro", "schema.registry.url="+registry.URL)
	for range 3 {
		for _, s := range []*record.Schema{record.Of(record.Int32, false), record.Of(record.Int64, true)} {
			for _, topic := range []string{"a", "b"} {
				if _, _, err := c.Append(nil, topic, nil, record.Data{Schema: s, Value: record.IntOf(7)}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if got := registry.asked("POST /subjects/"); got != 4 {
		t.Errorf("%d questions, want 4: two schemas under two subjects", got)
	}
	// A schema at another address that has the same text is known too.
	if _, _, err := c.Append(nil, "a", nil, record.Data{Schema: record.Of(record.Int32, false), Value: record.IntOf(7)}); err != nil || registry.asked("POST /subjects/") != 4 {
		t.Errorf("%d questions after the same text, %v", registry.asked("POST /subjects/"), err)
	}
}

func TestSubjects(t *testing.T) {
	for _, c := range []struct {
		role     Role
		strategy string
		want     string
	}{
		{Key, "TopicNameStrategy", "t-key"}, {Value, "io.confluent.kafka.serializers.subject.TopicNameStrategy", "t-value"},
		{Key, "io.confluent.kafka.serializers.subject.RecordNameStrategy", "app.Person"}, {Value, "TopicRecordNameStrategy", "t-app.Person"},
	} {
		for _, kind := range []string{"avro", "protobuf", "jsonschema"} {
			registry := newFakeRegistry(t)
			part := strings.TrimSuffix(c.role.Option(), ".converter")
			conv := newConverter(t, c.role, kind, "schema.registry.url="+registry.URL, part+".subject.name.strategy="+c.strategy)
			if _, _, err := conv.Append(nil, "t", nil, numbers(person("a"), 1)); err != nil {
				t.Fatal(err)
			}
			if got := registry.requests[0]; got != "POST /subjects/"+c.want+"/versions" {
				t.Errorf("%s of %s by %s: %s", part, kind, c.strategy, got)
			}
		}
	}
	c := newConverter(t, Value, "avro", "schema.registry.url=http://localhost:1", "value.subject.name.strategy=RecordNameStrategy")
	if _, _, err := c.Append(nil, "t", nil, record.Data{Schema: record.Of(record.Int32, false), Value: record.IntOf(1)}); err == nil || !strings.Contains(err.Error(), "must only be a record schema") {
		t.Errorf("a number has no record name: %v", err)
	}
}

// TestRefusals: what the registry says becomes an error of the right kind, with the subject, the registry and what to do, and nothing is written.
func TestRefusals(t *testing.T) {
	answer := func(status int, body string) func(w http.ResponseWriter, r *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return true
		}
	}
	quick := []string{"max.retries=1", "retries.wait.ms=1"}
	for _, c := range []struct {
		name    string
		before  func(w http.ResponseWriter, r *http.Request) bool
		options []string
		kind    errs.Kind
		want    string
	}{
		{"incompatible", answer(409, `{"error_code":409,"message":"Schema being registered is incompatible"}`), nil, errs.Invalid, "PUT /config/t-value"},
		{"invalid", answer(422, `{"error_code":42201,"message":"Input schema is an invalid Avro schema"}`), nil, errs.Invalid, "refuses the schema of subject t-value"},
		{"unauthorized", answer(401, `{"error_code":401,"message":"Unauthorized"}`), nil, errs.Denied, "basic.auth.user.info"},
		{"forbidden", answer(403, `no`), nil, errs.Denied, "403"},
		{"not registered", nil, []string{"auto.register.schemas=false"}, errs.Invalid, "auto.register.schemas=true"},
		{"no latest", nil, []string{"auto.register.schemas=false", "use.latest.version=true"}, errs.Invalid, "not registered under subject t-value"},
		{"broken", answer(500, `{"error_code":50001,"message":"Error in the backend data store"}`), quick, errs.Unavailable, "backend data store"},
		{"a proxy's page", answer(200, `<html>welcome</html>`), quick, errs.Unavailable, "is the registry up"},
		{"a page that is not found", answer(404, `<html>`), nil, errs.Invalid, "t-value"},
		{"no id", answer(200, `{"version":1}`), quick, errs.Unavailable, "without an id"},
		{"an id that is none", answer(200, `{"id":"x"}`), quick, errs.Unavailable, "t-value"},
		{"an endless answer", func(w http.ResponseWriter, r *http.Request) bool {
			for range 3 * maxAnswerBytes / (64 << 10) {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return true
				}
			}
			return true
		}, quick, errs.Unavailable, "t-value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			registry := newFakeRegistry(t)
			registry.before = c.before
			conv := newConverter(t, Value, "avro", append(c.options, "schema.registry.url="+registry.URL)...)
			got, _, err := conv.Append([]byte("before"), "t", nil, numbers(person("a"), 1))
			if err == nil || errs.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), registry.URL) || string(got) != "before" {
				t.Errorf("got %q, %s: %v\nwant %s and %q", got, errs.KindOf(err), err, c.kind, c.want)
			}
		})
	}
}

// TestRetry: a registry that comes back is asked again, and one of several that is down costs nothing but a try.
func TestRetry(t *testing.T) {
	down, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := down.Addr().String()
	down.Close()
	registry := newFakeRegistry(t)
	failures := 2
	registry.before = func(w http.ResponseWriter, r *http.Request) bool {
		if failures--; failures >= 0 {
			answerError(w, 503, 50301, "starting")
			return true
		}
		return false
	}
	c := newConverter(t, Value, "avro", "schema.registry.url=http://"+dead+", "+registry.URL, "retries.wait.ms=1")
	if _, _, err := c.Append(nil, "t", nil, numbers(person("a"), 1)); err != nil {
		t.Fatal(err)
	}
	if n := registry.asked("POST"); n != 3 {
		t.Errorf("%d questions, want 3", n)
	}
}

// TestDoneEndsAQuestion: a lane that ends does not wait for a registry that does not answer.
func TestDoneEndsAQuestion(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	registry := newFakeRegistry(t)
	registry.before = func(w http.ResponseWriter, r *http.Request) bool {
		close(asked)
		<-answer
		return true
	}
	done := make(chan struct{})
	c, err := New(Value, config.NewConverter("avro", map[string]string{"schema.registry.url": registry.URL}), done)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-asked
		close(done)
	}()
	started := time.Now()
	_, _, err = c.Append(nil, "t", nil, numbers(person("a"), 1))
	close(answer)
	if errs.KindOf(err) != errs.Unavailable || time.Since(started) > questionLimit/2 {
		t.Errorf("after %v: %v", time.Since(started), err)
	}
}

func TestCredentials(t *testing.T) {
	for _, c := range []struct {
		options []string
		user    string // in front of the host
		want    string
	}{
		{nil, "", ""},
		{nil, "ann:s3cret@", "Basic YW5uOnMzY3JldA=="},
		{[]string{"basic.auth.credentials.source=USER_INFO", "basic.auth.user.info=ann:s3cret"}, "", "Basic YW5uOnMzY3JldA=="},
		{[]string{"schema.registry.basic.auth.user.info=ann:s3cret", "basic.auth.credentials.source=USER_INFO"}, "bob:x@", "Basic YW5uOnMzY3JldA=="},
		{[]string{"bearer.auth.token=t0k"}, "", "Bearer t0k"},
	} {
		registry := newFakeRegistry(t)
		got := ""
		registry.before = func(w http.ResponseWriter, r *http.Request) bool {
			got = r.Header.Get("Authorization")
			answerError(w, 401, 401, "no")
			return true
		}
		conv := newConverter(t, Value, "avro", append(c.options, "schema.registry.url="+strings.Replace(registry.URL, "//", "//"+c.user, 1))...)
		_, _, err := conv.Append(nil, "t", nil, numbers(person("a"), 1))
		if got != c.want {
			t.Errorf("%v: got %q, want %q", c.options, got, c.want)
		}
		if err == nil || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "t0k") {
			t.Errorf("%v: %v", c.options, err)
		}
	}
}

// TestLatestVersion: values are written by the registry's schema, fields found by name.
func TestLatestVersion(t *testing.T) {
	registry := newFakeRegistry(t)
	registry.texts = []string{`{"type":"record","name":"Person","namespace":"app","fields":[{"name":"new","type":["null","string"],"default":null},{"name":"b","type":"long"},{"name":"a","type":["int","null"]}]}`}
	registry.kinds, registry.subjects = []string{""}, map[string][]int{"t-value": {1}}
	c := newConverter(t, Value, "avro", "schema.registry.url="+registry.URL, "auto.register.schemas=false", "use.latest.version=true")
	got, _, err := c.Append(nil, "t", nil, numbers(person("a", "b", "gone?"), 1, 2, 3))
	if want := "\x00\x00\x00\x00\x01\x00\x04\x00\x02"; string(got) != want || err != nil {
		t.Errorf("got %x, %v, want %x", got, err, want)
	}
	registry.compatible = func(string, string) bool { return false }
	if _, _, err := c.Append(nil, "t", nil, numbers(person("a", "b"), 1, 2)); err == nil || !strings.Contains(err.Error(), "latest.compatibility.strict=false") {
		t.Errorf("an incompatible schema: %v", err)
	}
	lax := newConverter(t, Value, "avro", "schema.registry.url="+registry.URL, "auto.register.schemas=false", "use.latest.version=true", "latest.compatibility.strict=false")
	if _, _, err := lax.Append(nil, "t", nil, numbers(person("a"), 1)); err == nil || !strings.Contains(err.Error(), "field b, which the data lacks") {
		t.Errorf("a field that may not be null: %v", err)
	}
}

func TestSchemaByID(t *testing.T) {
	registry := newFakeRegistry(t)
	registry.texts = []string{`"string"`, `{"type":"record","name":"app.Person","fields":[{"name":"a","type":"int"}]}`}
	registry.kinds = []string{"", ""}
	c := newConverter(t, Value, "avro", "schema.registry.url="+registry.URL, "auto.register.schemas=false", "use.schema.id=2")
	got, _, err := c.Append(nil, "t", nil, numbers(person("a", "b"), 5, 6))
	if want := "\x00\x00\x00\x00\x02\x0a"; string(got) != want || err != nil {
		t.Errorf("got %x, %v, want %x", got, err, want)
	}
}

// TestMemoryIsBounded: schemas that never come again do not stay.
func TestMemoryIsBounded(t *testing.T) {
	registry := newFakeRegistry(t)
	c := newConverter(t, Value, "avro", "schema.registry.url="+registry.URL, "max.schemas.per.subject=8").(*registered)
	for i := range 100 {
		if _, _, err := c.Append(nil, "t", nil, numbers(person(fmt.Sprintf("f%d", i)), 1)); err != nil {
			t.Fatal(err)
		}
		if len(c.plans) > 8 || len(c.uses) > 8 || len(c.registry.known) > 8 {
			t.Fatalf("%d plans, %d uses, %d ids", len(c.plans), len(c.uses), len(c.registry.known))
		}
	}
}

// TestBadOptions: errors name the option, and hold no secret.
func TestBadOptions(t *testing.T) {
	for _, c := range []struct{ kind, options, want string }{
		{"avro", "", `"value.converter.schema.registry.url" which has no default`},
		{"avro", "schema.registry.url=registry:8081", "value.converter.schema.registry.url"},
		{"avro", "schema.registry.url=ann:s3cret@x", "***@x"},
		{"avro", "schema.registry.url=http://r;value.subject.name.strategy=com.example.Mine", "value.converter.value.subject.name.strategy: com.example.Mine"},
		{"avro", "schema.registry.url=http://r;basic.auth.credentials.source=USER_INFO;basic.auth.user.info=s3cret", "value.converter.basic.auth.user.info"},
		{"avro", "schema.registry.url=http://r;basic.auth.credentials.source=SASL_INHERIT", "SASL_INHERIT is not supported"},
		{"avro", "schema.registry.url=https://r;schema.registry.ssl.truststore.location=/does/not/exist.jks", "schema.registry.ssl.truststore.location"},
		{"cloudevents", "serializer.type=avro", "Cannot use 'application/json' data content type within Avro events"},
		{"cloudevents", "data.serializer.type=avro", "Need URL(s) for schema registry"},
		{"cloudevents", "data.serializer.type=avro;avro.apicurio.registry.url=http://r", "/apis/ccompat/v7"},
		{"cloudevents", "metadata.source=generate", "Global metadata source can't be generate"},
		{"cloudevents", "metadata.source=value,colour:header", "Field `colour` is not allowed"},
	} {
		m := map[string]string{}
		for _, o := range strings.Split(c.options, ";") {
			k, v, _ := strings.Cut(o, "=")
			m[k] = v
		}
		_, err := New(Value, config.NewConverter(c.kind, m), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || errs.KindOf(err) != errs.Invalid || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s %s: %v, want %s", c.kind, c.options, err, c.want)
		}
	}
}

// TestWhatCannotBeWritten: values that do not fit their schema are told by the field.
func TestWhatCannotBeWritten(t *testing.T) {
	registry := newFakeRegistry(t)
	text := record.NewStruct([]record.Field{{Name: "s", Schema: record.Of(record.String, false)}})
	decimal := record.NewStruct([]record.Field{{Name: "d", Schema: &record.Schema{Type: record.Bytes, Name: record.DecimalName, Parameters: []record.Parameter{{Name: "scale", Value: "2"}}}}})
	clock := record.NewStruct([]record.Field{{Name: "t", Schema: record.TimeSchema(false)}})
	bad := record.NewStruct([]record.Field{{Name: "a b", Schema: record.Of(record.Int32, false)}})
	of := func(s *record.Schema, v record.Value) record.Data {
		return record.Data{Schema: s, Value: record.StructOf(&record.StructData{Schema: s, Values: []record.Value{v}})}
	}
	for _, c := range []struct {
		kind string
		d    record.Data
		want string
	}{
		{"avro", of(text, record.IntOf(1)), "field s"}, {"protobuf", of(text, record.IntOf(1)), "s"}, {"jsonschema", of(text, record.IntOf(1)), "Invalid type for STRING"},
		{"avro", of(text, record.Null), "Found null value for non-optional schema: field s"},
		{"avro", of(decimal, record.DecimalOf([]byte{1}, 3)), "mismatching scale"}, {"jsonschema", of(decimal, record.DecimalOf([]byte{1}, 3)), "mismatching scale"},
		{"protobuf", of(clock, record.IntOf(25*3600_000)), "Time values must use number of millis"},
		{"avro", of(bad, record.IntOf(1)), "schema.name.adjustment.mode"}, {"protobuf", of(bad, record.IntOf(1)), "not a valid identifier"},
		{"avro", record.Data{Value: record.IntOf(1)}, "has no schema"},
		{"protobuf", record.Data{Schema: &record.Schema{Type: record.Array, Elem: record.Of(record.Int32, false)}, Value: record.ListOf(nil)}, "Unsupported root schema of type ARRAY"},
	} {
		conv := newConverter(t, Value, c.kind, "schema.registry.url="+registry.URL)
		got, _, err := conv.Append([]byte("-"), "t", nil, c.d)
		if err == nil || !strings.Contains(err.Error(), c.want) || errs.KindOf(err) != errs.Invalid || string(got) != "-" {
			t.Errorf("%s: %q, %v, want %s", c.kind, got, err, c.want)
		}
	}
}

// TestProtobufIndexes: a message that is not the first of its file is named by its place.
func TestProtobufIndexes(t *testing.T) {
	registry := newFakeRegistry(t)
	c := newConverter(t, Key, "protobuf", "schema.registry.url="+registry.URL)
	for _, w := range []struct {
		typ  record.Type
		v    record.Value
		want string
	}{{record.Int64, record.IntOf(3), "\x02\x04\x08\x03"}, {record.String, record.StringOf("x"), "\x02\x0e\x0a\x01x"}, {record.Float64, record.FloatOf(0), "\x00"}} {
		got, _, err := c.Append(nil, "t", nil, record.Data{Schema: record.Of(w.typ, false), Value: w.v})
		if err != nil || string(got[5:]) != w.want || binary.BigEndian.Uint32(got[1:]) != 1 {
			t.Errorf("%s: %x, %v, want %x", w.typ, got, err, w.want)
		}
	}
}
