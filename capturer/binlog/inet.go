package binlog

import (
	"encoding/binary"
	"strconv"
)

func appendInet4(dst, b []byte) []byte {
	for i, x := range b {
		if i > 0 {
			dst = append(dst, '.')
		}
		dst = strconv.AppendUint(dst, uint64(x), 10)
	}
	return dst
}

const inet6Words = 8

// appendInet6 spells an address as MariaDB does (Inet6::to_string in sql_type_inet.cc), which is not quite RFC 5952: the longest run of zero words is left out
// even if it is a single one, and an address that begins with six zero words ends like one of IPv4.
func appendInet6(dst []byte, v [16]byte) []byte {
	word := func(i int) uint64 { return uint64(binary.BigEndian.Uint16(v[2*i:])) }
	gap, gapWords := -1, 0
	for i := 0; i < inet6Words; i++ {
		n := 0
		for i+n < inet6Words && word(i+n) == 0 {
			n++
		}
		if n > gapWords {
			gap, gapWords = i, n
		}
		i += n
	}
	for i := 0; i < inet6Words; i++ {
		switch {
		case i == gap:
			if i == 0 {
				dst = append(dst, ':')
			}
			dst = append(dst, ':')
			i += gapWords - 1
		case i == inet6Words-2 && gap == 0 && (gapWords == 6 || gapWords == 5 && word(5) == 0xffff):
			return appendInet4(dst, v[12:])
		default:
			dst = strconv.AppendUint(dst, word(i), 16)
			if i < inet6Words-1 {
				dst = append(dst, ':')
			}
		}
	}
	return dst
}
