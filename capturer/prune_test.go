package capturer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/gtid"
	"github.com/rowmesh/rowmesh/services/registry"
)

// pruneWorld is the log of a server with failovers, the versions of its tables, and all the places where somebody may start.
type pruneWorld struct {
	rnd      *rand.Rand
	gtids    bool
	places   []place // after each transaction, in the order of the log
	versions []registry.TableVersion
	cut      int // index in places of the oldest place that can be had
}

func newPruneWorld(seed uint64) *pruneWorld {
	w := &pruneWorld{rnd: rand.New(rand.NewPCG(seed, 7)), gtids: seed%3 != 0}
	uuid := func(n int) string { return fmt.Sprintf("453a28ca-e69b-11f1-8913-%012d", n) }
	server, file, pos := 1, 1, uint64(4)
	at := place{uuid: uuid(server)}
	if w.gtids {
		at.gtids = gtid.New(config.MySQL)
	}
	seq := map[int]uint64{}
	shapes := map[string]int{}
	for range 20 + w.rnd.IntN(120) {
		switch w.rnd.IntN(20) {
		case 0:
			file, pos = file+1, 4
		case 1: // another server: files of its own, the same transactions
			if w.gtids {
				server, file, pos = server+1, 1+w.rnd.IntN(5), uint64(4+w.rnd.IntN(1000))
				at.uuid = uuid(server)
			}
		}
		pos += uint64(50 + w.rnd.IntN(200))
		seq[server]++
		at = at.clone()
		at.file, at.pos, at.exact = fmt.Sprintf("binlog.%06d", file), pos, true
		if at.gtids != nil {
			if err := at.gtids.Add(uuid(server), seq[server]); err != nil {
				panic(err)
			}
		}
		w.places = append(w.places, at)
		if w.rnd.IntN(3) == 0 { // a statement
			table := fmt.Sprintf("t%d", w.rnd.IntN(4))
			shapes[table]++
			v := registry.TableVersion{Database: "d", Table: table, ValidFrom: at.position()}
			if w.rnd.IntN(4) > 0 {
				v.Shape = &rowv1.Table{Database: "d", Table: table, Comment: proto.String(fmt.Sprint(shapes[table]))}
			}
			w.versions = append(w.versions, v)
		}
	}
	// The log reaches back to a place of the server that is there now; before a failover it has the others' transactions under its own names.
	w.cut = w.rnd.IntN(len(w.places))
	for w.places[w.cut].uuid != at.uuid {
		w.cut++
	}
	w.rnd.Shuffle(len(w.versions), func(i, j int) { w.versions[i], w.versions[j] = w.versions[j], w.versions[i] })
	return w
}

// starts are the places where somebody may start who is let in: by all that is known of them, and, on the server that is there, by file and position alone.
func (w *pruneWorld) starts() []place {
	var out []place
	for _, p := range w.places[w.cut:] {
		out = append(out, p)
		if p.gtids != nil {
			p.gtids = nil
			out = append(out, p)
		}
	}
	return out
}

// Whoever may start finds the same tables after versions were taken away, however often that is done; and what is left is bounded by the statements of the log.
func TestPruneTakesNothingThatIsNeeded(t *testing.T) {
	taken := 0
	for seed := range uint64(200) {
		w := newPruneWorld(seed)
		store := NewMemoryStore()
		ctx := t.Context()
		if err := store.Put(ctx, "s", w.versions...); err != nil {
			t.Fatal(err)
		}
		h, untouched := newHistory(store, "s"), newHistory(store, "s")
		for _, h := range []*history{h, untouched} {
			if err := h.load(ctx); err != nil {
				t.Fatal(err)
			}
		}
		first := w.rnd.IntN(w.cut + 1) // once earlier, when the log was longer
		for _, cut := range []int{first, w.cut} {
			n, err := h.prune(ctx, config.MySQL, &w.places[cut])
			if err != nil {
				t.Fatal(err)
			}
			taken += n
		}
		again := newHistory(store, "s")
		if err := again.load(ctx); err != nil {
			t.Fatal(err)
		}
		for _, at := range w.starts() {
			for i := range 4 {
				table := fmt.Sprintf("t%d", i)
				want := untouched.table(config.MySQL, &at, "d", table)
				for name, h := range map[string]*history{"this process": h, "the next one": again} {
					if got := h.table(config.MySQL, &at, "d", table); !proto.Equal(want, got) {
						t.Fatalf("seed %d, %s, %s:%d of %s: table %s is %v, was %v", seed, name, at.file, at.pos, at.uuid, table, got, want)
					}
				}
			}
		}
		behind := 0
		for _, v := range w.versions {
			for _, p := range w.places[w.cut+1:] {
				if p.file == v.ValidFrom.File && p.pos == v.ValidFrom.Pos && p.uuid == v.ValidFrom.ServerUuid {
					behind++
				}
			}
		}
		left, err := store.Load(ctx, "s")
		if err != nil {
			t.Fatal(err)
		}
		foreign := 0 // what is dated on other servers may hold for who starts there by file and position
		for _, v := range left {
			if v.ValidFrom.ServerUuid != w.places[w.cut].uuid {
				foreign++
			}
		}
		if len(left)-foreign > behind+4 {
			t.Fatalf("seed %d: %d versions are left, with 4 tables and %d statements in the log", seed, len(left)-foreign, behind)
		}
	}
	if taken < 500 {
		t.Errorf("%d versions were taken away in all: the test proves nothing", taken)
	}
	t.Logf("%d versions taken away", taken)
}

// deaf is a store that deletes nothing.
type deaf struct{ *MemoryStore }

func (deaf) Delete(context.Context, registry.SourceID, ...registry.TableVersion) error {
	return errs.E(errs.Unavailable, "etcd is away")
}

// What could not be taken from the store is not forgotten either.
func TestPruneFails(t *testing.T) {
	store := deaf{NewMemoryStore()}
	shape := &rowv1.Table{Database: "d", Table: "t"}
	for _, pos := range []uint64{10, 20} {
		if err := store.Put(t.Context(), "s", registry.TableVersion{Database: "d", Table: "t", ValidFrom: &rowv1.Position{File: "b.000001", Pos: pos}, Shape: shape}); err != nil {
			t.Fatal(err)
		}
	}
	h := newHistory(store, "s")
	if err := h.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := h.prune(t.Context(), config.MySQL, &place{file: "b.000002", pos: 4}); errs.KindOf(err) != errs.Unavailable {
		t.Fatalf("%v, want Unavailable", err)
	}
	if n := len(h.versions[[2]string{"d", "t"}]); n != 2 {
		t.Errorf("%d versions are known, want 2", n)
	}
}

// A source takes away what its server's log needs no more, once the grace is over, and tells the metric.
func TestSourcePrunes(t *testing.T) {
	reg := prometheus.NewRegistry()
	store := NewMemoryStore()
	for _, pos := range []uint64{1, 2} {
		v := registry.TableVersion{Database: "db", Table: "t", ValidFrom: &rowv1.Position{File: "binlog.000001", Pos: pos}, Shape: &rowv1.Table{Database: "db", Table: "t"}}
		if err := store.Put(t.Context(), "script:3306", v); err != nil {
			t.Fatal(err)
		}
	}
	s := newScript()
	src := newSource("script:3306", s, store, capture.NewPool(), newMetrics(reg), slog.New(slog.NewTextHandler(io.Discard, nil)), 0)
	src.prunes = prunes{every: time.Millisecond, grace: 20 * time.Millisecond}
	if err := src.history.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		src.run(ctx, func() error { return errors.New("the test ends") })
	}()
	defer func() { cancel(); <-done }()
	for deadline := time.Now().Add(20 * time.Second); value(t, reg, "rowmesh_capturer_pruned_versions_total") != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing was taken away after 20 s")
		}
	}
	left, err := store.Load(t.Context(), "script:3306")
	if err != nil || len(left) != 1 || left[0].ValidFrom.Pos != 2 {
		t.Errorf("%v %v is left, want the version of position 2", left, err)
	}
}
