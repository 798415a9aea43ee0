package publisher

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/publisher/lane"
	"github.com/rowmesh/rowmesh/publisher/signal"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/offset"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/row"
)

// How a lane follows signals (package signal says what they are).
//
//	rows of the signal table ─────────────────┐ as they come in the stream
//	signal topic, file ──goroutines──┐        v
//	API (Publisher.Signal) ──────────┴─> requests ──> task.follow ──> checkpoint (offset.Signals) and the capturer
//
// A signal has been followed once the lane's checkpoint holds it, or what it led to. Until then it is in its channel still: a row is read again with its place in the
// log, a record of the topic is read again from the offset that the checkpoint has, and who asked through the API has no answer yet and asks again. A command for the
// capturer stays in the checkpoint until the capturer's own token knows of it, and is sent again after each start; the capturer knows it by its id.
//
// Each lane of a connector hears all signals, and follows them for its own tables: the signal table is streamed to all of them, while one writes its rows to Kafka.

// signals is what a lane has of signals, from open to release.
type signals struct {
	tables map[uint32]*row.Layout // versions of the signal table
	found  []signal.Signal        // in the batch that is being handled
	// unanswered are requests whose outcome is in no committed checkpoint yet.
	unanswered []unanswered
	// answered are the pending commands that the capturer has said something about: the next token has them.
	answered map[*capturev1.SnapshotCommand]bool
	stop     context.CancelFunc
	loops    sync.WaitGroup
}

type unanswered struct {
	request
	answer
}

// describeTimeout bounds the look for the tables that a signal means: the capturer asks the server's catalogue, which takes seconds where it has many tables.
const describeTimeout = 30 * time.Second

// listen begins to hear signals. The stream is open.
func (t *task) listen(cfg *config.Connector) {
	t.requests.begin()
	s := &cfg.Signals
	if !s.Kafka && !s.Files {
		return
	}
	ctx, stop := context.WithCancel(t.work)
	t.signals.stop = stop
	take := func(ctx context.Context, s signal.Signal) error { return t.requests.put(ctx, request{Signal: s}) }
	if s.Kafka {
		client := t.client()
		for k, v := range s.Client {
			client[k] = v
		}
		topic := &signal.Topic{Client: client, Name: s.Topic, Group: s.Group, Key: cfg.TopicPrefix, Next: t.kept().Next, FromEnd: s.FromEnd, Poll: s.Poll,
			Take: take, Tell: t.teller("signal.kafka")}
		t.signals.loops.Go(func() { _ = topic.Run(ctx) })
	}
	if s.Files && t.id.Task == 0 {
		files := &signal.Files{Path: s.File, Every: s.Poll, Take: take, Tell: t.teller("signal.file")}
		t.signals.loops.Go(func() { _ = files.Run(ctx) })
	}
}

// deafen ends what listen began.
func (t *task) deafen() {
	t.requests.end()
	if t.signals.stop != nil {
		t.signals.stop()
		t.signals.loops.Wait()
	}
	for _, u := range t.signals.unanswered {
		u.done(answer{err: errAgain})
	}
	t.signals = signals{}
}

// teller returns what tells people about one channel; an error is told once.
func (t *task) teller(about string) func(error) {
	last := ""
	return func(err error) {
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text == last {
			return
		}
		if last = text; text == "" {
			t.status.warn(about)
			return
		}
		t.status.warn(about, text)
		t.log.Warn("signals are not read", "channel", about, "error", err)
	}
}

// kept is what the lane's checkpoint keeps of signals; read-only.
func (t *task) kept() *offset.Signals {
	if t.place.taken.Signals == nil {
		return &offset.Signals{}
	}
	return t.place.taken.Signals
}

// keepSignals changes what the next checkpoint keeps of signals. Records that were made before share the old one.
func (t *task) keepSignals(change func(*offset.Signals)) {
	old := t.kept()
	s := &offset.Signals{Next: old.Next, Pending: slices.Clone(old.Pending), Blocking: slices.Clone(old.Blocking)}
	change(s)
	t.place.taken.Signals = s
	if s.Empty() {
		t.place.taken.Signals = nil
	}
}

// signalTable learns a version of the signal table. What the lane that does not own it gets of it is for itself.
func (t *task) signalTable(v *rowv1.Table) {
	s := &t.cfg.Signals
	if !s.Source || !strings.EqualFold(v.Database+"."+v.Table, s.Table) {
		return
	}
	if len(v.Columns) != 3 {
		t.status.warn("signal.data.collection", fmt.Sprintf("signal.data.collection: %s has %d columns, and its rows are no signals; it needs three: id, type and data", s.Table, len(v.Columns)))
		return
	}
	t.status.warn("signal.data.collection")
	if t.signals.tables == nil {
		t.signals.tables = map[uint32]*row.Layout{}
	}
	t.signals.tables[v.SchemaId] = row.NewLayout(v.Columns)
	if t.lane.Count > 1 && laneOf(&registry.Layout{Count: t.lane.Count, Pins: t.lane.Pins}, v.Database+"."+v.Table) != t.id.Task {
		t.encoder.Leave(v.SchemaId)
	}
}

// findSignals collects the signals among the rows of a batch of the log.
func (t *task) findSignals(b *rowv1.Batch) error {
	t.signals.found = t.signals.found[:0]
	if len(t.signals.tables) == 0 || b.Snapshot {
		return nil
	}
	start := uint32(0)
	for i, id := range b.GroupSchema {
		end := b.GroupEnd[i]
		layout := t.signals.tables[id]
		if layout == nil || row.Op(b.GroupOp[i]) != row.Create {
			start = end
			continue
		}
		images := b.Payload[start:end]
		partial := len(b.GroupFlags) > i && b.GroupFlags[i]&row.PartialAfter != 0
		for range b.GroupRows[i] {
			var cells [3]row.Cell
			rest, err := layout.Split(cells[:], images, partial)
			if err != nil {
				return errs.E(errs.Corrupt, "row of the signal table %s: %w", t.cfg.Signals.Table, err)
			}
			images = rest
			t.signals.found = append(t.signals.found, signal.Signal{ID: string(cells[0].Data), Type: string(cells[1].Data), Data: string(cells[2].Data), Channel: signal.Source})
		}
		start = end
	}
	return nil
}

// followFound follows the signals of the batch that was taken last. What one asks for that cannot be done is told; only what a new start may heal is an error.
func (t *task) followFound() error {
	found := t.signals.found
	t.signals.found = nil
	for _, s := range found {
		if err := t.follow(request{Signal: s}); err != nil {
			return err
		}
	}
	return nil
}

// heard follows a request that waits. It reports false if there is none.
func (t *task) heard() (bool, error) {
	if t.place.taken.Source == nil || !t.start.opened { // nothing to keep it in
		return false, nil
	}
	r, ok := t.requests.take()
	if !ok {
		return false, nil
	}
	return true, t.follow(r)
}

// follow does what a signal asks for. The error is one that a new start may heal, after which the signal comes again.
func (t *task) follow(r request) error {
	tables, err := t.obey(r.Signal)
	if err != nil && errs.KindOf(err) == errs.Unavailable {
		r.done(answer{err: err})
		return fmt.Errorf("signal %s: %w", r.ID, err)
	}
	if err != nil {
		t.log.Warn("signal not followed", "id", r.ID, "type", r.Type, "channel", r.Channel, "error", err)
		t.p.metrics.errors.WithLabelValues(t.id.Connector, "Signal").Inc()
		t.status.warn("signal", err.Error())
	} else {
		t.status.warn("signal")
	}
	if r.Next > 0 {
		t.keepSignals(func(s *offset.Signals) { s.Next = r.Next })
	}
	if err != nil && r.Next == 0 {
		r.done(answer{err: err})
		return nil
	}
	if r.answer != nil {
		t.signals.unanswered = append(t.signals.unanswered, unanswered{r, answer{tables, err}})
	}
	// The place has not moved, so that a transaction of the source that is open here stays open.
	t.machine.Took(t.clock(), lane.Taken{Rows: true, End: t.atEnd, Urgent: true})
	return nil
}

// answers tells who waits that the checkpoint is committed.
func (t *task) answers() {
	for _, u := range t.signals.unanswered {
		u.done(u.answer)
	}
	t.signals.unanswered = nil
}

// obey understands a signal and does what it asks for. It returns the tables of this lane that a snapshot reads.
func (t *task) obey(s signal.Signal) ([]string, error) {
	c, err := signal.Parse(s)
	if err != nil {
		return nil, err
	}
	switch {
	case c.Execute != nil:
		return t.execute(c, s.Channel)
	case c.Control != nil:
		return nil, t.control(c)
	case c.Log != "":
		text := strings.Replace(c.Log, "{}", string(offset.Public(t.place.taken.Append(nil))), 1)
		t.log.Info(logSignal, "id", c.ID, "message", text)
	case c.Schema != nil:
		return nil, t.schemaChanges(c.Schema)
	case c.Position != nil:
		t.goTo(c.Position)
	}
	return nil, nil
}

const logSignal = "signal"

// schemaChanges tells the schema change topic what the signal tells.
func (t *task) schemaChanges(s *signal.SchemaChanges) error {
	if t.id.Task != 0 { // one lane tells of statements
		return nil
	}
	t.encoded.Reset()
	at := t.place.taken.Source
	d := &capturev1.Ddl{Database: s.Database, Changes: s.Changes, File: at.File, Pos: t.behind.pos, Gtid: t.behind.gtid(), TimeUs: t.behind.timeUS, ServerId: t.behind.server}
	_, table, _ := strings.Cut(t.cfg.Signals.Table, ".")
	d.Checkpoint = &rowv1.Checkpoint{Offset: at}
	if err := t.scribe.write(t.work, t.encoder, d); err != nil {
		return err
	}
	t.encoder.TableChanges(d, table, &t.encoded)
	_, err := t.out.send(t.work, &t.encoded, nil)
	return err
}

// goTo lets the next start read from another place in the log.
func (t *task) goTo(p *signal.Position) {
	t.log.Warn("the position in the log is set by a signal", "file", p.File, "pos", p.Pos, "gtids", p.Gtids)
	t.place.taken = offset.Offset{Source: &rowv1.SourceOffset{File: p.File, Pos: p.Pos, Gtids: p.Gtids}, Layout: t.lane.Layout, Aside: t.place.taken.Aside, Signals: t.place.taken.Signals}
	t.moveOn = "the position in the log is set by a signal"
}

// captured returns the tables that the connector captures, over all its lanes, and whether they are known: without a way to ask they are not.
func (t *task) captured() (tables []string, known bool, err error) {
	return t.described(tableFilter(t.cfg))
}

// described asks the capturer for the tables that a filter selects.
func (t *task) described(f *capturev1.TableFilter) (tables []string, known bool, err error) {
	if t.p.cfg.Describe == nil {
		return nil, false, nil
	}
	ctx, cancel := context.WithTimeout(t.work, describeTimeout)
	defer cancel()
	d, err := t.p.cfg.Describe(ctx, t.capturer, &capturev1.DescribeSourceRequest{Source: string(t.source), Tables: f})
	if err != nil {
		return nil, false, errs.E(errs.Unavailable, "ask capturer %s for the tables: %w", t.capturer, err)
	}
	for _, i := range d.Tables {
		tables = append(tables, i.Database+"."+i.Table)
	}
	slices.Sort(tables)
	return tables, true, nil
}

// behind is the last transaction of the log that the lane has taken.
type behind struct {
	sid            string
	gno            uint64
	mariadb        bool
	server, thread uint32
	pos            uint64
	timeUS         uint64
}

func (b *behind) gtid() string {
	switch {
	case b.sid == "":
		return ""
	case b.mariadb:
		return fmt.Sprintf("%s-%d", b.sid, b.gno)
	}
	return fmt.Sprintf("%s:%d", b.sid, b.gno)
}

// sawBatch takes over the last transaction of a batch of the log.
func (t *task) sawBatch(b *rowv1.Batch) {
	g := len(b.GroupTxn) - 1
	if b.Snapshot || g < 0 {
		return
	}
	n := int(b.GroupTxn[g])
	w := behind{mariadb: t.cfg.Flavor == config.MariaDB}
	if n < len(b.TxnSid) && b.TxnSid[n] > 0 && int(b.TxnSid[n]) <= len(b.Sids) && n < len(b.TxnGno) {
		if w.sid, w.gno = b.Sids[b.TxnSid[n]-1], b.TxnGno[n]; w.sid == t.behind.sid {
			w.sid = t.behind.sid
		} else {
			w.sid = strings.Clone(w.sid) // the batch's buffers are used again
		}
	}
	if n < len(b.TxnServerId) {
		w.server = b.TxnServerId[n]
	}
	if n < len(b.TxnThread) {
		w.thread = b.TxnThread[n]
	}
	if g < len(b.GroupPos) {
		w.pos = b.GroupPos[g]
	}
	if n < len(b.TxnCommitUs) && b.TxnCommitUs[n] > 0 {
		w.timeUS = b.TxnCommitUs[n]
	} else if g < len(b.GroupTime) {
		w.timeUS = uint64(b.GroupTime[g]) * 1e6
	}
	t.behind = w
}

// tableFilter selects what the connector captures, and the signal table, which is captured whatever the lists say.
func tableFilter(cfg *config.Connector) *capturev1.TableFilter {
	f := captureFilter(cfg)
	if s := &cfg.Signals; s.Source && s.Table != "" {
		name := exactly(s.Table)
		database, _, _ := strings.Cut(s.Table, ".")
		if len(f.IncludeDatabases) > 0 {
			f.IncludeDatabases = append(slices.Clone(f.IncludeDatabases), exactly(database))
		}
		if len(f.IncludeTables) > 0 {
			f.IncludeTables = append(slices.Clone(f.IncludeTables), name)
		}
	}
	return f
}

// sent reports that the stream took a command; what it did not is sent again by the next start.
func (t *task) sendCommand(c *capturev1.SnapshotCommand) error {
	if t.stream == nil || t.stream.s == nil {
		return errs.E(errs.Unavailable, "the task is not streaming")
	}
	if err := t.stream.s.Snapshot(proto.CloneOf(c)); err != nil {
		return errs.E(errs.Unavailable, "tell the capturer: %w", err)
	}
	return nil
}
