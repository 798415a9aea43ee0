package registry

import (
	"crypto/tls"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Etcd says how etcd is reached.
type Etcd struct {
	Endpoints []string // host:port each
	User      string
	Password  string
	TLS       *tls.Config // nil: plain text
}

// Dial returns a client of etcd; it connects when first used, so an etcd that is away is no error here. The caller closes it.
func Dial(e Etcd) (*clientv3.Client, error) {
	c, err := clientv3.New(clientv3.Config{
		Endpoints: e.Endpoints, Username: e.User, Password: e.Password, TLS: e.TLS,
		// A server that vanished without a word is found within 5 + 3 s; etcd refuses pings more often than every 5 s.
		DialKeepAliveTime: 5 * time.Second, DialKeepAliveTimeout: 3 * time.Second, PermitWithoutStream: true,
		// gRPC's default of up to 120 s between attempts would outlast every lease.
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 3 * time.Second,
		})},
		Logger: zap.NewNop(), // each failure comes back as an error and is said once
	})
	if err != nil {
		return nil, fmt.Errorf("etcd at %v: %w", e.Endpoints, err)
	}
	return c, nil
}
