package kafka

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWaitForABrokerThatIsBack checks that lanes look for a lost broker every second, and that a user who wants it otherwise gets a client that librdkafka takes.
func TestWaitForABrokerThatIsBack(t *testing.T) {
	for _, c := range []struct{ first, most, want string }{
		{"", "", "1000"},
		{"5000", "", ""},
		{"", "20000", "20000"},
		{"5000", "20000", "20000"},
	} {
		client := map[string]string{"bootstrap.servers": "127.0.0.1:1"}
		if c.first != "" {
			client["reconnect.backoff.ms"] = c.first
		}
		if c.most != "" {
			client["reconnect.backoff.max.ms"] = c.most
		}
		got, _ := (*Config{Client: client}.withDefaults().properties(nil))["reconnect.backoff.max.ms"].(string)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("reconnect.backoff.ms %q, reconnect.backoff.max.ms %q: %s", c.first, c.most, diff)
		}
		p, err := New(Config{Client: client})
		if err != nil {
			t.Errorf("reconnect.backoff.ms %q, reconnect.backoff.max.ms %q: %v", c.first, c.most, err)
			continue
		}
		p.Close()
	}
}
