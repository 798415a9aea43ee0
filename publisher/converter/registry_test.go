package converter

import (
	"testing"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/config"
)

// TestIDsAreAskedOnce: a schema costs one question, whatever comes between.
func TestIDsAreAskedOnce(t *testing.T) {
	registry := newFakeRegistry(t)
	c, err := New(Value, config.NewConverter("avro", map[string]string{"schema.registry.url": registry.URL}), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for _, s := range []*record.Schema{record.Of(record.Int32, false), record.Of(record.Int64, true)} {
			for _, topic := range []string{"a", "b"} {
				if _, _, err := c.Append(nil, topic, nil, record.Data{Schema: s, Value: record.IntOf(7)}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if got := registry.asked("POST /subjects/"); got != 4 {
		t.Errorf("%d questions, want 4: two schemas under two subjects", got)
	}
}
