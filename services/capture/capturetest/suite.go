package capturetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
	"github.com/rowmesh/rowmesh/services/rpc"
)

// patience bounds each wait of the suite; real servers on a busy machine take their time.
const patience = 20 * time.Second

// Fixture is a service with one source, whose log the suite can write.
type Fixture struct {
	Service capture.Service
	Source  string
	// Table selects the table that Commit writes. Its first column is an integer.
	Table *capturev1.TableFilter
	// Commit inserts rows with these ids in one transaction. Foreign commits something that Table does not select.
	Commit  func(ids ...int64)
	Foreign func()
}

// stream is a subscription, wherever the service is.
type stream interface {
	Recv() (*capturev1.SubscribeResponse, error)
	Release(*capturev1.SubscribeResponse)
	Ack(seq uint64) error
	Close() error
}

type subscribe func(ctx context.Context, open *capturev1.Open) (stream, error)

// Test runs the suite on the service as it is and behind gRPC. newFixture makes a fresh one for each case.
func Test(t *testing.T, newFixture func(t *testing.T) Fixture) {
	transports := map[string]func(t *testing.T, s capture.Service) subscribe{
		"direct": func(t *testing.T, s capture.Service) subscribe { return direct(s) },
		"grpc": func(t *testing.T, s capture.Service) subscribe {
			c := Serve(t, s)
			return func(ctx context.Context, open *capturev1.Open) (stream, error) { return c.Subscribe(ctx, open) }
		},
	}
	cases := map[string]func(*suite){
		"order": (*suite).order, "latest": (*suite).latest, "resume at every token": (*suite).resume, "progress": (*suite).progress,
		"refusals": (*suite).refusals, "end": (*suite).end,
	}
	for transport, connect := range transports {
		for name, f := range cases {
			t.Run(transport+"/"+name, func(t *testing.T) {
				fx := newFixture(t)
				f(&suite{T: t, Fixture: fx, subscribe: connect(t, fx.Service)})
			})
		}
	}
}

// Serve serves a service over gRPC on loopback until the test ends, and returns a client of it.
func Serve(t testing.TB, s capture.Service) *capture.Client {
	t.Helper()
	return ServePool(t, s, capture.NewPool())
}

// ServePool is Serve for a service that builds its payloads in buffers of pool.
func ServePool(t testing.TB, s capture.Service, pool *capture.Pool) *capture.Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(capture.ServerOptions(pool)...)
	capturev1.RegisterCaptureServiceServer(srv, capture.NewServer(s))
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	cc, err := grpc.NewClient(l.Addr().String(), append(capture.DialOptions(pool), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(rpc.MaxMessageBytes)))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cc.Close()
		srv.Stop()
		<-done
	})
	return capture.NewClient(cc)
}

type suite struct {
	*testing.T
	Fixture
	subscribe subscribe
}

func fromNow() *capturev1.Start {
	return &capturev1.Start{At: &capturev1.Start_Latest{Latest: true}}
}

// open subscribes, and takes the Opened message.
func (s *suite) open(start *capturev1.Start, maxBatch uint32) *reading {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.Cleanup(cancel)
	st, err := s.subscribe(ctx, &capturev1.Open{Consumer: s.Name(), Source: s.Source, Tables: s.Table, Start: start, MaxBatchBytes: maxBatch})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { st.Close() })
	m, err := st.Recv()
	if err != nil {
		s.Fatal(err)
	}
	if m.GetOpened().GetSource() != s.Source {
		s.Fatalf("first message is %v, want Opened of %s", m, s.Source)
	}
	return &reading{suite: s, stream: st, layouts: make(map[uint32]*row.Layout), columns: make(map[uint32]int)}
}

// reading is what was read of a stream.
type reading struct {
	*suite
	stream  stream
	layouts map[uint32]*row.Layout
	columns map[uint32]int
	ids     []int64
	tokens  []token
	seq     uint64
}

// token is a place to resume, and the rows that came before it.
type token struct {
	bytes []byte
	ids   int
}

// until reads until there are n rows.
func (r *reading) until(n int) *reading {
	r.Helper()
	for len(r.ids) < n {
		r.next()
	}
	return r
}

func (r *reading) next() *capturev1.SubscribeResponse {
	r.Helper()
	m, err := r.stream.Recv()
	if err != nil {
		r.Fatalf("after %d rows: %v", len(r.ids), err)
	}
	var c *rowv1.Checkpoint
	switch m := m.Message.(type) {
	case *capturev1.SubscribeResponse_Schema:
		r.layouts[m.Schema.SchemaId], r.columns[m.Schema.SchemaId] = row.NewLayout(m.Schema.Columns), len(m.Schema.Columns)
	case *capturev1.SubscribeResponse_Batch:
		ids, err := IDs(r.layouts, r.columns, m.Batch)
		if err != nil {
			r.Fatal(err)
		}
		r.ids = append(r.ids, ids...)
		r.seq++
		if m.Batch.Seq != r.seq {
			r.Fatalf("batch has seq %d, want %d", m.Batch.Seq, r.seq)
		}
		c = m.Batch.Checkpoint
	case *capturev1.SubscribeResponse_Progress:
		c = m.Progress.Checkpoint
	}
	if c != nil {
		r.tokens = append(r.tokens, token{c.Token, len(r.ids)})
	}
	r.stream.Release(m)
	return m
}

// order: rows come in the order of the log.
func (s *suite) order() {
	r := s.open(fromNow(), 0)
	s.Commit(1, 2, 3)
	s.Foreign()
	s.Commit(4)
	if diff := cmp.Diff([]int64{1, 2, 3, 4}, r.until(4).ids); diff != "" {
		s.Error(diff)
	}
	if err := r.stream.Ack(r.seq); err != nil {
		s.Error(err)
	}
}

// latest: what was committed before Opened does not come, what is committed after it does.
func (s *suite) latest() {
	s.Commit(1)
	r := s.open(fromNow(), 0)
	s.Commit(2)
	if diff := cmp.Diff([]int64{2}, r.until(1).ids); diff != "" {
		s.Error(diff)
	}
}

// resume: a subscription from any token gets exactly the rows that came after it.
func (s *suite) resume() {
	r := s.open(fromNow(), 24)
	var ids []int64
	for i := range int64(15) {
		ids = append(ids, i+1)
	}
	s.Commit(ids...)
	s.Foreign()
	s.Commit(100)
	r.until(16)
	if len(r.tokens) < 3 {
		s.Fatalf("%d batches of at most 24 bytes for 16 rows", len(r.tokens))
	}
	for _, t := range r.tokens {
		rest := r.ids[t.ids:]
		again := s.open(&capturev1.Start{At: &capturev1.Start_Token{Token: t.bytes}}, 24)
		if diff := cmp.Diff(rest, append([]int64{}, again.until(len(rest)).ids...)); diff != "" {
			s.Fatalf("from the token after %d rows: %s", t.ids, diff)
		}
		again.stream.Close()
	}
}

// progress: transactions that do not concern the subscription move its place.
func (s *suite) progress() {
	r := s.open(fromNow(), 0)
	s.Commit(1)
	r.until(1)
	s.Foreign()
	for r.next().GetProgress() == nil {
	}
	last := r.tokens[len(r.tokens)-1]
	s.Commit(2)
	again := s.open(&capturev1.Start{At: &capturev1.Start_Token{Token: last.bytes}}, 0)
	if diff := cmp.Diff([]int64{2}, again.until(1).ids); diff != "" {
		s.Error(diff)
	}
}

// refusals: what can never work has a kind that says so.
func (s *suite) refusals() {
	latest := fromNow()
	for name, c := range map[string]struct {
		open *capturev1.Open
		want []errs.Kind
	}{
		"token":  {&capturev1.Open{Source: s.Source, Start: &capturev1.Start{At: &capturev1.Start_Token{Token: []byte("no token")}}}, []errs.Kind{errs.Invalid}},
		"regex":  {&capturev1.Open{Source: s.Source, Start: latest, Tables: &capturev1.TableFilter{IncludeTables: []string{"a(b"}}}, []errs.Kind{errs.Invalid}},
		"source": {&capturev1.Open{Source: "nowhere:1", Start: latest}, []errs.Kind{errs.NotFound, errs.NotOwner}},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		st, err := s.subscribe(ctx, c.open)
		if err == nil {
			_, err = st.Recv()
		}
		cancel()
		ok := false
		for _, k := range c.want {
			ok = ok || err != nil && errs.KindOf(err) == k
		}
		if !ok {
			s.Errorf("%s: error %v of kind %s, want one of %v", name, err, errs.KindOf(err), c.want)
		}
	}
}

// end: a subscription ends with its context.
func (s *suite) end() {
	r := s.open(fromNow(), 0)
	r.stream.Close()
	ended := make(chan error, 1)
	go func() {
		for {
			if _, err := r.stream.Recv(); err != nil {
				ended <- err
				return
			}
		}
	}()
	select {
	case <-ended:
	case <-time.After(patience):
		s.Fatal("the stream goes on after Close")
	}
}

// direct subscribes to a service without gRPC.
func direct(s capture.Service) subscribe {
	return func(ctx context.Context, open *capturev1.Open) (stream, error) {
		ctx, cancel := context.WithCancel(ctx)
		d := &directStream{ctx: ctx, cancel: cancel, messages: make(chan *capturev1.SubscribeResponse), done: make(chan error, 1)}
		if open.MaxBatchBytes == 0 {
			open.MaxBatchBytes = capture.DefaultBatchBytes
		}
		go func() { d.done <- s.Subscribe(ctx, open, d) }()
		return d, nil
	}
}

// directStream is both ends of a subscription in one process.
type directStream struct {
	ctx      context.Context
	cancel   context.CancelFunc
	messages chan *capturev1.SubscribeResponse
	done     chan error
	seq      uint64
	acked    atomic.Uint64
}

var errDirectEnd = errors.New("the subscription ended")

// Send implements capture.Sender.
func (d *directStream) Send(m *capturev1.SubscribeResponse) error {
	if b := m.GetBatch(); b != nil {
		d.seq++
		b.Seq = d.seq
	}
	if b := m.GetDdl(); b != nil {
		d.seq++
		b.Seq = d.seq
	}
	select {
	case d.messages <- m:
		return nil
	case <-d.ctx.Done():
		return d.ctx.Err()
	}
}

func (d *directStream) Acked() uint64 { return d.acked.Load() }

func (d *directStream) Recv() (*capturev1.SubscribeResponse, error) {
	select {
	case m := <-d.messages:
		return m, nil
	case err := <-d.done:
		if err == nil {
			err = errDirectEnd
		}
		return nil, fmt.Errorf("direct: %w", err)
	}
}

func (d *directStream) Release(*capturev1.SubscribeResponse) {}

func (d *directStream) Ack(seq uint64) error {
	d.acked.Store(seq)
	return nil
}

func (d *directStream) Close() error {
	d.cancel()
	return nil
}
