package traffic

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// ShapeTable is what the names of tables of Shapes begin with.
const ShapeTable = "shape"

// Shapes is a workload on tables shape0, shape1, ...: rows are written while the tables' columns, indexes and partitions change. At its end each row is changed once
// more, so that its last image has the columns that the table has then.
type Shapes struct {
	Server
	Tables int
	Keys   int           // per table
	Pause  time.Duration // between transactions
	Every  time.Duration // between statements that change a table
	Seed   uint64

	count, statements atomic.Int64
}

func (x *Shapes) create() (q []string) {
	for t := range x.Tables {
		q = append(q, fmt.Sprintf("create table %s.%s%d (k bigint primary key, version bigint not null, note varchar(100))", x.Database, ShapeTable, t))
	}
	return q
}

// Statements is how many statements have changed a table.
func (x *Shapes) Statements() int { return int(x.statements.Load()) }

// Count implements Workload.
func (x *Shapes) Count() int { return int(x.count.Load()) }

// Run implements Workload.
func (x *Shapes) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	changed := make(chan error, 1)
	wg.Go(func() { changed <- x.change(ctx) })
	rows := shapeRows{Shapes: x, alive: map[string]bool{}, version: map[string]int64{}, rnd: rand.New(rand.NewPCG(x.Seed, 300))}
	err := rows.write(ctx)
	wg.Wait()
	if err = errors.Join(err, <-changed); err != nil {
		return err
	}
	return rows.touch()
}

// shapeRows writes rows.
type shapeRows struct {
	*Shapes
	rnd     *rand.Rand
	alive   map[string]bool
	version map[string]int64
}

func (r *shapeRows) write(ctx context.Context) error {
	s := session{Server: r.Server}
	defer s.close()
	for ctx.Err() == nil {
		if err := s.commit(r.row(r.rnd.IntN(r.Tables), r.rnd.IntN(r.Keys), true)); err != nil {
			return err
		}
		r.count.Add(1)
		pause(ctx, r.Pause)
	}
	return nil
}

// row changes one row.
func (r *shapeRows) row(t, key int, remove bool) work {
	table := fmt.Sprintf("%s%d", ShapeTable, t)
	id := fmt.Sprint(table, "/", key)
	r.version[id]++
	v := r.version[id]
	switch {
	case !r.alive[id]:
		r.alive[id] = true
		return work{[]string{fmt.Sprintf("insert into %s (k, version, note) values (%d, %d, 'new %d')", table, key, v, v)}, witness{table, int64(key), v}}
	case remove && r.rnd.IntN(8) == 0:
		r.alive[id] = false
		return work{[]string{fmt.Sprintf("delete from %s where k = %d", table, key)}, witness{table, int64(key), 0}}
	}
	return work{[]string{fmt.Sprintf("update %s set version = %d, note = 'version %d' where k = %d", table, v, v, key)}, witness{table, int64(key), v}}
}

// touch changes all rows that there are.
func (r *shapeRows) touch() error {
	s := session{Server: r.Server}
	defer s.close()
	for t := range r.Tables {
		for k := range r.Keys {
			if !r.alive[fmt.Sprintf("%s%d/%d", ShapeTable, t, k)] {
				continue
			}
			if err := s.commit(r.row(t, k, false)); err != nil {
				return err
			}
			r.count.Add(1)
		}
	}
	return nil
}

// maxColumns is how many columns a table gets beside its own.
const maxColumns = 6

// change changes the tables.
func (x *Shapes) change(ctx context.Context) error {
	s := session{Server: x.Server}
	defer s.close()
	rnd := rand.New(rand.NewPCG(x.Seed, 301))
	columns := make([][]string, x.Tables)
	next := 0
	for pause(ctx, x.Every); ctx.Err() == nil; pause(ctx, x.Every) {
		t := rnd.IntN(x.Tables)
		q, after := x.statement(rnd, columns[t], &next)
		if err := s.define(fmt.Sprintf("alter table %s%d %s", ShapeTable, t, q)); err != nil {
			return err
		}
		columns[t] = after
		x.statements.Add(1)
	}
	return nil
}

// statement returns what follows ALTER TABLE, and the columns beside its own that the table has then.
func (x *Shapes) statement(rnd *rand.Rand, have []string, next *int) (q string, after []string) {
	types := []string{"int default 7", "bigint", "varchar(50) default 'some'", "varchar(300)", "smallint not null default 3", "tinyint"}
	after = append([]string(nil), have...)
	add := func() string {
		*next++
		name := fmt.Sprintf("c%d", *next)
		after = append(after, name)
		return name + " " + types[rnd.IntN(len(types))]
	}
	n := rnd.IntN(10)
	if len(have) == 0 || n < 3 && len(have) < maxColumns {
		place := []string{"", " after version", " after k"}[rnd.IntN(3)]
		if place == " after k" { // key and version come first
			place = ""
		}
		return "add column " + add() + place, after
	}
	i := rnd.IntN(len(have))
	switch n {
	case 3, 4:
		return "drop column " + have[i], append(after[:i], after[i+1:]...)
	case 5:
		*next++
		after[i] = fmt.Sprintf("c%d", *next)
		return fmt.Sprintf("rename column %s to %s", have[i], after[i]), after
	case 6:
		return fmt.Sprintf("modify column note varchar(%d)", 100+rnd.IntN(300)), after
	case 7:
		return "engine = InnoDB", after
	case 8:
		return fmt.Sprintf("partition by hash (k) partitions %d", 1+rnd.IntN(4)), after
	default:
		return fmt.Sprintf("comment = 'statement %d'", *next), after
	}
}

// define runs a statement that changes a table, until it is done. What one that was not answered has done shows in the next try.
func (s *session) define(q string) error {
	var last error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(retryPause) {
		if s.c == nil {
			var err error
			if s.c, err = s.connect(context.Background(), s.Database); err == nil {
				_, err = s.c.Execute("set session lock_wait_timeout = 5") // a transaction of a connection given up holds the table's lock
			}
			if err != nil {
				last = err
				s.close()
				continue
			}
		}
		_, err := s.c.Execute(q)
		if err == nil {
			return nil
		}
		var e *mysql.MyError
		// Duplicate column, no such column to drop or rename, and behind a rename: done by the try before.
		if errors.As(err, &e) && last != nil && (e.Code == 1060 || e.Code == 1091 || e.Code == 1054) {
			return nil
		}
		last = err
		s.close()
		if !passing(err) {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	return fmt.Errorf("%s: not done within %s: %w", q, patience, last)
}
