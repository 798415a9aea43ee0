package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/failpoint"
	"github.com/rowmesh/rowmesh/services/rpc"
)

// Limits of a subscription.
const (
	// MaxOpenBytes bounds an Open: a filter that names ten thousand tables one by one has 600 kB.
	MaxOpenBytes = 1 << 20
	// DefaultBatchBytes and MaxBatchBytes bound max_batch_bytes: streaming gains nothing above 256 KiB, and 4 MiB keeps four queued batches of a few
	// subscribers affordable.
	DefaultBatchBytes = 256 << 10
	MaxBatchBytes     = 4 << 20
	// DefaultCredit and MaxCredit bound what a client lets the server send before it has released anything.
	DefaultCredit = 4 << 20
	MaxCredit     = 64 << 20

	openTimeout = 10 * time.Second // a client that connects only to subscribe has no reason to wait
	// creditTimeout ends streams whose client neither reads nor goes: longer than a Kafka that is away for a while, short enough to find the defect.
	creditTimeout = 5 * time.Minute
	maxNameBytes  = 512 // consumer and source: names of people, not data
	// maxCommands is how many SnapshotCommands may wait: a stream takes them at once, unless it does not read the log yet.
	maxCommands = 64
	// maxSnapshotID bounds the id of a snapshot, which is part of resume tokens.
	maxSnapshotID = 200
)

// server serves a Service.
type server struct {
	capturev1.UnimplementedCaptureServiceServer
	service Service

	mu sync.Mutex
	// newest holds the live subscription of each consumer that has an epoch, by source and consumer.
	newest map[[2]string]*subscription
}

// NewServer returns the gRPC server of a service. Register it on a grpc.Server made with ServerOptions; without them it works, with copies.
func NewServer(s Service) capturev1.CaptureServiceServer {
	return &server{service: s, newest: make(map[[2]string]*subscription)}
}

// DescribeSource implements capturev1.CaptureServiceServer.
func (s *server) DescribeSource(ctx context.Context, req *capturev1.DescribeSourceRequest) (*capturev1.DescribeSourceResponse, error) {
	bounded := boundDescribe(ctx, req)
	resp, err := s.service.Describe(ctx, req)
	if bounded && resp != nil {
		resp.Subscribers = nil
	}
	return resp, errs.Status(err)
}

// DefineTables implements capturev1.CaptureServiceServer.
func (s *server) DefineTables(stream capturev1.CaptureService_DefineTablesServer) error {
	d, ok := s.service.(Definer)
	if !ok {
		return errs.Status(errs.E(errs.Unsupported, "this source takes no definitions of tables"))
	}
	ctx := stream.Context()
	if g, ok := rpc.GrantOf(ctx); ok && !g.Has(rpc.Everything) {
		return errs.Status(errs.E(errs.Denied, "definitions of tables are taken from members of the mesh; client %q has no right %q", g.Client, rpc.Everything))
	}
	resp, err := d.Define(ctx, stream.Recv)
	if err != nil {
		return errs.Status(err)
	}
	return stream.SendAndClose(resp)
}

// Subscribe implements capturev1.CaptureServiceServer.
func (s *server) Subscribe(stream capturev1.CaptureService_SubscribeServer) error {
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	sub := &subscription{stream: stream, end: cancel, granted: make(chan struct{}, 1), opened: make(chan *capturev1.Open, 1),
		commands: make(chan *capturev1.SnapshotCommand, maxCommands)}
	// Recv has no deadline of its own and ends with the stream, that is when this method has returned; so nobody can wait for this goroutine here.
	go sub.receive()
	open, err := sub.awaitOpen(ctx)
	if err != nil {
		return errs.Status(err)
	}
	if err := bound(ctx, open); err != nil {
		return errs.Status(err)
	}
	if open.Epoch > 0 {
		leave, err := s.enter(open, sub)
		if err != nil {
			return errs.Status(err)
		}
		defer leave()
	}
	err = s.service.Subscribe(ctx, open, sub.sender(ctx))
	// What ended the subscription from outside is the reason, whatever the service made of its context's end.
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	return errs.Status(err)
}

// enter makes sub the subscription of its consumer. An older epoch is refused; an equal one is the same consumer again, whose earlier stream is dead or soon will be.
func (s *server) enter(open *capturev1.Open, sub *subscription) (leave func(), err error) {
	key := [2]string{open.Source, open.Consumer}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.newest[key]; old != nil {
		if old.epoch > open.Epoch {
			return nil, errs.E(errs.Stale, "consumer %s of source %s: epoch %d has subscribed, %d is older; another member owns this consumer now", open.Consumer, open.Source, old.epoch, open.Epoch)
		}
		old.end(errs.E(errs.Stale, "consumer %s of source %s subscribed again with epoch %d; this stream, of epoch %d, ends", open.Consumer, open.Source, open.Epoch, old.epoch))
	}
	sub.epoch = open.Epoch
	s.newest[key] = sub
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.newest[key] == sub {
			delete(s.newest, key)
		}
	}, nil
}

// subscription is one stream: the state that its receiving goroutine shares with its sender.
type subscription struct {
	stream  capturev1.CaptureService_SubscribeServer
	end     context.CancelCauseFunc
	opened  chan *capturev1.Open
	granted chan struct{} // signalled after each grant
	epoch   uint64        // set once, by enter under server.mu

	commands chan *capturev1.SnapshotCommand

	credit atomic.Int64 // bytes that may be sent; goes below zero by one message at most
	sent   atomic.Uint64
	acked  atomic.Uint64
}

// receive takes what the client says until the stream ends.
func (s *subscription) receive() {
	for first := true; ; first = false {
		m, err := s.stream.Recv()
		if err == nil {
			err = s.handle(m, first)
		} else if errors.Is(err, io.EOF) {
			// The client closed its half. It cannot grant or acknowledge any more, but may read what it has credit for.
			if first {
				s.end(errs.E(errs.Invalid, "the stream ended before an Open"))
			}
			return
		}
		if err != nil {
			s.end(err)
			return
		}
	}
}

// handle takes one message of the client.
func (s *subscription) handle(m *capturev1.SubscribeRequest, first bool) error {
	switch m := m.Message.(type) {
	case *capturev1.SubscribeRequest_Open:
		if !first {
			return errs.E(errs.Invalid, "a second Open on one stream; open another stream")
		}
		if err := normalize(m.Open); err != nil {
			return err
		}
		s.credit.Store(int64(m.Open.Credit))
		s.opened <- m.Open
		return nil
	case *capturev1.SubscribeRequest_Credit:
		if first {
			break
		}
		if c := s.credit.Load(); m.Credit.Bytes > MaxCredit || c+int64(m.Credit.Bytes) > MaxCredit {
			return errs.E(errs.Invalid, "credit of %d bytes on top of %d: at most %d may be open", m.Credit.Bytes, c, MaxCredit)
		}
		s.credit.Add(int64(m.Credit.Bytes))
		select {
		case s.granted <- struct{}{}:
		default:
		}
		return nil
	case *capturev1.SubscribeRequest_Ack:
		if first {
			break
		}
		if sent := s.sent.Load(); m.Ack.Seq > sent {
			return errs.E(errs.Invalid, "ack of seq %d: only %d was sent", m.Ack.Seq, sent)
		}
		if m.Ack.Seq > s.acked.Load() {
			s.acked.Store(m.Ack.Seq)
		}
		return nil
	case *capturev1.SubscribeRequest_Snapshot:
		if first {
			break
		}
		if err := checkCommand(s.stream.Context(), m.Snapshot); err != nil {
			return err
		}
		select {
		case s.commands <- m.Snapshot:
		default:
			return errs.E(errs.Busy, "snapshot: %d commands wait already; the stream takes them once it reads the log", maxCommands)
		}
		return nil
	default:
		return errs.E(errs.Invalid, "a message with no known content; it holds one of open, credit, ack, snapshot")
	}
	return errs.E(errs.Invalid, "the first message of a subscription is an Open")
}

// checkCommand refuses commands that can never be carried out, and conditions of clients that may not run SQL of their own.
func checkCommand(ctx context.Context, c *capturev1.SnapshotCommand) error {
	switch {
	case c.Action < capturev1.SnapshotAction_SNAPSHOT_ACTION_START || c.Action > capturev1.SnapshotAction_SNAPSHOT_ACTION_THROTTLE:
		return errs.E(errs.Invalid, "snapshot.action is %v; it is one of START, STOP, PAUSE, RESUME, THROTTLE", c.Action)
	case c.Action == capturev1.SnapshotAction_SNAPSHOT_ACTION_START && c.Id == "" || len(c.Id) > maxSnapshotID:
		return errs.E(errs.Invalid, "snapshot.id has %d bytes; it names the snapshot, in 1 to %d", len(c.Id), maxSnapshotID)
	case proto.Size(c) > MaxOpenBytes:
		return errs.E(errs.Invalid, "snapshot has %d bytes, at most %d are allowed; use several commands", proto.Size(c), MaxOpenBytes)
	}
	g, ok := rpc.GrantOf(ctx)
	for _, t := range c.Tables {
		if t.Condition != "" && ok && !g.Has(rpc.Everything) {
			return errs.E(errs.Denied, "snapshot.tables.condition: SQL of its own is for members of the mesh; client %q has no right %q", g.Client, rpc.Everything)
		}
	}
	return nil
}

// normalize checks an Open and fills in defaults.
func normalize(o *capturev1.Open) error {
	if n := proto.Size(o); n > MaxOpenBytes {
		return errs.E(errs.Invalid, "open has %d bytes, at most %d are allowed; use regular expressions in its filters", n, MaxOpenBytes)
	}
	switch {
	case o.Source == "" || len(o.Source) > maxNameBytes:
		return errs.E(errs.Invalid, "open.source has %d bytes; it names a source (host:port) or a connector, in 1 to %d", len(o.Source), maxNameBytes)
	case len(o.Consumer) > maxNameBytes:
		return errs.E(errs.Invalid, "open.consumer has %d bytes, at most %d are allowed", len(o.Consumer), maxNameBytes)
	case o.MaxBatchBytes > MaxBatchBytes:
		return errs.E(errs.Invalid, "open.max_batch_bytes is %d, at most %d is allowed", o.MaxBatchBytes, MaxBatchBytes)
	case o.Credit > MaxCredit:
		return errs.E(errs.Invalid, "open.credit is %d, at most %d is allowed", o.Credit, MaxCredit)
	case o.Start.GetAt() == nil:
		return errs.E(errs.Invalid, "open.start says nothing; it holds one of token, position, offset, snapshot, earliest, latest, timestamp_us")
	}
	if o.MaxBatchBytes == 0 {
		o.MaxBatchBytes = DefaultBatchBytes
	}
	if o.Credit == 0 {
		o.Credit = DefaultCredit
	}
	return nil
}

// awaitOpen waits for the client's first message.
func (s *subscription) awaitOpen(ctx context.Context) (*capturev1.Open, error) {
	timer := time.NewTimer(openTimeout)
	defer timer.Stop()
	select {
	case open := <-s.opened:
		return open, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-timer.C:
		return nil, errs.E(errs.Invalid, "no Open within %v", openTimeout)
	}
}

func (s *subscription) sender(ctx context.Context) Sender { return &sender{subscription: s, ctx: ctx} }

// sender is the Sender of a stream. It keeps the stream's context because it lives no longer than that.
type sender struct {
	*subscription
	ctx context.Context
}

var (
	_ Sender    = (*sender)(nil)
	_ Commander = (*sender)(nil)
)

// Commands implements Commander.
func (s *sender) Commands() <-chan *capturev1.SnapshotCommand { return s.commands }

// Acked implements Sender.
func (s *sender) Acked() uint64 { return s.acked.Load() }

// Send implements Sender.
func (s *sender) Send(m *capturev1.SubscribeResponse) error {
	free := false
	switch m := m.Message.(type) {
	case *capturev1.SubscribeResponse_Batch:
		m.Batch.Epoch, m.Batch.Seq = s.epoch, s.sent.Load()+1
	case *capturev1.SubscribeResponse_Ddl:
		m.Ddl.Epoch, m.Ddl.Seq = s.epoch, s.sent.Load()+1
	case *capturev1.SubscribeResponse_Opened, *capturev1.SubscribeResponse_Gap, *capturev1.SubscribeResponse_Reset_:
		free = true
	}
	cost := int64(proto.Size(m))
	if !free {
		if err := s.awaitCredit(); err != nil {
			return err
		}
		s.credit.Add(-cost)
	}
	if m.GetBatch() != nil || m.GetDdl() != nil {
		s.sent.Add(1) // before the message is out: its ack may come before SendMsg returns
	}
	for range failpoint.Times(failpoint.Send) {
		if err := s.stream.Send(m); err != nil {
			return err
		}
	}
	return nil
}

// awaitCredit returns once there is credit.
func (s *sender) awaitCredit() error {
	if err := context.Cause(s.ctx); err != nil {
		return err
	}
	if s.credit.Load() > 0 {
		return nil
	}
	timer := time.NewTimer(creditTimeout)
	defer timer.Stop()
	for s.credit.Load() <= 0 {
		select {
		case <-s.granted:
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		case <-timer.C:
			err := errs.E(errs.Busy, "no credit for %v while data wait (sent up to seq %d, acknowledged %d); release batches and grant credit, then open again with the last token",
				creditTimeout, s.sent.Load(), s.acked.Load())
			s.end(err)
			return fmt.Errorf("send: %w", err)
		}
	}
	return nil
}
