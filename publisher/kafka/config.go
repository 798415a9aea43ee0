package kafka

import (
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/rowmesh/rowmesh/services/errs"
)

// Config is what a Producer is made from.
type Config struct {
	// Client holds librdkafka's properties: bootstrap.servers, security.protocol, compression.type, linger.ms and so on. Properties on which the guarantees
	// rest (acks, enable.idempotence, delivery.report.only.error, ...) are set over it.
	Client map[string]string
	// TransactionalID names the lane; empty makes an idempotent producer without transactions.
	TransactionalID string
	// TransactionTimeout is how long the broker keeps an open transaction of a producer that says nothing. Default 60 s: longer than any pause of a healthy
	// process, and readers with read_committed wait this long at most when a publisher dies and nobody takes over.
	TransactionTimeout time.Duration
	// QueueBytes bounds keys and values that wait for the broker. Default 32 MiB: full speed needs 8 to 16 MiB in flight.
	QueueBytes int
	// QueueRecords bounds their number. Default 100 000: librdkafka spends about 250 bytes on each beside the payload, so at most 25 MB.
	QueueRecords int
	// MaxRecordBytes is max.request.size: no larger record is accepted. Default 1 MiB, as Kafka's own producer.
	MaxRecordBytes int
	// Plain hands over records one by one with Produce instead of through the shim: slower, no use of unexported fields.
	Plain bool
	// Log gets librdkafka's own log lines. Default: slog.Default.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.TransactionTimeout == 0 {
		c.TransactionTimeout = time.Minute
	}
	if c.QueueBytes == 0 {
		c.QueueBytes = 32 << 20
	}
	if c.QueueRecords == 0 {
		c.QueueRecords = 100_000
	}
	if c.MaxRecordBytes == 0 {
		c.MaxRecordBytes = 1 << 20
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// Validate checks what librdkafka would not.
func (c Config) Validate() error {
	if c.Client["bootstrap.servers"] == "" {
		return errs.E(errs.Invalid, "bootstrap.servers is not set: name the Kafka brokers, host:port[,host:port]")
	}
	if c.MaxRecordBytes < 0 || c.MaxRecordBytes > 1_000_000_000 {
		return errs.E(errs.Invalid, "max.request.size %d: must be between 1 and 1000000000", c.MaxRecordBytes)
	}
	return nil
}

// properties returns the map that confluent-kafka-go takes. events receives nothing but errors and failed deliveries.
func (c Config) properties(logs chan kafka.LogEvent) *kafka.ConfigMap {
	m := kafka.ConfigMap{
		"linger.ms":                "1",       // a request a row keeps a broker busy at 1 000 rows/s, and the slowest percent waits longer for it than this
		"batch.size":               "1000000", // with batch.num.messages: requests of up to 1 MB, where throughput levels off
		"batch.num.messages":       "10000",
		"socket.timeout.ms":        "30000", // a request is given up before half the transaction timeout is over
		"socket.nagle.disable":     "true",
		"compression.type":         "none",
		"reconnect.backoff.ms":     "50",
		"reconnect.backoff.max.ms": "1000", // the default of 10 s is what lanes would wait for a broker that is back already
		"request.timeout.ms":       "30000",
		"log.connection.close":     "true", // a closed connection around a commit makes it unclean
		"statistics.interval.ms":   "0",
	}
	for k, v := range clientProperties(c.Client) {
		m[k] = v
	}
	if c.Client["reconnect.backoff.ms"] != "" && c.Client["reconnect.backoff.max.ms"] == "" { // ours may be below what the user has for the first wait, which librdkafka refuses
		delete(m, "reconnect.backoff.max.ms")
	}
	maps.Copy(m, kafka.ConfigMap{
		"acks":                         "all",
		"enable.idempotence":           "true",
		"retry.backoff.ms":             fmt.Sprint(retryBackoff.Milliseconds()), // Commit counts on it
		"message.max.bytes":            fmt.Sprint(max(c.MaxRecordBytes+recordOverhead, 1000)),
		"queue.buffering.max.kbytes":   fmt.Sprint(max(c.QueueBytes>>10, 1)),
		"queue.buffering.max.messages": fmt.Sprint(c.QueueRecords),
		// A string on purpose: confluent-kafka-go refuses the bool, because successful messages that carry an opaque would leak a map entry each. Records
		// here carry none. Should a version refuse the string too, New says so.
		"delivery.report.only.error": "true",
		"go.delivery.report.fields":  "none",
		"go.events.channel.size":     1000,
		"go.produce.channel.size":    0,
		"go.logs.channel.enable":     true,
		"go.logs.channel":            logs,
	})
	if c.TransactionalID != "" {
		m["transactional.id"] = c.TransactionalID
		m["transaction.timeout.ms"] = fmt.Sprint(c.TransactionTimeout.Milliseconds())
		delete(m, "message.timeout.ms") // librdkafka ties it to the transaction's timeout
		delete(m, "delivery.timeout.ms")
	} else {
		// A message that times out leaves a gap behind which later ones are already written: wait for ever and let the caller give up the producer.
		m["message.timeout.ms"] = "0"
		m["enable.gapless.guarantee"] = "true"
		delete(m, "delivery.timeout.ms")
	}
	return &m
}

// recordOverhead is what the message format adds to key and value at most: varints, attributes, a few headers.
const recordOverhead = 512

// clientProperties leaves out what only Kafka's Java producer knows or what Config has a field for.
func clientProperties(in map[string]string) map[string]string {
	out := make(map[string]string, len(in))
	for k, v := range in {
		switch k {
		case "max.request.size", "message.max.bytes", "transactional.id", "buffer.memory", "max.block.ms", "key.serializer", "value.serializer",
			"interceptor.classes", "partitioner.class", "metric.reporters", "max.in.flight.requests.per.connection":
			continue
		}
		out[k] = v
	}
	return out
}
