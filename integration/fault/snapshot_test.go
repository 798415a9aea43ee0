package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rowmesh/rowmesh/services/failpoint"
)

// interruption is something that is done while a connector makes its first snapshot under load: group S.
type interruption struct {
	id, name string
	long     bool
	do       func(ctx context.Context, c *Cluster) error
}

func interruptions() []interruption {
	// at arms a point of all members of a role and waits until one has died of it, which is then started again.
	at := func(role, point string, after int) func(context.Context, *Cluster) error {
		return func(ctx context.Context, c *Cluster) error {
			names := c.Names(role)
			before := map[string]int{}
			for _, name := range names {
				before[name] = c.PointHits(name, point)
				if err := c.Arm(name, fmt.Sprintf("%s crash %d", point, after)); err != nil {
					return err
				}
			}
			return Until(ctx, 40*time.Second, "a member to die at "+point, func() error {
				for _, name := range names {
					if c.PointHits(name, point) > before[name] {
						return c.Heal(ctx)
					}
				}
				return errors.New("none has")
			})
		}
	}
	return []interruption{
		{id: "S1", name: "capturer dies between the rows", do: at("capturer", failpoint.SnapshotSend, 4)},
		{id: "S1", name: "capturer dies before the first row", long: true, do: at("capturer", failpoint.SnapshotBefore, 0)},
		{id: "S1", name: "capturer dies behind the last row", long: true, do: at("capturer", failpoint.SnapshotAfter, 0)},
		{id: "S1", name: "publisher dies between the rows", long: true, do: at("publisher", failpoint.Convert, 2)},
		{id: "S1", name: "publisher dies at a commit", long: true, do: at("publisher", failpoint.CommitBefore, 0)},
		{id: "S1", name: "the store of shapes fails", long: true, do: at("capturer", failpoint.StoreAfter, 0)},
		{id: "S1", name: "connections to the source are reset", long: true, do: func(ctx context.Context, c *Cluster) error {
			return Until(ctx, 40*time.Second, "connections to reset", func() error {
				a := c.Net.Apply(Rule{From: "capturer-*", To: Source, Reset: true})
				a.Heal()
				if a.Hits() == 0 {
					return errors.New("there were none")
				}
				return nil
			})
		}},
		{id: "S3", name: "tables change their shape", long: true, do: func(ctx context.Context, c *Cluster) error {
			err := Until(ctx, 40*time.Second, "the load's database", func() error {
				_, err := c.Ask(ctx, c.Primary(Source), "select 1 from fault_s3.r0 limit 1")
				return err
			})
			if err != nil {
				return err
			}
			for i := range 3 {
				// A row that a new column is added to changes without an event of its own: the judge must not meet one.
				err := c.Exec(ctx, c.Primary(Source), fmt.Sprintf("create table fault_s3.e%d (k bigint primary key, version bigint not null)", i), fmt.Sprintf("insert into fault_s3.e%d values (1,1)", i),
					fmt.Sprintf("delete from fault_s3.e%d", i), fmt.Sprintf("alter table fault_s3.e%d add column n int", i), fmt.Sprintf("insert into fault_s3.e%d values (2,1,3)", i))
				if err != nil {
					return err
				}
			}
			return nil
		}},
	}
}

// testSnapshots makes connectors whose snapshots are interrupted while their rows change, and judges each.
func testSnapshots(t *testing.T, c *Cluster) {
	for i, x := range interruptions() {
		t.Run(x.id+" "+x.name, func(t *testing.T) {
			if x.long && !full() {
				t.Skip("takes long: set ROWMESH_FULL=1")
			}
			c.Options.Log = t.Logf
			name := fmt.Sprintf("fault-s%d", 10+i)
			if x.id == "S3" {
				name = "fault-s3"
			}
			g, ctx := errgroup.WithContext(t.Context())
			g.Go(func() error { return x.do(ctx, c) })
			l, err := c.Load(t.Context(), LoadOptions{Name: name, Early: true, Tables: 6, Keys: 100, Seed: seed})
			if err == nil {
				err = g.Wait()
			}
			if err == nil {
				err = c.Heal(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			s := &Stage{Cluster: c, Load: l, Rnd: rand.New(rand.NewPCG(seed, uint64(i)))}
			if err := s.Load.Settled(t.Context(), settleLimit); err != nil {
				t.Fatal(err)
			}
			judge(t, l)
		})
	}
}
