package publisher

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/publisher/convert"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/offset"
	"github.com/rowmesh/rowmesh/services/registry"
)

// A table whose rows the capturer cannot read stops alone, and nothing of it is lost.
//
// The lane's checkpoint goes on with the other tables, and says beside its own place what the stopped table has up to (offset.Aside). The table stays stopped, and
// is left out of subscriptions, whoever runs the lane, until a user restarts the task: then the lane starts where the oldest stopped table stood, and skips per
// table what is delivered, until it is where it was. The checkpoints on this way keep what the others have up to, so that a crash repeats nothing.
//
//	place ───────────> P stops T      aside: T at P
//	place ───────────────────> Q      aside: T at P
//	restart: place = P                aside: T from P, others at Q
//	place ───────────────────> Q      aside: nothing
//
// A change of the number of lanes takes stopped tables up again as well, since their lanes read from old places then anyway. A table that stops in a snapshot
// has no place in the log from which its rows could follow: it stays stopped until the next snapshot. So does one whose place has left the log when it is taken up. What transactions are told to hold
// (provide.transaction.metadata) counts only the rows that flow, and is told again where transactions are read again.

// maxAside bounds what checkpoints say of tables, in bytes: each commit writes it, and all records together must stay far below the 1 MB that a broker takes.
// It is a hundred tables or so. With more the lane stops.
const maxAside = 64 << 10

// maxStopText bounds the reason that is kept of each.
const maxStopText = 400

// tableStopped treats rows that the capturer could not read: errors.tolerance decides. By default the table stops.
//
// A change that was logged as a statement is only told, as Debezium does: no start finds its rows, whatever is mended meanwhile.
func (t *task) tableStopped(e *capturev1.TableError) error {
	if e.Table == "" {
		t.status.warn("statements in "+e.Database, fmt.Sprintf("a change in database %s is missing since %s:%d: %s", e.Database, e.Position.GetFile(), e.Position.GetPos(), e.Reason))
		return nil
	}
	name := e.Database + "." + e.Table
	if e.Skipped {
		t.rowsSkipped(name, e)
		return nil
	}
	t.p.metrics.errors.WithLabelValues(t.id.Connector, "TableStopped").Inc()
	what := fmt.Sprintf("table %s stopped at %s:%d: %s", name, e.Position.GetFile(), e.Position.GetPos(), e.Reason)
	if t.cfg.ErrorsTolerance == "all" {
		t.status.warn("table "+name, "errors.tolerance=all: "+what)
		return nil
	}
	what = strings.ToValidUTF8(what[:min(len(what), maxStopText)], "")
	taken := &t.place.taken
	before := taken.Aside.Find(name)
	if before != nil && before.Stopped {
		return nil // its place is the earlier one
	}
	stop := offset.Table{Name: name, Stopped: true}
	switch {
	case t.start.snapshot != nil && (taken.Source == nil || taken.InSnapshot()):
		stop.Text = fmt.Sprintf("%s; it is left out until the next snapshot: mend that, then %s", what, t.howToSnapshot())
	case taken.Source == nil:
		return errs.E(errs.Corrupt, "%s; the lane has no place yet to which the table could return; errors.tolerance=all goes on without it", what)
	default:
		at, err := t.deliveredOf(name, before)
		if err != nil {
			return err
		}
		stop.At = at
		stop.Text = fmt.Sprintf("%s; mend that, then restart the task: POST /connectors/%s/tasks/%d/restart sends what is missing", what, t.id.Connector, t.id.Task)
	}
	next := *taken
	next.Aside = taken.Aside.With(stop)
	next.Aside.Restart = t.lane.Restart
	if size := len((&offset.Offset{Source: &rowv1.SourceOffset{}, Aside: next.Aside}).Append(nil)); size > maxAside {
		return errs.E(errs.Corrupt, "%s; so many tables are stopped already that the checkpoint has no room (%d bytes, at most %d); errors.tolerance=all goes on without them",
			what, size, maxAside)
	}
	*taken = next
	t.warnStopped()
	t.log.Warn("table stopped", "table", name, "reason", what)
	if stop.At == nil {
		var err error
		t.start.aside, err = t.asideSkipper(next)
		return err
	}
	return nil
}

// rowStops treats a row that cannot be converted where neither errors.tolerance nor event.processing.failure.handling.mode does without it: its table stops, as if the
// capturer could not read the row, and the others go on. Requires: nothing of its batch was sent, and place is where the batch begins.
func (t *task) rowStops(bad *convert.RowError) error {
	t.encoded.Reset()
	t.encoder.Rewind(resumed(t.place.taken.Transaction))
	t.encoder.LeaveTable(bad.Database, bad.Table)
	return t.tableStopped(&capturev1.TableError{Database: bad.Database, Table: bad.Table, Reason: bad.Error(), Position: &rowv1.Position{File: bad.File, Pos: bad.Pos}})
}

// leavesOut says whether a mode does without changes that cannot be processed.
func leavesOut(m config.FailureMode) bool { return m == config.Warn || m == config.Skip }

// rowsSkipped treats changes that are left out because the user would rather do without them than stop: event.processing.failure.handling.mode and
// inconsistent.schema.handling.mode. Skip is silent but for the metrics.
func (t *task) rowsSkipped(table string, e *capturev1.TableError) {
	option, mode, what := "event.processing.failure.handling.mode", t.cfg.EventFailure, "changes of table %s are left out, the last ones at %s:%d: %s"
	if e.Unknown {
		option, mode, what = "inconsistent.schema.handling.mode", t.cfg.InconsistentSchema, "changes of table %s are left out since %s:%d: %s"
	}
	t.p.metrics.errors.WithLabelValues(t.id.Connector, "ChangesSkipped").Inc()
	if mode == config.Skip {
		t.log.Debug("changes skipped", "table", table, "file", e.Position.GetFile(), "pos", e.Position.GetPos(), "reason", e.Reason)
		return
	}
	t.log.Warn("changes skipped", "table", table, "file", e.Position.GetFile(), "pos", e.Position.GetPos(), "reason", e.Reason)
	t.status.warn("skipped "+table, fmt.Sprintf("%s=%s: "+what, option, mode, table, e.Position.GetFile(), e.Position.GetPos(), e.Reason))
}

// deliveredOf returns what a table that stops has up to: the lane's place, or what it had before its rows, or those of all tables, were read again, here or by a
// lane of the layout before.
func (t *task) deliveredOf(name string, before *offset.Table) (*offset.Offset, error) {
	at := t.place.taken
	at.Aside = offset.Aside{}
	had := []*offset.Offset{t.place.taken.Aside.Others}
	if before != nil {
		had[0] = before.At
	}
	if t.start.skip != nil {
		had = append(had, t.start.skip.had(name))
	}
	newest := &at
	for _, o := range had {
		if o == nil {
			continue
		}
		var err error
		if newest, err = t.later(newest, o); err != nil {
			return nil, err
		}
	}
	return newest, nil
}

// later returns the place of two that covers the other.
func (t *task) later(a, b *offset.Offset) (*offset.Offset, error) {
	m, err := newMark(t.cfg.Flavor, a)
	if err != nil {
		return nil, err
	}
	n, err := newMark(t.cfg.Flavor, b)
	if err != nil {
		return nil, err
	}
	if m.reached(&n) {
		return a, nil
	}
	return b, nil
}

// warnStopped says which tables are stopped.
func (t *task) warnStopped() {
	var texts []string
	for _, s := range t.place.taken.Aside.Tables {
		if s.Stopped {
			texts = append(texts, s.Text)
		}
	}
	t.status.warn("stopped tables", texts...)
}

// asideSkipper skips what tables that stand elsewhere have already.
func (t *task) asideSkipper(o offset.Offset) (*skipper, error) {
	return newSkipper(t.cfg.Flavor, &registry.Layout{Count: 1}, []offset.Offset{o})
}

// takeUp returns the checkpoint to start from: o, or, where a user has asked for a restart since its tables stopped, the oldest place of them. Tables whose rows
// have left the log meanwhile (t.gone) are given up.
func (t *task) takeUp(o offset.Offset) (offset.Offset, error) {
	a := o.Aside
	again := a.Restart != t.lane.Restart && slices.ContainsFunc(a.Tables, func(s offset.Table) bool { return s.Stopped && s.At != nil })
	if !again && (len(t.gone) == 0 || a.Empty()) {
		return o, nil
	}
	here := o
	here.Aside = offset.Aside{}
	others := a.Others
	if others == nil {
		others = &here
	}
	start := others
	next := offset.Aside{Others: others, Restart: t.lane.Restart}
	for _, s := range a.Tables {
		var err error
		switch {
		case s.At == nil || s.Stopped && !again:
		case t.gone[s.Name] != "":
			s = offset.Table{Name: s.Name, Stopped: true, Text: t.gone[s.Name]}
		default:
			if !s.Stopped { // it was on its way, and has what that brought
				if s.At, err = t.later(&here, s.At); err != nil {
					return o, err
				}
			}
			s.Stopped, s.Text = false, ""
			if newest, err := t.later(start, s.At); err != nil {
				return o, err
			} else if newest == start {
				start = s.At
			}
		}
		next = next.With(s)
	}
	if start == others {
		next.Others = nil
	}
	out := *start
	out.Aside = next
	return out, nil
}

// giveUp handles a gap on the way back: tables that need the log from here on must wait for a snapshot, so that the lane can start without them. It returns false
// if there are none.
func (t *task) giveUp(reason string) (bool, error) {
	taken := &t.place.taken
	var back []offset.Table
	if t.start.skip != nil {
		back = t.start.skip.back
	}
	if taken.Aside.Others != nil {
		back = append(back[:len(back):len(back)], taken.Aside.Tables...)
	}
	before := len(t.gone)
	for _, s := range back {
		if s.At == nil || s.Stopped && taken.Aside.Find(s.Name) != nil {
			continue
		}
		newest, err := t.later(taken, s.At)
		if err != nil {
			return false, err
		}
		if newest != taken {
			continue
		}
		if t.gone == nil {
			t.gone = map[string]string{}
		}
		t.gone[s.Name] = fmt.Sprintf("table %s stopped at %s:%d, and the log no longer reaches back to it: %.200s; it is left out until the next snapshot: %s",
			s.Name, s.At.Source.GetFile(), s.At.Source.GetPos(), reason, t.howToSnapshot())
	}
	return len(t.gone) > before, nil
}

// without gives up the tables of t.gone in the checkpoints of the lanes before.
func (t *task) without(old []offset.Offset) {
	for j := range old {
		for _, s := range old[j].Aside.Tables {
			if text := t.gone[s.Name]; text != "" {
				old[j].Aside = old[j].Aside.With(offset.Table{Name: s.Name, Stopped: true, Text: text})
			}
		}
	}
}

// howToSnapshot tells users how a lane comes to a new snapshot.
func (t *task) howToSnapshot() string {
	return fmt.Sprintf("PUT /connectors/%[1]s/stop, DELETE /connectors/%[1]s/offsets, PUT /connectors/%[1]s/resume", t.id.Connector)
}

// together forgets the places of single tables once the lane's own place has reached them.
func (t *task) together() error {
	taken := &t.place.taken
	if taken.Aside.Others == nil || t.start.aside == nil {
		return nil
	}
	m, err := newMark(t.cfg.Flavor, taken)
	if err != nil {
		return err
	}
	if m.reached(&t.start.aside.marks[0]) {
		stopped := slices.DeleteFunc(slices.Clone(taken.Aside.Tables), func(s offset.Table) bool { return !s.Stopped })
		taken.Aside = offset.Aside{Tables: stopped, Restart: taken.Aside.Restart}
	}
	return nil
}

// leftOut are the tables that only a snapshot brings back, of those that the lanes of the layout before had stopped and that are this lane's now.
func (t *task) leftOut(old []offset.Offset) offset.Aside {
	a := offset.Aside{Restart: t.lane.Restart}
	now := &registry.Layout{Count: t.lane.Count, Pins: t.lane.Pins}
	for _, o := range old {
		for _, s := range o.Aside.Tables {
			if s.At == nil && laneOf(now, s.Name) == t.id.Task {
				a = a.With(s)
			}
		}
	}
	return a
}

// excludeStopped leaves stopped tables out of a subscription; their names are meant exactly, also in case.
func excludeStopped(f *capturev1.TableFilter, a *offset.Aside) {
	f.ExcludeTables = slices.Clone(f.ExcludeTables)
	for _, s := range a.Tables {
		if s.Stopped {
			f.ExcludeTables = append(f.ExcludeTables, "(?-i:"+regexp.QuoteMeta(s.Name)+")")
		}
	}
}

// told says whether a statement was told before: by a lane of the layout before, or before a table stopped.
func (t *task) told(d *capturev1.Ddl) bool {
	return t.start.skip != nil && t.start.skip.told(d) || t.start.aside != nil && t.start.aside.told(d)
}

// skipped reports that a statement is not to be told now: it was told, or it changes stopped tables alone, whose turn comes.
func (t *task) skipped(d *capturev1.Ddl) bool {
	if t.told(d) {
		return true
	}
	names, a := ddlTables(d), &t.place.taken.Aside
	return len(names) > 0 && !d.Snapshot && !slices.ContainsFunc(names, func(name string) bool {
		s := a.Find(name)
		return s == nil || !s.Stopped
	})
}
