package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// copied is tables that a snapshot reads.
type copied struct {
	name   string // of the measure, and of its tables in front of a number
	shape  string
	next   string // the columns of a row made of another, whose id is so many less
	row    func(*strings.Builder, int)
	rows   int
	tables int
}

// copies lists what snapshots are measured on.
func copies(o options) []copied {
	wideNext := "n, a, b, t, d, j"
	return []copied{
		{"snapshot-wide", wideTable, wideNext, wide, o.wide, 1},
		{"snapshot-narrow", narrowTable, "n, s", narrow, o.narrow, 1},
		{"snapshot-many", wideTable, wideNext, wide, o.wide, o.tables},
	}
}

// way is how a snapshot is taken.
type way struct {
	name string
	with map[string]string // options; an empty one takes away what other measures set
}

func ownWays(o options) []way {
	return []way{
		{"one cut", map[string]string{"snapshot.locking.mode": "minimal"}},
		{fmt.Sprintf("one cut x%d", o.threads), map[string]string{"snapshot.locking.mode": "minimal", "snapshot.max.threads": strconv.Itoa(o.threads)}},
		{fmt.Sprintf("no lock x%d", o.threads), map[string]string{"rowmesh.snapshot.lock.free": "on", "snapshot.max.threads": strconv.Itoa(o.threads)}},
	}
}

// rivalWays are Debezium's: with its defaults, and with what makes it faster.
func rivalWays(o options) []way {
	return []way{
		{"as it comes", map[string]string{"max.batch.size": "", "max.queue.size": "", "poll.interval.ms": "", "producer.override.linger.ms": "", "producer.override.batch.size": ""}},
		{"tuned", nil},
		{fmt.Sprintf("tuned x%d", o.threads), map[string]string{"snapshot.max.threads": strconv.Itoa(o.threads)}},
	}
}

// seedRows are inserted one by one, the others made of them; a multiple of what the values of wide rows go round in.
const seedRows = 1000

// fill makes the tables of a measure, unless they are there. Nothing of it is logged.
func (b *bench) fill(ctx context.Context, c copied) error {
	conn, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Execute("set session sql_log_bin=0"); err != nil {
		return err
	}
	for i := range c.tables {
		t, rows := c.table(i), c.rowsOf(i)
		if _, err := conn.Execute(fmt.Sprintf(c.shape, t)); err != nil {
			if strings.Contains(err.Error(), "already exists") {
				return nil
			}
			return err
		}
		if _, err := conn.Execute("insert into " + t + " values " + rowsOf(0, min(seedRows, rows), c.row)); err != nil {
			return err
		}
		for n := seedRows; n < rows; n *= 2 {
			if _, err := conn.Execute(fmt.Sprintf("insert into %s select id+%d, %s from %s where id < %d", t, n, c.next, t, min(n, rows-n))); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c copied) table(i int) string {
	return fmt.Sprintf("%s.%s_%d", database, strings.ReplaceAll(c.name, "-", "_"), i)
}

// rowsOf is how many of the rows the i-th table has.
func (c copied) rowsOf(i int) int { return (i+1)*c.rows/c.tables - i*c.rows/c.tables }

// snapshot measures the snapshots of a subject, each way.
func (b *bench) snapshot(ctx context.Context, s *subject, c copied) error {
	fmt.Printf("%s: %d rows in %d tables\n", c.name, c.rows, c.tables)
	if err := b.fill(ctx, c); err != nil {
		return err
	}
	for _, w := range s.ways {
		if err := b.copy(ctx, s, c, w); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return nil
}

// copy measures one snapshot, from the request to the last record. The topics are there before: how long a broker takes to make a thousand is not what is measured.
func (b *bench) copy(ctx context.Context, s *subject, c copied, w way) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.kafka.Addr), kgo.MetadataMinAge(pollEvery))
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	name := fmt.Sprintf("%s-%s-%d", strings.ToLower(s.name), c.name, time.Now().Unix())
	topics := make([]string, c.tables)
	for i := range topics {
		topics[i] = name + "." + c.table(i)
	}
	if _, err := adm.CreateTopics(ctx, 1, 1, nil, topics...); err != nil {
		return err
	}
	defer adm.DeleteTopics(ctx, topics...)
	config := b.config(s, name, c.table(0)[:len(c.table(0))-1]+"[0-9]+")
	config["snapshot.mode"] = "initial"
	for k, v := range w.with {
		if config[k] = v; v == "" {
			delete(config, k)
		}
	}
	stall := b.stalls(ctx)
	forget(s.procs...)
	own, db, kafka, began := cpu(s.procs...), cpu(b.db), cpu(b.kafka), time.Now()
	if err := s.create(ctx, name, config); err != nil {
		return err
	}
	defer s.call(ctx, http.MethodDelete, "/connectors/"+name, nil)
	profiled := b.profile(ctx, s, c.name+"-"+strings.ReplaceAll(w.name, " ", "-"))
	took, err := b.copiedAll(ctx, adm, topics, int64(c.rows), began)
	if err != nil {
		return err
	}
	if err := <-profiled; err != nil {
		return err
	}
	longest, err := stall()
	if err != nil {
		return err
	}
	per := func(d time.Duration) float64 { return d.Seconds() * 1e6 / float64(c.rows) }
	total, parts := s.peaks()
	b.copying.add(os.Stdout, line{s.name, c.name + " " + w.name, []float64{float64(c.rows) / took.Seconds() / 1000, per(cpu(s.procs...) - own), per(cpu(b.db) - db), per(cpu(b.kafka) - kafka), total,
		float64(longest.Microseconds()) / 1000}, parts})
	return nil
}

// copiedAll waits until the topics have n records.
func (b *bench) copiedAll(ctx context.Context, adm *kadm.Client, topics []string, n int64, began time.Time) (took time.Duration, err error) {
	err = poll(ctx, 20*time.Minute, func() error {
		if got := ends(ctx, adm, topics...); got < n {
			return fmt.Errorf("%d of %d records", got, n)
		}
		took = time.Since(began)
		return nil
	})
	return took, err
}

// stallEvery is how often a writer tries: what keeps writers away for longer is seen.
const stallEvery = 2 * time.Millisecond

// stalls writes into a table that nobody captures until the returned function is called, which tells how long the slowest statement took.
func (b *bench) stalls(ctx context.Context) func() (time.Duration, error) {
	ctx, stop := context.WithCancel(ctx)
	type result struct {
		longest time.Duration
		err     error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() { done <- r }()
		conn, err := b.connect(ctx)
		if err != nil {
			r.err = err
			return
		}
		defer conn.Close()
		for ctx.Err() == nil {
			at := time.Now()
			if _, err := conn.Execute("replace into " + database + ".stalls values (1, now(6))"); err != nil {
				r.err = err
				return
			}
			r.longest = max(r.longest, time.Since(at))
			time.Sleep(stallEvery)
		}
	}()
	return func() (time.Duration, error) {
		stop()
		r := <-done
		return r.longest, r.err
	}
}
