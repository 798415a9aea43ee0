package kafka

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/services/errs"
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

func client(t testing.TB) map[string]string {
	return map[string]string{"bootstrap.servers": broker(t)}
}

func newProducer(t testing.TB, cfg Config) *Producer {
	t.Helper()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// topic makes a topic of its own for a test and removes it afterwards.
func topic(t testing.TB, partitions int) string {
	t.Helper()
	name := fmt.Sprintf("publisher-%s-%d", strings.NewReplacer("/", "-", "=", "-").Replace(t.Name()), time.Now().UnixNano())
	p, err := New(Config{Client: client(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	topics, err := p.Topics()
	if err != nil {
		t.Fatal(err)
	}
	if _, created, err := topics.Ensure(t.Context(), name, TopicSpec{Partitions: partitions, ReplicationFactor: -1}); err != nil || !created {
		t.Fatalf("Ensure: created %v, %v", created, err)
	}
	t.Cleanup(func() { remove(t, name) })
	return name
}

func remove(t testing.TB, name string) {
	a, err := kafka.NewAdminClient(&kafka.ConfigMap{"bootstrap.servers": broker(t)})
	if err != nil {
		t.Error(err)
		return
	}
	defer a.Close()
	if _, err := a.DeleteTopics(context.Background(), []string{name}); err != nil {
		t.Error(err)
	}
}

// read returns "partition key value headers" of the first n records that a consumer sees.
func read(t *testing.T, name, isolation string, partition int32, n int) []string {
	t.Helper()
	c, err := kafka.NewConsumer(&kafka.ConfigMap{"bootstrap.servers": broker(t), "group.id": "unused", "isolation.level": isolation, "enable.auto.commit": false})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Assign([]kafka.TopicPartition{{Topic: &name, Partition: partition, Offset: 0}}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for end := time.Now().Add(20 * time.Second); len(got) < n && time.Now().Before(end); {
		m, err := c.ReadMessage(time.Second)
		if err != nil {
			continue
		}
		text := func(b []byte) string {
			if b == nil {
				return "null"
			}
			return string(b)
		}
		s := text(m.Key) + "=" + text(m.Value)
		for _, h := range m.Headers {
			s += fmt.Sprintf(" %s:%s", h.Key, text(h.Value))
		}
		if m.Timestamp.Year() == 1970 { // one that the record came with
			s += fmt.Sprintf(" at %d", m.Timestamp.UnixMilli())
		}
		got = append(got, s)
	}
	return got
}

func TestHandleOfPinnedVersion(t *testing.T) {
	p, err := New(Config{Client: map[string]string{"bootstrap.servers": "127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.shim == nil {
		t.Fatal("the shim does not find librdkafka's handle in this version of confluent-kafka-go")
	}
	if _, v := kafka.LibraryVersion(); v != "2.15.0" {
		t.Errorf("librdkafka %s: the prototypes in shim.h and the layout of headers in shim.c are of 2.15.0", v)
	}
	p.Headers([]Header{{"a", []byte("1")}, {"b", nil}, {"c", []byte{}}})
	if !p.shim.share {
		t.Error("records copy their headers: the layout of header sets in shim.c is another one in this version of librdkafka")
	}
}

func TestProduceInTransactions(t *testing.T) {
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprintf("plain=%v", plain), func(t *testing.T) {
			name := topic(t, 2)
			p := newProducer(t, Config{Client: client(t), TransactionalID: name, Plain: plain})
			ctx := t.Context()
			id, err := p.Topic(name)
			if err != nil {
				t.Fatal(err)
			}
			hs := p.Headers([]Header{{"a", []byte("1")}, {"b", nil}, {"c", []byte{}}})
			newKey := p.HeaderName("new")
			if err := p.Fence(ctx); err != nil {
				t.Fatal(err)
			}
			var want []string
			for i := range 3 {
				var b Batch
				b.Add(id, 1, None, fmt.Appendf(nil, "k%d", i), fmt.Appendf(nil, "v%d", i))
				b.Add(id, 1, hs, []byte("h"), nil)
				b.Add(id, 1, None, nil, []byte{})
				for _, h := range []int32{None, hs} {
					b.Add(id, 1, h, nil, []byte("x"))
					r := &b.Records[len(b.Records)-1]
					r.Extra, r.ExtraOff, r.ExtraLen = newKey, int32(len(b.Arena)), 2
					b.Arena = append(b.Arena, "nk"...)
				}
				if err := p.Begin(); err != nil {
					t.Fatal(err)
				}
				if err := p.Produce(ctx, &b); err != nil {
					t.Fatal(err)
				}
				if err := p.Commit(ctx); err != nil {
					t.Fatal(err)
				}
				want = append(want, fmt.Sprintf("k%d=v%d", i, i), "h=null a:1 b:null c:", "null=", "null=x new:nk", "null=x new:nk a:1 b:null c:")
			}
			if diff := cmp.Diff(want, read(t, name, "read_committed", 1, len(want))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestOwnHeaders: records with headers and times of their own, with the shim and without it.
func TestOwnHeaders(t *testing.T) {
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprintf("plain=%v", plain), func(t *testing.T) {
			name := topic(t, 1)
			p := newProducer(t, Config{Client: client(t), TransactionalID: name, Plain: plain})
			id, err := p.Topic(name)
			if err != nil {
				t.Fatal(err)
			}
			a, z := p.HeaderName("a"), p.HeaderName("z")
			if err := p.Fence(t.Context()); err != nil {
				t.Fatal(err)
			}
			var b Batch
			b.Add(id, 0, None, []byte("k"), []byte("v"))
			b.Own = append(b.Own, OwnHeader{Name: z, Off: 0, Len: 1}, OwnHeader{Name: a, Len: None}, OwnHeader{Name: a, Off: 1, Len: 0})
			b.Records[0].OwnCount, b.Records[0].Timestamp = 3, 7000
			b.Add(id, 0, None, nil, []byte("w"))
			b.Records[1].Timestamp = 8000
			b.Add(id, 0, None, nil, []byte("x"))
			b.Records[2].OwnFrom, b.Records[2].OwnCount = 2, 1
			if err := p.Begin(); err != nil {
				t.Fatal(err)
			}
			if err := p.Produce(t.Context(), &b); err != nil {
				t.Fatal(err)
			}
			if err := p.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"k=v z:k a:null a: at 7000", "null=w at 8000", "null=x a:"}, read(t, name, "read_committed", 0, 3)); diff != "" {
				t.Error(diff)
			}
			b.Records[2].OwnCount = 2
			if err := p.Produce(t.Context(), &b); err == nil {
				t.Error("headers outside of the batch were taken")
			}
		})
	}
}

func TestZombieIsFenced(t *testing.T) {
	name := topic(t, 1)
	ctx := t.Context()
	put := func(p *Producer, v string) error {
		id, err := p.Topic(name)
		if err != nil {
			return err
		}
		var b Batch
		b.Add(id, 0, None, []byte("k"), []byte(v))
		if err := p.Begin(); err != nil {
			return err
		}
		return p.Produce(ctx, &b)
	}
	zombie := newProducer(t, Config{Client: client(t), TransactionalID: name})
	if err := zombie.Fence(ctx); err != nil {
		t.Fatal(err)
	}
	if err := put(zombie, "of the zombie"); err != nil {
		t.Fatal(err)
	}
	owner := newProducer(t, Config{Client: client(t), TransactionalID: name})
	if err := owner.Fence(ctx); err != nil {
		t.Fatal(err)
	}
	if err := put(owner, "of the owner"); err != nil {
		t.Fatal(err)
	}
	if err := owner.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := zombie.Commit(ctx); errs.KindOf(err) != errs.Stale {
		t.Errorf("commit of the zombie: %v; want kind Stale", err)
	}
	if diff := cmp.Diff([]string{"k=of the owner"}, read(t, name, "read_committed", 0, 1)); diff != "" {
		t.Error(diff)
	}
}

func TestRecordTooLarge(t *testing.T) {
	for _, plain := range []bool{false, true} {
		name := topic(t, 1)
		p := newProducer(t, Config{Client: client(t), MaxRecordBytes: 2000, Plain: plain})
		id, err := p.Topic(name)
		if err != nil {
			t.Fatal(err)
		}
		var b Batch
		b.Add(id, 0, None, nil, []byte("first"))
		b.Add(id, 0, None, nil, make([]byte, 3000))
		b.Add(id, 0, None, nil, []byte("last"))
		err = p.Produce(t.Context(), &b)
		re, ok := err.(*RecordError)
		if !ok || re.Index != 1 || re.Size != 3000 || re.Max != 2000 {
			t.Fatalf("Produce: %#v; want a RecordError for record 1", err)
		}
		if err := p.ProduceFrom(t.Context(), &b, 2); err != nil {
			t.Fatal(err)
		}
		if err := p.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"null=first", "null=last"}, read(t, name, "read_committed", 0, 2)); diff != "" {
			t.Error(diff)
		}
	}
}

// A topic that takes less than the producer: the broker refuses the record, and the commit must name where.
func TestFailedDeliveryFailsTheCommit(t *testing.T) {
	name := fmt.Sprintf("publisher-small-%d", time.Now().UnixNano())
	p := newProducer(t, Config{Client: client(t), TransactionalID: name})
	topics, err := p.Topics()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := topics.Ensure(t.Context(), name, TopicSpec{1, 1, map[string]string{"max.message.bytes": "1000"}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, name) })
	id, err := p.Topic(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Fence(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Begin(); err != nil {
		t.Fatal(err)
	}
	var b Batch
	b.Add(id, 0, None, nil, make([]byte, 5000))
	if err := p.Produce(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	err = p.Commit(t.Context())
	if errs.KindOf(err) != errs.Invalid || !strings.Contains(fmt.Sprint(err), name+", partition 0") {
		t.Errorf("Commit: %v; want kind Invalid naming %s, partition 0", err, name)
	}
}

func TestEnsureTopic(t *testing.T) {
	p := newProducer(t, Config{Client: client(t)})
	topics, err := p.Topics()
	if err != nil {
		t.Fatal(err)
	}
	name := topic(t, 3)
	n, created, err := topics.Ensure(t.Context(), name, TopicSpec{Partitions: 7, ReplicationFactor: 1})
	if n != 3 || created || err != nil {
		t.Errorf("existing topic: %d, %v, %v; want 3, false, nil", n, created, err)
	}
	if got := topics.Partitions(name); got != 3 {
		t.Errorf("Partitions: %d; want 3", got)
	}
	fresh := fmt.Sprintf("publisher-ensure-%d", time.Now().UnixNano())
	n, created, err = topics.Ensure(t.Context(), fresh, TopicSpec{-1, -1, map[string]string{"cleanup.policy": "compact"}})
	if n < 1 || !created || err != nil {
		t.Errorf("new topic with the broker's defaults: %d, %v, %v", n, created, err)
	}
	remove(t, fresh)
	for _, bad := range []struct {
		name string
		spec TopicSpec
	}{
		{"publisher bad name", TopicSpec{1, 1, nil}},
		{"publisher-refused", TopicSpec{1, 99, nil}},
		{"publisher-refused", TopicSpec{1, 1, map[string]string{"no.such.config": "1"}}},
	} {
		_, _, err := topics.Ensure(t.Context(), bad.name, bad.spec)
		if errs.KindOf(err) != errs.Invalid || !strings.Contains(fmt.Sprint(err), bad.name) {
			t.Errorf("Ensure(%q, %v): %v; want kind Invalid that names the topic", bad.name, bad.spec, err)
		}
	}
}

func TestDeadBrokerBlocksInBoundedMemory(t *testing.T) {
	p := newProducer(t, Config{Client: map[string]string{"bootstrap.servers": "127.0.0.1:1"}, QueueBytes: 1 << 20})
	id, err := p.Topic("nowhere")
	if err != nil {
		t.Fatal(err)
	}
	var b Batch
	for range 2000 {
		b.Add(id, 0, None, nil, make([]byte, 1000))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := p.Produce(ctx, &b); err == nil {
		t.Error("2 MB went into a queue of 1 MiB")
	}
	if q := p.Queued(); q > 1100 {
		t.Errorf("%d records of 1000 bytes are queued; want at most 1 MiB of them", q)
	}
}

func BenchmarkProduce(b *testing.B) {
	for _, plain := range []bool{false, true} {
		for _, headers := range []bool{false, true} {
			b.Run(fmt.Sprintf("plain=%v/headers=%v", plain, headers), func(b *testing.B) {
				name := topic(b, 4)
				p := newProducer(b, Config{Client: client(b), TransactionalID: name, Plain: plain})
				id, err := p.Topic(name)
				if err != nil {
					b.Fatal(err)
				}
				hs := int32(None)
				if headers {
					hs = p.Headers([]Header{{"__debezium.context.connectorLogicalName", []byte("p")}, {"__debezium.context.taskId", []byte("0")},
						{"__debezium.context.connectorName", []byte("mysql")},
						{"__debezium.context.runId", []byte("0d3f7a2c-6f4e-4b39-9a51-1c9f6f0f7a10")}})
				}
				if err := p.Fence(b.Context()); err != nil {
					b.Fatal(err)
				}
				var batch Batch
				value := make([]byte, 880)
				for i := range 256 {
					batch.Add(id, int32(i%4), hs, []byte(`{"id":12345}`), value)
				}
				b.ReportAllocs()
				b.SetBytes(880)
				cpu := cpuTime() // of this process: the machine may be busy with others
				b.ResetTimer()
				for i := 0; i < b.N; {
					if err := p.Begin(); err != nil {
						b.Fatal(err)
					}
					for range 64 {
						if i >= b.N {
							break
						}
						if err := p.Produce(b.Context(), &batch); err != nil {
							b.Fatal(err)
						}
						i += len(batch.Records)
					}
					if err := p.Commit(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
