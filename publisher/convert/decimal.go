package convert

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// maxDecimalDigits bounds what a DECIMAL cell may hold: MySQL's and MariaDB's limit is 65 digits, 28 bytes in two's complement. Cells beyond
// maxDecimalBytes are refused.
const (
	maxDecimalDigits = 65
	maxDecimalBytes  = 28
)

// appendDigits appends the decimal digits of the magnitude of a big-endian two's complement number and reports its sign.
func appendDigits(dst []byte, b []byte) (digits []byte, negative bool) {
	if len(b) <= 8 {
		v := signed(b)
		if v < 0 {
			return strconv.AppendUint(dst, -uint64(v), 10), true
		}
		return strconv.AppendUint(dst, uint64(v), 10), false
	}
	// Limbs of 32 bits, most significant first, of the magnitude.
	var limbs [maxDecimalBytes/4 + 1]uint32
	var full [len(limbs) * 4]byte
	negative = b[0] >= 0x80
	if negative {
		for i := range full[:len(full)-len(b)] {
			full[i] = 0xFF
		}
	}
	copy(full[len(full)-len(b):], b)
	carry := uint64(0)
	if negative {
		carry = 1
	}
	for i := len(limbs) - 1; i >= 0; i-- {
		limbs[i] = binary.BigEndian.Uint32(full[i*4:])
		if negative {
			s := uint64(^limbs[i]) + carry
			limbs[i], carry = uint32(s), s>>32
		}
	}
	// Nine digits at a time from the right.
	var buf [len(limbs)*10 + 9]byte
	n := len(buf)
	for first := 0; first < len(limbs); {
		rem := uint64(0)
		for i := first; i < len(limbs); i++ {
			v := rem<<32 | uint64(limbs[i])
			limbs[i], rem = uint32(v/1e9), v%1e9
		}
		for first < len(limbs) && limbs[first] == 0 {
			first++
		}
		for range 9 {
			n--
			buf[n] = byte('0' + rem%10)
			rem /= 10
			if rem == 0 && first == len(limbs) {
				break
			}
		}
	}
	return append(dst, buf[n:]...), negative
}

// signed reads up to 8 bytes of big-endian two's complement.
func signed(b []byte) int64 {
	if len(b) == 0 {
		return 0
	}
	v := int64(int8(b[0]))
	for _, c := range b[1:] {
		v = v<<8 | int64(c)
	}
	return v
}

// appendDecimalPlain appends the number as BigDecimal.toPlainString does: scale digits after the point.
func appendDecimalPlain(dst, b []byte, scale int) []byte {
	var buf [maxDecimalDigits + 10]byte
	digits, negative := appendDigits(buf[:0], b)
	if negative {
		dst = append(dst, '-')
	}
	return appendPointed(dst, digits, scale)
}

func appendPointed(dst, digits []byte, scale int) []byte {
	if scale <= 0 {
		return append(dst, digits...)
	}
	if whole := len(digits) - scale; whole > 0 {
		dst = append(dst, digits[:whole]...)
		dst = append(dst, '.')
		return append(dst, digits[whole:]...)
	}
	dst = append(dst, '0', '.')
	for range scale - len(digits) {
		dst = append(dst, '0')
	}
	return append(dst, digits...)
}

// appendDecimalNumber appends the number as BigDecimal.toString does, which is what decimal.format=NUMERIC prints: plain, or scientific where the
// first digit stands more than six places behind the point.
func appendDecimalNumber(dst, b []byte, scale int) []byte {
	var buf [maxDecimalDigits + 10]byte
	digits, negative := appendDigits(buf[:0], b)
	if negative {
		dst = append(dst, '-')
	}
	exponent := len(digits) - 1 - scale
	if scale == 0 || exponent >= -6 {
		return appendPointed(dst, digits, scale)
	}
	dst = append(dst, digits[0])
	if len(digits) > 1 {
		dst = append(dst, '.')
		dst = append(dst, digits[1:]...)
	}
	dst = append(dst, 'E')
	return strconv.AppendInt(dst, int64(exponent), 10)
}

// decimalDouble returns the double nearest to the number.
func decimalDouble(b []byte, scale int) float64 {
	var buf [maxDecimalDigits + 40]byte
	f, _ := strconv.ParseFloat(string(appendDecimalPlain(buf[:0], b, scale)), 64) // digits and a point only: it cannot fail
	return f
}

// appendUnsigned appends v in the shortest big-endian two's complement form.
func appendUnsigned(dst []byte, v uint64) []byte {
	var b [9]byte
	binary.BigEndian.PutUint64(b[1:], v)
	i := 0
	for i < 8 && b[i] == 0 && b[i+1] < 0x80 {
		i++
	}
	return append(dst, b[i:]...)
}

// parseDecimal reads a decimal literal and returns its unscaled value at the scale, rounded half up, in the form of DECIMAL cells.
func parseDecimal(text string, scale int) ([]byte, error) {
	// A short exponent keeps the power of ten below small.
	if i := strings.IndexAny(text, "eE"); len(text) > 100 || i >= 0 && len(text)-i > 5 {
		return nil, fmt.Errorf("decimal of %d characters", len(text))
	}
	r, ok := new(big.Rat).SetString(strings.TrimSpace(text))
	if !ok || strings.Contains(text, "/") {
		return nil, fmt.Errorf("%q is no decimal number", text)
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)))
	// Half up in magnitude: floor(2*|r|+1)/2.
	n := new(big.Int).Lsh(new(big.Int).Abs(r.Num()), 1)
	n.Add(n, r.Denom())
	n.Quo(n, new(big.Int).Lsh(r.Denom(), 1))
	if r.Sign() < 0 {
		n.Neg(n)
	}
	return twosComplement(n), nil
}

// twosComplement returns n in the shortest big-endian two's complement form, as BigInteger.toByteArray does.
func twosComplement(n *big.Int) []byte {
	if n.Sign() >= 0 {
		b := n.Bytes()
		if len(b) == 0 || b[0] >= 0x80 {
			b = append([]byte{0}, b...)
		}
		return b
	}
	// The bytes of -n-1, inverted.
	b := new(big.Int).Not(n).Bytes()
	for i := range b {
		b[i] = ^b[i]
	}
	if len(b) == 0 || b[0] < 0x80 {
		b = append([]byte{0xFF}, b...)
	}
	return b
}
