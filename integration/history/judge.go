package history

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"sort"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/rowmesh/rowmesh/integration/check"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

// Run says what is judged.
type Run struct {
	// Files are the server's log files, as Fetch returns them.
	Files []string
	// Kafka is the broker's address. Prefix is topic.prefix, Database the one with the self-verifying tables.
	Kafka, Prefix, Database string
	// Offsets is the topic of checkpoints, as OffsetsOf finds it; empty: they are not judged.
	Offsets string
}

// Judge feeds a run to a judge: R first, then O. Faults, owners and samples are the caller's, before or after.
func (r Run) Judge(ctx context.Context, j *check.Judge) error {
	places, err := r.truth(j)
	if err != nil {
		return err
	}
	topics, err := TopicsOf(ctx, r.Kafka, r.Prefix)
	if err != nil {
		return err
	}
	if r.Offsets != "" {
		topics = append(topics, r.Offsets)
	}
	var broken error
	different, err := Topics(ctx, r.Kafka, topics,
		func(x *kgo.Record, marker byte) {
			if x.Attrs.IsTransactional() {
				j.Raw(&check.Raw{Topic: x.Topic, Partition: x.Partition, Offset: x.Offset, Producer: x.ProducerID, Epoch: x.ProducerEpoch, Marker: marker})
			}
		},
		func(x *kgo.Record, segment int) {
			if err := r.committed(j, places, x, segment); err != nil && broken == nil {
				broken = fmt.Errorf("%s/%d@%d: %w", x.Topic, x.Partition, x.Offset, err)
			}
		})
	if err == nil {
		err = broken
	}
	for _, d := range different {
		j.Differs(d)
	}
	return err
}

// truth feeds R, and returns where its transactions end.
func (r Run) truth(j *check.Judge) (places, error) {
	var at places
	n := 0
	err := Log(r.Files, func(table string) bool { return strings.HasPrefix(table, r.Database+".") }, func(t *Txn) error {
		n++
		at = append(at, end{t.File, t.End})
		for i := range t.Rows {
			c, err := changeOf(&t.Rows[i], n)
			if err != nil {
				return fmt.Errorf("transaction %s at %d: %w", t.GTID, t.Start, err)
			}
			if err := j.Change(&c); err != nil {
				return err
			}
		}
		return nil
	})
	return at, err
}

// changeOf reads a change of a self-verifying table: key and version come first. A delete shows the version before it.
func changeOf(row *Row, txn int) (check.Change, error) {
	c := check.Change{Table: row.Table, Txn: txn, Op: 'u'}
	image, add := row.After, int64(0)
	switch {
	case row.After == nil:
		c.Op, image, add = 'd', row.Before, 1
	case row.Before == nil:
		c.Op = 'c'
	}
	var err error
	if c.Key, c.Version, err = keyOf(image); err != nil {
		return c, fmt.Errorf("%s: %w", row.Table, err)
	}
	c.Version += add
	c.Hash = hashOf(image)
	return c, nil
}

func keyOf(image []Value) (key, version int64, err error) {
	if len(image) < 2 {
		return 0, 0, fmt.Errorf("%d columns; a self-verifying table has a key and a version first", len(image))
	}
	if key, err = strconv.ParseInt(image[0].Text, 10, 64); err != nil {
		return 0, 0, err
	}
	version, err = strconv.ParseInt(image[1].Text, 10, 64)
	return key, version, err
}

// hashOf is the hash of an image, never 0.
func hashOf(image []Value) uint64 {
	h := fnv.New64a()
	for _, v := range image {
		if v.Null {
			h.Write([]byte{1})
		} else {
			h.Write([]byte(v.Text))
		}
		h.Write([]byte{0})
	}
	return h.Sum64() | 1
}

// places are the ends of R's transactions.
type places []end

type end struct {
	file string
	pos  uint64
}

// count returns how many transactions are before a place of the log.
func (p places) count(file string, pos uint64) int {
	return sort.Search(len(p), func(i int) bool { return p[i].file > file || p[i].file == file && p[i].pos > pos })
}

// committed feeds a committed record.
func (r Run) committed(j *check.Judge, at places, x *kgo.Record, segment int) error {
	if x.Topic == r.Offsets {
		return r.checkpoint(j, at, x)
	}
	table, ok := strings.CutPrefix(x.Topic, r.Prefix+"."+r.Database+".")
	if !ok || x.Value == nil {
		return nil
	}
	e := check.Event{Topic: x.Topic, Partition: x.Partition, Offset: x.Offset, Table: r.Database + "." + table, Producer: x.ProducerID, Epoch: x.ProducerEpoch,
		Segment: segment, AtMS: x.Timestamp.UnixMilli()}
	var v struct {
		Op            string
		Before, After json.RawMessage
		Payload       json.RawMessage
	}
	if err := json.Unmarshal(x.Value, &v); err != nil {
		return fmt.Errorf("event %.200s: %w", x.Value, err)
	}
	if v.Op == "" && v.Payload != nil {
		if err := json.Unmarshal(v.Payload, &v); err != nil {
			return fmt.Errorf("event %.200s: %w", x.Value, err)
		}
	}
	before, err := members(v.Before)
	if err != nil {
		return err
	}
	after, err := members(v.After)
	if err != nil {
		return err
	}
	if len(v.Op) != 1 {
		return fmt.Errorf("event without an operation: %.200s", x.Value)
	}
	e.Op = v.Op[0]
	image, add := after, int64(0)
	if e.Op == 'd' {
		image, add = before, 1
	}
	if e.Key, e.Version, err = keyOf(image); err != nil {
		return fmt.Errorf("event %.200s: %w", x.Value, err)
	}
	e.Version += add
	e.Hash = hashOf(image)
	if before != nil && e.Op != 'r' {
		e.Before = hashOf(before)
	}
	j.Event(&e)
	return nil
}

// checkpoint feeds a checkpoint of the connector with the prefix; those that keep what a layout before had are passed over.
func (r Run) checkpoint(j *check.Judge, at places, x *kgo.Record) error {
	var key []json.RawMessage
	var partition struct{ Server, Layout string }
	if json.Unmarshal(x.Key, &key) != nil || len(key) != 2 || json.Unmarshal(key[1], &partition) != nil || partition.Server != r.Prefix || partition.Layout != "" || x.Value == nil {
		return nil
	}
	var v struct{ Snapshot, Rowmesh string }
	if err := json.Unmarshal(x.Value, &v); err != nil {
		return fmt.Errorf("checkpoint %.200s: %w", x.Value, err)
	}
	c := check.Checkpoint{Partition: x.Partition, Offset: x.Offset, Lane: string(x.Key), Producer: x.ProducerID, Epoch: x.ProducerEpoch, AtMS: x.Timestamp.UnixMilli()}
	parts := strings.Split(v.Rowmesh, ".")
	c.Snapshot = v.Snapshot != ""
	c.Apart = len(parts) != 3 || parts[0] != "1"
	if !c.Apart && !c.Snapshot {
		var err error
		if c.Layout, err = strconv.ParseUint(parts[1], 10, 64); err != nil {
			return fmt.Errorf("checkpoint %.200s: %w", x.Value, err)
		}
		token, err := base64.RawURLEncoding.DecodeString(parts[2])
		if err != nil {
			return fmt.Errorf("checkpoint %.200s: %w", x.Value, err)
		}
		var t rowv1.ResumeToken
		if err := proto.Unmarshal(token, &t); err != nil {
			return fmt.Errorf("checkpoint %.200s: %w", x.Value, err)
		}
		c.Whole, c.Txn = t.Event == 0 && t.Row == 0, at.count(t.GetStart().GetFile(), t.GetStart().GetPos())
	}
	j.Checkpoint(&c)
	return nil
}
