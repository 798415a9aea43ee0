package fault

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/rowmesh/rowmesh/integration/history"
)

// Seen is one committed event as a consumer saw it.
type Seen struct {
	// Op is 'c', 'u', 'd' or 'r'.
	Op byte
	// Key and Version are those of a self-verifying row.
	Key, Version int64
	// CommittedMS is the source's time of the change.
	CommittedMS int64
	// Value is the record's; of the first hundred events of a table only, so that long runs are not kept in memory.
	Value []byte
}

// maxValues is how many of a table are kept.
const maxValues = 100

// Stream follows a connector's topics as a consumer of committed records does. Unlike the mesh it reaches the brokers past the proxies.
type Stream struct {
	prefix string
	stop   context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	tables map[string][]Seen // by table, without the database
	newest map[string]int64  // CommittedMS
	err    error
}

// follow reads all topics of a connector whose tables are in a database, from their starts.
func (c *Cluster) followTopics(prefix, database string) (*Stream, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Kafkas()...), kgo.ConsumeRegex(), kgo.ConsumeTopics("^"+strings.ReplaceAll(prefix, ".", `\.`)+`\..*`),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.MetadataMinAge(100*time.Millisecond), kgo.MetadataMaxAge(500*time.Millisecond), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Stream{prefix: prefix + "." + database + ".", stop: cancel, done: make(chan struct{}), tables: map[string][]Seen{}, newest: map[string]int64{}}
	go func() {
		defer close(s.done)
		defer cl.Close()
		for ctx.Err() == nil {
			f := cl.PollFetches(ctx) // errors are those of a broker that is away: the client tries again
			s.mu.Lock()
			f.EachRecord(s.take)
			s.mu.Unlock()
		}
	}()
	return s, nil
}

// Close ends it.
func (s *Stream) Close() {
	s.stop()
	<-s.done
}

// take takes a record. Requires: mu is held.
func (s *Stream) take(r *kgo.Record) {
	table, ok := strings.CutPrefix(r.Topic, s.prefix)
	if !ok || r.Value == nil {
		return
	}
	var v struct {
		Op     string
		Source struct {
			TsMS int64 `json:"ts_ms"`
		}
	}
	if err := json.Unmarshal(r.Value, &v); err != nil || len(v.Op) != 1 {
		s.err = fmt.Errorf("%s/%d@%d is no event: %.200s", r.Topic, r.Partition, r.Offset, r.Value)
		return
	}
	x := Seen{Op: v.Op[0], Key: -1, Version: -1, CommittedMS: v.Source.TsMS}
	if key, version, err := history.Newest(r.Value); err == nil {
		x.Key, x.Version = key, version
	}
	if len(s.tables[table]) < maxValues {
		x.Value = r.Value
	}
	s.tables[table] = append(s.tables[table], x)
	s.newest[table] = max(s.newest[table], x.CommittedMS)
}

// Events returns what has come of a table so far.
func (s *Stream) Events(table string) ([]Seen, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.tables[table]), s.err
}

// Newest returns, by table, when the newest change that has come was committed.
func (s *Stream) Newest(table string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.UnixMilli(s.newest[table])
}

// Count returns how many events have come.
func (s *Stream) Count() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tables {
		n += len(t)
	}
	return n
}

// Texts returns what has come of a table as "c 1 1" (operation, key, version).
func (s *Stream) Texts(table string) ([]string, error) {
	all, err := s.Events(table)
	out := make([]string, len(all))
	for i, x := range all {
		out[i] = fmt.Sprintf("%c %d %d", x.Op, x.Key, x.Version)
	}
	return out, err
}

// Exactly waits until a table's events are those wanted, each once and in order; what comes beside them is an error.
func (s *Stream) Exactly(ctx context.Context, table string, want ...string) error {
	return Until(ctx, time.Minute, "events of "+table, func() error {
		got, err := s.Texts(table)
		if err != nil {
			return err
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("got %d %.400q, want %d %.400q", len(got), got, len(want), want)
		}
		return nil
	})
}
