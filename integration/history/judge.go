package history

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
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
	// Accounts is what the names of tables with accounts begin with (traffic.AccountTable); empty: there are none.
	Accounts string
	// Shapes is what the names of tables whose columns change begin with (traffic.ShapeTable): their rows in a snapshot have other columns than in the log. Empty: there are none.
	Shapes string
	// ByGTID finds the places of checkpoints by their GTIDs: the connector read more than one server, whose files mean nothing to each other.
	ByGTID bool
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
func (r Run) truth(j *check.Judge) (*places, error) {
	at := &places{gtids: map[string][]int64{}}
	n := 0
	err := Log(r.Files, func(table string) bool { return strings.HasPrefix(table, r.Database+".") }, func(t *Txn) error {
		n++
		if err := at.add(t); err != nil {
			return err
		}
		for i := range t.Rows {
			changes, err := r.changes(&t.Rows[i], n)
			if err != nil {
				return fmt.Errorf("transaction %s at %d: %w", t.GTID, t.Start, err)
			}
			for i := range changes {
				if err := j.Change(&changes[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return at, err
}

// changes reads a row change of a self-verifying table: key and version come first. A delete shows the version before it. A row that gets another key is deleted
// under the one and inserted under the other, as the stream tells it.
func (r Run) changes(row *Row, txn int) ([]check.Change, error) {
	var before, after check.Change
	var err error
	if row.Before != nil {
		before = check.Change{Table: row.Table, Txn: txn, Op: 'd', Hash: hashOf(row.Before)}
		if before.Key, before.Version, err = keyOf(row.Before); err != nil {
			return nil, fmt.Errorf("%s: %w", row.Table, err)
		}
		before.Version++
		before.Before = before.Hash
	}
	if row.After != nil {
		after = check.Change{Table: row.Table, Txn: txn, Op: 'c', Hash: hashOf(row.After)}
		if after.Key, after.Version, err = keyOf(row.After); err != nil {
			return nil, fmt.Errorf("%s: %w", row.Table, err)
		}
	}
	switch {
	case row.After == nil:
		return []check.Change{before}, nil
	case row.Before == nil:
		return []check.Change{after}, nil
	case before.Key != after.Key:
		return []check.Change{before, after}, nil
	}
	after.Op, after.Before = 'u', before.Hash
	after.Moves, err = r.moves(row.Table, row.Before, row.After)
	return []check.Change{after}, err
}

// money reports that a table holds accounts.
func (r Run) money(table string) bool {
	return r.Accounts != "" && strings.HasPrefix(table, r.Database+"."+r.Accounts)
}

// moves returns by how much an update changes what an account holds, which is the third column.
func (r Run) moves(table string, before, after []Value) (int64, error) {
	if !r.money(table) || len(before) < 3 || len(after) < 3 {
		return 0, nil
	}
	old, err := strconv.ParseInt(before[2].Text, 10, 64)
	if err != nil {
		return 0, err
	}
	now, err := strconv.ParseInt(after[2].Text, 10, 64)
	return now - old, err
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

// hashOf is the hash of an image, FNV-1a, never 0.
func hashOf(image []Value) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for _, v := range image {
		if v.Null {
			h = (h ^ 1) * prime
		} else {
			for i := range len(v.Text) {
				h = (h ^ uint64(v.Text[i])) * prime
			}
		}
		h *= prime // the zero behind each value
	}
	return h | 1
}

// committed feeds a committed record.
func (r Run) committed(j *check.Judge, at *places, x *kgo.Record, segment int) error {
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
	if e.Op == 'r' && r.Shapes != "" && strings.HasPrefix(table, r.Shapes) {
		e.Hash = 0
	}
	if e.Money = r.money(e.Table); e.Money && e.Op == 'u' {
		if e.Moves, err = r.moves(e.Table, before, after); err != nil {
			return fmt.Errorf("event %.200s: %w", x.Value, err)
		}
	}
	j.Event(&e)
	return nil
}

// checkpoint feeds a checkpoint of the connector with the prefix; those that keep what a layout before had are passed over.
func (r Run) checkpoint(j *check.Judge, at *places, x *kgo.Record) error {
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
		c.Whole = t.Event == 0 && t.Row == 0
		if start := t.GetStart(); !r.ByGTID {
			c.Txn = at.count(start.GetFile(), start.GetPos())
		} else if c.Txn, err = at.countSet(start.GetGtids()); err != nil {
			return fmt.Errorf("checkpoint %.200s: %w", x.Value, err)
		}
	}
	j.Checkpoint(&c)
	return nil
}
