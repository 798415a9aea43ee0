package traffic

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
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

func (r *Registers) server() Server { return Server{r.Addr, r.User, r.Password, r.Database} }

// Setup makes the database and its tables anew.
func (r *Registers) Setup(ctx context.Context) error {
	s := r.server()
	return s.setup(ctx, "", append([]string{"drop database if exists " + r.Database, "create database " + r.Database}, r.create()...)...)
}

func (r *Registers) create() (q []string) {
	for i := range r.Tables {
		q = append(q, fmt.Sprintf("create table %s.r%d (k bigint primary key, version bigint not null, writer int not null, pad varchar(200))", r.Database, i))
	}
	return q
}

// Run writes until ctx ends. Every transaction that was committed is in the log: a writer ends with its transaction.
func (r *Registers) Run(ctx context.Context) error {
	return writers(r.Writers, func(w int) error { return r.write(ctx, w) })
}

// writers runs a function for each writer and returns the first error when all have ended.
func writers(n int, f func(w int) error) error {
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for w := range n {
		wg.Go(func() { errs <- f(w) })
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

// registerWriter is one writer's view of its keys.
type registerWriter struct {
	*Registers
	w       int
	rnd     *rand.Rand
	alive   map[string]bool
	version map[string]int64
	work    work
	txn     []pending
}

func (r *Registers) write(ctx context.Context, w int) error {
	s := session{Server: r.server()}
	defer s.close()
	x := &registerWriter{Registers: r, w: w, rnd: rand.New(rand.NewPCG(r.Seed, uint64(w))), alive: map[string]bool{}, version: map[string]int64{}}
	for ctx.Err() == nil {
		x.work, x.txn = work{}, nil
		for range 1 + x.rnd.IntN(4) {
			x.change()
		}
		if len(x.txn) == 0 {
			continue
		}
		// What the transaction does last says whether it is committed: no row is inserted and deleted by the same one.
		last := x.txn[len(x.txn)-1]
		x.work.witness = witness{last.table, last.key, last.Version}
		if last.Op == 'd' {
			x.work.witness.version = 0
		}
		if err := s.commit(x.work); err != nil {
			return err
		}
		r.record(x.txn)
		pause(ctx, r.Pause)
	}
	return nil
}

// pause waits, at most until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// key picks a key; the lower ones are hot.
func (x *registerWriter) key() int64 {
	f := x.rnd.Float64()
	return int64(x.w*x.Keys + int(f*f*float64(x.Keys)))
}

// change adds a change, or two where a row moves to another key.
func (x *registerWriter) change() {
	table, key := fmt.Sprintf("r%d", x.rnd.IntN(x.Tables)), x.key()
	id := fmt.Sprint(table, "/", key)
	pad := x.rnd.IntN(200)
	switch n := x.rnd.IntN(16); {
	case !x.alive[id]:
		v := x.note(table, key, 'c')
		x.do("insert into %s values (%d, %d, %d, 'new')", table, key, v, x.w)
	case n < 2 && !x.inserted(table, key):
		x.note(table, key, 'd')
		x.do("delete from %s where k = %d", table, key)
	case n == 2 && !x.inserted(table, key):
		to := x.key()
		if x.alive[fmt.Sprint(table, "/", to)] {
			return
		}
		x.note(table, key, 'd')
		v := x.note(table, to, 'c')
		x.do("update %s set k = %d, version = %d, pad = repeat('m', %d) where k = %d", table, to, v, pad, key)
	default:
		v := x.note(table, key, 'u')
		x.do("update %s set version = %d, pad = repeat('x', %d) where k = %d", table, v, pad, key)
	}
}

// inserted reports that the transaction has inserted a key.
func (x *registerWriter) inserted(table string, key int64) bool {
	return slices.ContainsFunc(x.txn, func(p pending) bool { return p.table == table && p.key == key && p.Op == 'c' })
}

func (x *registerWriter) do(format string, args ...any) {
	x.work.statements = append(x.work.statements, fmt.Sprintf(format, args...))
}

// note counts a change of a key.
func (x *registerWriter) note(table string, key int64, op byte) int64 {
	id := fmt.Sprint(table, "/", key)
	x.version[id]++
	x.alive[id] = op != 'd'
	x.txn = append(x.txn, pending{table, key, Change{op, x.version[id]}})
	return x.version[id]
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
