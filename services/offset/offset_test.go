package offset

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
)

func TestKey(t *testing.T) {
	for _, c := range []struct {
		key  Key
		want string
	}{
		{Key{Connector: "inventory-connector", Server: "dbserver1"}, `["inventory-connector",{"server":"dbserver1"}]`},
		{Key{Connector: "a\"b\n", Server: "p&é", Lane: 3}, `["a\"b\n",{"server":"p&é","lane":"3"}]`},
		{Key{Connector: "c", Server: "p", Frozen: 7}, `["c",{"server":"p","lane":"0","layout":"7"}]`},
	} {
		if got := string(c.key.Bytes()); got != c.want {
			t.Errorf("%+v: %s; want %s", c.key, got, c.want)
		}
		name, _, ok := splitKey([]byte(c.want))
		if !ok || name != c.key.Connector {
			t.Errorf("splitKey(%s): %q, %v", c.want, name, ok)
		}
	}
}

// The texts are what Debezium 3.6 and 3.5 wrote.
func TestDebeziumOffsets(t *testing.T) {
	for _, text := range []string{
		`{"ts_sec":1795369392,"file":"binlog.000001","pos":212761,"gtids":"453a28ca-e69b-11f1-8913-02fc00000001:1-637","row":1,"server_id":1,"event":2}`,
		`{"ts_sec":1700000000,"file":"binlog.000001","pos":182897,"gtids":"0-2-637","row":1,"server_id":2,"event":2}`,
		`{"file":"binlog.000001","pos":4}`,
		`{"file":"binlog.000001","pos":4,"transaction_id":"u:1","transaction_data_collection_order_db.a":3,"transaction_data_collection_order_db.b":1}`,
	} {
		o, err := Decode([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if !o.Foreign() {
			t.Errorf("%s: taken for our own", text)
		}
		if got := string(o.Append(nil)); got != text {
			t.Errorf("got  %s\nwant %s", got, text)
		}
		o.Token, o.Layout = []byte{0, 255, 1}, 42
		ours := o.Append(nil)
		back, err := Decode(ours)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(o, back, protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
		if got := string(Public(ours)); got != text {
			t.Errorf("Public: got %s\nwant %s", got, text)
		}
	}
}

func TestDecodeOlderAndBroken(t *testing.T) {
	o, err := Decode([]byte(`{"file":"f","pos":1,"snapshot":true,"transaction_id":null,"gtids":null}`))
	if err != nil || !o.InSnapshot() {
		t.Errorf("%+v, %v; want a snapshot under way", o, err)
	}
	for _, bad := range []string{``, `[]`, `{"pos":-1}`, `{"pos":1.5}`, `{"file":"f","rowmesh":"2.1.AA"}`, `{"file":"f","rowmesh":"1.x.AA"}`, `{"file":"f","rowmesh":"1.1.*"}`} {
		if _, err := Decode([]byte(bad)); errs.KindOf(err) != errs.Corrupt {
			t.Errorf("Decode(%s): %v; want kind Corrupt", bad, err)
		}
	}
}

// The hashes are those of org.apache.kafka.common.utils.UtilsTest.
func TestPartitionIsMurmur2(t *testing.T) {
	for key, hash := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	} {
		want := (hash & 0x7fffffff) % 25
		if got := Partition([]byte(key), 25); got != want {
			t.Errorf("Partition(%q): %d; want %d", key, got, want)
		}
	}
}

// broker returns the address of a real Kafka, or skips.
func broker(t *testing.T) string {
	t.Helper()
	a := os.Getenv("ROWMESH_TEST_KAFKA")
	if a == "" || testing.Short() {
		t.Skip("needs a real Kafka: set ROWMESH_TEST_KAFKA=host:port and leave out -short")
	}
	return a
}

func newStore(t *testing.T, partitions int) *Store {
	t.Helper()
	topic := fmt.Sprintf("offset-%s-%d", t.Name(), time.Now().UnixNano())
	s := NewStore(Config{Client: map[string]string{"bootstrap.servers": broker(t)}, Topic: topic, Partitions: partitions})
	t.Cleanup(func() {
		r, err := s.open()
		if err != nil {
			t.Error(err)
			return
		}
		defer r.close()
		if _, err := r.admin.DeleteTopics(context.Background(), []string{topic}); err != nil {
			t.Error(err)
		}
	})
	return s
}

func producer(t *testing.T, s *Store, id string) *kafka.Producer {
	t.Helper()
	m := s.client()
	m["transactional.id"] = id
	m["go.delivery.reports"] = false
	p, err := kafka.NewProducer(&m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if err := p.InitTransactions(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

func produce(t *testing.T, s *Store, p *kafka.Producer, k Key, o Offset) {
	t.Helper()
	if err := p.Produce(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &s.cfg.Topic, Partition: 0}, Key: k.Bytes(), Value: o.Append(nil)}, nil); err != nil {
		t.Fatal(err)
	}
	if n := p.Flush(10_000); n != 0 {
		t.Fatalf("%d records not delivered", n)
	}
}

func at(pos uint64) Offset {
	return Offset{Source: &rowv1.SourceOffset{File: "binlog.000001", Pos: pos}, Token: []byte{1}, Layout: 1}
}

// A reader that stops at the end that read_committed reports misses a commit behind another lane's open transaction.
func TestReadBehindAnOpenTransaction(t *testing.T) {
	s := newStore(t, 1)
	key := Key{Connector: "mine", Server: "p"}
	if _, ok, n, err := s.Read(t.Context(), key); ok || n != 1 || err != nil {
		t.Fatalf("empty topic: ok %v, partitions %d, %v", ok, n, err)
	}
	mine, other := producer(t, s, s.Topic()+"-mine"), producer(t, s, s.Topic()+"-other")
	step := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	step(mine.BeginTransaction())
	produce(t, s, mine, key, at(100))
	step(mine.CommitTransaction(t.Context()))
	step(other.BeginTransaction())
	produce(t, s, other, Key{Connector: "other", Server: "p"}, at(1))
	step(mine.BeginTransaction())
	produce(t, s, mine, key, at(200))
	step(mine.CommitTransaction(t.Context()))
	step(mine.BeginTransaction())
	produce(t, s, mine, key, at(300))
	step(mine.AbortTransaction(t.Context()))

	type result struct {
		o   Offset
		err error
	}
	done := make(chan result, 1)
	go func() {
		o, _, _, err := s.Read(t.Context(), key)
		done <- result{o, err}
	}()
	select {
	case r := <-done:
		t.Fatalf("Read returned %v, %v before the foreign transaction ended", r.o.Source, r.err)
	case <-time.After(time.Second):
	}
	step(other.AbortTransaction(t.Context()))
	r := <-done
	if r.err != nil || r.o.Source.GetPos() != 200 {
		t.Errorf("Read: %v, %v; want position 200", r.o.Source, r.err)
	}
}

func TestPutListAndWindows(t *testing.T) {
	s := newStore(t, 2)
	ctx := t.Context()
	put := func(partition, value string) {
		t.Helper()
		e := Entry{Partition: []byte(partition)}
		if value != "" {
			e.Value = []byte(value)
		}
		if err := s.Put(ctx, "c", []Entry{e}, []string{s.Topic() + "-lane"}); err != nil {
			t.Fatal(err)
		}
	}
	lane := producer(t, s, s.Topic()+"-lane")
	put(`{"server": "p"}`, `{"file":"f","pos":7}`)
	put(`{"server":"p","lane":"1"}`, `{"file":"f","pos":8}`)
	put(`{"server":"p","lane":"2"}`, `{"file":"f","pos":9}`)
	put(`{"server":"p","lane":"2"}`, ``)
	// Put has fenced the lane that still ran.
	if err := lane.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	err := lane.Produce(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &s.cfg.Topic, Partition: 0}, Value: []byte("of a zombie")}, nil)
	if err == nil {
		err = lane.CommitTransaction(ctx)
	}
	if err == nil {
		t.Error("the lane's producer still commits after Put")
	}
	entries, err := s.List(ctx, "c")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range entries {
		got[string(e.Partition)] = string(e.Value)
	}
	want := map[string]string{`{"server":"p"}`: `{"file":"f","pos":7}`, `{"server":"p","lane":"1"}`: `{"file":"f","pos":8}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// Push the record out of the first window.
	filler := producer(t, s, s.Topic()+"-filler")
	if err := filler.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	key := Key{Connector: "c", Server: "p"}
	for range 3 * firstWindow {
		m := &kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &s.cfg.Topic, Partition: Partition(key.Bytes(), 2)}, Key: []byte("x"), Value: []byte("y")}
		if err := filler.Produce(m, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := filler.CommitTransaction(ctx); err != nil {
		t.Fatal(err)
	}
	o, ok, _, err := s.Read(ctx, key)
	if err != nil || !ok || o.Source.Pos != 7 || !o.Foreign() {
		t.Errorf("Read: %v, %v, %v; want position 7", o.Source, ok, err)
	}
}

// A topic that deletes by age forgets the places of lanes that stand still.
func TestReadRefusesATopicThatDeletes(t *testing.T) {
	addr := broker(t)
	a, err := kafka.NewAdminClient(&kafka.ConfigMap{"bootstrap.servers": addr})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	topic := fmt.Sprintf("offset-policy-%d", time.Now().UnixNano())
	_, err = a.CreateTopics(t.Context(), []kafka.TopicSpecification{{Topic: topic, NumPartitions: 1, ReplicationFactor: 1, Config: map[string]string{"cleanup.policy": "delete"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer a.DeleteTopics(context.Background(), []string{topic})
	s := NewStore(Config{Client: map[string]string{"bootstrap.servers": addr}, Topic: topic})
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) { // until the topic is known everywhere
		_, _, _, err := s.Read(t.Context(), Key{Connector: "c", Server: "s"})
		if errs.KindOf(err) == errs.Invalid {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("read: %v, want an error of kind Invalid", err)
		}
	}
}
