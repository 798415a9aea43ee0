package registry

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/integration/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

const (
	avroClass     = "io.confluent.connect.avro.AvroConverter"
	protobufClass = "io.confluent.connect.protobuf.ProtobufConverter"
	jsonClass     = "io.confluent.connect.json.JsonSchemaConverter"
	eventsClass   = "io.debezium.converters.CloudEventsConverter"
)

// arrives bounds how long a record may take, and a lane to fail or to heal: its back-off reaches half a minute.
const arrives = 90 * time.Second

// api is the registry as a client sees it.
type api struct {
	t    testing.TB
	base string
}

func (a api) call(method, path string, body any) (int, map[string]any) {
	a.t.Helper()
	var in io.Reader
	if body != nil {
		b, _ := json.Marshal(body)
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.base+path, in)
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	out := map[string]any{}
	b, _ := io.ReadAll(resp.Body)
	_ = json.Unmarshal(b, &out)
	return resp.StatusCode, out
}

// schema returns the schema of a record and its format.
func (a api) schema(record []byte) (text, kind string) {
	a.t.Helper()
	if len(record) < 5 || record[0] != 0 {
		a.t.Fatalf("%q has no schema's id", record)
	}
	code, s := a.call(http.MethodGet, fmt.Sprint("/schemas/ids/", binary.BigEndian.Uint32(record[1:])), nil)
	if code != http.StatusOK {
		a.t.Fatalf("schema of %x: %d %v", record[:5], code, s)
	}
	text, _ = s["schema"].(string)
	kind, _ = s["schemaType"].(string)
	return text, kind
}

func (a api) avro(record []byte) map[string]any {
	a.t.Helper()
	text, _ := a.schema(record)
	s, err := avro.Parse(text)
	if err != nil {
		a.t.Fatalf("%v: %s", err, text)
	}
	var out map[string]any
	if rest, err := s.Decode(record[5:], &out); err != nil || len(rest) > 0 {
		a.t.Fatalf("%v, %d bytes left of %x", err, len(rest), record)
	}
	return out
}

// records reads n records of a topic.
func records(t testing.TB, kafka, topic string, n int) []*kgo.Record {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.MetadataMinAge(100*time.Millisecond), kgo.MetadataMaxAge(time.Second), kgo.UnknownTopicRetries(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), arrives)
	defer cancel()
	var out []*kgo.Record
	for len(out) < n {
		f := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%s: %d records, want %d", topic, len(out), n)
		}
		out = append(out, f.Records()...)
	}
	return out
}

// failure awaits a task that tells a text in its trace.
func failure(t testing.TB, m *harness.Mesh, connector, want string) {
	t.Helper()
	harness.Await(t, arrives, "the failure of "+connector, func() error {
		_, body := m.Call(t, http.MethodGet, "/connectors/"+connector+"/status", nil)
		if !strings.Contains(body, want) {
			return fmt.Errorf("no %q in %s", want, body)
		}
		return nil
	})
}

// env is what the tests share.
type env struct {
	m        *harness.Mesh
	mysql    string
	registry api
}

func start(t *testing.T) env {
	e := env{mysql: harness.Addr(t, harness.MySQL), registry: api{t, "http://" + harness.Addr(t, harness.Registry) + servers.RegistryPath}}
	e.m = harness.Start(t, harness.Size{Coordinators: 1, Capturers: 1, Publishers: 1}, nil)
	return e
}

// create makes a connector of a database of its own, whose name is the prefix too.
func (e env) create(t *testing.T, name, class, url string, more map[string]string, statements ...string) {
	t.Helper()
	c := harness.Root(t, e.mysql)
	harness.Exec(t, c, append([]string{"drop database if exists " + name, "create database " + name, "use " + name}, statements...)...)
	t.Cleanup(func() { harness.Exec(t, harness.Root(t, e.mysql), "drop database "+name) })
	config := map[string]string{"include.schema.changes": "false", "value.converter": class, "value.converter.schema.registry.url": url}
	if class != eventsClass {
		config["key.converter"], config["key.converter.schema.registry.url"] = class, url
	}
	for k, v := range more {
		config[k] = v
	}
	e.m.Create(t, name, e.m.Connector(harness.MySQL, e.mysql, name, name, config))
}

// TestRegistry runs on one mesh and one registry.
func TestRegistry(t *testing.T) {
	e := start(t)
	for name, test := range map[string]func(*testing.T, env){"formats": formats, "incompatible": incompatible, "away": away} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, env{e.m, e.mysql, api{t, e.registry.base}})
		})
	}
}

// formats: keys and values arrive in every format with schemas that the registry took, through a snapshot, the log, a change of the table and a tombstone.
func formats(t *testing.T, e env) {
	for _, f := range []struct{ name, class, kind string }{{"reg_avro", avroClass, ""}, {"reg_proto", protobufClass, "PROTOBUF"}, {"reg_json", jsonClass, "JSON"}, {"reg_events", eventsClass, ""}} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			e := env{e.m, e.mysql, api{t, e.registry.base}}
			more := map[string]string{}
			if f.class == eventsClass {
				more = map[string]string{"value.converter.serializer.type": "avro", "value.converter.data.serializer.type": "avro", "value.converter.avro.schema.registry.url": e.registry.base,
					"value.converter.schema.registry.url": ""}
			}
			e.create(t, f.name, f.class, e.registry.base, more, "create table t (id int primary key, name varchar(30), price decimal(8,2), at datetime(3), note varchar(10) default 'none')",
				"insert into t values (1, 'Ann', 12.50, '2024-02-29 12:00:00.123', null)")
			topic := f.name + "." + f.name + ".t"
			records(t, e.m.Kafka, topic, 1)
			harness.Exec(t, harness.Root(t, e.mysql), "use "+f.name, "insert into t values (2, '😀', -0.01, null, 'x')", "alter table t add column age smallint", "update t set age = 7 where id = 2", "delete from t where id = 1")
			got := records(t, e.m.Kafka, topic, 5)
			for i, r := range got[:4] {
				if _, kind := e.registry.schema(r.Value); kind != f.kind && kind != "AVRO" {
					t.Errorf("value %d is %q, want %q", i, kind, f.kind)
				}
			}
			if got[4].Value != nil {
				t.Errorf("the last record is no tombstone: %x", got[4].Value)
			}
			code, _ := e.registry.call(http.MethodGet, "/subjects/"+topic+"-value/versions/2", nil)
			if f.class != eventsClass && code != http.StatusOK {
				t.Errorf("the changed table has no second version: %d", code)
			}
			if f.class == avroClass {
				checkAvro(t, e.registry, got)
			}
		})
	}
}

func checkAvro(t *testing.T, registry api, got []*kgo.Record) {
	row := func(i int, image string) any { return registry.avro(got[i].Value)[image] }
	type m = map[string]any
	plain := func(v any) any { // the decimal, a fraction, as its text
		if r, ok := v.(m); ok {
			r["price"] = fmt.Sprint(r["price"])
		}
		return v
	}
	at := time.Date(2024, 2, 29, 12, 0, 0, 123_000_000, time.UTC).UnixMilli()
	want := []any{m{"id": int32(1)}, m{"id": int32(1), "name": "Ann", "price": "25/2", "at": at, "note": "none"},
		m{"id": int32(2), "name": "😀", "price": "-1/100", "at": nil, "note": "x", "age": int32(7)}}
	have := []any{registry.avro(got[0].Key), plain(row(0, "after")), plain(row(2, "after"))}
	if d := cmp.Diff(want, have); d != "" {
		t.Error(d)
	}
}

// incompatible: a change of a table that its subject's level forbids stops the lane with a text that says what to do, and once that is done nothing is missing.
func incompatible(t *testing.T, e env) {
	e.create(t, "reg_conflict", avroClass, e.registry.base, nil, "create table t (id int primary key, v int)", "insert into t values (1, 1)")
	topic := "reg_conflict.reg_conflict.t"
	records(t, e.m.Kafka, topic, 1)
	if code, body := e.registry.call(http.MethodPut, "/config/"+topic+"-value", map[string]string{"compatibility": "FULL"}); code != http.StatusOK {
		t.Fatalf("%d %v", code, body)
	}
	harness.Exec(t, harness.Root(t, e.mysql), "use reg_conflict", "alter table t modify v varchar(20)", "insert into t values (2, 'two')", "insert into t values (3, 'three')")
	failure(t, e.m, "reg_conflict", "incompatible with the versions of subject "+topic+"-value")
	if code, body := e.registry.call(http.MethodPut, "/config/"+topic+"-value", map[string]string{"compatibility": "NONE"}); code != http.StatusOK {
		t.Fatalf("%d %v", code, body)
	}
	if code, body := e.m.Call(t, http.MethodPost, "/connectors/reg_conflict/restart?includeTasks=true", nil); code >= 300 {
		t.Fatalf("%d %s", code, body)
	}
	var got []any
	for _, r := range records(t, e.m.Kafka, topic, 3) {
		after, _ := e.registry.avro(r.Value)["after"].(map[string]any)
		got = append(got, after["v"])
	}
	if d := cmp.Diff([]any{int32(1), "two", "three"}, got); d != "" {
		t.Error(d)
	}
}

// away: a lane whose registry is away says so and waits, others go on, and it goes on when the registry is back.
func away(t *testing.T, e env) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	at := "http://" + addr + servers.RegistryPath
	e.create(t, "reg_away", avroClass, at, map[string]string{"key.converter.max.retries": "0", "value.converter.max.retries": "0"}, "create table t (id int primary key)", "insert into t values (1)")
	failure(t, e.m, "reg_away", "schema registry "+at+", subject reg_away.reg_away.t-key")
	e.create(t, "reg_there", avroClass, e.registry.base, nil, "create table t (id int primary key)", "insert into t values (1)")
	records(t, e.m.Kafka, "reg_there.reg_there.t", 1)
	to, err := url.Parse(strings.TrimSuffix(e.registry.base, servers.RegistryPath))
	if err != nil {
		t.Fatal(err)
	}
	back, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skipf("the port %s was taken meanwhile: %v", addr, err)
	}
	proxy := &http.Server{Handler: httputil.NewSingleHostReverseProxy(to)}
	go func() { _ = proxy.Serve(back) }()
	t.Cleanup(func() { proxy.Close() })
	if id := e.registry.avro(records(t, e.m.Kafka, "reg_away.reg_away.t", 1)[0].Key)["id"]; id != int32(1) {
		t.Errorf("id %v", id)
	}
}
