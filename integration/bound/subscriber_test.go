package bound

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/rowmesh/rowmesh/integration/harness"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/rpc"
)

const (
	// capturerMB is what the capturer may have with all of this test's subscribers: 50 MB for itself and its lane, and for each of the ten that do not read the
	// four batches of 256 KiB that wait, the one being built and the one being sent, in buffers of 320 KiB.
	capturerMB         = 50 + (deafOnes+meanOnes)*2 + 30 // and room for a garbage collector that has just begun
	deafOnes, meanOnes = 5, 5
	// stallTime is how long a commit may take to its consumer while subscribers misbehave: a second or two until those that hold the lane's connection up are
	// reset, and the rest for a busy machine. A lane that is held up for good never gets there.
	stallTime = 15 * time.Second
	// bulkRows is what the slow ones do not take: 32 MB, where windows and queues hold six.
	bulkRows = 64_000
)

var (
	latest   = &capturev1.Start{At: &capturev1.Start_Latest{Latest: true}}
	earliest = &capturev1.Start{At: &capturev1.Start_Earliest{Earliest: true}}
)

// subscribe opens a stream by hand, with no client that would follow the rules.
func subscribe(t testing.TB, m *harness.Mesh, open *capturev1.Open) (capturev1.CaptureService_SubscribeClient, error) {
	t.Helper()
	cc, err := rpc.Dial(m.Members["capturer-1"].GRPC, rpc.Security{}, grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(256<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // whatever happens, the test ends
	t.Cleanup(cancel)
	s, err := capturev1.NewCaptureServiceClient(cc).Subscribe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return s, s.Send(&capturev1.SubscribeRequest{Message: &capturev1.SubscribeRequest_Open{Open: open}})
}

// end reads until the stream ends and returns why.
func end(s capturev1.CaptureService_SubscribeClient) error {
	for {
		if _, err := s.Recv(); err != nil {
			return err
		}
	}
}

// shared fails unless n subscribers, and no others, read a source through its shared connection.
func shared(t testing.TB, m *harness.Mesh, source string, n int) error {
	d, err := describe(t, m, source)
	if err != nil {
		return err
	}
	for _, s := range d.Subscribers {
		if s.Shared {
			n--
		}
	}
	if n != 0 || d.Connections != 1 {
		return fmt.Errorf("%d connections, subscribers %v", d.Connections, d.Subscribers)
	}
	return nil
}

// pace is the lane that must go on: a row every ten milliseconds.
type pace struct {
	mu      sync.Mutex
	commits []time.Time
}

// run inserts rows until ctx ends.
func (p *pace) run(t testing.TB, ctx context.Context, addr, table string) {
	conn := harness.Root(t, addr)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := conn.Execute(fmt.Sprintf("insert into %s values (%d, 0, 'fast')", table, i)); err != nil {
			t.Error(err)
			return
		}
		p.mu.Lock()
		p.commits = append(p.commits, time.Now())
		p.mu.Unlock()
	}
}

// worst is the longest time from a commit to its record.
func (p *pace) worst(w *ids) (worst time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, at := range w.times() {
		if i < len(p.commits) && !at.IsZero() {
			worst = max(worst, at.Sub(p.commits[i]))
		}
	}
	return worst
}

// TestSlowAndHostileSubscribers: beside a lane that works, clients of the row stream that read nothing, grant no credit, send rubbish or too much.
func TestSlowAndHostileSubscribers(t *testing.T) {
	addr, kafka := harness.Addr(t, harness.MySQL), harness.Addr(t, harness.Kafka)
	m := harness.Start(t, one, nil)
	conn := harness.Root(t, addr)
	const db = "bound_subscribers"
	table := "(id int primary key, n int not null, pad varchar(1000) not null)"
	harness.Exec(t, conn, "drop database if exists "+db, "create database "+db, "create table "+db+".fast "+table, "create table "+db+".bulk "+table)
	m.Create(t, db, m.Connector(harness.MySQL, addr, db, db, plain(db+".fast")))
	harness.Await(t, 30*time.Second, "running", func() error { return started(t, m, db) })
	w := watch(t, kafka, db+"."+db+".fast", 1<<16)
	ctx, stop := context.WithCancel(t.Context())
	var p pace
	var writer sync.WaitGroup
	writer.Go(func() { p.run(t, ctx, addr, db+".fast") })
	harness.Await(t, 30*time.Second, "the lane", func() error { return w.reached(100) })

	all := &capturev1.TableFilter{IncludeDatabases: []string{db}}
	var deaf []capturev1.CaptureService_SubscribeClient
	for i := range deafOnes { // on the lane's own connection; they have credit, and read nothing more
		s, err := subscribe(t, m, &capturev1.Open{Consumer: fmt.Sprint("deaf-", i), Source: addr, Tables: all, Start: latest, Credit: capture.MaxCredit})
		if err == nil {
			_, err = s.Recv()
		}
		if err != nil {
			t.Fatal(err)
		}
		deaf = append(deaf, s)
	}
	harness.Await(t, time.Minute, "the lane and those who will not read to share", func() error { return shared(t, m, addr, 1+deafOnes) })
	bulk(t, conn, db+".bulk", 0, bulkRows/2)
	var mean []capturev1.CaptureService_SubscribeClient
	for i := range meanOnes { // from the beginning of the log, on connections of their own; they read, but grant no credit beyond the first byte
		s, err := subscribe(t, m, &capturev1.Open{Consumer: fmt.Sprint("mean-", i), Source: addr, Tables: all, Start: earliest, Credit: 1})
		if err != nil {
			t.Fatal(err)
		}
		mean = append(mean, s)
	}
	for name, c := range map[string]struct {
		open *capturev1.Open
		want codes.Code
	}{
		"a token of another program":   {&capturev1.Open{Source: addr, Tables: all, Start: &capturev1.Start{At: &capturev1.Start_Token{Token: []byte("not a token")}}}, codes.InvalidArgument},
		"batches beyond the limit":     {&capturev1.Open{Source: addr, Tables: all, Start: latest, MaxBatchBytes: 1 << 30}, codes.InvalidArgument},
		"an expression with no end":    {&capturev1.Open{Source: addr, Start: latest, Tables: &capturev1.TableFilter{IncludeTables: []string{"(("}}}, codes.InvalidArgument},
		"a filter of two megabytes":    {&capturev1.Open{Source: addr, Start: latest, Tables: &capturev1.TableFilter{IncludeTables: []string{strings.Repeat("x", 2<<20)}}}, codes.InvalidArgument},
		"a message of 128 megabytes":   {&capturev1.Open{Source: addr, Start: latest, Tables: &capturev1.TableFilter{IncludeTables: []string{strings.Repeat("x", 128<<20)}}}, codes.ResourceExhausted},
		"a source that nobody has":     {&capturev1.Open{Source: "no-such-host:3306", Tables: all, Start: latest}, codes.NotFound},
		"nothing that says where from": {&capturev1.Open{Source: addr, Tables: all}, codes.InvalidArgument},
	} {
		s, err := subscribe(t, m, c.open)
		if err == nil || status.Code(err) == codes.Unknown { // EOF: the server has answered already, Recv has it
			err = end(s)
		}
		if status.Code(err) != c.want {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	bulk(t, conn, db+".bulk", bulkRows/2, bulkRows/2)
	harness.Await(t, time.Minute, "a connection for each that lags behind", func() error { return dumps(conn, 1+meanOnes) })
	stop()
	writer.Wait()
	stopped := time.Now()
	harness.Await(t, time.Minute, "every row of the lane", func() error {
		err := w.reached(len(p.commits))
		if err != nil && time.Since(stopped) > 10*time.Second {
			err = fmt.Errorf("%w\n%s", err, where(t, m, kafka, db+"."+db+".fast", db, addr))
		}
		return err
	})
	w.exact(t)
	t.Logf("%d rows, the slowest after %s", len(p.commits), p.worst(w).Round(time.Millisecond))
	if worst := p.worst(w); worst > stallTime {
		t.Errorf("a row of the lane took %s while subscribers misbehaved", worst)
	}
	if c := memory(t, m.Process("capturer-1"), "VmHWM"); c > capturerMB {
		t.Errorf("the capturer had %d MB, want %d at most", c, capturerMB)
	} else {
		t.Logf("the capturer had %d MB at most", c)
	}
	for i, s := range deaf {
		if rows, token, err := read(s); err != io.EOF || len(token) == 0 || rows >= bulkRows {
			t.Errorf("deaf-%d: %d rows, a token of %d bytes, %v; want Reset with a token and the end", i, rows, len(token), err)
		}
	}
	for i, s := range mean { // they are waited for, five minutes: a credit would get them on
		if err := s.Send(&capturev1.SubscribeRequest{Message: &capturev1.SubscribeRequest_Credit{Credit: &capturev1.Credit{Bytes: capture.MaxCredit}}}); err != nil {
			t.Errorf("mean-%d: %v", i, err)
		}
		if rows, _, err := read(s); err != nil || rows < bulkRows {
			t.Errorf("mean-%d: %d of %d rows, %v", i, rows, bulkRows, err)
		}
	}
	if err := m.Running(t, db, 1); err != nil {
		t.Error(err)
	}
}

// read reads a stream to its end, or until it has had all rows of the bulk. It returns the token of a Reset.
func read(s capturev1.CaptureService_SubscribeClient) (rows int, token []byte, err error) {
	for rows < bulkRows {
		r, err := s.Recv()
		if err != nil {
			return rows, token, err
		}
		token = r.GetReset_().GetToken()
		for _, n := range r.GetBatch().GetGroupRows() {
			rows += int(n)
		}
	}
	return rows, token, nil
}

// bulk inserts n rows in transactions of a megabyte and a half.
func bulk(t testing.TB, conn *client.Conn, table string, from, n int) {
	t.Helper()
	for i := from; i < from+n; i += bulkRows / 20 {
		huge(t, conn, table, i, bulkRows/20)
	}
}
