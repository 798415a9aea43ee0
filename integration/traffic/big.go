package traffic

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// statementRows is how many rows a statement of a big transaction inserts: about 100 KB.
const statementRows = 500

// Big is a workload on table big: transactions that insert, update and delete all its rows.
type Big struct {
	Server
	Rows  int
	Pause time.Duration

	count atomic.Int64
}

func (b *Big) create() []string {
	return []string{fmt.Sprintf("create table %s.big (k bigint primary key, version bigint not null, pad varchar(300) not null)", b.Database)}
}

// Run implements Workload.
func (b *Big) Run(ctx context.Context) error {
	s := session{Server: b.Server}
	defer s.close()
	for v := int64(1); ctx.Err() == nil; v++ {
		w := work{witness: witness{"big", 0, v}}
		switch v % 3 {
		case 1:
			for from := 0; from < b.Rows; from += statementRows {
				var rows []string
				for k := from; k < min(from+statementRows, b.Rows); k++ {
					rows = append(rows, fmt.Sprintf("(%d, %d, repeat('%c', %d))", k, v, 'a'+k%26, 100+k%100))
				}
				w.statements = append(w.statements, "insert into big values "+strings.Join(rows, ", "))
			}
		case 2:
			w.statements = []string{fmt.Sprintf("update big set version = %d, pad = concat('v%d ', left(pad, 100))", v, v)}
		default:
			w.statements = []string{"delete from big"}
			w.witness.version = 0
		}
		if err := s.commit(w); err != nil {
			return err
		}
		b.count.Add(int64(b.Rows))
		pause(ctx, b.Pause)
	}
	return nil
}

// Count implements Workload.
func (b *Big) Count() int { return int(b.count.Load()) }
