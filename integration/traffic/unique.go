package traffic

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"
)

// Unique is a workload on table ids: rows with keys that come once, up to twenty a statement.
type Unique struct {
	Server
	Writers int
	Pause   time.Duration
	Seed    uint64

	count atomic.Int64
}

func (u *Unique) create() []string {
	return []string{fmt.Sprintf("create table %s.ids (k bigint primary key, version bigint not null, note varchar(100))", u.Database)}
}

// Run implements Workload.
func (u *Unique) Run(ctx context.Context) error {
	return writers(u.Writers, func(w int) error {
		s := session{Server: u.Server}
		defer s.close()
		rnd := rand.New(rand.NewPCG(u.Seed, 200+uint64(w)))
		next := int64(w) << 32
		for ctx.Err() == nil {
			n := 1 + rnd.IntN(20)
			var rows []string
			for range n {
				rows = append(rows, fmt.Sprintf("(%d, 1, 'row %d of writer %d')", next, next&(1<<32-1), w))
				next++
			}
			if err := s.commit(work{[]string{"insert into ids values " + strings.Join(rows, ", ")}, witness{"ids", next - 1, 1}}); err != nil {
				return err
			}
			u.count.Add(int64(n))
			pause(ctx, u.Pause)
		}
		return nil
	})
}

// Count implements Workload.
func (u *Unique) Count() int { return int(u.count.Load()) }
