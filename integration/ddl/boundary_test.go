package ddl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/capturer"
	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/integration/harness"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/publisher/convert"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/source"
)

// boundaryLog is a log with fifty statements and rows between them: columns come, go and change their names, types, places and character sets; tables change
// theirs. The last one is a row of table z.
func boundaryLog() []string {
	out := []string{"create table t (id int primary key, a int)", "create table u (id int primary key)", "create table z (id int primary key)", "insert into t values (1, 1)"}
	id := 1
	rows := func(t string) {
		id++
		n := strconv.Itoa(id)
		out = append(out, "insert into t (id) values ("+n+")", "update t set "+t+" where id="+n, "insert into u values ("+n+")")
	}
	for i := range 6 {
		n := strconv.Itoa(i)
		for _, s := range [][2]string{
			{"alter table t add b" + n + " varchar(20) character set latin1 default 'é' after id", "b" + n + "='ü'"},
			{"alter table t change b" + n + " c" + n + " varchar(9) character set utf8mb4 comment 'x'", "c" + n + "='漢'"},
			{"alter table t modify c" + n + " enum('x','漢','é') first", "c" + n + "='x'"},
			{"alter table t add d decimal(1" + n + ",2) unsigned not null default 1.5, drop c" + n, "d=2.25"},
			{"rename table t to tmp, u to t, tmp to u", ""},
			{"rename table u to tmp, t to u, tmp to t", "d=3"},
			{"alter table t drop d, add primary_" + n + " bigint unsigned generated always as (id + 1) stored", "a=5"},
			{"alter table t drop primary_" + n + ", default charset latin1", "a=6"},
		} {
			out = append(out, s[0])
			if s[1] != "" {
				rows(s[1])
			}
		}
	}
	return append(out, "drop table u", "insert into z values (1)")
}

// TestSameBytesFromEveryBoundary publishes a log with statements between its rows once, and then again from each place where a transaction ends, through a capturer that finds
// only what the store has, on servers whose log describes its rows in full and on those where it does not. The records are the same, byte for byte.
func TestSameBytesFromEveryBoundary(t *testing.T) {
	for _, part := range []harness.Part{harness.MySQL, harness.MariaDB} {
		addr := harness.Addr(t, part)
		for _, metadata := range []string{"FULL", "MINIMAL"} {
			t.Run(string(part)+"/"+metadata, func(t *testing.T) {
				c, err := source.Connect(t.Context(), source.Config{Addr: addr, User: servers.RootUser})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				run := func(statements ...string) {
					t.Helper()
					for _, s := range statements {
						if err := c.Exec(t.Context(), s); err != nil {
							t.Fatalf("%s: %v", s, err)
						}
					}
				}
				was, err := c.Query(t.Context(), "select @@global.binlog_row_metadata")
				if err != nil {
					t.Fatal(err)
				}
				run("set global binlog_row_metadata="+metadata, "drop database if exists boundary", "create database boundary character set utf8mb4", "use boundary")
				defer func() {
					ctx := context.WithoutCancel(t.Context())
					c.Exec(ctx, "set global binlog_row_metadata="+was.Rows[0][0].Text)
					c.Exec(ctx, "drop database if exists boundary")
				}()
				head, err := source.Head(t.Context(), c)
				if err != nil {
					t.Fatal(err)
				}
				run(boundaryLog()...)
				b := &boundary{T: t, part: part, addr: addr, store: capturer.NewMemoryStore()}
				want := b.publish(b.capturer(), &capturev1.Start{At: &capturev1.Start_Position{Position: head}})
				again, restarts := b.capturer(), 0
				for _, end := range want.ends {
					if end.records == len(want.records) {
						continue
					}
					restarts++
					got := b.publish(again, &capturev1.Start{At: &capturev1.Start_Token{Token: end.token}})
					if diff := cmp.Diff(want.records[end.records:], got.records); diff != "" {
						t.Fatalf("restart %d, from record %d of %d on: -uninterrupted +resumed\n%s", restarts, end.records, len(want.records), diff)
					}
				}
				if restarts < 150 {
					t.Errorf("%d restarts, want one for each statement and transaction", restarts)
				}
				t.Logf("%d restarts, %d records", restarts, len(want.records))
			})
		}
	}
}

// boundary is a source whose records are looked at.
type boundary struct {
	*testing.T
	part  harness.Part
	addr  string
	store *capturer.MemoryStore
}

func (b *boundary) config() map[string]string {
	host, port, err := net.SplitHostPort(b.addr)
	if err != nil {
		b.Fatal(err)
	}
	class := "io.debezium.connector.mysql.MySqlConnector"
	if b.part == harness.MariaDB {
		class = "io.debezium.connector.mariadb.MariaDbConnector"
	}
	return map[string]string{"connector.class": class, "database.hostname": host, "database.port": port, "database.user": servers.RootUser, "database.server.id": "7101",
		"topic.prefix": "boundary", "database.include.list": "boundary", "schema.history.internal.kafka.topic": "h", "schema.history.internal.kafka.bootstrap.servers": "b:1"}
}

// capturer starts one that knows what the store has.
func (b *boundary) capturer() *capturer.Capturer {
	c := capturer.New(capturer.Config{ID: "me"}, capturer.Deps{Assignments: one{b}, Schemas: b.store, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			b.Error(err)
		}
	})
	return c
}

// one assigns the source to the only capturer.
type one struct{ b *boundary }

func (o one) Watch(context.Context) <-chan []registry.Source {
	w := make(chan []registry.Source, 1)
	w <- []registry.Source{{ID: registry.SourceID(strings.ToLower(o.b.addr)), Connector: "c", Owner: "me", Generation: 1}}
	return w
}

func (o one) Config(context.Context, string) (map[string]string, error) { return o.b.config(), nil }

func (o one) Owner(context.Context, registry.SourceID) (registry.MemberID, error) { return "me", nil }

// published is what a subscription became.
type published struct {
	*boundary
	encoder *convert.Encoder
	out     convert.Output
	records []string
	ends    []boundaryEnd
	cancel  context.CancelFunc
	sent    uint64
}

// boundaryEnd is a place where a lane may resume, and how many records were before it.
type boundaryEnd struct {
	token   []byte
	records int
}

var _ capture.Sender = (*published)(nil)

// publish reads from a place to the last row of the log, and renders the records of both topics and of the schema history.
func (b *boundary) publish(c *capturer.Capturer, start *capturev1.Start) *published {
	b.Helper()
	cfg, res := config.Parse("c", b.config())
	if err := res.Err(); err != nil {
		b.Fatal(err)
	}
	enc, err := convert.New(cfg, convert.Options{RunID: "r", Now: func() int64 { return 1_700_000_000_000_000_000 }})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	p := &published{boundary: b, encoder: enc, cancel: cancel}
	err = c.Subscribe(ctx, &capturev1.Open{Consumer: "boundary", Source: b.addr, Tables: capture.TableFilter(cfg), Start: start, MaxBatchBytes: 1, Credit: 1 << 30,
		Ddl: capturev1.DdlScope_DDL_SCOPE_DATABASES}, p)
	if !errors.Is(err, context.Canceled) && !errors.Is(err, io.EOF) {
		b.Fatalf("after %d records: %v", len(p.records), err)
	}
	return p
}

// Acked implements capture.Sender.
func (p *published) Acked() uint64 { return p.sent }

// Send implements capture.Sender.
func (p *published) Send(m *capturev1.SubscribeResponse) error {
	p.out.Reset()
	var err error
	checkpoint := m.GetBatch().GetCheckpoint()
	switch m := m.Message.(type) {
	case *capturev1.SubscribeResponse_Schema:
		err = p.encoder.AddTable(m.Schema)
	case *capturev1.SubscribeResponse_Batch:
		p.sent++
		m.Batch.Seq = p.sent
		err = p.encoder.Batch(m.Batch, &p.out)
	case *capturev1.SubscribeResponse_Ddl:
		p.sent++
		checkpoint = m.Ddl.Checkpoint
		err = p.encoder.Ddl(m.Ddl, &p.out)
		for _, r := range p.encoder.History(m.Ddl) {
			p.records = append(p.records, "history "+string(r.Append(nil)))
		}
	case *capturev1.SubscribeResponse_TableError:
		err = fmt.Errorf("%s.%s stopped: %s", m.TableError.Database, m.TableError.Table, m.TableError.Reason)
	}
	if err != nil {
		return err
	}
	last := false
	for i := range p.out.Records {
		r := &p.out.Records[i]
		text := fmt.Sprintf("%s\n%s\n%s", r.Topic.Name, p.out.Bytes(r.Key), p.out.Bytes(r.Value))
		for _, h := range p.encoder.Headers(nil, &p.out, r) {
			text += "\n" + h.Key + "=" + string(h.Value)
		}
		p.records = append(p.records, text)
		last = last || r.Topic.Name == "boundary.boundary.z"
	}
	if checkpoint.GetTransactionEnd() && len(checkpoint.Token) > 0 {
		p.ends = append(p.ends, boundaryEnd{checkpoint.Token, len(p.records)})
	}
	if last {
		p.cancel()
	}
	return nil
}
