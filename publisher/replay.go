package publisher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/publisher/convert"
	"github.com/rowmesh/rowmesh/publisher/deadletter"
	"github.com/rowmesh/rowmesh/publisher/transform"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/offset"
)

// Replay sends dead letters again, once what they failed of is mended.
//
// Each letter's row goes the way that rows of the connector go now: encoder, transforms, converters. What comes of it is sent in the order of the letters, in
// Kafka transactions of the lanes that they are of, together with marks that say so in the queue: a letter is sent once, whatever fails meanwhile.
//
// Since a letter was written, newer changes of its key may have been published, and an older value on top of a newer one would make every consumer wrong that keeps
// the last one. So the topic is read from the time of the letter on. A record of the key that is newer supersedes the letter; one of which that cannot be said,
// because it tells no place in the log and the clocks of two publishers may differ by Skew, counts as newer; and so does everything where the topic no longer holds all that
// came since. A letter that is superseded is not sent, unless Superseded says so. Records without a key supersede nothing.
//
// Between the reading and the commit no lane can write: Replay has taken their transactional ids, so that a lane that goes on meanwhile fences Replay, whose
// transaction then fails as a whole. The connector should be paused or stopped, or they take the ids from each other in turns.
//
// When a letter fails again, the later ones of its key wait for it.
type Replay struct {
	Name   string
	Config *config.Connector
	// Client holds the mesh's properties of Kafka, MeshName the first part of transactional ids, as in Config.
	Client   map[string]string
	MeshName string
	// Superseded says what becomes of letters whose key has newer records.
	Superseded Superseded
	// Skew is how much clocks of publishers may differ. Default 5 s: far above what NTP leaves, milliseconds.
	Skew time.Duration
	// DryRun sends and marks nothing.
	DryRun bool
	// Limit is how many letters are tried at most; 0: all.
	Limit int
	Dial  func(address string) (*grpc.ClientConn, error)
	Log   *slog.Logger
	// Tell is called with what became of each letter, after it is so.
	Tell func(l *deadletter.Letter, o Outcome)
}

// Superseded says what becomes of a letter whose key has newer records.
type Superseded string

// What may become of them.
const (
	SupersededKeep    Superseded = "keep"    // it stays, and is tried again next time
	SupersededDiscard Superseded = "discard" // it is marked as settled
	SupersededSend    Superseded = "send"    // it is sent all the same: the older value is on top then
)

// Outcome is what became of a letter.
type Outcome struct {
	// Mark is what the queue says of it from now on; empty if it stays as it was.
	Mark string
	// Text says more.
	Text string
	// Failed says that it could not be sent: it failed again, waits for one that did, or is superseded.
	Failed bool
}

// Marks.
const (
	MarkSent       = "sent"       // its records are in their topics
	MarkDropped    = "dropped"    // nothing is to be sent of it: the transforms drop it now
	MarkSuperseded = "superseded" // newer records of its key are there, and it was given up for that
)

// Bounds of what is tried in one transaction: letters are held in memory from the reading of their topics to the commit.
const (
	maxReplayLetters = 500
	maxReplayBytes   = 32 << 20
)

// attempt is a letter that is being tried.
type attempt struct {
	letter  *deadletter.Letter
	records []outgoing
	outcome Outcome
	tried   bool // it is to be sent, or marked
}

// outgoing is a record of an attempt; it shares nothing.
type outgoing struct {
	topic      *convert.Topic
	partition  int32
	key, value []byte
	headers    []deadletter.Header
	timestamp  *int64
	hash       uint32
	fixed      int32 // its partition, where a transform chose it, else -1
}

// Run tries the letters that nothing has become of. The error is one of no letter, such as a broker that does not answer; letters that were told of before are settled.
func (r Replay) Run(ctx context.Context) error {
	if r.Config.Errors.DeadLetterTopic == "" {
		return errs.E(errs.Invalid, "connector %s has no errors.deadletterqueue.topic.name", r.Name)
	}
	if r.Skew == 0 {
		r.Skew = 5 * time.Second
	}
	run := &replaying{Replay: r, pipes: map[uint32]*pipe{}, held: map[string]int64{}}
	defer run.close()
	var batch []*deadletter.Letter
	size, tried := 0, 0
	flush := func() error {
		err := run.try(ctx, batch)
		batch, size = nil, 0
		return err
	}
	done := errors.New("enough")
	err := deadletter.Letters(ctx, run.queue(), r.Name, func(l *deadletter.Letter) error {
		if l.Outcome != "" {
			return nil
		}
		if r.Limit > 0 && tried == r.Limit {
			return done
		}
		tried++
		batch, size = append(batch, l), size+len(l.Key)+len(l.Value)+proto.Size(l.Row)
		if len(batch) < maxReplayLetters && size < maxReplayBytes {
			return nil
		}
		return flush()
	})
	if err != nil && !errors.Is(err, done) {
		return err
	}
	return flush()
}

// replaying is one run.
type replaying struct {
	Replay
	pipes map[uint32]*pipe
	held  map[string]int64 // by topic and key: the offset of the letter that failed again
	// taken is called once a lane's transactional id is taken, for tests; nil: nothing.
	taken func()
}

func (r *replaying) queue() deadletter.Topic {
	return deadletter.Topic{Client: offset.ClientOf(r.Client, r.Config.Producer), Name: r.Config.Errors.DeadLetterTopic}
}

func (r *replaying) close() {
	for _, p := range r.pipes {
		p.stage.close()
	}
}

// try tries letters together.
func (r *replaying) try(ctx context.Context, letters []*deadletter.Letter) error {
	if len(letters) == 0 {
		return nil
	}
	attempts := make([]*attempt, len(letters))
	for i, l := range letters {
		attempts[i] = &attempt{letter: l}
		if err := r.convert(ctx, attempts[i]); err != nil {
			return err
		}
	}
	if err := r.send(ctx, attempts); err != nil {
		return err
	}
	for _, a := range attempts {
		r.Tell(a.letter, a.outcome)
	}
	return nil
}

// heldKey names the records that keep an order among themselves.
func heldKey(l *deadletter.Letter) string { return l.Topic + "\x00" + string(l.Key) }

// convert makes the records of a letter, or says why there are none.
func (r *replaying) convert(ctx context.Context, a *attempt) error {
	l := a.letter
	if at, ok := r.held[heldKey(l)]; ok && l.Key != nil {
		a.outcome = Outcome{Failed: true, Text: fmt.Sprintf("it waits for letter %d, an earlier one of its key", at)}
		return nil
	}
	if l.Row == nil {
		a.outcome = Outcome{Failed: true, Text: "the letter holds no row: it tells of a statement, or the row was too large for it; read the table again with a snapshot"}
		return nil
	}
	p, err := r.pipe(l.Task)
	if err != nil {
		return err
	}
	if a.records, err = p.run(ctx, l.Row); err != nil {
		if k := errs.KindOf(err); k != errs.Invalid && k != errs.Corrupt {
			return err
		}
		r.held[heldKey(l)] = l.Offset
		a.outcome = Outcome{Failed: true, Text: err.Error()}
		return nil
	}
	a.tried = true
	if len(a.records) == 0 {
		a.outcome = Outcome{Mark: MarkDropped, Text: "the transforms drop it now"}
	}
	return nil
}

// pipe is the way of a lane's rows: what they go through before they are sent.
type pipe struct {
	encoder *convert.Encoder
	stage   *stage // nil: none
	next    uint32 // schema id
	tables  map[string]uint32
	out     convert.Output
}

func (r *replaying) pipe(task uint32) (*pipe, error) {
	if p := r.pipes[task]; p != nil {
		return p, nil
	}
	p := &pipe{tables: map[string]uint32{}}
	cfg := *r.Config
	cfg.TransactionMetadata = false // the transaction has had its end
	encoderCfg := &cfg
	if staged(&cfg) {
		var err error
		env := transform.Env{Log: r.Log, Now: time.Now, Connector: r.Name, Task: task, Dial: r.Dial}
		if p.stage, err = newStage(&cfg, env, nil); err != nil {
			return nil, err
		}
		encoderCfg = encoderConfig(cfg)
	}
	var err error
	p.encoder, err = convert.New(encoderCfg, convert.Options{Shapes: p.stage != nil, RunID: newRunID(), TaskID: int(task), Now: func() int64 { return time.Now().UnixNano() }})
	if err != nil {
		p.stage.close()
		return nil, err
	}
	if p.stage != nil {
		p.stage.contextHeaders(p.encoder.ContextHeaders())
	}
	r.pipes[task] = p
	return p, nil
}

// run returns the records of a row that could not be sent, as they are now. An error of kind Invalid is the row's.
func (p *pipe) run(ctx context.Context, row *rowv1.FailedRow) ([]outgoing, error) {
	if err := p.table(row); err != nil {
		return nil, err
	}
	p.out.Reset()
	if err := p.encoder.Batch(row.Batch, &p.out); err != nil {
		return nil, err
	}
	wanted := func(i int) bool { return row.Record == nil || *row.Record == uint32(i) }
	o, from := &p.out, func(i int) int { return i }
	if p.stage != nil {
		var err error
		o, err = p.stage.run(ctx, &p.out, func(i int, e *stageError) error {
			if !wanted(i) { // it was sent
				return nil
			}
			return errs.E(errs.Invalid, "stage %s: %w", e.stage, e.err)
		})
		if err != nil {
			return nil, err
		}
		from = func(i int) int { return p.stage.origins[i] }
	}
	var out []outgoing
	for i := range o.Records {
		if wanted(from(i)) {
			out = append(out, p.outgoing(o, &o.Records[i]))
		}
	}
	return out, nil
}

// table makes the row's table known to the encoder, and gives the batch the id.
func (p *pipe) table(row *rowv1.FailedRow) error {
	t := proto.CloneOf(row.Table)
	t.SchemaId = 0
	text, err := proto.MarshalOptions{Deterministic: true}.Marshal(t)
	if err != nil {
		return errs.E(errs.Corrupt, "the letter's table: %w", err)
	}
	id, ok := p.tables[string(text)]
	if !ok {
		p.next++
		id, t.SchemaId = p.next, p.next
		if err := p.encoder.AddTable(t); err != nil {
			return err
		}
		clear(p.tables) // the encoder keeps few versions of a table; letters of one follow each other
		p.tables[string(text)] = id
	}
	for i := range row.Batch.GroupSchema {
		row.Batch.GroupSchema[i] = id
	}
	return nil
}

func (p *pipe) outgoing(o *convert.Output, r *convert.Record) outgoing {
	copied := func(s convert.Span) []byte {
		if s.Len < 0 {
			return nil
		}
		return append([]byte{}, o.Bytes(s)...)
	}
	out := outgoing{topic: r.Topic, key: copied(r.Key), value: copied(r.Value), timestamp: r.Timestamp, hash: r.Hash, fixed: r.Partition}
	for _, h := range r.Headers {
		out.headers = append(out.headers, deadletter.Header{Name: h.Key, Value: copied(h.Value)})
	}
	if r.Headers == nil {
		for _, h := range p.encoder.Headers(nil, o, r) {
			out.headers = append(out.headers, deadletter.Header{Name: h.Key, Value: append([]byte{}, h.Value...)})
		}
	}
	return out
}
