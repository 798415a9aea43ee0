package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/rowmesh/rowmesh/services/errs"
)

// ErrUnclean says that a commit was answered, but that a connection failed or a request timed out meanwhile: librdkafka may have sent EndTxn twice, and the
// first copy can still arrive and end the next transaction of this producer (KAFKA-17754). What was committed is committed; the producer must go.
var ErrUnclean = errors.New("the transaction's end was not clean")

// Fence makes older producers with the same transactional id powerless and ends their transactions; it returns when that is done, or when ctx ends.
func (p *Producer) Fence(ctx context.Context) error {
	return p.repeat(ctx, "fence older producers (InitTransactions)", p.p.InitTransactions)
}

// settle is how long after a commit the next transaction begins at the earliest. The coordinator answers a commit before its markers are written. A
// transaction that registers partitions in between is told CONCURRENT_TRANSACTIONS, and librdkafka asks again only 20 ms later: without this pause that was a
// tenth of all rows at 1 000 commits a second. 2 ms are enough for the markers of most commits on an idle broker; a longer pause was seen to gain nothing.
const settle = 2 * time.Millisecond

// Begin starts a transaction. It does not talk to the broker; right after a commit it waits for at most 2 ms.
func (p *Producer) Begin() error {
	time.Sleep(settle - time.Since(p.committed))
	if err := p.p.BeginTransaction(); err != nil {
		return classify("begin a transaction", err)
	}
	return nil
}

// Commit waits until all records are acknowledged and commits. nil means that it is committed and that nothing of it is still on its way.
func (p *Producer) Commit(ctx context.Context) error {
	if err := p.failure(); err != nil {
		return err
	}
	before, began := p.trouble.Load(), time.Now()
	if err := p.repeat(ctx, "commit", p.p.CommitTransaction); err != nil {
		// If it failed because of a record, the report that names topic and partition is on its way: it passes through another thread.
		select {
		case <-p.broken:
			return p.failure()
		case <-time.After(reportGrace):
			return err
		}
	}
	p.committed = time.Now()
	p.firsts.flushed()
	if time.Since(began) >= retryBackoff/2 {
		time.Sleep(troubleGrace)
	}
	if p.trouble.Load() != before {
		return errs.E(errs.Unavailable, "commit: %w", p.withLast(ErrUnclean))
	}
	return nil
}

// reportGrace is how long a failed commit waits for the reason; reports are polled every 100 ms at most.
const reportGrace = 150 * time.Millisecond

// A request is sent again retryBackoff (less 20 % of jitter) after the first copy failed, so a faster commit had one copy. After a slower one, the news of a
// connection that failed meanwhile may still be on its way through librdkafka's queues; troubleGrace is many times what that takes.
const (
	retryBackoff = 50 * time.Millisecond
	troubleGrace = 20 * time.Millisecond
)

// Abort ends the transaction without its records. The producer must be closed afterwards.
func (p *Producer) Abort(ctx context.Context) error {
	return p.repeat(ctx, "abort", p.p.AbortTransaction)
}

// Flush waits until all records are acknowledged; the way of producers without transactions.
func (p *Producer) Flush(ctx context.Context) error {
	for {
		ms := timeoutMS(ctx)
		done := false
		if p.shim != nil {
			done = p.shim.flush(ms)
		} else {
			done = p.p.Flush(ms) == 0
		}
		if err := p.failure(); err != nil {
			return err
		}
		if done {
			p.firsts.flushed()
			return nil
		}
		if err := ctx.Err(); err != nil {
			return errs.E(errs.Unavailable, "flush %d records: %w", p.p.Len(), p.withLast(err))
		}
	}
}

// repeat calls an operation of librdkafka that goes on where it was when it is called again after a timeout, so that ctx can end it.
func (p *Producer) repeat(ctx context.Context, what string, call func(context.Context) error) error {
	for {
		if err := ctx.Err(); err != nil {
			return errs.E(errs.Unavailable, "%s: %w", what, p.withLast(err))
		}
		c, cancel := context.WithTimeout(ctx, time.Duration(timeoutMS(ctx))*time.Millisecond)
		err := call(c)
		cancel()
		if err == nil {
			return nil
		}
		if again(err) {
			if codeOf(err) != kafka.ErrTimedOut {
				// Answered at once, for example CONCURRENT_TRANSACTIONS: the same pause as librdkafka makes between its own tries.
				if sleep(ctx, 50*time.Millisecond) != nil {
					return classify(what, err)
				}
			}
			continue
		}
		if f := p.fatal(); f != nil {
			return classify(what, f)
		}
		return classify(what, err)
	}
}

// fatal returns the cause behind an error that only says that the client is in a fatal state.
func (p *Producer) fatal() error {
	err := p.p.GetFatalError()
	if err == nil {
		return nil
	}
	return err
}

// again says whether the same call may be made again on the same producer.
func again(err error) bool {
	var e kafka.Error
	return errors.As(err, &e) && e.IsRetriable() && !e.IsFatal() && !e.TxnRequiresAbort()
}
