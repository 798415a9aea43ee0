package capturer

import (
	"time"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

// slowFor is how long a subscriber may hold the others of its reader up: the queue before it has absorbed ordinary pauses already.
const slowFor = time.Second

// flushAll hands over what the feeds have built.
func (r *reader) flushAll() {
	for _, f := range r.feeds {
		if !f.dead {
			f.flush(r)
		}
	}
}

// tellProgress says how far the log is read, to the feeds that did not hear it with a batch.
func (r *reader) tellProgress(caughtUp, regular bool) {
	if !r.skip.zero() || !r.atBoundary {
		return
	}
	now := r.now()
	for _, f := range r.feeds {
		since := now.Sub(f.lastSent)
		moved := f.mark != r.boundaries
		if f.dead || f.batch != nil || since < min(f.progress, promptProgress) || !moved && !(regular && since >= f.progress) || !caughtUp && since < f.progress {
			continue
		}
		f.tell(r, caughtUp)
	}
}

// tell sends Progress: everything up to the last boundary was seen.
func (f *feed) tell(r *reader, caughtUp bool) {
	f.mark = r.boundaries
	pos := r.at.position()
	c := &rowv1.Checkpoint{
		Token: r.at.token(pos, cursor{}, r.at.exact), TransactionEnd: true,
		Offset: &rowv1.SourceOffset{TsSec: r.eventSeconds(), File: pos.File, Pos: pos.Pos, Gtids: pos.Gtids, ServerId: r.txn.serverID},
	}
	p := &capturev1.Progress{Checkpoint: c, TimeUs: uint64(max(r.eventSeconds(), 0)) * 1e6, CaughtUp: caughtUp}
	f.send(r, &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Progress{Progress: p}}, c)
}

func (r *reader) eventSeconds() int64 {
	if r.eventTime.IsZero() {
		return 0
	}
	return r.eventTime.Unix()
}

func (r *reader) now() time.Time { return time.Now() }

// push queues a message for a feed and returns whether it is in the queue. It waits while the queue is full: as long as it takes if the feed is the
// reader's only one, else until nothing has gone into the queue or out of it for slowFor. Then the feed ends with Reset and the token of the last message in
// its queue. While the reader waits for one feed the clock of the others runs too: however many do not read, the rest waits once.
func (r *reader) push(f *feed, m *capturev1.SubscribeResponse) bool {
	select {
	case f.queue <- m:
		return true
	case <-f.gone:
		return false
	case <-f.ended:
		return false
	default:
	}
	timer := time.NewTimer(f.stalledAt().Sub(r.now()))
	defer timer.Stop()
	for {
		select {
		case f.queue <- m:
			return true
		case <-f.gone:
			return false
		case <-f.ended:
			return false
		case <-timer.C:
		}
		if left := f.stalledAt().Sub(r.now()); left > 0 { // it took one, for which the queue has room
			timer.Reset(left)
			continue
		}
		if r.alone() {
			timer.Reset(slowFor)
			continue
		}
		r.reset(f, "the subscriber held up the others of source "+string(r.src.id)+" for more than a second")
		return false
	}
}

// stalledAt is when the feed's subscriber counts as one that does not read, if it takes nothing until then.
func (f *feed) stalledAt() time.Time {
	since := f.lastSent
	if taken := time.Unix(0, f.taken.Load()); taken.After(since) {
		since = taken
	}
	return since.Add(slowFor)
}

// reset ends a feed with Reset: its subscriber begins again from where it was last.
func (r *reader) reset(f *feed, reason string) {
	r.logger.Warn("subscription reset", "consumer", f.open.Consumer, "file", r.at.file, "pos", r.at.pos, "reason", reason)
	r.src.metrics.resets.WithLabelValues(string(r.src.id)).Inc()
	reset := &capturev1.Reset{Token: f.token, Reason: reason + "; open again with the last token"}
	f.end(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Reset_{Reset_: reset}}, nil)
	f.dead = true
	r.src.drop(f)
}
