package capturer

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/registry"
)

// dbSource is one database server with its readers and subscriptions.
type dbSource struct {
	id       registry.SourceID
	history  *history
	pool     *capture.Pool
	metrics  *metrics
	logger   *slog.Logger
	serverID uint32        // of the first reader; 0: random like the others'
	patience time.Duration // see the constant
	prunes   prunes

	ahead ahead

	starts chan *reader  // readers that run is to run
	closed chan struct{} // closed when run has ended

	mu      sync.Mutex
	server  Server // of connections made from now on: see setAccess
	over    error  // why no subscription is taken any more
	shared  *reader
	readers map[*reader]bool
	subs    map[*feed]bool
}

func newSource(id registry.SourceID, server Server, store SchemaStore, pool *capture.Pool, m *metrics, logger *slog.Logger, serverID uint32) *dbSource {
	return &dbSource{
		id: id, server: server, history: newHistory(store, id), pool: pool, metrics: m, logger: logger.With("source", string(id)), serverID: serverID, patience: patience, prunes: prunes{pruneEvery, pruneGrace},
		starts: make(chan *reader), closed: make(chan struct{}), readers: make(map[*reader]bool), subs: make(map[*feed]bool),
	}
}

// access returns what connections are made with.
func (s *dbSource) access() Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.server
}

// setAccess changes what connections are made with. Those that are open stay: a connector that lends its credentials no longer, or a new password, is
// no reason to interrupt the streams of all others.
func (s *dbSource) setAccess(server Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server = server
}

// run runs the readers until ctx ends, and then ends all subscriptions with the error that over returns.
func (s *dbSource) run(ctx context.Context, over func() error) {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		s.history.writeBehind(gctx, s.logger)
		return nil
	})
	g.Go(func() error {
		s.prune(gctx)
		return nil
	})
	g.Go(func() error {
		for {
			select {
			case <-gctx.Done():
				return nil
			case r := <-s.starts:
				rctx, stop := context.WithCancel(gctx)
				s.mu.Lock()
				r.stop = stop
				if r.closed { // its only subscriber left before it began
					stop()
				}
				s.mu.Unlock()
				g.Go(func() error {
					defer stop()
					r.run(rctx)
					return nil
				})
			}
		}
	})
	<-ctx.Done()
	err := over()
	s.mu.Lock()
	s.over = err
	for f := range s.subs {
		f.end(nil, err) // also frees readers that wait for a subscriber
	}
	s.mu.Unlock()
	close(s.closed)
	_ = g.Wait() // readers report through their feeds
}

// attach gives a feed, which starts at at, skip into the next transaction, a reader: the shared one if that is where the feed begins, else a new one. After that the feed knows its start.
func (s *dbSource) attach(ctx context.Context, f *feed, at place, skip cursor, latest bool) error {
	f.startAt(&at, skip)
	s.mu.Lock()
	if s.over != nil {
		defer s.mu.Unlock()
		return s.over
	}
	s.subs[f] = true
	shared := s.shared
	s.mu.Unlock()
	s.metrics.subscribers.WithLabelValues(string(s.id)).Inc()
	if shared != nil && skip.zero() && s.attachShared(ctx, shared, f, &at, latest) {
		return nil
	}
	r := &reader{src: s, at: at, done: skip, resumed: !skip.zero(), feeds: []*feed{f}, live: 1, logger: s.logger.With("reader_of", f.open.Consumer)}
	s.mu.Lock()
	r.serverID = s.serverID
	if len(s.readers) > 0 || r.serverID == 0 {
		r.serverID = randomServerID()
	}
	s.readers[r] = true
	f.reader = r
	s.mu.Unlock()
	select {
	case s.starts <- r:
		return nil
	case <-s.closed:
		s.leave(f)
		return s.endedBecause()
	case <-ctx.Done():
		s.leave(f)
		return ctx.Err()
	}
}

// randomServerID is a replica id that nobody else has: people number their servers from 1 on.
func randomServerID() uint32 { return 1<<30 + rand.Uint32N(1<<30) }

func (s *dbSource) endedBecause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// attachShared adds a feed without a connection of its own, if the shared reader stands where the feed begins, or at the end of the log where the feed asks
// for that. Requires: no transaction half delivered.
func (s *dbSource) attachShared(ctx context.Context, shared *reader, f *feed, at *place, latest bool) bool {
	g := shared.askGate(nil)
	if g == nil {
		return false
	}
	defer shared.openGate(g)
	timer := time.NewTimer(gateTime)
	defer timer.Stop()
	select {
	case <-g.parked:
	case <-timer.C:
		return false
	case <-g.opened:
		return false
	case <-ctx.Done():
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// A reader that has not reached the end of the log is not where "latest" is, and one that lost its connection may not be either.
	if shared.closed || g.isOpen || !shared.parked || !at.same(&shared.at) && !(latest && shared.caughtUp.Load() && at.oneServer(&shared.at) && shared.at.compare(at) >= 0) {
		return false
	}
	stored, _ := s.history.at(shared.info.Flavor, &shared.at)
	shared.learn(slices.Values(stored), []*feed{f})
	shared.adopt([]*feed{f})
	f.startAt(&shared.at, cursor{})
	return true
}

// share makes r the shared reader if there is none or only one that is behind while r is not. It returns the shared reader if that is another.
func (s *dbSource) share(r *reader) *reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.shared == nil, s.shared.closed, r.caughtUp.Load() && s.shared != r && !s.shared.caughtUp.Load():
		s.shared = r
		return nil
	case s.shared == r:
		return nil
	}
	return s.shared
}

// leave takes a feed away, and stops its reader if it was the last one.
func (s *dbSource) leave(f *feed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.subs[f] {
		return
	}
	delete(s.subs, f)
	close(f.gone)
	s.metrics.subscribers.WithLabelValues(string(s.id)).Dec()
	s.detach(f)
}

// drop takes a feed from its reader, which is the caller; the subscription goes on to its end.
func (s *dbSource) drop(f *feed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.detach(f)
}

// detach ends the bond of a feed and its reader. Requires: mu.
func (s *dbSource) detach(f *feed) {
	r := f.reader
	if r == nil {
		return
	}
	f.reader = nil
	r.live--
	if r.parked {
		r.prune()
	}
	r.attention.Store(true)
	if r.live == 0 && !r.closed {
		r.closed = true
		if s.shared == r {
			s.shared = nil
		}
		if r.stop != nil {
			r.stop()
		}
	}
}

// close takes the reader out of its source.
func (r *reader) close() {
	s := r.src
	s.mu.Lock()
	defer s.mu.Unlock()
	r.closed = true
	delete(s.readers, r)
	if s.shared == r {
		s.shared = nil
	}
	if g := r.gate; g != nil && !g.isOpen {
		g.isOpen = true
		close(g.opened)
		r.gate = nil
	}
}

// subscribers describes the subscriptions.
func (s *dbSource) subscribers() (subs []*capturev1.Subscriber, connections uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.subs {
		sub := &capturev1.Subscriber{Consumer: f.open.Consumer, Epoch: f.open.Epoch, Shared: f.reader != nil && f.reader == s.shared, Sent: f.sent.Load(), Acked: f.acked.Load()}
		if r := f.reader; r != nil && r.parked {
			sub.Position = r.at.position()
		}
		subs = append(subs, sub)
	}
	return subs, uint32(len(s.readers))
}

// startAt notes where the feed begins.
func (f *feed) startAt(at *place, skip cursor) {
	f.start = at.position()
	f.token = at.token(f.start, skip, false)
}

// pump sends what the reader queues until the subscription ends, and between that what is copied.
func (f *feed) pump(ctx context.Context, p *pumped) error {
	send := func(m *capturev1.SubscribeResponse) error {
		f.taken.Store(time.Now().UnixNano())
		if m.GetBatch() != nil || m.GetDdl() != nil {
			f.sent.Add(1)
		}
		f.acked.Store(p.out.Acked())
		if err := p.log(f.copy, m); err != nil {
			return err
		}
		return p.out.Send(m)
	}
	var next []*piece // wait for their place
	for {
		may, pieces := p.ready, f.copy.out
		if len(next) > 0 {
			pieces = nil
		}
		if len(next) == 0 || !p.may(next[0]) {
			may = nil
		}
		select {
		case <-may:
			var err error
			if next, err = p.piece(f.copy, next); err != nil {
				return err
			}
			continue
		case m := <-f.queue:
			if err := send(m); err != nil {
				return err
			}
			continue
		case next = <-pieces:
			continue
		case <-ctx.Done():
			return ctx.Err()
		case <-f.ended:
		}
		for {
			select {
			case m := <-f.queue:
				if err := send(m); err != nil {
					return err
				}
				continue
			default:
			}
			break
		}
		if reset := f.last.GetReset_(); reset != nil {
			reset.Token = f.copy.stamped(reset.Token)
		}
		if f.last != nil {
			return p.out.Send(f.last)
		}
		return f.lastErr
	}
}
