package publisher

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/publisher/convert"
	"github.com/rowmesh/rowmesh/publisher/lane"
	"github.com/rowmesh/rowmesh/publisher/signal"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/offset"
	"github.com/rowmesh/rowmesh/services/registry"
)

// maxSnapshotTables bounds the tables of one snapshot on one lane: the names are part of each checkpoint while it runs.
const maxSnapshotTables = 10_000

// maxSnapshotID is what the capturer takes.
const maxSnapshotID = 200

// execute begins a snapshot that was asked for, for the tables of this lane. What the API asks for must be there; a signal of Debezium's may name what is not, which is
// told when its turn comes.
func (t *task) execute(c signal.Command, from signal.Channel) ([]string, error) {
	e := c.Execute
	if len(c.ID) > maxSnapshotID {
		return nil, errs.E(errs.Invalid, "the id of a snapshot has at most %d bytes, and %.50q... has %d", maxSnapshotID, c.ID, len(c.ID))
	}
	if t.start.done || t.stream == nil || t.stream.s == nil {
		return nil, errs.E(errs.Invalid, "the connector does not stream (snapshot.mode=%s), and a snapshot on demand runs beside the stream", t.cfg.Snapshot.Mode)
	}
	all, known, err := t.captured()
	if err != nil {
		return nil, err
	}
	if from == signal.API && known {
		if err := t.mustBeThere(e.Tables, all); err != nil {
			return nil, err
		}
	}
	tables := slices.DeleteFunc(signal.Expand(e.Tables, all), func(name string) bool {
		return name == t.cfg.Signals.Table || !t.mine(name)
	})
	switch {
	case len(tables) == 0:
		return nil, nil // other lanes have them
	case len(tables) > maxSnapshotTables:
		return nil, errs.E(errs.Invalid, "the snapshot %s has %d tables on task %d, more than %d; ask for fewer at a time", c.ID, len(tables), t.id.Task, maxSnapshotTables)
	}
	if e.Blocking {
		return tables, t.block(c.ID, e, tables)
	}
	if t.runs(c.ID) {
		return tables, nil
	}
	command := &capturev1.SnapshotCommand{Id: c.ID, Action: capturev1.SnapshotAction_SNAPSHOT_ACTION_START, ChunkRows: e.ChunkRows,
		RowsPerSecond: e.RowsPerSecond, BytesPerSecond: e.BytesPerSecond, Threads: uint32(t.cfg.Snapshot.MaxThreads)}
	if command.ChunkRows == 0 {
		command.ChunkRows = uint32(t.cfg.Signals.ChunkRows)
	}
	for _, name := range tables {
		command.Tables = append(command.Tables, &capturev1.SnapshotTable{Table: name, Condition: e.Condition(name), SurrogateKey: e.SurrogateKey})
	}
	if err := t.command(command); err != nil {
		return nil, err
	}
	t.log.Info("incremental snapshot asked for", "id", c.ID, "tables", len(tables), "channel", from)
	t.progress.asked(t.id.Task, command, t.p.out.now())
	return tables, t.tell(t.startNotice(command, false))
}

// command tells the capturer, and keeps it until the capturer's token has it.
func (t *task) command(c *capturev1.SnapshotCommand) error {
	if err := t.sendCommand(c); err != nil {
		return err
	}
	t.keepSignals(func(s *offset.Signals) { s.Pending = append(s.Pending, c) })
	return nil
}

// mine reports that a table is this lane's.
func (t *task) mine(name string) bool {
	return t.lane.Count <= 1 || laneOf(&registry.Layout{Count: t.lane.Count, Pins: t.lane.Pins}, name) == t.id.Task
}

// runs reports that a snapshot of this id runs on the lane.
func (t *task) runs(id string) bool { return slices.Contains(t.runningIDs(), id) }

// runningIDs returns the ids of the incremental snapshots that run on the lane, in the order of their beginning.
func (t *task) runningIDs() []string {
	var ids []string
	for _, c := range t.place.taken.Snapshots() {
		if !slices.Contains(ids, c.Id) {
			ids = append(ids, c.Id)
		}
	}
	for _, c := range t.kept().Pending {
		if c.Action == capturev1.SnapshotAction_SNAPSHOT_ACTION_START && !slices.Contains(ids, c.Id) {
			ids = append(ids, c.Id)
		}
	}
	return ids
}

// mustBeThere refuses names that mean no captured table, and says whether the connector leaves it out or the server has none.
func (t *task) mustBeThere(names, captured []string) error {
	for _, name := range names {
		if got := signal.Expand([]string{name}, captured); len(got) > 1 || slices.Contains(captured, got[0]) {
			continue
		}
		there, _, err := t.described(&capturev1.TableFilter{IncludeTables: []string{"(?-i:" + signal.Whole(name) + ")"}, Builtin: true})
		switch {
		case err != nil:
			return err
		case len(there) > 0:
			return errs.E(errs.Invalid, "table %s is not captured by connector %s: its database.include.list, table.include.list or their exclude lists leave it out", there[0], t.id.Connector)
		}
		return errs.E(errs.Invalid, "table %s does not exist on %s, or the user %s may not see it", name, t.source, t.cfg.User)
	}
	return nil
}

// control changes snapshots that run on this lane.
func (t *task) control(c signal.Command) error {
	k := c.Control
	ids := t.runningIDs()
	if k.Snapshot != "" {
		if !slices.Contains(ids, k.Snapshot) {
			return errs.E(errs.NotFound, "snapshot %s does not run on task %d of connector %s", k.Snapshot, t.id.Task, t.id.Connector)
		}
		ids = []string{k.Snapshot}
	}
	if len(ids) == 0 {
		t.log.Info("no incremental snapshot runs: nothing to do", "signal", c.ID, "action", k.Action)
		return nil
	}
	actions := map[signal.Action]capturev1.SnapshotAction{
		signal.Stop: capturev1.SnapshotAction_SNAPSHOT_ACTION_STOP, signal.Pause: capturev1.SnapshotAction_SNAPSHOT_ACTION_PAUSE,
		signal.Resume: capturev1.SnapshotAction_SNAPSHOT_ACTION_RESUME, signal.Throttle: capturev1.SnapshotAction_SNAPSHOT_ACTION_THROTTLE,
	}
	for _, id := range ids {
		command := &capturev1.SnapshotCommand{Id: id, Action: actions[k.Action], ChunkRows: k.ChunkRows, RowsPerSecond: k.RowsPerSecond, BytesPerSecond: k.BytesPerSecond}
		if tables := t.tablesOf(id); len(k.Tables) > 0 {
			for _, name := range signal.Expand(k.Tables, tables) {
				if slices.Contains(tables, name) {
					command.Tables = append(command.Tables, &capturev1.SnapshotTable{Table: name})
				}
			}
			if len(command.Tables) == 0 {
				continue
			}
		}
		t.log.Info("incremental snapshot", "action", k.Action, "id", id)
		if err := t.command(command); err != nil {
			return err
		}
	}
	return nil
}

// tablesOf returns the tables of a snapshot that are not complete, in order.
func (t *task) tablesOf(id string) (tables []string) {
	for _, c := range t.place.taken.Snapshots() {
		if c.Id == id && !slices.Contains(tables, c.Table) {
			tables = append(tables, c.Table)
		}
	}
	for _, c := range t.kept().Pending {
		if c.Id == id && c.Action == capturev1.SnapshotAction_SNAPSHOT_ACTION_START {
			for _, table := range c.Tables {
				if !slices.Contains(tables, table.Table) {
					tables = append(tables, table.Table)
				}
			}
		}
	}
	return tables
}

// resend sends what a start before has not been sure of, and takes up what another program was snapshotting.
func (t *task) resend() error {
	if found := t.place.taken.Unfinished; len(found) > 0 && t.place.taken.Foreign() {
		t.takeOver(found)
	}
	for _, id := range t.runningIDs() {
		command := &capturev1.SnapshotCommand{Id: id}
		for _, table := range t.tablesOf(id) {
			command.Tables = append(command.Tables, &capturev1.SnapshotTable{Table: table})
		}
		t.progress.asked(t.id.Task, command, t.born)
		t.startNotice(command, true)
	}
	for _, c := range t.kept().Pending {
		if err := t.sendCommand(c); err != nil {
			return err
		}
	}
	return nil
}

// takeOver goes on with Debezium's snapshots: their tables are read from the beginning.
func (t *task) takeOver(found []offset.IncrementalTable) {
	commands := map[string]*capturev1.SnapshotCommand{}
	for _, f := range found {
		id := "debezium"
		if f.Correlation != nil && *f.Correlation != "" {
			id = *f.Correlation
		}
		if commands[id] == nil {
			commands[id] = &capturev1.SnapshotCommand{Id: id, Action: capturev1.SnapshotAction_SNAPSHOT_ACTION_START, ChunkRows: uint32(t.cfg.Signals.ChunkRows), Threads: uint32(t.cfg.Snapshot.MaxThreads)}
		}
		table := &capturev1.SnapshotTable{Table: f.ID}
		if f.Condition != nil && signal.CheckExpression(*f.Condition) == nil {
			table.Condition = *f.Condition
		}
		if f.Surrogate != nil {
			table.SurrogateKey = *f.Surrogate
		}
		if t.mine(f.ID) {
			commands[id].Tables = append(commands[id].Tables, table)
		}
	}
	t.keepSignals(func(s *offset.Signals) {
		for _, id := range slices.Sorted(maps.Keys(commands)) {
			if len(commands[id].Tables) > 0 {
				s.Pending = append(s.Pending, commands[id])
			}
		}
	})
}

// onDemand handles what the capturer says of an incremental snapshot.
func (t *task) onDemand(p *capturev1.SnapshotProgress) error {
	t.answered(p)
	if p.Error != "" {
		t.log.Warn("incremental snapshot", "id", p.Id, "table", p.Table, "state", p.State, "error", p.Error)
		t.status.warn("snapshot "+p.Id+" "+p.Table, fmt.Sprintf("snapshot %s of %s: %s", p.Id, p.Table, p.Error))
	}
	t.progress.onDemand(p, t.p.out.now())
	t.windows.chunk(p)
	if err := t.tell(t.onDemandNotices(p)); err != nil {
		return err
	}
	if p.Checkpoint != nil {
		return t.moved(p.Checkpoint, lane.Taken{Rows: true, Urgent: p.Complete, End: p.Checkpoint.TransactionEnd})
	}
	return nil
}

// answered notes which pending commands the capturer has done, as it says of their snapshot. They are done in their order, so what a message says is of the first that is not
// done yet: a RUNNING that was said before a pause is no answer to the resume behind it.
func (t *task) answered(p *capturev1.SnapshotProgress) {
	for _, c := range t.kept().Pending {
		if c.Id != p.Id || t.signals.answered[c] {
			continue
		}
		start := c.Action == capturev1.SnapshotAction_SNAPSHOT_ACTION_START
		if !start && !p.Complete && !fits(c.Action, p.State) {
			return
		}
		if t.signals.answered == nil {
			t.signals.answered = map[*capturev1.SnapshotCommand]bool{}
		}
		t.signals.answered[c] = true
		if !start && !p.Complete {
			return
		}
	}
}

// fits reports that a state is what an action leads to.
func fits(a capturev1.SnapshotAction, s capturev1.SnapshotState) bool {
	switch a {
	case capturev1.SnapshotAction_SNAPSHOT_ACTION_PAUSE:
		return s == capturev1.SnapshotState_SNAPSHOT_STATE_PAUSED
	case capturev1.SnapshotAction_SNAPSHOT_ACTION_STOP:
		return s == capturev1.SnapshotState_SNAPSHOT_STATE_STOPPED
	}
	return s == capturev1.SnapshotState_SNAPSHOT_STATE_RUNNING
}

// settleCommands drops the pending commands that the token has, which is newer than what the capturer said of them.
func (t *task) settleCommands() {
	if t.place.taken.Signals == nil || len(t.place.taken.Signals.Pending) == 0 {
		return
	}
	known := t.place.taken.Snapshots()
	done := func(c *capturev1.SnapshotCommand) bool {
		return t.signals.answered[c] || c.Action == capturev1.SnapshotAction_SNAPSHOT_ACTION_START &&
			slices.ContainsFunc(known, func(k *rowv1.SnapshotCursor) bool { return k.Id == c.Id })
	}
	if slices.ContainsFunc(t.place.taken.Signals.Pending, done) {
		t.keepSignals(func(s *offset.Signals) { s.Pending = slices.DeleteFunc(s.Pending, done) })
	}
	t.signals.answered = nil
}

// block lets the next start read tables while the stream waits.
func (t *task) block(id string, e *signal.Execute, tables []string) error {
	b := offset.Blocking{ID: id, Tables: tables, GTID: t.behind.gtid(), ServerID: t.behind.server, Thread: t.behind.thread}
	for _, name := range tables {
		if filter := e.Condition(name); filter != "" {
			if b.Selects == nil {
				b.Selects = map[string]string{}
			}
			b.Selects[name] = filter
		}
	}
	if slices.ContainsFunc(t.kept().Blocking, func(o offset.Blocking) bool { return o.ID == id }) {
		return nil
	}
	t.keepSignals(func(s *offset.Signals) { s.Blocking = append(s.Blocking, b) })
	t.progress.blocking(t.id.Task, &b, t.p.out.now())
	t.moveOn = "a blocking snapshot begins"
	return nil
}

// blockingPlan is the start that reads the tables of a blocking snapshot. Its place in the log is that of the stream, which goes on from there.
func blockingPlan(cfg *config.Connector, b *offset.Blocking) plan {
	o := snapshotOptions(cfg, true, true)
	o.IncludeTables, o.SelectOverrides, o.DefineDatabases = nil, b.Selects, false
	for _, name := range b.Tables {
		o.IncludeTables = append(o.IncludeTables, exactly(name))
	}
	return plan{at: &capturev1.Start{At: &capturev1.Start_Snapshot{Snapshot: true}}, snapshot: o, blocking: b}
}

// waitsBehind is the transaction that the stream waits behind; nil: this start reads no blocking snapshot.
func (t *task) waitsBehind() *convert.Behind {
	b := t.start.blocking
	if b == nil {
		return nil
	}
	return &convert.Behind{GTID: b.GTID, ServerID: b.ServerID, Thread: b.Thread}
}

// blocked accounts for a message of a blocking snapshot: the place stays.
func (t *task) blocked(seq uint64, rows bool, bytes int64) {
	t.machine.Took(t.clock(), lane.Taken{Seq: seq, Rows: rows, End: true, Bytes: bytes})
}

// unblocked ends a blocking snapshot: the stream goes on with the next start.
func (t *task) unblocked() {
	t.keepSignals(func(s *offset.Signals) { s.Blocking = s.Blocking[1:] })
	t.place.taken.Source = proto.CloneOf(t.place.taken.Source)
	t.place.taken.Source.Snapshot = ""
	t.progress.unblocked(t.start.blocking.ID, t.p.out.now())
	t.moveOn = "the blocking snapshot is complete"
	t.machine.Took(t.clock(), lane.Taken{Rows: true, End: true, Urgent: true})
}

// movesOn starts the lane again from what it has just committed, if something asks for it.
func (t *task) movesOn() bool {
	if t.moveOn == "" {
		return false
	}
	if t.machine.Open() {
		t.machine.Took(t.clock(), lane.Taken{End: true, Urgent: true})
		return true
	}
	reason := t.moveOn
	t.moveOn, t.turned = "", true
	t.log.Info("lane starts again", "reason", reason)
	t.machine.Broke(t.clock(), lane.Retry)
	t.machine.Done(t.clock(), t.perform(lane.Release))
	t.machine.Hurry(t.clock())
	return true
}

// exactly is an expression that matches one name, also in case.
func exactly(name string) string { return "(?-i:" + regexp.QuoteMeta(name) + ")" }

// captureFilter selects what the connector captures.
func captureFilter(cfg *config.Connector) *capturev1.TableFilter { return capture.TableFilter(cfg) }

// withoutSignals leaves the rows of the signal table out of a snapshot: what was asked for once is not asked for again.
func withoutSignals(cfg *config.Connector, o *capturev1.SnapshotOptions) *capturev1.SnapshotOptions {
	if s := &cfg.Signals; s.Source && s.Table != "" && o != nil {
		o.ExcludeTables = []string{s.Table}
	}
	return o
}

// quote is an identifier in SQL.
func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
