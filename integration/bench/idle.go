package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	idleConnectors   = 20
	idleTransactions = 24_000
)

// idle measures what connectors cost that have nothing to do: a table that none of them captures gets transactions, without the connectors and with them.
func (b *bench) idle(ctx context.Context, s *subject) error {
	load := func() (time.Duration, error) {
		begin := time.Now()
		err := b.small(ctx, "foreign_rows", idleTransactions, 1)
		return time.Since(begin), err
	}
	if _, err := load(); err != nil { // the first run pays for pages and files
		return err
	}
	alone, err := load()
	if err != nil {
		return err
	}
	prefix := fmt.Sprintf("%s-idle-%d", strings.ToLower(s.name), time.Now().Unix())
	for i := range idleConnectors {
		name := fmt.Sprintf("%s-%02d", prefix, i)
		if err := b.connector(ctx, s, name, "lat"); err != nil {
			return err
		}
		defer s.call(ctx, http.MethodDelete, "/connectors/"+name, nil)
	}
	time.Sleep(5 * time.Second) // readers that were behind join
	forget(s.procs...)
	before := make([]time.Duration, len(s.everything()))
	for i, p := range s.everything() {
		before[i] = cpu(p)
	}
	db := cpu(b.db)
	profiled := b.profile(ctx, s, "idle20")
	with, err := load()
	if err != nil {
		return err
	}
	if err := <-profiled; err != nil {
		return err
	}
	// What the connectors have not read yet counts as well.
	time.Sleep(2 * time.Second)
	var own time.Duration
	var parts []string
	for i, p := range s.everything() {
		spent := cpu(p) - before[i]
		own += spent
		parts = append(parts, fmt.Sprintf("%s %.2f", strings.TrimSuffix(p.Name, "-1"), spent.Seconds()))
	}
	spent := cpu(b.db) - db
	dumps, err := b.dumps(ctx)
	if err != nil {
		return err
	}
	total, _ := s.peaks()
	b.idling.add(os.Stdout, line{s.name, fmt.Sprintf("idle%d", idleConnectors),
		[]float64{alone.Seconds(), with.Seconds(), own.Seconds(), spent.Seconds(), float64(dumps), total}, "CPU: " + strings.Join(parts, ", ")})
	return nil
}

// dumps counts the server's binlog connections.
func (b *bench) dumps(ctx context.Context) (n int, err error) {
	c, err := b.connect(ctx)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	r, err := c.Execute("select count(*) from information_schema.processlist where command like 'Binlog Dump%'")
	if err != nil {
		return 0, err
	}
	defer r.Close()
	count, err := r.GetInt(0, 0)
	return int(count), err
}
