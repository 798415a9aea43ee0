package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/integration/conformance"
	"github.com/rowmesh/rowmesh/integration/rival"
)

// settle is how long a task of Connect may take to end after its connector is said to be stopped, and to write its last offsets.
const settle = 1500 * time.Millisecond

// lab is the real thing: servers, and the worker as the target of cases.
type lab struct {
	dir     string
	cache   *servers.Cache
	client  *kgo.Client
	procs   []*servers.Process
	targets []*conformance.Target
}

// start starts what the options need. What was started is stopped by stop, also after an error.
func (l *lab) start(ctx context.Context, o options) error {
	broker, err := l.cache.Kafka(ctx)
	if err != nil {
		return err
	}
	kafka, err := l.keep(broker.Start(ctx, servers.BrokerOptions{Dir: filepath.Join(l.dir, "kafka")}))
	if err != nil {
		return err
	}
	if l.client, err = conformance.NewClient(kafka.Addr); err != nil {
		return err
	}
	worker := rival.Options{Dir: filepath.Join(l.dir, "connect"), Kafka: kafka.Addr, Heap: "2g"}
	for i, engine := range engines() {
		if o.engine != "both" && o.engine != engine {
			continue
		}
		program, err := l.cache.Database(ctx, servers.Database(engine))
		if err != nil {
			return err
		}
		db, err := l.keep(program.Start(ctx, servers.DatabaseOptions{Dir: filepath.Join(l.dir, engine), ServerID: i + 1}))
		if err != nil {
			return err
		}
		l.targets = append(l.targets, &conformance.Target{Kafka: kafka.Addr, Client: l.client, Engine: engine, Addr: db.Addr, Settle: settle,
			Say: func(format string, args ...any) { fmt.Printf("    "+format+"\n", args...) }})
		switch engine {
		case "mysql":
			worker.MySQL = cmp.Or(o.debezium, rival.MySQLVersion)
		case "mariadb":
			worker.MariaDB = cmp.Or(o.debezium, rival.MariaDBVersion)
		}
	}
	connect, err := l.keep(rival.Start(ctx, l.cache, worker))
	if err != nil {
		return err
	}
	for _, t := range l.targets {
		t.REST = "http://" + connect.Addr
	}
	return nil
}

func (l *lab) keep(p *servers.Process, err error) (*servers.Process, error) {
	if err == nil {
		l.procs = append(l.procs, p)
		fmt.Printf("%s at %s\n", p.Name, p.Addr)
	}
	return p, err
}

func (l *lab) stop() {
	if l.client != nil {
		l.client.Close()
	}
	for i := len(l.procs) - 1; i >= 0; i-- {
		l.procs[i].Stop()
	}
}
