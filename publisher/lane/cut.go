package lane

import "time"

// Cut decides where transactions end. It follows the source's transactions: a Kafka transaction ends where one of the source ends, unless that is too large.
type Cut struct {
	// Interval is how long a busy lane collects before it commits, and the least time between the end of a commit and the next one: a commit costs 6 to 7 ms
	// on a real broker. rowmesh.commit.interval.ms.
	Interval time.Duration
	// Bytes ends a transaction earlier. rowmesh.commit.max.bytes.
	Bytes int64
	// SplitBytes ends a transaction in the middle of a source transaction. 64 MiB: the broker and read_committed consumers keep open transactions whole.
	SplitBytes int64
	// SplitAfter does so by time: half the transaction timeout, after which the broker would abort it.
	SplitAfter time.Duration
	// Idle is how long a checkpoint that covers no rows may wait: it only keeps the lane's place ahead of the log's purge.
	Idle time.Duration

	open    bool // rows are in the transaction
	moved   bool // the checkpoint moved
	end     bool // no source transaction is open here
	bytes   int64
	opened  time.Duration
	movedAt time.Duration
	endedAt time.Duration // end of the last commit
	last    uint64        // seq of the last message taken
}

// Taken describes a message that went into the transaction.
type Taken struct {
	// Seq of the message; 0 keeps the last one (progress messages have none).
	Seq uint64
	// Rows is false if only the checkpoint moves.
	Rows bool
	// End: no source transaction is open after it.
	End bool
	// Bytes produced.
	Bytes int64
	// Urgent asks for a commit as soon as one is legal: the snapshot is complete.
	Urgent bool
}

func (c *Cut) reset(now time.Duration) {
	c.open, c.moved, c.end, c.bytes, c.last = false, false, false, 0, 0
	c.endedAt = now - c.Interval
}

func (c *Cut) took(now time.Duration, t Taken) {
	if t.Rows && !c.open {
		c.open, c.opened = true, now
	}
	if !c.moved {
		c.moved, c.movedAt = true, now
	}
	if t.Urgent {
		c.bytes = max(c.bytes, c.Bytes)
		c.open, c.opened = true, min(c.movedAt, now)
	}
	c.end = t.End
	c.bytes += t.Bytes
	if t.Seq != 0 {
		c.last = t.Seq
	}
}

// committable reports that a commit here would be at a legal place and of use.
func (c *Cut) committable() bool { return c.moved && c.end }

// due reports that the transaction must end at the instant now. ready: more can be had without waiting.
func (c *Cut) due(now time.Duration, ready bool) bool {
	if !c.moved {
		return false
	}
	if !c.end {
		return c.open && (c.bytes >= c.SplitBytes || now-c.opened >= c.SplitAfter)
	}
	if !c.open {
		return now-c.movedAt >= c.Idle
	}
	if c.bytes >= c.Bytes || now-c.opened >= c.Interval {
		return true
	}
	return !ready && now-c.endedAt >= c.Interval
}

// wakeAt returns when due becomes true by time alone, given that nothing is ready.
func (c *Cut) wakeAt() (time.Duration, bool) {
	switch {
	case !c.moved:
		return 0, false
	case !c.end:
		return c.opened + c.SplitAfter, c.open
	case !c.open:
		return c.movedAt + c.Idle, true
	}
	return min(c.opened+c.Interval, c.endedAt+c.Interval), true
}

func (c *Cut) committed(now time.Duration) {
	c.open, c.moved, c.bytes = false, false, 0
	c.endedAt = now
}
