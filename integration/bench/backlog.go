package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// wideTable is the reference: 880 bytes of JSON an insert or delete, 1 078 an update, schemas off.
	wideTable = "create table %s (id bigint primary key, n int not null, a char(120) not null, b varchar(60) not null, t datetime(3) not null, d decimal(12,2) not null, j json)"
	// narrowTable shows what a row costs whatever is in it.
	narrowTable = "create table %s (id bigint primary key, n int not null, s varchar(20) not null)"
)

// backlog is changes that wait in the log when a connector resumes.
type backlog struct {
	name  string // of the measure and its table
	shape string
	row   func(*strings.Builder, int)
	write func(b *bench, ctx context.Context) error
	// rows and records that it makes: a delete is two records, itself and a tombstone.
	rows, records int
}

// backlogs lists what can be measured, in the order of the table.
func backlogs(o options) []backlog {
	third := o.rows / 3 / step * step
	return []backlog{
		{"bulk", wideTable, wide, func(b *bench, ctx context.Context) error {
			return b.thirds(ctx, "bulk", third, wide, "b = concat('u', substr(b,2))")
		}, 3 * third, 4 * third},
		{"narrow", narrowTable, narrow, func(b *bench, ctx context.Context) error {
			return b.thirds(ctx, "narrow", third, narrow, "s = 'changed'")
		}, 3 * third, 4 * third},
		{"singles", wideTable, wide, func(b *bench, ctx context.Context) error { return b.small(ctx, "singles", o.singles, 1) }, o.singles, o.singles},
		{"tx10", wideTable, wide, func(b *bench, ctx context.Context) error { return b.small(ctx, "tx10", o.singles, 10) }, o.singles, o.singles},
		{"bigtx", wideTable, wide, func(b *bench, ctx context.Context) error { return b.big(ctx, "bigtx", o.big) }, o.big, o.big},
	}
}

// step is the rows of a statement.
const step = 1000

// rowsOf renders n rows from id from on.
func rowsOf(from, n int, one func(sb *strings.Builder, id int)) string {
	var sb strings.Builder
	for i := from; i < from+n; i++ {
		if i > from {
			sb.WriteByte(',')
		}
		one(&sb, i)
	}
	return sb.String()
}

func wide(sb *strings.Builder, i int) {
	fmt.Fprintf(sb, `(%d,%d,'%s','%s','2024-05-06 07:08:09.123',%d.%02d,'{"k": %d, "s": "abc", "b": true}')`, i, i%1000, strings.Repeat("a", 100+i%20), strings.Repeat("b", 40+i%20), i%100000, i%100, i)
}

func narrow(sb *strings.Builder, i int) { fmt.Fprintf(sb, `(%d,%d,'row %d')`, i, i%1000, i) }

// thirds writes n each of inserts, updates and deletes, step rows a transaction.
func (b *bench) thirds(ctx context.Context, name string, n int, one func(*strings.Builder, int), set string) error {
	c, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	t := database + "." + name
	for _, q := range []func(i int) string{
		func(i int) string { return "insert into " + t + " values " + rowsOf(i, step, one) },
		func(i int) string {
			return fmt.Sprintf("update %s set n = n+1, %s where id >= %d and id < %d", t, set, i, i+step)
		},
		func(i int) string { return fmt.Sprintf("delete from %s where id >= %d and id < %d", t, i, i+step) },
	} {
		for i := 0; i < n; i += step {
			if _, err := c.Execute(q(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// small inserts n rows from several connections, in transactions of some single-row statements.
func (b *bench) small(ctx context.Context, name string, n, statements int) error {
	const writers = 4
	c, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Execute("truncate " + database + "." + name); err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make(chan error, writers)
	for w := range writers {
		wg.Go(func() { errs <- b.writer(ctx, name, w*n/writers, (w+1)*n/writers, statements) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// writer inserts the rows from one id to another.
func (b *bench) writer(ctx context.Context, name string, from, to, statements int) error {
	c, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	for i := from; i < to; {
		if statements > 1 {
			if err := c.Begin(); err != nil {
				return err
			}
		}
		for end := min(i+statements, to); i < end; i++ {
			if _, err := c.Execute("insert into " + database + "." + name + " values " + rowsOf(i, 1, wide)); err != nil {
				return err
			}
		}
		if statements > 1 {
			if err := c.Commit(); err != nil {
				return err
			}
		}
	}
	return nil
}

// big inserts n rows in one transaction.
func (b *bench) big(ctx context.Context, name string, n int) error {
	c, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Execute("truncate " + database + "." + name); err != nil {
		return err
	}
	if err := c.Begin(); err != nil {
		return err
	}
	for i := 0; i < n; i += step {
		if _, err := c.Execute("insert into " + database + "." + name + " values " + rowsOf(i, min(step, n-i), wide)); err != nil {
			return err
		}
	}
	return c.Commit()
}

// drain stops a connector, writes a backlog, resumes, and measures from the first record to the last.
func (b *bench) drain(ctx context.Context, s *subject, l backlog) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.kafka.Addr), kgo.MetadataMinAge(pollEvery))
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	name := fmt.Sprintf("%s-%s-%d", strings.ToLower(s.name), l.name, time.Now().Unix())
	topic := name + "." + database + "." + l.name
	if err := b.connector(ctx, s, name, l.name); err != nil {
		return err
	}
	defer s.call(ctx, http.MethodDelete, "/connectors/"+name, nil)
	if err := b.seed(ctx, adm, topic, l); err != nil {
		return err
	}
	var r line
	for i := range s.repeat {
		if _, err := s.call(ctx, http.MethodPut, "/connectors/"+name+"/stop", nil); err != nil {
			return err
		}
		time.Sleep(2 * time.Second) // Connect answers before the task has ended
		fmt.Printf("%s: writing the %s backlog (%d of %d)\n", s.name, l.name, i+1, s.repeat)
		if err := l.write(b, ctx); err != nil {
			return err
		}
		before := ends(ctx, adm, topic)
		forget(s.procs...)
		own, db, kafka := cpu(s.procs...), cpu(b.db), cpu(b.kafka)
		if _, err := s.call(ctx, http.MethodPut, "/connectors/"+name+"/resume", nil); err != nil {
			return err
		}
		profiled := b.profile(ctx, s, l.name)
		first, last, err := b.await(ctx, adm, topic, before, int64(l.records))
		if err != nil {
			return err
		}
		if err := <-profiled; err != nil {
			return err
		}
		per := func(d time.Duration) float64 { return d.Seconds() * 1e6 / float64(l.rows) }
		total, parts := s.peaks()
		r = line{s.name, l.name, []float64{float64(l.rows) / last.Sub(first).Seconds() / 1000, per(cpu(s.procs...) - own), per(cpu(b.db) - db), per(cpu(b.kafka) - kafka), total}, parts}
		if i < s.repeat-1 {
			b.throughput.show(os.Stdout, r, "%10.2f")
		}
	}
	b.throughput.add(os.Stdout, r)
	return nil
}

// seedID is beyond all ids of backlogs. Each seed has another one: a row that is replaced by its like is not logged.
const seedID = 1 << 40

// seed writes one row and waits for it: the topic exists then, and its end can be watched without asking for metadata.
func (b *bench) seed(ctx context.Context, adm *kadm.Client, topic string, l backlog) error {
	c, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Execute("replace into " + database + "." + l.name + " values " + rowsOf(seedID+int(time.Now().UnixMilli()), 1, l.row)); err != nil {
		return err
	}
	return poll(ctx, time.Minute, func() error {
		if n := ends(ctx, adm, topic); n < 1 {
			return fmt.Errorf("the first record is not in %s", topic)
		}
		return nil
	})
}

// ends sums the end offsets of topics.
func ends(ctx context.Context, adm *kadm.Client, topics ...string) (n int64) {
	l, err := adm.ListEndOffsets(ctx, topics...)
	if err != nil {
		return 0
	}
	l.Each(func(o kadm.ListedOffset) { n += max(o.Offset, 0) })
	return n
}

// await watches a topic grow by n records, and for when it began. The few markers of transactions take offsets too.
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
