package capturer

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rowmesh/rowmesh/capturer/binlog"
	"github.com/rowmesh/rowmesh/capturer/snapshot"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/gtid"
	"github.com/rowmesh/rowmesh/services/row"
	"github.com/rowmesh/rowmesh/services/source"
)

// script is a server whose log is written by a test. Each event has 100 bytes; rows have one column, an integer.
type script struct {
	mu      sync.Mutex
	events  []binlog.Event
	changed chan struct{} // closed and replaced when events grows
	maps    map[string]*binlog.TableMap
	dials   int
	open    map[*scriptLog]bool

	breakAfter func() int  // events that a connection lives for; nil: for ever
	buffered   func() bool // whether more is on the socket where there is more; nil: always

	uuid    string         // of the server that answers
	id      uint32         // its server_id
	gtids   bool           // transactions have GTIDs
	txns    uint64         // those with a GTID
	onBreak func()         // called with mu as a connection breaks
	away    bool           // nobody answers
	shapes  []*rowv1.Table // of the tables now
}

const scriptUUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"

const scriptEvent = 100

func newScript() *script {
	return &script{uuid: "u", changed: make(chan struct{}), maps: make(map[string]*binlog.TableMap), open: make(map[*scriptLog]bool)}
}

// append adds events to the log. Requires: they begin and end at boundaries.
func (s *script) append(events ...binlog.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ev := range events {
		if s.gtids {
			if ev.Kind == binlog.Begin {
				s.txns++
			}
			ev.SID, ev.GNO = scriptUUID, s.txns
		}
		ev.File, ev.Pos = "binlog.000001", 4+uint64(len(s.events))*scriptEvent
		ev.EndPos, ev.Time, ev.ServerID = ev.Pos+scriptEvent, 1_700_000_000, 1
		s.events = append(s.events, ev)
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// txn commits a transaction with one event of rows per argument.
func (s *script) txn(table string, events ...[]int64) {
	s.mu.Lock()
	tm := s.maps[table]
	if tm == nil {
		tm = &binlog.TableMap{Database: "db", Name: table, Columns: make([]binlog.ColumnMap, 1)}
		s.maps[table] = tm
	}
	s.mu.Unlock()
	list := []binlog.Event{{Kind: binlog.Begin}}
	for i, ids := range events {
		list = append(list, binlog.Event{Kind: binlog.Rows, Table: tm, Op: row.Create, EventIndex: uint32(2 + 2*i), Query: packIDs(ids)})
	}
	s.append(append(list, binlog.Event{Kind: binlog.Commit})...)
}

// head is the end of the log.
func (s *script) head() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return 4 + uint64(len(s.events))*scriptEvent
}

func packIDs(ids []int64) []byte {
	var b []byte
	for _, id := range ids {
		b = append(b, byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
	}
	return b
}

// badRow begins the packed id of a row that does not decode: badRow << 24.
const badRow = 0xEE

// scriptPlan decodes such rows.
type scriptPlan struct{}

func (scriptPlan) Flags(*binlog.Event) byte { return 0 }

func (scriptPlan) Append(dst []byte, ev *binlog.Event, first, most int) ([]byte, int, bool, error) {
	total, n, before := len(ev.Query)/4, 0, len(dst)
	for first+n < total && (n == 0 || len(dst)-before < most) {
		q := ev.Query[(first+n)*4:]
		if q[0] == badRow {
			return dst, n, false, fmt.Errorf("row %d is broken", first+n)
		}
		dst = append(dst, 0)
		dst = row.AppendInt(dst, int64(q[0])<<24|int64(q[1])<<16|int64(q[2])<<8|int64(q[3]))
		n++
	}
	return dst, n, first+n >= total, nil
}

// scriptLog is a connection to a script.
type scriptLog struct {
	s      *script
	next   int
	lives  int
	closed chan struct{}
	once   sync.Once
	ev     binlog.Event
}

func (l *scriptLog) Next() (*binlog.Event, error) {
	for {
		l.s.mu.Lock()
		changed, ok := l.s.changed, l.next < len(l.s.events)
		if ok {
			l.ev = l.s.events[l.next]
		}
		if l.lives == 0 && l.s.onBreak != nil {
			l.s.onBreak()
		}
		l.s.mu.Unlock()
		if l.lives == 0 {
			return nil, errs.E(errs.Unavailable, "connection reset by the script")
		}
		if ok {
			l.next++
			l.lives--
			return &l.ev, nil
		}
		select {
		case <-changed:
		case <-l.closed:
			return nil, errs.E(errs.Unavailable, "closed")
		}
	}
}

func (l *scriptLog) Buffered() bool {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	return l.next < len(l.s.events) && (l.s.buffered == nil || l.s.buffered())
}

func (l *scriptLog) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.s.mu.Lock()
		delete(l.s.open, l)
		l.s.mu.Unlock()
	})
	return nil
}

func (s *script) Dial(_ context.Context, _ source.Info, _ uint32, start binlog.Start) (Log, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dials++
	next := max(int(start.Pos)-4, 0) / scriptEvent
	if start.GTIDs != "" {
		set, err := gtid.Parse(config.MySQL, start.GTIDs)
		if err != nil {
			return nil, err
		}
		for next = 0; next < len(s.events) && set.ContainsGTID(scriptUUID, s.events[next].GNO); next++ {
		}
	}
	l := &scriptLog{s: s, next: next, lives: -1, closed: make(chan struct{})}
	if s.breakAfter != nil {
		l.lives = s.breakAfter()
	}
	s.open[l] = true
	return l, nil
}

func (s *script) Compile(*binlog.TableMap, *rowv1.Table) (Plan, error) { return scriptPlan{}, nil }

func (s *script) Ranges(context.Context) (Ranges, error) {
	return nil, errs.E(errs.Unsupported, "a script has no tables")
}

func (s *script) Snapshot(context.Context, snapshot.Options, snapshot.Emit) (*snapshot.Result, error) {
	return nil, errs.E(errs.Unsupported, "a script has no tables")
}

func (s *script) Connect(context.Context) (Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return nil, errs.E(errs.Unavailable, "connection refused by the script")
	}
	return scriptSession{s, s.uuid, s.id, s.gtids}, nil
}

func (s *script) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// awaitOne waits until all subscribers share a connection: one that comes may have had its own for a moment.
func (s *script) awaitOne(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); s.connections() != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections, want one shared", s.connections())
		}
	}
}

type scriptSession struct {
	s     *script
	uuid  string
	id    uint32
	gtids bool
}

func (s scriptSession) Info() source.Info {
	mode := "OFF"
	if s.gtids {
		mode = "ON"
	}
	return source.Info{Flavor: config.MySQL, Version: "8.4.0", Major: 8, Minor: 4, ServerUUID: s.uuid, ServerID: s.id, LogBin: true, GTIDMode: mode}
}

func (s scriptSession) Head(context.Context) (*rowv1.Position, error) {
	p := &rowv1.Position{File: "binlog.000001", Pos: s.s.head(), ServerUuid: s.uuid}
	s.s.mu.Lock()
	defer s.s.mu.Unlock()
	if s.gtids && s.s.txns > 0 {
		p.Gtids = fmt.Sprintf("%s:1-%d", scriptUUID, s.s.txns)
	}
	return p, nil
}

func (s scriptSession) Oldest(context.Context) (*rowv1.Position, error) {
	return &rowv1.Position{File: "binlog.000001", Pos: 4, ServerUuid: s.uuid}, nil
}

func (s scriptSession) Logs(context.Context) ([]source.BinaryLog, error) {
	return []source.BinaryLog{{Name: "binlog.000001", Size: s.s.head()}}, nil
}
func (s scriptSession) Before(context.Context, string, uint64) (string, error) { return "", nil }

func (s scriptSession) ShowCreate(_ context.Context, db, table string) (string, error) {
	return "CREATE TABLE `" + table + "` (`id` int NOT NULL, PRIMARY KEY (`id`))", nil
}

func (s scriptSession) Shapes(ctx context.Context, wants func(string, string) bool, _ int) ([]*rowv1.Table, *rowv1.Position, error) {
	var out []*rowv1.Table
	for _, t := range s.s.shapes {
		if wants(t.Database, t.Table) {
			out = append(out, t)
		}
	}
	at, err := s.Head(ctx)
	return out, at, err
}
func (s scriptSession) Sizes(context.Context) ([]*capturev1.TableInfo, error)  { return nil, nil }
func (s scriptSession) Databases(context.Context) ([]snapshot.Database, error) { return nil, nil }
func (s scriptSession) Close() error                                           { return nil }

// scripted runs a source over a script until the test ends.
type scripted struct {
	t     testing.TB
	s     *script
	src   *dbSource
	store *MemoryStore
	stop  func()
}

func newScripted(t testing.TB) *scripted {
	s, store := newScript(), NewMemoryStore()
	src := newSource("script:3306", s, store, capture.NewPool(), newMetrics(prometheus.NewRegistry()), slog.New(slog.NewTextHandler(io.Discard, nil)), 0)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		src.run(ctx, func() error { return errs.E(errs.NotOwner, "the test ends") })
	}()
	stop := sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return &scripted{t, s, src, store, stop}
}

// subscriber collects what one subscription is sent.
type subscriber struct {
	mu       sync.Mutex
	messages []*capturev1.SubscribeResponse
	ids      []int64
	hold     chan struct{} // while not nil, Send waits for it
	changed  chan struct{}
	done     chan error
	cancel   context.CancelFunc
}

func (s *subscriber) Acked() uint64 { return 0 }

func (s *subscriber) Send(m *capturev1.SubscribeResponse) error {
	if s.hold != nil && m.GetOpened() == nil {
		<-s.hold
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
	if b := m.GetBatch(); b != nil {
		for p := b.Payload; len(p) > 0; {
			c := row.Cell{}
			n := 2
			for p[n-1] >= 0x80 {
				n++
			}
			c.Data = p[1:n]
			s.ids = append(s.ids, c.Int())
			p = p[n:]
		}
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

func (sc *scripted) subscribe(start *capturev1.Start, change ...func(*capturev1.Open, *subscriber)) *subscriber {
	sub := &subscriber{changed: make(chan struct{}), done: make(chan error, 1)}
	o := &capturev1.Open{Consumer: "c", Source: "script:3306", Start: start, MaxBatchBytes: capture.DefaultBatchBytes, Tables: &capturev1.TableFilter{IncludeTables: []string{`db\.t`}}}
	for _, c := range change {
		c(o, sub)
	}
	f, err := newFeed(o, sc.src.pool)
	if err != nil {
		sc.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	sub.cancel = cancel
	go func() { sub.done <- sc.src.subscribe(ctx, f, sub) }()
	return sub
}

// await waits until the subscriber's state is as wanted.
func (s *subscriber) await(t testing.TB, what string, ok func(*subscriber) bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		done, changed := ok(s), s.changed
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case err := <-s.done:
			t.Fatalf("subscription ended with %v before %s", err, what)
		case <-deadline:
			s.mu.Lock()
			defer s.mu.Unlock()
			t.Fatalf("no %s after 20 s; %d rows, %d messages", what, len(s.ids), len(s.messages))
		}
	}
}

func (s *subscriber) awaitRows(t testing.TB, n int) {
	t.Helper()
	s.await(t, fmt.Sprint(n, " rows"), func(s *subscriber) bool { return len(s.ids) >= n })
}

func at(pos uint64) *capturev1.Start {
	return &capturev1.Start{At: &capturev1.Start_Position{Position: &rowv1.Position{File: "binlog.000001", Pos: pos, ServerUuid: "u"}}}
}

func sequence(first, n int64) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = first + int64(i)
	}
	return out
}

// seeded returns a random source whose seed a failure prints.
func seeded(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
