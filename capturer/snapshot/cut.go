package snapshot

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/source"
)

// visibleAfter is how long a transaction may be in the log of a MySQL server without GTIDs before SELECT shows it, where no lock says more: the
// engine's commit, milliseconds after the log's sync. Semi-synchronous replication can hold it for longer; a user of that has GTIDs or takes a lock.
const visibleAfter = time.Second

// cutSession holds what a cut stands on.
type cutSession struct {
	view      *source.Conn // the transaction that sees the cut
	lock      *source.Conn // the session that holds the lock
	locked    bool
	databases []Database
}

func (c *cutSession) close() {
	if c.lock != nil {
		c.lock.Close()
	}
	if c.view != nil {
		c.view.Close()
	}
}

// takeCut locks, opens the view, reads position and definitions, and unlocks.
func (r *run) takeCut(ctx context.Context) (_ *cutSession, err error) {
	c := &cutSession{}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if c.view, err = source.Connect(ctx, r.Source); err != nil {
		return nil, err
	}
	if r.info, err = source.Describe(ctx, c.view); err != nil {
		return nil, err
	}
	if r.tables, err = listTables(ctx, c.view, r.choose); err != nil {
		return nil, err
	}
	for _, t := range r.tables {
		if t.rows {
			r.wanted = append(r.wanted, t)
		}
	}
	if c.databases, err = listDatabases(ctx, c.view, r.tables); err != nil {
		return nil, err
	}
	began := time.Now()
	how, err := r.takeLock(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := r.openView(ctx, c); err != nil {
		return nil, err
	}
	if err := r.readDefinitions(ctx, c); err != nil {
		return nil, err
	}
	if err := r.releaseLock(ctx, c); err != nil {
		return nil, err
	}
	r.Log.Info("snapshot cut taken", "source", r.Source.ID(), "lock", how, "duration", time.Since(began), "file", r.cut.File, "pos", r.cut.Pos, "gtids", r.cut.Gtids,
		"tables", len(r.wanted))
	return c, nil
}

// releaseLock ends the lock, unless the snapshot is to keep it. Either way the answer proves that the session, and so the lock, lasted up to here.
func (r *run) releaseLock(ctx context.Context, c *cutSession) error {
	if !c.locked {
		return nil
	}
	if r.Snapshot.Locking == capturev1.LockingMode_LOCKING_MODE_EXTENDED {
		return c.lock.Exec(ctx, "DO 1")
	}
	c.locked = false
	return c.lock.Exec(ctx, "UNLOCK TABLES")
}

// takeLock takes the best lock that is asked for and allowed, and says which.
func (r *run) takeLock(ctx context.Context, c *cutSession) (how string, err error) {
	if r.Snapshot.Locking == capturev1.LockingMode_LOCKING_MODE_NONE || len(r.wanted) == 0 {
		return "none", nil
	}
	if c.lock, err = source.Connect(ctx, r.Source); err != nil {
		return "", err
	}
	// Waiting for the lock holds up every writer that comes after, so the wait is bounded. The variable counts in seconds.
	wait := int((r.lockTimeout() + time.Second - 1) / time.Second)
	if err := c.lock.Exec(ctx, fmt.Sprintf("SET SESSION lock_wait_timeout=%d", wait)); err != nil {
		return "", err
	}
	err = c.lock.Exec(ctx, "FLUSH TABLES WITH READ LOCK")
	if err == nil {
		c.locked = true
		return "global", nil
	}
	if errs.KindOf(err) != errs.Denied {
		return "", r.lockError("the global read lock", err)
	}
	r.Log.Info("no global read lock for the snapshot, locking its tables", "source", r.Source.ID(), "reason", err)
	names := make([]string, len(r.wanted))
	for i, t := range r.wanted {
		names[i] = source.QuoteTable(t.database, t.name) + " READ"
	}
	err = c.lock.Exec(ctx, "LOCK TABLES "+strings.Join(names, ", "))
	if err == nil {
		c.locked = true
		return "tables", nil
	}
	if errs.KindOf(err) != errs.Denied {
		return "", r.lockError("the read locks on its tables", err)
	}
	r.Log.Warn("no lock for the snapshot: changes made while it starts may come twice; grant RELOAD, or LOCK TABLES, to have one consistent cut", "source", r.Source.ID(),
		"user", r.Source.User, "reason", err)
	return "none", nil
}

func (r *run) lockError(what string, err error) error {
	if errs.KindOf(err) == errs.Busy {
		return errs.E(errs.Busy, "the snapshot did not get %s within %s (snapshot.lock.timeout.ms): a long statement or transaction holds it up, SHOW PROCESSLIST tells which; "+
			"the snapshot starts again, and snapshot.locking.mode=none does without: %w", what, r.lockTimeout(), err)
	}
	if changedUnderScan(err) {
		return errs.E(errs.Busy, "a table was dropped before the snapshot could lock it: the snapshot has to start again: %w", err)
	}
	return err
}

// openView opens the transaction that sees the cut and reads the position that it is of.
func (r *run) openView(ctx context.Context, c *cutSession) error {
	var err error
	lockFree := !c.locked
	if lockFree && r.info.Flavor == config.MySQL {
		// The position comes before the view: what is committed between the two is replayed, nothing is missed.
		if r.cut, err = source.Head(ctx, c.view); err != nil {
			return err
		}
		if err := r.awaitVisible(ctx); err != nil {
			return err
		}
	}
	if err := c.view.Exec(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"); err != nil {
		return err
	}
	if r.info.Flavor == config.MariaDB {
		// MariaDB gives tables free at a savepoint (see scan.read) in sessions that log nothing only. It takes a privilege (BINLOG ADMIN) to be one; without
		// it tables stay taken until the snapshot ends.
		if err := c.view.Exec(ctx, "SET SESSION sql_log_bin=0"); err != nil && source.ErrorCode(err) == 0 {
			return err
		}
	}
	if err := c.view.Exec(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"); err != nil {
		return err
	}
	if lockFree && r.info.Flavor == config.MySQL {
		return nil
	}
	if lockFree {
		r.cut, err = viewPosition(ctx, c.view)
		return err
	}
	r.cut, err = source.Head(ctx, c.view)
	return err
}

// awaitVisible waits until what the log held at r.cut can be seen. With GTIDs there is nothing to wait for: the set holds what can be seen, and the
// stream starts from the set.
func (r *run) awaitVisible(ctx context.Context) error {
	if r.info.HasGTIDs() {
		return nil
	}
	timer := time.NewTimer(visibleAfter)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errs.E(errs.Unavailable, "snapshot: %w", ctx.Err())
	}
}

// viewPosition returns the log position of the view that the session has open (MariaDB: Binlog_snapshot_file, Binlog_snapshot_position).
func viewPosition(ctx context.Context, view *source.Conn) (*rowv1.Position, error) {
	res, err := view.Query(ctx, "SHOW STATUS WHERE Variable_name IN ('Binlog_snapshot_file', 'Binlog_snapshot_position')")
	if err != nil {
		return nil, err
	}
	p := &rowv1.Position{}
	for i := range res.Rows {
		switch v := res.Rows[i][1].Text; strings.ToLower(res.Rows[i][0].Text) {
		case "binlog_snapshot_file":
			p.File = v
		case "binlog_snapshot_position":
			p.Pos, _ = strconv.ParseUint(v, 10, 64)
		}
	}
	if p.File == "" {
		return source.Head(ctx, view) // no log: says so
	}
	if res, err = view.Query(ctx, fmt.Sprintf("SELECT BINLOG_GTID_POS(%s, %d)", source.QuoteText(p.File), p.Pos)); err != nil {
		return nil, err
	}
	p.Gtids = res.Rows[0][0].Text
	return p, nil
}
