package capturer

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/rowmesh/rowmesh/capturer/snapshot"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/failpoint"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/source"
)

// subscribe serves one subscription: Opened, the snapshot if one is asked for, then the log.
func (s *dbSource) subscribe(ctx context.Context, f *feed, out capture.Sender) error {
	session, err := s.access().Connect(ctx)
	if err != nil {
		return err
	}
	info := session.Info()
	if f.open.Start.GetSnapshot() {
		session.Close()
		if o := f.open.Snapshot; o.GetLockFree() && o.GetData() && !o.GetOnly() {
			return s.subscribeLockFree(ctx, f, info, out)
		}
		return s.subscribeSnapshot(ctx, f, info, out)
	}
	if err := s.history.load(ctx); err != nil {
		session.Close()
		return err
	}
	var o origin
	if f.open.Start.GetLatest() {
		o, err = s.startNow(ctx, session, f)
	} else {
		o, err = s.resolve(ctx, session, f.open.Start)
	}
	if err == nil {
		err = s.checkDelivered(ctx, session, f.open)
	}
	if err == nil {
		err = s.resume(ctx, session, f)
	}
	session.Close()
	if err != nil {
		return err
	}
	if o.at.uuid == "" {
		o.at.uuid = info.ServerUUID
	}
	if o.at.server == 0 {
		o.at.server = info.ServerID
	}
	if f.open.CanDefine && !o.latest && info.RowMetadata != "FULL" && !s.history.knowsAny(info.Flavor, &o.at, f.filter) {
		m := openedMessage(s.id, info, o.at.position(), false)
		m.GetOpened().Define = true
		return out.Send(m)
	}
	if f.open.Snapshot != nil && !f.open.Snapshot.Data {
		if err := out.Send(openedMessage(s.id, info, o.at.position(), false)); err != nil {
			return err
		}
		if err := s.define(ctx, f, o.at.position(), out); err != nil {
			return err
		}
		return s.follow(ctx, f, o, func() error { return nil }, out)
	}
	return s.follow(ctx, f, o, func() error { return out.Send(openedMessage(s.id, info, f.start, false)) }, out)
}

// define tells the tables as they are now, dated at the place where the log goes on. Nothing of it is stored: who reads the log from there decodes by what held there.
func (s *dbSource) define(ctx context.Context, f *feed, at *rowv1.Position, out capture.Sender) error {
	o := s.snapshotOptions(f)
	o.Snapshot = proto.CloneOf(o.Snapshot)
	o.Snapshot.Data = false
	_, err := s.access().Snapshot(ctx, o, func(m *capturev1.SubscribeResponse) error {
		if d := m.GetDdl(); d != nil {
			d.Checkpoint, d.File, d.Pos = nil, at.File, at.Pos
			return out.Send(m)
		}
		if p := m.GetSnapshot(); p.GetComplete() {
			p.Checkpoint = nil
			return out.Send(m)
		}
		return nil // no rows are wanted: a table that cannot be read stops where its rows come
	})
	return err
}

// knownAtStart is how many tables a subscription that starts at the end of the log reads the shapes of at once: a few milliseconds of metadata locks each.
// The shapes of more are read one by one, when their first rows come.
const knownAtStart = 500

// startNow begins at the end of the log, with the shapes that the wanted tables have there: DDL that comes a moment later finds them known. What the history has of
// them need not hold any more: DDL may have passed while nobody followed it.
func (s *dbSource) startNow(ctx context.Context, session Session, f *feed) (origin, error) {
	o, err := s.resolve(ctx, session, f.open.Start)
	if err != nil {
		return o, err
	}
	info := session.Info()
	shapes, at, err := session.Shapes(ctx, f.wants, knownAtStart)
	if err != nil {
		s.logger.Warn("shapes of the tables are read when their first rows come", "consumer", f.open.Consumer, "error", err)
		return o, nil
	}
	if len(shapes) == 0 {
		return o, nil
	}
	if o.at, err = newPlace(info.Flavor, at); err != nil {
		return o, err
	}
	o.at.countGTIDs(info)
	o.latest = false // the shapes hold here, and DDL may follow at once
	versions := make([]registry.TableVersion, 0, len(shapes))
	for _, t := range shapes {
		if !proto.Equal(s.history.table(info.Flavor, &o.at, t.Database, t.Table), t) {
			versions = append(versions, registry.TableVersion{Database: t.Database, Table: t.Table, ValidFrom: at, Shape: t})
		}
	}
	if err := s.history.put(ctx, versions...); err != nil {
		return o, errs.E(errs.Unavailable, "source %s: store table versions: %w", s.id, err)
	}
	return o, nil
}

// follow gives the feed a reader, and sends what it reads. The feed begins before the subscriber hears of it: what commits after Opened is sent.
func (s *dbSource) follow(ctx context.Context, f *feed, o origin, opened func() error, out capture.Sender) error {
	if f.copy == nil {
		f.copy = newCopier(s, f)
	}
	if err := s.attach(ctx, f, o.at, o.skip, o.latest); err != nil {
		return err
	}
	defer s.leave(f)
	if err := opened(); err != nil {
		return err
	}
	return s.stream(ctx, f, &o.at, o.skip, out)
}

func openedMessage(id registry.SourceID, info source.Info, at *rowv1.Position, snapshot bool) *capturev1.SubscribeResponse {
	return &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Opened{Opened: &capturev1.Opened{
		Source: string(id), Flavor: string(info.Flavor), Version: info.Version, Position: at, TimeZone: info.TimeZone, Snapshot: snapshot}}}
}

// subscribeSnapshot takes a snapshot, stores the shapes that it found, and goes on with the log from its cut.
func (s *dbSource) subscribeSnapshot(ctx context.Context, f *feed, info source.Info, out capture.Sender) error {
	if err := out.Send(openedMessage(s.id, info, nil, true)); err != nil {
		return err
	}
	if err := s.history.load(ctx); err != nil {
		return err
	}
	if err := failpoint.At(failpoint.SnapshotBefore); err != nil {
		return err
	}
	o := s.snapshotOptions(f)
	// The last message says where to resume. It waits until the shapes are stored, so that whoever resumes there finds them.
	var complete *capturev1.SubscribeResponse
	res, err := s.access().Snapshot(ctx, o, func(m *capturev1.SubscribeResponse) error {
		if m.GetSnapshot().GetComplete() {
			complete = m
			return nil
		}
		if err := failpoint.At(failpoint.SnapshotSend); err != nil {
			return err
		}
		return out.Send(m)
	})
	if err != nil {
		return err
	}
	versions := make([]registry.TableVersion, 0, len(res.Tables))
	for _, t := range res.Tables {
		versions = append(versions, registry.TableVersion{Database: t.Database, Table: t.Table, ValidFrom: res.Cut, Shape: t})
	}
	if err := s.history.put(ctx, versions...); err != nil {
		return errs.E(errs.Unavailable, "source %s: store the table versions of the snapshot: %w", s.id, err)
	}
	last := func() error {
		if complete == nil {
			return nil
		}
		return out.Send(complete)
	}
	if err := failpoint.At(failpoint.SnapshotAfter); err != nil {
		return err
	}
	if f.open.Snapshot.GetOnly() {
		return last()
	}
	at, err := newPlace(info.Flavor, res.Cut)
	if err != nil {
		return err
	}
	at.countGTIDs(info)
	return s.follow(ctx, f, origin{at: at}, last, out)
}

// snapshotOptions say what a snapshot for a feed reads.
func (s *dbSource) snapshotOptions(f *feed) snapshot.Options {
	return snapshot.Options{
		Rows: f.wants,
		Schemas: func(db, table string) bool {
			return f.filter.table(db, table)&selected != 0 || f.open.Snapshot.GetDefineDatabases() && f.filter.database(db)
		},
		Order: f.open.Tables.GetIncludeTables(), Ddl: f.open.Ddl, Snapshot: f.open.Snapshot, MaxBatchBytes: f.maxBytes(), Payload: s.pool.Payload, Log: s.logger,
		Version: func(t *rowv1.Table) (*rowv1.Table, error) {
			st, _ := f.schema(t)
			v := proto.CloneOf(st.shape)
			v.SchemaId = st.id
			return v, nil
		},
	}
}
