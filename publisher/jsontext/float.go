package jsontext

import (
	"math"
	"math/big"
	"math/bits"
	"strconv"
)

// AppendFloat appends f as Java's Float.toString (bitSize 32) or Double.toString (64) spells it, which is what Jackson prints: plain for
// 1e-3 <= |f| < 1e7, else d.dddEn, always with a digit after the point. NaN and the infinities are quoted.
//
// The digits are those of Java before 19, under which Debezium runs: the shortest that read back, except for large integers and powers of two.
func AppendFloat(dst []byte, f float64, bitSize int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	abs := math.Abs(f)
	if abs == 0 || abs >= 1e-3 && abs < 1e7 {
		start := len(dst)
		dst = strconv.AppendFloat(dst, f, 'f', -1, bitSize)
		for _, c := range dst[start:] {
			if c == '.' {
				return dst
			}
		}
		return append(dst, '.', '0')
	}
	if f < 0 {
		dst = append(dst, '-')
	}
	if abs >= 1e7 && abs < 1<<63 && abs == math.Trunc(abs) {
		return appendLargeInteger(dst, uint64(abs), bitSize)
	}
	var buf [32]byte
	e := strconv.AppendFloat(buf[:0], abs, 'e', powerOfTwoDigits(abs, bitSize), bitSize)
	if e[1] == 'e' { // one digit suffices, but Java looks for two
		e = strconv.AppendFloat(buf[:0], abs, 'e', 1, bitSize)
	}
	exp := 2
	for e[exp] != 'e' {
		exp++
	}
	exponent := 0
	for _, c := range e[exp+2:] {
		exponent = exponent*10 + int(c-'0')
	}
	if e[exp+1] == '-' {
		exponent = -exponent
	}
	return appendScientific(dst, e[0], e[2:exp], exponent)
}

// appendScientific appends d.dddEn.
func appendScientific(dst []byte, first byte, fraction []byte, exponent int) []byte {
	dst = append(dst, first, '.')
	if len(fraction) == 0 {
		dst = append(dst, '0')
	}
	dst = append(dst, fraction...)
	dst = append(dst, 'E')
	return strconv.AppendInt(dst, int64(exponent), 10)
}

// significantBits is the width of a number's fraction with its hidden bit.
func significantBits(bitSize int) int {
	if bitSize == 32 {
		return 24
	}
	return 53
}

// appendLargeInteger appends an integral number. Java writes all its digits but those below the precision, which it rounds away: as many as the
// power of two between the two has digits.
func appendLargeInteger(dst []byte, v uint64, bitSize int) []byte {
	exponent := 0
	if n := int(float64(bits.Len64(v)-significantBits(bitSize)-2) * math.Log10(2)); n > 0 {
		exponent = n
		power := uint64(math.Pow10(exponent))
		up := v%power >= power/2
		v /= power
		if up {
			v++
		}
	}
	var buf [20]byte
	digits := strconv.AppendUint(buf[:0], v, 10)
	exponent += len(digits) - 1
	for len(digits) > 1 && digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
	}
	return appendScientific(dst, digits[0], digits[1:], exponent)
}

// powerOfTwoDigits returns how many digits Java prints behind the point of a power of two in scientific form; -1 stands for the shortest that read
// back, which is what it prints for other numbers. Below a power of two the next number is half as far away as above it; Java keeps the smaller
// distance on both sides, and so needs a digit more at times: the smallest normal float is 1.17549435E-38, not 1.1754944E-38.
func powerOfTwoDigits(abs float64, bitSize int) int {
	fraction, exponent := math.Frexp(abs)
	least := -1021
	if bitSize == 32 {
		least = -125
	}
	if fraction != 0.5 || exponent < least { // subnormal numbers are evenly spaced
		return -1
	}
	// Half of the distance to the next lower number.
	half := new(big.Float).SetMantExp(big.NewFloat(1), exponent-2-significantBits(bitSize))
	value := new(big.Float).SetPrec(256).SetFloat64(abs)
	for digits := 1; digits < 17; digits++ {
		text := strconv.FormatFloat(abs, 'e', digits, bitSize)
		back, _, err := big.ParseFloat(text, 10, 256, big.ToNearestEven)
		if err == nil && back.Sub(back, value).Abs(back).Cmp(half) < 0 {
			return digits
		}
	}
	return -1
}
