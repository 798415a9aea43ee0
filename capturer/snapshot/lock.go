package snapshot

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/source"
)

const (
	// firstPatience is how long the first attempt to lock waits. Whoever comes behind a waiting lock waits too, so an attempt that is not granted at once is given up, and
	// made again when a moment has passed; each one waits twice as long as the one before, so that a server that is never quiet is locked in the end.
	firstPatience = 100 * time.Millisecond
	// breath is what the statements that a failed attempt held up have for themselves before the next.
	breath = 400 * time.Millisecond
	// longStatement is what a statement has run for that a global lock would wait for.
	longStatement = time.Second
)

// lockKind is one way to lock.
type lockKind struct {
	name       string
	statements []string
	release    string
	// writes says that no row changes under the lock, so that views opened under it are alike and the log's end is theirs.
	writes bool
	// flushes says that the lock waits for statements that read, too.
	flushes bool
}

// locks lists the locks to try for the mode, best first. A lock is tried if those before were not granted for want of a privilege.
func (r *run) locks(c *cut) []lockKind {
	if len(c.wanted) == 0 {
		return nil
	}
	global := lockKind{name: "global", statements: []string{"FLUSH TABLES WITH READ LOCK"}, release: "UNLOCK TABLES", writes: true, flushes: true}
	if r.LockFree {
		return nil
	}
	switch r.Snapshot.Locking {
	case capturev1.LockingMode_LOCKING_MODE_NONE:
		return nil
	case capturev1.LockingMode_LOCKING_MODE_MINIMAL_PERCONA:
		return []lockKind{backupLock, c.tableLocks()}
	case capturev1.LockingMode_LOCKING_MODE_MINIMAL_PERCONA_NO_TABLE_LOCKS:
		return []lockKind{backupLock}
	case capturev1.LockingMode_LOCKING_MODE_EXTENDED:
		return []lockKind{global, c.tableLocks()}
	}
	if r.info.Flavor == config.MariaDB && r.info.AtLeast(10, 5) {
		return []lockKind{commitLock, global, c.tableLocks()}
	}
	return []lockKind{global, c.tableLocks()}
}

// commitLock holds commits up and nothing else: unlike a global read lock it waits for no statement that reads, and closes no table (MariaDB, since 10.4.1; a privilege of its
// own since 10.5).
var commitLock = lockKind{name: "commits", statements: []string{"BACKUP STAGE START", "BACKUP STAGE BLOCK_COMMIT"}, release: "BACKUP STAGE END", writes: true}

// backupLock is Percona Server's. Rows of InnoDB change under it.
var backupLock = lockKind{name: "backup", statements: []string{"LOCK TABLES FOR BACKUP"}, release: "UNLOCK TABLES"}

func (c *cut) tableLocks() lockKind {
	var names []string
	for _, t := range c.wanted {
		if t.problem == nil {
			names = append(names, source.QuoteTable(t.database, t.name)+" READ")
		}
	}
	return lockKind{name: "tables", statements: []string{"LOCK TABLES " + strings.Join(names, ", ")}, release: "UNLOCK TABLES", writes: true}
}

// takeLock reads the definitions and takes the best lock that is asked for and allowed. It gives up when snapshot.lock.timeout.ms is over.
func (r *run) takeLock(ctx context.Context, c *cut) error {
	deadline := time.Now().Add(r.lockTimeout())
	denied := 0 // locks that are not allowed
	for patience := firstPatience; ; patience *= 2 {
		if kinds := r.locks(c); denied < len(kinds) && kinds[denied].flushes {
			if err := r.awaitQuiet(ctx, c, deadline); err != nil {
				return err
			}
		}
		if err := r.readDefinitions(ctx, c); err != nil {
			return err
		}
		kinds := r.locks(c)
		var err error
		for ; denied < len(kinds); denied++ {
			if err = r.tryLock(ctx, c, kinds[denied], min(patience, max(time.Until(deadline), 0))); errs.KindOf(err) != errs.Denied {
				break
			}
			r.Log.Info("a lock is not allowed to the snapshot", "source", r.Source.ID(), "lock", kinds[denied].name, "reason", err)
		}
		switch {
		case denied == len(kinds) && err != nil:
			return r.noLock(err)
		case denied == len(kinds):
			return nil
		case err == nil:
			c.held = &kinds[denied]
			return nil
		case !waitedTooLong(err):
			return r.lockError(kinds[denied], err)
		case time.Now().Add(breath).After(deadline):
			return errs.E(errs.Busy, "the snapshot did not get its lock (%s) within %s (snapshot.lock.timeout.ms): a long statement or transaction holds it up, SHOW PROCESSLIST tells which; "+
				"the snapshot starts again, and snapshot.locking.mode=none does without: %w", kinds[denied].name, r.lockTimeout(), err)
		}
		// What waits for the tables may be what the lock waits for.
		if err := c.let(ctx); err != nil {
			return err
		}
		if err := sleep(ctx, breath); err != nil {
			return err
		}
	}
}

// noLock is what comes after the last lock was denied.
func (r *run) noLock(err error) error {
	switch r.Snapshot.Locking {
	case capturev1.LockingMode_LOCKING_MODE_MINIMAL_PERCONA_NO_TABLE_LOCKS:
		return errs.E(errs.Denied, "snapshot.locking.mode=minimal_percona_no_table_locks takes a backup lock or none: grant RELOAD, or use minimal: %w", err)
	case capturev1.LockingMode_LOCKING_MODE_EXTENDED:
		return errs.E(errs.Denied, "snapshot.locking.mode=extended keeps all writers away and has to lock: grant RELOAD, or LOCK TABLES, or use minimal: %w", err)
	}
	r.Log.Warn("no lock for the snapshot: changes made while it starts may come twice; grant RELOAD, or LOCK TABLES, to have one consistent cut", "source", r.Source.ID(),
		"user", r.Source.User, "reason", err)
	return nil
}

func (r *run) lockError(k lockKind, err error) error {
	switch code := source.ErrorCode(err); {
	case code == 1064 && k.name == backupLock.name: // ER_PARSE_ERROR
		return errs.E(errs.Unsupported, "snapshot.locking.mode=minimal_percona needs a server with LOCK TABLES FOR BACKUP (Percona Server), and %s is %s: use minimal: %w",
			r.Source.ID(), r.info.Version, err)
	case changedUnderScan(err):
		return errs.E(errs.Busy, "a table was dropped before the snapshot could lock it: the snapshot has to start again: %w", err)
	}
	return err
}

// waitedTooLong says of an error whether an attempt to lock was given up: ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK, ER_QUERY_INTERRUPTED, ER_STATEMENT_TIMEOUT.
func waitedTooLong(err error) bool {
	switch source.ErrorCode(err) {
	case 1205, 1213, 1317, 1969:
		return true
	}
	return false
}

// tryLock takes a lock, or gives up after a while. The variables of the server count in whole seconds, so what ends the attempt is a KILL QUERY from the session that
// holds the definitions, which has nothing else to do then.
func (r *run) tryLock(ctx context.Context, c *cut, k lockKind, patience time.Duration) error {
	began := time.Now()
	over := make(chan error, 1)
	timer := time.AfterFunc(patience, func() { over <- c.definitions.Exec(ctx, fmt.Sprintf("KILL QUERY %d", c.lock.ID())) })
	var err error
	for _, s := range k.statements {
		if err = c.lock.Exec(ctx, s); err != nil {
			break
		}
	}
	if !timer.Stop() {
		if killed := <-over; killed != nil && err == nil {
			err = killed
		}
		// The kill may have come when the lock was there: it must not meet the statement that comes next.
		if e := c.lock.Exec(ctx, "DO 1"); e != nil && !waitedTooLong(e) && err == nil {
			err = e
		}
	}
	if err == nil {
		c.lockedAt = began
		return nil
	}
	if len(k.statements) > 1 { // it may hold its first steps
		if e := c.lock.Exec(ctx, k.release); e != nil && source.ErrorCode(e) == 0 {
			return e
		}
	}
	return err
}

// awaitQuiet waits while statements run that a global read lock would wait for, as far as the account may see them: whoever comes behind the lock would wait for them
// too. It waits for half of the time that there is; then the lock is tried whatever runs.
func (r *run) awaitQuiet(ctx context.Context, c *cut, deadline time.Time) error {
	until := time.Now().Add(time.Until(deadline) / 2)
	for said := false; ; said = true {
		res, err := c.lock.Query(ctx, fmt.Sprintf("SELECT ID, TIME FROM information_schema.PROCESSLIST WHERE COMMAND IN ('Query', 'Execute') AND TIME >= %d AND ID <> CONNECTION_ID() LIMIT 1",
			int(longStatement/time.Second)))
		if server := (*source.ServerError)(nil); errors.As(err, &server) {
			return nil // not to be seen
		}
		if err != nil || len(res.Rows) == 0 || time.Now().After(until) {
			return err
		}
		if !said {
			r.Log.Info("snapshot waits for a long statement to end before it locks", "source", r.Source.ID(), "id", res.Rows[0][0].Text, "seconds", res.Rows[0][1].Text)
		}
		if err := sleep(ctx, breath); err != nil {
			return err
		}
	}
}

// releaseLock ends the lock, unless the snapshot is to keep it. Either way the answer proves that the session, and so the lock, lasted up to here.
func (r *run) releaseLock(ctx context.Context, c *cut) error {
	if c.held == nil {
		return nil
	}
	if r.Snapshot.Locking == capturev1.LockingMode_LOCKING_MODE_EXTENDED {
		return c.lock.Exec(ctx, "DO 1")
	}
	err := c.lock.Exec(ctx, c.held.release)
	c.lockedFor = time.Since(c.lockedAt)
	return err
}

// sleep waits; the error is that of a context that ended.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errs.E(errs.Unavailable, "snapshot: %w", ctx.Err())
	}
}
