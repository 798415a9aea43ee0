package coordinator

import (
	"context"
	"sync"
	"time"

	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/failpoint"
	"github.com/rowmesh/rowmesh/services/lease"
	"github.com/rowmesh/rowmesh/services/registry"
)

const (
	// txnChanges of one transaction; with one compare each they stay under the 120 that Store.Apply takes, a Rely per connector included.
	txnChanges = 100
	// describeTimeout bounds how long a new connector of several lanes waits for its tables' sizes before they are spread by hash.
	describeTimeout = 3 * time.Second
	// describeRetry is the pause between two attempts to describe; a capturer begins with a source in less.
	describeRetry = 50 * time.Millisecond
	// retryPlan is the pause after a plan that could not be applied, unless the registry changes before.
	retryPlan = 500 * time.Millisecond
)

// campaign leads again and again until ctx ends.
func (c *Coordinator) campaign(ctx context.Context) error {
	e := c.deps.Store.Election(c.cfg.ID)
	e.TTL = c.cfg.LeaderTTL
	var said string // the same reason is said once, not every second that etcd is away
	return e.Campaign(ctx, c.deps.Store.Client(), func(ctx context.Context, l lease.Leadership) error {
		said = ""
		return c.lead(ctx, l)
	}, func(err error) {
		if err.Error() != said {
			c.log.Warn("not leading; running work goes on", "reason", err)
		}
		said = err.Error()
	})
}

// term is one leadership.
type term struct {
	c    *Coordinator
	lead lease.Leadership

	tables    map[string]described
	asked     map[string]uint64 // connector → config revision whose tables are being described
	described chan description
	running   sync.WaitGroup
	// apart: the last plan failed in part, so the next is applied connector by connector.
	apart bool
}

type description struct {
	connector string
	described
}

// lead reconciles until ctx, which ends with the term, ends.
func (c *Coordinator) lead(ctx context.Context, l lease.Leadership) error {
	c.log.Info("leading", "id", c.cfg.ID, "revision", l.Revision)
	c.metrics.leader.Set(1)
	defer c.metrics.leader.Set(0)
	t := &term{c: c, lead: l, tables: make(map[string]described), asked: make(map[string]uint64), described: make(chan description)}
	ctx, cancel := context.WithCancel(ctx)
	defer t.running.Wait()
	defer cancel()
	if err := failpoint.At(failpoint.TermBegin); err != nil {
		return err
	}

	seen := l.Revision // a term begins with what its predecessors wrote
	for {
		st := t.look(ctx, seen)
		if st == nil {
			return nil // ctx ended
		}
		_, changed := c.cache.State()
		again := time.Duration(-1)
		revision, err := t.step(ctx, st)
		switch {
		case errs.KindOf(err) == errs.NotOwner:
			return err
		case err != nil:
			if ctx.Err() == nil && errs.KindOf(err) != errs.Stale {
				c.log.Warn("assignments could not be written; trying again", "error", err)
				c.metrics.failures.Inc()
			}
			again = retryPlan
		case revision > 0:
			seen = revision
			continue
		}
		seen = max(seen, st.Revision, revision)
		if !t.sleep(ctx, st, changed, again) {
			return nil
		}
	}
}

// look returns a state that is not older than revision, or after a while any: removing what somebody else has removed makes no revision of its own, so
// the one that etcd tells then may never be seen here. It returns nil when ctx ends.
func (t *term) look(ctx context.Context, revision int64) *registry.State {
	for ctx.Err() == nil {
		wctx, cancel := context.WithTimeout(ctx, seeTimeout)
		st, err := t.c.cache.Wait(wctx, revision)
		cancel()
		if err == nil {
			return st
		}
		revision = 0
	}
	return nil
}

// sleep waits for a reason to look again, and reports whether there is one (else ctx has ended).
func (t *term) sleep(ctx context.Context, st *registry.State, changed <-chan struct{}, again time.Duration) bool {
	if now, _ := t.c.cache.State(); now != st {
		return ctx.Err() == nil // it changed between the look and the fetching of the channel
	}
	var timer <-chan time.Time
	if again >= 0 {
		timer = time.After(again)
	}
	select {
	case <-ctx.Done():
		return false
	case <-changed:
	case <-timer:
	case d := <-t.described:
		t.tables[d.connector] = d.described
		delete(t.asked, d.connector)
	}
	return true
}

// step makes a plan and applies it. It returns the revision of the last write, 0 if there was none, and why the plan could not be applied as a whole. What
// fails is usually a race; but a record that cannot be read, or that is too large for etcd, fails for ever, and must not stop what it has nothing to do with.
func (t *term) step(ctx context.Context, st *registry.State) (int64, error) {
	begin := time.Now()
	p := reconcile(st, t.c.rules, t.tables)
	t.describe(ctx, st, p.describe)
	t.forget(st)
	if p.empty() {
		return 0, nil
	}
	var revision int64
	var failed error
	for _, part := range t.parts(p) {
		for _, changes := range t.transactions(part) {
			if err := failpoint.At(failpoint.ApplyBefore); err != nil {
				return revision, err
			}
			r, err := t.c.deps.Store.Apply(ctx, t.lead, changes...)
			if err == nil {
				err = failpoint.At(failpoint.ApplyAfter)
			}
			if kind := errs.KindOf(err); kind == errs.NotOwner || kind == errs.Unavailable || ctx.Err() != nil {
				return revision, err
			}
			if err != nil {
				failed = err
				break
			}
			revision = r
		}
	}
	t.apart = failed != nil
	if failed != nil {
		return revision, failed
	}
	t.c.metrics.applied(p, time.Since(begin))
	t.c.log.Info("assignments written", "connectors", len(p.connectors), "sources", len(p.sources), "laneMoves", p.laneMoves,
		"sourceMoves", p.sourceMoves, "took", time.Since(begin))
	return revision, nil
}

// parts cuts a plan into what stands or falls alone.
func (t *term) parts(p plan) []plan {
	if !t.apart {
		return []plan{p}
	}
	var out []plan
	for i := range p.connectors {
		out = append(out, plan{connectors: p.connectors[i : i+1]})
	}
	for i := range p.sources {
		out = append(out, plan{sources: p.sources[i : i+1]})
	}
	for i := range p.removeSources {
		out = append(out, plan{removeSources: p.removeSources[i : i+1]})
	}
	return out
}

// transactions cuts a plan into what etcd takes at once. A connector stays in one piece if it fits; else its layout goes first, so that a leader
// which dies between two pieces leaves nothing that its successor would read differently.
func (t *term) transactions(p plan) [][]registry.Change {
	var out [][]registry.Change
	var current []registry.Change
	add := func(group []registry.Change) {
		if len(current)+len(group) > txnChanges && len(current) > 0 {
			out = append(out, current)
			current = nil
		}
		current = append(current, group...)
	}
	s := t.c.deps.Store
	for _, cp := range p.connectors {
		changes := connectorChanges(s, cp)
		for len(changes) > 0 {
			n := min(len(changes), txnChanges-1)
			add(append([]registry.Change{s.Rely(cp.connector)}, changes[:n]...))
			changes = changes[n:]
		}
	}
	for _, src := range p.sources {
		add([]registry.Change{s.PutSource(src)})
	}
	for _, src := range p.removeSources {
		add([]registry.Change{s.RemoveSource(src)})
	}
	return append(out, current)
}

func connectorChanges(s *registry.Store, p connectorPlan) []registry.Change {
	var out []registry.Change
	if p.layout != nil {
		out = append(out, s.PutLayout(*p.layout))
	}
	for _, l := range p.lanes {
		out = append(out, s.PutLane(l))
	}
	for _, l := range p.remove {
		out = append(out, s.RemoveLane(l))
	}
	for _, id := range p.statuses {
		out = append(out, s.RemoveStatus(id))
	}
	return out
}

// describe asks for the tables of connectors, each at most once per config revision, beside the loop.
func (t *term) describe(ctx context.Context, st *registry.State, names []string) {
	for _, name := range names {
		c := st.Connectors[name]
		if asked, ok := t.asked[name]; ok && asked == c.ConfigRevision {
			continue
		}
		t.asked[name] = c.ConfigRevision
		t.running.Go(func() {
			d := description{name, described{configRevision: c.ConfigRevision, tables: t.lookUp(ctx, c)}}
			select {
			case t.described <- d:
			case <-ctx.Done():
			}
		})
	}
}

// lookUp returns a connector's tables, none if they cannot be learned: then they are spread by hash. A source that was given to a capturer just now
// needs a moment until it answers, so every failure that may pass is tried again until the time is up.
func (t *term) lookUp(ctx context.Context, c registry.Connector) []Table {
	if t.c.deps.Tables == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	for {
		tables, err := t.c.deps.Tables(ctx, c)
		if err == nil {
			return tables
		}
		lasting := false
		switch errs.KindOf(err) {
		case errs.Invalid, errs.Denied, errs.Unsupported:
			lasting = true
		}
		retry := time.NewTimer(describeRetry)
		select {
		case <-retry.C:
		case <-ctx.Done():
		}
		retry.Stop()
		if lasting || ctx.Err() != nil {
			t.c.log.Warn("sizes of tables are not known; they are spread over lanes by hash", "connector", c.Name, "error", err)
			return nil
		}
	}
}

// forget drops the descriptions of connectors that are gone or have another config.
func (t *term) forget(st *registry.State) {
	for name, d := range t.tables {
		if st.Connectors[name].ConfigRevision != d.configRevision {
			delete(t.tables, name)
		}
	}
}
