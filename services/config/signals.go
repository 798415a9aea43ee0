package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Signals holds the options of signals and of the incremental snapshots that they ask for.
type Signals struct {
	Source bool // signal.enabled.channels has source: rows of Table are signals
	Kafka  bool // it has kafka
	Files  bool // it has file
	// Table is signal.data.collection, "database.table".
	Table string
	// Poll is signal.poll.interval.ms.
	Poll time.Duration
	// Topic is signal.kafka.topic, Group signal.kafka.groupId.
	Topic, Group string
	// Client are librdkafka's properties of the consumer: signal.kafka.bootstrap.servers and signal.consumer.*.
	Client map[string]string
	// FromEnd: without a place of its own the consumer starts at the end (signal.consumer.auto.offset.reset=latest), not at the beginning.
	FromEnd bool
	// File is signal.file.
	File string
	// ReadOnly is read.only: nothing is written to Table.
	ReadOnly bool
	// ChunkRows is incremental.snapshot.chunk.size.
	ChunkRows int
	// DeleteWindows is incremental.snapshot.watermarking.strategy=insert_delete: the end of a chunk deletes the row that its beginning has written.
	DeleteWindows bool
}

// Notifications holds notification.*.
type Notifications struct {
	// Topic is notification.sink.topic.name where the channel sink is enabled; else empty.
	Topic string
	// Log: the channel log is enabled.
	Log bool
}

// Any reports that somebody is to be notified.
func (n Notifications) Any() bool { return n.Topic != "" || n.Log }

const signalConsumer = "signal.consumer."

func (p *parser) signals() Signals {
	channels := withoutEmpty(p.get("signal.enabled.channels"))
	s := Signals{
		Source: slices.Contains(channels, "source"), Kafka: slices.Contains(channels, "kafka"), Files: slices.Contains(channels, "file"),
		Table: trim(p.in["signal.data.collection"]), Poll: p.millis("signal.poll.interval.ms"),
		Topic: trim(p.in["signal.kafka.topic"]), Group: trim(p.in["signal.kafka.groupId"]), File: trim(p.in["signal.file"]),
		ReadOnly: p.boolean("read.only"), ChunkRows: int(p.integer("incremental.snapshot.chunk.size")),
		DeleteWindows: p.word("incremental.snapshot.watermarking.strategy") == "insert_delete",
	}
	if s.Topic == "" {
		s.Topic = p.in["topic.prefix"] + "-signal"
	}
	if s.Group == "" {
		s.Group = "kafka-signal"
	}
	if s.File == "" {
		s.File = "file-signals.txt"
	}
	s.Client = map[string]string{}
	for name, v := range p.in {
		if java, ok := strings.CutPrefix(name, signalConsumer); ok {
			addClientProperty(s.Client, java, v)
		}
	}
	if v := trim(p.in["signal.kafka.bootstrap.servers"]); v != "" && s.Client["bootstrap.servers"] == "" {
		s.Client["bootstrap.servers"] = v
	}
	s.FromEnd = strings.EqualFold(trim(p.in[signalConsumer+"auto.offset.reset"]), "latest")
	return s
}

func (p *parser) notifications() Notifications {
	channels := withoutEmpty(p.in["notification.enabled.channels"])
	n := Notifications{Log: slices.Contains(channels, "log")}
	if slices.Contains(channels, "sink") {
		n.Topic = trim(p.in["notification.sink.topic.name"])
	}
	return n
}

// checkSignals looks at what the options of signals and notifications mean together.
func (p *parser) checkSignals() {
	channels := withoutEmpty(p.get("signal.enabled.channels"))
	for _, c := range channels {
		if !slices.Contains([]string{"source", "kafka", "file"}, c) {
			p.warn("signal.enabled.channels", fmt.Sprintf("signal.enabled.channels: the channel %s is not there; use source, kafka or file, or rowmesh snapshot, which needs none", c))
		}
	}
	for _, c := range withoutEmpty(p.in["notification.enabled.channels"]) {
		if c != "sink" && c != "log" {
			p.warn("notification.enabled.channels", fmt.Sprintf("notification.enabled.channels: the channel %s is not there; use sink or log", c))
		}
	}
	if slices.Contains(channels, "kafka") && trim(p.in["signal.kafka.bootstrap.servers"]) == "" && trim(p.in[signalConsumer+"bootstrap.servers"]) == "" {
		p.problem("signal.kafka.bootstrap.servers", "A value is required, because signal.enabled.channels names kafka")
	}
	if slices.Contains(channels, "file") && p.integer("tasks.max") > 1 {
		p.warn("signal.enabled.channels", "signal.enabled.channels=file reaches the tables of task 0 alone: a file lies on one machine; use source, kafka, or rowmesh snapshot, or set tasks.max=1")
	}
	if table := trim(p.in["signal.data.collection"]); table != "" && strings.Count(table, ".") != 1 {
		p.warn("signal.data.collection", fmt.Sprintf("signal.data.collection: %s is not database.table, so it is no table's name and no signal comes from it", table))
	}
	for name := range p.in {
		java, ok := strings.CutPrefix(name, signalConsumer)
		if ok && java != "auto.offset.reset" && !addClientProperty(map[string]string{}, java, p.in[name]) {
			p.warn(name, name+" means nothing here and is ignored")
		}
	}
}
