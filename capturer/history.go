package capturer

import (
	"context"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/failpoint"
	"github.com/rowmesh/rowmesh/services/gtid"
	"github.com/rowmesh/rowmesh/services/registry"
)

// SchemaStore keeps the versions of the tables of a source. Put is idempotent: a version with the same table, file and position replaces the earlier one.
// What was put before a subscription's rows went out must be there when another capturer loads it. Delete takes versions away by their table, file and position.
type SchemaStore interface {
	Load(ctx context.Context, source registry.SourceID) ([]registry.TableVersion, error)
	Put(ctx context.Context, source registry.SourceID, versions ...registry.TableVersion) error
	Delete(ctx context.Context, source registry.SourceID, versions ...registry.TableVersion) error
}

// MemoryStore is a SchemaStore that ends with its process.
type MemoryStore struct {
	mu       sync.Mutex
	versions map[registry.SourceID][]registry.TableVersion
}

var _ SchemaStore = (*MemoryStore)(nil)

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{versions: make(map[registry.SourceID][]registry.TableVersion)}
}

// Load implements SchemaStore.
func (m *MemoryStore) Load(_ context.Context, source registry.SourceID) ([]registry.TableVersion, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.versions[source]), nil
}

// Put implements SchemaStore.
func (m *MemoryStore) Put(_ context.Context, source registry.SourceID, versions ...registry.TableVersion) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range versions {
		list := m.versions[source]
		i := slices.IndexFunc(list, sameKey(v))
		if i < 0 {
			m.versions[source] = append(list, v)
			continue
		}
		list[i] = v
	}
	return nil
}

// Delete implements SchemaStore.
func (m *MemoryStore) Delete(_ context.Context, source registry.SourceID, versions ...registry.TableVersion) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range versions {
		m.versions[source] = slices.DeleteFunc(m.versions[source], sameKey(v))
	}
	return nil
}

// sameKey compares by what names a version in a store.
func sameKey(v registry.TableVersion) func(registry.TableVersion) bool {
	return func(o registry.TableVersion) bool {
		return v.Database == o.Database && v.Table == o.Table && v.ValidFrom.GetFile() == o.ValidFrom.GetFile() &&
			v.ValidFrom.GetPos() == o.ValidFrom.GetPos() && v.ValidFrom.GetServerUuid() == o.ValidFrom.GetServerUuid()
	}
}

// history is what a source knows of the past shapes of its tables: the store's contents and what was added since. Safe for concurrent use.
type history struct {
	store  SchemaStore
	source registry.SourceID

	behind chan struct{} // later has something for writeBehind; has room for one

	mu       sync.Mutex
	loaded   bool
	versions map[[2]string][]registry.TableVersion // in the order in which they were put
	deferred map[[2]string]*deferred
	failing  time.Time // since when put fails; zero: it does not
	failed   time.Time // when it last did
}

func newHistory(store SchemaStore, source registry.SourceID) *history {
	return &history{store: store, source: source, behind: make(chan struct{}, 1), versions: make(map[[2]string][]registry.TableVersion), deferred: make(map[[2]string]*deferred)}
}

// load reads the store, once.
func (h *history) load(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.loaded {
		return nil
	}
	list, err := h.store.Load(ctx, h.source)
	if err != nil {
		return err
	}
	for _, v := range list {
		h.add(v)
	}
	h.loaded = true
	return nil
}

// add keeps a version. Requires: mu.
func (h *history) add(v registry.TableVersion) {
	key := [2]string{v.Database, v.Table}
	list := h.versions[key]
	if i := slices.IndexFunc(list, sameKey(v)); i >= 0 {
		list[i] = v
		return
	}
	h.versions[key] = append(list, v)
}

// put stores versions that are not known yet. Two readers of one source meet the same DDL; the second one finds it here.
func (h *history) put(ctx context.Context, versions ...registry.TableVersion) error {
	h.mu.Lock()
	versions = slices.DeleteFunc(versions, func(v registry.TableVersion) bool {
		list := h.versions[[2]string{v.Database, v.Table}]
		i := slices.IndexFunc(list, sameKey(v))
		return i >= 0 && proto.Equal(list[i].Shape, v.Shape)
	})
	h.mu.Unlock()
	if len(versions) == 0 {
		return nil
	}
	err := failpoint.At(failpoint.StoreBefore)
	if err == nil {
		err = h.store.Put(ctx, h.source, versions...)
	}
	if err == nil {
		err = failpoint.At(failpoint.StoreAfter)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		if now := time.Now(); ctx.Err() == nil {
			if h.failing.IsZero() || now.Sub(h.failed) > storeForgets {
				h.failing = now
			}
			h.failed = now
		}
		return err
	}
	h.failing = time.Time{}
	for _, v := range versions {
		h.stored(v)
	}
	return nil
}

// failingFor is how long the store has taken nothing.
func (h *history) failingFor() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failing.IsZero() {
		return 0
	}
	return h.failed.Sub(h.failing)
}

// at returns the shape of each table at a place: the newest version that is valid from there or before. guess holds tables whose only versions
// are later: the oldest of them, which may or may not be what the log's rows have.
func (h *history) at(flavor config.Flavor, at *place) (known, guess []*rowv1.Table) {
	h.mu.Lock()
	defer h.mu.Unlock()
	sets := make(map[string]*gtid.Set) // a snapshot gives all its tables one position
	one := func(key [2]string) {
		best, later := pick(h.list(key), flavor, at, sets)
		switch {
		case best != nil && best.Shape != nil:
			known = append(known, best.Shape)
		case best == nil && later != nil && later.Shape != nil:
			guess = append(guess, later.Shape)
		}
	}
	for key := range h.versions {
		one(key)
	}
	for key := range h.deferred {
		if _, ok := h.versions[key]; !ok {
			one(key)
		}
	}
	return known, guess
}

// table returns the shape of one table at a place; nil if it is not known.
func (h *history) table(flavor config.Flavor, at *place, database, table string) *rowv1.Table {
	h.mu.Lock()
	defer h.mu.Unlock()
	if best, _ := pick(h.list([2]string{database, table}), flavor, at, make(map[string]*gtid.Set)); best != nil {
		return best.Shape
	}
	return nil
}

// pick finds the newest version of a table that is valid at a place, and the oldest that comes later.
func pick(list []registry.TableVersion, flavor config.Flavor, at *place, sets map[string]*gtid.Set) (best, later *registry.TableVersion) {
	for i := range list {
		v := &list[i]
		switch {
		case !validAt(flavor, v.ValidFrom, at, sets):
			if later == nil || comparePositions(v.ValidFrom.GetFile(), v.ValidFrom.GetPos(), later.ValidFrom.GetFile(), later.ValidFrom.GetPos()) < 0 {
				later = v
			}
		case best == nil || !validAtPosition(flavor, v.ValidFrom, best.ValidFrom, sets):
			best = v
		}
	}
	return best, later
}

// validAt says whether from is at or before at: by containment of GTIDs where both have them, else by file and position on one server.
func validAt(flavor config.Flavor, from *rowv1.Position, at *place, sets map[string]*gtid.Set) bool {
	if from.GetGtids() != "" && at.gtids != nil {
		if set := parseCached(flavor, from.Gtids, sets); set != nil {
			return at.gtids.Contains(set)
		}
	}
	if from.GetServerUuid() != "" && at.uuid != "" && from.GetServerUuid() != at.uuid {
		return false
	}
	return comparePositions(from.GetFile(), from.GetPos(), at.file, at.pos) <= 0
}

// validAtPosition is validAt for two positions, strictly: a is before b.
func validAtPosition(flavor config.Flavor, a, b *rowv1.Position, sets map[string]*gtid.Set) bool {
	if a.GetFile() == b.GetFile() && a.GetPos() == b.GetPos() && a.GetServerUuid() == b.GetServerUuid() {
		return false
	}
	p := place{file: b.GetFile(), pos: b.GetPos(), uuid: b.GetServerUuid()}
	if b.GetGtids() != "" {
		p.gtids = parseCached(flavor, b.Gtids, sets)
	}
	return validAt(flavor, a, &p, sets)
}

func parseCached(flavor config.Flavor, text string, sets map[string]*gtid.Set) *gtid.Set {
	set, ok := sets[text]
	if !ok {
		set, _ = gtid.Parse(flavor, text) // what does not parse is of no use here: nil, and file and position decide
		sets[text] = set
	}
	return set
}
