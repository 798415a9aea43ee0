package publisher

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"math"
	"time"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/publisher/convert"
	"github.com/rowmesh/rowmesh/publisher/lane"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/failpoint"
	"github.com/rowmesh/rowmesh/services/registry"
)

// next takes one message of the stream, or waits until the machine must be asked again.
func (t *task) next() {
	if t.movesOn() {
		return
	}
	if (t.start.opened || t.start.done) && !t.start.settle {
		t.report(registry.LaneRunning, nil, time.Time{})
	}
	if t.start.settle && t.start.done { // nothing is streamed, so no message will ask for it
		t.machine.Took(t.clock(), lane.Taken{End: true, Urgent: true})
		return
	}
	if heard, err := t.heard(); heard || err != nil {
		if err != nil {
			t.broke(err)
		}
		return
	}
	if err := t.action.failed(); err != nil {
		t.broke(err)
		return
	}
	if t.careful.over() && !t.machine.Open() {
		t.careful = careful{}
		t.broke(errs.E(errs.Unavailable, "the lane is past the record that it had stopped at, and streams on in large batches"))
		return
	}
	w := waking{stream: t.stream.ch, inbox: t.inbox.wake, broken: t.producer.Broken()}
	at, ok := t.machine.WakeAt()
	if t.held > 0 { // streaming.delay.ms
		w.stream = nil
		if !ok || t.held < at {
			at, ok = t.held, true
		}
	}
	if ok && !t.ready() {
		w.at = t.born.Add(at)
	}
	m, got := t.p.out.wait(t.ctx, w)
	if !got {
		if err := t.producer.Err(); err != nil {
			t.broke(err)
		}
		return
	}
	err := m.err
	if err == nil {
		err = t.handle(m.m)
		t.stream.s.Release(m.m)
	}
	if err != nil {
		t.broke(err)
	}
}

// ready reports that a message can be had without waiting.
func (t *task) ready() bool {
	if t.held > 0 && t.clock() < t.held {
		return false
	}
	t.held = 0
	return t.stream.ready()
}

func (t *task) broke(err error) {
	if errors.Is(err, io.EOF) {
		if t.start.done || t.moveOn != "" { // the snapshot was all that is wanted
			t.stream.close()
			t.stream = idlePump()
			return
		}
		err = errs.E(errs.Unavailable, "the capturer ended the stream")
	}
	t.careful.failed(err, t.lane.ConfigRevision)
	t.machine.Broke(t.clock(), t.outcome(lane.Next, err))
}

// handle does what one message asks for.
func (t *task) handle(m *capturev1.SubscribeResponse) error {
	if err := t.tellStart(m); err != nil {
		return err
	}
	switch m := m.Message.(type) {
	case *capturev1.SubscribeResponse_Opened:
		if m.Opened.Define {
			return t.define()
		}
		t.start.opened = true
		t.progress.opened(m.Opened)
		if t.start.settle {
			t.machine.Took(t.clock(), lane.Taken{End: true, Urgent: true})
		}
	case *capturev1.SubscribeResponse_Schema:
		if t.start.skip != nil {
			t.start.skip.table(m.Schema)
		}
		if t.start.aside != nil {
			t.start.aside.table(m.Schema)
		}
		if err := t.table(m.Schema); err != nil {
			return err
		}
		t.signalTable(m.Schema)
	case *capturev1.SubscribeResponse_Batch:
		return t.batch(m.Batch)
	case *capturev1.SubscribeResponse_Ddl:
		return t.ddl(m.Ddl)
	case *capturev1.SubscribeResponse_Snapshot:
		return t.snapshot(m.Snapshot)
	case *capturev1.SubscribeResponse_Progress:
		t.place.caughtUp = m.Progress.CaughtUp
		if !t.machine.Open() {
			t.progress.idle(m.Progress.CaughtUp)
		}
		if bytes.Equal(m.Progress.Checkpoint.GetToken(), t.place.taken.Token) && !t.place.taken.InSnapshot() {
			return nil // nothing happened at the source: the record that stands says the same
		}
		return t.moved(m.Progress.Checkpoint, lane.Taken{})
	case *capturev1.SubscribeResponse_Gap:
		return t.gap(m.Gap)
	case *capturev1.SubscribeResponse_Reset_:
		return errs.E(errs.Unavailable, "the capturer reset the stream: %s", m.Reset_.Reason)
	case *capturev1.SubscribeResponse_TableError:
		return t.tableStopped(m.TableError)
	}
	return nil
}

// table learns a table version. One that the connector's options do not fit stops its table, or is left out, as event.processing.failure.handling.mode says.
func (t *task) table(v *rowv1.Table) error {
	name := v.Database + "." + v.Table
	if s := t.place.taken.Aside.Find(name); s != nil && s.Stopped { // it stopped here, while the capturer goes on with it
		t.encoder.Leave(v.SchemaId)
		return nil
	}
	err := t.encoder.AddTable(v)
	if err == nil {
		t.status.warn("columns of "+name, t.encoder.Missing(v)...)
		return nil
	}
	if errs.KindOf(err) != errs.Invalid {
		return err
	}
	t.encoder.Leave(v.SchemaId)
	return t.tableStopped(&capturev1.TableError{Database: v.Database, Table: v.Table, Reason: err.Error(), Position: t.place.position(), Skipped: leavesOut(t.cfg.EventFailure)})
}

const (
	// pieceBytes is how many bytes of records are handed to the producer at a time: about the usual batch of wide rows, 256 KiB, in JSON. The call into C is
	// then paid once for a thousand records.
	pieceBytes = 1 << 20
	// stagedBytes is the same in front of a stage, which may put schemas of 2 to 10 KB around payloads of some hundred bytes: a piece becomes some megabytes.
	stagedBytes = pieceBytes / 8
	// maxArena is what a lane keeps between batches: a piece may end in a large row, but a single huge one should not stay for ever.
	maxArena = 4 * pieceBytes
)

func (t *task) batch(b *rowv1.Batch) error {
	taken := lane.Taken{Seq: b.Seq, Rows: true, End: b.Checkpoint.GetTransactionEnd() || b.Snapshot}
	for _, s := range []*skipper{t.start.skip, t.start.aside} {
		if s != nil {
			if err := s.filter(b); err != nil {
				return err
			}
		}
	}
	if err := t.findSignals(b); err != nil {
		return err
	}
	t.encoded.Reset()
	var records uint64
	limit := pieceBytes
	if t.stage != nil {
		limit = stagedBytes
	}
	if t.careful.asked || t.cfg.ConvertFailure == "fail" { // nothing of it is sent before all its rows are converted: see rowStops
		limit = math.MaxInt
	}
	if err := failpoint.At(failpoint.Convert); err != nil {
		return err
	}
	begun := false
	take := func() error {
		begun = true
		if err := failpoint.At(failpoint.ProduceBefore); err != nil {
			return err
		}
		n, err := t.out.send(t.work, &t.encoded, b)
		taken.Bytes += n
		records += uint64(len(t.encoded.Records))
		if err == nil {
			err = failpoint.At(failpoint.ProduceAfter)
		}
		return err
	}
	err := t.encoder.Pieces(b, &t.encoded, limit, take)
	for bad := (*convert.RowError)(nil); !begun && errors.As(err, &bad); {
		if err = t.rowStops(bad); err == nil {
			err = t.encoder.Pieces(b, &t.encoded, limit, take)
		}
	}
	if err != nil {
		return err
	}
	if cap(t.encoded.Arena) > maxArena {
		t.encoded.Arena = nil
	}
	var rows uint64
	for _, g := range b.GroupRows {
		rows += uint64(g)
	}
	if n := len(b.TxnCommitUs); n > 0 && b.TxnCommitUs[n-1] > 0 {
		t.place.sourceUS, t.place.caughtUp = b.TxnCommitUs[n-1], false
	}
	t.progress.pending(rows, records, uint64(taken.Bytes))
	if t.start.blocking != nil {
		t.blocked(b.Seq, true, taken.Bytes)
		return nil
	}
	t.sawBatch(b)
	if err := t.moved(b.Checkpoint, taken); err != nil {
		return err
	}
	if b.Snapshot && t.place.taken.Source != nil && t.place.taken.Source.Snapshot == "" {
		t.place.taken.Source.Snapshot = "INITIAL" // until it is complete, a restart makes it again
	}
	return t.followFound()
}

func (t *task) ddl(d *capturev1.Ddl) error {
	t.encoded.Reset()
	around := t.start.blocking != nil && len(d.Changes) == 0 // a blocking snapshot tells of its tables, and of nothing around them
	if !t.told(d) && !around {
		if err := t.scribe.write(t.work, t.encoder, d); err != nil {
			return err
		}
	}
	if !t.skipped(d) && !around {
		if err := t.encoder.Ddl(d, &t.encoded); err != nil {
			return err
		}
	}
	n, err := t.out.send(t.work, &t.encoded, nil)
	if err != nil {
		return err
	}
	t.progress.pending(0, uint64(len(t.encoded.Records)), uint64(n))
	if t.start.blocking != nil {
		t.blocked(d.Seq, len(t.encoded.Records) > 0, n)
		return nil
	}
	if err := t.moved(d.Checkpoint, lane.Taken{Seq: d.Seq, Rows: len(t.encoded.Records) > 0, End: d.Checkpoint.GetTransactionEnd() || d.Snapshot, Bytes: n}); err != nil {
		return err
	}
	if d.Snapshot && d.Checkpoint != nil && t.place.taken.Source != nil && t.place.taken.Source.Snapshot == "" {
		t.place.taken.Source.Snapshot = "INITIAL"
	}
	return nil
}

func (t *task) snapshot(s *capturev1.SnapshotProgress) error {
	t.p.metrics.snapshot(t.id.Connector, s)
	if s.Incremental {
		return t.onDemand(s)
	}
	t.progress.snapshot(s)
	if t.start.blocking == nil {
		t.progress.followInitial(t.id.Task, s, t.p.out.now())
	} else {
		t.progress.followBlocking(t.start.blocking.ID, s, t.p.out.now())
	}
	if err := t.tell(t.snapshotNotices(s)); err != nil {
		return err
	}
	if !s.Complete {
		return nil
	}
	if t.start.blocking != nil {
		t.log.Info("blocking snapshot complete", "id", t.start.blocking.ID, "tables", s.TablesDone)
		t.unblocked()
		return nil
	}
	t.log.Info("snapshot complete", "tables", s.TablesDone)
	t.again, t.snapshotted = false, t.lane.Generation
	t.start.done = t.start.snapshot.GetOnly()
	if t.cfg.StreamingDelay > 0 {
		t.held = t.clock() + t.cfg.StreamingDelay
	}
	return t.moved(s.Checkpoint, lane.Taken{End: true, Urgent: true})
}

// moved accounts for a message: the checkpoint follows it, and the machine counts it.
func (t *task) moved(c *rowv1.Checkpoint, taken lane.Taken) error {
	if c == nil { // inside a snapshot: nothing to resume at, the old place stands
		if taken.Seq == 0 {
			return nil
		}
		if t.place.taken.Source == nil {
			t.place.taken.Source = &rowv1.SourceOffset{}
		}
	} else {
		t.place.move(c, t.lane.Layout)
		t.atEnd = c.TransactionEnd
		t.settleCommands()
		t.place.taken.Transaction = openTransaction(t.encoder)
		if err := t.together(); err != nil {
			return err
		}
	}
	if taken.Seq == 0 && !taken.Urgent {
		taken.End = c.TransactionEnd
	}
	if c != nil && !t.place.taken.InSnapshot() {
		if err := t.heartbeat(&taken, taken.Urgent); err != nil {
			return err
		}
	}
	taken.Urgent = t.careful.took() || taken.Urgent
	t.machine.Took(t.clock(), taken)
	return nil
}

// heartbeat adds a heartbeat record to what was taken if heartbeat.interval.ms is over, or at once if it is forced. As in Debezium heartbeats come with
// events only, and at the end of the snapshot. The place must be one to commit at, so that each says that its offset has moved.
func (t *task) heartbeat(taken *lane.Taken, forced bool) error {
	every := t.cfg.HeartbeatInterval
	if every <= 0 || t.id.Task != 0 || !taken.End || !forced && t.p.out.now().Sub(t.beat) < every {
		return nil
	}
	t.beat = t.p.out.now()
	t.encoded.Reset()
	t.encoder.Heartbeat(&t.encoded)
	n, err := t.out.send(t.work, &t.encoded, nil)
	taken.Rows = true
	taken.Bytes += n
	return err
}

// gap: the log does not reach back to our place.
func (t *task) gap(g *capturev1.Gap) error {
	if t.cfg.Snapshot.Mode == "when_needed" && t.start.snapshot == nil {
		t.again = true
		return errs.E(errs.Unavailable, "%s; snapshot.mode=when_needed: a new snapshot is made", g.Reason)
	}
	if without, err := t.giveUp(g.Reason); err != nil || without {
		return cmp.Or(err, errs.E(errs.Unavailable, "%s; the lane starts without the tables that had stopped there", g.Reason))
	}
	return errs.E(errs.Gap, "%s", g.Reason)
}
