package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"golang.org/x/sync/errgroup"

	"github.com/rowmesh/rowmesh/deploy/command"
	"github.com/rowmesh/rowmesh/deploy/roles"
)

// startMesh starts two of each role under g, as processes or in this one.
func startMesh(ctx context.Context, g *errgroup.Group, o options, st *stand, scr *screen) ([]roles.Member, error) {
	members, err := roles.Plan(roles.Options{
		Dir: o.dir, Etcd: st.etcd, Kafka: st.kafka, REST: o.rest, Coordinators: 2, Capturers: 2, Publishers: 2,
	})
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if o.roles == "one" {
			g.Go(func() error { return command.Run(ctx, m.Args, io.Discard) })
			continue
		}
		g.Go(func() error { return supervise(ctx, o.dir, m, scr) })
	}
	return members, nil
}

// supervise runs a role as a process and starts it again a second after it dies, until ctx ends.
func supervise(ctx context.Context, dir string, m roles.Member, scr *screen) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for {
		p, err := m.Spawn(self, dir)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			p.Stop()
			return nil
		case <-p.Done():
		}
		scr.always("%s ended (%v): starting it again in a second; its log: %s", m.Name, p.Err(), p.LogFile)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second): // a process that cannot start must not spin
		}
	}
}

// restReady waits until the REST API answers.
func restReady(ctx context.Context, rest string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, rest+"/health", nil)
		if err != nil {
			return err
		}
		r, err := http.DefaultClient.Do(q)
		if err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the REST API at %s does not answer: %w", rest, err)
		case <-time.After(20 * time.Millisecond): // a process announces nothing when it listens
		}
	}
}

// memoryKafka starts a broker that lives in this process and keeps nothing.
func memoryKafka() (addr string, stop func(), err error) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(1))
	if err != nil {
		return "", nil, fmt.Errorf("in-memory Kafka: %w", err)
	}
	return c.ListenAddrs()[0], c.Close, nil
}
