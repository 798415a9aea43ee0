package publisher

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/prometheus/client_golang/prometheus"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/row"
)

// broker returns the address of a real Kafka, or skips.
func broker(t testing.TB) string {
	t.Helper()
	a := os.Getenv("ROWMESH_TEST_KAFKA")
	if a == "" || testing.Short() {
		t.Skip("needs a real Kafka: set ROWMESH_TEST_KAFKA=host:port and leave out -short")
	}
	return a
}

// fakeMesh is a registry in memory.
type fakeMesh struct {
	mu       sync.Mutex
	conns    map[string]registry.Connector
	owners   map[registry.LaneID]registry.Lane
	watchers map[registry.MemberID]chan []registry.Lane
	statuses map[registry.LaneID]registry.LaneStatus
	down     bool
}

func newFakeMesh() *fakeMesh {
	return &fakeMesh{conns: map[string]registry.Connector{}, owners: map[registry.LaneID]registry.Lane{}, watchers: map[registry.MemberID]chan []registry.Lane{},
		statuses: map[registry.LaneID]registry.LaneStatus{}}
}

// assign gives a lane to a member and tells all, except those in deaf.
func (f *fakeMesh) assign(l registry.Lane, deaf ...registry.MemberID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l.Generation = f.owners[l.LaneID].Generation + 1
	f.owners[l.LaneID] = l
	for id, w := range f.watchers {
		if len(deaf) > 0 && deaf[0] == id {
			continue
		}
		var lanes []registry.Lane
		for _, l := range f.owners {
			if l.Owner == id {
				lanes = append(lanes, l)
			}
		}
		select {
		case <-w:
		default:
		}
		w <- lanes
	}
}

func (f *fakeMesh) status(id registry.LaneID) registry.LaneStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.statuses[id]
}

// member is the view of one publisher.
type member struct {
	*fakeMesh
	id registry.MemberID
}

func (m member) Watch(context.Context) <-chan []registry.Lane {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := make(chan []registry.Lane, 1)
	m.watchers[m.id] = w
	return w
}

func (m member) Confirm(_ context.Context, l registry.Lane) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch now := m.owners[l.LaneID]; {
	case m.down:
		return errs.E(errs.Unavailable, "etcd is away")
	case now.Owner != m.id:
		return errs.E(errs.NotOwner, "it is %s's", now.Owner)
	case now.Generation != l.Generation:
		return errs.E(errs.Stale, "generation %d", now.Generation)
	}
	return nil
}

func (m member) Connector(_ context.Context, name string) (registry.Connector, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.conns[name]
	if !ok {
		return c, errs.E(errs.NotFound, "connector %s", name)
	}
	return c, nil
}

func (m member) CapturerFor(context.Context, registry.SourceID) (string, error) { return "fake", nil }

func (m member) PutStatus(_ context.Context, s registry.LaneStatus) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return errs.E(errs.Unavailable, "etcd is away")
	}
	m.statuses[s.LaneID] = s
	return nil
}

// fakeSource is a capturer whose log holds rows numbered from 1, one source transaction each; the table of a row is t<row%tables>.
type fakeSource struct {
	mu     sync.Mutex
	rows   int
	tables int
	size   int // bytes of the text column
	grown  chan struct{}
	subs   int
	gap    bool // the log is gone
	oldest int  // tokens before it are not in the log
	// broken are tables whose rows cannot be read from a row on.
	broken map[int]int
	// commanded are the commands that streams were given; answer makes what a stream says to one.
	commanded []*capturev1.SnapshotCommand
	answer    func(s *fakeStream, c *capturev1.SnapshotCommand) []*capturev1.SubscribeResponse
}

// wants reports whether a subscription selects a table.
func wants(open *capturev1.Open, table int) bool {
	name := "db." + fmt.Sprintf("t%d", table)
	for _, x := range open.Tables.ExcludeTables {
		if regexp.MustCompile("(?i)^(?:" + x + ")$").MatchString(name) {
			return false
		}
	}
	sh := open.Tables.Shard
	return sh == nil || laneOf(&registry.Layout{Count: sh.Count, Pins: sh.Pins}, name) == sh.Index
}

// breaks returns the first of rows first to last that a subscription wants and that cannot be read; 0 if all can.
func (s *fakeStream) breaks(first, last int) int {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	for i := first; i <= last; i++ {
		table := i % s.f.tables
		if at, ok := s.f.broken[table]; ok && i >= at && !s.stopped[table] && wants(s.open, table) {
			return i
		}
	}
	return 0
}

// breakFrom makes rows of a table unreadable from one on; 0 mends it.
func (f *fakeSource) breakFrom(table, row int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken == nil {
		f.broken = map[int]int{}
	}
	if f.broken[table] = row; row == 0 {
		delete(f.broken, table)
	}
}

func newFakeSource(rows int) *fakeSource {
	return &fakeSource{rows: rows, tables: 1, size: 10, grown: make(chan struct{})}
}

func (f *fakeSource) grow(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows += n
	close(f.grown)
	f.grown = make(chan struct{})
}

func (f *fakeSource) have() (int, chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rows, f.grown
}

// fakeStream is one subscription.
type fakeStream struct {
	f       *fakeSource
	open    *capturev1.Open
	ctx     context.Context
	cancel  context.CancelFunc
	queue   []*capturev1.SubscribeResponse
	next    int
	seq     uint64
	acked   uint64
	started bool
	only    bool
	stopped map[int]bool
	said    chan *capturev1.SubscribeResponse // answers to commands
}

// Subscribe implements Subscribe.
func (f *fakeSource) Subscribe(ctx context.Context, _ string, open *capturev1.Open) (Stream, error) {
	f.mu.Lock()
	f.subs++
	f.mu.Unlock()
	s := &fakeStream{f: f, open: open, stopped: map[int]bool{}, said: make(chan *capturev1.SubscribeResponse, 100)}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s, nil
}

func fakeCheckpoint(row int) *rowv1.Checkpoint {
	return &rowv1.Checkpoint{Token: []byte(strconv.Itoa(row)), TransactionEnd: true, Offset: &rowv1.SourceOffset{File: "binlog.000001", Pos: uint64(row), TsSec: 1}}
}

func (s *fakeStream) start() {
	s.queue = append(s.queue, &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Opened{Opened: &capturev1.Opened{Flavor: "mysql"}}})
	for i := range s.f.tables {
		s.queue = append(s.queue, &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Schema{Schema: fakeTable(i)}})
	}
	switch at := s.open.Start.At.(type) {
	case *capturev1.Start_Token:
		n, err := strconv.Atoi(string(at.Token))
		if err != nil {
			panic(err)
		}
		s.next = n + 1
		if s.f.gap || n < s.f.oldest {
			s.queue = append(s.queue, &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Gap{Gap: &capturev1.Gap{Reason: "the log is purged"}}})
		}
	case *capturev1.Start_Offset:
		s.next = int(at.Offset.Pos) + 1
	case *capturev1.Start_Snapshot: // of the rows that are there
		n, _ := s.f.have()
		for i := s.breaks(1, n); i > 0; i = s.breaks(1, n) {
			s.stopped[i%s.f.tables] = true
			s.queue = append(s.queue, &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_TableError{TableError: &capturev1.TableError{Database: "db",
				Table: fmt.Sprintf("t%d", i%s.f.tables), Reason: "its definition is not understood", Position: &rowv1.Position{File: "binlog.000001", Pos: uint64(n)}}}})
		}
		if s.open.Snapshot.Data {
			for i := 1; i <= n; i += 10 {
				if b := s.f.batch(i, min(i+9, n), func(table int) bool { return wants(s.open, table) && !s.stopped[table] }); b != nil {
					s.seq++
					b.Seq, b.Epoch, b.Snapshot, b.Checkpoint = s.seq, s.open.Epoch, true, fakeCheckpoint(0)
					b.Checkpoint.Offset.Snapshot = "INITIAL"
					for g := range b.GroupOp {
						b.GroupOp[g], b.GroupMarker = byte(row.Read), append(b.GroupMarker, byte(rowv1.Marker_MARKER_TRUE))
					}
					s.queue = append(s.queue, &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Batch{Batch: b}})
				}
			}
		}
		s.next = n + 1
		s.only = s.open.Snapshot.Only
		s.queue = append(s.queue, &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Snapshot{
			Snapshot: &capturev1.SnapshotProgress{Complete: true, Checkpoint: fakeCheckpoint(s.next - 1)}}})
	}
}

func fakeTable(i int) *rowv1.Table {
	return &rowv1.Table{SchemaId: uint32(i + 1), Database: "db", Table: fmt.Sprintf("t%d", i), Key: []uint32{0}, Columns: []*rowv1.Column{
		{Name: "id", Kind: rowv1.Kind_KIND_INT, TypeName: "BIGINT", TypeExpression: "BIGINT", Position: 1},
		{Name: "v", Kind: rowv1.Kind_KIND_STRING, TypeName: "VARCHAR", TypeExpression: "VARCHAR", Position: 2, Nullable: true},
	}}
}

// Recv implements Stream.
func (s *fakeStream) Recv() (*capturev1.SubscribeResponse, error) {
	if !s.started {
		s.started = true
		s.start()
	}
	if len(s.queue) > 0 {
		m := s.queue[0]
		s.queue = s.queue[1:]
		return m, nil
	}
	if s.only {
		return nil, io.EOF
	}
	for {
		n, grown := s.f.have()
		if s.next <= n {
			last := min(s.next+9, n)
			if i := s.breaks(s.next, last); i == s.next {
				s.stopped[i%s.f.tables] = true
				return &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_TableError{TableError: &capturev1.TableError{Database: "db",
					Table: fmt.Sprintf("t%d", i%s.f.tables), Reason: "its rows have another shape", Position: &rowv1.Position{File: "binlog.000001", Pos: uint64(i)}}}}, nil
			} else if i > 0 {
				last = i - 1
			}
			b := s.f.batch(s.next, last, func(table int) bool { return wants(s.open, table) && !s.stopped[table] })
			s.next = last + 1
			if b == nil {
				continue
			}
			s.seq++
			b.Seq, b.Epoch = s.seq, s.open.Epoch
			return &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Batch{Batch: b}}, nil
		}
		select {
		case <-s.ctx.Done():
			return nil, errs.E(errs.Unavailable, "closed")
		case m := <-s.said:
			if b := m.GetBatch(); b != nil {
				s.seq++
				b.Seq, b.Epoch = s.seq, s.open.Epoch
			}
			return m, nil
		case <-grown:
		}
	}
}

// batch holds rows first to last of the tables that are wanted.
func (f *fakeSource) batch(first, last int, wanted func(table int) bool) *rowv1.Batch {
	b := &rowv1.Batch{File: "binlog.000001", Checkpoint: fakeCheckpoint(last)}
	for i := first; i <= last; i++ {
		table := i % f.tables
		if !wanted(table) {
			continue
		}
		b.GroupSchema = append(b.GroupSchema, uint32(table+1))
		b.GroupOp = append(b.GroupOp, byte(row.Create))
		b.GroupFlags = append(b.GroupFlags, 0)
		b.GroupRows = append(b.GroupRows, 1)
		b.Payload = append(b.Payload, 0)
		b.Payload = row.AppendInt(b.Payload, int64(i))
		b.Payload = row.AppendBytes(b.Payload, strings.Repeat("x", f.size))
		b.GroupEnd = append(b.GroupEnd, uint32(len(b.Payload)))
		b.GroupPos = append(b.GroupPos, uint64(i))
		b.GroupEvent = append(b.GroupEvent, 0)
		b.GroupFirstRow = append(b.GroupFirstRow, 0)
		b.GroupTime = append(b.GroupTime, 1)
		b.GroupTxn = append(b.GroupTxn, uint32(len(b.TxnPos)))
		b.TxnSid = append(b.TxnSid, 0)
		b.TxnGno = append(b.TxnGno, 0)
		b.TxnCommitUs = append(b.TxnCommitUs, uint64(time.Now().UnixMicro()))
		// The offset of row i is {pos: i}: the transaction of row i+1 starts there.
		b.TxnPos = append(b.TxnPos, uint64(i-1))
		b.TxnThread = append(b.TxnThread, 1)
		b.TxnServerId = append(b.TxnServerId, 1)
		b.TxnFlags = append(b.TxnFlags, row.TxnBegins|row.TxnEnds)
	}
	if len(b.GroupRows) == 0 {
		return nil
	}
	return b
}

func (s *fakeStream) Release(*capturev1.SubscribeResponse) {}

func (s *fakeStream) Ack(seq uint64) error {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	if seq > s.seq {
		return fmt.Errorf("ack %d beyond %d", seq, s.seq)
	}
	s.acked = seq
	return nil
}

func (s *fakeStream) Snapshot(c *capturev1.SnapshotCommand) error {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	s.f.commanded = append(s.f.commanded, c)
	if s.f.answer != nil {
		for _, m := range s.f.answer(s, c) {
			s.said <- m
		}
	}
	return nil
}

func (s *fakeStream) Close() error {
	s.cancel()
	return nil
}

// world is a mesh, a source and a Kafka for one test, under a name of its own.
type world struct {
	t    *testing.T
	mesh *fakeMesh
	src  *fakeSource
	name string
	conf map[string]string
	addr string // of the broker
	// worker is the broker that the publishers' own settings name; empty: addr.
	worker string
}

func newWorld(t *testing.T, rows int, config map[string]string) *world {
	t.Helper()
	return newWorldOn(t, broker(t), rows, config)
}

func newWorldOn(t *testing.T, addr string, rows int, config map[string]string) *world {
	t.Helper()
	w := &world{t: t, addr: addr, mesh: newFakeMesh(), src: newFakeSource(rows)}
	w.name = fmt.Sprintf("publisher-%s-%d", strings.ReplaceAll(t.Name(), "/", "-"), time.Now().UnixNano())
	w.conf = map[string]string{"connector.class": "io.debezium.connector.mysql.MySqlConnector", "database.hostname": "127.0.0.1", "database.port": "3306",
		"database.user": "u", "database.password": "p", "database.server.id": "1", "topic.prefix": w.name, "value.converter.schemas.enable": "false",
		"key.converter.schemas.enable": "false", "offsets.storage.topic": w.name + "-offsets", "rowmesh.commit.interval.ms": "20",
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter": "org.apache.kafka.connect.json.JsonConverter",
		"schema.history.internal.kafka.bootstrap.servers": "x:1", "schema.history.internal.kafka.topic": "x"}
	for k, v := range config {
		w.conf[k] = v
	}
	w.configure()
	t.Cleanup(w.clean)
	return w
}

func (w *world) configure() {
	c := registry.Connector{Name: w.name, ConfigRevision: 1}
	for k, v := range w.conf {
		c.Config = append(c.Config, registry.Entry{Key: k, Value: v})
	}
	w.mesh.mu.Lock()
	w.mesh.conns[w.name] = c
	w.mesh.mu.Unlock()
}

// clean removes all topics of the world.
func (w *world) clean() { removeTopics(w.t, w.addr, w.name) }

func removeTopics(t testing.TB, addr, prefix string) {
	a, err := kafka.NewAdminClient(&kafka.ConfigMap{"bootstrap.servers": addr})
	if err != nil {
		t.Error(err)
		return
	}
	defer a.Close()
	m, err := a.GetMetadata(nil, true, 10_000)
	if err != nil {
		t.Error(err)
		return
	}
	var names []string
	for n := range m.Topics {
		if strings.HasPrefix(n, prefix) {
			names = append(names, n)
		}
	}
	if len(names) > 0 {
		if _, err := a.DeleteTopics(context.Background(), names); err != nil {
			t.Error(err)
		}
	}
}

// publisher starts one; stop ends it and waits.
func (w *world) publisher(id registry.MemberID) (p *Publisher, stop func()) {
	w.t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if os.Getenv("ROWMESH_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("member", id)
	}
	p, err := New(Config{WorkerID: string(id), Kafka: map[string]string{"bootstrap.servers": cmp.Or(w.worker, w.addr)}, MeshName: "test"}, member{w.mesh, id},
		w.src.Subscribe, log, prometheus.NewRegistry())
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx)
	}()
	stop = func() {
		cancel()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			w.t.Error("a publisher does not end within 10 s")
		}
	}
	w.t.Cleanup(stop)
	w.until("the publisher watches", func() bool {
		w.mesh.mu.Lock()
		defer w.mesh.mu.Unlock()
		return w.mesh.watchers[id] != nil
	})
	return p, stop
}

func (w *world) lane(task, count uint32, owner registry.MemberID) registry.Lane {
	return registry.Lane{LaneID: registry.LaneID{Connector: w.name, Task: task}, Count: count, Layout: 1, Owner: owner, ConfigRevision: 1, Target: registry.Running}
}

// until waits for a condition that other goroutines bring about.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	w.t.Fatalf("never: %s; statuses %+v", what, w.mesh.statuses)
}

// ids reads the ids of a table's committed rows until it has n, and a moment longer.
func (w *world) ids(table string, n int) []int {
	w.t.Helper()
	topic := w.name + ".db." + table
	c, err := kafka.NewConsumer(&kafka.ConfigMap{"bootstrap.servers": w.addr, "group.id": "unused", "isolation.level": "read_committed",
		"enable.auto.commit": false, "log_level": 0, "allow.auto.create.topics": false})
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	if err := c.Assign([]kafka.TopicPartition{{Topic: &topic, Partition: 0, Offset: 0}}); err != nil {
		w.t.Fatal(err)
	}
	var got []int
	end := time.Now().Add(30 * time.Second)
	for time.Now().Before(end) {
		m, err := c.ReadMessage(100 * time.Millisecond)
		if err != nil {
			continue
		}
		var id int
		if _, err := fmt.Sscanf(string(m.Key), `{"id":%d}`, &id); err != nil {
			w.t.Fatalf("key %s: %v", m.Key, err)
		}
		if got = append(got, id); len(got) == n {
			end = time.Now().Add(300 * time.Millisecond) // whatever comes beyond is a duplicate
		}
	}
	return got
}
