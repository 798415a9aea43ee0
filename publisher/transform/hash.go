package transform

import (
	"math"
	"math/big"
	"math/bits"
	"unicode/utf16"

	"github.com/rowmesh/rowmesh/publisher/record"
)

// javaHash is Java's Object.hashCode of a value.
func javaHash(s *record.Schema, v record.Value) int32 {
	switch v.Kind() {
	case record.BoolKind:
		if v.Bool() {
			return 1231
		}
		return 1237
	case record.IntKind:
		return hashInt(s, v.Int())
	case record.FloatKind:
		if s != nil && s.Type == record.Float32 {
			return int32(math.Float32bits(float32(v.Float())))
		}
		return fold(math.Float64bits(v.Float()))
	case record.StringKind:
		return hashText(v.Text())
	case record.BytesKind: // ByteBuffer's, from the end
		h, b := int32(1), v.Bytes()
		for i := len(b) - 1; i >= 0; i-- {
			h = 31*h + int32(int8(b[i]))
		}
		return h
	case record.DecimalKind:
		return 31*hashBig(record.BigInt(v.Bytes())) + v.Scale()
	case record.ListKind:
		h := int32(1)
		for _, e := range v.List() {
			var elem *record.Schema
			if s != nil {
				elem = s.Elem
			}
			h = 31*h + javaHash(elem, e)
		}
		return h
	case record.StructKind: // Java's depends on the process; here on the members alone
		h, d := int32(1), v.Struct()
		for i := range d.Values {
			h = 31*h + javaHash(d.Schema.Fields[i].Schema, d.Values[i])
		}
		return h
	}
	return 0
}

// hashInt is the hash of an integer, which depends on its width, or of a date.
func hashInt(s *record.Schema, n int64) int32 {
	switch {
	case s == nil || s.Type == record.Int64:
		return fold(uint64(n))
	case s.Name == record.DateName:
		return fold(uint64(n * dayMillis))
	case s.Name == record.TimeName:
		return fold(uint64(n))
	}
	return int32(n)
}

func fold(n uint64) int32 { return int32(uint32(n ^ n>>32)) }

// hashText is String.hashCode, over UTF-16.
func hashText(text string) int32 {
	h := int32(0)
	for _, r := range text {
		if r > 0xFFFF {
			high, low := utf16.EncodeRune(r)
			h = 31*h + int32(high)
			r = low
		}
		h = 31*h + int32(r)
	}
	return h
}

// hashBig is BigInteger.hashCode.
func hashBig(n *big.Int) int32 {
	h, b := int32(0), new(big.Int).Abs(n).Bytes()
	for len(b)%4 != 0 {
		b = append([]byte{0}, b...)
	}
	for i := 0; i < len(b); i += 4 {
		h = 31*h + int32(uint32(b[i])<<24|uint32(b[i+1])<<16|uint32(b[i+2])<<8|uint32(b[i+3]))
	}
	return h * int32(n.Sign())
}

// murmurHash is Debezium's MurmurHash3 of a value: of a text's UTF-8, of the hash code of anything else.
func murmurHash(s *record.Schema, v record.Value) int32 {
	if v.Kind() == record.StringKind {
		return int32(murmur3(v.Bytes()) >> 32)
	}
	h := uint32(javaHash(s, v))
	return int32(murmur3([]byte{byte(h), byte(h >> 8), byte(h >> 16), byte(h >> 24)}) >> 32)
}

// murmurState is the state of murmur3.
type murmurState struct{ h1, h2, k1, k2, c1, c2 uint64 }

func (m *murmurState) mix() {
	m.k1 = bits.RotateLeft64(m.k1*m.c1, 23) * m.c2
	m.h1 = (m.h1 ^ m.k1) + m.h2
	m.h2 = bits.RotateLeft64(m.h2, 41)
	m.k2 = bits.RotateLeft64(m.k2*m.c2, 23) * m.c1
	m.h2 = (m.h2 ^ m.k2) + m.h1
	m.h1, m.h2 = m.h1*3+0x52dce729, m.h2*3+0x38495ab5
	m.c1, m.c2 = m.c1*5+0x7b7d159c, m.c2*5+0x6bce6396
}

// murmur3 is the early variant of MurmurHash3 that Debezium took over, with its seed. In the tail bytes are signed, as Java's are.
func murmur3(b []byte) uint64 {
	const seed = 9001
	m := &murmurState{h1: 0x9368e53c2f6af274 ^ seed, h2: 0x586dcd208f7cd3fd ^ seed, c1: 0x87c37b91114253d5, c2: 0x4cf5ad432745937f}
	i := 0
	for ; i+16 <= len(b); i += 16 {
		m.k1, m.k2 = 0, 0
		for j := range 8 {
			m.k1 |= uint64(b[i+j]) << (8 * j)
			m.k2 |= uint64(b[i+8+j]) << (8 * j)
		}
		m.mix()
	}
	if tail := b[i:]; len(tail) > 0 {
		m.k1, m.k2 = 0, 0
		for j, c := range tail {
			signed := uint64(int64(int8(c)))
			if j < 8 {
				m.k1 ^= signed << (8 * j)
			} else {
				m.k2 ^= signed << (8 * (j - 8))
			}
		}
		m.mix()
	}
	m.h2 ^= uint64(len(b))
	m.h1 += m.h2
	m.h2 += m.h1
	m.h1, m.h2 = finalMix(m.h1), finalMix(m.h2)
	m.h1 += m.h2
	return m.h1
}

func finalMix(k uint64) uint64 {
	k ^= k >> 33
	k *= 0xff51afd7ed558ccd
	k ^= k >> 33
	k *= 0xc4ceb9fe1a85ec53
	return k ^ k>>33
}
