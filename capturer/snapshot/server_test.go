package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/row"
	"github.com/rowmesh/rowmesh/services/source"
)

var servers = []string{"ROWMESH_TEST_MYSQL", "ROWMESH_TEST_MYSQL80", "ROWMESH_TEST_MARIADB"}

// server returns the address of a real server for this test.
func server(t testing.TB, variable string) string {
	t.Helper()
	addr := os.Getenv(variable)
	if testing.Short() || addr == "" {
		t.Skipf("needs a real server: %s is not set, or -short is", variable)
	}
	return addr
}

// fixture is a database of the test's own on a real server.
type fixture struct {
	testing.TB
	cfg  source.Config
	db   string
	conn *source.Conn
}

func newFixture(t testing.TB, variable string) *fixture {
	t.Helper()
	f := &fixture{TB: t, cfg: source.Config{Addr: server(t, variable), User: "root", TLS: source.TLSDisabled}, db: "snapshot_" + strings.ToLower(regexp.MustCompile(`\W+`).ReplaceAllString(t.Name(), "_"))}
	if len(f.db) > 60 {
		f.db = f.db[:60]
	}
	f.conn = f.connect()
	f.exec("DROP DATABASE IF EXISTS " + f.db)
	f.exec("CREATE DATABASE " + f.db + " CHARACTER SET utf8mb4")
	f.exec("USE " + f.db)
	t.Cleanup(func() { f.conn.Exec(context.Background(), "DROP DATABASE IF EXISTS "+f.db) })
	return f
}

func (f *fixture) connect() *source.Conn {
	f.Helper()
	c, err := source.Connect(f.Context(), f.cfg)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { c.Close() })
	return c
}

func (f *fixture) exec(sql string) {
	f.Helper()
	if err := f.conn.Exec(f.Context(), sql); err != nil {
		f.Fatalf("%.200s: %v", sql, err)
	}
}

// options selects the fixture's tables, all of them by default.
func (f *fixture) options(tables ...string) Options {
	next := uint32(0)
	return Options{
		Source: f.cfg, Parse: parseShape,
		Rows: func(db, table string) bool {
			return db == f.db && (len(tables) == 0 || strings.Contains(" "+strings.Join(tables, " ")+" ", " "+table+" "))
		},
		Version: func(t *rowv1.Table) (*rowv1.Table, error) {
			next++
			t = proto.Clone(t).(*rowv1.Table)
			t.SchemaId = next
			return t, nil
		},
		Snapshot: &capturev1.SnapshotOptions{Data: true},
	}
}

// sink collects what a snapshot emits, rows as text.
type sink struct {
	ddl      []string
	schemas  map[uint32]*rowv1.Table
	rows     map[string][]string // "table" to rows, "a|b|c"
	markers  []string            // "table marker", runs of the same collapsed
	progress []*capturev1.SnapshotProgress
	failed   []*capturev1.TableError
	batches  []*rowv1.Batch
	order    []string // kinds of messages, runs collapsed
	// each is called for every message, if set.
	each func(*capturev1.SubscribeResponse) error
}

func newSink() *sink {
	return &sink{schemas: map[uint32]*rowv1.Table{}, rows: map[string][]string{}}
}

func (s *sink) emit(m *capturev1.SubscribeResponse) error {
	kind := strings.TrimPrefix(fmt.Sprintf("%T", m.Message), "*capturev1.SubscribeResponse_")
	if len(s.order) == 0 || s.order[len(s.order)-1] != kind {
		s.order = append(s.order, kind)
	}
	switch m := m.Message.(type) {
	case *capturev1.SubscribeResponse_Ddl:
		s.ddl = append(s.ddl, m.Ddl.Statement)
	case *capturev1.SubscribeResponse_Schema:
		s.schemas[m.Schema.SchemaId] = m.Schema
	case *capturev1.SubscribeResponse_Snapshot:
		s.progress = append(s.progress, m.Snapshot)
	case *capturev1.SubscribeResponse_TableError:
		s.failed = append(s.failed, m.TableError)
	case *capturev1.SubscribeResponse_Batch:
		if err := s.batch(m.Batch); err != nil {
			return err
		}
	}
	if s.each != nil {
		return s.each(m)
	}
	return nil
}

func (s *sink) batch(b *rowv1.Batch) error {
	s.batches = append(s.batches, b)
	start := uint32(0)
	for g, end := range b.GroupEnd {
		t := s.schemas[b.GroupSchema[g]]
		if t == nil {
			return fmt.Errorf("batch of schema %d before its message", b.GroupSchema[g])
		}
		mark := t.Table + " " + rowv1.Marker(b.GroupMarker[g]).String()
		if n := len(s.markers); n == 0 || s.markers[n-1] != mark {
			s.markers = append(s.markers, mark)
		}
		layout := row.NewLayout(t.Columns)
		cells := make([]row.Cell, len(t.Columns))
		p := b.Payload[start:end]
		for range b.GroupRows[g] {
			rest, err := layout.Split(cells, p, b.GroupFlags[g]&row.PartialAfter != 0)
			if err != nil {
				return err
			}
			p = rest
			text := make([]string, len(cells))
			for i := range cells {
				text[i] = show(t.Columns[i].Kind, &cells[i])
			}
			s.rows[t.Table] = append(s.rows[t.Table], strings.Join(text, "|"))
		}
		if len(p) > 0 {
			return fmt.Errorf("group %d of %s has %d bytes left", g, t.Table, len(p))
		}
		start = end
	}
	if int(start) != len(b.Payload) {
		return fmt.Errorf("%d of %d bytes are in groups", start, len(b.Payload))
	}
	return nil
}

// parseShape is the usual one, except that it does not understand tables named bad.
func parseShape(d Defaults, create string) (*rowv1.Table, error) {
	if strings.HasPrefix(create, "CREATE TABLE `bad") {
		return nil, errors.New("a table that is not understood")
	}
	return parseCreate(d, create)
}
