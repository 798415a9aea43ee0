package capturer

import (
	"context"
	"slices"
	"time"

	"github.com/rowmesh/rowmesh/capturer/binlog"
	"github.com/rowmesh/rowmesh/capturer/chunk"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
	"github.com/rowmesh/rowmesh/services/source"
)

// ask is a question of a copier to the reader of its feed, which is answered between two transactions: at the reader's next boundary, or at once by whoever asks if
// the reader waits there for more of the log.
type ask struct {
	past *place // answer there or behind; nil: where the reader is
	// watch is a job whose table is watched from there on; its shape there becomes the job's.
	watch *job
	// shape is that of watch's table at past, where the reader does not know it.
	shape  *rowv1.Table
	answer chan stand
}

// stand is where a reader stands.
type stand struct {
	mark   chunk.Mark // a window is open from here on
	at     place
	flavor config.Flavor
	pushed uint64 // messages of the feed that tell all before
	shape  *rowv1.Table
	txn    txn // the transaction before
	taken  time.Time
}

// recent is a stand whose window stays open until it is old enough to be used: see window.
type recent struct{ stand }

// ask waits for an answer. The window of the answer is the caller's to close.
func (c *copier) ask(ctx context.Context, a ask) (stand, error) {
	s := c.src
	a.answer = make(chan stand, 1)
	s.mu.Lock()
	c.asks = append(c.asks, &a)
	c.asked.Store(true)
	if r := c.feed.reader; r != nil {
		r.attention.Store(true)
		if r.parked && c.feed.batch == nil {
			r.answerLocked(c.feed)
		}
	}
	s.mu.Unlock()
	select {
	case st := <-a.answer:
		return st, nil
	case <-c.feed.ended:
		return stand{}, errs.E(errs.Unavailable, "the subscription ends")
	case <-ctx.Done():
		return stand{}, errs.E(errs.Unavailable, "copy of tables: %w", ctx.Err())
	}
}

// answer answers the asks of the reader's feeds. Requires: to be the reader, at a boundary.
func (r *reader) answer() {
	for _, f := range r.feeds {
		if f.dead || f.copy == nil || !f.copy.asked.Load() || !r.due(f) {
			continue
		}
		f.flush(r) // all before this place is in the queue then
		r.src.mu.Lock()
		r.answerLocked(f)
		r.src.mu.Unlock()
	}
}

// due says whether some ask of a feed can be answered here.
func (r *reader) due(f *feed) bool {
	r.src.mu.Lock()
	defer r.src.mu.Unlock()
	return slices.ContainsFunc(f.copy.asks, func(a *ask) bool { return a.past == nil || r.reached(a.past) })
}

// waits says whether some feed has open asks. Requires: mu.
func (r *reader) waits() bool {
	return slices.ContainsFunc(r.feeds, func(f *feed) bool { return !f.dead && f.copy != nil && len(f.copy.asks) > 0 })
}

// reached says whether all before a place was read. On the same server file and position say so; after a failover the GTIDs do.
func (r *reader) reached(p *place) bool {
	if r.at.oneServer(p) && (p.server == 0 || r.at.server == 0 || p.server == r.at.server) && r.at.file != "" {
		return r.at.compare(p) >= 0
	}
	return p.gtids != nil && r.at.gtids != nil && r.at.gtids.Contains(p.gtids)
}

// answerLocked answers those that can be. Requires: mu; to be the reader at a boundary, or to find it parked; nothing in the feed's batch.
func (r *reader) answerLocked(f *feed) {
	c := f.copy
	if r.tables == nil {
		return
	}
	c.asks = slices.DeleteFunc(c.asks, func(a *ask) bool {
		if a.past != nil && !r.reached(a.past) {
			return false
		}
		st := stand{at: r.at.clone(), flavor: r.info.Flavor, pushed: f.pushed.Load(), txn: r.txn, taken: time.Now()}
		if j := a.watch; j != nil {
			db, name := split(j.table)
			if st.shape = r.tables.catalog.Table(db, name); st.shape == nil && a.shape != nil {
				r.tables.catalog.SetTable(a.shape)
				clear(r.tables.maps)
				st.shape = a.shape
			}
			c.touched.Watch(j.table)
			c.watching.Store(true)
			c.mu.Lock()
			j.full = st.shape
			c.mu.Unlock()
		}
		st.mark = c.touched.Open()
		a.answer <- st
		return true
	})
	c.asked.Store(len(c.asks) > 0)
}

// unwatch ends the watch of a table.
func (c *copier) unwatch(table string) { c.touched.Unwatch(table) }

const (
	// standAge is how old a place must be on MySQL without GTIDs, before what the log's readers saw before it counts as shown by SELECT: nothing there says so. The engine's
	// commit follows the log's sync by milliseconds.
	standAge = time.Second
	// standEvery is how far apart such places are taken.
	standEvery = 100 * time.Millisecond
)

// window opens a window: a place in the log before which all will be shown by what is read next. Requires: the job's table is watched since the mark since.
func (c *copier) window(ctx context.Context, info source.Info, since chunk.Mark) (stand, error) {
	if info.HasGTIDs() || info.Flavor == config.MariaDB {
		return c.ask(ctx, ask{})
	}
	for {
		st, wait, err := c.oldStand(ctx, since)
		if err != nil || wait == 0 {
			return st, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return stand{}, errs.E(errs.Unavailable, "copy of tables: %w", ctx.Err())
		}
	}
}

// oldStand takes a place if none was taken lately, and returns the newest that is old enough, or how long to wait for one.
func (c *copier) oldStand(ctx context.Context, since chunk.Mark) (stand, time.Duration, error) {
	c.mu.Lock()
	n := len(c.stands)
	fresh := n > 0 && time.Since(c.stands[n-1].taken) < standEvery && c.stands[n-1].mark >= since
	c.mu.Unlock()
	if !fresh {
		st, err := c.ask(ctx, ask{})
		if err != nil {
			return st, 0, err
		}
		c.mu.Lock()
		if !c.still.here(&st.at) {
			c.still = stillness{st.at.file, st.at.pos, st.taken}
		}
		if st.taken.Sub(c.still.since) >= standAge { // nothing has been logged for so long
			c.mu.Unlock()
			return st, 0, nil
		}
		c.stands = append(c.stands, recent{st})
		c.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	best := -1
	wait := standAge
	for i, s := range c.stands {
		if s.mark < since {
			continue
		}
		if age := time.Since(s.taken); age >= standAge {
			best = i
		} else {
			wait = min(wait, standAge-age)
		}
	}
	if best < 0 {
		return stand{}, max(wait, time.Millisecond), nil
	}
	st := c.stands[best].stand
	c.touched.Hold(st.mark)
	for _, old := range c.stands[:best] {
		c.touched.Close(old.mark)
	}
	c.stands = slices.Delete(c.stands, 0, best)
	return st, 0, nil
}

// stillness is where the reader has been since.
type stillness struct {
	file  string
	pos   uint64
	since time.Time
}

func (s *stillness) here(p *place) bool { return s.file == p.file && s.pos == p.pos }

// forgetStands closes the windows that are kept for later.
func (c *copier) forgetStands() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.stands {
		c.touched.Close(s.mark)
	}
	c.stands = nil
}

// noteBytes is how much of an event is decoded at a time to note its keys.
const noteBytes = 256 << 10

// note tells the copiers of the feeds that want a table which of its rows an event touches, before the rows go out.
func (r *reader) note(ev *binlog.Event, st *tableState) error {
	var table string
	for _, f := range st.feeds {
		if f.dead || f.copy == nil || !f.copy.watching.Load() {
			continue
		}
		if table == "" {
			table = st.shape.Database + "." + st.shape.Table
		}
		if !f.copy.touched.Watched(table) {
			continue
		}
		if err := r.noteTo(f.copy, table, ev, st); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) noteTo(c *copier, table string, ev *binlog.Event, st *tableState) error {
	key, err := chunk.KeyOf(st.shape, c.surrogate(table))
	if err != nil {
		c.touched.Break(table) // the table has changed so that it is no longer read
		return nil
	}
	n := &noter{lay: row.NewLayout(st.shape.Columns), key: key, flags: st.plan.Flags(ev), op: ev.Op}
	n.before, n.after = make([]row.Cell, len(st.shape.Columns)), make([]row.Cell, len(st.shape.Columns))
	for first, done := 0, false; !done; {
		out, rows, end, err := st.plan.Append(r.scratch[:0], ev, first, noteBytes)
		r.scratch = out
		if err != nil || rows == 0 && !end {
			return nil // whoever decodes them next says what is wrong
		}
		keys, whole, err := n.keys(out)
		if err != nil {
			return err
		}
		if !whole {
			c.withoutKey(table)
			return nil
		}
		c.touched.Note(table, keys...)
		first += rows
		done = end
	}
	return nil
}

// noter finds the keys of the rows of an event.
type noter struct {
	lay           *row.Layout
	key           chunk.Key
	flags         byte
	op            row.Op
	before, after []row.Cell
}

// keys returns the keys of all images; whole is false if a row lacks its key.
func (n *noter) keys(rows []byte) (keys [][]byte, whole bool, err error) {
	for len(rows) > 0 {
		if n.op != row.Create {
			if rows, err = n.lay.Split(n.before, rows, n.flags&row.PartialBefore != 0); err != nil {
				return nil, false, err
			}
			k, ok := n.key.Append(nil, n.before)
			if !ok {
				return nil, false, nil
			}
			keys = append(keys, k)
		}
		if n.op == row.Delete {
			continue
		}
		if rows, err = n.lay.Split(n.after, rows, n.flags&row.PartialAfter != 0); err != nil {
			return nil, false, err
		}
		if n.op == row.Update {
			for _, i := range n.key.Columns {
				if !n.after[i].Present { // a column that is not logged has not changed
					n.after[i] = n.before[i]
				}
			}
		}
		k, ok := n.key.Append(nil, n.after)
		if !ok {
			return nil, false, nil
		}
		keys = append(keys, k)
	}
	return keys, true, nil
}
