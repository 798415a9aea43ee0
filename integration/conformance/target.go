package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Target is what cases run against: whatever speaks Kafka Connect's REST API and knows Debezium's connectors, its Kafka, and a database.
type Target struct {
	// REST is the base URL.
	REST string
	// Kafka is host:port, Client a client of it that sees new topics at once.
	Kafka  string
	Client *kgo.Client
	// Engine is "mysql" or "mariadb", Addr the database's host:port.
	Engine, Addr string
	// Settle is how long what was asked for may go on after the answer: Connect stops tasks in the background. 0: nothing goes on.
	Settle time.Duration
	// Say takes what a person may want to know, one line each.
	Say func(format string, args ...any)
}

// NewClient returns a client for a Target.
func NewClient(kafka string) (*kgo.Client, error) {
	// The default of 5 s hides topics made since; the partitioner takes the partition of the record.
	return kgo.NewClient(kgo.SeedBrokers(kafka), kgo.MetadataMinAge(20*time.Millisecond), kgo.RecordPartitioner(kgo.ManualPartitioner()))
}

// call does a request, again while the answer is 409: a worker of Connect gives it to everything while its group rebalances.
func (t *Target) call(ctx context.Context, method, path string, body any) (code int, text string, err error) {
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		code, text, err = t.once(ctx, method, path, body)
		if err != nil || code != http.StatusConflict || time.Since(begin) > 30*time.Second {
			return code, text, err
		}
	}
}

// once does a request. body is sent as JSON unless it is nil or a string.
func (t *Target) once(ctx context.Context, method, path string, body any) (int, string, error) {
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		j, err := json.Marshal(b)
		if err != nil {
			return 0, "", err
		}
		r = bytes.NewReader(j)
	}
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second) // Connect validates a config within this
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, t.REST+path, r)
	if err != nil {
		return 0, "", err
	}
	q.Header.Set("Content-Type", "application/json")
	p, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, "", err
	}
	defer p.Body.Close()
	b, err := io.ReadAll(p.Body)
	return p.StatusCode, string(b), err
}

// ask is call for requests that succeed.
func (t *Target) ask(ctx context.Context, method, path string, body any) (string, error) {
	code, text, err := t.call(ctx, method, path, body)
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", method, path, err)
	}
	if code/100 != 2 {
		return "", fmt.Errorf("%s %s: %d %.3000s", method, path, code, text)
	}
	return text, nil
}

// until calls f until it returns nil, and fails with its last error after limit.
func until(ctx context.Context, limit time.Duration, what string, f func() error) error {
	for end := time.Now().Add(limit); ; {
		err := f()
		if err == nil {
			return nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("%s: not after %s: %w", what, limit, err)
		}
		time.Sleep(50 * time.Millisecond) // the thing awaited is in another process
	}
}
