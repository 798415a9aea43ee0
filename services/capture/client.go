package capture

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/errs"
)

// Client subscribes to row streams over one connection. It is safe for concurrent use.
type Client struct {
	cc   grpc.ClientConnInterface
	pool *Pool
}

// NewClient returns a client over a connection. Connections made with DialOptions save allocations.
func NewClient(cc grpc.ClientConnInterface) *Client { return &Client{cc: cc, pool: NewPool()} }

// Describe describes a source.
func (c *Client) Describe(ctx context.Context, req *capturev1.DescribeSourceRequest) (*capturev1.DescribeSourceResponse, error) {
	resp, err := capturev1.NewCaptureServiceClient(c.cc).DescribeSource(ctx, req)
	return resp, errs.FromStatus(err)
}

// Define sends what shaped the tables of a source, until next returns io.EOF; each request keeps below MaxOpenBytes. See DefineTables in the protos.
func (c *Client) Define(ctx context.Context, next func() (*capturev1.DefineTablesRequest, error)) (*capturev1.DefineTablesResponse, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := capturev1.NewCaptureServiceClient(c.cc).DefineTables(ctx)
	if err != nil {
		return nil, errs.FromStatus(err)
	}
	for {
		req, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := stream.Send(req); err != nil {
			break // the answer has the reason
		}
	}
	resp, err := stream.CloseAndRecv()
	return resp, errs.FromStatus(err)
}

// Subscribe opens a stream, which ends with ctx. The server's answer, and its errors, come from the first Recv. open is not kept.
func (c *Client) Subscribe(ctx context.Context, open *capturev1.Open) (*Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &Stream{cancel: cancel, open: proto.Clone(open).(*capturev1.Open), held: make(map[*capturev1.SubscribeResponse]received)}
	if s.open.Credit == 0 {
		s.open.Credit = DefaultCredit
	}
	var err error
	desc := &capturev1.CaptureService_ServiceDesc.Streams[0]
	s.stream, err = c.cc.NewStream(ctx, desc, capturev1.CaptureService_Subscribe_FullMethodName, grpc.ForceCodecV2(NewCodec(c.pool)))
	if err != nil {
		cancel()
		return nil, errs.FromStatus(err)
	}
	if err := s.send(&capturev1.SubscribeRequest{Message: &capturev1.SubscribeRequest_Open{Open: s.open}}); err != nil {
		cancel()
		return nil, err
	}
	return s, nil
}

// Stream is an open subscription. One goroutine calls Recv; Release, Ack and Close may be called from others.
type Stream struct {
	stream grpc.ClientStream
	cancel context.CancelFunc
	open   *capturev1.Open
	seq    uint64 // of the last batch or DDL message; only Recv uses it

	sendMu sync.Mutex // orders sends on the stream
	mu     sync.Mutex
	// held are the batches received and not yet released. Its bound is the credit.
	held   map[*capturev1.SubscribeResponse]received
	credit uint64 // bytes released and not yet granted again
}

// Recv returns the next message. It returns io.EOF when the server has ended the stream by its grammar (after Gap, Reset or a snapshot alone), else an error of a
// kind (services/errs). A batch, with all that it refers to, is valid until Release; other messages belong to the caller.
func (s *Stream) Recv() (*capturev1.SubscribeResponse, error) {
	var r received
	if err := s.stream.RecvMsg(&r); err != nil {
		s.cancel()
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, errs.FromStatus(err)
	}
	if err := s.check(r.response); err != nil {
		s.cancel()
		return nil, err
	}
	switch r.response.Message.(type) {
	case *capturev1.SubscribeResponse_Batch:
		s.mu.Lock()
		s.held[r.response] = r
		s.mu.Unlock()
	case *capturev1.SubscribeResponse_Opened, *capturev1.SubscribeResponse_Gap, *capturev1.SubscribeResponse_Reset_:
		// Sent without regard to credit.
	default:
		s.grant(r.bytes)
	}
	return r.response, nil
}

// check proves that nothing is missing before m. A break is Unavailable: what is missing comes with a new subscription at the last token.
func (s *Stream) check(m *capturev1.SubscribeResponse) error {
	var what string
	var epoch, seq uint64
	switch m := m.Message.(type) {
	case *capturev1.SubscribeResponse_Batch:
		what, epoch, seq = "batch", m.Batch.Epoch, m.Batch.Seq
	case *capturev1.SubscribeResponse_Ddl:
		what, epoch, seq = "ddl", m.Ddl.Epoch, m.Ddl.Seq
	case nil:
		return errs.E(errs.Corrupt, "source %s: a message of a type that this version does not know, after seq %d; upgrade this member", s.open.Source, s.seq)
	default:
		return nil
	}
	if epoch != s.open.Epoch {
		return errs.E(errs.Unavailable, "source %s: %s of epoch %d on a stream of epoch %d; open again with the last token", s.open.Source, what, epoch, s.open.Epoch)
	}
	if seq != s.seq+1 {
		return errs.E(errs.Unavailable, "source %s: %s has seq %d where %d is next; open again with the last token", s.open.Source, what, seq, s.seq+1)
	}
	s.seq = seq
	return nil
}

// Release gives the buffer of a batch back, and its bytes to the server as credit. It does nothing for other messages or a second time.
func (s *Stream) Release(m *capturev1.SubscribeResponse) {
	s.mu.Lock()
	r, ok := s.held[m]
	delete(s.held, m)
	s.mu.Unlock()
	if !ok {
		return
	}
	if r.buffer != nil {
		m.GetBatch().Payload = nil // what is used after Release is seen as empty, not as another batch's rows
		r.buffer.Free()
	}
	s.grant(r.bytes)
}

// grant returns credit, in quarters of the window: often enough that the server does not wait, rare enough not to matter.
func (s *Stream) grant(bytes int) {
	s.mu.Lock()
	s.credit += uint64(bytes)
	n := s.credit
	if n < s.open.Credit/4 {
		s.mu.Unlock()
		return
	}
	s.credit = 0
	s.mu.Unlock()
	// A failure means that the stream has ended, which Recv reports.
	_ = s.send(&capturev1.SubscribeRequest{Message: &capturev1.SubscribeRequest_Credit{Credit: &capturev1.Credit{Bytes: n}}})
}

// Ack says that everything up to seq is delivered. An error means that the stream has ended; Recv has the reason.
func (s *Stream) Ack(seq uint64) error {
	return s.send(&capturev1.SubscribeRequest{Message: &capturev1.SubscribeRequest_Ack{Ack: &capturev1.Ack{Seq: seq}}})
}

// Snapshot starts or steers a snapshot. How it goes comes as SnapshotProgress, and its rows in batches between those of the log. An error means that the stream has
// ended; Recv has the reason.
func (s *Stream) Snapshot(c *capturev1.SnapshotCommand) error {
	return s.send(&capturev1.SubscribeRequest{Message: &capturev1.SubscribeRequest_Snapshot{Snapshot: c}})
}

func (s *Stream) send(m *capturev1.SubscribeRequest) error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	return errs.FromStatus(s.stream.SendMsg(m))
}

// Close ends the subscription. Batches that are not released stay valid.
func (s *Stream) Close() error {
	s.cancel()
	return nil
}
