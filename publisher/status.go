package publisher

import (
	"context"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
)

// status keeps what a lane says of itself and stores the newest in etcd, from a goroutine of its own: a lane never waits for etcd.
type status struct {
	mesh Assignments
	log  *slog.Logger
	wg   sync.WaitGroup

	mu       sync.Mutex
	now      registry.LaneStatus
	warnings map[string][]string // by what they are about
	topics   map[string]bool
	// forgotten counts the times that the topics were forgotten.
	forgotten atomic.Uint64
	stored    registry.LaneStatus
	dirty     chan struct{} // 1: something changed
	end       context.CancelFunc
}

// statusRetry is the pause after a failed write; while etcd is away one attempt a second is nothing.
const statusRetry = time.Second

// maxTrace bounds the text of an error: it goes into etcd, whose requests are 1.5 MiB at most.
const maxTrace = 32 << 10

func newStatus(mesh Assignments, worker string, id registry.LaneID, log *slog.Logger) *status {
	return &status{mesh: mesh, log: log, now: registry.LaneStatus{LaneID: id, WorkerID: worker}, warnings: map[string][]string{}, topics: map[string]bool{},
		dirty: make(chan struct{}, 1)}
}

// start stores statuses until close.
func (s *status) start(ctx context.Context) {
	ctx, s.end = context.WithCancel(ctx)
	s.wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-s.dirty:
			}
			s.store(ctx)
		}
	})
}

// close stores the newest status once more and ends.
func (s *status) close(ctx context.Context) {
	s.end()
	s.wg.Wait()
	ctx, cancel := context.WithTimeout(ctx, statusRetry)
	defer cancel()
	select {
	case <-s.dirty:
		s.store(ctx)
	default:
	}
}

// store writes until it succeeds, what is written is superseded by another owner's, or ctx ends.
func (s *status) store(ctx context.Context) {
	for {
		s.mu.Lock()
		st := s.now
		st.Topics = slices.Sorted(maps.Keys(s.topics))
		st.Warnings = nil
		for _, about := range slices.Sorted(maps.Keys(s.warnings)) {
			st.Warnings = append(st.Warnings, s.warnings[about]...)
		}
		same := reflect.DeepEqual(st, s.stored)
		s.mu.Unlock()
		if same || st.State == "" {
			return
		}
		c, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := s.mesh.PutStatus(c, st)
		cancel()
		switch errs.KindOf(err) {
		case errs.Stale, errs.NotOwner, errs.NotFound:
			err = nil // the next owner speaks now
		}
		if err == nil {
			s.mu.Lock()
			s.stored = st
			s.mu.Unlock()
			return
		}
		s.log.Debug("status not stored", "error", err)
		t := time.NewTimer(statusRetry)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

func (s *status) changed() {
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// set takes over a state.
func (s *status) set(generation uint64, state registry.LaneState, err error, pos *rowv1.Position, next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.now
	n.Generation, n.State, n.Trace, n.Code, n.Position, n.NextTryMS = generation, state, "", "", nil, 0
	if err != nil {
		n.Trace, n.Code, n.Position = err.Error(), string(errs.KindOf(err)), pos
		n.Trace = n.Trace[:min(len(n.Trace), maxTrace)]
	}
	if !next.IsZero() {
		n.NextTryMS = next.UnixMilli()
	}
	if n.State == s.now.State && n.Generation == s.now.Generation && n.Trace == s.now.Trace && n.NextTryMS == s.now.NextTryMS {
		return
	}
	s.now = n
	s.changed()
}

// warn replaces what is said about one thing; no texts: it is over.
func (s *status) warn(about string, texts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Equal(s.warnings[about], texts) {
		return
	}
	if len(texts) == 0 {
		delete(s.warnings, about)
	} else {
		s.warnings[about] = texts
	}
	s.changed()
}

// forgetTopics forgets the topics that were written. The lane names each again when it writes it next: see sink.target.
func (s *status) forgetTopics() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.topics)
	s.stored = registry.LaneStatus{} // those that are written again must be stored again
	s.forgotten.Add(1)
}

// topic adds a topic that is written.
func (s *status) topic(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.topics[name] {
		s.topics[name] = true
		s.changed()
	}
}

func (s *status) snapshotDone(done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now.SnapshotDone != done {
		s.now.SnapshotDone = done
		s.changed()
	}
}
