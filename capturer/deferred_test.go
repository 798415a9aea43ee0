package capturer

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/capturer/binlog"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
)

// fullStore is a schema store that can be read and takes nothing while full.
type fullStore struct {
	*MemoryStore
	full  atomic.Bool
	tries atomic.Int64
}

func (s *fullStore) Put(ctx context.Context, source registry.SourceID, versions ...registry.TableVersion) error {
	s.tries.Add(1)
	if s.full.Load() {
		return errs.E(errs.Unavailable, "mvcc: database space exceeded")
	}
	return s.MemoryStore.Put(ctx, source, versions...)
}

// onFullStore is a scripted source whose store is full.
func onFullStore(t *testing.T) (*scripted, *fullStore) {
	sc := newScripted(t)
	store := &fullStore{MemoryStore: sc.store}
	store.full.Store(true)
	sc.src.history.store = store
	return sc, store
}

// awaitStored waits until the store has versions of the tables, which may be written in the background.
func (sc *scripted) awaitStored(t *testing.T, tables ...string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		versions, err := sc.store.Load(t.Context(), "script:3306")
		if err != nil {
			t.Fatal(err)
		}
		want := make(map[string]bool)
		for _, name := range tables {
			want[name] = true
		}
		for _, v := range versions {
			delete(want, v.Table)
		}
		if len(want) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not in the schema store: %v", want)
		}
	}
}

func (s *script) ddl(format string, args ...any) {
	s.append(binlog.Event{Kind: binlog.Query, Database: "db", SQL: fmt.Sprintf(format, args...)})
}

// DDL of tables that nobody wants holds no rows up, whatever the store does, and reaches it later.
func TestFullStoreHoldsUpNoOtherTables(t *testing.T) {
	t.Parallel() // waits for a retry
	sc, store := onFullStore(t)
	if err := sc.src.history.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	sc.src.history.versions[[2]string{"db", "t"}] = []registry.TableVersion{{Database: "db", Table: "t", ValidFrom: at(4).GetPosition(), Shape: shape("t", "id")}}
	sc.s.txn("t", []int64{1})
	for i := range 5 {
		sc.s.ddl("CREATE TABLE other%d (id INT PRIMARY KEY)", i)
		sc.s.ddl("CREATE TABLE passing%d (id INT PRIMARY KEY)", i)
		sc.s.ddl("DROP TABLE passing%d", i)
	}
	sc.s.txn("t", []int64{2})
	sub := sc.subscribe(at(4))
	sub.awaitRows(t, 2)
	for deadline := time.Now().Add(20 * time.Second); store.tries.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the store is never tried")
		}
	}
	store.full.Store(false)
	sc.awaitStored(t, "other0", "other1", "other2", "other3", "other4")
}

// DDL of a table that is wanted ends the subscriptions when the store has taken nothing for a while, and each new one at once, until it does; then the statement applies once.
func TestFullStoreIsTold(t *testing.T) {
	t.Parallel() // waits for a retry
	sc, store := onFullStore(t)
	sc.src.patience = 100 * time.Millisecond
	known := &rowv1.Table{Database: "db", Table: "t", Columns: []*rowv1.Column{{Name: "id", Kind: rowv1.Kind_KIND_INT, TypeName: "INT", TypeExpression: "INT", Position: 1}}}
	if err := sc.store.Put(t.Context(), "script:3306", registry.TableVersion{Database: "db", Table: "t", ValidFrom: at(4).GetPosition(), Shape: known}); err != nil {
		t.Fatal(err)
	}
	sc.s.txn("t", []int64{1})
	sc.s.ddl("ALTER TABLE t ADD COLUMN c INT")
	sc.s.txn("t", []int64{2})
	sub := sc.subscribe(at(4))
	sub.awaitRows(t, 1)
	ends := func(sub *subscriber) {
		t.Helper()
		select {
		case err := <-sub.done:
			if errs.KindOf(err) != errs.Unavailable || !strings.Contains(err.Error(), "schema store") || !strings.Contains(err.Error(), "db.t") {
				t.Errorf("subscription ended with %v, want Unavailable that names the schema store and the table", err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the subscription waits for ever")
		}
	}
	ends(sub)
	if diff := cmp.Diff([]int64{1}, sub.ids); diff != "" {
		t.Error(diff)
	}
	tries := store.tries.Load()
	ends(sc.subscribe(at(4)))
	if n := store.tries.Load() - tries; n != 1 {
		t.Errorf("%d tries for a subscription while the store is known to be full, want 1", n)
	}
	store.full.Store(false)
	again := sc.subscribe(at(4))
	again.awaitRows(t, 2)
	if diff := cmp.Diff([]int64{1, 2}, again.ids); diff != "" {
		t.Error(diff)
	}
	for _, m := range again.messages {
		if e := m.GetTableError(); e != nil {
			t.Errorf("table error %v", e)
		}
	}
}

// A table that is wanted from now on has its shape stored before its first row goes out, also if nobody wanted it when the shape changed.
func TestDeferredShapeIsStoredBeforeRows(t *testing.T) {
	t.Parallel() // waits for a retry
	sc, store := onFullStore(t)
	sc.src.patience = 20 * time.Second
	sc.src.history.versions[[2]string{"db", "t"}] = []registry.TableVersion{{Database: "db", Table: "t", ValidFrom: at(4).GetPosition(), Shape: shape("t", "id")}}
	sc.s.txn("t", []int64{1})
	sc.s.ddl("CREATE TABLE other (id INT PRIMARY KEY)")
	sc.s.txn("t", []int64{2})
	sc.subscribe(at(4)).awaitRows(t, 2)
	head := at(sc.s.head())
	sub := sc.subscribe(head, func(o *capturev1.Open, _ *subscriber) { o.Tables.IncludeTables = []string{`db\.other`} })
	sub.await(t, "Opened", func(s *subscriber) bool { return len(s.messages) > 0 })
	sc.s.awaitOne(t)
	tries := store.tries.Load()
	sc.s.txn("other", []int64{7})
	for deadline := time.Now().Add(20 * time.Second); store.tries.Load() < tries+2; time.Sleep(time.Millisecond) { // it is tried for the row, whatever the background does
		if time.Now().After(deadline) {
			t.Fatal("the store is not tried")
		}
	}
	sub.mu.Lock()
	if len(sub.ids) > 0 {
		t.Error("the row went out before its shape was stored")
	}
	sub.mu.Unlock()
	store.full.Store(false)
	sub.awaitRows(t, 1)
	sc.awaitStored(t, "other")
}

// What is deferred is the latest version of each table, and nothing of tables that came and went meanwhile.
func TestDeferred(t *testing.T) {
	h := newHistory(NewMemoryStore(), "s")
	v := func(table string, pos uint64, s *rowv1.Table) registry.TableVersion {
		return registry.TableVersion{Database: "db", Table: table, ValidFrom: at(pos).GetPosition(), Shape: s}
	}
	if err := h.put(t.Context(), v("stored", 10, shape("stored", "a"))); err != nil {
		t.Fatal(err)
	}
	h.later(v("a", 10, shape("a", "first")), v("b", 10, shape("b", "x")), v("stored", 20, nil), v("never", 20, nil))
	h.later(v("a", 30, shape("a", "latest")), v("b", 30, nil))
	h.later(v("a", 20, shape("a", "from a reader that is behind")))
	got := make(map[string]string)
	for key, d := range h.deferred {
		got[key[1]] = "dropped"
		if d.version.Shape != nil {
			got[key[1]] = columnOf([]*rowv1.Table{d.version.Shape})
		}
	}
	if diff := cmp.Diff(map[string]string{"a": "latest", "stored": "dropped"}, got); diff != "" {
		t.Error(diff)
	}
	if err := h.writeDeferred(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.later(v("a", 30, shape("a", "latest"))) // another reader meets the same statement
	if n := len(h.deferred); n != 0 {
		t.Errorf("%d versions wait after they were stored", n)
	}
	versions, err := h.store.Load(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(versions); n != 3 {
		t.Errorf("%d versions in the store, want 3: %v", n, versions)
	}
}
