// Package failpoint lets tests make a process die, stop, fail or wait right before or right after a step that lasts: a commit, a write to etcd, a message sent.
//
// It is in a build with the tag "failpoint" only. In any other build every function here is a constant that the compiler removes, and there is nothing to be armed.
//
//	if err := failpoint.At(failpoint.CommitAfter); err != nil {
//		return err
//	}
//
// A process of a build with the tag reads what is armed from the file that ROWMESH_FAILPOINTS names, again whenever it changes, one point a line:
//
//	publisher.commit.after crash 3     the fourth time that the step is reached, three are passed over
//	capturer.send drop 10 2            the eleventh and the twelfth time
//
// What it does then is written to the file with ".hits" behind its name first, so that a test knows that it happened:
//
//	crash      the process kills itself, as kill -9 does
//	pause      it stops itself, as kill -STOP does, until somebody continues it
//	error      At returns an error of kind Unavailable
//	panic      At panics
//	delay:2s   At waits
//	drop, twice  what Times guards is left out, or done twice
//	on         Is says so
package failpoint

// Points before and after each step of a lane's protocol that others can see.
const (
	FenceBefore      = "publisher.fence.before"
	FenceAfter       = "publisher.fence.after"
	ConfirmBefore    = "publisher.confirm.before"
	ConfirmAfter     = "publisher.confirm.after"
	ReadBefore       = "publisher.read.before"
	ReadAfter        = "publisher.read.after"
	SubscribeBefore  = "publisher.subscribe.before"
	SubscribeAfter   = "publisher.subscribe.after"
	BeginBefore      = "publisher.begin.before"
	BeginAfter       = "publisher.begin.after"
	ProduceBefore    = "publisher.produce.before"
	ProduceAfter     = "publisher.produce.after"
	CheckpointBefore = "publisher.checkpoint.before"
	CheckpointAfter  = "publisher.checkpoint.after"
	CommitBefore     = "publisher.commit.before"
	CommitAfter      = "publisher.commit.after"
	AckBefore        = "publisher.ack.before"
	AckAfter         = "publisher.ack.after"
	ReleaseBefore    = "publisher.release.before"
	ReleaseAfter     = "publisher.release.after"
	// Convert is passed with each batch that is turned into records.
	Convert = "publisher.convert"
)

// Points of a capturer and of a coordinator.
const (
	DialBefore = "capturer.dial.before"
	// Send is passed with each message of the row stream, numbered already.
	Send           = "capturer.send"
	StoreBefore    = "capturer.store.before"
	StoreAfter     = "capturer.store.after"
	SnapshotBefore = "capturer.snapshot.before"
	// SnapshotSend is passed with each message of a snapshot.
	SnapshotSend  = "capturer.snapshot.send"
	SnapshotAfter = "capturer.snapshot.after"

	TermBegin   = "coordinator.term.begin"
	ApplyBefore = "coordinator.apply.before"
	ApplyAfter  = "coordinator.apply.after"
)

// All are the points that a process may pass.
func All() []string {
	return []string{FenceBefore, FenceAfter, ConfirmBefore, ConfirmAfter, ReadBefore, ReadAfter, SubscribeBefore, SubscribeAfter, BeginBefore, BeginAfter,
		ProduceBefore, ProduceAfter, CheckpointBefore, CheckpointAfter, CommitBefore, CommitAfter, AckBefore, AckAfter, ReleaseBefore, ReleaseAfter, Convert,
		DialBefore, Send, StoreBefore, StoreAfter, SnapshotBefore, SnapshotSend, SnapshotAfter, TermBegin, ApplyBefore, ApplyAfter}
}
