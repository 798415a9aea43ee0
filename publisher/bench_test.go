package publisher

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/row"
)

// benchStream repeats one batch of wide updates.
type benchStream struct {
	open  *capturev1.Open
	ctx   context.Context
	left  *atomic.Int64 // rows still to send
	batch func(seq uint64, epoch uint64) *rowv1.Batch
	rows  int64
	seq   uint64
	state int
}

func (s *benchStream) Recv() (*capturev1.SubscribeResponse, error) {
	s.state++
	switch {
	case s.state == 1:
		return &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Snapshot{Snapshot: &capturev1.SnapshotProgress{Complete: true, Checkpoint: fakeCheckpoint(0)}}}, nil
	case s.state == 2:
		return &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Schema{Schema: wideTable()}}, nil
	case s.left.Add(-s.rows) < -s.rows:
		<-s.ctx.Done()
		return nil, io.ErrUnexpectedEOF
	}
	s.seq++
	return &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Batch{Batch: s.batch(s.seq, s.open.Epoch)}}, nil
}

func (s *benchStream) Release(*capturev1.SubscribeResponse)      {}
func (s *benchStream) Ack(uint64) error                          { return nil }
func (s *benchStream) Snapshot(*capturev1.SnapshotCommand) error { return nil }
func (s *benchStream) Close() error                              { return nil }

// wideTable is the reference table of the stage benchmarks.
func wideTable() *rowv1.Table {
	col := func(i uint32, name string, kind rowv1.Kind, typ string, length, scale uint32) *rowv1.Column {
		c := &rowv1.Column{Name: name, Kind: kind, TypeName: typ, TypeExpression: typ, Position: i, Nullable: i > 1}
		if length > 0 {
			c.Length = &length
		}
		if scale > 0 {
			c.Scale = &scale
		}
		return c
	}
	return &rowv1.Table{SchemaId: 1, Database: "db", Table: "wide", Key: []uint32{0}, Columns: []*rowv1.Column{
		col(1, "id", rowv1.Kind_KIND_INT, "BIGINT", 0, 0), col(2, "k", rowv1.Kind_KIND_INT, "INT", 0, 0),
		col(3, "c", rowv1.Kind_KIND_STRING, "CHAR", 120, 0), col(4, "pad", rowv1.Kind_KIND_STRING, "VARCHAR", 60, 0),
		col(5, "ts", rowv1.Kind_KIND_DATETIME, "DATETIME", 3, 0), col(6, "amount", rowv1.Kind_KIND_DECIMAL, "DECIMAL", 12, 2),
		col(7, "doc", rowv1.Kind_KIND_JSON, "JSON", 0, 0)}}
}

func wideImage(b []byte, id int64) []byte {
	b = append(b, 0)
	b = row.AppendInt(b, id)
	b = row.AppendInt(b, id*7%1000)
	b = row.AppendBytes(b, "83868641912-28773972837-60736120486-75162659906-27563526494-20381887404-41576422241-93426793964-56405065102-33518432330")
	b = row.AppendBytes(b, "67847967377-48000963322-62604785301-91415491898-96926520291")
	b = row.AppendDatetime(b, row.PackDatetime(row.PackDate(2026, 11, 24), 5, 42, uint64(id%60), 123000))
	b = row.AppendBytes(b, []byte{1, 0x23, 0x45})
	return row.AppendBytes(b, `{"a":1,"b":"two","c":[3,4]}`)
}

// wideBatch has n updates in one transaction.
func wideBatch(n int) func(seq, epoch uint64) *rowv1.Batch {
	var payload []byte
	for i := range n {
		payload = wideImage(wideImage(payload, int64(i)), int64(i))
	}
	return func(seq, epoch uint64) *rowv1.Batch {
		return &rowv1.Batch{Seq: seq, Epoch: epoch, File: "binlog.000001", GroupSchema: []uint32{1}, GroupOp: []byte{'u'}, GroupFlags: []byte{0},
			GroupRows: []uint32{uint32(n)}, GroupEnd: []uint32{uint32(len(payload))}, GroupPos: []uint64{seq}, GroupEvent: []uint32{1}, GroupFirstRow: []uint32{0},
			GroupTime: []uint32{1}, GroupTxn: []uint32{0}, TxnSid: []uint32{0}, TxnGno: []uint64{0}, TxnCommitUs: []uint64{uint64(time.Now().UnixMicro())},
			TxnPos: []uint64{seq}, TxnThread: []uint32{1}, TxnServerId: []uint32{1}, TxnFlags: []byte{3}, Checkpoint: fakeCheckpoint(int(seq)), Payload: payload}
	}
}

// BenchmarkLane is the publisher alone: wide updates from memory to a real Kafka, with transactions. An op is a row.
func BenchmarkLane(b *testing.B) {
	for _, plain := range []bool{false, true} {
		b.Run(fmt.Sprintf("plain=%v", plain), func(b *testing.B) {
			addr := broker(b)
			mesh := newFakeMesh()
			name := fmt.Sprintf("publisher-bench-%d", time.Now().UnixNano())
			b.Cleanup(func() { removeTopics(b, addr, name) })
			conf := map[string]string{"connector.class": "io.debezium.connector.mysql.MySqlConnector", "database.hostname": "h", "database.user": "u",
				"database.server.id": "1", "topic.prefix": name, "value.converter.schemas.enable": "false", "key.converter.schemas.enable": "false",
				"value.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter": "org.apache.kafka.connect.json.JsonConverter",
				"offsets.storage.topic": name + "-offsets", "topic.creation.default.partitions": "4", "topic.creation.default.replication.factor": "1",
				"schema.history.internal.kafka.bootstrap.servers": "x:1", "schema.history.internal.kafka.topic": "x", "extended.headers.enabled": "false"}
			c := registry.Connector{Name: name, ConfigRevision: 1}
			for k, v := range conf {
				c.Config = append(c.Config, registry.Entry{Key: k, Value: v})
			}
			mesh.conns[name] = c
			var left atomic.Int64
			const rows = 400 // about 256 KiB of payload
			batch := wideBatch(rows)
			subscribe := func(ctx context.Context, _ string, open *capturev1.Open) (Stream, error) {
				return &benchStream{open: open, ctx: ctx, left: &left, batch: batch, rows: rows}, nil
			}
			p, err := New(Config{WorkerID: "bench", Kafka: map[string]string{"bootstrap.servers": addr}, PlainProducer: plain}, member{mesh, "bench"}, subscribe,
				slog.New(slog.NewTextHandler(io.Discard, nil)), prometheus.NewRegistry())
			if err != nil {
				b.Fatal(err)
			}
			left.Store(int64(b.N))
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				p.Run(ctx)
			}()
			defer func() { cancel(); <-done }()
			for mesh.watching("bench") == nil {
				time.Sleep(time.Millisecond)
			}
			mesh.assign(registry.Lane{LaneID: registry.LaneID{Connector: name}, Count: 1, Layout: 1, Owner: "bench", ConfigRevision: 1, Target: registry.Running})
			var first time.Time
			var cpu time.Duration // of this process: the machine may be busy with others
			b.ReportAllocs()
			for {
				r, err := p.Report(ctx, nil)
				if err != nil {
					b.Fatal(err)
				}
				if len(r.Lanes) == 1 {
					if first.IsZero() && r.Lanes[0].Commits > 0 {
						first, cpu = time.Now(), cpuTime()
						b.ResetTimer()
					}
					if r.Lanes[0].Rows >= uint64(b.N) {
						break
					}
				}
				time.Sleep(time.Millisecond)
			}
			b.ReportMetric(float64(b.N)/time.Since(first).Seconds(), "rows/s")
			b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/float64(b.N), "cpu-ns/row")
		})
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (f *fakeMesh) watching(id registry.MemberID) chan []registry.Lane {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.watchers[id]
}
