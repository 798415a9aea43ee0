package rpc

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/rowmesh/rowmesh/services/errs"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// calls has one method that does what f does.
func calls(f func() error) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{ServiceName: "test.Service", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
		MethodName: "Do",
		Handler: func(srv any, ctx context.Context, dec func(any) error, in grpc.UnaryServerInterceptor) (any, error) {
			req := new(grpc_health_v1.HealthCheckRequest)
			if err := dec(req); err != nil {
				return nil, err
			}
			return in(ctx, req, &grpc.UnaryServerInfo{FullMethod: "/test.Service/Do"}, func(context.Context, any) (any, error) {
				return new(grpc_health_v1.HealthCheckResponse), f()
			})
		},
	}}}
}

func serve(t *testing.T, f func() error) *grpc.ClientConn {
	t.Helper()
	srv, hs, err := NewServer(quiet(), Security{})
	if err != nil {
		t.Fatal(err)
	}
	srv.RegisterService(calls(f), nil)
	l, err := Listen("127.0.0.1:0", Security{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, srv, hs, l) }()
	conn, err := Dial(l.Addr().String(), Security{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return conn
}

func do(t *testing.T, conn *grpc.ClientConn) error {
	return conn.Invoke(t.Context(), "/test.Service/Do", new(grpc_health_v1.HealthCheckRequest), new(grpc_health_v1.HealthCheckResponse))
}

func TestKindsCrossTheWire(t *testing.T) {
	for _, kind := range []errs.Kind{errs.Invalid, errs.NotFound, errs.Exists, errs.Stale, errs.NotOwner, errs.Busy, errs.Unavailable, errs.Denied,
		errs.Corrupt, errs.Gap, errs.Unsupported, errs.Internal} {
		conn := serve(t, func() error { return errs.E(kind, "table a.b at binlog.1:4") })
		err := errs.FromStatus(do(t, conn))
		if got := errs.KindOf(err); got != kind || err.Error() != "table a.b at binlog.1:4" {
			t.Errorf("sent %s, got %s %q", kind, got, err)
		}
	}
}

func TestPanicBecomesInternal(t *testing.T) {
	conn := serve(t, func() error { panic("odd") })
	if c := status.Code(do(t, conn)); c != codes.Internal {
		t.Fatalf("got %s", c)
	}
	if c := status.Code(do(t, conn)); c != codes.Internal {
		t.Fatalf("the server died: %s", c)
	}
}

func TestHealthIsServed(t *testing.T) {
	conn := serve(t, func() error { return nil })
	r, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || r.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Fatalf("got %v, %v", r, err)
	}
}

func TestPlainTextStaysOnLoopback(t *testing.T) {
	if l, err := Listen("0.0.0.0:0", Security{}); err == nil {
		l.Close()
		t.Fatal("listens everywhere without certificates")
	} else if errs.KindOf(err) != errs.Invalid {
		t.Fatal(err)
	}
	l, err := Listen("0.0.0.0:0", Security{Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}
