package snapshot

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/source"
)

// visibleAfter is how long a transaction may be in the log of a MySQL server without GTIDs before SELECT shows it, where no lock says more: the
// engine's commit, milliseconds after the log's sync. Semi-synchronous replication can hold it for longer; a user of that has GTIDs or takes a lock.
const visibleAfter = time.Second

// cut holds what a cut stands on.
type cut struct {
	views       []*source.Conn // transactions that see the cut, one for each reader
	lock        *source.Conn   // the session that holds the lock
	definitions *source.Conn   // the session that keeps the tables as they are until the cut is taken
	source      *source.Conn   // where rows are read from a replica: its source
	held        *lockKind      // nil: no lock
	lockedAt    time.Time
	lockedFor   time.Duration // 0: no lock, or it lasts
	databases   []Database
	position    *rowv1.Position
	tables      []*table // all that it tells of, in name order
	wanted      []*table // those with wanted rows among them, in reading order

	mu sync.Mutex // for definitions, once readers run
	// ahead is how much the server's clock is ahead of ours.
	ahead time.Duration
}

func (c *cut) close() {
	for _, conn := range append([]*source.Conn{c.lock, c.definitions, c.source}, c.views...) {
		if conn != nil {
			conn.Close()
		}
	}
}

// takeCut takes the cut; once more if a table came to be after the tables were listed and before it: the snapshot would not have its rows, nor would the log behind the cut.
func (r *run) takeCut(ctx context.Context) (*cut, error) {
	for range mostRounds {
		c, err := r.tryCut(ctx)
		if err != nil {
			return nil, err
		}
		name, err := r.cameMeanwhile(ctx, c)
		if err == nil && name == "" {
			return c, nil
		}
		c.close()
		if err != nil {
			return nil, err
		}
		r.Log.Info("a table came to be while the snapshot's cut was taken: it is taken again", "source", r.Source.ID(), "table", name)
	}
	return nil, errs.E(errs.Busy, "tables came to be while the snapshot's cut was taken, %d times: the snapshot starts again", mostRounds)
}

// cameMeanwhile names a table that there is now and that the cut does not know; empty if there is none. It may be one that came behind the cut.
func (r *run) cameMeanwhile(ctx context.Context, c *cut) (string, error) {
	known := map[string]bool{}
	for _, t := range c.tables {
		known[t.id()] = true
	}
	now, err := listTables(ctx, c.lock, r.choose)
	if err != nil {
		return "", err
	}
	for _, t := range now {
		if t.rows && !known[t.id()] {
			return t.id(), nil
		}
	}
	return "", nil
}

// tryCut reads the definitions, locks, opens the views, reads the position, and unlocks. While the definitions are read nobody is locked out: a transaction that has
// used a table keeps DDL away from it until it ends (metadata locks), so what was read before the lock holds under it.
func (r *run) tryCut(ctx context.Context) (_ *cut, err error) {
	c := &cut{}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if err := r.prepare(ctx, c); err != nil {
		return nil, err
	}
	if c.databases, err = listDatabases(ctx, c.views[0], c.tables); err != nil {
		return nil, err
	}
	if err := r.awaitReplica(ctx, c); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := r.takeLock(ctx, c); err != nil {
		return nil, err
	}
	if err := r.openViews(ctx, c); err != nil {
		return nil, err
	}
	if err := r.releaseLock(ctx, c); err != nil {
		return nil, err
	}
	if err := c.let(ctx); err != nil {
		return nil, err
	}
	r.Log.Info("snapshot cut taken", "source", r.Source.ID(), "lock", c.how(), "locked", c.lockedFor, "duration", time.Since(began), "file", c.position.File, "pos", c.position.Pos,
		"gtids", c.position.Gtids, "tables", len(c.wanted), "readers", len(c.views))
	return c, nil
}

// prepare opens the sessions and lists the tables.
func (r *run) prepare(ctx context.Context, c *cut) error {
	if err := r.connect(ctx, c); err != nil {
		return err
	}
	var err error
	first := c.views[0]
	if r.info, err = source.Describe(ctx, first); err != nil {
		return err
	}
	if c.ahead, err = clockAhead(ctx, first); err != nil {
		return err
	}
	if c.tables, err = listTables(ctx, first, r.choose); err != nil {
		return err
	}
	c.want()
	return nil
}

// takeLaterCut opens views of now on the tables that are not known, without a lock.
func (r *run) takeLaterCut(ctx context.Context, known map[string]bool) (_ *cut, err error) {
	c := &cut{}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if err := r.prepare(ctx, c); err != nil {
		return nil, err
	}
	c.tables = slices.DeleteFunc(c.tables, func(t *table) bool { return known[t.id()] || !t.rows })
	if err := r.readDefinitions(ctx, c); err != nil {
		return nil, err
	}
	for _, view := range c.views {
		if err := r.openView(ctx, view); err != nil {
			return nil, err
		}
	}
	for _, t := range c.wanted {
		if t.problem != nil {
			if err := r.tableFailed(t, t.problem); err != nil {
				return nil, err
			}
		}
	}
	return c, c.let(ctx)
}

func (c *cut) how() string {
	if c.held == nil {
		return "none"
	}
	return c.held.name
}

// connect opens the sessions, all at once.
func (r *run) connect(ctx context.Context, c *cut) error {
	c.views = make([]*source.Conn, r.readers())
	g, gctx := errgroup.WithContext(ctx)
	open := func(to **source.Conn) {
		g.Go(func() (err error) {
			*to, err = source.Connect(gctx, r.readFrom())
			return err
		})
	}
	for i := range c.views {
		open(&c.views[i])
	}
	open(&c.definitions)
	open(&c.lock)
	if err := g.Wait(); err != nil {
		return err
	}
	// The variable counts in seconds. What waits for longer holds up others.
	wait := int((r.lockTimeout() + time.Second - 1) / time.Second)
	for _, conn := range []*source.Conn{c.lock, c.definitions} {
		if err := conn.Exec(ctx, fmt.Sprintf("SET SESSION lock_wait_timeout=%d", wait)); err != nil {
			return err
		}
	}
	return nil
}

// let ends the transaction that keeps the tables as they are.
func (c *cut) let(ctx context.Context) error { return c.definitions.Exec(ctx, "ROLLBACK") }

// locked says whether nothing can be committed.
func (c *cut) locked() bool { return c.held != nil && c.held.writes }

// openViews opens the transactions that see the cut and reads the position that it is of.
func (r *run) openViews(ctx context.Context, c *cut) error {
	var err error
	before := !c.locked() && (r.info.Flavor == config.MySQL || !r.oneView() || len(c.views) > 1 || c.source != nil)
	if before {
		// The position comes before the views: what is committed between the two is replayed, nothing is missed.
		if c.position, err = r.head(ctx, c); err != nil {
			return err
		}
		if err := r.awaitVisible(ctx); err != nil {
			return err
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, view := range c.views {
		g.Go(func() error { return r.openView(gctx, view) })
	}
	if err := g.Wait(); err != nil || before {
		return err
	}
	if !c.locked() {
		c.position, err = viewPosition(ctx, c.views[0])
		return err
	}
	c.position, err = r.head(ctx, c)
	return err
}

// openView opens one. A savepoint at its beginning is what tables are given free at: see reader.free.
func (r *run) openView(ctx context.Context, view *source.Conn) error {
	if r.info.Flavor == config.MariaDB {
		// MariaDB gives tables free at a savepoint in sessions that log nothing only. It takes a privilege (BINLOG ADMIN) to be one; without
		// it tables stay taken until the snapshot ends.
		if err := view.Exec(ctx, "SET SESSION sql_log_bin=0"); err != nil && source.ErrorCode(err) == 0 {
			return err
		}
	}
	begin := "START TRANSACTION READ ONLY"
	if r.oneView() {
		begin = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
	}
	for _, s := range []string{"SET SESSION TRANSACTION ISOLATION LEVEL " + r.isolation(), begin, "SAVEPOINT " + savepoint} {
		if err := view.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// savepoint is where readers go back to.
const savepoint = "rowmesh"

// awaitVisible waits until what the log held at r.cut can be seen. With GTIDs there is nothing to wait for: the set holds what can be seen, and the
// stream starts from the set.
func (r *run) awaitVisible(ctx context.Context) error {
	if r.info.HasGTIDs() && r.info.Flavor == config.MySQL {
		return nil
	}
	return sleep(ctx, visibleAfter)
}

// viewPosition returns the log position of the view that the session has open, on MariaDB.
func viewPosition(ctx context.Context, view *source.Conn) (*rowv1.Position, error) {
	p, err := viewPlace(ctx, view)
	if err != nil || p.Gtids != "" {
		return p, err
	}
	res, err := view.Query(ctx, fmt.Sprintf("SELECT BINLOG_GTID_POS(%s, %d)", source.QuoteText(p.File), p.Pos))
	if err != nil {
		return nil, err
	}
	p.Gtids = res.Rows[0][0].Text
	return p, nil
}

// clockAhead compares the server's clock with ours.
func clockAhead(ctx context.Context, c *source.Conn) (time.Duration, error) {
	us, err := timeOf(ctx, c, "CURRENT_TIMESTAMP(6)")
	return time.Until(time.UnixMicro(int64(us))), err
}

// now is the server's clock, in microseconds; whole seconds, as CURRENT_TIMESTAMP has them.
func now(ctx context.Context, c *source.Conn) (uint64, error) {
	return timeOf(ctx, c, "CURRENT_TIMESTAMP")
}

func timeOf(ctx context.Context, c *source.Conn, expr string) (uint64, error) {
	res, err := c.Query(ctx, "SELECT "+expr)
	if err != nil {
		return 0, err
	}
	us, err := parseTimestamp([]byte(res.Rows[0][0].Text))
	return uint64(us), err
}
