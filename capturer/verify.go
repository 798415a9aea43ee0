package capturer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/rowmesh/rowmesh/capturer/binlog"
	"github.com/rowmesh/rowmesh/capturer/schema"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/source"
)

// maxVerified bounds how much of the log is read to prove that a table is today what it was then: some ten seconds, for which the rows of other tables wait.
const maxVerified = 4 << 30

// errChanged says that what a table is today says nothing of the reader's place.
var errChanged = errors.New("what the table is today says nothing of these rows, since a later statement of the log is about it")

// waysOn is what can be done about a table whose shape is not known.
const waysOn = "take a new snapshot of the table (snapshot.mode=no_data is enough to read on from today), set binlog_row_metadata=FULL on the server for the future, " +
	"or leave the table out of table.include.list; then restart the task"

// today reads a table as the server has it now, and proves that it has been so since the reader's place: no statement of the log from there to the end names it. That
// is how a table is known that no history tells of, that a statement changed which is not understood, or that was changed outside the log (sql_log_bin=0). The
// caller compares the shape with the log's type vector.
//
// The table is read before the end of the log is asked for, so what changes it meanwhile is in the log. An error of kind Unavailable or Busy may pass. With errChanged
// the shape comes nevertheless.
func (t *tables) today(ctx context.Context, r *reader, tm *binlog.TableMap) (*rowv1.Table, error) {
	session, err := r.src.access().Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	text, err := session.ShowCreate(ctx, tm.Database, tm.Name)
	if err != nil {
		return nil, fmt.Errorf("the table cannot be read now: %w", err)
	}
	if strings.Contains(text, "SEQUENCE=1") && sequenceColumns(tm) {
		return nil, errSequence
	}
	shape, err := schema.ParseCreate(t.catalog.Options(), tm.Database, text)
	if err != nil {
		return nil, err
	}
	later, err := t.laterStatement(ctx, r, session, tm.Database, tm.Name)
	if err != nil {
		return nil, err
	}
	if later != "" {
		return shape, errs.E(errs.Unsupported, "%w: %s", errChanged, later)
	}
	return shape, nil
}

// unknownStatement is a statement that is not understood.
type unknownStatement struct {
	file string
	pos  uint64
	err  error
}

// changedOutside finds the shape of a table that the history has another one of than the log describes: it was changed outside the log.
func (t *tables) changedOutside(ctx context.Context, r *reader, tm *binlog.TableMap, why error) (*rowv1.Table, Plan, error) {
	shape, err := t.today(ctx, r, tm)
	if err == nil {
		var plan Plan
		if plan, err = r.src.access().Compile(tm, shape); err == nil {
			r.logger.Warn("a table was changed outside the log (sql_log_bin=0?); what it is today fits its rows, and is used from here on", "database", tm.Database, "table", tm.Name,
				"file", r.at.file, "pos", r.at.pos, "error", why)
			return shape, plan, nil
		}
		err = fmt.Errorf("nor is it what the table is today: %w", err)
	}
	if k := errs.KindOf(err); k == errs.Unavailable || k == errs.Busy {
		return nil, nil, err
	}
	return nil, nil, errs.E(errs.Unsupported, "%w; it was changed outside the log (sql_log_bin=0?); %w; %s", why, err, waysOn)
}

// laterStatement reads the log from the reader's place to its end, and returns the first statement that may shape a table, with its place; empty if there is none.
func (t *tables) laterStatement(ctx context.Context, r *reader, session Session, database, table string) (string, error) {
	head, err := session.Head(ctx)
	if err != nil {
		return "", err
	}
	logs, err := session.Logs(ctx)
	if err != nil {
		return "", err
	}
	if n := bytesAfter(logs, r.at.file, r.at.pos); n > maxVerified {
		return "", errs.E(errs.Unsupported, "%d bytes of the log come after these rows, too many to look in for later statements about the table", n)
	}
	log, err := r.src.access().Dial(ctx, session.Info(), randomServerID(), binlog.Start{File: r.at.file, Pos: r.at.pos})
	if err != nil {
		return "", err
	}
	defer log.Close()
	stop := context.AfterFunc(ctx, func() { log.Close() })
	defer stop()
	for file, pos := r.at.file, r.at.pos; comparePositions(file, pos, head.File, head.Pos) < 0; {
		ev, err := log.Next()
		if err != nil {
			return "", err
		}
		file, pos = ev.File, max(ev.Pos, ev.EndPos)
		if ev.Kind == binlog.Query && t.catalog.Mentions(ev.SQL, StatementOptions(r.info, &ev.Session), ev.Database, database, table) {
			return fmt.Sprintf("%s:%d: %s", ev.File, ev.Pos, clip(ev.SQL)), nil
		}
		if ev.Kind == binlog.Heartbeat { // the end, whatever it was called
			return "", nil
		}
	}
	return "", nil
}

// bytesAfter is how much of the log comes after a place.
func bytesAfter(logs []source.BinaryLog, file string, pos uint64) uint64 {
	var n uint64
	for _, l := range logs {
		switch c := comparePositions(l.Name, 0, file, 0); {
		case c > 0:
			n += l.Size
		case c == 0 && l.Size > pos:
			n += l.Size - pos
		}
	}
	return n
}
