package publisher

import (
	"context"
	"fmt"
	"time"

	"github.com/rowmesh/rowmesh/publisher/kafka"
	"github.com/rowmesh/rowmesh/services/failpoint"
	"github.com/rowmesh/rowmesh/services/offset"
)

// frozen is a record of the offsets topic.
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
	if err := failpoint.At(failpoint.BeginBefore); err != nil {
		return err
	}
	if err := t.producer.Begin(); err != nil {
		return err
	}
	t.begun = true
	return failpoint.At(failpoint.BeginAfter)
}

// commit writes the checkpoint and commits. Without transactions the rows are flushed first: a checkpoint must not be readable before what it covers.
func (t *task) commit() error {
	// A commit that waits longer than the broker keeps the transaction has failed already.
	ctx, cancel := context.WithTimeout(t.work, transactionTimeout)
	defer cancel()
	started := t.p.out.now()
	if err := t.begin(); err != nil {
		return err
	}
	if t.atLeastOnce {
		if err := t.producer.Flush(ctx); err != nil {
			return err
		}
	}
	if err := t.scribe.flush(ctx); err != nil {
		return err
	}
	if err := t.put(ctx, append(t.start.frozen, frozen{t.key().Bytes(), t.place.taken.Append(nil)})); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	if err := failpoint.At(failpoint.CheckpointAfter); err != nil {
		return err
	}
	if err := failpoint.At(failpoint.CommitBefore); err != nil {
		return err
	}
	if err := t.end(ctx); err != nil {
		return err
	}
	t.start.frozen, t.start.settle, t.gone = nil, false, nil
	t.answers()
	t.out.sticky++
	settled, err := t.settled()
	if err != nil {
		return err
	}
	t.status.snapshotDone(settled)
	c := t.progress.committed(&t.place)
	t.p.metrics.committed(t.id.Connector, c, t.p.out.now().Sub(started), t.place.lag())
	return nil
}

// end ends the transaction; without transactions it waits until all is written.
func (t *task) end(ctx context.Context) error {
	if t.atLeastOnce {
		return t.producer.Flush(ctx)
	}
	if err := t.producer.Commit(ctx); err != nil {
		return err
	}
	t.begun = false
	return nil
}

// keep writes a record of the offsets topic in a transaction of its own.
func (t *task) keep(ctx context.Context, f frozen) error {
	if err := t.begin(); err != nil {
		return err
	}
	if err := t.put(ctx, []frozen{f}); err != nil {
		return err
	}
	return t.end(ctx)
}

// put produces records of the offsets topic; the checkpoint comes last, after all rows that it covers.
func (t *task) put(ctx context.Context, records []frozen) error {
	id, err := t.producer.Topic(t.offsets().Topic())
	if err != nil {
		return err
	}
	var b kafka.Batch
	for _, f := range records {
		b.Add(id, offset.Partition(f.key, t.start.partitions), kafka.None, f.key, f.value)
	}
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
