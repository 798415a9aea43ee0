package coordinator

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/offset"
)

// memoryTopic is an offsets topic in memory.
type memoryTopic struct {
	name   string
	values map[string]string
	fenced []string
}

func (m *memoryTopic) List(context.Context, string) ([]offset.Entry, error) {
	var out []offset.Entry
	for p, v := range m.values {
		out = append(out, offset.Entry{Partition: json.RawMessage(p), Value: json.RawMessage(v)})
	}
	return out, nil
}

func (m *memoryTopic) Put(_ context.Context, _ string, entries []offset.Entry, fence []string) error {
	m.fenced = fence
	for _, e := range entries {
		if e.Value == nil {
			delete(m.values, string(e.Partition))
		} else {
			m.values[string(e.Partition)] = string(e.Value)
		}
	}
	return nil
}

func TestOffsetsOfTheConnector(t *testing.T) {
	topics, opened := map[string]*memoryTopic{}, map[string]string{}
	o := offsets{topic: "mesh-offsets", mesh: "m", client: map[string]string{"bootstrap.servers": "mesh:9092"},
		lanes: func(_ context.Context, name string) (map[string]string, uint32, error) {
			switch name {
			case "own":
				return map[string]string{"offsets.storage.topic": " its-offsets "}, 3, nil
			case "plain":
				return map[string]string{}, 0, nil
			case "elsewhere":
				return map[string]string{"connector.class": "MySql", "database.hostname": "db", "database.user": "u", "database.server.id": "5", "topic.prefix": "p",
					"offsets.storage.topic": "far", "producer.override.bootstrap.servers": "far:9092"}, 1, nil
			}
			return nil, 0, errs.E(errs.NotFound, "connector %s", name)
		},
		open: func(client map[string]string, topic string) offsetTopic {
			opened[topic] = client["bootstrap.servers"]
			if topics[topic] == nil {
				topics[topic] = &memoryTopic{name: topic, values: map[string]string{
					`{"server":"p"}`: `{"pos":1}`, `{"server":"p","lane":"1"}`: `{"pos":2}`, `{"server":"p","lane":"4"}`: `{"pos":3}`,
					`{"server":"p","lane":"0","layout":"1"}`: `{"pos":4}`, `{"server":"p","lane":"1","layout":"1"}`: `{"pos":5}`,
				}}
			}
			return topics[topic]
		},
	}
	left := func(topic string) []string {
		var out []string
		for p := range topics[topic].values {
			out = append(out, p)
		}
		slices.Sort(out)
		return out
	}
	if err := o.Put(t.Context(), "own", []offset.Entry{{Partition: json.RawMessage(`{"server":"p"}`)}, {Partition: json.RawMessage(`{"server":"p","lane":"1"}`), Value: json.RawMessage(`{"pos":9}`)}}); err != nil {
		t.Fatal(err)
	}
	want(t, "a removed offset takes its copies along, one that is set does not", left("its-offsets"),
		[]string{`{"server":"p","lane":"1","layout":"1"}`, `{"server":"p","lane":"1"}`, `{"server":"p","lane":"4"}`})
	want(t, "lanes that have left offsets are fenced", topics["its-offsets"].fenced, []string{"m-own-0", "m-own-1", "m-own-2", "m-own-3", "m-own-4"})
	if _, used := topics["mesh-offsets"]; used {
		t.Error("the mesh's topic was touched")
	}
	entries, err := o.List(t.Context(), "plain")
	if err != nil || len(entries) != 5 || topics["mesh-offsets"] == nil {
		t.Errorf("%d entries, %v", len(entries), err)
	}
	if _, err := o.List(t.Context(), "elsewhere"); err != nil || opened["far"] != "far:9092" || opened["mesh-offsets"] != "mesh:9092" {
		t.Errorf("clusters of the topics: %v, %v", opened, err)
	}
	if _, err := o.List(t.Context(), "nobody"); errs.KindOf(err) != errs.NotFound {
		t.Errorf("unknown connector: %v", err)
	}
}

func TestCopiesAreNotForUsers(t *testing.T) {
	for partition, copied := range map[string]bool{
		`{"server":"p"}`: false, `{"server":"p","lane":"1"}`: false, `{"server":"p","lane":"1","layout":"2"}`: true, `{"server":"p","layout":3}`: false, `[]`: false,
	} {
		if got := (offset.Entry{Partition: json.RawMessage(partition)}).Copy(); got != copied {
			t.Errorf("%s: %v", partition, cmp.Diff(copied, got))
		}
	}
}
