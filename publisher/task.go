package publisher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/publisher/convert"
	"github.com/rowmesh/rowmesh/publisher/kafka"
	"github.com/rowmesh/rowmesh/publisher/lane"
	"github.com/rowmesh/rowmesh/publisher/reselect"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/failpoint"
	"github.com/rowmesh/rowmesh/services/offset"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/run"
	"github.com/rowmesh/rowmesh/services/source"
)

const (
	// transactionTimeout is what the broker waits for a silent producer; see kafka.Config.
	transactionTimeout = time.Minute
	// splitBytes is where a source transaction is cut: consumers with read_committed hold a whole transaction back.
	splitBytes = 64 << 20
	// idleCheckpoint is how long a checkpoint without rows waits: often enough to stay ahead of a purge, rare enough to cost nothing.
	idleCheckpoint = 5 * time.Second
	// shutdownGrace is what a lane has for its last commit when the process ends; the process itself has 5 s.
	shutdownGrace = 3 * time.Second
	// startTimeout bounds one step of a start. The slowest is the checkpoint behind the open transaction of a lane that died: that ends after a minute.
	startTimeout = transactionTimeout + 10*time.Second
	// fenceTimeout bounds the fence, which is also the first word with the broker: if that does not answer, status should say so soon.
	fenceTimeout = 15 * time.Second
)

// task runs one lane while this member has it. One goroutine uses it, except where a field says otherwise.
type task struct {
	p        *Publisher
	id       registry.LaneID
	log      *slog.Logger
	inbox    *inbox    // any goroutine
	requests *requests // any goroutine
	born     time.Time

	machine *lane.Machine
	lane    registry.Lane // what machine runs; zero generation: nothing
	wanted  registry.Lane

	// What the lane runs on, from Fence to Release.
	cfg      *config.Connector
	source   registry.SourceID
	producer producer
	topics   topics
	out      *sink
	encoder  *convert.Encoder
	stage    *stage // nil: what the encoder writes is sent
	careful  careful
	patience patience
	reselect *reselect.Processor // post.processors; nil: none
	encoded  convert.Output
	stream   *pump
	action   *action  // heartbeat.action.query; nil: none
	windows  *windows // nil: none
	signals  signals
	notices  *notices // nil: nobody is to be notified
	behind   behind
	// atEnd: no transaction of the source is open at the place.
	atEnd bool
	// moveOn is why the lane starts again as soon as its place is committed; empty: it need not. turned: this start comes from that.
	moveOn string
	turned bool
	scribe *scribe // the schema history; nil: none
	start  start
	place  place
	// atLeastOnce: the broker refused transactions.
	atLeastOnce bool
	// tried is the generation for which transactions were tried.
	tried uint64
	// capturer is where the newest start subscribed, empty if there was none; stranded: it failed there.
	capturer string
	stranded bool
	begun    bool
	// asked is when Confirm asked for the lane.
	asked time.Time
	beat  time.Time // of the last heartbeat, or of the start
	// held is when the stream is read on, on the task's clock; 0: now.
	held time.Duration
	// delayed is when the snapshot of generation delayedFor may start.
	delayed    time.Time
	delayedFor uint64
	// again: the next start makes a snapshot, whatever the checkpoint says, because the log no longer reaches back to it.
	again bool
	// gone are stopped tables whose rows have left the log, with what users are told, until a checkpoint says so; see stopped.go.
	gone map[string]string
	// defined is the generation that has looked for the shapes of tables in the schema history.
	defined uint64
	// snapshotted is the generation whose start has made the snapshot that snapshot.mode=always asks for.
	snapshotted uint64

	ctx  context.Context // of the start: ends with the process
	work context.Context // of what must be finished: ends shutdownGrace later

	status   *status   // any goroutine
	progress *progress // any goroutine
	lastErr  error
	fatal    bool // lastErr does not heal by itself
}

func newTask(p *Publisher, id registry.LaneID) *task {
	log := p.log.With("connector", id.Connector, "task", id.Task)
	t := &task{p: p, id: id, log: log, inbox: newInbox(), born: p.out.now(), progress: newProgress(id)}
	t.requests = newRequests(t.inbox.poke)
	t.status = newStatus(p.mesh, p.cfg.WorkerID, id, log)
	t.machine = lane.New(cutOf(nil))
	return t
}

func cutOf(c *config.Connector) lane.Cut {
	cut := lane.Cut{Interval: 200 * time.Millisecond, Bytes: 8 << 20, SplitBytes: splitBytes, SplitAfter: transactionTimeout / 2, Idle: idleCheckpoint}
	if c != nil && c.CommitInterval > 0 {
		cut.Interval = min(c.CommitInterval, cut.SplitAfter)
	}
	if c != nil && c.CommitBytes > 0 {
		cut.Bytes = min(c.CommitBytes, splitBytes)
	}
	return cut
}

// run returns when the lane is not this member's any more, or when ctx has ended.
func (t *task) run(ctx context.Context) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(shutdownGrace, cancel) })
	defer stop()
	t.ctx, t.work = ctx, work
	// Statuses outlive ctx by a moment, so that the last one is seen.
	defer t.status.close(work)
	t.status.start(work)
	defer t.release()
	for {
		err := run.Protect(t.loop)
		if err == nil {
			return
		}
		// A defect: the lane fails alone. What it had is dropped, and a new machine waits for a new assignment or the slow restart.
		t.log.Error("lane broke", "error", err)
		t.release()
		t.report(registry.LaneFailed, errs.E(errs.Internal, "%w", err), time.Time{})
		t.machine = lane.New(cutOf(t.cfg))
		select {
		case <-ctx.Done():
			return
		case <-t.inbox.wake:
		case <-time.After(time.Minute):
		}
		if l, _ := t.inbox.take(); l != nil {
			t.inbox.put(l)
		} else {
			return
		}
	}
}

// loop does what the machine says until nothing is left to do.
func (t *task) loop() error {
	for {
		if t.ctx.Err() != nil {
			t.machine.Assign(nil)
		} else if l, fresh := t.inbox.take(); fresh {
			t.assign(l)
		}
		switch a := t.machine.Action(t.clock(), t.ready()); a {
		case lane.Idle:
			if t.ctx.Err() != nil || t.wanted.Generation == 0 {
				return nil
			}
			t.wait(time.Time{}) // refused by Confirm: the watch will say what is now
		case lane.Hold:
			t.lane = t.wanted
			t.report(registry.LanePaused, nil, time.Time{})
			t.wait(time.Time{})
		case lane.Stopped:
			t.report(registry.LaneFailed, t.givenUp(), time.Time{})
			t.wait(time.Time{})
		case lane.Wait:
			at, state := t.born.Add(t.machine.RetryAt()), registry.LaneRestarting
			if t.fatal { // a person must change something; trying again only saves them the restart
				state = registry.LaneFailed
			}
			t.report(state, t.lastErr, at)
			if t.rerouted() {
				t.machine.Hurry(t.clock())
				continue
			}
			if look := t.p.out.now().Add(rerouteEvery); t.stranded && look.Before(at) {
				at = look
			}
			t.wait(at)
		case lane.Next:
			t.next()
		case lane.Subscribe:
			err := t.delay()
			if err == nil {
				t.machine.Done(t.clock(), t.perform(a))
				continue
			}
			t.machine.Done(t.clock(), t.outcome(a, err))
		default:
			t.machine.Done(t.clock(), t.perform(a))
		}
	}
}

// assign hands an assignment to the machine.
func (t *task) assign(l *registry.Lane) {
	if l == nil {
		t.wanted = registry.Lane{}
		t.machine.Assign(nil)
		return
	}
	t.wanted = *l
	t.machine.Assign(&lane.Assignment{Generation: l.Generation, Paused: l.Target == registry.Paused})
}

// rerouteEvery is how often a lane that waits after its capturer has failed looks whether the source has another one: a look costs nothing, and the waits between
// starts grow to many times what it takes to give a source away.
const rerouteEvery = 200 * time.Millisecond

// rerouted says, once, that the source has another capturer than the one that failed.
func (t *task) rerouted() bool {
	if !t.stranded {
		return false
	}
	addr, err := t.p.mesh.CapturerFor(t.ctx, t.source)
	if err != nil || addr == t.capturer {
		return false
	}
	t.stranded = false
	return true
}

// wait sleeps until an assignment comes, the process ends, or at (if not zero).
func (t *task) wait(at time.Time) {
	t.p.out.wait(t.ctx, waking{inbox: t.inbox.wake, at: at})
}

// delay waits for snapshot.delay.ms before a snapshot. The error is context.Canceled if an assignment or the end of the process comes first; what is left of
// the wait is then done by the next start.
func (t *task) delay() error {
	if t.start.snapshot == nil || t.cfg.Snapshot.Delay <= 0 {
		return nil
	}
	if t.delayedFor != t.lane.Generation {
		t.delayedFor, t.delayed = t.lane.Generation, t.p.out.now().Add(t.cfg.Snapshot.Delay)
		t.log.Info("snapshot waits", "delay", t.cfg.Snapshot.Delay)
	}
	t.report(registry.LaneRunning, nil, time.Time{})
	t.wait(t.delayed)
	if t.p.out.now().Before(t.delayed) {
		return fmt.Errorf("wait of snapshot.delay.ms: %w", context.Canceled)
	}
	return nil
}

// perform does one action and says how it went.
func (t *task) perform(a lane.Action) lane.Outcome {
	ctx, cancel := context.WithTimeout(t.ctx, startTimeout)
	defer cancel()
	before, after := points(a)
	err := failpoint.At(before)
	if err == nil {
		err = t.act(ctx, a)
	}
	if err == nil {
		err = failpoint.At(after)
	}
	return t.outcome(a, err)
}

// points are the failpoints around an action; empty: there are none.
func points(a lane.Action) (before, after string) {
	switch a {
	case lane.Fence:
		return failpoint.FenceBefore, failpoint.FenceAfter
	case lane.Confirm:
		return failpoint.ConfirmBefore, failpoint.ConfirmAfter
	case lane.Read:
		return failpoint.ReadBefore, failpoint.ReadAfter
	case lane.Subscribe:
		return failpoint.SubscribeBefore, failpoint.SubscribeAfter
	case lane.Commit:
		return failpoint.CheckpointBefore, failpoint.CommitAfter
	case lane.Ack:
		return failpoint.AckBefore, failpoint.AckAfter
	case lane.Release:
		return failpoint.ReleaseBefore, failpoint.ReleaseAfter
	}
	return "", ""
}

// act does what an action asks for.
func (t *task) act(ctx context.Context, a lane.Action) (err error) {
	switch a {
	case lane.Check, lane.Confirm:
		if a == lane.Check {
			t.lane = t.wanted
		}
		err = t.confirm(ctx)
	case lane.Fence:
		t.lane = t.wanted
		err = t.fence(ctx)
	case lane.Read:
		err = t.read(ctx)
	case lane.Subscribe:
		err = t.open(ctx)
	case lane.Commit:
		err = t.commit()
	case lane.Ack:
		// A failure means that the stream has ended, which Next will see. The checkpoint in Kafka is what counts.
		if t.stream != nil && t.stream.s != nil {
			_ = t.stream.s.Ack(t.machine.AckSeq())
		}
	case lane.Release:
		t.release()
	}
	return err
}

// outcome classifies an error and keeps it for the status.
func (t *task) outcome(a lane.Action, err error) lane.Outcome {
	if err == nil {
		return lane.OK
	}
	t.lastErr, t.fatal, t.stranded = err, false, a == lane.Subscribe || a == lane.Next
	kind := errs.KindOf(err)
	o := lane.Retry
	switch kind {
	case errs.Stale:
		o = lane.Fenced
		if a == lane.Confirm || a == lane.Check {
			o = lane.Lost
		}
	case errs.NotOwner:
		o = lane.Lost
		if a != lane.Confirm && a != lane.Check {
			o = lane.Retry // the capturer lost the source, we did not lose the lane
		}
	case errs.Invalid, errs.Denied, errs.Corrupt, errs.Gap, errs.Unsupported, errs.Exists:
		o, t.fatal = lane.Fatal, true
		if t.cfg != nil && t.cfg.Restart {
			o = lane.Retry
		}
	}
	if errors.Is(err, kafka.ErrUnclean) || errors.Is(err, context.Canceled) || o == lane.Lost {
		t.log.Info("lane starts again", "action", a.String(), "reason", err)
		return o
	}
	t.p.metrics.errors.WithLabelValues(t.id.Connector, string(kind)).Inc()
	t.log.Warn("lane stops", "action", a.String(), "code", kind, "error", err)
	return o
}

func (t *task) confirm(ctx context.Context) error {
	t.asked = t.p.out.now()
	err := t.p.mesh.Confirm(ctx, t.lane)
	if errs.KindOf(err) == errs.NotFound {
		return errs.E(errs.NotOwner, "%w", err)
	}
	return err
}

// load reads the connector's config, or keeps the one it has while etcd is away.
func (t *task) load(ctx context.Context) error {
	c, err := t.p.mesh.Connector(ctx, t.id.Connector)
	if err != nil {
		if t.cfg != nil && errs.KindOf(err) == errs.Unavailable {
			return nil
		}
		return fmt.Errorf("config of connector %s: %w", t.id.Connector, err)
	}
	cfg, res := t.p.cfg.Parse(t.id.Connector, c.Map())
	if err := res.Err(); err != nil {
		return err
	}
	t.cfg, t.source = cfg, source.FromConnector(cfg).ID()
	t.careful.configured(t.lane.ConfigRevision)
	t.status.warn("config", res.Texts()...)
	t.machine.SetCut(cutOf(cfg))
	t.machine.SetRetries(lane.Retries{Limited: cfg.Retries.Max >= 0, Max: cfg.Retries.Max, Pause: cfg.Retries.Pause})
	return nil
}

// givenUp is the error of a lane that is not tried again, which says so where errors.max.retries is the reason.
func (t *task) givenUp() error {
	if t.cfg == nil || t.cfg.Retries.Max < 0 || t.fatal && !t.cfg.Restart {
		return t.lastErr
	}
	return errs.E(errs.KindOf(t.lastErr), "%w; given up after %d tries (errors.max.retries=%d): restart the task once that is mended", t.lastErr, t.machine.Failures(), t.cfg.Retries.Max)
}

// fence makes the producer and takes the lane's transactional id.
func (t *task) fence(ctx context.Context) error {
	t.release()
	if err := t.load(ctx); err != nil {
		return err
	}
	if t.tried != t.lane.Generation {
		t.tried, t.atLeastOnce = t.lane.Generation, false
	}
	if err := t.newProducer(); err != nil {
		return err
	}
	if t.atLeastOnce {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, fenceTimeout)
	defer cancel()
	err := t.producer.Fence(ctx)
	if err == nil {
		t.status.warn("delivery")
		return nil
	}
	if k := errs.KindOf(err); k != errs.Denied && k != errs.Unsupported {
		return err
	}
	if t.cfg.ExactlyOnce == "required" {
		return errs.E(errs.KindOf(err), "exactly.once.support=required, but the broker refuses transactions for transactional id %q: %w", t.transactionalID(t.id.Task), err)
	}
	t.atLeastOnce = true
	t.status.warn("delivery", fmt.Sprintf("the broker refuses transactions for transactional id %q (%v): delivery is at least once, and a worker that is "+
		"paused and comes back is not fenced; set exactly.once.support=required to stop instead", t.transactionalID(t.id.Task), err))
	t.release()
	return t.newProducer()
}

// newProducer makes the producer of this start, with transactions unless the broker refused them.
func (t *task) newProducer() error {
	id := t.transactionalID(t.id.Task)
	if t.atLeastOnce {
		id = ""
	}
	var err error
	if t.producer, err = t.p.out.producer(t.producerConfig(id)); err != nil {
		return err
	}
	if t.topics, err = t.producer.topics(); err != nil {
		return err
	}
	t.out = newSink(t)
	return nil
}

// transactionalID is named after the lane, never after the worker: that is what fences.
func (t *task) transactionalID(task uint32) string {
	return offset.TransactionalID(t.p.cfg.MeshName, t.id.Connector, task)
}

func (t *task) producerConfig(transactionalID string) kafka.Config {
	client := t.client()
	for k, v := range t.cfg.Producer {
		client[k] = v
	}
	return kafka.Config{Client: client, TransactionalID: transactionalID, TransactionTimeout: transactionTimeout, QueueBytes: t.p.cfg.QueueBytes,
		MaxRecordBytes: maxRecordBytes(t.cfg), Plain: t.p.cfg.PlainProducer, Log: t.log}
}

func (t *task) client() map[string]string {
	m := map[string]string{}
	for k, v := range t.p.cfg.Kafka {
		m[k] = v
	}
	return m
}

func (t *task) offsets() offsets {
	topic := t.cfg.OffsetsTopic
	if topic == "" {
		topic = t.p.cfg.OffsetsTopic
	}
	client := offset.ClientOf(t.client(), t.cfg.Producer)
	return t.p.out.offsets(offset.Config{Client: client, Topic: topic, Partitions: t.p.cfg.OffsetsPartitions, ReplicationFactor: t.p.cfg.OffsetsReplication})
}

// release drops the stream and the producer with its open transaction.
func (t *task) release() {
	t.action.close()
	t.scribe.close()
	t.windows.close()
	t.action, t.scribe, t.windows = nil, nil, nil
	t.deafen()
	if t.stream != nil {
		t.stream.close()
		t.stream = nil
	}
	if t.producer != nil {
		t.producer.Close()
		t.producer, t.topics, t.out = nil, nil, nil
	}
	t.stage.close()
	t.reselect.Close()
	t.encoder, t.stage, t.begun = nil, nil, false
}

// report stores a status if it says something new.
func (t *task) report(state registry.LaneState, err error, next time.Time) {
	t.progress.setState(t.lane.Generation, state)
	var pos *rowv1.Position
	if err != nil {
		pos = t.place.position()
	}
	t.status.set(t.lane.Generation, state, err, pos, next)
}
