package jsontext

import (
	"slices"
	"unicode/utf16"
)

// HashOrder returns texts in the order of a java.util.HashMap or HashSet with so many buckets, into which they were put in the order given.
func HashOrder(texts []string, buckets uint32) []string {
	out := slices.Clone(texts)
	slices.SortStableFunc(out, func(a, b string) int { return int(Hash(a)&(buckets-1)) - int(Hash(b)&(buckets-1)) })
	return out
}

// Buckets is how many buckets a collection has that began with some and holds n: they double when three quarters are full.
func Buckets(first uint32, n int) uint32 {
	for uint32(n)*4 > first*3 {
		first *= 2
	}
	return first
}

// Hash is String.hashCode spread as HashMap does.
func Hash(s string) uint32 {
	h := uint32(0)
	for _, c := range utf16.Encode([]rune(s)) {
		h = 31*h + uint32(c)
	}
	return h ^ h>>16
}
