package snapshot

import (
	"log/slog"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/capturer/throttle"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/source"
)

func TestRangeRows(t *testing.T) {
	for _, c := range []struct {
		estimate            uint64
		readers, multiplier int
		want                uint64
	}{
		{0, 4, 1, usualRange}, {5, 4, 1, leastRange}, {400_000, 4, 1, 100_000}, {400_000, 4, 2, 50_000}, {400_000, 4, 0, 100_000}, {1 << 40, 4, 1, mostRange},
	} {
		if got := rangeRows(c.estimate, c.readers, c.multiplier); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// TestRangeKey: only a primary key cuts a table into ranges that hold all its rows.
func TestRangeKey(t *testing.T) {
	columns := []*rowv1.Column{{Name: "a", Kind: rowv1.Kind_KIND_INT}, {Name: "b", Kind: rowv1.Kind_KIND_STRING, Charset: "utf8mb4"}}
	for name, c := range map[string]struct {
		table *rowv1.Table
		want  bool
	}{
		"primary":         {&rowv1.Table{Key: []uint32{0}, Indexes: []*rowv1.Index{{Name: "PRIMARY", Columns: []uint32{0}, Unique: true}}}, true},
		"two columns":     {&rowv1.Table{Key: []uint32{1, 0}, Indexes: []*rowv1.Index{{Name: "PRIMARY", Columns: []uint32{1, 0}, Unique: true}}}, true},
		"of a prefix":     {&rowv1.Table{Key: []uint32{1}, Indexes: []*rowv1.Index{{Name: "PRIMARY", Columns: []uint32{1}, Unique: true, Prefix: true}}}, false},
		"unique":          {&rowv1.Table{Key: []uint32{0}, Indexes: []*rowv1.Index{{Name: "u", Columns: []uint32{0}, Unique: true}}}, false},
		"unique and NULL": {&rowv1.Table{Indexes: []*rowv1.Index{{Name: "u", Columns: []uint32{0}, Unique: true}}}, false},
		"none":            {&rowv1.Table{}, false},
	} {
		c.table.Columns = columns
		if key := rangeKey(c.table); (key != nil) != c.want {
			t.Errorf("%s: %v", name, key)
		}
	}
}

func TestOptions(t *testing.T) {
	o := Options{Snapshot: &capturev1.SnapshotOptions{ThreadsMultiplier: 2, TableMultipliers: map[string]uint32{"D.T": 5}, Threads: 1000}, Log: slog.New(slog.DiscardHandler)}
	if got := o.multiplier(&table{database: "d", name: "t"}); got != 5 {
		t.Errorf("multiplier of the table is %d", got)
	}
	if got := o.multiplier(&table{database: "d", name: "u"}); got != 2 {
		t.Errorf("multiplier of another table is %d", got)
	}
	if got := o.readers(); got != maxReaders {
		t.Errorf("%d readers", got)
	}
	for fetch, want := range map[uint32]uint64{0: math.MaxUint64, 1: math.MaxUint64, 2000: 2000} {
		o.Snapshot.FetchRows = fetch
		if got := o.batchRows(); got != want {
			t.Errorf("snapshot.fetch.size=%d: batches of %d rows", fetch, got)
		}
	}
	o.Snapshot.MaxHistoryLength, o.Snapshot.RowsPerSecond = 7, 8
	if diff := cmp.Diff(throttle.Limits{RowsPerSecond: 8}, o.limits()); diff != "" {
		t.Error("a cut waits for the history that it keeps itself: ", diff)
	}
	o.Snapshot.Isolation = capturev1.Isolation_ISOLATION_READ_COMMITTED
	if diff := cmp.Diff(throttle.Limits{RowsPerSecond: 8, HistoryLength: 7}, o.limits()); diff != "" {
		t.Error(diff)
	}
	o.Source.Addr = "source:3306"
	if got := o.readFrom().Addr; got != "source:3306" {
		t.Errorf("reads from %s", got)
	}
	o.Replica = source.Config{Addr: "replica:3306"}
	if got := o.readFrom().Addr; got != "replica:3306" {
		t.Errorf("reads from %s", got)
	}
}
