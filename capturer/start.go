package capturer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rowmesh/rowmesh/capturer/binlog"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/gtid"
	"github.com/rowmesh/rowmesh/services/source"
)

// origin is where a subscription begins.
type origin struct {
	at     place
	skip   cursor // delivered of the first transaction
	latest bool   // the end of the log, wherever that is
}

// gapError is an error of kind Gap that knows what can still be had.
type gapError struct {
	reason string
	oldest *rowv1.Position
}

func (e *gapError) Error() string { return e.reason }

// gap makes an error of kind Gap.
func gap(oldest *rowv1.Position, format string, args ...any) error {
	return &errs.Error{Kind: errs.Gap, Err: &gapError{fmt.Sprintf(format, args...), oldest}}
}

// gapMessage is the message that ends a subscription with a gap.
func gapMessage(err error) *capturev1.SubscribeResponse {
	g := &capturev1.Gap{Reason: err.Error()}
	var e *gapError
	if errors.As(err, &e) {
		g.Oldest = e.oldest
	}
	return &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Gap{Gap: g}}
}

// resolve finds the place that a start means. Errors of kind Gap mean that it is no longer there.
func (s *dbSource) resolve(ctx context.Context, session Session, start *capturev1.Start) (origin, error) {
	info := session.Info()
	var o origin
	var err error
	switch at := start.GetAt().(type) {
	case *capturev1.Start_Token:
		t, err := decodeToken(at.Token)
		if err != nil {
			return o, err
		}
		if o.at, err = newPlace(info.Flavor, t.Start); err != nil {
			return o, err
		}
		o.at.exact, o.at.server = t.Exact && o.at.uuid != "", t.ServerId
		o.skip = cursor{t.Event, t.Row}
		if !o.skip.zero() && o.at.moved(info) {
			return o, s.cutElsewhere(ctx, session, &o.at)
		}
	case *capturev1.Start_Position:
		if at.Position.GetFile() == "" && at.Position.GetGtids() == "" {
			return o, errs.E(errs.Invalid, "start.position has neither a file nor GTIDs")
		}
		if o.at, err = newPlace(info.Flavor, at.Position); err != nil {
			return o, err
		}
	case *capturev1.Start_Offset:
		p := &rowv1.Position{File: at.Offset.GetFile(), Pos: at.Offset.GetPos(), Gtids: at.Offset.GetGtids()}
		if p.File == "" && p.Gtids == "" {
			return o, errs.E(errs.Invalid, "start.offset has neither file nor gtids")
		}
		if o.at, err = newPlace(info.Flavor, p); err != nil {
			return o, err
		}
		o.skip = cursor{at.Offset.GetEvent(), at.Offset.GetRow()}
	case *capturev1.Start_Earliest:
		oldest, err := session.Oldest(ctx)
		if err != nil {
			return o, err
		}
		o.at, err = newPlace(info.Flavor, oldest)
		o.at.countGTIDs(info)
		return o, err
	case *capturev1.Start_Latest:
		head, err := session.Head(ctx)
		if err != nil {
			return o, err
		}
		o.latest = true
		o.at, err = newPlace(info.Flavor, head)
		o.at.countGTIDs(info)
		return o, err
	case *capturev1.Start_TimestampUs:
		return s.resolveTime(ctx, session, at.TimestampUs)
	default:
		return o, errs.E(errs.Invalid, "open.start says nothing")
	}
	if !info.HasGTIDs() {
		o.at.countGTIDs(info)
	}
	if err := s.adopt(ctx, session, &o.at, start.GetGtidSources()); err != nil {
		return o, err
	}
	if err := s.checkLineage(ctx, session, &o.at); err != nil {
		return o, err
	}
	return o, s.completeGTIDs(ctx, session, &o.at)
}

// checkDelivered checks the places behind its start up to which a subscriber has some tables: those it leaves out by them, so they must be of this log too.
func (s *dbSource) checkDelivered(ctx context.Context, session Session, open *capturev1.Open) error {
	info := session.Info()
	for _, token := range open.Delivered {
		t, err := decodeToken(token)
		if err != nil {
			return err
		}
		at, err := newPlace(info.Flavor, t.Start)
		if err != nil {
			return err
		}
		at.server = t.ServerId
		if c := (cursor{t.Event, t.Row}); !c.zero() && at.moved(info) {
			return s.cutElsewhere(ctx, session, &at)
		}
		if !info.HasGTIDs() {
			at.countGTIDs(info)
		}
		if err := s.adopt(ctx, session, &at, open.Start.GetGtidSources()); err != nil {
			return err
		}
		if err := s.checkLineage(ctx, session, &at); err != nil {
			return err
		}
	}
	return nil
}

// cutElsewhere is the error of a place inside a transaction of another server's log. This server may have the transaction as well, but not with the same events: how
// far the subscriber got in it cannot be said here, and from its start it would come twice in part.
func (s *dbSource) cutElsewhere(ctx context.Context, session Session, at *place) error {
	name := func(uuid string, id uint32) string {
		if uuid != "" {
			return "server " + uuid
		}
		return fmt.Sprintf("the server with server_id %d", id)
	}
	info := session.Info()
	oldest, _ := session.Oldest(ctx) // only to tell; the answer stays the same without
	return gap(oldest, "source %s: the position is inside a transaction of %s (behind GTIDs %s, %s:%d), and %s answers now, which has other events in it; "+
		"point the connector at the first server until the transaction is through, or start from a new snapshot (snapshot.mode=when_needed does that by itself)",
		s.id, name(at.uuid, at.server), at.gtids, at.file, at.pos, name(info.ServerUUID, info.ServerID))
}

// countGTIDs makes the place's set one that can be counted on. With GTIDs on all transactions, an empty set is known as such: on a server whose log is
// complete nothing comes before its beginning. Without (gtid_mode=OFF on a server that once had it on, or a migration under way), a set that stands still while
// transactions pass would make different places look the same: there is none then.
func (p *place) countGTIDs(info source.Info) {
	switch {
	case !info.HasGTIDs():
		p.gtids = nil
	case p.gtids == nil:
		p.gtids = gtid.New(info.Flavor)
	}
}

// completeGTIDs finds the GTIDs before a place that was given by file and position alone, where the server can say: at the beginning of a file, and
// anywhere on MariaDB.
func (s *dbSource) completeGTIDs(ctx context.Context, session Session, at *place) error {
	info := session.Info()
	if at.gtids != nil || !info.HasGTIDs() || info.Flavor == config.MySQL && at.pos > binlogHeader {
		return nil
	}
	text, err := session.Before(ctx, at.file, at.pos)
	if err != nil {
		return err
	}
	at.gtids, err = gtid.Parse(info.Flavor, text)
	return err
}

// binlogHeader is the position of the first event of a log file, after the four magic bytes.
const binlogHeader = 4

// resolveTime finds the first transaction that was committed at or after an instant: it looks for the newest file whose first event is older, and
// reads from there. Clocks of a server may go back; then the first transaction in log order counts.
func (s *dbSource) resolveTime(ctx context.Context, session Session, micros uint64) (origin, error) {
	logs, err := session.Logs(ctx)
	if err != nil {
		return origin{}, err
	}
	info := session.Info()
	at := time.UnixMicro(int64(micros))
	for i := len(logs) - 1; i >= 0; i-- {
		o := origin{at: place{file: logs[i].Name, pos: binlogHeader, uuid: info.ServerUUID}}
		if err := s.completeGTIDs(ctx, session, &o.at); err != nil {
			return origin{}, err
		}
		found, first, err := s.scanTo(ctx, info, &o.at, at, i == len(logs)-1)
		if err != nil {
			return origin{}, err
		}
		// A file that begins too late may have the right place before it, unless there is no file before.
		if found && (!first || i == 0) {
			return o, nil
		}
		if !found && i == len(logs)-1 {
			// All of the newest file is older. Its end is the place.
			return o, nil
		}
		if !found {
			next := origin{at: place{file: logs[i+1].Name, pos: binlogHeader, uuid: info.ServerUUID}}
			return next, s.completeGTIDs(ctx, session, &next.at)
		}
	}
	head, err := session.Head(ctx)
	if err != nil {
		return origin{}, err
	}
	p, err := newPlace(info.Flavor, head)
	return origin{at: p, latest: true}, err
}

// scanTo moves at over the transactions of its file that were committed before t. first says that it did not move.
func (s *dbSource) scanTo(ctx context.Context, info source.Info, at *place, t time.Time, newest bool) (found, first bool, err error) {
	session, err := s.access().Connect(ctx)
	if err != nil {
		return false, false, err
	}
	head, err := session.Head(ctx)
	session.Close()
	if err != nil {
		return false, false, err
	}
	log, err := s.access().Dial(ctx, info, 1<<30+1, binlog.Start{File: at.file, Pos: at.pos})
	if err != nil {
		return false, false, err
	}
	defer log.Close()
	stop := context.AfterFunc(ctx, func() { log.Close() })
	defer stop()
	file := at.file
	first = true
	for !newest || at.file != head.File || at.pos < head.Pos {
		ev, err := log.Next()
		if err != nil {
			return false, first, err
		}
		switch ev.Kind {
		case binlog.Begin, binlog.Query:
			committed := time.Unix(int64(ev.Time), 0)
			if ev.CommitUS > 0 {
				committed = time.UnixMicro(int64(ev.CommitUS))
			}
			if !ev.InTransaction && !committed.Before(t) {
				return true, first, nil
			}
			if ev.Kind == binlog.Begin || ev.InTransaction {
				continue
			}
		case binlog.Commit, binlog.Rollback:
		case binlog.Rotate:
			if ev.File != file {
				return false, first, nil
			}
			continue
		case binlog.Heartbeat:
			return false, first, nil
		default:
			continue
		}
		first = false
		at.pos = ev.EndPos
		if at.gtids != nil && ev.SID != "" {
			if err := at.gtids.Add(ev.SID, ev.GNO); err != nil {
				return false, first, err
			}
		}
	}
	return false, first, nil
}

// A commit takes milliseconds from the log to gtid_executed, on a busy disk a second. What takes longer is not waited for here but tried again: see ahead.
const (
	executedTries = 5
	executedDelay = 200 * time.Millisecond
)

// checkLineage proves that the log that the server has now is the one that at belongs to, and that nothing after at is gone from it.
func (s *dbSource) checkLineage(ctx context.Context, session Session, at *place) error {
	info := session.Info()
	if at.gtids != nil && info.HasGTIDs() {
		return s.checkGTIDs(ctx, session, at, executedTries)
	}
	const next = "; start from a new snapshot (snapshot.mode=when_needed does that by itself), or from a position that the server has"
	if at.uuid != "" && info.ServerUUID != "" && at.uuid != info.ServerUUID {
		oldest, _ := session.Oldest(ctx)
		return gap(oldest, "position %s:%d belongs to server %s, but %s answers now; without GTIDs a place cannot be carried over"+next, at.file, at.pos, at.uuid, info.ServerUUID)
	}
	logs, err := session.Logs(ctx)
	if err != nil {
		return err
	}
	for _, l := range logs {
		if l.Name != at.file {
			continue
		}
		if at.pos > l.Size && l.Size > 0 {
			return gap(nil, "position %s:%d is behind the end of that file (%d bytes): the server lost or reset its log"+next, at.file, at.pos, l.Size)
		}
		return nil
	}
	first, last := "none", "none"
	if len(logs) > 0 {
		first, last = logs[0].Name, logs[len(logs)-1].Name
	}
	oldest, _ := session.Oldest(ctx) // only to tell; the answer stays the same without
	return gap(oldest, "position %s:%d is no longer available in the log of the server, which has %s to %s"+next, at.file, at.pos, first, last)
}

// serverGTIDs returns what the server has executed, what of that is gone from its log, and the oldest place that the log has.
func (s *dbSource) serverGTIDs(ctx context.Context, session Session) (executed, purged *gtid.Set, oldest *rowv1.Position, err error) {
	flavor := session.Info().Flavor
	head, err := session.Head(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	if oldest, err = session.Oldest(ctx); err != nil {
		return nil, nil, nil, err
	}
	if executed, err = gtid.Parse(flavor, head.Gtids); err != nil {
		return nil, nil, nil, errs.E(errs.Corrupt, "GTIDs that the server has executed: %w", err)
	}
	if purged, err = gtid.Parse(flavor, oldest.Gtids); err != nil {
		return nil, nil, nil, errs.E(errs.Corrupt, "GTIDs that the server has purged: %w", err)
	}
	return executed, purged, oldest, nil
}

// checkGTIDs is checkLineage with GTIDs: what was seen must have been executed there, and what was not seen must still be in the log.
func (s *dbSource) checkGTIDs(ctx context.Context, session Session, at *place, tries int) error {
	executed, purged, oldest, err := s.serverGTIDs(ctx, session)
	if err != nil {
		return err
	}
	if !executed.Contains(at.gtids) {
		if tries > 0 {
			// A transaction is in the log, and so with the subscriber, a moment before its GTID counts as executed.
			select {
			case <-time.After(executedDelay):
				return s.checkGTIDs(ctx, session, at, tries-1)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		extra := at.gtids.Clone()
		extra.Subtract(executed)
		if s.ahead.mayCome(at.gtids.String(), left(extra, executed), time.Now(), s.patience) {
			return errs.E(errs.Unavailable, "source %s: the position has transactions that the server has not executed yet (%s): it waits for a replica to acknowledge them, or it was promoted and "+
				"still applies them; trying again for %s", s.id, extra, s.patience)
		}
		return gap(oldest, "the position has transactions that this server never executed (%s): it is not a successor of the server that was read, or it was reset; "+
			"point the connector at the right server, or start from a new snapshot", extra)
	}
	s.ahead.came(at.gtids.String())
	if !at.gtids.Contains(purged) {
		purged.Subtract(at.gtids)
		return gap(oldest, "transactions after the position are no longer available in the log of the server (purged: %s); start from a new snapshot (snapshot.mode=when_needed does that by itself), "+
			"and keep the log longer (binlog_expire_logs_seconds)", purged)
	}
	return nil
}
