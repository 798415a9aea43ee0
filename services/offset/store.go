package offset

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/rowmesh/rowmesh/services/errs"
)

// Config is what a Store is made from.
type Config struct {
	// Client holds librdkafka's properties: bootstrap.servers, security.protocol and so on.
	Client map[string]string
	// Topic is offset.storage.topic.
	Topic string
	// Partitions of the topic where it must be made. Default 25, as Kafka Connect.
	Partitions int
	// ReplicationFactor of it. Default -1: the broker's.
	ReplicationFactor int
}

func (c Config) withDefaults() Config {
	if c.Partitions == 0 {
		c.Partitions = 25
	}
	if c.ReplicationFactor == 0 {
		c.ReplicationFactor = -1
	}
	return c
}

// firstWindow is how many offsets before the end are read first: at 20 commits a second and lane, the last minutes of a partition.
const firstWindow = 4096

// Store reads and writes the offsets topic. It holds no connection between calls. Safe for concurrent use.
type Store struct{ cfg Config }

// NewStore returns a Store. It does not talk to the broker yet.
func NewStore(cfg Config) *Store { return &Store{cfg.withDefaults()} }

// Topic returns the topic's name.
func (s *Store) Topic() string { return s.cfg.Topic }

// Entry is one offset of a connector as REST shows it.
type Entry struct {
	Partition json.RawMessage
	// Value is the record's value as it was written; Public makes it fit for users.
	Value json.RawMessage
}

// names reads the members of a partition that rowmesh has.
func (e Entry) names() (lane uint32, layout string) {
	var p struct{ Lane, Layout string }
	if json.Unmarshal(e.Partition, &p) != nil {
		return 0, ""
	}
	n, err := strconv.ParseUint(p.Lane, 10, 32)
	if err != nil || n > maxLane {
		n = 0
	}
	return uint32(n), p.Layout
}

// maxLane bounds what is believed of a lane's number, which a user can write: a connector has at most 256.
const maxLane = 1 << 10

// Lane returns the lane that the offset is of.
func (e Entry) Lane() uint32 {
	lane, _ := e.names()
	return lane
}

// Copy reports that the record keeps what a lane of an earlier layout last had. It is not for users.
func (e Entry) Copy() bool {
	_, layout := e.names()
	return layout != ""
}

// CopiesOf returns the removal of all copies in entries that were made of a partition's offset.
func CopiesOf(entries []Entry, partition json.RawMessage) []Entry {
	var of map[string]string
	if json.Unmarshal(partition, &of) != nil {
		return nil
	}
	if of["lane"] == "" {
		of["lane"] = "0"
	}
	var out []Entry
	for _, e := range entries {
		var p map[string]string
		if !e.Copy() || json.Unmarshal(e.Partition, &p) != nil {
			continue
		}
		delete(p, "layout")
		if maps.Equal(p, of) {
			out = append(out, Entry{Partition: e.Partition})
		}
	}
	return out
}

// Read returns the newest committed checkpoint of key; ok is false if there is none. partitions is the number of the topic's partitions, which Read makes if
// it is missing.
func (s *Store) Read(ctx context.Context, key Key) (o Offset, ok bool, partitions int32, err error) {
	r, err := s.open()
	if err != nil {
		return o, false, 0, err
	}
	defer r.close()
	if partitions, err = r.ensure(ctx); err != nil {
		return o, false, 0, err
	}
	if err := r.compacted(ctx); err != nil {
		return o, false, partitions, err
	}
	k := key.Bytes()
	value, err := r.newest(ctx, Partition(k, partitions), k)
	if err != nil || value == nil {
		return o, false, partitions, err
	}
	o, err = Decode(value)
	return o, err == nil, partitions, err
}

// List returns all offsets of a connector, in no order that matters. It reads the whole topic; memory is bounded by what it returns.
func (s *Store) List(ctx context.Context, connector string) ([]Entry, error) {
	r, err := s.open()
	if err != nil {
		return nil, err
	}
	defer r.close()
	n, err := r.ensure(ctx)
	if err != nil {
		return nil, err
	}
	partitions := make([]int32, n)
	for i := range partitions {
		partitions[i] = int32(i)
	}
	spans, err := r.bounds(ctx, partitions...)
	if err != nil {
		return nil, err
	}
	type place struct {
		partition int32
		key       string
	}
	var out []Entry
	index := map[place]int{}
	err = r.scan(ctx, spans, func(p int32, key, value []byte) {
		name, partition, ok := splitKey(key)
		if !ok || name != connector {
			return
		}
		i, seen := index[place{p, string(key)}]
		if !seen {
			i = len(out)
			index[place{p, string(key)}] = i
			out = append(out, Entry{Partition: partition})
		}
		out[i].Value = slices.Clone(value)
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(out, func(e Entry) bool { return e.Value == nil }), nil
}

// Put writes offsets of a connector in one transaction, a nil Value being the removal of one. The connector must be stopped: fence is the list of the
// transactional ids of its lanes, and all producers that still use one of them are made powerless first.
func (s *Store) Put(ctx context.Context, connector string, entries []Entry, fence []string) error {
	r, err := s.open()
	if err != nil {
		return err
	}
	n, err := r.ensure(ctx)
	r.close()
	if err != nil {
		return err
	}
	for i, id := range append(fence, "rowmesh-offsets-"+connector) {
		last := i == len(fence)
		err := s.withProducer(ctx, id, func(p *kafka.Producer) error {
			if !last {
				return nil
			}
			return s.put(ctx, p, n, connector, entries)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) put(ctx context.Context, p *kafka.Producer, partitions int32, connector string, entries []Entry) error {
	if err := p.BeginTransaction(); err != nil {
		return failed("write offsets", err)
	}
	for _, e := range entries {
		key, err := ConnectorKey(connector, e.Partition)
		if err != nil {
			return err
		}
		m := &kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &s.cfg.Topic, Partition: Partition(key, partitions)}, Key: key}
		if e.Value != nil {
			m.Value = e.Value
		}
		if err := p.Produce(m, nil); err != nil {
			return failed("write offsets", err)
		}
	}
	if err := p.CommitTransaction(ctx); err != nil {
		return failed("write offsets", err)
	}
	return nil
}

// withProducer runs f with a producer that has fenced all others of the same transactional id.
func (s *Store) withProducer(ctx context.Context, id string, f func(*kafka.Producer) error) error {
	m := s.client()
	m["transactional.id"] = id
	m["go.delivery.reports"] = false
	p, err := kafka.NewProducer(&m)
	if err != nil {
		return failed("write offsets", err)
	}
	defer p.Close()
	if err := p.InitTransactions(ctx); err != nil {
		return failed(fmt.Sprintf("fence transactional id %q", id), err)
	}
	return f(p)
}

func (s *Store) client() kafka.ConfigMap {
	m := kafka.ConfigMap{"log_level": 3} // errors only: connection trouble comes back as an error of the call
	for k, v := range s.cfg.Client {
		m[k] = v
	}
	return m
}

// failed gives an error of confluent-kafka-go its kind.
func failed(what string, err error) error {
	kind := errs.Unavailable
	var e kafka.Error
	if errors.As(err, &e) {
		switch e.Code() {
		case kafka.ErrTopicAuthorizationFailed, kafka.ErrClusterAuthorizationFailed, kafka.ErrTransactionalIDAuthorizationFailed,
			kafka.ErrGroupAuthorizationFailed, kafka.ErrSaslAuthenticationFailed, kafka.ErrAuthentication:
			return errs.E(errs.Denied, "%s: %w; the worker's Kafka user needs Read, Write, Describe and Create on the offsets topic", what, err)
		case kafka.ErrInvalidArg, kafka.ErrInvalidConfig, kafka.ErrInvalidReplicationFactor, kafka.ErrTopicException, kafka.ErrPolicyViolation:
			kind = errs.Invalid
		case kafka.ErrUnsupportedVersion, kafka.ErrUnsupportedFeature:
			kind = errs.Unsupported
		}
	}
	return errs.E(kind, "%s: %w", what, err)
}

// newest reads backwards from the end until it has met key; nil if it is nowhere or removed.
func (r *reader) newest(ctx context.Context, partition int32, key []byte) ([]byte, error) {
	bounds, err := r.bounds(ctx, partition)
	if err != nil {
		return nil, err
	}
	low := bounds[partition].start
	for end, window := bounds[partition].end, int64(firstWindow); end > low; window *= 16 {
		start := max(low, end-window)
		var value []byte
		found := false
		err := r.scan(ctx, map[int32]span{partition: {start, end}}, func(_ int32, k, v []byte) {
			if bytes.Equal(k, key) {
				found, value = true, slices.Clone(v)
			}
		})
		if err != nil || found {
			return value, err
		}
		end = start
	}
	return nil, nil
}

// scanDeadline bounds the wait for one partition beside ctx: an open transaction of a dead producer ends after its timeout, 60 s by default.
const scanDeadline = 3 * time.Minute
