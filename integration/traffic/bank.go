package traffic

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"
)

// AccountTable is what the names of tables with accounts begin with; what an account holds is their third column.
const AccountTable = "account"

// deposit is what an account holds at the beginning.
const deposit = 1_000_000

// Bank is a workload on tables account0, account1, ...: transfers between two or three accounts, in as many tables, in one transaction. The sum of all accounts is the
// same before and behind each transaction.
type Bank struct {
	Server
	Tables, Writers int
	Accounts        int // per writer and table
	Pause           time.Duration
	Seed            uint64

	count atomic.Int64
}

func (b *Bank) create() (q []string) {
	for t := range b.Tables {
		q = append(q, fmt.Sprintf("create table %s.%s%d (k bigint primary key, version bigint not null, holds bigint not null)", b.Database, AccountTable, t))
		var rows []string
		for k := range b.Writers * b.Accounts {
			rows = append(rows, fmt.Sprintf("(%d, 1, %d)", k, deposit))
		}
		q = append(q, fmt.Sprintf("insert into %s.%s%d values %s", b.Database, AccountTable, t, strings.Join(rows, ", ")))
	}
	return q
}

// account is one account as its writer knows it.
type account struct {
	table          string
	key            int64
	version, holds int64
}

// Run implements Workload.
func (b *Bank) Run(ctx context.Context) error {
	return writers(b.Writers, func(w int) error { return b.write(ctx, w) })
}

func (b *Bank) write(ctx context.Context, w int) error {
	s := session{Server: b.Server}
	defer s.close()
	rnd := rand.New(rand.NewPCG(b.Seed, 100+uint64(w)))
	var all []*account
	for t := range b.Tables {
		for k := range b.Accounts {
			all = append(all, &account{fmt.Sprintf("%s%d", AccountTable, t), int64(w*b.Accounts + k), 1, deposit})
		}
	}
	for ctx.Err() == nil {
		parties := rnd.Perm(len(all))[:2+rnd.IntN(2)]
		var tx work
		left := int64(0)
		for i, p := range parties {
			a := all[p]
			amount := rnd.Int64N(200) - 100
			if i == len(parties)-1 {
				amount = -left
			}
			left += amount
			a.version++
			a.holds += amount
			tx.statements = append(tx.statements, fmt.Sprintf("update %s set version = %d, holds = %d where k = %d", a.table, a.version, a.holds, a.key))
			tx.witness = witness{a.table, a.key, a.version}
		}
		if err := s.commit(tx); err != nil {
			return err
		}
		b.count.Add(int64(len(parties)))
		pause(ctx, b.Pause)
	}
	return nil
}

// Count implements Workload.
func (b *Bank) Count() int { return int(b.count.Load()) }
