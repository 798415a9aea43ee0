package convert

// Murmur2 hashes a key as Kafka's Java producer does, with the sign bit cleared (org.apache.kafka.common.utils.Utils.murmur2 and toPositive).
func Murmur2(key []byte) uint32 {
	const (
		seed = 0x9747b28c
		m    = 0x5bd1e995
	)
	h := uint32(seed) ^ uint32(len(key))
	for ; len(key) >= 4; key = key[4:] {
		k := uint32(key[0]) | uint32(key[1])<<8 | uint32(key[2])<<16 | uint32(key[3])<<24
		k *= m
		k ^= k >> 24
		k *= m
		h *= m
		h ^= k
	}
	switch len(key) {
	case 3:
		h ^= uint32(key[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(key[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(key[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return h & 0x7fffffff
}

// PartitionOf returns the partition of a keyed record in a topic of n partitions.
func (r *Record) PartitionOf(n int32) int32 {
	if r.Partition >= 0 {
		return r.Partition
	}
	return int32(r.Hash % uint32(n))
}
