package capturer

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/rowmesh/rowmesh/capturer/chunk"
	"github.com/rowmesh/rowmesh/capturer/snapshot"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/failpoint"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/source"
)

// subscribeLockFree begins with a snapshot that takes no lock for tables with a key: their definitions are told, then the log is streamed from there, and their rows come
// between its own. Tables that cannot be read in chunks come first, from one cut, since nothing tells their rows apart from those of the log.
func (s *dbSource) subscribeLockFree(ctx context.Context, f *feed, info source.Info, out capture.Sender) error {
	if err := failpoint.At(failpoint.SnapshotBefore); err != nil {
		return err
	}
	if err := out.Send(openedMessage(s.id, info, nil, true)); err != nil {
		return err
	}
	if err := s.history.load(ctx); err != nil {
		return err
	}
	res, err := s.readDefinitions(ctx, f, out)
	if err != nil {
		return err
	}
	chunked, whole := s.sort(f, res.Tables)
	rows := uint64(0)
	if len(whole) > 0 {
		cut, err := s.readWhole(ctx, f, whole, chunked, out)
		if err != nil {
			return err
		}
		if !slices.EqualFunc(wantedOf(f, res.Tables), wantedOf(f, cut.Tables), func(a, b *rowv1.Table) bool { return proto.Equal(a, b) }) {
			return errs.E(errs.Busy, "the definition of a table changed while the snapshot of source %s began: it begins again", s.id)
		}
		rows, res.Cut = cut.Rows, cut.Cut
	}
	if err := s.storeTables(ctx, res); err != nil {
		return err
	}
	at, err := newPlace(info.Flavor, res.Cut)
	if err != nil {
		return err
	}
	at.countGTIDs(info)
	f.copy = newCopier(s, f)
	f.copy.options(f.open.Snapshot)
	cur := &rowv1.SnapshotCursor{Begun: rows > 0}
	f.copy.begin(chunked, len(whole), res.Cut, cur, false)
	return s.follow(ctx, f, origin{at: at}, func() error {
		return out.Send(snapshotMessage(&capturev1.SnapshotProgress{Tables: uint32(len(chunked) + len(whole)), TablesDone: uint32(len(whole)), TableNames: append(whole, chunked...)}))
	}, out)
}

// readDefinitions tells the definitions, and reads no rows.
func (s *dbSource) readDefinitions(ctx context.Context, f *feed, out capture.Sender) (*snapshot.Result, error) {
	o := s.snapshotOptions(f)
	o.LockFree, o.Leave = true, func(*rowv1.Table) bool { return true }
	return s.access().Snapshot(ctx, o, func(m *capturev1.SubscribeResponse) error {
		if m.GetDdl() != nil || m.GetTableError() != nil {
			return out.Send(m)
		}
		return nil
	})
}

// readWhole reads tables from one cut.
func (s *dbSource) readWhole(ctx context.Context, f *feed, whole, chunked []string, out capture.Sender) (*snapshot.Result, error) {
	o := s.snapshotOptions(f)
	o.Ddl = capturev1.DdlScope_DDL_SCOPE_NONE
	o.Leave = func(t *rowv1.Table) bool { return !slices.Contains(whole, t.Database+"."+t.Table) }
	return s.access().Snapshot(ctx, o, func(m *capturev1.SubscribeResponse) error {
		if p := m.GetSnapshot(); p != nil {
			if p.Table == "" {
				return nil
			}
			p.Tables = uint32(len(whole) + len(chunked))
		}
		if b := m.GetBatch(); b != nil && len(chunked) > 0 {
			for i, x := range b.GroupMarker {
				if x == byte(rowv1.Marker_MARKER_LAST) {
					b.GroupMarker[i] = byte(rowv1.Marker_MARKER_LAST_IN_DATA_COLLECTION)
				}
			}
		}
		return out.Send(m)
	})
}

// storeTables stores what a snapshot found the tables to be.
func (s *dbSource) storeTables(ctx context.Context, res *snapshot.Result) error {
	versions := make([]registry.TableVersion, 0, len(res.Tables))
	for _, t := range res.Tables {
		versions = append(versions, registry.TableVersion{Database: t.Database, Table: t.Table, ValidFrom: res.Cut, Shape: t})
	}
	if err := s.history.put(ctx, versions...); err != nil {
		return errs.E(errs.Unavailable, "source %s: store the table versions of the snapshot: %w", s.id, err)
	}
	return nil
}

func wantedOf(f *feed, tables []*rowv1.Table) []*rowv1.Table {
	var out []*rowv1.Table
	for _, t := range tables {
		if f.wants(t.Database, t.Table) {
			out = append(out, t)
		}
	}
	return out
}

// sort divides the tables whose rows are wanted, in reading order, into those that are read in chunks and the others.
func (s *dbSource) sort(f *feed, tables []*rowv1.Table) (chunked, whole []string) {
	var names []string
	shapes := map[string]*rowv1.Table{}
	for _, t := range wantedOf(f, tables) {
		name := t.Database + "." + t.Table
		names = append(names, name)
		shapes[name] = t
	}
	for _, name := range inOrder(f.open, names) {
		if chunkable(f.open.Snapshot, shapes[name]) {
			chunked = append(chunked, name)
		} else {
			whole = append(whole, name)
		}
	}
	return chunked, whole
}

// chunkable says whether a table is read in chunks. Others are those without a key, those that a statement of the user's reads, and those whose past versions the server
// keeps in a way that only it sees.
func chunkable(o *capturev1.SnapshotOptions, t *rowv1.Table) bool {
	for id := range o.GetSelectOverrides() {
		if strings.EqualFold(id, t.Database+"."+t.Table) {
			return false
		}
	}
	if hasHidden(t) {
		return false
	}
	_, err := chunk.KeyOf(t, "")
	return err == nil
}

// inOrder returns those of some tables whose rows a snapshot reads, as the expressions of include_tables order them, then by name.
func inOrder(o *capturev1.Open, names []string) []string {
	data, _ := compilePatterns("include_tables", o.GetSnapshot().GetIncludeTables())
	order, _ := compilePatterns("include_tables", o.GetTables().GetIncludeTables()) // the filter has refused what does not compile
	rank := func(name string) int {
		for i, re := range order {
			if re.MatchString(name) {
				return i
			}
		}
		return len(order)
	}
	var out []string
	for _, n := range names {
		excluded := slices.ContainsFunc(o.GetSnapshot().GetExcludeTables(), func(name string) bool { return strings.EqualFold(name, n) })
		if !excluded && (len(data) == 0 || data.match(n)) {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b)) })
	return out
}

// options takes over how a snapshot reads.
func (c *copier) options(o *capturev1.SnapshotOptions) {
	if n := int(min(o.GetThreads(), maxCopyThreads)); n > 0 {
		c.threads = n
	}
	c.chunkRows = o.GetChunkRows()
	l := c.rate.State().Limits
	l.RowsPerSecond, l.BytesPerSecond = o.GetRowsPerSecond(), o.GetBytesPerSecond()
	c.rate.Set(l)
}

// resume makes the copier of a feed that starts with a token.
func (s *dbSource) resume(ctx context.Context, session Session, f *feed) error {
	f.copy = newCopier(s, f)
	f.copy.options(f.open.Snapshot)
	token := f.open.Start.GetToken()
	if token == nil {
		return nil
	}
	t, err := decodeToken(token)
	if err != nil {
		return err
	}
	var initial *rowv1.SnapshotCursor
	var others []*rowv1.SnapshotCursor
	for _, c := range t.Snapshots {
		if c.Id == "" {
			initial = c
		} else {
			others = append(others, c)
		}
	}
	f.copy.start(others)
	if initial == nil {
		return nil
	}
	names := initial.Tables
	if len(names) == 0 {
		sizes, err := session.Sizes(ctx)
		if err != nil {
			return err
		}
		for _, t := range sizes {
			if f.wants(t.Database, t.Table) {
				names = append(names, t.Database+"."+t.Table)
			}
		}
		names = inOrder(f.open, names)
		i := slices.IndexFunc(names, func(n string) bool { return n == initial.Table })
		if i < 0 { // it is gone: what came behind it in the order is left
			probe := inOrder(f.open, append(slices.Clone(names), initial.Table))
			i = slices.Index(probe, initial.Table)
		}
		names = names[max(i, 0):]
	}
	f.copy.begin(names, int(initial.TablesDone), initial.Begin, initial, len(initial.Tables) > 0)
	return nil
}

// stream sends what the feed's reader queues, and carries out snapshots beside.
func (s *dbSource) stream(ctx context.Context, f *feed, at *place, skip cursor, out capture.Sender) error {
	p := newPumped(f, at, skip, out)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer cancel()
		return f.pump(gctx, p)
	})
	g.Go(func() error {
		for _, m := range f.copy.resumed() {
			if err := f.copy.say(gctx, m); err != nil {
				return nil // the stream ends
			}
		}
		return f.copy.run(gctx)
	})
	if commander, ok := out.(capture.Commander); ok {
		g.Go(func() error { return f.copy.commands(gctx, commander.Commands()) })
	}
	return g.Wait()
}
