package capturer

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/row"
	"github.com/rowmesh/rowmesh/services/source"
)

// engine is a real server that tests run on.
type engine struct{ name, env, class string }

var engines = []engine{
	{"mysql", "ROWMESH_TEST_MYSQL", "io.debezium.connector.mysql.MySqlConnector"},
	{"mariadb", "ROWMESH_TEST_MARIADB", "io.debezium.connector.mariadb.MariaDbConnector"},
}

// onEngines runs a test on each real server that there is.
func onEngines(t *testing.T, f func(t *testing.T, m *mesh)) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			addr := os.Getenv(e.env)
			if testing.Short() || addr == "" {
				t.Skipf("needs a real server: set %s to its host:port and run without -short", e.env)
			}
			f(t, newMesh(t, e, addr))
		})
	}
}

// testUser reads the logs, so that a test can tell its binlog connections from those of others on the server, and of other runs.
var testUser = fmt.Sprintf("capturer_t%d", os.Getpid())

// mesh is a capturer behind a gRPC server, with one source.
type mesh struct {
	t        testing.TB
	addr     string
	db       string
	client   *capture.Client
	capturer *Capturer
	assigned *assignments
	store    *MemoryStore
	conn     *source.Conn
}

func newMesh(t testing.TB, e engine, addr string) *mesh {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	cfg := map[string]string{
		"connector.class": e.class, "database.hostname": host, "database.port": port, "database.user": testUser, "database.password": "x", "topic.prefix": "capturer",
		"database.server.id": "7001", "schema.history.internal.kafka.topic": "h", "schema.history.internal.kafka.bootstrap.servers": "b:9092",
	}
	m := &mesh{t: t, addr: addr, db: "capturer_" + strings.ToLower(strings.ReplaceAll(strings.Split(t.Name(), "/")[0], "Test", "")), store: NewMemoryStore(), assigned: newAssignments(cfg)}
	m.assigned.set(m.source())
	if m.conn, err = source.Connect(t.Context(), source.Config{Addr: addr, User: "root"}); err != nil {
		t.Fatal(err)
	}
	m.exec("CREATE USER IF NOT EXISTS "+testUser+"@'%' IDENTIFIED BY 'x'", "GRANT ALL ON *.* TO "+testUser+"@'%'")
	m.exec("DROP DATABASE IF EXISTS "+m.db, "CREATE DATABASE "+m.db+" CHARACTER SET utf8mb4", "USE "+m.db)
	m.start()
	t.Cleanup(func() {
		m.conn.Exec(context.Background(), "DROP DATABASE IF EXISTS "+m.db)
		m.conn.Exec(context.Background(), "DROP USER IF EXISTS "+testUser+"@'%'")
		m.conn.Close()
	})
	return m
}

// source is the mesh's source as the registry has it.
func (m *mesh) source() registry.Source {
	return registry.Source{ID: registry.SourceID(strings.ToLower(m.addr)), Connector: "c1", Owner: "me", Generation: 1}
}

// start makes a capturer with what the mesh's store holds, as after a restart.
func (m *mesh) start() {
	m.t.Helper()
	pool := capture.NewPool()
	m.capturer = New(Config{ID: "me", Pool: pool}, Deps{Assignments: m.assigned, Schemas: m.store, Log: slog.New(slog.NewTextHandler(testWriter{m.t}, nil))})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.capturer.Run(ctx) }()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.t.Fatal(err)
	}
	srv := grpc.NewServer(capture.ServerOptions(pool)...)
	capturev1.RegisterCaptureServiceServer(srv, capture.NewServer(m.capturer))
	go srv.Serve(l)
	cc, err := grpc.NewClient(l.Addr().String(), append(capture.DialOptions(pool), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		m.t.Fatal(err)
	}
	m.client = capture.NewClient(cc)
	m.t.Cleanup(func() {
		cc.Close()
		cancel()
		select {
		case err := <-done:
			if err != nil {
				m.t.Errorf("capturer ended with %v", err)
			}
		case <-time.After(10 * time.Second):
			m.t.Error("the capturer did not end within 10 s")
		}
		srv.Stop()
	})
}

func (m *mesh) exec(statements ...string) {
	m.t.Helper()
	for _, s := range statements {
		if err := m.conn.Exec(m.t.Context(), s); err != nil {
			m.t.Fatalf("%s: %v", s, err)
		}
	}
}

// open subscribes to the mesh's database.
func (m *mesh) open(start *capturev1.Start, change ...func(*capturev1.Open)) *capture.Stream {
	m.t.Helper()
	o := &capturev1.Open{Consumer: m.t.Name(), Source: m.addr, Tables: &capturev1.TableFilter{IncludeDatabases: []string{m.db}}, Start: start, Epoch: 0}
	for _, c := range change {
		c(o)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	m.t.Cleanup(cancel)
	s, err := m.client.Subscribe(ctx, o)
	if err != nil {
		m.t.Fatal(err)
	}
	r, err := s.Recv()
	if err != nil {
		m.t.Fatal(err)
	}
	if r.GetOpened() == nil {
		m.t.Fatalf("first message is %v, want Opened", r)
	}
	return s
}

var latest = &capturev1.Start{At: &capturev1.Start_Latest{Latest: true}}

func fromToken(b []byte) *capturev1.Start {
	return &capturev1.Start{At: &capturev1.Start_Token{Token: b}}
}

// seen is what a subscriber read.
type seen struct {
	rows    []string
	ddls    []*capturev1.Ddl
	after   []int // rows before each checkpoint of tokens
	tokens  [][]byte
	ends    []bool
	errors  []*capturev1.TableError
	layouts map[uint32]*row.Layout
	schemas map[uint32]*rowv1.Table
	last    *capturev1.SubscribeResponse

	expectErrors bool
}

func newSeen() *seen {
	return &seen{layouts: make(map[uint32]*row.Layout), schemas: make(map[uint32]*rowv1.Table)}
}

// read takes messages until enough says so.
func (s *seen) read(t *testing.T, stream *capture.Stream, enough func(*seen) bool) *seen {
	t.Helper()
	for !enough(s) {
		m, err := stream.Recv()
		if err == io.EOF {
			return s
		}
		if err != nil {
			t.Fatalf("after %d rows: %v", len(s.rows), err)
		}
		s.take(t, m)
		if len(s.errors) > 0 && !s.expectErrors {
			t.Fatalf("after %d rows: %v", len(s.rows), s.errors)
		}
		stream.Release(m)
	}
	return s
}

func (s *seen) take(t *testing.T, m *capturev1.SubscribeResponse) {
	t.Helper()
	s.last = m
	var c *rowv1.Checkpoint
	switch m := m.Message.(type) {
	case *capturev1.SubscribeResponse_Schema:
		s.layouts[m.Schema.SchemaId] = row.NewLayout(m.Schema.Columns)
		s.schemas[m.Schema.SchemaId] = m.Schema
	case *capturev1.SubscribeResponse_Batch:
		s.batch(t, m.Batch)
		c = m.Batch.Checkpoint
	case *capturev1.SubscribeResponse_Ddl:
		s.ddls = append(s.ddls, m.Ddl)
		s.rows = append(s.rows, "ddl "+m.Ddl.Statement)
		c = m.Ddl.Checkpoint
	case *capturev1.SubscribeResponse_TableError:
		s.errors = append(s.errors, m.TableError)
	}
	if c != nil && len(c.Token) > 0 {
		s.tokens = append(s.tokens, c.Token)
		s.after = append(s.after, len(s.rows))
		s.ends = append(s.ends, c.TransactionEnd)
	}
}

// batch spells the rows of a batch: "c t 1,abc".
func (s *seen) batch(t *testing.T, b *rowv1.Batch) {
	t.Helper()
	payload := b.Payload
	for g := range b.GroupSchema {
		shape, lay := s.schemas[b.GroupSchema[g]], s.layouts[b.GroupSchema[g]]
		if shape == nil {
			t.Fatalf("batch %d uses schema %d, which was not sent", b.Seq, b.GroupSchema[g])
		}
		op := row.Op(b.GroupOp[g])
		for range b.GroupRows[g] {
			text := string(op) + " " + shape.Table
			for image := range op.Images() {
				partial := b.GroupFlags[g]&row.PartialAfter != 0
				if op == row.Delete || op == row.Update && image == 0 {
					partial = b.GroupFlags[g]&row.PartialBefore != 0
				}
				cells := make([]row.Cell, len(shape.Columns))
				var err error
				if payload, err = lay.Split(cells, payload, partial); err != nil {
					t.Fatal(err)
				}
				text += " " + spell(shape, cells)
			}
			s.rows = append(s.rows, text)
		}
		if op == row.Truncate {
			s.rows = append(s.rows, "t "+shape.Table)
		}
		if int(b.GroupEnd[g]) != len(b.Payload)-len(payload) {
			t.Fatalf("group %d ends at %d, its images at %d", g, b.GroupEnd[g], len(b.Payload)-len(payload))
		}
	}
}

func spell(shape *rowv1.Table, cells []row.Cell) string {
	var out []string
	for i, c := range cells {
		switch {
		case !c.Present:
			out = append(out, "-")
		case c.Null:
			out = append(out, "NULL")
		case shape.Columns[i].Kind == rowv1.Kind_KIND_INT:
			out = append(out, fmt.Sprint(c.Int()))
		case shape.Columns[i].Kind == rowv1.Kind_KIND_UINT:
			out = append(out, fmt.Sprint(c.Uint()))
		default:
			out = append(out, string(c.Data))
		}
	}
	return strings.Join(out, ",")
}

func rowsAtLeast(n int) func(*seen) bool { return func(s *seen) bool { return len(s.rows) >= n } }

// assignments is a registry.
type assignments struct {
	config map[string]string

	mu       sync.Mutex
	sources  []registry.Source
	watchers []chan []registry.Source
}

func newAssignments(config map[string]string) *assignments { return &assignments{config: config} }

func (a *assignments) set(sources ...registry.Source) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sources = sources
	for _, w := range a.watchers {
		w <- sources
	}
}

func (a *assignments) Watch(context.Context) <-chan []registry.Source {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := make(chan []registry.Source, 10) // more than a test sets
	w <- a.sources
	a.watchers = append(a.watchers, w)
	return w
}

func (a *assignments) Owner(_ context.Context, id registry.SourceID) (registry.MemberID, error) {
	if id == "elsewhere:3306" {
		return "other", nil
	}
	return "", errs.E(errs.NotFound, "source %s is used by no connector", id)
}

func (a *assignments) Config(context.Context, string) (map[string]string, error) {
	return a.config, nil
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	if testing.Verbose() {
		fmt.Fprintf(os.Stderr, "%s: %s", w.t.Name(), p)
	}
	return len(p), nil
}
