package publisher

import (
	"context"
	"sync"

	"github.com/rowmesh/rowmesh/publisher/signal"
	"github.com/rowmesh/rowmesh/services/errs"
)

// maxRequests bounds the signals that wait for a lane. Each is at most some hundred KiB, and people send them.
const maxRequests = 64

// request is a signal on its way to a lane.
type request struct {
	signal.Signal
	// answer takes the outcome, once; nil: nobody waits for it.
	answer chan<- answer
}

// answer is what became of a request: it is in the lane's checkpoint, or it is not followed.
type answer struct {
	tables []string // of this lane
	err    error
}

func (r *request) done(a answer) {
	if r.answer != nil {
		r.answer <- a // it has room for one
	}
}

// requests are the signals that wait for a lane. Any goroutine.
type requests struct {
	mu      sync.Mutex
	open    bool
	waiting []request
	room    chan struct{} // 1: something was taken
	wake    func()        // wakes the lane
}

func newRequests(wake func()) *requests { return &requests{room: make(chan struct{}, 1), wake: wake} }

// put adds a request. It waits for room until ctx ends. A lane that does not stream takes none.
func (q *requests) put(ctx context.Context, r request) error {
	for {
		q.mu.Lock()
		open, full := q.open, len(q.waiting) >= maxRequests
		if open && !full {
			q.waiting = append(q.waiting, r)
		}
		q.mu.Unlock()
		if !open {
			return errs.E(errs.Unavailable, "the task is not streaming")
		}
		if !full {
			q.wake()
			return nil
		}
		select {
		case <-ctx.Done():
			return errs.E(errs.Busy, "%d signals wait for the task already: %w", maxRequests, ctx.Err())
		case <-q.room:
		}
	}
}

// take returns the next request.
func (q *requests) take() (request, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return request{}, false
	}
	r := q.waiting[0]
	q.waiting = q.waiting[1:]
	q.roomed()
	return r, true
}

func (q *requests) roomed() {
	select {
	case q.room <- struct{}{}:
	default:
	}
}

func (q *requests) begin() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.open = true
}

// end answers all that waits: the lane starts again.
func (q *requests) end() {
	q.mu.Lock()
	waiting := q.waiting
	q.open, q.waiting = false, nil
	q.roomed()
	q.mu.Unlock()
	for _, r := range waiting {
		r.done(answer{err: errAgain})
	}
}

var errAgain = errs.E(errs.Unavailable, "the task started again before its checkpoint held the request; ask again with the same id, which starts nothing twice")
