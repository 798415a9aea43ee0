package publisher

import (
	"context"
	"fmt"
	"time"

	"github.com/rowmesh/rowmesh/publisher/kafka"
	"github.com/rowmesh/rowmesh/services/offset"
)

// frozen is a record that the first transaction of a lane adds.
type frozen struct{ key, value []byte }

func (t *task) key() offset.Key {
	return offset.Key{Connector: t.id.Connector, Server: t.cfg.TopicPrefix, Lane: t.id.Task}
}

func (t *task) maxRecord() int { return maxRecordBytes(t.cfg) }

// begin opens a transaction if none is open.
func (t *task) begin() error {
	if t.begun || t.atLeastOnce {
		return nil
	}
	if err := t.producer.Begin(); err != nil {
		return err
	}
	t.begun = true
	return nil
}

// commit writes the checkpoint and commits. Without transactions the rows are flushed first: a checkpoint must not be readable before what it covers.
func (t *task) commit() error {
	// A commit that waits longer than the broker keeps the transaction has failed already.
	ctx, cancel := context.WithTimeout(t.work, transactionTimeout)
	defer cancel()
	started := time.Now()
	if err := t.begin(); err != nil {
		return err
	}
	if t.atLeastOnce {
		if err := t.producer.Flush(ctx); err != nil {
			return err
		}
	}
	if err := t.putCheckpoint(ctx); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	var err error
	if t.atLeastOnce {
		err = t.producer.Flush(ctx)
	} else {
		err = t.producer.Commit(ctx)
	}
	if err != nil {
		return err
	}
	t.begun, t.start.frozen, t.start.settle = false, nil, false
	t.out.sticky++
	t.status.snapshotDone(!t.place.taken.InSnapshot())
	c := t.progress.committed(&t.place)
	t.p.metrics.committed(t.id.Connector, c, time.Since(started), t.place.lag())
	return nil
}

// putCheckpoint produces the checkpoint record, after all rows that it covers.
func (t *task) putCheckpoint(ctx context.Context) error {
	store := t.offsets()
	id, err := t.producer.Topic(store.Topic())
	if err != nil {
		return err
	}
	var b kafka.Batch
	for _, f := range t.start.frozen {
		b.Add(id, offset.Partition(f.key, t.start.partitions), kafka.None, f.key, f.value)
	}
	key := t.key().Bytes()
	b.Add(id, offset.Partition(key, t.start.partitions), kafka.None, key, t.place.taken.Append(nil))
	return t.producer.Produce(ctx, &b)
}

// lag is now minus the source's time of the last change; 0 when caught up, negative before the first.
func (p *place) lag() time.Duration {
	switch {
	case p.caughtUp:
		return 0
	case p.sourceUS == 0:
		return -1
	}
	return max(time.Since(time.UnixMicro(int64(p.sourceUS))), 0)
}
