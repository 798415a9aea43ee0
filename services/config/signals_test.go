package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSignalOptions(t *testing.T) {
	c, res := Parse("c", with("signal.enabled.channels=source, kafka,file", "signal.data.collection=db.sig", "signal.poll.interval.ms=200", "signal.kafka.topic=orders",
		"signal.kafka.bootstrap.servers=k:9092", "signal.consumer.security.protocol=SASL_SSL", "signal.consumer.auto.offset.reset=latest", "signal.file=/tmp/s",
		"read.only=true", "incremental.snapshot.chunk.size=7", "incremental.snapshot.watermarking.strategy=insert_delete",
		"notification.enabled.channels=sink,log", "notification.sink.topic.name=told"))
	if err := res.Err(); err != nil {
		t.Fatal(err)
	}
	want := Signals{Source: true, Kafka: true, Files: true, Table: "db.sig", Poll: 200 * time.Millisecond, Topic: "orders", Group: "kafka-signal",
		Client: map[string]string{"bootstrap.servers": "k:9092", "security.protocol": "SASL_SSL"}, FromEnd: true, File: "/tmp/s", ReadOnly: true, ChunkRows: 7, DeleteWindows: true}
	if d := cmp.Diff(want, c.Signals); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(Notifications{Topic: "told", Log: true}, c.Notifications); d != "" {
		t.Error(d)
	}
	if texts := res.Texts(); len(texts) > 0 {
		t.Errorf("warned: %q", texts)
	}
}

func TestSignalTableWithoutDatabase(t *testing.T) {
	_, res := Parse("c", with("signal.data.collection=signals"))
	if texts := strings.Join(res.Texts(), "\n"); res.Err() != nil || !strings.Contains(texts, "signals is not database.table") {
		t.Errorf("%v, warned: %s", res.Err(), texts)
	}
}

func TestSignalProblems(t *testing.T) {
	for _, c := range []struct {
		name, option, want string
	}{
		{"a sink without a topic", "notification.enabled.channels=sink",
			"The 'notification.sink.topic.name' value is invalid: Notification topic name must be provided when kafka notification channel is enabled"},
		{"Kafka without brokers", "signal.enabled.channels=kafka", "The 'signal.kafka.bootstrap.servers' value is invalid: A value is required"},
		{"two tables", "signal.data.collection=a.b,c.d", "only one signal data collection is permitted"},
	} {
		_, res := Parse("c", with(c.option))
		if err := res.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	for option, want := range map[string]string{
		"signal.enabled.channels=source,jmx":    "the channel jmx is not there",
		"notification.enabled.channels=log,jmx": "the channel jmx is not there",
		"signal.consumer.fetch.min.bytes=1":     "signal.consumer.fetch.min.bytes means nothing here",
	} {
		_, res := Parse("c", with(option))
		if texts := strings.Join(res.Texts(), "\n"); !strings.Contains(texts, want) {
			t.Errorf("%s: %q, want %s", option, texts, want)
		}
	}
	if _, res := Parse("c", with("signal.enabled.channels=file", "tasks.max=3")); !strings.Contains(strings.Join(res.Texts(), "\n"), "task 0 alone") {
		t.Errorf("a file for several tasks: %q", res.Texts())
	}
}
