package servers

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// Etcd is an etcd member in this process.
type Etcd struct {
	// Addr is the client address, host:port.
	Addr string
	e    *embed.Etcd
}

// StartEtcd starts a single member on loopback with its data in dir. Ports of 0 are chosen.
func StartEtcd(ctx context.Context, dir string, port int) (*Etcd, error) {
	var err error
	if port == 0 {
		if port, err = FreePort(); err != nil {
			return nil, err
		}
	}
	peer, err := FreePort()
	if err != nil {
		return nil, err
	}
	client, peers := url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", port)}, url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", peer)}
	c := embed.NewConfig()
	c.Dir = filepath.Join(dir, "etcd")
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peers}, []url.URL{peers}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	// The peer port changes from start to start; a lone member takes its data as they are.
	c.ForceNewCluster = true
	c.LogLevel, c.LogOutputs = "error", []string{"stderr"}
	// A machine that also runs a database and a broker can stall for seconds; a lone member has nobody to elect instead.
	c.TickMs, c.ElectionMs = 100, 1000
	c.UnsafeNoFsync = false
	e, err := embed.StartEtcd(c)
	if err != nil {
		return nil, fmt.Errorf("start etcd: %w", err)
	}
	select {
	case <-e.Server.ReadyNotify():
		return &Etcd{Addr: client.Host, e: e}, nil
	case err := <-e.Err():
		e.Close()
		return nil, fmt.Errorf("start etcd: %w", err)
	case <-ctx.Done():
		e.Close()
		return nil, ctx.Err()
	case <-time.After(30 * time.Second): // a lone member is ready within a second
		e.Close()
		return nil, fmt.Errorf("start etcd: not ready after 30 s (data: %s)", c.Dir)
	}
}

// Stop stops the member.
func (s *Etcd) Stop() { s.e.Close() }
