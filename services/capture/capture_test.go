package capture_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/capture/capturetest"
	"github.com/rowmesh/rowmesh/services/errs"
)

func TestFakeConforms(t *testing.T) {
	capturetest.Test(t, func(t *testing.T) capturetest.Fixture {
		f := capturetest.NewFake()
		return capturetest.Fixture{
			Service: f, Source: capturetest.FakeSource, Table: &capturev1.TableFilter{IncludeTables: []string{`db\.t`}},
			Commit:  func(ids ...int64) { f.Commit("db", "t", ids...) },
			Foreign: func() { f.Commit("db", "other", 1) },
		}
	})
}

func batchMessage(payload int) *capturev1.SubscribeResponse {
	b := &rowv1.Batch{Epoch: 7, Seq: 9, File: "binlog.000001", GroupSchema: []uint32{1}, GroupOp: []byte("c"), GroupRows: []uint32{3}, GroupEnd: []uint32{uint32(payload)},
		Checkpoint: &rowv1.Checkpoint{Token: []byte("token"), TransactionEnd: true}}
	for i := range payload {
		b.Payload = append(b.Payload, byte(i))
	}
	return &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Batch{Batch: b}}
}

// The codec's bytes are what protobuf makes of the message, whatever the size of the payload.
func TestCodecIsProtobuf(t *testing.T) {
	codec := capture.NewCodec(capture.NewPool())
	for _, payload := range []int{0, 1, 100, 2047, 2048, 70_000, 3 << 20} {
		want := batchMessage(payload)
		bufs, err := codec.Marshal(proto.Clone(want))
		if err != nil {
			t.Fatal(err)
		}
		got := new(capturev1.SubscribeResponse)
		if err := proto.Unmarshal(bufs.Materialize(), got); err != nil {
			t.Fatalf("payload of %d: %v", payload, err)
		}
		if !proto.Equal(want, got) { // no diff: of megabytes it takes minutes
			t.Errorf("payload of %d is marshalled to another message", payload)
		}
		text, _ := proto.Marshal(want)
		back := new(capturev1.SubscribeResponse)
		if err := codec.Unmarshal(mem.BufferSlice{mem.SliceBuffer(text)}, back); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(want, back) {
			t.Errorf("payload of %d is read as another message", payload)
		}
	}
}

// service is a capture.Service made of a function.
type service struct {
	capture.Service
	f func(ctx context.Context, open *capturev1.Open, out capture.Sender) error
}

func (s service) Subscribe(ctx context.Context, open *capturev1.Open, out capture.Sender) error {
	return s.f(ctx, open, out)
}

func opened() *capturev1.SubscribeResponse {
	return &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Opened{Opened: &capturev1.Opened{Source: "s"}}}
}

func latest() *capturev1.Start {
	return &capturev1.Start{At: &capturev1.Start_Latest{Latest: true}}
}

func TestClientReadsEveryPayload(t *testing.T) {
	sizes := []int{0, 1, 3000, 70_000, 300_000, 5 << 20}
	c := capturetest.Serve(t, service{f: func(ctx context.Context, open *capturev1.Open, out capture.Sender) error {
		for _, n := range sizes {
			if err := out.Send(batchMessage(n)); err != nil {
				return err
			}
		}
		return nil
	}})
	s, err := c.Subscribe(t.Context(), &capturev1.Open{Source: "s", Epoch: 3, Start: latest()})
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range sizes {
		m, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		want := batchMessage(n)
		want.GetBatch().Epoch, want.GetBatch().Seq = 3, uint64(i+1)
		if !proto.Equal(want, m) {
			t.Errorf("payload of %d came as another message", n)
		}
		s.Release(m)
		s.Release(m) // does nothing
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("end of the stream is %v, want io.EOF", err)
	}
}

func TestSendWaitsForCredit(t *testing.T) {
	sent := make(chan int, 100)
	c := capturetest.Serve(t, service{f: func(ctx context.Context, open *capturev1.Open, out capture.Sender) error {
		for i := range 20 {
			if err := out.Send(batchMessage(10_000)); err != nil {
				return err
			}
			sent <- i
		}
		return nil
	}})
	s, err := c.Subscribe(t.Context(), &capturev1.Open{Source: "s", Start: latest(), Credit: 25_000})
	if err != nil {
		t.Fatal(err)
	}
	var held []*capturev1.SubscribeResponse
	for range 3 { // 25 kB of credit are three messages of 10 kB: the third is begun with credit left
		m, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, m)
	}
	select {
	case m := <-recv(s):
		t.Fatalf("a fourth message came without credit: %v", m.GetBatch().GetSeq())
	case <-time.After(100 * time.Millisecond):
	}
	if n := len(sent); n != 3 {
		t.Errorf("%d messages sent without credit, want 3", n)
	}
	for _, m := range held {
		s.Release(m)
	}
	deadline := time.After(10 * time.Second)
	for n := 0; n < 3; {
		select {
		case <-sent:
			n++
		case <-deadline:
			t.Fatal("released credit does not reach the server")
		}
	}
}

// recv receives one message in the background.
func recv(s *capture.Stream) <-chan *capturev1.SubscribeResponse {
	ch := make(chan *capturev1.SubscribeResponse, 1)
	go func() {
		if m, err := s.Recv(); err == nil {
			ch <- m
		}
	}()
	return ch
}

// raw subscribes with a plain protobuf client, as another language would.
func raw(t *testing.T, s capture.Service) capturev1.CaptureService_SubscribeClient {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(capture.ServerOptions(capture.NewPool())...)
	capturev1.RegisterCaptureServiceServer(srv, capture.NewServer(s))
	go srv.Serve(l)
	cc, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close(); srv.Stop() })
	st, err := capturev1.NewCaptureServiceClient(cc).Subscribe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestPlainClientReads(t *testing.T) {
	st := raw(t, service{f: func(ctx context.Context, open *capturev1.Open, out capture.Sender) error {
		return out.Send(batchMessage(50_000))
	}})
	if err := st.Send(openRequest(&capturev1.Open{Source: "s", Start: latest()})); err != nil {
		t.Fatal(err)
	}
	m, err := st.Recv()
	if err != nil {
		t.Fatal(err)
	}
	want := batchMessage(50_000)
	want.GetBatch().Epoch, want.GetBatch().Seq = 0, 1
	if diff := cmp.Diff(want, m, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func openRequest(o *capturev1.Open) *capturev1.SubscribeRequest {
	return &capturev1.SubscribeRequest{Message: &capturev1.SubscribeRequest_Open{Open: o}}
}

func ack(seq uint64) *capturev1.SubscribeRequest {
	return &capturev1.SubscribeRequest{Message: &capturev1.SubscribeRequest_Ack{Ack: &capturev1.Ack{Seq: seq}}}
}

func credit(n uint64) *capturev1.SubscribeRequest {
	return &capturev1.SubscribeRequest{Message: &capturev1.SubscribeRequest_Credit{Credit: &capturev1.Credit{Bytes: n}}}
}

func TestServerRefusesWhatTheGrammarForbids(t *testing.T) {
	good := &capturev1.Open{Source: "s", Start: latest()}
	for name, c := range map[string]struct {
		say  []*capturev1.SubscribeRequest
		want string
	}{
		"ack first":       {[]*capturev1.SubscribeRequest{ack(1)}, "first message"},
		"nothing in it":   {[]*capturev1.SubscribeRequest{{}}, "no known content"},
		"open twice":      {[]*capturev1.SubscribeRequest{openRequest(good), openRequest(good)}, "second Open"},
		"ack of the sky":  {[]*capturev1.SubscribeRequest{openRequest(good), ack(5)}, "ack of seq 5"},
		"credit overflow": {[]*capturev1.SubscribeRequest{openRequest(good), credit(1 << 40)}, "credit"},
		"no source":       {[]*capturev1.SubscribeRequest{openRequest(&capturev1.Open{Start: latest()})}, "open.source"},
		"no start":        {[]*capturev1.SubscribeRequest{openRequest(&capturev1.Open{Source: "s"})}, "open.start"},
		"huge batches":    {[]*capturev1.SubscribeRequest{openRequest(&capturev1.Open{Source: "s", Start: latest(), MaxBatchBytes: 5 << 20})}, "max_batch_bytes"},
		"huge open":       {[]*capturev1.SubscribeRequest{openRequest(&capturev1.Open{Source: "s", Start: latest(), ExcludeColumns: []string{strings.Repeat("x", 1<<20)}})}, "open has"},
	} {
		t.Run(name, func(t *testing.T) {
			st := raw(t, service{f: func(ctx context.Context, _ *capturev1.Open, out capture.Sender) error {
				if err := out.Send(opened()); err != nil {
					return err
				}
				<-ctx.Done()
				return ctx.Err()
			}})
			for _, m := range c.say {
				if err := st.Send(m); err != nil {
					break // ended already; Recv says why
				}
			}
			var err error
			for err == nil {
				_, err = st.Recv()
			}
			err = errs.FromStatus(err)
			if errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v of kind %s, want Invalid with %q", err, errs.KindOf(err), c.want)
			}
		})
	}
}

func TestOlderEpochIsRefused(t *testing.T) {
	c := capturetest.Serve(t, service{f: func(ctx context.Context, _ *capturev1.Open, out capture.Sender) error {
		if err := out.Send(opened()); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}})
	subscribe := func(epoch uint64) *capture.Stream {
		s, err := c.Subscribe(t.Context(), &capturev1.Open{Consumer: "lane", Source: "s", Epoch: epoch, Start: latest()})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	five := subscribe(5)
	if _, err := five.Recv(); err != nil {
		t.Fatal(err)
	}
	if _, err := subscribe(4).Recv(); errs.KindOf(err) != errs.Stale {
		t.Errorf("epoch 4 after 5: %v, want Stale", err)
	}
	six := subscribe(6)
	if _, err := six.Recv(); err != nil {
		t.Fatal(err)
	}
	if _, err := five.Recv(); errs.KindOf(err) != errs.Stale {
		t.Errorf("epoch 5 after 6 came: %v, want Stale", err)
	}
}
