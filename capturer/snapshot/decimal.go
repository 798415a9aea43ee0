package snapshot

import (
	"encoding/binary"
	"math/bits"
)

// decimalWords is what the largest DECIMAL takes: 65 digits are 216 bits and a sign.
const decimalWords = 4

// chunkDigits is how many decimal digits a word takes at once: 10^18 < 2^63.
const chunkDigits = 18

// appendDecimal packs [-]digits[.digits] as the unscaled two's complement number of the given scale, big endian, in the shortest form, with its
// length. Leading zeros (ZEROFILL) and missing decimals are accepted; decimals beyond the scale must be zeros.
func appendDecimal(dst, text []byte, scale int) ([]byte, error) {
	neg := false
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		neg, text = text[0] == '-', text[1:]
	}
	var w [decimalWords]uint64 // little endian magnitude
	var chunk uint64
	n, seen := 0, 0
	fraction := -1 // digits after the point, -1 before it
	for _, c := range text {
		if c == '.' && fraction < 0 {
			fraction = 0
			continue
		}
		d := uint64(c - '0')
		if c < '0' || d > 9 {
			return nil, errText
		}
		if fraction >= 0 {
			if fraction == scale {
				if d != 0 {
					return nil, errText
				}
				continue
			}
			fraction++
		}
		seen++
		chunk = chunk*10 + d
		if n++; n == chunkDigits {
			if !mulAdd(&w, power10(n), chunk) {
				return nil, errText
			}
			chunk, n = 0, 0
		}
	}
	if seen == 0 {
		return nil, errText
	}
	if n > 0 && !mulAdd(&w, power10(n), chunk) {
		return nil, errText
	}
	for missing := scale - max(fraction, 0); missing > 0; missing -= chunkDigits {
		if !mulAdd(&w, power10(min(missing, chunkDigits)), 0) {
			return nil, errText
		}
	}
	return appendTwosComplement(dst, w, neg)
}

func power10(n int) uint64 {
	p := uint64(1)
	for range n {
		p *= 10
	}
	return p
}

// mulAdd sets w to w*m+a, and says whether it fits with room for the sign.
func mulAdd(w *[decimalWords]uint64, m, a uint64) bool {
	carry := a
	for i := range w {
		hi, lo := bits.Mul64(w[i], m)
		var c uint64
		w[i], c = bits.Add64(lo, carry, 0)
		carry = hi + c
	}
	return carry == 0 && w[decimalWords-1]>>63 == 0
}

func appendTwosComplement(dst []byte, w [decimalWords]uint64, neg bool) ([]byte, error) {
	if neg {
		carry := uint64(1)
		for i := range w {
			w[i], carry = bits.Add64(^w[i], 0, carry)
		}
	}
	var b [8 * decimalWords]byte
	for i, x := range w {
		binary.BigEndian.PutUint64(b[8*(decimalWords-1-i):], x)
	}
	// A leading byte is superfluous while it repeats the sign bit of the next.
	at := 0
	for at < len(b)-1 && (b[at] == 0 && b[at+1] < 0x80 || b[at] == 0xff && b[at+1] >= 0x80) {
		at++
	}
	dst = append(dst, byte(len(b)-at))
	return append(dst, b[at:]...), nil
}
