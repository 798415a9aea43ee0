package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// History is where and how the schema history is kept, as Debezium keeps it.
type History struct {
	// Topic is schema.history.internal.kafka.topic; empty: none is kept, because schema.history.internal names another class or no topic is named.
	Topic string
	// Brokers is schema.history.internal.kafka.bootstrap.servers; empty: the mesh's.
	Brokers string
	// Producer and Consumer are librdkafka's properties: schema.history.internal.producer.* and consumer.*.
	Producer, Consumer map[string]string
	// MaxRecordBytes is schema.history.internal.producer.max.request.size; 0: the default of producers.
	MaxRecordBytes int
	// Timeout is how long reading waits for the brokers: recovery.attempts times recovery.poll.interval.ms.
	Timeout time.Duration
}

const (
	historyPrefix   = "schema.history.internal."
	historyProducer = historyPrefix + "producer."
	historyConsumer = historyPrefix + "consumer."
	// kafkaHistory is the class that keeps it in Kafka, by its newer and older name.
	kafkaHistory     = "io.debezium.storage.kafka.history.KafkaSchemaHistory"
	kafkaHistory1    = "io.debezium.relational.history.KafkaDatabaseHistory"
	historyWaitLeast = time.Second
)

// inKafka says whether a class keeps the history in Kafka.
func inKafka(class string) bool {
	return class == "" || class == kafkaHistory || class == kafkaHistory1
}

func (p *parser) history() History {
	h := History{
		Topic: trim(p.in[historyPrefix+"kafka.topic"]), Brokers: trim(p.in[historyPrefix+"kafka.bootstrap.servers"]),
		Producer: map[string]string{}, Consumer: map[string]string{},
		Timeout: max(time.Duration(p.integer(historyPrefix+"kafka.recovery.attempts"))*p.millis(historyPrefix+"kafka.recovery.poll.interval.ms"), historyWaitLeast),
	}
	if !inKafka(trim(p.in["schema.history.internal"])) {
		h.Topic = ""
	}
	for name, v := range p.in {
		if java, ok := strings.CutPrefix(name, historyProducer); ok {
			addClientProperty(h.Producer, java, v)
		}
		if java, ok := strings.CutPrefix(name, historyConsumer); ok {
			addClientProperty(h.Consumer, java, v)
		}
	}
	h.MaxRecordBytes, _ = strconv.Atoi(h.Producer["message.max.bytes"]) // absent: 0
	return h
}

// checkHistory says what of the schema history is not kept, or means nothing.
func (p *parser) checkHistory() {
	if class := trim(p.in["schema.history.internal"]); !inKafka(class) {
		p.warn("schema.history.internal", fmt.Sprintf("schema.history.internal=%s: the schema history is kept in Kafka or not at all, so none is written; "+
			"whoever goes back to Debezium starts with snapshot.mode=recovery", class))
	}
	for _, name := range p.keys() {
		for _, prefix := range []string{historyProducer, historyConsumer} {
			java, ok := strings.CutPrefix(name, prefix)
			if ok && !addClientProperty(map[string]string{}, java, p.in[name]) {
				p.warn(name, name+" means nothing here and is ignored")
			}
		}
	}
}
