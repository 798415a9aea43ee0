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
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/rowmesh/rowmesh/deploy/servers"
)

const database = "bench"

// wideTable is the reference: 880 bytes of JSON an insert or delete, 1 078 an update, schemas off.
const wideTable = "create table %s (id bigint primary key, n int not null, a char(120) not null, b varchar(60) not null, t datetime(3) not null, d decimal(12,2) not null, j json)"

// bench holds what all measures share.
type bench struct {
	o         options
	db, kafka *servers.Process
	results   []result
}

// subject is a system under measure.
type subject struct {
	name   string
	rest   string
	procs  []*servers.Process
	more   map[string]string
	repeat int // backlogs are drained this often, the last counts
}

// result is one line of the table.
type result struct {
	subject, measure string
	values           []string
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
	for _, q := range []string{"create database " + database, fmt.Sprintf(wideTable, database+".bulk"), fmt.Sprintf(wideTable, database+".single"), fmt.Sprintf(wideTable, database+".lat")} {
		if _, err := c.Execute(q); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	return nil
}

func values(from, n int) string {
	var sb strings.Builder
	for i := from; i < from+n; i++ {
		if i > from {
			sb.WriteByte(',')
		}
		fmt.Fprintf(&sb, `(%d,%d,'%s','%s','2024-05-06 07:08:09.123',%d.%02d,'{"k": %d, "s": "abc", "b": true}')`, i, i%1000, strings.Repeat("a", 100+i%20), strings.Repeat("b", 40+i%20), i%100000, i%100, i)
	}
	return sb.String()
}

// bulk writes a third each of inserts, updates and deletes, 1 000 rows a transaction.
func (b *bench) bulk(ctx context.Context) error {
	c, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	t := database + ".bulk"
	const step = 1000
	for _, q := range []func(i int) string{
		func(i int) string { return "insert into " + t + " values " + values(i, step) },
		func(i int) string {
			return fmt.Sprintf("update %s set n = n+1, b = concat('u', substr(b,2)) where id >= %d and id < %d", t, i, i+step)
		},
		func(i int) string { return fmt.Sprintf("delete from %s where id >= %d and id < %d", t, i, i+step) },
	} {
		for i := 0; i < b.o.rows/3; i += step {
			if _, err := c.Execute(q(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// singles writes single-row transactions from several connections, inserts only.
func (b *bench) singles(ctx context.Context) error {
	const writers = 4
	var wg sync.WaitGroup
	errs := make(chan error, writers)
	c, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Execute("truncate " + database + ".single"); err != nil {
		return err
	}
	for w := range writers {
		wg.Go(func() {
			c, err := b.connect(ctx)
			if err != nil {
				errs <- err
				return
			}
			defer c.Close()
			for i := w; i < b.o.singles; i += writers {
				if _, err := c.Execute("insert into " + database + ".single values " + values(i, 1)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
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
		case <-time.After(20 * time.Millisecond): // what is awaited happens in other processes
		}
	}
}

func (s *subject) ready(ctx context.Context, limit time.Duration) error {
	return poll(ctx, limit, func() error { _, err := s.call(ctx, http.MethodGet, "/connectors", nil); return err })
}

// connector creates a connector on one table that starts at the end of the log, and waits until it runs.
func (b *bench) connector(ctx context.Context, s *subject, name, table string) error {
	host, port, _ := net.SplitHostPort(b.db.Addr)
	c := map[string]string{
		"connector.class": "io.debezium.connector.mysql.MySqlConnector", "tasks.max": "1", "database.hostname": host, "database.port": port,
		"database.user": servers.ConnectorUser, "database.password": servers.ConnectorPass, "database.server.id": fmt.Sprint(7000 + time.Now().UnixNano()%50000),
		"topic.prefix": name, "database.include.list": database, "table.include.list": database + "." + table, "snapshot.mode": "no_data",
		"schema.history.internal.kafka.bootstrap.servers": b.kafka.Addr, "schema.history.internal.kafka.topic": "history-" + name,
		"key.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter": "org.apache.kafka.connect.json.JsonConverter",
		"key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false", "schema.history.internal.store.only.captured.databases.ddl": "true",
	}
	for k, v := range s.more {
		c[k] = v
	}
	if _, err := s.call(ctx, http.MethodPost, "/connectors", map[string]any{"name": name, "config": c}); err != nil {
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

// ends sums the end offsets of a topic.
func ends(ctx context.Context, adm *kadm.Client, topic string) (n int64) {
	l, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return 0
	}
	l.Each(func(o kadm.ListedOffset) { n += max(o.Offset, 0) })
	return n
}

// drain stops a connector, writes a backlog, resumes, and measures from the first record to the last.
func (b *bench) drain(ctx context.Context, s *subject, what, table string, rows, records int, write func(context.Context) error) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.kafka.Addr))
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	name := fmt.Sprintf("%s-%s-%d", strings.ToLower(s.name), table, time.Now().Unix())
	topic := name + "." + database + "." + table
	if err := b.connector(ctx, s, name, table); err != nil {
		return err
	}
	defer s.call(ctx, http.MethodDelete, "/connectors/"+name, nil)
	var r result
	for i := range s.repeat {
		if _, err := s.call(ctx, http.MethodPut, "/connectors/"+name+"/stop", nil); err != nil {
			return err
		}
		time.Sleep(2 * time.Second) // Connect answers before the task has ended
		fmt.Printf("%s: writing the %s backlog (%d of %d)\n", s.name, what, i+1, s.repeat)
		if err := write(ctx); err != nil {
			return err
		}
		before := ends(ctx, adm, topic)
		cpu, dbCPU, kafkaCPU := b.cpu(s.procs), b.cpu([]*servers.Process{b.db}), b.cpu([]*servers.Process{b.kafka})
		if b.o.profile != "" && what == "bulk" {
			fmt.Println("pids", pids(s.procs))
		}
		if _, err := s.call(ctx, http.MethodPut, "/connectors/"+name+"/resume", nil); err != nil {
			return err
		}
		first, last, err := b.await(ctx, adm, topic, before, int64(records))
		if err != nil {
			return err
		}
		wall := last.Sub(first)
		per := func(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1e6/float64(rows)) }
		r = result{s.name, what, []string{fmt.Sprintf("%.0f k", float64(rows)/wall.Seconds()/1000), per(b.cpu(s.procs) - cpu),
			per(b.cpu([]*servers.Process{b.db}) - dbCPU), per(b.cpu([]*servers.Process{b.kafka}) - kafkaCPU), fmt.Sprintf("%d", b.rss(s.procs))}}
		fmt.Println(s.name, what, r.values)
	}
	b.results = append(b.results, r)
	return nil
}

// await watches a topic grow by n records, and for when it began. Markers of transactions take offsets too: the end is when it stops growing past n.
func (b *bench) await(ctx context.Context, adm *kadm.Client, topic string, before, n int64) (first, last time.Time, err error) {
	err = poll(ctx, 10*time.Minute, func() error {
		got := ends(ctx, adm, topic) - before
		if got > 0 && first.IsZero() {
			first = time.Now()
		}
		if got < n {
			return fmt.Errorf("%d of %d records", got, n)
		}
		last = time.Now()
		return nil
	})
	return first, last, err
}

func pids(procs []*servers.Process) (out []int) {
	for _, p := range procs {
		out = append(out, p.PID())
	}
	return out
}

// cpu sums the CPU time of processes, in ticks of 10 ms.
func (b *bench) cpu(procs []*servers.Process) (d time.Duration) {
	for _, p := range procs {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
		if err != nil {
			continue
		}
		f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		for _, i := range []int{11, 12} { // utime, stime: fields 14 and 15 of proc(5)
			n, _ := strconv.ParseInt(f[i], 10, 64)
			d += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return d
}

// rss sums the peak memory of processes, MB.
func (b *bench) rss(procs []*servers.Process) (mb int64) {
	for _, p := range procs {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
		if err != nil {
			continue
		}
		_, after, _ := strings.Cut(string(text), "VmHWM:")
		n, _ := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
		mb += n / 1000
	}
	return mb
}

// latency writes single rows at a rate and measures from the return of the commit to the record at a consumer.
func (b *bench) latency(ctx context.Context, s *subject, rate int) error {
	name := fmt.Sprintf("%s-lat%d-%d", strings.ToLower(s.name), rate, time.Now().Unix())
	if err := b.connector(ctx, s, name, "lat"); err != nil {
		return err
	}
	defer s.call(ctx, http.MethodDelete, "/connectors/"+name, nil)
	c, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Execute("truncate " + database + ".lat"); err != nil {
		return err
	}
	if _, err := c.Execute("insert into " + database + ".lat values " + values(0, 1)); err != nil { // makes the topic
		return err
	}
	n := rate * 10
	seen := map[string]func() []time.Time{}
	for level, isolation := range map[string]kgo.IsolationLevel{"uncommitted": kgo.ReadUncommitted(), "committed": kgo.ReadCommitted()} {
		f, stop, err := b.consume(name+"."+database+".lat", isolation, n+1)
		if err != nil {
			return err
		}
		defer stop()
		seen[level] = f
	}
	time.Sleep(3 * time.Second) // consumers find the topic, JVMs compile
	commits := make([]time.Time, n+1)
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for i := 1; i <= n; i++ {
		<-tick.C
		if _, err := c.Execute("insert into " + database + ".lat values " + values(i, 1)); err != nil {
			return err
		}
		commits[i] = time.Now()
	}
	for _, level := range []string{"uncommitted", "committed"} {
		at := seen[level]()
		var d []time.Duration
		for i := 1; i <= n; i++ {
			if !at[i].IsZero() {
				d = append(d, at[i].Sub(commits[i]))
			}
		}
		if len(d) < n {
			return fmt.Errorf("%s: %d of %d records arrived", level, len(d), n)
		}
		slices.Sort(d)
		ms := func(q float64) string {
			return fmt.Sprintf("%.1f", float64(d[int(q*float64(len(d)-1))].Microseconds())/1000)
		}
		r := result{s.name, fmt.Sprintf("latency %d/s read_%s", rate, level), []string{ms(0.5), ms(0.9), ms(0.99)}}
		fmt.Println(s.name, r.measure, r.values)
		b.results = append(b.results, r)
	}
	return nil
}

// consume notes when each record of a topic (by its row's id) arrives; the returned function waits for n records, ten seconds at most.
func (b *bench) consume(topic string, isolation kgo.IsolationLevel, n int) (func() []time.Time, func(), error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.kafka.Addr), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(isolation), kgo.FetchMaxWait(500*time.Millisecond), kgo.MetadataMinAge(50*time.Millisecond), kgo.MetadataMaxAge(time.Second))
	if err != nil {
		return nil, nil, err
	}
	at := make([]time.Time, n)
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		for got := 0; got < n && ctx.Err() == nil; {
			f := cl.PollFetches(ctx)
			now := time.Now()
			f.EachRecord(func(r *kgo.Record) {
				var k struct{ ID int }
				if json.Unmarshal(r.Key, &k) == nil && k.ID < n && at[k.ID].IsZero() {
					at[k.ID] = now
					got++
				}
			})
		}
	}()
	stop := func() { cancel(); <-done; cl.Close() }
	return func() []time.Time {
		select {
		case <-done:
		case <-time.After(10 * time.Second):
		}
		cancel()
		<-done
		return at
	}, stop, nil
}

func (b *bench) measure(ctx context.Context, s *subject) error {
	if b.o.wants("bulk") {
		if err := b.drain(ctx, s, "bulk", "bulk", b.o.rows/3*3, b.o.rows/3*4, b.bulk); err != nil {
			return err
		}
	}
	if b.o.wants("singles") {
		if err := b.drain(ctx, s, "singles", "single", b.o.singles, b.o.singles, b.singles); err != nil {
			return err
		}
	}
	if b.o.wants("latency") {
		for _, rate := range []int{50, 1000} {
			if err := b.latency(ctx, s, rate); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) print() {
	fmt.Printf("\n%-10s %-34s %s\n", "system", "measure", "rows/s, CPU us/row: own, database, broker; peak RSS MB  |  latency ms: p50, p90, p99")
	for _, r := range b.results {
		fmt.Printf("%-10s %-34s %s\n", r.subject, r.measure, strings.Join(r.values, "  "))
	}
}
