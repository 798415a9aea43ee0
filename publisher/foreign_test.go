package publisher

import (
	"context"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	transformv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/transform/v1"
	"github.com/rowmesh/rowmesh/publisher/convert"
	"github.com/rowmesh/rowmesh/publisher/transform"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/rpc"
	"github.com/rowmesh/rowmesh/services/rpc/rpctest"
)

// echo is a transform that sends every record back, whole.
type echo struct {
	transformv1.UnimplementedTransformServiceServer
}

func (echo) Describe(context.Context, *transformv1.DescribeRequest) (*transformv1.DescribeResponse, error) {
	return &transformv1.DescribeResponse{Contract: 1, Name: "echo", MaxRecords: 7}, nil
}

func (echo) Transform(_ context.Context, q *transformv1.TransformRequest) (*transformv1.TransformResponse, error) {
	a := &transformv1.TransformResponse{}
	for _, r := range q.Records {
		a.Results = append(a.Results, &transformv1.Result{Outcome: &transformv1.Result_Record{Record: proto.CloneOf(r)}})
	}
	return a, nil
}

// throughEcho is a stage whose records go to another process's like and come back.
func throughEcho(t *testing.T, cfg *config.Connector, raw map[string]string) *stage {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	transformv1.RegisterTransformServiceServer(srv, echo{})
	go srv.Serve(l)
	t.Cleanup(srv.Stop)
	cfg.Raw = map[string]string{"transforms": "e", "transforms.e.type": config.ForeignTransform, "transforms.e.address": l.Addr().String()}
	for k, v := range raw {
		cfg.Raw[k] = v
	}
	s, err := newStage(cfg, transform.Env{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now, Dial: func(a string) (*grpc.ClientConn, error) { return rpc.Dial(a, rpc.Security{}) }}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// TestForeignEchoChangesNothing: what a foreign transform sends back as it came is written byte for byte as without it, in every recorded stream: all column types, nulls
// with defaults, key changes with their headers, tombstones, statements.
func TestForeignEchoChangesNothing(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("convert", "testdata", "golden", "*", "messages.*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	if testing.Short() {
		files = files[:len(files)/8]
	}
	for _, c := range []struct {
		converter config.Converter
		raw       map[string]string
	}{
		{config.Converter{Class: "json", Schemas: true, NullDefault: true}, nil},
		{config.Converter{Class: "json"}, map[string]string{"value.converter.replace.null.with.default": "false"}},
	} {
		records := 0
		for _, file := range files {
			messages := recordedMessages(t, file)
			cfg := stageConfig(strings.Split(filepath.Base(file), ".")[1], map[string]string{})
			cfg.KeyConverter, cfg.ValueConverter = c.converter, c.converter
			want := encode(t, cfg, true, messages)
			s := throughEcho(t, cfg, c.raw)
			enc, err := convert.New(encoderConfig(*cfg), convert.Options{RunID: "run", Shapes: true, Now: func() int64 { return 1_700_000_000_123_456_789 }})
			if err != nil {
				t.Fatal(err)
			}
			s.contextHeaders(enc.ContextHeaders())
			got := encodeBy(t, enc, s, messages)
			if len(got) != len(want) {
				t.Fatalf("%s: %d records, want %d", file, len(got), len(want))
			}
			for i := range got {
				if got[i] != want[i] {
					t.Fatalf("%s, record %d:\ngot  %s\nwant %s", file, i, got[i], want[i])
				}
			}
			records += len(got)
			s.close()
		}
		t.Logf("%d records of %d recordings", records, len(files))
	}
}

// TestForeignTLS: the publisher's certificates hold for servers of transforms too, on both sides.
func TestForeignTLS(t *testing.T) {
	a := rpctest.NewAuthority(t)
	security := func(name string) rpc.Security {
		cert, key := a.Issue(name, name)
		return rpc.Security{CertFile: cert, KeyFile: key, CAFile: a.Path("ca.pem")}
	}
	srv, hs, err := rpc.NewServer(slog.New(slog.NewTextHandler(io.Discard, nil)), security("transform"))
	if err != nil {
		t.Fatal(err)
	}
	transformv1.RegisterTransformServiceServer(srv, echo{})
	l, err := rpc.Listen("127.0.0.1:0", security("transform"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- rpc.Serve(ctx, srv, hs, l) }()
	defer func() {
		cancel()
		<-done
	}()
	other := rpctest.NewAuthority(t)
	cert, key := other.Issue("stranger", "stranger")
	for _, c := range []struct {
		name string
		with rpc.Security
		ok   bool
	}{{"its certificate", security("publisher"), true}, {"none", rpc.Security{}, false}, {"a stranger's", rpc.Security{CertFile: cert, KeyFile: key, CAFile: a.Path("ca.pem")}, false}} {
		conn, err := rpc.Dial(l.Addr().String(), c.with)
		if err != nil {
			t.Fatal(err)
		}
		_, err = transformv1.NewTransformServiceClient(conn).Describe(t.Context(), &transformv1.DescribeRequest{Contract: 1})
		if (err == nil) != c.ok {
			t.Errorf("with %s: %v", c.name, err)
		}
		conn.Close()
	}
}
