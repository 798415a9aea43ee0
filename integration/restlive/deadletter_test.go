package restlive

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/rowmesh/rowmesh/integration/harness"
)

// rowmesh runs the command line and returns what it says and its exit code.
func rowmesh(t *testing.T, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := harness.Command(ctx, t, args...).CombinedOutput()
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return string(out), code
}

// records reads n records of a topic and returns them as key=value.
func records(t *testing.T, kafka, topic string, n int) []string {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.MetadataMinAge(100*time.Millisecond), kgo.MetadataMaxAge(time.Second), kgo.UnknownTopicRetries(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out []string
	for len(out) < n {
		f := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%s: %d records, want %d: %q", topic, len(out), n, out)
		}
		for _, r := range f.Records() {
			out = append(out, string(r.Key)+"="+string(r.Value))
		}
	}
	return out
}

// TestDeadLetters: rows of a snapshot and of the log, changes of keys and deletions go to the dead letters because of a transform, are listed, and come in their
// order once the transform is mended and they are replayed. The connector goes on.
func TestDeadLetters(t *testing.T) {
	addr := harness.Addr(t, harness.MySQL)
	db := harness.Root(t, addr)
	harness.Exec(t, db, "drop database if exists dead_letters", "create database dead_letters", "create table dead_letters.t (id int primary key, v varchar(20) default 'x')",
		"insert into dead_letters.t values (1, 'a'), (2, null)")
	m := harness.Start(t, harness.Size{Coordinators: 1, Capturers: 1, Publishers: 1}, nil)
	config := m.Connector(harness.MySQL, addr, "dead", "dead_letters", map[string]string{
		"key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false", "include.schema.changes": "false",
		"transforms": "unwrap,o", "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState", "transforms.o.type": "org.apache.kafka.connect.transforms.InsertField$Value",
		"transforms.o.offset.field": "o", "errors.tolerance": "all", "errors.deadletterqueue.topic.name": "dead-letters-queue", "transforms.unwrap.delete.tombstone.handling.mode": "rewrite-with-tombstone",
	})
	m.Create(t, "dead", config)
	queue := func(n int) {
		harness.Await(t, time.Minute, fmt.Sprint(n, " letters"), func() error {
			out, code := rowmesh(t, "deadletter", "list", "dead", "--server", m.REST, "--kafka", m.Kafka, "-o", "name")
			if got := len(strings.Fields(out)); code != 0 || got != n {
				return fmt.Errorf("%d letters, code %d: %s", got, code, out)
			}
			return nil
		})
	}
	queue(2)
	harness.Exec(t, db, "update dead_letters.t set v = 'b' where id = 1", "update dead_letters.t set id = 3 where id = 2", "delete from dead_letters.t where id = 1")
	queue(6) // the tombstones pass: a null is for no transform
	out, code := rowmesh(t, "deadletter", "replay", "dead", "--server", m.REST, "--kafka", m.Kafka)
	if code != 3 || !strings.Contains(out, "Only SinkRecord supported for [field insertion]") || !strings.Contains(out, "0 sent, 0 dropped by transforms, 0 given up, 6 not sent") {
		t.Errorf("before it is mended: %d %s", code, out)
	}
	delete(config, "transforms.o.offset.field")
	config["transforms.o.static.field"], config["transforms.o.static.value"] = "o", "mended"
	if code, body := m.Call(t, "PUT", "/connectors/dead/config", config); code != 200 {
		t.Fatal(code, body)
	}
	out, code = rowmesh(t, "deadletter", "replay", "dead", "--server", m.REST, "--kafka", m.Kafka, "--superseded", "send")
	if code != 0 || !strings.Contains(out, "6 sent, 0 dropped by transforms, 0 given up, 0 not sent") {
		t.Errorf("mended: %d %s", code, out)
	}
	queue(0)
	harness.Exec(t, db, "insert into dead_letters.t values (4, 'd')")
	var got []string
	for _, r := range records(t, m.Kafka, "dead.dead_letters.t", 9) {
		if !strings.HasSuffix(r, "=") { // a tombstone was never a letter
			got = append(got, r)
		}
	}
	want := []string{`{"id":1}={"id":1,"v":"a","__deleted":"false","o":"mended"}`, `{"id":2}={"id":2,"v":"x","__deleted":"false","o":"mended"}`,
		`{"id":1}={"id":1,"v":"b","__deleted":"false","o":"mended"}`, `{"id":2}={"id":2,"v":"x","__deleted":"true","o":"mended"}`,
		`{"id":3}={"id":3,"v":"x","__deleted":"false","o":"mended"}`, `{"id":1}={"id":1,"v":"b","__deleted":"true","o":"mended"}`,
		`{"id":4}={"id":4,"v":"d","__deleted":"false","o":"mended"}`}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("records:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	harness.Await(t, time.Minute, "the connector to run", func() error { return m.Running(t, "dead", 1) })
}
