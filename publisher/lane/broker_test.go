package lane

// broker is a Kafka that speaks the old transaction protocol: one producer epoch per InitTransactions, and requests to end a transaction that say only which
// epoch, not which transaction, they mean.
type broker struct {
	epoch   int
	ongoing bool
	log     []record
	// late are EndTxn requests that a client has sent and given up on, and that may still arrive.
	late []endTxn
}

type record struct {
	row        int // source row; 0 for a checkpoint
	checkpoint int // rows covered
	state      recordState
}

type recordState int

const (
	pending recordState = iota
	committed
	aborted
)

type endTxn struct {
	epoch  int
	commit bool
}

// init fences all older producers and aborts what they left open.
func (b *broker) init() int {
	b.finish(aborted)
	b.epoch++
	return b.epoch
}

func (b *broker) append(epoch int, r record) bool {
	if epoch != b.epoch {
		return false
	}
	b.ongoing = true
	b.log = append(b.log, r)
	return true
}

// end serves an EndTxn request: whatever transaction of that epoch is ongoing ends. ok is false if the epoch is fenced.
func (b *broker) end(e endTxn) (ok bool) {
	if e.epoch != b.epoch {
		return false
	}
	if e.commit {
		b.finish(committed)
	} else {
		b.finish(aborted)
	}
	return true
}

func (b *broker) finish(s recordState) {
	for i := range b.log {
		if b.log[i].state == pending {
			b.log[i].state = s
		}
	}
	b.ongoing = false
}

// checkpoint is the newest committed one.
func (b *broker) checkpoint() int {
	for i := len(b.log) - 1; i >= 0; i-- {
		if r := b.log[i]; r.state == committed && r.row == 0 {
			return r.checkpoint
		}
	}
	return 0
}

// check returns what is wrong with the committed log: the rows must be 1, 2, 3, ... and the newest checkpoint must cover exactly them.
func (b *broker) check() string {
	next := 1
	for _, r := range b.log {
		if r.state != committed || r.row == 0 {
			continue
		}
		switch {
		case r.row < next:
			return "duplicate"
		case r.row > next:
			return "loss"
		}
		next++
	}
	if c := b.checkpoint(); c != next-1 {
		return "torn"
	}
	return ""
}
