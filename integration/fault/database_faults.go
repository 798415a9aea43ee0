package fault

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"
)

// databaseFaults are group M, as far as a running load lives through them; what statements can do is in statements.go.
func databaseFaults() []Fault {
	return []Fault{
		{ID: "M1", Name: "the source restarted", Long: true, Do: (*Stage).sourceRestarted},
		{ID: "M1", Name: "the source killed", Do: (*Stage).sourceKilled},
		{ID: "M2", Name: "failover by GTID, the old primary killed", Alone: true, Do: failover(true)},
		{ID: "N16", Name: "the source's address points at another server", Alone: true, Do: failover(false)},
		{ID: "M4", Name: "the new primary has a transaction of its own", Alone: true, Do: (*Stage).errant},
		{ID: "M15", Name: "a large transaction", Do: func(s *Stage, ctx context.Context) error {
			if s.Long {
				return s.big(ctx, 300_000)
			}
			return s.big(ctx, 10_000)
		}},
		{ID: "C2", Name: "at once: a zombie and a failover", Long: true, Alone: true, Do: (*Stage).zombieFailover},
		{ID: "M35", Name: "the dump thread is killed again and again", Do: (*Stage).dumpKilled},
		{ID: "M34", Name: "the source is read only for a while", Do: (*Stage).readOnly},
		{ID: "M25", Name: "the log is rotated again and again", Long: true, Do: (*Stage).rotated},
	}
}

func (s *Stage) sourceRestarted(ctx context.Context) error {
	name := s.Primary(s.Load.Proxy)
	if err := s.Stop(name); err != nil {
		return err
	}
	return s.Spawn(ctx, name)
}

func (s *Stage) sourceKilled(ctx context.Context) error {
	return s.Bounce(ctx, s.Primary(s.Load.Proxy))
}

func failover(kill bool) func(*Stage, context.Context) error {
	return func(s *Stage, ctx context.Context) error {
		s.Load.moved = true
		writable, err := s.Failover(ctx, kill)
		if err != nil {
			return err
		}
		if err := s.Load.Recovered(ctx, writable, settleLimit); err != nil {
			return err
		}
		s.Log("failover to %s (old one killed: %v): changes of all tables %.2f s after it was writable", s.Primary(Source), kill, time.Since(writable).Seconds())
		return nil
	}
}

// errant lets the replica commit something that the primary never had, and makes it the primary: that transaction is in its log, and is told.
func (s *Stage) errant(ctx context.Context) error {
	replica, err := s.replica()
	if err != nil {
		return err
	}
	s.Load.errant = true
	table := fmt.Sprintf("%s.errant%d", s.Load.W.Database, s.Rnd.IntN(1_000_000))
	if err := s.Exec(ctx, s.Primary(Source), "create table "+table+" (k bigint primary key, version bigint not null)"); err != nil {
		return err
	}
	if err := s.CatchUp(ctx, replica, s.Primary(Source)); err != nil {
		return err
	}
	if err := s.Exec(ctx, replica, "set global super_read_only=0", "insert into "+table+" values (1, 1)", "set global super_read_only=1"); err != nil {
		return err
	}
	if err := failover(true)(s, ctx); err != nil {
		return err
	}
	return s.Load.Exactly(ctx, table[len(s.Load.W.Database)+1:], "c 1 1")
}

// zombieFailover stops a publisher past its lease, fails over, and lets the publisher go on.
func (s *Stage) zombieFailover(ctx context.Context) error {
	name, err := s.zombieOf(ctx)
	if err != nil {
		return err
	}
	if err := failover(true)(s, ctx); err != nil {
		return err
	}
	return s.Signal(name, syscall.SIGCONT)
}

// dumpThreads returns the ids of the threads that send the log to capturers.
func (s *Stage) dumpThreads(ctx context.Context, server string) (ids []int, err error) {
	conn, err := s.Session(ctx, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	r, err := conn.Execute("select id from information_schema.processlist where command like 'Binlog Dump%' and user = 'dbz'")
	if err != nil {
		return nil, err
	}
	for i := range r.Values {
		text, err := r.GetString(i, 0)
		if err != nil {
			return nil, err
		}
		id, err := strconv.Atoi(text)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func (s *Stage) dumpKilled(ctx context.Context) error {
	server, killed := s.Primary(s.Load.Proxy), 0
	for range 5 {
		ids, err := s.dumpThreads(ctx, server)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := s.Exec(ctx, server, fmt.Sprintf("kill %d", id)); err == nil { // else it has ended by itself
				killed++
			}
		}
		if err := s.pause(ctx, 300*time.Millisecond, time.Second); err != nil {
			return err
		}
	}
	if killed == 0 {
		return errors.New("there was no dump thread to kill")
	}
	return nil
}

func (s *Stage) readOnly(ctx context.Context) error {
	server := s.Primary(s.Load.Proxy)
	if err := s.Exec(ctx, server, "set global super_read_only=1"); err != nil {
		return err
	}
	if err := s.pause(ctx, 2*time.Second, 30*time.Second); err != nil {
		return err
	}
	return s.Exec(ctx, server, "set global super_read_only=0", "set global read_only=0")
}

func (s *Stage) rotated(ctx context.Context) error {
	for range 10 {
		if err := s.Exec(ctx, s.Primary(s.Load.Proxy), "flush binary logs"); err != nil {
			return err
		}
		if err := s.pause(ctx, 100*time.Millisecond, time.Second); err != nil {
			return err
		}
	}
	return nil
}
