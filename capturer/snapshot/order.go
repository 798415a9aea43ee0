package snapshot

import (
	"cmp"
	"slices"
	"unicode/utf16"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
)

// tellingOrder is the order in which the definitions of a database's tables are told: by name, but with snapshot.locking.mode=none in that of Debezium, which collects them in a hash
// map then. Requires: tables are in name order, of one database.
func (r *run) tellingOrder(tables []*table) []*table {
	if r.Snapshot.Locking != capturev1.LockingMode_LOCKING_MODE_NONE {
		return tables
	}
	// A java.util.HashMap that maps of one entry are put into begins with 2 buckets, and has twice as many once it is filled to three quarters.
	buckets := uint32(2)
	for uint32(len(tables)) > buckets*3/4 {
		buckets *= 2
	}
	out := slices.Clone(tables)
	slices.SortStableFunc(out, func(a, b *table) int {
		return cmp.Compare(spread(a.id())&(buckets-1), spread(b.id())&(buckets-1))
	})
	return out
}

// spread is what a java.util.HashMap makes of a String's hash code.
func spread(s string) uint32 {
	var h uint32
	for _, unit := range utf16.Encode([]rune(s)) {
		h = 31*h + uint32(unit)
	}
	return h ^ h>>16
}
