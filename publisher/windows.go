package publisher

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"time"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/source"
)

// windows writes the rows that Debezium writes into the signal table around each chunk of an incremental snapshot, for those who read them there or in the table's
// topic. Nothing here depends on them: the watermarks of a chunk are GTIDs. So they come behind their chunk, on a connection of their own, and a snapshot does not wait
// for them: where a thousand are due, the next ones are left out.
//
// Requires: chunk and close are called from one goroutine.
type windows struct {
	sql     func(id string, opened, closed time.Time) []string
	connect func(context.Context) (session, error)
	tell    func(error)
	due     chan window
	stop    context.CancelFunc
	wg      sync.WaitGroup
	opened  time.Time
	chunks  map[string]uint64 // seen, by snapshot and table
}

// window is one pair of rows.
type window struct{ opened, closed time.Time }

// windowsDue bounds the pairs that wait: at a chunk of 1 024 rows each, some seconds of a fast snapshot.
const windowsDue = 1024

// newWindows returns what writes the rows; nil where none are wanted.
func (t *task) newWindows(cfg *config.Connector) *windows {
	s := &cfg.Signals
	if !s.Source || s.Table == "" || s.ReadOnly {
		return nil
	}
	at := source.FromConnector(cfg)
	w := &windows{sql: windowStatements(s), connect: func(ctx context.Context) (session, error) { return source.Connect(ctx, at) }, due: make(chan window, windowsDue), chunks: map[string]uint64{}}
	told := ""
	w.tell = func(err error) {
		text := ""
		if err != nil {
			text = fmt.Sprintf("signal.data.collection: the rows that mark chunks are not written into %s: %v; grant INSERT (and DELETE) on it, or set read.only=true", s.Table, err)
		}
		if text == told {
			return
		}
		if told = text; text == "" {
			t.status.warn("windows")
			return
		}
		t.status.warn("windows", text)
		t.log.Warn("rows that mark chunks are not written", "table", s.Table, "error", err)
	}
	return w
}

// windowStatements returns the statements of a window.
func windowStatements(s *config.Signals) func(string, time.Time, time.Time) []string {
	database, name, _ := strings.Cut(s.Table, ".")
	table := quote(database) + "." + quote(name)
	insert := func(id, kind, data string) string {
		return fmt.Sprintf("INSERT INTO %s VALUES ('%s', '%s', '%s')", table, id, kind, data)
	}
	return func(id string, opened, closed time.Time) []string {
		open := insert(id+"-open", "snapshot-window-open", fmt.Sprintf(`{"openWindowTimestamp": "%s"}`, instant(opened)))
		if s.DeleteWindows {
			return []string{open, fmt.Sprintf("DELETE FROM %s WHERE id = '%s-open'", table, id)}
		}
		return []string{open, insert(id+"-close", "snapshot-window-close",
			fmt.Sprintf(`{"openWindowTimestamp": "%s", "closeWindowTimestamp": "%s"}`, instant(opened), instant(closed)))}
	}
}

// instant is java.time.Instant.toString with nanoseconds.
func instant(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000000000Z") }

// start writes rows until close.
func (w *windows) start(ctx context.Context) {
	if w == nil {
		return
	}
	ctx, w.stop = context.WithCancel(ctx)
	w.opened = time.Now()
	w.wg.Go(func() { w.run(ctx) })
}

// close ends it; what is due is not written.
func (w *windows) close() {
	if w != nil && w.stop != nil {
		w.stop()
		w.wg.Wait()
	}
}

// chunk makes a pair due for each chunk that had rows, and one for the last, which has none.
func (w *windows) chunk(p *capturev1.SnapshotProgress) {
	if w == nil || w.stop == nil {
		return
	}
	of := p.Id + " " + p.Table
	chunk, last := p.ChunksDone > w.chunks[of] && p.ToKey != "", p.Complete && p.State != capturev1.SnapshotState_SNAPSHOT_STATE_STOPPED
	if w.chunks[of] = p.ChunksDone; p.TableComplete || p.Complete {
		delete(w.chunks, of)
	}
	if !chunk && !last {
		return
	}
	now := time.Now()
	select {
	case w.due <- window{w.opened, now}:
	default: // the server cannot keep up with them, and nobody needs them
	}
	w.opened = now
}

func (w *windows) run(ctx context.Context) {
	var s session
	defer func() {
		if s != nil {
			s.Close()
		}
	}()
	for {
		var next window
		select {
		case <-ctx.Done():
			return
		case next = <-w.due:
		}
		err := w.write(ctx, &s, next)
		if ctx.Err() != nil {
			return
		}
		w.tell(err)
	}
}

// write writes one pair. A session that failed is not used again.
func (w *windows) write(ctx context.Context, s *session, next window) error {
	ctx, cancel := context.WithTimeout(ctx, actionTimeout)
	defer cancel()
	if *s == nil {
		c, err := w.connect(ctx)
		if err != nil {
			return err
		}
		*s = c
	}
	for _, sql := range w.sql(newUUID(), next.opened, next.closed) {
		if err := (*s).Exec(ctx, sql); err != nil {
			(*s).Close()
			*s = nil
			return errs.E(errs.KindOf(err), "%w", err)
		}
	}
	return nil
}

// newUUID makes a random UUID.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // version 4, RFC 9562
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
