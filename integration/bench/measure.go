package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/rowmesh/rowmesh/deploy/servers"
)

const database = "bench"

// bench holds what all measures share.
type bench struct {
	o                          options
	db, kafka                  *servers.Process
	throughput, delays, idling table
	copying                    table
}

func newBench(o options, db, kafka *servers.Process) *bench {
	return &bench{o: o, db: db, kafka: kafka,
		throughput: table{title: "backlog; CPU in us/row", columns: []string{"k rows/s", "own", "database", "broker", "RSS MB"}},
		delays:     table{title: "commit to consumer, ms", columns: []string{"p50", "p90", "p99"}},
		copying:    table{title: "snapshot; CPU in us/row", columns: []string{"k rows/s", "own", "database", "broker", "RSS MB", "stall ms"}},
		idling:     table{title: fmt.Sprintf("%d foreign transactions, s", idleTransactions), columns: []string{"alone", "with", "own CPU", "database", "dumps", "RSS MB"}},
	}
}

// subject is a system under measure.
type subject struct {
	name   string
	rest   string
	procs  []*servers.Process // that the rows go through
	others []*servers.Process
	pprof  map[string]string // of some process by name: host:port of its /debug/pprof
	more   map[string]string // options of its connectors
	repeat int               // backlogs are drained this often, the last counts
	ways   []way             // how snapshots are taken
}

func (s *subject) everything() []*servers.Process { return slices.Concat(s.procs, s.others) }

// peaks is the most memory that the processes on the path of the rows had, together and each.
func (s *subject) peaks() (total float64, parts string) {
	var each []string
	for _, p := range s.procs {
		mb := peak(p)
		total += float64(mb)
		each = append(each, fmt.Sprintf("%s %d", strings.TrimSuffix(p.Name, "-1"), mb))
	}
	if len(each) > 1 {
		parts = strings.Join(each, ", ")
	}
	return total, parts
}

func (b *bench) connect(ctx context.Context) (*client.Conn, error) {
	return client.ConnectWithContext(ctx, b.db.Addr, servers.RootUser, "", "", 5*time.Second)
}

// load makes the tables.
func (b *bench) load(ctx context.Context) error {
	c, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	q := []string{"create database " + database, "create table " + database + ".stalls (id int primary key, at datetime(6))", fmt.Sprintf(wideTable, database+".lat"), fmt.Sprintf(wideTable, database+".foreign_rows")}
	for _, l := range backlogs(b.o) {
		q = append(q, fmt.Sprintf(l.shape, database+"."+l.name))
	}
	for _, q := range q {
		if _, err := c.Execute(q); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	return nil
}

// measure does what is wanted with one system.
func (b *bench) measure(ctx context.Context, s *subject) error {
	for _, l := range backlogs(b.o) {
		if b.o.wants(l.name) {
			if err := b.drain(ctx, s, l); err != nil {
				return fmt.Errorf("%s: %s: %w", s.name, l.name, err)
			}
		}
	}
	for _, c := range copies(b.o) {
		if b.o.wants(c.name) {
			if err := b.snapshot(ctx, s, c); err != nil {
				return fmt.Errorf("%s: %s: %w", s.name, c.name, err)
			}
		}
	}
	if b.o.wants("latency") {
		for _, rate := range []int{50, 1000} {
			if err := b.latency(ctx, s, rate); err != nil {
				return fmt.Errorf("%s: latency: %w", s.name, err)
			}
		}
	}
	if b.o.wants("idle20") {
		if err := b.idle(ctx, s); err != nil {
			return fmt.Errorf("%s: idle20: %w", s.name, err)
		}
	}
	return nil
}

func (b *bench) print(w io.Writer) {
	for _, t := range []*table{&b.throughput, &b.copying, &b.delays, &b.idling} {
		t.print(w)
	}
}

func (s *subject) call(ctx context.Context, method, path string, body any) (string, error) {
	j, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	q, err := http.NewRequestWithContext(ctx, method, s.rest+path, bytes.NewReader(j))
	if err != nil {
		return "", err
	}
	q.Header.Set("Content-Type", "application/json")
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s %s", method, path, r.Status, text)
	}
	return string(text), err
}

// pollEvery is how exactly the ends of backlogs are seen.
const pollEvery = 20 * time.Millisecond

func poll(ctx context.Context, limit time.Duration, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pollEvery): // what is awaited happens in other processes
		}
	}
}

func (s *subject) ready(ctx context.Context, limit time.Duration) error {
	return poll(ctx, limit, func() error { _, err := s.call(ctx, http.MethodGet, "/connectors", nil); return err })
}

// connector creates a connector on one table that starts at the end of the log, and waits until it runs.
func (b *bench) connector(ctx context.Context, s *subject, name, table string) error {
	if err := s.create(ctx, name, b.config(s, name, database+"."+table)); err != nil {
		return err
	}
	return poll(ctx, time.Minute, func() error {
		// The offset is there once the schemas are read: what is written from now on is captured.
		body, err := s.call(ctx, http.MethodGet, "/connectors/"+name+"/offsets", nil)
		if err == nil && !strings.Contains(body, `"pos"`) {
			err = fmt.Errorf("no offset: %s", body)
		}
		return err
	})
}

func (s *subject) create(ctx context.Context, name string, config map[string]string) error {
	_, err := s.call(ctx, http.MethodPost, "/connectors", map[string]any{"name": name, "config": config})
	return err
}

// config is that of a connector on some tables.
func (b *bench) config(s *subject, name, tables string) map[string]string {
	host, port, _ := net.SplitHostPort(b.db.Addr)
	c := map[string]string{
		"connector.class": "io.debezium.connector.mysql.MySqlConnector", "tasks.max": "1", "database.hostname": host, "database.port": port,
		"database.user": servers.ConnectorUser, "database.password": servers.ConnectorPass, "database.server.id": fmt.Sprint(7000 + time.Now().UnixNano()%50000),
		"topic.prefix": name, "database.include.list": database, "table.include.list": tables, "snapshot.mode": "no_data",
		"schema.history.internal.kafka.bootstrap.servers": b.kafka.Addr, "schema.history.internal.kafka.topic": "history-" + name,
		"key.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter": "org.apache.kafka.connect.json.JsonConverter",
		"key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false", "schema.history.internal.store.only.captured.databases.ddl": "true",
	}
	for k, v := range s.more {
		c[k] = v
	}
	return c
}

// profileTime is the length of CPU profiles: a backlog of the default size takes about ten seconds.
const profileTime = 5 * time.Second

// profile writes a CPU profile of each process that has them, and then its heap, into the folder that was asked for. The channel gives one answer.
func (b *bench) profile(ctx context.Context, s *subject, what string) <-chan error {
	done := make(chan error, 1)
	if b.o.profile == "" || len(s.pprof) == 0 {
		done <- nil
		return done
	}
	go func() {
		each := make(chan error, len(s.pprof))
		for name, addr := range s.pprof {
			go func() {
				base := fmt.Sprintf("%s/%s-%s", b.o.profile, what, name)
				err := fetch(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%.0f", addr, profileTime.Seconds()), base+".cpu")
				if err == nil {
					err = fetch(ctx, "http://"+addr+"/debug/pprof/heap", base+".heap")
				}
				each <- err
			}()
		}
		var first error
		for range s.pprof {
			if err := <-each; first == nil {
				first = err
			}
		}
		done <- first
	}()
	return done
}

func fetch(ctx context.Context, url, file string) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s %s", url, r.Status, body)
	}
	return os.WriteFile(file, body, 0o644)
}
