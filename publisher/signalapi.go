package publisher

import (
	"context"
	"slices"
	"sync"

	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	"github.com/rowmesh/rowmesh/publisher/signal"
	"github.com/rowmesh/rowmesh/services/errs"
)

// Signal serves rowmesh.control.v1.MemberService: it hands a signal to the lanes of a connector that run here, and returns when each has it in its checkpoint, or has said
// what is wrong, or ctx ends.
func (p *Publisher) Signal(ctx context.Context, r *controlv1.SignalRequest) *controlv1.SignalResponse {
	p.mu.Lock()
	var tasks []*task
	for id, t := range p.tasks {
		if id.Connector == r.Connector {
			tasks = append(tasks, t)
		}
	}
	p.mu.Unlock()
	slices.SortFunc(tasks, func(a, b *task) int { return compareLanes(a.id, b.id) })
	resp := &controlv1.SignalResponse{Lanes: make([]*controlv1.SignalOutcome, len(tasks))}
	var all sync.WaitGroup
	for i, t := range tasks {
		all.Go(func() {
			a := t.ask(ctx, signal.Signal{ID: r.Id, Type: r.Type, Data: r.Data, Channel: signal.API})
			resp.Lanes[i] = &controlv1.SignalOutcome{Task: t.id.Task, Tables: a.tables}
			if a.err != nil {
				resp.Lanes[i].Code, resp.Lanes[i].Error = string(errs.KindOf(a.err)), a.err.Error()
			}
		})
	}
	all.Wait()
	return resp
}

// ask hands a signal to the lane and waits for its answer. Any goroutine.
func (t *task) ask(ctx context.Context, s signal.Signal) answer {
	back := make(chan answer, 1)
	if err := t.requests.put(ctx, request{Signal: s, answer: back}); err != nil {
		return answer{err: err}
	}
	select {
	case a := <-back:
		return a
	case <-ctx.Done():
		return answer{err: errs.E(errs.Unavailable, "the task has not answered in time; ask again with the same id, which starts nothing twice: %w", ctx.Err())}
	}
}
