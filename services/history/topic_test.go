package history

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/rowmesh/rowmesh/services/errs"
)

// topics makes topics on a real Kafka.
type topics struct {
	*testing.T
	addr  string
	admin *kafka.AdminClient
}

func newTopics(t *testing.T) *topics {
	addr := os.Getenv("ROWMESH_TEST_KAFKA")
	if addr == "" || testing.Short() {
		t.Skip("needs a real Kafka: set ROWMESH_TEST_KAFKA=host:port and leave out -short")
	}
	a, err := kafka.NewAdminClient(&kafka.ConfigMap{"bootstrap.servers": addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return &topics{t, addr, a}
}

// with returns a topic that holds values; nil is a null.
func (t *topics) with(name string, partitions int, values ...[]byte) Topic {
	t.Helper()
	name = fmt.Sprintf("history-test-%s-%d", name, time.Now().UnixNano())
	res, err := t.admin.CreateTopics(t.Context(), []kafka.TopicSpecification{{Topic: name, NumPartitions: partitions, ReplicationFactor: 1}}, kafka.SetAdminOperationTimeout(10*time.Second))
	if err != nil || res[0].Error.Code() != kafka.ErrNoError {
		t.Fatal(err, res)
	}
	t.Cleanup(func() {
		if _, err := t.admin.DeleteTopics(context.Background(), []string{name}); err != nil {
			t.Error(err)
		}
	})
	p, err := kafka.NewProducer(&kafka.ConfigMap{"bootstrap.servers": t.addr, "enable.idempotence": true})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, v := range values {
		delivered := make(chan kafka.Event, 1)
		if err := p.Produce(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &name, Partition: 0}, Value: v}, delivered); err != nil {
			t.Fatal(err)
		}
		if m := (<-delivered).(*kafka.Message); m.TopicPartition.Error != nil {
			t.Fatal(m.TopicPartition.Error)
		}
	}
	return Topic{Name: name, Client: map[string]string{"bootstrap.servers": t.addr}}
}

func record(server, ddl string) []byte {
	r := sample()
	r.Server, r.Statement = server, ddl
	return r.Append(nil)
}

// The records of a connector come in order, those of others do not; what is wrong with a topic is told with its name, the offset and what to do, and nothing is passed over.
func TestRead(t *testing.T) {
	k := newTopics(t)
	whole := record("shop", "one")
	trimmed := k.with("trimmed", 1, whole, record("shop", "two"))
	if _, err := k.admin.DeleteRecords(t.Context(), []kafka.TopicPartition{{Topic: &trimmed.Name, Partition: 0, Offset: 1}}); err != nil {
		t.Fatal(err)
	}
	absent := Topic{Name: fmt.Sprintf("history-test-absent-%d", time.Now().UnixNano()), Client: map[string]string{"bootstrap.servers": k.addr}}
	for _, c := range []struct {
		name  string
		topic Topic
		read  []string
		kind  errs.Kind
		says  []string
	}{
		{"a history", k.with("good", 1, whole, nil, record("other", "x"), record("shop", "two")), []string{"one", "two"}, "", nil},
		{"nothing in it", k.with("empty", 1), nil, "", nil},
		{"no topic", absent, nil, "", nil},
		{"a record that is cut off", k.with("cut", 1, whole, whole[:len(whole)/2]), []string{"one"}, errs.Corrupt, []string{"offset 1", "cut off", "snapshot.mode=recovery"}},
		{"a record of another program", k.with("foreign", 1, whole, whole, []byte(`{"order":7}`)), []string{"one", "one"}, errs.Corrupt, []string{"offset 2", "source.server"}},
		{"bytes", k.with("bytes", 1, []byte{0, 0, 0, 0, 1, 2}), nil, errs.Corrupt, []string{"offset 0", "no JSON object"}},
		{"another connector's topic", k.with("others", 1, record("other", "x")), nil, errs.Corrupt, []string{`nothing of topic.prefix "shop"`, `"other"`}},
		{"a beginning that was deleted", trimmed, nil, errs.Corrupt, []string{"begins at offset 1", "retention.ms"}},
		{"two partitions", k.with("two", 2, whole), nil, errs.Invalid, []string{"2 partitions"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var read []string
			found, err := c.topic.Read(t.Context(), "shop", func(r *Record) error {
				if !strings.Contains(r.Origin, c.topic.Name) {
					t.Errorf("origin %q does not name the topic", r.Origin)
				}
				read = append(read, r.Statement)
				return nil
			})
			if strings.Join(read, ",") != strings.Join(c.read, ",") {
				t.Errorf("read %v, want %v", read, c.read)
			}
			if c.kind == "" {
				if err != nil || found != (len(c.read) > 0) {
					t.Errorf("found %v, %v", found, err)
				}
				return
			}
			if errs.KindOf(err) != c.kind {
				t.Fatalf("%v, want %s", err, c.kind)
			}
			for _, s := range append(c.says, c.topic.Name) {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%v: does not say %q", err, s)
				}
			}
		})
	}
	stop := errors.New("enough")
	if _, err := k.with("stop", 1, whole, whole).Read(t.Context(), "shop", func(*Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v, want the error of the reader", err)
	}
}

// Brokers that do not answer are no empty history.
func TestReadAway(t *testing.T) {
	_, err := Topic{Name: "h", Client: map[string]string{"bootstrap.servers": "127.0.0.1:1"}, Timeout: 200 * time.Millisecond}.Read(t.Context(), "s", func(*Record) error { return nil })
	if errs.KindOf(err) != errs.Unavailable || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("%v, want Unavailable with the address", err)
	}
}
