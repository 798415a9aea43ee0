package sim

import "hash/fnv"

// LaneOf is the lane of a table, as rowmesh.capture.v1.Shard defines it. The publisher has its own; the world must not share its mistakes.
func LaneOf(count uint32, pins map[string]uint32, table string) uint32 {
	if i, ok := pins[table]; ok {
		return i
	}
	h := fnv.New64a()
	h.Write([]byte(table))
	return uint32(h.Sum64() % uint64(max(count, 1)))
}
