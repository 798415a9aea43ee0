package publisher

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/rowmesh/rowmesh/publisher/convert"
	"github.com/rowmesh/rowmesh/publisher/deadletter"
	"github.com/rowmesh/rowmesh/publisher/kafka"
	"github.com/rowmesh/rowmesh/services/offset"
)

// send sends what was made of letters, lane by lane, each in one transaction.
func (r *replaying) send(ctx context.Context, attempts []*attempt) error {
	var order []uint32
	lanes := map[uint32][]*attempt{}
	for _, a := range attempts {
		if a.tried {
			if lanes[a.letter.Task] == nil {
				order = append(order, a.letter.Task)
			}
			lanes[a.letter.Task] = append(lanes[a.letter.Task], a)
		}
	}
	for _, task := range order {
		if err := r.transaction(ctx, task, lanes[task]); err != nil {
			return err
		}
	}
	return nil
}

// transaction sends the letters of a lane. Nothing of them is there after an error.
func (r *replaying) transaction(ctx context.Context, task uint32, attempts []*attempt) error {
	if r.DryRun {
		return r.judge(ctx, attempts)
	}
	client := maps.Clone(r.Client)
	maps.Copy(client, r.Config.Producer)
	p, err := kafka.New(kafka.Config{Client: client, TransactionalID: offset.TransactionalID(r.MeshName, r.Name, task), TransactionTimeout: transactionTimeout,
		QueueBytes: maxReplayBytes, MaxRecordBytes: maxRecordBytes(r.Config), Log: r.Log})
	if err != nil {
		return err
	}
	defer p.Close()
	topics, err := p.Topics()
	if err != nil {
		return err
	}
	fence, cancel := context.WithTimeout(ctx, fenceTimeout)
	defer cancel()
	if err := p.Fence(fence); err != nil {
		return fmt.Errorf("take the transactional id of lane %d: %w", task, err)
	}
	if r.taken != nil {
		r.taken()
	}
	if err := r.place(ctx, topics, attempts); err != nil {
		return err
	}
	if err := r.judge(ctx, attempts); err != nil {
		return err
	}
	if err := p.Begin(); err != nil {
		return err
	}
	w := &replayWriter{r: r, p: p, names: map[string]int32{}}
	for _, a := range attempts {
		if err := w.attempt(ctx, a); err != nil {
			return err
		}
	}
	if !w.wrote {
		return nil
	}
	// The transaction must end before the broker ends it.
	commit, cancelCommit := context.WithTimeout(ctx, transactionTimeout)
	defer cancelCommit()
	if err := p.Commit(commit); err != nil {
		return fmt.Errorf("nothing of %d letters of lane %d was sent: %w; pause the connector while its dead letters are replayed", len(attempts), task, err)
	}
	return nil
}

// place gives each record its partition, in topics that are made if they are missing.
func (r *replaying) place(ctx context.Context, topics *kafka.Topics, attempts []*attempt) error {
	ctx, cancel := context.WithTimeout(ctx, topicTimeout)
	defer cancel()
	for _, a := range attempts {
		for i := range a.records {
			o := &a.records[i]
			spec := specOf(r.Config, o.topic.Name)
			if o.topic.Kind != convert.DataTopic {
				spec.Partitions = 1
			}
			n, _, err := topics.Ensure(ctx, o.topic.Name, spec)
			if err != nil {
				return err
			}
			if o.partition = o.choose(n); o.partition >= n {
				r.fail(a, fmt.Sprintf("it is for partition %d of topic %s, which has %d", o.partition, o.topic.Name, n))
			}
		}
	}
	return nil
}

// choose returns the partition among n. Records without a key have no order, and go to the first.
func (o *outgoing) choose(n int32) int32 {
	switch {
	case o.fixed >= 0:
		return o.fixed
	case o.key == nil:
		return 0
	}
	return int32(o.hash % uint32(n))
}

// fail says that a letter failed again; later ones of its key wait.
func (r *replaying) fail(a *attempt, text string) {
	r.held[heldKey(a.letter)] = a.letter.Offset
	a.outcome, a.tried = Outcome{Failed: true, Text: text}, false
}

// replayWriter writes one transaction.
type replayWriter struct {
	r     *replaying
	p     *kafka.Producer
	names map[string]int32
	batch kafka.Batch
	wrote bool
}

func (w *replayWriter) name(name string) int32 {
	id, ok := w.names[name]
	if !ok {
		id = w.p.HeaderName(name)
		w.names[name] = id
	}
	return id
}

// headerRoom is what a record may have in headers beside the size that max.request.size allows for key and value.
const headerRoom = 256

// attempt writes the records of a letter and its mark.
func (w *replayWriter) attempt(ctx context.Context, a *attempt) error {
	if at, ok := w.r.held[heldKey(a.letter)]; ok && a.letter.Key != nil && at < a.letter.Offset && a.tried {
		a.outcome, a.tried = Outcome{Failed: true, Text: fmt.Sprintf("it waits for letter %d, an earlier one of its key", at)}, false
	}
	if !a.tried {
		return nil
	}
	limit := maxRecordBytes(w.r.Config)
	for i := range a.records {
		if n := a.records[i].size(); n > limit+headerRoom {
			w.r.fail(a, fmt.Sprintf("it is %d bytes, larger than max.request.size (%d)", n, limit))
			return nil
		}
	}
	w.batch.Reset()
	for i := range a.records {
		o := &a.records[i]
		if a.outcome.Mark == MarkSuperseded {
			break
		}
		id, err := w.p.Topic(o.topic.Name)
		if err != nil {
			return err
		}
		addRecord(&w.batch, id, o.partition, &deadletter.Record{Key: o.key, Value: o.value, Headers: o.headers}, w.name)
		if o.timestamp != nil {
			w.batch.Records[len(w.batch.Records)-1].Timestamp = *o.timestamp
		}
	}
	if a.outcome.Mark == "" {
		a.outcome.Mark = MarkSent
	}
	id, err := w.p.Topic(w.r.Config.Errors.DeadLetterTopic)
	if err != nil {
		return err
	}
	mark := a.letter.Mark(a.outcome.Mark)
	addRecord(&w.batch, id, a.letter.Partition, &mark, w.name)
	w.wrote = true
	return w.p.Produce(ctx, &w.batch)
}

func (o *outgoing) size() int {
	n := len(o.key) + len(o.value)
	for _, h := range o.headers {
		n += len(h.Name) + len(h.Value)
	}
	return n
}

// judge finds letters whose keys have newer records, and treats them as Superseded says.
func (r *replaying) judge(ctx context.Context, attempts []*attempt) error {
	newer, err := r.newer(ctx, attempts)
	if err != nil {
		return err
	}
	for _, a := range attempts {
		why := newer[a]
		switch {
		case !a.tried:
		case why == "" && r.DryRun && len(a.records) > 0:
			a.outcome = Outcome{Text: fmt.Sprintf("would be sent to topic %s", a.records[0].topic.Name)}
		case why == "":
		case r.Superseded == SupersededSend:
			a.outcome.Text = "on top of what is newer: " + why
			if r.DryRun {
				a.outcome.Text = "would be sent " + a.outcome.Text
			}
		case r.Superseded == SupersededDiscard:
			a.outcome = Outcome{Mark: MarkSuperseded, Text: why}
		default:
			a.outcome, a.tried = Outcome{Failed: true, Text: why + "; it is not sent, since its value is the older one: --superseded discard settles it so, --superseded send sends it all the same"}, false
		}
		if r.DryRun {
			a.outcome.Mark = ""
		}
	}
	return nil
}

// replayTime is how a time is shown.
func replayTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
