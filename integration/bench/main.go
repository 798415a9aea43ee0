// Command bench measures a mesh end to end on this machine: real database, real Kafka, transactions on. With -rival it measures a real Debezium the
// same way in the same run; on a machine that others share only the ratios mean something.
//
//	go run ./integration/bench            the mesh
//	go run ./integration/bench -rival     and a tuned Debezium beside it
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rowmesh/rowmesh/deploy/command"
	"github.com/rowmesh/rowmesh/deploy/roles"
	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/integration/rival"
	"github.com/rowmesh/rowmesh/services/lease/etcdnode"
)

type options struct {
	rows, singles, big int
	wide, narrow       int // of snapshots
	tables, threads    int
	rival              bool
	only, profile      string
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == roles.Command {
		os.Exit(command.Execute(os.Args[2:]))
	}
	var o options
	flag.IntVar(&o.rows, "rows", 3_000_000, "row changes of bulk and narrow: a third each inserts, updates, deletes")
	flag.IntVar(&o.singles, "singles", 300_000, "rows of the backlogs of small transactions")
	flag.IntVar(&o.big, "big", 500_000, "rows of the one transaction of bigtx")
	flag.IntVar(&o.wide, "snapshot-wide", 2_000_000, "wide rows of snapshots")
	flag.IntVar(&o.narrow, "snapshot-narrow", 10_000_000, "narrow rows of snapshots")
	flag.IntVar(&o.tables, "snapshot-tables", 1000, "tables that the rows of snapshot-many are in")
	flag.IntVar(&o.threads, "snapshot-threads", 4, "readers of the snapshots that have several")
	flag.BoolVar(&o.rival, "rival", false, "measure a real Debezium too")
	flag.StringVar(&o.only, "only", "", "comma-separated measures: bulk, narrow, singles, tx10, bigtx, snapshot-wide, snapshot-narrow, snapshot-many, latency, idle20 (default: all)")
	flag.StringVar(&o.profile, "profile", "", "folder for CPU and heap profiles of the capturer and the publisher during the backlogs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (o options) wants(what string) bool {
	return o.only == "" || slices.Contains(strings.Split(o.only, ","), what)
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "rowmesh-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cache := &servers.Cache{Say: func(l string) { fmt.Println(l) }}
	program, err := cache.Database(ctx, servers.MySQL)
	if err != nil {
		return err
	}
	db, err := program.Start(ctx, servers.DatabaseOptions{Dir: filepath.Join(dir, "mysql"), Extra: []string{"--innodb-buffer-pool-size=512M", "--binlog-row-metadata=FULL", "--max-binlog-size=1G"}})
	if err != nil {
		return err
	}
	defer db.Stop()
	broker, err := cache.Kafka(ctx)
	if err != nil {
		return err
	}
	kafka, err := broker.Start(ctx, servers.BrokerOptions{Dir: filepath.Join(dir, "kafka"), Extra: []string{"num.partitions=4"}})
	if err != nil {
		return err
	}
	defer kafka.Stop()
	b := newBench(o, db, kafka)
	if err := b.load(ctx); err != nil {
		return err
	}
	if err := b.mesh(ctx, dir); err != nil {
		return err
	}
	if o.rival {
		p, err := rival.Connect(ctx, cache, filepath.Join(dir, "connect"), kafka.Addr, "2g")
		if err != nil {
			return err
		}
		defer p.Stop()
		s := &subject{name: "Debezium", rest: "http://" + p.Addr, procs: []*servers.Process{p}, more: map[string]string{
			"max.batch.size": "8192", "max.queue.size": "65536", "poll.interval.ms": "5",
			"producer.override.linger.ms": "5", "producer.override.batch.size": "524288",
		}, ways: rivalWays(o), repeat: 3} // a JVM is fast from its third run on
		if err := b.measure(ctx, s); err != nil {
			return err
		}
	}
	b.print(os.Stdout)
	return nil
}

// mesh starts one process of each role and measures them.
func (b *bench) mesh(ctx context.Context, dir string) error {
	etcd, err := etcdnode.Start(ctx, etcdnode.Config{Dir: filepath.Join(dir, "etcd")})
	if err != nil {
		return err
	}
	defer etcd.Close()
	s := &subject{name: "rowmesh", repeat: 1, ways: ownWays(b.o), pprof: map[string]string{}}
	extra := map[string][]string{}
	for _, role := range []string{"capturer", "publisher"} {
		port, err := servers.FreePort()
		if err != nil {
			return err
		}
		s.pprof[role] = fmt.Sprintf("127.0.0.1:%d", port)
		extra[role] = []string{"-profile", "-http", s.pprof[role]}
	}
	members, err := roles.Plan(roles.Options{Dir: dir, Etcd: etcd.Address(), Kafka: b.kafka.Addr, Coordinators: 1, Capturers: 1, Publishers: 1, Extra: extra})
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	s.rest = members[0].REST
	for _, m := range members {
		p, err := m.Spawn(self, dir)
		if err != nil {
			return err
		}
		defer p.Stop()
		if strings.HasPrefix(m.Name, "coordinator") {
			s.others = append(s.others, p)
		} else {
			s.procs = append(s.procs, p)
		}
	}
	if err := s.ready(ctx, 30*time.Second); err != nil {
		return err
	}
	return b.measure(ctx, s)
}
