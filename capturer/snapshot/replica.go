package snapshot

import (
	"context"
	"fmt"
	"time"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/gtid"
	"github.com/rowmesh/rowmesh/services/source"
)

// replicaWait bounds how long a replica may take to execute what its source had when the snapshot began. One that is further behind is no help to anybody.
const replicaWait = 10 * time.Minute

// awaitReplica waits until the replica that is read has executed what its source has now. The cut is then its own place, behind that: by GTIDs it is a place in the source's log too.
func (r *run) awaitReplica(ctx context.Context, c *cut) error {
	if r.Replica.Addr == "" {
		return nil
	}
	main, err := source.Connect(ctx, r.Source)
	if err != nil {
		return err
	}
	c.source = main
	head, err := source.Head(ctx, main)
	if err != nil {
		return err
	}
	if head.Gtids == "" || !r.info.HasGTIDs() {
		return errs.E(errs.Unsupported, "rowmesh.snapshot.host: a place on %s is found in the log of %s by GTIDs, which one of them does not have: enable gtid_mode on both, or leave the option out",
			r.Replica.ID(), r.Source.ID())
	}
	r.Log.Info("snapshot waits for the replica that it reads", "source", r.Source.ID(), "replica", r.Replica.ID(), "gtids", head.Gtids)
	wait := fmt.Sprintf("SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %d)", source.QuoteText(head.Gtids), int(replicaWait/time.Second))
	if r.info.Flavor == config.MariaDB {
		wait = fmt.Sprintf("SELECT MASTER_GTID_WAIT(%s, %d)", source.QuoteText(head.Gtids), int(replicaWait/time.Second))
	}
	res, err := c.definitions.Query(ctx, wait)
	if err != nil {
		return errs.E(errs.KindOf(err), "rowmesh.snapshot.host: %w", err)
	}
	if res.Rows[0][0].Text != "0" {
		return errs.E(errs.Unavailable, "rowmesh.snapshot.host: %s has not executed what %s has within %s: check that it replicates (SHOW REPLICA STATUS), or leave the option out", r.Replica.ID(),
			r.Source.ID(), replicaWait)
	}
	return nil
}

// head is where the log of the source ends for the server that is read. Of a replica it is what it has executed of the source's transactions; file and position are then of the source's
// log, behind that by some transactions.
func (r *run) head(ctx context.Context, c *cut) (*rowv1.Position, error) {
	if c.source == nil {
		return source.Head(ctx, c.definitions)
	}
	executed, err := r.executed(ctx, c.definitions)
	if err != nil {
		return nil, err
	}
	at, err := source.Head(ctx, c.source)
	if err != nil {
		return nil, err
	}
	// What was committed on the replica itself is in no log of the source.
	if r.info.Flavor == config.MySQL {
		known, err := gtid.Parse(r.info.Flavor, at.Gtids)
		if err != nil {
			return nil, errs.E(errs.Corrupt, "GTIDs of %s: %w", r.Source.ID(), err)
		}
		own := executed.Clone()
		own.Subtract(known)
		executed.Subtract(own)
	}
	at.Gtids = executed.String()
	return at, nil
}

func (r *run) executed(ctx context.Context, c *source.Conn) (*gtid.Set, error) {
	variable := "@@GLOBAL.gtid_executed"
	if r.info.Flavor == config.MariaDB {
		variable = "@@GLOBAL.gtid_slave_pos" // of what it replicates alone
	}
	res, err := c.Query(ctx, "SELECT "+variable)
	if err != nil {
		return nil, err
	}
	set, err := gtid.Parse(r.info.Flavor, res.Rows[0][0].Text)
	if err != nil {
		return nil, errs.E(errs.Corrupt, "GTIDs of %s: %w", r.Replica.ID(), err)
	}
	return set, nil
}
