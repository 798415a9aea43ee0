package foreign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	transformv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/transform/v1"
	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// server is a transform whose answers are a test's.
type server struct {
	transformv1.UnimplementedTransformServiceServer
	describe  func(*transformv1.DescribeRequest) (*transformv1.DescribeResponse, error)
	transform func(*transformv1.TransformRequest) (*transformv1.TransformResponse, error)
	calls     atomic.Int32
}

func (s *server) Describe(_ context.Context, q *transformv1.DescribeRequest) (*transformv1.DescribeResponse, error) {
	if s.describe != nil {
		return s.describe(q)
	}
	return &transformv1.DescribeResponse{Contract: Contract, Name: "test", Version: "1"}, nil
}

func (s *server) Transform(_ context.Context, q *transformv1.TransformRequest) (*transformv1.TransformResponse, error) {
	s.calls.Add(1)
	return s.transform(q)
}

// serve starts a server on a port of its own.
func serve(t *testing.T, s transformv1.TransformServiceServer) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(grpc.MaxSendMsgSize(1 << 30))
	transformv1.RegisterTransformServiceServer(srv, s)
	go srv.Serve(l)
	t.Cleanup(srv.Stop)
	return l.Addr().String()
}

func client(t *testing.T, address string, change func(*Config)) *Client {
	t.Helper()
	cfg := Config{Address: address, Connector: "c", Task: 2, Options: map[string]string{"a": "b"}, Timeout: 5 * time.Second, MaxRecords: 100, MaxBytes: 1 << 20,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Dial: func(a string) (*grpc.ClientConn, error) {
			return grpc.NewClient(a, grpc.WithTransportCredentials(insecure.NewCredentials()))
		}}
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

const schemaText = `{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"},{"type":"string","optional":true,"default":"none","field":"name"}],"optional":false,"name":"srv.db.t.Value"}`

// records makes records with ids from 0.
func records(t testing.TB, n int) []*record.Record {
	t.Helper()
	schema, err := record.ParseSchema([]byte(schemaText))
	if err != nil {
		t.Fatal(err)
	}
	out := make([]*record.Record, n)
	for i := range out {
		v, err := record.DecodePayload(fmt.Appendf(nil, `{"id":%d,"name":"n%d"}`, i, i), schema, &record.Slab{})
		if err != nil {
			t.Fatal(err)
		}
		out[i] = &record.Record{Topic: "t", Partition: record.NoPartition, Value: record.Data{Schema: schema, Value: v}}
	}
	return out
}

func text(t testing.TB, d record.Data) string {
	t.Helper()
	b, err := (&record.JSON{NullDefault: true}).AppendPayload(nil, d.Schema, d.Value)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func results(q *transformv1.TransformRequest, f func(i int, r *transformv1.Record) *transformv1.Result) *transformv1.TransformResponse {
	a := &transformv1.TransformResponse{}
	for i, r := range q.Records {
		a.Results = append(a.Results, f(i, r))
	}
	return a
}

func keep(r *transformv1.Record) *transformv1.Result {
	return &transformv1.Result{Outcome: &transformv1.Result_Record{Record: r}}
}

func unchanged() *transformv1.Result {
	return &transformv1.Result{Outcome: &transformv1.Result_Unchanged{Unchanged: &transformv1.Unchanged{}}}
}

// Each outcome does what the contract says, schemas of the answer are one schema from call to call, and bounds of the server are kept.
func TestOutcomes(t *testing.T) {
	largest := 0
	s := &server{
		describe: func(q *transformv1.DescribeRequest) (*transformv1.DescribeResponse, error) {
			if q.Connector != "c" || q.Task != 2 || q.Options["a"] != "b" || q.Contract != Contract {
				t.Errorf("described as %v", q)
			}
			return &transformv1.DescribeResponse{Contract: 1, MaxRecords: 4}, nil
		},
		transform: func(q *transformv1.TransformRequest) (*transformv1.TransformResponse, error) {
			largest = max(largest, len(q.Records))
			if len(q.Schemas) != 1 || string(q.Schemas[0].Json) != schemaText {
				t.Errorf("schemas %v", q.Schemas)
			}
			a := results(q, func(i int, r *transformv1.Record) *transformv1.Result {
				switch {
				case strings.Contains(string(r.Value.Json), `"id":1,`):
					return unchanged()
				case strings.Contains(string(r.Value.Json), `"id":2,`):
					return &transformv1.Result{Outcome: &transformv1.Result_Drop{Drop: &transformv1.Drop{}}}
				case strings.Contains(string(r.Value.Json), `"id":3,`):
					return &transformv1.Result{Outcome: &transformv1.Result_Failure{Failure: &transformv1.Failure{Message: "no such city"}}}
				case strings.Contains(string(r.Value.Json), `"id":4,`): // a null is a null, whatever the default
					r.Value.Json = []byte(`{"id":4,"name":null}`)
					r.Topic, r.Partition = "other", new(int32)
					return keep(r)
				}
				ms := int64(7)
				return keep(&transformv1.Record{Topic: "new", Key: &transformv1.Data{Schema: 9, Json: []byte(`5`)}, Value: &transformv1.Data{Same: true}, TimestampMs: &ms,
					Headers: []*transformv1.Header{{Name: "h", Value: &transformv1.Data{Schema: 9, Json: []byte(`6`)}}, {Name: "none"}}})
			})
			a.Schemas = []*transformv1.Schema{{Id: 9, Json: []byte(`{"type":"int64","optional":true}`)}}
			return a, nil
		},
	}
	c := client(t, serve(t, s), nil)
	rs := records(t, 10)
	out, err := c.Apply(t.Context(), &record.Slab{}, rs)
	if err != nil {
		t.Fatal(err)
	}
	if largest != 4 || s.calls.Load() != 3 {
		t.Errorf("%d calls of up to %d records", s.calls.Load(), largest)
	}
	if !out[1].Keep || text(t, rs[1].Value) != `{"id":1,"name":"n1"}` || out[2].Keep || out[2].Err != nil || out[3].Keep || out[3].Err.Error() != "no such city" {
		t.Errorf("%+v", out[:4])
	}
	if got := text(t, rs[4].Value); got != `{"id":4,"name":null}` || rs[4].Topic != "other" || rs[4].Partition != 0 {
		t.Errorf("record 4 is %s to %s/%d", got, rs[4].Topic, rs[4].Partition)
	}
	r := rs[5]
	if r.Topic != "new" || *r.Timestamp != 7 || text(t, r.Key) != "5" || text(t, r.Value) != `{"id":5,"name":"n5"}` || len(r.Headers) != 2 || !r.Headers[1].Missing() {
		t.Errorf("record 5 is %+v", r)
	}
	if rs[5].Key.Schema != rs[9].Key.Schema {
		t.Error("one text is two schemas")
	}
}

// What a server may say wrongly of one record is that record's error, and no other's.
func TestOneRecordIsAnsweredWrongly(t *testing.T) {
	for name, wrong := range map[string]*transformv1.Result{
		"without an outcome":     {},
		"no name of a topic":     keep(&transformv1.Record{Topic: "a b"}),
		"partition -3":           keep(&transformv1.Record{Topic: "a", Partition: ptr(int32(-3))}),
		"there is no schema 7":   keep(&transformv1.Record{Topic: "a", Value: &transformv1.Data{Schema: 7, Json: []byte("1")}}),
		"JSON text is wrong":     keep(&transformv1.Record{Topic: "a", Value: &transformv1.Data{Schema: 1, Json: []byte(`{"id":`)}}),
		`no field "no"`:          keep(&transformv1.Record{Topic: "a", Value: &transformv1.Data{Schema: 1, Json: []byte(`{"no":1}`)}}),
		"null value for a int32": keep(&transformv1.Record{Topic: "a", Value: &transformv1.Data{Schema: 1, Json: []byte(`{"name":"x"}`)}}),
		"99999999999 is no":      keep(&transformv1.Record{Topic: "a", Value: &transformv1.Data{Schema: 1, Json: []byte(`{"id":99999999999}`)}}),
		"the same as nothing":    keep(&transformv1.Record{Topic: "a", Headers: []*transformv1.Header{{Name: "h", Value: &transformv1.Data{Same: true}}}}),
		"nested too deep":        keep(&transformv1.Record{Topic: "a", Value: &transformv1.Data{Json: []byte(strings.Repeat("[", 100_000))}}),
		"does not say why":       {Outcome: &transformv1.Result_Failure{}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &server{transform: func(q *transformv1.TransformRequest) (*transformv1.TransformResponse, error) {
				return results(q, func(i int, r *transformv1.Record) *transformv1.Result {
					if i == 1 {
						return wrong
					}
					return keep(r)
				}), nil
			}}
			out, err := client(t, serve(t, s), nil).Apply(t.Context(), &record.Slab{}, records(t, 3))
			if err != nil {
				t.Fatal(err)
			}
			if !out[0].Keep || out[1].Keep || !out[2].Keep || out[1].Err == nil || !strings.Contains(out[1].Err.Error(), name) || errs.KindOf(out[1].Err) != errs.Invalid {
				t.Errorf("%+v", out)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

// A call that fails as a whole is made again with parts, until it is known which record it is.
func TestCallsThatFailForOneRecord(t *testing.T) {
	fails := func(q *transformv1.TransformRequest) bool {
		for _, r := range q.Records {
			if strings.Contains(string(r.Value.Json), `"id":37,`) {
				return true
			}
		}
		return false
	}
	for name, bad := range map[string]func(q *transformv1.TransformRequest) (*transformv1.TransformResponse, error){
		"it throws": func(*transformv1.TransformRequest) (*transformv1.TransformResponse, error) {
			return nil, status.Error(codes.Unknown, "KeyError: 'city'")
		},
		"too few results": func(*transformv1.TransformRequest) (*transformv1.TransformResponse, error) {
			return &transformv1.TransformResponse{}, nil
		},
		"too large": func(q *transformv1.TransformRequest) (*transformv1.TransformResponse, error) {
			a := results(q, func(int, *transformv1.Record) *transformv1.Result { return unchanged() })
			a.Results[0] = &transformv1.Result{Outcome: &transformv1.Result_Failure{Failure: &transformv1.Failure{Message: strings.Repeat("x", 2*answerBytes)}}}
			return a, nil
		},
		"a schema that is taken": func(q *transformv1.TransformRequest) (*transformv1.TransformResponse, error) {
			a := results(q, func(int, *transformv1.Record) *transformv1.Result { return unchanged() })
			a.Schemas = []*transformv1.Schema{{Id: 1, Json: []byte(`{"type":"int64"}`)}}
			return a, nil
		},
		"a schema that is none": func(q *transformv1.TransformRequest) (*transformv1.TransformResponse, error) {
			a := results(q, func(int, *transformv1.Record) *transformv1.Result { return unchanged() })
			a.Schemas = []*transformv1.Schema{{Id: 5, Json: []byte(`{"type":"map"}`)}}
			return a, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &server{transform: func(q *transformv1.TransformRequest) (*transformv1.TransformResponse, error) {
				if fails(q) {
					return bad(q)
				}
				return results(q, func(int, *transformv1.Record) *transformv1.Result { return unchanged() }), nil
			}}
			out, err := client(t, serve(t, s), nil).Apply(t.Context(), &record.Slab{}, records(t, 100))
			if err != nil {
				t.Fatal(err)
			}
			var failed []int
			for i, o := range out {
				if o.Err != nil {
					failed = append(failed, i)
				}
			}
			if diff := cmp.Diff([]int{37}, failed); diff != "" {
				t.Error(diff)
			}
			if n := s.calls.Load(); n > 15 { // one, and two for each halving of a hundred
				t.Errorf("%d calls", n)
			}
		})
	}
}

// What concerns no record is an error of the call, of a kind that says what to do.
func TestServersThatCannotWork(t *testing.T) {
	never := func(*transformv1.TransformRequest) (*transformv1.TransformResponse, error) { return nil, nil }
	for _, c := range []struct {
		name   string
		server transformv1.TransformServiceServer
		kind   errs.Kind
		words  string
	}{
		{"nobody there", nil, errs.Unavailable, "is it up"},
		{"another service", transformv1.UnimplementedTransformServiceServer{}, errs.Unsupported, "does not serve"},
		{"another contract", &server{describe: func(*transformv1.DescribeRequest) (*transformv1.DescribeResponse, error) {
			return &transformv1.DescribeResponse{Contract: 2, Name: "n"}, nil
		}}, errs.Unsupported, "speaks version 2"},
		{"options refused", &server{describe: func(*transformv1.DescribeRequest) (*transformv1.DescribeResponse, error) {
			return nil, status.Error(codes.InvalidArgument, "a must be c")
		}}, errs.Invalid, "a must be c"},
		{"busy", &server{transform: func(*transformv1.TransformRequest) (*transformv1.TransformResponse, error) {
			return nil, status.Error(codes.ResourceExhausted, "no thread is free")
		}}, errs.Unavailable, "no thread is free"},
		{"denied", &server{transform: func(*transformv1.TransformRequest) (*transformv1.TransformResponse, error) {
			return nil, status.Error(codes.PermissionDenied, "who are you")
		}}, errs.Denied, "who are you"},
		{"slow", &slow{server: server{transform: never}}, errs.Unavailable, "no answer within"},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := "127.0.0.1:1"
			if c.server != nil {
				address = serve(t, c.server)
			}
			cl := client(t, address, func(cfg *Config) { cfg.Timeout = 300 * time.Millisecond })
			rs := records(t, 3)
			_, err := cl.Apply(t.Context(), &record.Slab{}, rs)
			if errs.KindOf(err) != c.kind || !strings.Contains(fmt.Sprint(err), c.words) || !strings.Contains(fmt.Sprint(err), address) {
				t.Errorf("%v: %v", errs.KindOf(err), err)
			}
			if got := text(t, rs[0].Value); got != `{"id":0,"name":"n0"}` {
				t.Errorf("the record became %s", got)
			}
		})
	}
}

// slow answers when its caller has gone.
type slow struct{ server }

func (s *slow) Transform(ctx context.Context, _ *transformv1.TransformRequest) (*transformv1.TransformResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A server that comes up while a call is patient is not noticed; the end of the lane ends the patience.
func TestPatience(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	patient := func(c *Config) { c.Patience, c.MaxWait = 20*time.Second, firstWait }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client(t, address, patient).Apply(ctx, &record.Slab{}, records(t, 1)); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("%v: %v", errs.KindOf(err), err)
	}
	up := make(chan error, 1)
	cl := client(t, address, func(c *Config) {
		patient(c)
		dial := c.Dial
		c.Dial = func(a string) (*grpc.ClientConn, error) { return dial(a) }
	})
	srv := grpc.NewServer()
	transformv1.RegisterTransformServiceServer(srv, &server{transform: func(q *transformv1.TransformRequest) (*transformv1.TransformResponse, error) {
		return results(q, func(int, *transformv1.Record) *transformv1.Result { return unchanged() }), nil
	}})
	t.Cleanup(srv.Stop)
	go func() {
		_, err := cl.Apply(t.Context(), &record.Slab{}, records(t, 1))
		up <- err
	}()
	for deadline := time.Now().Add(10 * time.Second); ; { // somebody else may have taken the port for a moment
		if l, err = net.Listen("tcp", address); err == nil || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		t.Skipf("the port was taken by somebody else: %v", err)
	}
	go srv.Serve(l)
	if err := <-up; err != nil {
		t.Error(err)
	}
}

// Schemas that a server makes anew for each record fill no memory.
func TestSchemasAreBounded(t *testing.T) {
	var s schemas
	for i := range 3 * maxSchemas {
		if _, err := s.parse(fmt.Appendf(nil, `{"type":"struct","fields":[],"name":"n%d"}`, i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.texts) > maxSchemas || len(s.parsed) > maxSchemas {
		t.Errorf("%d texts, %d schemas", len(s.texts), len(s.parsed))
	}
	for _, bad := range []string{"null", `{"type":"array"}`, `{"type":"int64","name":"` + record.DateName + `"}`, `{"type":"bytes","name":"` + record.DecimalName + `"}`,
		`{"type":"struct","fields":[{"type":"int8","field":"a"},{"type":"int8","field":"a"}]}`, `{"type":"int8","default":300}`, `{"type":"what"}`,
		strings.Repeat(`{"type":"array","items":`, 5000), `{"type":"string","doc":"` + strings.Repeat("x", maxSchemaBytes) + `"}`} {
		if _, err := s.parse([]byte(bad)); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%.60s: %v", bad, err)
		}
	}
}

// FuzzAnswer: whatever a server answers, nothing panics.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(schemaText), []byte(`{"id":1,"name":null}`), "t")
	f.Add([]byte(`{"type":"map","keys":{"type":"string"},"values":{"type":"int8"}}`), []byte(`{"a":1}`), "t")
	f.Add([]byte(`{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"}}`), []byte(`"AQ=="`), "")
	f.Fuzz(func(t *testing.T, schema, value []byte, topic string) {
		c := &Client{}
		cl := c.newCall()
		cl.add(records(t, 1)[0])
		data := &transformv1.Data{Schema: 9, Json: value}
		err := cl.take(&record.Slab{}, []int{0}, &transformv1.TransformResponse{Schemas: []*transformv1.Schema{{Id: 9, Json: schema}},
			Results: []*transformv1.Result{keep(&transformv1.Record{Topic: topic, Key: data, Value: data})}})
		if err == nil && cl.outcomes[0].Err == nil {
			r := cl.records[0]
			if _, _, err := (&record.JSON{Schemas: true}).Append(nil, r.Topic, nil, r.Value); err != nil && errors.Is(err, io.EOF) {
				t.Error(err)
			}
		}
	})
}

// BenchmarkForeign is a batch of 500 records through a server of this process that sends each of them back.
func BenchmarkForeign(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := grpc.NewServer()
	transformv1.RegisterTransformServiceServer(srv, &server{transform: func(q *transformv1.TransformRequest) (*transformv1.TransformResponse, error) {
		return results(q, func(_ int, r *transformv1.Record) *transformv1.Result { return keep(r) }), nil
	}})
	go srv.Serve(l)
	defer srv.Stop()
	c, err := New(Config{Address: l.Addr().String(), Timeout: 5 * time.Second, MaxRecords: 500, MaxBytes: 1 << 20, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Dial: func(a string) (*grpc.ClientConn, error) {
			return grpc.NewClient(a, grpc.WithTransportCredentials(insecure.NewCredentials()))
		}})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	rs := records(b, 500)
	var slab record.Slab
	b.ReportAllocs()
	for b.Loop() {
		slab.Reset()
		if _, err := c.Apply(b.Context(), &slab, rs); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(500*b.N), "ns/record")
}
