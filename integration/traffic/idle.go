package traffic

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// Idle is a workload on table idle: one row, and hardly a change.
type Idle struct {
	Server
	Every time.Duration

	count atomic.Int64
}

func (i *Idle) create() []string {
	return []string{fmt.Sprintf("create table %s.idle (k bigint primary key, version bigint not null)", i.Database), fmt.Sprintf("insert into %s.idle values (1, 1)", i.Database)}
}

// Run implements Workload.
func (i *Idle) Run(ctx context.Context) error {
	s := session{Server: i.Server}
	defer s.close()
	for v := int64(2); ; v++ {
		pause(ctx, i.Every)
		if ctx.Err() != nil {
			return nil
		}
		if err := s.commit(work{[]string{fmt.Sprintf("update idle set version = %d where k = 1", v)}, witness{"idle", 1, v}}); err != nil {
			return err
		}
		i.count.Add(1)
	}
}

// Count implements Workload.
func (i *Idle) Count() int { return int(i.count.Load()) }

// ProbeTable is what the names of probe tables begin with; their third column is the time of the change, milliseconds since the Unix epoch.
const ProbeTable = "probe"

// Probe is a workload on tables probe0, probe1, ...: one row each, which is changed every so often and holds the time. With more tables than lanes there is one in
// nearly each lane.
type Probe struct {
	Server
	Tables int
	Every  time.Duration

	count atomic.Int64
}

func (p *Probe) create() (q []string) {
	for t := range p.Tables {
		q = append(q, fmt.Sprintf("create table %s.%s%d (k bigint primary key, version bigint not null, at bigint not null)", p.Database, ProbeTable, t),
			fmt.Sprintf("insert into %s.%s%d values (1, 1, 0)", p.Database, ProbeTable, t))
	}
	return q
}

// Run implements Workload.
func (p *Probe) Run(ctx context.Context) error {
	s := session{Server: p.Server}
	defer s.close()
	for v := int64(2); ctx.Err() == nil; v++ {
		var q []string
		for t := range p.Tables {
			q = append(q, fmt.Sprintf("update %s%d set version = %d, at = %d where k = 1", ProbeTable, t, v, time.Now().UnixMilli()))
		}
		if err := s.commit(work{q, witness{ProbeTable + "0", 1, v}}); err != nil {
			return err
		}
		p.count.Add(int64(p.Tables))
		pause(ctx, p.Every)
	}
	return nil
}

// Count implements Workload.
func (p *Probe) Count() int { return int(p.count.Load()) }

// IsProbe says whether a table is one of Probe's.
func IsProbe(table string) bool { return strings.HasPrefix(table, ProbeTable) }
