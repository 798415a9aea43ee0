package publisher

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/rowmesh/rowmesh/publisher/deadletter"
	"github.com/rowmesh/rowmesh/services/errs"
)

// spot is a partition of a topic.
type spot struct {
	topic     string
	partition int32
}

// search is what is looked for in one partition.
type search struct {
	spot
	keys map[string][]*attempt
	// from is when the oldest of the letters was written.
	from time.Time
}

// newer says of each letter that has newer records of its key, or may have, which.
func (r *replaying) newer(ctx context.Context, attempts []*attempt) (map[*attempt]string, error) {
	found := map[*attempt]string{}
	topic := r.queue()
	c, err := topic.Consumer()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	admin, err := ckafka.NewAdminClientFromConsumer(c)
	if err != nil {
		return nil, errs.E(errs.Unavailable, "Kafka client: %w", err)
	}
	defer admin.Close()
	searches, err := r.searches(c, attempts)
	if err != nil {
		return nil, err
	}
	for _, s := range searches {
		t := deadletter.Topic{Client: topic.Client, Name: s.topic}
		from, why, err := r.since(ctx, c, admin, s)
		if err != nil {
			return nil, err
		}
		for _, list := range s.keys {
			for _, a := range list {
				if found[a] = why; why == "" && ownTimes(a) {
					found[a] = "the records of topic " + s.topic + " carry times of their own, so which came later cannot be told"
				}
			}
		}
		if from < 0 {
			continue
		}
		if err := t.Read(ctx, c, s.partition, from, func(m *ckafka.Message) error {
			for _, a := range s.keys[string(m.Key)] {
				if text := r.compare(m, a); text != "" {
					found[a] = text
				}
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// ownTimes reports whether a transform sets the times of a letter's records.
func ownTimes(a *attempt) bool {
	for i := range a.records {
		if a.records[i].timestamp != nil {
			return true
		}
	}
	return false
}

// searches groups the keys of all letters by partition.
func (r *replaying) searches(c *ckafka.Consumer, attempts []*attempt) (map[spot]*search, error) {
	out, counts := map[spot]*search{}, map[string]int{}
	for _, a := range attempts {
		for i := range a.records {
			o := &a.records[i]
			if !a.tried || o.key == nil {
				continue
			}
			if r.DryRun {
				n, known := counts[o.topic.Name]
				if !known {
					var err error
					if n, err = (deadletter.Topic{Name: o.topic.Name}).Partitions(c); errs.KindOf(err) == errs.NotFound {
						n = 0
					} else if err != nil {
						return nil, err
					}
					counts[o.topic.Name] = n
				}
				if n == 0 { // it would be made
					continue
				}
				o.partition = o.choose(int32(n))
			}
			at := spot{o.topic.Name, o.partition}
			s := out[at]
			if s == nil {
				s = &search{spot: at, keys: map[string][]*attempt{}, from: a.letter.Time}
				out[at] = s
			}
			if a.letter.Time.Before(s.from) {
				s.from = a.letter.Time
			}
			s.keys[string(o.key)] = append(s.keys[string(o.key)], a)
		}
	}
	return out, nil
}

// since returns the offset from which a partition has what came since its letters; negative if that is nothing. why is set where it does not have all.
func (r *replaying) since(ctx context.Context, c *ckafka.Consumer, admin *ckafka.AdminClient, s *search) (from ckafka.Offset, why string, err error) {
	what := fmt.Sprintf("look up topic %q, partition %d", s.topic, s.partition)
	low, high, err := c.QueryWatermarkOffsets(s.topic, s.partition, int(topicTimeout.Milliseconds()))
	if err != nil {
		return 0, "", errs.E(errs.Unavailable, "%s: %w", what, err)
	}
	begin := s.from.Add(-r.Skew)
	at, err := c.OffsetsForTimes([]ckafka.TopicPartition{{Topic: &s.topic, Partition: s.partition, Offset: ckafka.Offset(begin.UnixMilli())}}, int(topicTimeout.Milliseconds()))
	if err != nil || len(at) != 1 || at[0].Error != nil {
		return 0, "", errs.E(errs.Unavailable, "%s by time: %w", what, err)
	}
	from = at[0].Offset
	if low > 0 && (from < 0 || int64(from) <= low) || low > 0 && low == high {
		return from, fmt.Sprintf("topic %s no longer holds all that came since %s", s.topic, replayTime(s.from)), nil
	}
	res, err := admin.DescribeConfigs(ctx, []ckafka.ConfigResource{{Type: ckafka.ResourceTopic, Name: s.topic}})
	if err != nil || len(res) != 1 || res[0].Error.Code() != ckafka.ErrNoError {
		return from, fmt.Sprintf("whether topic %s is compacted cannot be told (DescribeConfigs on it is needed)", s.topic), nil
	}
	if strings.Contains(res[0].Config["cleanup.policy"].Value, "compact") {
		if ms, err := strconv.ParseInt(res[0].Config["delete.retention.ms"].Value, 10, 64); err != nil || time.Since(s.from) > time.Duration(ms)*time.Millisecond {
			return from, fmt.Sprintf("topic %s is compacted, and deletions since %s may have gone from it", s.topic, replayTime(s.from)), nil
		}
	}
	return from, "", nil
}

// compare says why a record is newer than a letter of its key, or may be; empty if it is older.
func (r *replaying) compare(m *ckafka.Message, a *attempt) string {
	where := fmt.Sprintf("offset %v of topic %s, partition %d, has the key", m.TopicPartition.Offset, *m.TopicPartition.Topic, m.TopicPartition.Partition)
	if theirs, ok := placeIn(m.Value); ok && theirs.comparable(placeOfLetter(a.letter)) {
		if placeOfLetter(a.letter).before(theirs) {
			return fmt.Sprintf("%s and is of a later place, %s:%d", where, theirs.File, theirs.Pos)
		}
		return ""
	}
	switch {
	case m.Timestamp.After(a.letter.Time):
		return where + " and came later, at " + replayTime(m.Timestamp)
	case m.Timestamp.After(a.letter.Time.Add(-r.Skew)):
		return fmt.Sprintf("%s and came at %s, too close to the letter to tell which is older", where, replayTime(m.Timestamp))
	}
	return ""
}

// logPlace is where a change stands in a server's log.
type logPlace struct {
	File     string `json:"file"`
	Pos      uint64 `json:"pos"`
	Row      uint64 `json:"row"`
	ServerID uint32 `json:"server_id"`
}

// comparable reports whether both are places in one log; rows of snapshots name no server, and are of the log that the lane goes on with.
func (p logPlace) comparable(o logPlace) bool {
	return p.ServerID == o.ServerID || p.ServerID == 0 || o.ServerID == 0
}

func (p logPlace) before(o logPlace) bool {
	switch {
	case p.File != o.File:
		return fileBefore(p.File, o.File)
	case p.Pos != o.Pos:
		return p.Pos < o.Pos
	}
	return p.Row < o.Row
}

// placeIn reads the place in Debezium's envelope; ok is false for any other value.
func placeIn(value []byte) (p logPlace, ok bool) {
	type envelope struct {
		Source *logPlace `json:"source"`
	}
	var v struct {
		envelope
		Payload *envelope `json:"payload"`
	}
	if len(value) == 0 || value[0] != '{' || json.Unmarshal(value, &v) != nil {
		return p, false
	}
	source := v.Source
	if v.Payload != nil && source == nil {
		source = v.Payload.Source
	}
	if source == nil || source.File == "" {
		return p, false
	}
	return *source, true
}

func placeOfLetter(l *deadletter.Letter) logPlace {
	b := l.Row.Batch
	return logPlace{File: b.File, Pos: at(b.GroupPos, 0), Row: uint64(at(b.GroupFirstRow, 0)), ServerID: at(b.TxnServerId, 0)}
}
