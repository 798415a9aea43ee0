package config

import (
	"strings"
	"testing"
	"time"
)

// What is said of the schema history, under its names of today and of Debezium 1.x.
func TestHistory(t *testing.T) {
	for _, c := range []struct {
		name   string
		config map[string]string
		check  func(h *History) bool
		warns  string
	}{
		{"names of 1.x", map[string]string{"database.history.kafka.topic": "h", "database.history.kafka.bootstrap.servers": "b:1"},
			func(h *History) bool { return h.Topic == "h" && h.Brokers == "b:1" }, "database.history.kafka.topic is a name of Debezium 1.x"},
		{"the class of 1.x", map[string]string{"database.history": "io.debezium.relational.history.KafkaDatabaseHistory", "schema.history.internal.kafka.topic": "h"},
			func(h *History) bool { return h.Topic == "h" }, ""},
		{"another store", map[string]string{"schema.history.internal": "io.debezium.storage.file.history.FileSchemaHistory", "schema.history.internal.kafka.topic": "h"},
			func(h *History) bool { return h.Topic == "" }, "none is written"},
		{"clients of its own", map[string]string{"schema.history.internal.kafka.topic": "h", "schema.history.internal.producer.security.protocol": "SASL_SSL",
			"schema.history.internal.producer.max.request.size": "5000000", "schema.history.internal.consumer.security.protocol": "SASL_SSL"},
			func(h *History) bool {
				return h.Producer["security.protocol"] == "SASL_SSL" && h.MaxRecordBytes == 5000000 && h.Consumer["security.protocol"] == "SASL_SSL"
			}, ""},
		{"patience", map[string]string{"schema.history.internal.kafka.topic": "h", "schema.history.internal.kafka.recovery.attempts": "20"},
			func(h *History) bool { return h.Timeout == 2*time.Second }, ""},
		{"no such setting", map[string]string{"schema.history.internal.kafka.topic": "h", "schema.history.internal.redis.address": "x"},
			func(h *History) bool { return h.Topic == "h" }, "schema.history.internal.redis.address"},
		{"a property of no client", map[string]string{"schema.history.internal.kafka.topic": "h", "schema.history.internal.consumer.x": "y"},
			func(h *History) bool { return len(h.Consumer) == 0 }, "schema.history.internal.consumer.x means nothing here"},
	} {
		cfg := map[string]string{"connector.class": "io.debezium.connector.mysql.MySqlConnector", "database.hostname": "h", "database.user": "u", "database.server.id": "1",
			"topic.prefix": "p"}
		for k, v := range c.config {
			cfg[k] = v
		}
		got, res := Parse("c", cfg)
		if err := res.Err(); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !c.check(&got.History) {
			t.Errorf("%s: %+v", c.name, got.History)
		}
		if texts := strings.Join(res.Texts(), "\n"); c.warns != "" && !strings.Contains(texts, c.warns) {
			t.Errorf("%s: warnings %q, want %q among them", c.name, texts, c.warns)
		}
	}
}
