// Package traffic writes to a database in ways that can be judged from the stream alone.
package traffic

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
)

// Change is one committed change of a register: Version counts the changes of its key from 1.
type Change struct {
	Op      byte // 'c', 'u' or 'd'
	Version int64
}

// Registers is a workload on tables r0, r1, ... of one database: each row is a register whose version goes up by one with each change, also over a
// delete and a new insert. A key belongs to one writer, so its changes commit in the order of its log.
type Registers struct {
	Addr, User, Password string
	Database             string
	Tables, Writers      int
	Keys                 int           // per writer and table
	Pause                time.Duration // between transactions of a writer; 0: as fast as the server takes them
	Seed                 uint64

	mu  sync.Mutex
	log map[string]map[int64][]Change // table → key → changes
}

// Setup makes the database and its tables anew.
func (r *Registers) Setup(ctx context.Context) error {
	c, err := r.connect(ctx, "")
	if err != nil {
		return err
	}
	defer c.Close()
	q := []string{"drop database if exists " + r.Database, "create database " + r.Database}
	for i := range r.Tables {
		q = append(q, fmt.Sprintf("create table %s.r%d (k bigint primary key, version bigint not null, writer int not null, pad varchar(200))", r.Database, i))
	}
	for _, s := range q {
		if _, err := c.Execute(s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func (r *Registers) connect(ctx context.Context, db string) (*client.Conn, error) {
	return client.ConnectWithContext(ctx, r.Addr, r.User, r.Password, db, 5*time.Second)
}

// Run writes until ctx ends. Every transaction that may have committed is in the log: a writer ends with its transaction.
func (r *Registers) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make(chan error, r.Writers)
	for w := range r.Writers {
		wg.Go(func() { errs <- r.write(ctx, w) })
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

// pending is a change of a transaction that is not committed yet.
type pending struct {
	table string
	key   int64
	Change
}

func (r *Registers) write(ctx context.Context, w int) error {
	c, err := r.connect(context.WithoutCancel(ctx), r.Database)
	if err != nil {
		return err
	}
	defer c.Close()
	rnd := rand.New(rand.NewPCG(r.Seed, uint64(w)))
	alive, version := map[string]bool{}, map[string]int64{}
	for ctx.Err() == nil {
		if err := c.Begin(); err != nil {
			return err
		}
		var txn []pending
		for range 1 + rnd.IntN(4) {
			table := fmt.Sprintf("r%d", rnd.IntN(r.Tables))
			key := int64(w*r.Keys + rnd.IntN(r.Keys))
			id := fmt.Sprint(table, "/", key)
			version[id]++
			p := pending{table, key, Change{'u', version[id]}}
			q := fmt.Sprintf("update %s set version = %d, pad = repeat('x', %d) where k = %d", table, p.Version, rnd.IntN(200), key)
			switch {
			case !alive[id]:
				p.Op, alive[id] = 'c', true
				q = fmt.Sprintf("insert into %s values (%d, %d, %d, 'new')", table, key, p.Version, w)
			case rnd.IntN(8) == 0:
				p.Op, alive[id] = 'd', false
				q = fmt.Sprintf("delete from %s where k = %d", table, key)
			}
			if _, err := c.Execute(q); err != nil {
				return fmt.Errorf("%s: %w", q, err)
			}
			txn = append(txn, p)
		}
		if err := c.Commit(); err != nil {
			return err
		}
		r.record(txn)
		if r.Pause > 0 {
			time.Sleep(r.Pause)
		}
	}
	return nil
}

func (r *Registers) record(txn []pending) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.log == nil {
		r.log = map[string]map[int64][]Change{}
	}
	for _, p := range txn {
		if r.log[p.table] == nil {
			r.log[p.table] = map[int64][]Change{}
		}
		r.log[p.table][p.key] = append(r.log[p.table][p.key], p.Change)
	}
}

// Log returns what was committed: table → key → changes in order. Call it after Run.
func (r *Registers) Log() map[string]map[int64][]Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log
}

// Count returns the number of committed changes so far.
func (r *Registers) Count() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, keys := range r.log {
		for _, c := range keys {
			n += len(c)
		}
	}
	return n
}
