package capturer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	"github.com/rowmesh/rowmesh/capturer/binlog"
	"github.com/rowmesh/rowmesh/capturer/schema"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/gtid"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/source"
)

var _ capture.Definer = (*Capturer)(nil)

// Define implements capture.Definer: it rebuilds the versions of tables from what a history tells, where the store has lost them.
//
// The history says what held before a place. What comes behind it is in the log, which may be ahead of the history: other subscribers, who were further when the store was
// lost, start behind the place too, and statements that lie between must not be missing for them. So the log is followed to its end before anybody may start.
//
//	history ─ replay ─> tables at the place ─ store ─ statements of the log ─ store ─> end of the log
func (c *Capturer) Define(ctx context.Context, next func() (*capturev1.DefineTablesRequest, error)) (*capturev1.DefineTablesResponse, error) {
	first, err := next()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = errs.E(errs.Invalid, "definitions of tables begin with a source and a place")
		}
		return nil, err
	}
	s, err := c.find(ctx, first.Source)
	if err != nil {
		return nil, err
	}
	return s.rebuild(ctx, first, next)
}

func (s *dbSource) rebuild(ctx context.Context, first *capturev1.DefineTablesRequest, next func() (*capturev1.DefineTablesRequest, error)) (*capturev1.DefineTablesResponse, error) {
	session, err := s.access().Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	if err := s.history.load(ctx); err != nil {
		return nil, err
	}
	info := session.Info()
	o, err := s.resolve(ctx, session, first.At)
	if err != nil {
		return nil, err
	}
	if first.Complete.GetAt() != nil {
		c, err := s.resolve(ctx, session, first.Complete)
		if err != nil {
			return nil, err
		}
		if !reaches(&c.at, &o.at) {
			return nil, errs.E(errs.Unavailable, "the history of source %s is complete up to %s:%d (%v) only, and tables are wanted at %s:%d: waiting for whoever writes it to get there",
				s.id, c.at.file, c.at.pos, c.at.gtids, o.at.file, o.at.pos)
		}
	}
	p := past{catalog: NewCatalog(info), flavor: info.Flavor, at: &o.at}
	databases, err := session.Databases(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range databases {
		p.catalog.SetDatabase(d.Name, d.Charset, d.Collation)
	}
	for req := first; ; {
		for _, st := range req.Statements {
			if err := p.replay(st); err != nil {
				return nil, err
			}
		}
		if req, err = next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
	}
	if err := s.storePast(ctx, info, &p); err != nil {
		return nil, err
	}
	if err := s.followStatements(ctx, session, &p); err != nil {
		return nil, err
	}
	s.logger.Info("tables rebuilt from a history", "tables", p.tables, "statements", p.replayed, "file", o.at.file, "pos", o.at.pos)
	return &capturev1.DefineTablesResponse{Tables: p.tables, Statements: p.replayed}, nil
}

// reaches says whether a place is at another or behind it.
func reaches(a, b *place) bool {
	if a.gtids != nil && b.gtids != nil {
		return a.gtids.Contains(b.gtids)
	}
	return a.oneServer(b) && a.compare(b) >= 0
}

// past replays a history up to a place.
type past struct {
	catalog  *schema.Catalog
	flavor   config.Flavor
	at       *place
	replayed uint32
	tables   uint32
}

// passed says whether a statement of the history is before the place. With GTIDs its position has those before it: who has them all and others too has the statement,
// which is the next in the log. Without, it has the position behind it, or, where it is an event of a transaction, that of the transaction's begin.
func (p *past) passed(st *capturev1.PastStatement) (bool, error) {
	o := st.Offset
	if o.GetGtids() != "" && p.at.gtids != nil {
		set, err := gtid.Parse(p.flavor, o.Gtids)
		if err != nil {
			return false, errs.E(errs.Corrupt, "%s: the GTIDs of its position: %w; is it the history of another kind of server?", st.Origin, err)
		}
		return p.at.gtids.Contains(set) && (o.Snapshot != "" || !p.at.gtids.Equal(set)), nil
	}
	c := comparePositions(o.GetFile(), o.GetPos(), p.at.file, p.at.pos)
	return c < 0 || c == 0 && o.GetEvent() == 0, nil
}

// replay moves the catalogue over a statement. Where that cannot be done, because it is not understood or its table was created before the history began, the tables
// behind it are taken as they are told.
func (p *past) replay(st *capturev1.PastStatement) error {
	if ok, err := p.passed(st); err != nil || !ok {
		return err
	}
	p.replayed++
	var failed error
	if st.Statement != "" {
		_, failed = p.catalog.Apply(st.Database, st.Statement, schema.ApplyOptions{})
	}
	told := make(map[[2]string]bool, len(st.Tables))
	for _, t := range st.Tables {
		told[[2]string{t.Database, t.Table}] = true
		known := p.catalog.Table(t.Database, t.Table) != nil
		if failed == nil && st.Statement != "" && known == (t.Definition != "") {
			continue
		}
		if t.PreviousTable != "" {
			p.catalog.DropTable(t.PreviousDatabase, t.PreviousTable)
		}
		if t.Definition == "" {
			p.catalog.DropTable(t.Database, t.Table)
			continue
		}
		shape, err := schema.ParseCreate(p.catalog.Options(), t.Database, t.Definition)
		if err != nil {
			return errs.E(errs.Corrupt, "%s: table %s.%s: %w", st.Origin, t.Database, t.Table, err)
		}
		p.catalog.SetTable(shape)
	}
	var unknown *schema.UnknownError
	if errors.As(failed, &unknown) && unknown.Table != "" && !told[[2]string{unknown.Database, unknown.Table}] {
		p.catalog.DropTable(unknown.Database, unknown.Table) // its rows make the reader look for it
	}
	return nil
}

// storePast stores the tables at the place, where the store says otherwise or nothing.
func (s *dbSource) storePast(ctx context.Context, info source.Info, p *past) error {
	from := p.at.position()
	var versions []registry.TableVersion
	p.catalog.Tables(func(t *rowv1.Table) bool {
		p.tables++
		if !proto.Equal(s.history.table(info.Flavor, p.at, t.Database, t.Table), t) {
			versions = append(versions, registry.TableVersion{Database: t.Database, Table: t.Table, ValidFrom: from, Shape: t})
		}
		return true
	})
	if err := s.history.put(ctx, versions...); err != nil {
		return errs.E(errs.Unavailable, "source %s: store the tables that a history told: %w", s.id, err)
	}
	return nil
}

// followStatements reads the log from the place to its end for statements alone, and stores what they make of the tables.
func (s *dbSource) followStatements(ctx context.Context, session Session, p *past) error {
	info := session.Info()
	r := &reader{src: s, serverID: randomServerID(), info: info, at: p.at.clone(), keepsAll: true, logger: s.logger.With("reader_of", "history"),
		tables: &tables{catalog: p.catalog, guesses: make(map[[2]string]*rowv1.Table), unknown: make(map[[2]string]unknownStatement), maps: make(map[*binlog.TableMap]*tableState)}}
	head, err := session.Head(ctx)
	if err != nil {
		return err
	}
	if r.headAt, err = newPlace(info.Flavor, head); err != nil {
		return err
	}
	if r.at.moved(info) && r.at.gtids != nil {
		r.otherServer()
	}
	r.at.uuid, r.at.server = info.ServerUUID, info.ServerID
	start, err := r.dumpFrom(ctx, session)
	if err != nil {
		return err
	}
	r.byGTID = start.GTIDs != ""
	if r.log, err = s.access().Dial(ctx, info, r.serverID, start); err != nil {
		return err
	}
	defer r.log.Close()
	stop := context.AfterFunc(ctx, func() { r.log.Close() })
	defer stop()
	for r.at.compare(&r.headAt) < 0 && !r.at.same(&r.headAt) {
		ev, err := r.log.Next()
		if err == nil {
			err = r.take(ctx, ev)
		}
		if err != nil {
			return fmt.Errorf("follow the statements of source %s from %s:%d on: %w", s.id, r.at.file, r.at.pos, err)
		}
		if ev.Kind == binlog.Heartbeat { // the end, whatever it was called
			return nil
		}
	}
	return nil
}

// knowsAny says whether the history has the shape of a table that a feed selects at a place, or that one is gone. A store that has nothing was lost, or never written.
func (h *history) knowsAny(flavor config.Flavor, at *place, f *filter) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	sets := make(map[string]*gtid.Set)
	knows := func(key [2]string) bool {
		if f.table(key[0], key[1])&selected == 0 {
			return false
		}
		best, _ := pick(h.list(key), flavor, at, sets)
		return best != nil
	}
	for key := range h.versions {
		if knows(key) {
			return true
		}
	}
	for key := range h.deferred {
		if knows(key) {
			return true
		}
	}
	return false
}
