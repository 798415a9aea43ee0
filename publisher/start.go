package publisher

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/publisher/notify"
	"github.com/rowmesh/rowmesh/publisher/transform"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/offset"
)

// place is how far a lane is.
type place struct {
	// taken is the checkpoint of what was produced last; nil Source before the first.
	taken offset.Offset
	// sourceUS is the source's time of the newest change produced, microseconds since the Unix epoch; 0 if unknown.
	sourceUS uint64
	// caughtUp: nothing more was in the source's log at the last progress message.
	caughtUp bool
}

// move takes over a checkpoint, which may lie in a buffer that is reused.
func (p *place) move(c *rowv1.Checkpoint, layout uint64) {
	if c == nil {
		return
	}
	seconds := p.taken.Source.GetTsSec()
	p.taken = offset.Offset{Source: proto.CloneOf(c.Offset), Token: append(make([]byte, 0, len(c.Token)), c.Token...), Layout: layout, Aside: p.taken.Aside, Signals: p.taken.Signals}
	if p.taken.Source == nil {
		p.taken.Source = &rowv1.SourceOffset{}
	}
	if p.taken.Source.TsSec == 0 { // a reader that began here and has seen no event yet
		p.taken.Source.TsSec = seconds
	}
}

// position is the place for people.
func (p *place) position() *rowv1.Position {
	s := p.taken.Source
	if s == nil {
		return nil
	}
	return &rowv1.Position{File: s.File, Pos: s.Pos, Gtids: s.Gtids}
}

// start is what Read found out for Subscribe.
type start struct {
	plan
	// partitions of the offsets topic.
	partitions int32
	// own: the checkpoint is this lane's own record.
	own bool
	// skip knows what lanes of the layout before had delivered; nil if nothing.
	skip *skipper
	// aside knows what tables have that stand elsewhere than the checkpoint; nil if none does. See stopped.go.
	aside *skipper
	// frozen are records of the layout before that this lane's first transaction keeps for the others; see layout.go.
	frozen []frozen
	// opened: the capturer has the source and serves the subscription. Until then nothing runs, whatever the stream looks like.
	opened bool
	// settle: the place was found in somebody else's record, and is written as this lane's own before anything else. A layout that comes next must not take
	// the old record for this lane's place.
	settle bool
}

// plan says where a stream starts.
type plan struct {
	at       *capturev1.Start
	snapshot *capturev1.SnapshotOptions // nil: none
	// define: the definitions of the tables are told before the log goes on.
	define *capturev1.SnapshotOptions
	// done: there is nothing to stream, the snapshot is complete and was all that is wanted.
	done bool
	// copy says how the snapshot is read on that is unfinished at the place; nil: none is.
	copy *capturev1.SnapshotOptions
	// blocking is the snapshot that is read while the stream waits; nil: another start.
	blocking *offset.Blocking
}

// planStart decides from snapshot.mode and the checkpoint. again asks for a snapshot whatever there is; always says that what modes do at
// every start has not been done for this one.
func planStart(cfg *config.Connector, o offset.Offset, ok, again, always bool) (plan, error) {
	snapshot := func(data, only bool) plan {
		return plan{at: &capturev1.Start{At: &capturev1.Start_Snapshot{Snapshot: true}}, snapshot: snapshotOptions(cfg, data, only)}
	}
	resume := plan{}
	if ok && (!o.InSnapshot() || goesOn(&o)) {
		resume.at = resumeAt(&o)
		if o.InSnapshot() {
			resume.copy = snapshotOptions(cfg, true, false)
			resume.copy.LockFree = true // whatever is configured now: what is begun goes on as it began
		}
	}
	have := resume.at != nil && !again
	switch mode := cfg.Snapshot.Mode; mode {
	case "", "initial", "when_needed":
		if !have {
			return snapshot(true, false), nil
		}
	case "always":
		if !have || always {
			return snapshot(true, false), nil
		}
	case "initial_only":
		if !have {
			return snapshot(true, true), nil
		}
		return plan{done: true}, nil
	case "no_data", "schema_only":
		if !have {
			return snapshot(false, false), nil
		}
	case "recovery", "schema_only_recovery":
		// What it recovers, Debezium's schema history, is not needed here: the place in the log is enough. What it tells on the way, at every start, comes here too.
		if !have {
			return plan{}, errs.E(errs.Invalid, "snapshot.mode=%s needs a stored offset, and connector %s has none; use initial or no_data", mode, cfg.Name)
		}
		if always {
			resume.define = snapshotOptions(cfg, false, false)
		}
	case "never":
		if !have {
			return plan{at: &capturev1.Start{At: &capturev1.Start_Earliest{Earliest: true}}}, nil
		}
	default:
		return plan{}, errs.E(errs.Unsupported, "snapshot.mode=%s is not supported; use initial, initial_only, no_data, always or when_needed", mode)
	}
	return resume, nil
}

// goesOn says whether the snapshot that a checkpoint stands in goes on from there: one that is read in chunks while the log is streamed. Others begin again.
func goesOn(o *offset.Offset) bool {
	t := o.Resume()
	return t != nil && slices.ContainsFunc(t.Snapshots, func(c *rowv1.SnapshotCursor) bool { return c.Id == "" })
}

// resumeAt is the place of a checkpoint.
func resumeAt(o *offset.Offset) *capturev1.Start {
	if o.Foreign() {
		return &capturev1.Start{At: &capturev1.Start_Offset{Offset: o.Source}}
	}
	return &capturev1.Start{At: &capturev1.Start_Token{Token: o.Token}}
}

// read finds the newest checkpoint and decides where to start.
func (t *task) read(ctx context.Context) error {
	t.start = start{}
	t.place = place{}
	o, ok, err := t.checkpoint(ctx)
	if err != nil {
		return err
	}
	if ok {
		if o, err = t.takeUp(o); err != nil {
			return err
		}
		if !t.start.own && !o.Foreign() {
			o = t.inherit(o)
		}
	}
	always := t.snapshotted != t.lane.Generation
	if t.start.plan, err = planStart(t.cfg, o, ok, t.again, always); err != nil {
		return err
	}
	if s := o.Signals; s != nil && len(s.Blocking) > 0 && ok && !o.Foreign() && t.start.snapshot == nil {
		t.start.plan = blockingPlan(t.cfg, &s.Blocking[0])
		t.place.taken = o
		t.place.taken.Source = proto.CloneOf(o.Source)
		t.place.taken.Source.Snapshot = offset.BlockingSnapshot
		return nil
	}
	if t.start.snapshot != nil { // all comes anew: what lanes had delivered says nothing of the log behind the cut, least of all after a reset of it
		t.start.skip = nil
	}
	if ok && t.start.snapshot == nil {
		t.place.taken = o
		t.start.settle = !t.start.own || len(t.start.frozen) > 0
		if !o.Foreign() { // a foreign record stays as it is until the first message brings a token
			t.place.taken.Layout = t.lane.Layout
		}
		if !o.Aside.Empty() {
			if t.start.aside, err = t.asideSkipper(o); err != nil {
				return err
			}
		}
	}
	t.warnStopped()
	settled, err := t.settled()
	if err != nil {
		return err
	}
	t.status.snapshotDone(settled && t.start.snapshot == nil)
	return nil
}

// open subscribes at the place that read found.
func (t *task) open(ctx context.Context) error {
	var err error
	cfg := *t.cfg
	cfg.IncludeSchemaChanges = cfg.IncludeSchemaChanges && t.id.Task == 0 // one lane tells of statements, all of them
	if staged(&cfg) {
		env := transform.Env{Log: t.log, Now: t.p.out.now, Connector: t.id.Connector, Task: t.id.Task, Dial: t.p.cfg.Dial}
		if t.stage, err = newStage(&cfg, env, t.work.Done()); err != nil {
			return err
		}
		t.stage.givesUp = t.patience.over
	}
	if t.encoder, err = t.newEncoder(&cfg); err != nil {
		return err
	}
	if t.stage != nil {
		t.stage.contextHeaders(t.encoder.ContextHeaders())
	}
	t.encoder.Resume(resumed(t.place.taken.Transaction))
	var before *notify.Initial
	if t.notices != nil {
		before = t.notices.initial
	}
	t.notices, t.atEnd = t.newNotices(before), t.place.taken.Transaction == nil
	if t.start.done {
		t.stream = idlePump()
		t.running()
		return nil
	}
	t.capturer = ""
	addr, err := t.p.mesh.CapturerFor(ctx, t.source)
	if err != nil {
		return fmt.Errorf("capturer for %s: %w", t.source, err)
	}
	t.capturer = addr
	t.scribe = newScribe(t, &cfg)
	open, err := t.openMessage(&cfg)
	if err != nil {
		return err
	}
	s, err := t.p.subscribe(t.work, addr, open)
	if err != nil {
		return fmt.Errorf("subscribe to %s at capturer %s: %w", t.source, addr, err)
	}
	t.stream = t.p.out.pump(s)
	if t.action = t.newAction(&cfg); t.action != nil {
		t.action.start(t.work)
	}
	t.windows = t.newWindows(&cfg)
	t.windows.start(t.work)
	if t.start.blocking == nil {
		if err := t.resend(); err != nil {
			return err
		}
		t.listen(&cfg)
	}
	t.running()
	return nil
}

func (t *task) running() {
	t.lastErr, t.fatal, t.beat, t.turned = nil, false, t.p.out.now(), false
	t.log.Info("lane runs", "generation", t.lane.Generation, "confirmed", t.asked, "position", t.place.position(), "snapshot", t.start.snapshot != nil)
}

func (t *task) openMessage(cfg *config.Connector) (*capturev1.Open, error) {
	o := &capturev1.Open{
		Consumer:       fmt.Sprintf("%s/%d", t.id.Connector, t.id.Task),
		Source:         string(t.source),
		Tables:         tableFilter(cfg),
		Start:          t.start.at,
		Epoch:          t.lane.Generation,
		Ddl:            capturev1.DdlScope_DDL_SCOPE_UNSPECIFIED,
		IncludeQuery:   cfg.IncludeQuery,
		SkipOperations: []byte(cfg.SkippedOperations),
		Snapshot:       withoutSignals(cfg, t.start.snapshot),

		KnownTablesOnly: leavesOut(cfg.InconsistentSchema),
		SkipBadRows:     leavesOut(cfg.EventFailure),
	}
	statements := cfg.IncludeSchemaChanges || t.scribe != nil
	if statements && t.start.define != nil {
		o.Snapshot = t.start.define
	}
	if t.start.copy != nil {
		o.Snapshot = withoutSignals(cfg, t.start.copy)
	}
	if o.Start.GetToken() != nil {
		at, err := newMark(t.cfg.Flavor, &t.place.taken)
		if err != nil {
			return nil, err
		}
		for _, s := range []*skipper{t.start.skip, t.start.aside} {
			if s != nil {
				o.Delivered = s.delivered(o.Delivered, &at)
			}
		}
	}
	if f := cfg.StartGTIDs; len(f.Include)+len(f.Exclude) > 0 {
		o.Start = proto.CloneOf(o.Start)
		o.Start.GtidSources = &capturev1.GtidSources{Include: f.Include, Exclude: f.Exclude}
	}
	if cfg.QueueBytes > 0 {
		o.Credit = uint64(min(cfg.QueueBytes, capture.MaxCredit))
	}
	if t.start.blocking != nil {
		o.Tables.IncludeTables = t.start.snapshot.IncludeTables
	}
	excludeStopped(o.Tables, &t.place.taken.Aside)
	if t.lane.Count > 1 {
		o.Tables.Shard = &capturev1.Shard{Index: t.id.Task, Count: t.lane.Count, Pins: t.lane.Pins}
		if cfg.Signals.Source && cfg.Signals.Table != "" {
			o.Tables.Shard.Everywhere = []string{cfg.Signals.Table}
		}
	}
	if cfg.ValueConverter.Schemas || cfg.KeyConverter.Schemas {
		// Each record repeats its schema, 2 to 10 KB: this many bytes of narrow rows are some ten megabytes of records.
		o.MaxBatchBytes = 64 << 10
	}
	if t.careful.open(t.start.snapshot != nil) {
		o.MaxBatchBytes = 1 // a transaction each
	}
	switch {
	case statements && cfg.OnlyCapturedDDL:
		o.Ddl = capturev1.DdlScope_DDL_SCOPE_ALL
	case statements:
		o.Ddl = capturev1.DdlScope_DDL_SCOPE_DATABASES
	}
	// Once in a generation: what the schema history does not know either is found as if there were none.
	o.CanDefine = t.start.snapshot == nil && t.defined != t.lane.Generation
	return o, nil
}
