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
	own, db := cpu(s.everything()...), cpu(b.db)
	with, err := load()
	if err != nil {
		return err
	}
	// What the connectors have not read yet counts as well.
	time.Sleep(2 * time.Second)
	ownAfter, dbAfter := cpu(s.everything()...), cpu(b.db)
	dumps, err := b.dumps(ctx)
	if err != nil {
		return err
	}
	total, parts := s.peaks()
	b.idling.add(os.Stdout, line{s.name, fmt.Sprintf("idle%d", idleConnectors),
		[]float64{alone.Seconds(), with.Seconds(), (ownAfter - own).Seconds(), (dbAfter - db).Seconds(), float64(dumps), total}, parts})
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
