package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/twmb/franz-go/pkg/kgo"
)

// latency writes single rows at a rate and measures from the return of the commit to the record at a consumer: one that reads all records, then one that reads
// committed ones. They do not run together: each fetches a thousand times a second, which the other would pay for.
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
	if _, err := c.Execute("insert into " + database + ".lat values " + rowsOf(0, 1, wide)); err != nil { // makes the topic
		return err
	}
	n := rate * 10
	for i, level := range []struct {
		name      string
		isolation kgo.IsolationLevel
	}{{"uncommitted", kgo.ReadUncommitted()}, {"committed", kgo.ReadCommitted()}} {
		seen, stop, err := b.consume(name+"."+database+".lat", level.isolation, 1+(i+1)*n)
		if err != nil {
			return err
		}
		defer stop()
		time.Sleep(3 * time.Second) // the consumer finds the topic, JVMs compile
		first := 1 + i*n
		commits, err := b.trickle(ctx, c, first, n, rate)
		if err != nil {
			return err
		}
		at := seen()[first:]
		d := make([]time.Duration, 0, n)
		for i, committed := range commits {
			if !at[i].IsZero() {
				d = append(d, at[i].Sub(committed))
			}
		}
		if len(d) < n {
			return fmt.Errorf("%s: %d of %d records arrived", level.name, len(d), n)
		}
		slices.Sort(d)
		ms := func(q float64) float64 { return float64(d[int(q*float64(len(d)-1))].Microseconds()) / 1000 }
		b.delays.add(os.Stdout, line{system: s.name, measure: fmt.Sprintf("%d/s read_%s", rate, level.name), values: []float64{ms(0.5), ms(0.9), ms(0.99)}})
	}
	return nil
}

// trickle inserts n rows, rate of them a second, and says when each was committed.
func (b *bench) trickle(ctx context.Context, c *client.Conn, first, n, rate int) ([]time.Time, error) {
	commits := make([]time.Time, n)
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for i := range commits {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
		if _, err := c.Execute("insert into " + database + ".lat values " + rowsOf(first+i, 1, wide)); err != nil {
			return nil, err
		}
		commits[i] = time.Now()
	}
	return commits, nil
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
