package binlog

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/rowmesh/rowmesh/services/row"
)

// A stored DECIMAL is a run of base 10^9 digits, big endian, before the point and behind it, with a shorter group at the outer ends (decimal.c of the
// servers). The first bit is inverted, so that values compare as bytes; a negative number has all its bytes inverted besides.
const (
	maxDecimalDigits = 65
	groupDigits      = 9
)

// groupBytes says how many bytes a group of 0 to 9 digits takes.
var groupBytes = [groupDigits + 1]int{0, 1, 1, 2, 2, 3, 3, 4, 4, 4}

var powersOfTen = [groupDigits + 1]uint64{1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000}

func decimalBytes(whole, fraction int) int {
	return whole/groupDigits*4 + groupBytes[whole%groupDigits] + fraction/groupDigits*4 + groupBytes[fraction%groupDigits]
}

// appendDecimal decodes a DECIMAL with so many digits before and behind the point into the shortest two's complement of its unscaled value.
func appendDecimal(dst, b []byte, whole, fraction int) ([]byte, []byte, error) {
	size := decimalBytes(whole, fraction)
	if size > len(b) || size == 0 {
		return dst, b, errShort
	}
	v, rest := b[:size], b[size:]
	var mask byte
	if v[0]&0x80 == 0 {
		mask = 0xff
	}
	// 18 digits fit 63 bits.
	if whole+fraction <= 18 {
		d := decimalReader{b: v, mask: mask, first: true}
		var n uint64
		for _, g := range decimalGroups(whole, fraction) {
			if g > 0 {
				part := d.group(g)
				if part >= powersOfTen[g] {
					return dst, b, fmt.Errorf("DECIMAL group %d of %d digits", part, g)
				}
				n = n*powersOfTen[g] + part
			}
		}
		i := int64(n)
		if mask != 0 {
			i = -i
		}
		return appendShortInt(dst, i), rest, nil
	}
	out, err := appendLongDecimal(dst, v, mask, whole, fraction)
	return out, rest, err
}

// decimalGroups lists the digits of the groups of a number with at most 18 digits, zeros filling up.
func decimalGroups(whole, fraction int) [6]int {
	var g [6]int
	g[0] = whole % groupDigits
	g[1], g[2] = nine(whole/groupDigits > 0), nine(whole/groupDigits > 1)
	g[3], g[4] = nine(fraction/groupDigits > 0), nine(fraction/groupDigits > 1)
	g[5] = fraction % groupDigits
	return g
}

func nine(b bool) int {
	if b {
		return groupDigits
	}
	return 0
}

// decimalReader takes groups off a stored number.
type decimalReader struct {
	b     []byte
	mask  byte
	first bool
}

func (d *decimalReader) group(digits int) uint64 {
	n := groupBytes[digits]
	var v uint64
	for i, x := range d.b[:n] {
		x ^= d.mask
		if d.first && i == 0 {
			x ^= 0x80
		}
		v = v<<8 | uint64(x)
	}
	d.first = false
	d.b = d.b[n:]
	return v
}

// wide is an unsigned number of 256 bits, the lowest word first: 65 digits take 216 bits.
type wide [4]uint64

// mulAdd sets w to w*m+a.
func (w *wide) mulAdd(m, a uint64) {
	carry := a
	for i := range w {
		hi, lo := bits.Mul64(w[i], m)
		var c uint64
		w[i], c = bits.Add64(lo, carry, 0)
		carry = hi + c
	}
}

func (w *wide) negate() {
	c := uint64(1)
	for i := range w {
		w[i], c = bits.Add64(^w[i], 0, c)
	}
}

func appendLongDecimal(dst, v []byte, mask byte, whole, fraction int) ([]byte, error) {
	d := decimalReader{b: v, mask: mask, first: true}
	var w wide
	group := func(digits int) error {
		part := d.group(digits)
		if part >= powersOfTen[digits] {
			return fmt.Errorf("DECIMAL group %d of %d digits", part, digits)
		}
		w.mulAdd(powersOfTen[digits], part)
		return nil
	}
	if r := whole % groupDigits; r > 0 {
		if err := group(r); err != nil {
			return dst, err
		}
	}
	for range whole/groupDigits + fraction/groupDigits {
		if err := group(groupDigits); err != nil {
			return dst, err
		}
	}
	if r := fraction % groupDigits; r > 0 {
		if err := group(r); err != nil {
			return dst, err
		}
	}
	if mask != 0 {
		w.negate()
	}
	var b [32]byte
	for i, x := range w {
		binary.BigEndian.PutUint64(b[24-8*i:], x)
	}
	return row.AppendBytes(dst, shortest(b[:])), nil
}

// appendShortInt appends the length and the shortest two's complement of a number.
func appendShortInt(dst []byte, v int64) []byte {
	// The bits that differ from the sign, and one for the sign.
	n := (64-bits.LeadingZeros64(uint64(v^v>>63)))/8 + 1
	dst = append(dst, byte(n))
	for shift := 8 * (n - 1); shift >= 0; shift -= 8 {
		dst = append(dst, byte(v>>shift))
	}
	return dst
}

// shortest cuts leading bytes that only repeat the sign.
func shortest(b []byte) []byte {
	for len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		b = b[1:]
	}
	return b
}
