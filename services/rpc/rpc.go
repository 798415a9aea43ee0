// Package rpc makes the gRPC servers and connections of the mesh: limits, keepalive, health, reflection, panics turned into errors, TLS.
//
// Security: without certificates a server listens on loopback addresses only, unless its owner says insecure. With a CA both sides prove who they
// are (mutual TLS, 1.3); certificates that are replaced in their files hold from the next connection on. An access file says which of the clients may do what.
package rpc

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"github.com/rowmesh/rowmesh/services/errs"
)

const (
	// MaxMessageBytes bounds one message: batches are cut at 4 MiB at most, and a single row of the server's max_allowed_packet (64 MiB by default) must fit.
	MaxMessageBytes = 80 << 20
	// MaxRequestBytes bounds what a server takes from a client, which it does before it knows who that is: requests are configs and an Open of 1 MiB at most.
	MaxRequestBytes = 4 << 20
	// keepaliveTime finds a dead peer in 10+5 s; servers accept pings from half of it on.
	keepaliveTime    = 10 * time.Second
	keepaliveTimeout = 5 * time.Second
	// windowBytes is the HTTP/2 window of a stream: it bounds what a peer that does not read keeps in memory, and holds several batches.
	windowBytes = 1 << 20
)

// Listen listens on addr; without certificates only on loopback unless s.Insecure.
func Listen(addr string, s Security) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	if s.CertFile == "" && !s.Insecure && !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		l.Close()
		return nil, errs.E(errs.Invalid, "listen on %s: plain text is for loopback only; give -tls-cert, -tls-key and -tls-ca, or -insecure", addr)
	}
	return l, nil
}

// NewServer returns a server with health and reflection. Callers register their services, then Serve.
func NewServer(log *slog.Logger, s Security, opts ...grpc.ServerOption) (*grpc.Server, *health.Server, error) {
	creds, err := s.credentials()
	if err != nil {
		return nil, nil, err
	}
	gate, err := newGate(s)
	if err != nil {
		return nil, nil, err
	}
	opts = append([]grpc.ServerOption{
		grpc.Creds(creds),
		grpc.MaxRecvMsgSize(MaxRequestBytes), grpc.MaxSendMsgSize(MaxMessageBytes),
		grpc.InitialWindowSize(windowBytes), grpc.InitialConnWindowSize(4 * windowBytes),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveTime / 2, PermitWithoutStream: true}),
		grpc.MaxConcurrentStreams(10_000), // a lane is a stream; more than any publisher runs
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (resp any, err error) {
			defer recovered(log, info.FullMethod, &err)
			if ctx, err = gate.enter(ctx, info.FullMethod); err == nil {
				resp, err = h(ctx, req)
			}
			return resp, errs.Status(err)
		}),
		grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) (err error) {
			defer recovered(log, info.FullMethod, &err)
			ctx, err := gate.enter(ss.Context(), info.FullMethod)
			if err != nil {
				return errs.Status(err)
			}
			return errs.Status(h(srv, granted{ss, ctx}))
		}),
	}, opts...)
	srv := grpc.NewServer(opts...)
	hs := health.NewServer()
	grpc_health_v1.RegisterHealthServer(srv, hs)
	reflection.Register(srv)
	return srv, hs, nil
}

func recovered(log *slog.Logger, method string, err *error) {
	if p := recover(); p != nil {
		log.Error("panic in a call", "method", method, "panic", p, "stack", string(debug.Stack()))
		*err = status.Errorf(codes.Internal, "%s: internal error, see the log of the server", method)
	}
}

// Serve serves until ctx ends, then gives open calls two seconds (streams do not end by themselves).
func Serve(ctx context.Context, srv *grpc.Server, hs *health.Server, l net.Listener) error {
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	hs.Shutdown()
	timer := time.AfterFunc(2*time.Second, srv.Stop)
	srv.GracefulStop()
	timer.Stop()
	<-done
	return nil
}

// Dial returns a connection to addr; it connects when first used.
func Dial(addr string, s Security, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	creds, err := s.credentials()
	if err != nil {
		return nil, err
	}
	return grpc.NewClient(addr, append([]grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessageBytes), grpc.MaxCallSendMsgSize(MaxRequestBytes)),
		grpc.WithInitialWindowSize(windowBytes), grpc.WithInitialConnWindowSize(4 * windowBytes),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		// The default of 120 s between attempts would keep a lane waiting long after its capturer is back.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 3 * time.Second,
		}),
	}, opts...)...)
}
