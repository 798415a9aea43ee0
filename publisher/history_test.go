package publisher

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/publisher/convert"
	"github.com/rowmesh/rowmesh/publisher/kafka"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/history"
	"github.com/rowmesh/rowmesh/services/registry"
)

// Brokers of another cluster do not get the mesh's credentials.
func TestHistoryTopic(t *testing.T) {
	task := &task{p: &Publisher{cfg: Config{Kafka: map[string]string{"bootstrap.servers": "mesh:9092", "sasl.password": "secret"}}}}
	for brokers, want := range map[string]map[string]string{
		"":           {"bootstrap.servers": "mesh:9092", "sasl.password": "secret"},
		"mesh:9092":  {"bootstrap.servers": "mesh:9092", "sasl.password": "secret"},
		"other:9092": {"bootstrap.servers": "other:9092"},
	} {
		got := task.historyTopic(&config.Connector{History: config.History{Topic: "h", Brokers: brokers}})
		if diff := cmp.Diff(want, got.Client); diff != "" || got.Name != "h" {
			t.Errorf("brokers %q: topic %s, %s", brokers, got.Name, diff)
		}
	}
}

// store.only.captured.tables.ddl keeps the server's settings and what is about tables.
func TestCaptured(t *testing.T) {
	table := &capturev1.Ddl{Changes: []*capturev1.TableChange{{}}}
	for _, c := range []struct {
		ddl    *capturev1.Ddl
		record history.Record
		want   int
	}{
		{&capturev1.Ddl{}, history.Record{Statement: "SET character_set_server=utf8mb4"}, 1},
		{&capturev1.Ddl{}, history.Record{Database: "d", Statement: "USE `d`"}, 0},
		{&capturev1.Ddl{}, history.Record{Database: "d", Statement: "DROP DATABASE IF EXISTS `d`"}, 0},
		{table, history.Record{Database: "d", Statement: "create table t (a int)"}, 1},
	} {
		if got := captured([]history.Record{c.record}, c.ddl); len(got) != c.want {
			t.Errorf("%s: %d records, want %d", c.record.Statement, len(got), c.want)
		}
	}
}

// noProducer is a machine on which no producer can be made.
type noProducer struct{ machine }

func (noProducer) producer(kafka.Config) (producer, error) {
	return nil, errs.E(errs.Unavailable, "nobody answers")
}

// A history that cannot be written stops the lane with its name and what to do; other lanes than the first, and connectors without one, write none.
func TestScribe(t *testing.T) {
	cfg := &config.Connector{TopicPrefix: "p", Flavor: config.MySQL, History: config.History{Topic: "h", Brokers: "b:1"}}
	first := &task{p: &Publisher{out: noProducer{}}, cfg: cfg}
	second := &task{p: first.p, cfg: cfg, id: registry.LaneID{Task: 1}}
	if newScribe(second, cfg) != nil || newScribe(first, &config.Connector{}) != nil {
		t.Error("who has no history to write has a scribe")
	}
	enc, err := convert.New(&config.Connector{TopicPrefix: "p", Flavor: config.MySQL}, convert.Options{Now: func() int64 { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	d := &capturev1.Ddl{Database: "d", Statement: "create table t (a int)", Checkpoint: &rowv1.Checkpoint{Offset: &rowv1.SourceOffset{File: "f", Pos: 4}}}
	err = newScribe(first, cfg).write(t.Context(), enc, d)
	if errs.KindOf(err) != errs.Unavailable {
		t.Fatalf("%v, want Unavailable", err)
	}
	for _, w := range []string{`"h"`, "b:1", "schema.history.internal.kafka.bootstrap.servers", "MemorySchemaHistory"} {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v does not say %s", err, w)
		}
	}
	if err := (*scribe)(nil).write(t.Context(), enc, d); err != nil {
		t.Error(err)
	}
	large := newScribe(first, cfg).failed(&kafka.RecordError{Size: 5, Max: 4})
	if errs.KindOf(large) != errs.Invalid || !strings.Contains(large.Error(), "schema.history.internal.producer.max.request.size") || errors.Is(large, err) {
		t.Errorf("%v", large)
	}
}
