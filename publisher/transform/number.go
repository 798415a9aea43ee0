package transform

import (
	"math"
	"math/big"

	"github.com/rowmesh/rowmesh/publisher/record"
)

// integral returns a decimal that is an integer of 64 bits.
func integral(v record.Value) (int64, bool) {
	n, exact := whole(v)
	if !exact || !n.IsInt64() {
		return 0, false
	}
	return n.Int64(), true
}

// whole returns the integer part of a decimal, and whether that is all of it.
func whole(v record.Value) (*big.Int, bool) {
	n := record.BigInt(v.Bytes())
	scale := int64(v.Scale())
	if scale <= 0 {
		return n.Mul(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(-scale), nil)), true
	}
	q, rest := new(big.Int).QuoRem(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(scale), nil), new(big.Int))
	return q, rest.Sign() == 0
}

// low64 returns the low 64 bits of an integer, as Java's BigInteger.longValue.
func low64(n *big.Int) int64 {
	m := new(big.Int).And(n, new(big.Int).SetUint64(math.MaxUint64))
	return int64(m.Uint64())
}

// truncateTo returns a float as an integer, as Java's casts do: towards zero, NaN is 0, and what does not fit is the nearest that does.
func truncateTo(f float64, bits int) int64 {
	least, most := -math.Ldexp(1, bits-1), math.Ldexp(1, bits-1)
	switch {
	case math.IsNaN(f):
		return 0
	case f <= least:
		return math.MinInt64 >> (64 - bits)
	case f >= most:
		return math.MaxInt64 >> (64 - bits)
	}
	return int64(f)
}
