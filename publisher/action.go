package publisher

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/source"
)

// actionTimeout bounds one run of heartbeat.action.query, with the connection that it may need: a row lock is waited for that long by default
// (innodb_lock_wait_timeout has 50 s), and a query that takes longer is no heartbeat.
const actionTimeout = time.Minute

// session is a connection to the source.
type session interface {
	Exec(ctx context.Context, sql string) error
	Close() error
}

// action runs heartbeat.action.query against the source at each heartbeat.interval.ms, on a connection of its own and beside the lane: neither waits for the
// other. Debezium runs it when it sends a heartbeat, which an idle source keeps it from; here it runs while the lane does, because an idle source is what it
// is for.
//
// What fails is told and tried again at the next heartbeat. A statement that will never do (SQLSTATE 42000: wrong, or not allowed; 3D000: no database) ends
// the lane, as Debezium's task ends.
type action struct {
	query   string
	every   time.Duration
	connect func(context.Context) (session, error)
	tell    func(problem error) // nil: it works
	wake    func()              // called when err has been set

	err  atomic.Pointer[error]
	stop context.CancelFunc
	wg   sync.WaitGroup
}

// newAction returns what the options ask for; nil for nothing.
func (t *task) newAction(cfg *config.Connector) *action {
	if cfg.HeartbeatQuery == "" || cfg.HeartbeatInterval <= 0 || t.id.Task != 0 {
		return nil
	}
	at := source.FromConnector(cfg)
	a := &action{query: cfg.HeartbeatQuery, every: cfg.HeartbeatInterval, wake: t.inbox.poke,
		connect: func(ctx context.Context) (session, error) { return source.Connect(ctx, at) }}
	failing := ""
	a.tell = func(err error) {
		text := ""
		if err != nil {
			text = err.Error()
			t.p.metrics.errors.WithLabelValues(t.id.Connector, "HeartbeatAction").Inc()
		}
		if text == failing {
			return
		}
		if failing = text; text == "" {
			t.status.warn("heartbeat.action.query")
			t.log.Info("heartbeat action works again")
			return
		}
		t.status.warn("heartbeat.action.query", text)
		t.log.Warn("heartbeat action failed", "error", err)
	}
	return a
}

// start runs the query until close.
func (a *action) start(ctx context.Context) {
	ctx, a.stop = context.WithCancel(ctx)
	a.wg.Go(func() { a.run(ctx) })
}

// close ends the action and waits for it. A nil action has nothing to end.
func (a *action) close() {
	if a != nil && a.stop != nil {
		a.stop()
		a.wg.Wait()
	}
}

// failed returns why the lane must end; nil while it need not.
func (a *action) failed() error {
	if a == nil {
		return nil
	}
	if p := a.err.Load(); p != nil {
		return *p
	}
	return nil
}

func (a *action) run(ctx context.Context) {
	var s session
	defer func() {
		if s != nil {
			s.Close()
		}
	}()
	tick := time.NewTicker(a.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := a.once(ctx, &s)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			err = errs.E(errs.KindOf(err), "heartbeat.action.query, %.100s: %w", a.query, err)
		}
		a.tell(err)
		if hopeless(err) {
			err = errs.E(errs.Invalid, "%w", err)
			a.err.Store(&err)
			a.wake()
			return
		}
	}
}

// once runs the query, on the session that there is or on a new one. A session that failed is not used again.
func (a *action) once(ctx context.Context, s *session) error {
	ctx, cancel := context.WithTimeout(ctx, actionTimeout)
	defer cancel()
	if *s == nil {
		c, err := a.connect(ctx)
		if err != nil {
			return err
		}
		*s = c
	}
	err := (*s).Exec(ctx, a.query)
	if err != nil {
		(*s).Close()
		*s = nil
	}
	return err
}

// hopeless says whether a query fails for what it is.
func hopeless(err error) bool {
	var server *source.ServerError
	return errors.As(err, &server) && (server.State == "42000" || server.State == "3D000")
}
