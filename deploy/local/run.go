package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rowmesh/rowmesh/deploy/servers"
	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	"github.com/rowmesh/rowmesh/services/lease/etcdnode"
	"github.com/rowmesh/rowmesh/services/rpc"
)

// screen prints lines with the time since the start.
type screen struct {
	mu    sync.Mutex
	out   io.Writer
	begin time.Time
	quiet bool
}

func (s *screen) say(format string, args ...any) {
	if s.quiet {
		return
	}
	s.always(format, args...)
}

func (s *screen) always(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "%6.1fs  %s\n", time.Since(s.begin).Seconds(), fmt.Sprintf(format, args...))
}

// phase times f and says how long it took.
func (s *screen) phase(what string, f func() error) error {
	t := time.Now()
	if err := f(); err != nil {
		return err
	}
	s.say("%s: %d ms", what, time.Since(t).Milliseconds())
	return nil
}

// kafkaInMemory is what stands on the screen, first and last, when the broker is not a real one.
const kafkaInMemory = "NOTE: no Kafka here (%v): events go to an in-memory stand-in that forgets them at the end. For the real one: apt-get install openjdk-17-jre-headless maven"

// stand is what the mesh stands on.
type stand struct {
	database    database
	mariadb     bool
	kafka, etcd string
	names       []string // what each is, for the header
	inMemory    error    // why Kafka is not real; nil if it is
	stops       []func()
}

func (s *stand) stop() {
	var wg sync.WaitGroup
	for _, stop := range s.stops {
		wg.Go(stop)
	}
	wg.Wait()
}

// stopWithin leaves two of the five seconds that a Ctrl-C may take to the mesh, which ends first.
const stopWithin = 3 * time.Second

func run(ctx context.Context, o options, out io.Writer) error {
	scr := &screen{out: out, begin: time.Now(), quiet: o.quiet}
	if o.fresh {
		if err := os.RemoveAll(o.dir); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	cache := &servers.Cache{Say: func(l string) { scr.say("%s", l) }}
	st := &stand{mariadb: o.mariadb}
	if o.kafka == "" {
		if st.inMemory = cache.KafkaMissing(); st.inMemory != nil {
			scr.always(kafkaInMemory, st.inMemory)
		}
	}
	scr.say("rowmesh on one machine; data in %s", o.dir)
	defer st.stop()
	if err := st.start(ctx, o, scr, cache); err != nil {
		return err
	}
	if err := scr.phase("demo tables", func() error { return st.database.prepare(ctx) }); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	defer func() { cancel(); g.Wait() }()

	t := newTail()
	g.Go(func() error { return t.run(ctx, st.kafka) })
	begin := time.Now()
	members, err := startMesh(ctx, g, o, st, scr)
	if err != nil {
		return err
	}
	rest := members[0].REST
	if err := scr.phase("REST API answers", func() error { return restReady(ctx, rest) }); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(st.database.addr)
	if err != nil {
		return err
	}
	config := connectorConfig(st.mariadb, host, port, st.database.user, st.database.password, st.kafka)
	if err := scr.phase("connector created", func() error { return createConnector(ctx, rest, config) }); err != nil {
		return err
	}
	g.Go(func() error { return st.database.traffic(ctx) })
	select {
	case <-t.first:
		scr.say("first event in Kafka: %d ms after the mesh was started", time.Since(begin).Milliseconds())
	case <-time.After(30 * time.Second):
		scr.always("no event after 30 s; the state of the connector: curl %s/connectors/%s/status", rest, demoConnector)
	case <-ctx.Done():
	}
	conn, err := rpc.Dial(members[0].GRPC, rpc.Security{})
	if err != nil {
		return err
	}
	defer conn.Close()
	v := &view{out: out, header: "rowmesh  " + strings.Join(st.names, "  ") + "  REST " + rest, control: controlv1.NewControlServiceClient(conn), tail: t, begin: scr.begin, tty: terminal(out)}
	ended := follow(ctx, g, v, o)
	_, seen := t.last()
	scr.always("summary: %d events in %s; last rate %s", seen, time.Since(scr.begin).Round(time.Second), v.rateText())
	cancel()
	err = g.Wait()
	if st.inMemory != nil {
		scr.always(kafkaInMemory, st.inMemory)
	}
	return errors.Join(ended, err)
}

// follow shows the view until ctx or the duration ends.
func follow(ctx context.Context, g *errgroup.Group, v *view, o options) error {
	if o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	if o.quiet {
		v.out = io.Discard
		v.tty = false
	}
	v.run(ctx)
	return nil
}

// ports remembers the ports of an earlier run: a connector's config names them.
type ports struct{ MySQL, Kafka, Etcd int }

func loadPorts(file string) (ports, error) {
	var p ports
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil && !os.IsNotExist(err) {
		return p, fmt.Errorf("%s: %w; -fresh starts over", file, err)
	}
	for _, port := range []*int{&p.MySQL, &p.Kafka, &p.Etcd} {
		if *port != 0 && free(*port) {
			continue
		}
		if *port, err = servers.FreePort(); err != nil {
			return p, err
		}
	}
	b, _ = json.Marshal(p)
	return p, os.WriteFile(file, b, 0o644)
}

func free(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err == nil {
		l.Close()
	}
	return err == nil
}

// start starts, or takes from the flags, the database, Kafka and etcd, side by side.
func (s *stand) start(ctx context.Context, o options, scr *screen, cache *servers.Cache) error {
	p, err := loadPorts(filepath.Join(o.dir, "ports.json"))
	if err != nil {
		return err
	}
	var mu sync.Mutex
	own := func(name string, stop func()) {
		mu.Lock()
		defer mu.Unlock()
		s.names = append(s.names, name)
		if stop != nil {
			s.stops = append(s.stops, stop)
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.startDatabase(gctx, o, scr, cache, p.MySQL, own) })
	g.Go(func() error { return s.startKafka(gctx, o, scr, cache, p.Kafka, own) })
	g.Go(func() error {
		if o.etcd != "" {
			s.etcd = o.etcd
			own("etcd "+o.etcd+" (flag)", nil)
			return nil
		}
		return scr.phase("etcd (embedded)", func() error {
			e, err := etcdnode.Start(gctx, etcdnode.Config{Dir: filepath.Join(o.dir, "etcd"), Address: fmt.Sprintf("127.0.0.1:%d", p.Etcd)})
			if err != nil {
				return err
			}
			s.etcd = e.Address()
			own("etcd "+e.Address(), e.Close)
			return nil
		})
	})
	return g.Wait()
}

func (s *stand) startDatabase(ctx context.Context, o options, scr *screen, cache *servers.Cache, port int, own func(string, func())) error {
	if o.mysql != "" {
		s.database = database{o.mysql, o.mysqlUser, o.mysqlPassword}
		own("database "+o.mysql+" (flag)", nil)
		return nil
	}
	kind := servers.MySQL
	if o.mariadb {
		kind = servers.MariaDB
	}
	program, err := cache.Database(ctx, kind)
	if err != nil {
		return fmt.Errorf("%w; or name a server of your own with -mysql", err)
	}
	return scr.phase(program.Name+" started", func() error {
		p, err := program.Start(ctx, servers.DatabaseOptions{Dir: filepath.Join(o.dir, string(program.Kind)), Port: port})
		if err != nil {
			return err
		}
		s.database = database{p.Addr, servers.ConnectorUser, servers.ConnectorPass}
		own(program.Name+" "+p.Addr, func() { p.StopWithin(stopWithin) })
		return nil
	})
}

func (s *stand) startKafka(ctx context.Context, o options, scr *screen, cache *servers.Cache, port int, own func(string, func())) error {
	if o.kafka != "" {
		s.kafka = o.kafka
		own("Kafka "+o.kafka+" (flag)", nil)
		return nil
	}
	if s.inMemory != nil {
		addr, stop, err := memoryKafka()
		if err != nil {
			return err
		}
		s.kafka = addr
		own("in-memory Kafka "+addr, stop)
		return nil
	}
	broker, err := cache.Kafka(ctx)
	if err != nil {
		return fmt.Errorf("%w; or name a Kafka of your own with -kafka", err)
	}
	return scr.phase(broker.Name+" started", func() error {
		p, err := broker.Start(ctx, servers.BrokerOptions{Dir: filepath.Join(o.dir, "kafka"), Port: port})
		if err != nil {
			return err
		}
		s.kafka = p.Addr
		own(broker.Name+" "+p.Addr, func() { p.StopWithin(stopWithin) })
		return nil
	})
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	i, err := f.Stat()
	return err == nil && i.Mode()&os.ModeCharDevice != 0
}
