package jsontext

import (
	"math"
	"testing"
)

func TestFloatSpelling(t *testing.T) {
	for _, c := range []struct {
		f    float64
		bits int
		want string
	}{
		{0, 64, "0.0"},
		{math.Copysign(0, -1), 64, "-0.0"},
		{1, 64, "1.0"},
		{0.001, 64, "0.001"},
		{0.0009999, 64, "9.999E-4"},
		{9999999, 64, "9999999.0"},
		{1e7, 64, "1.0E7"},
		{-2.25e10, 64, "-2.25E10"},
		{1e21, 64, "1.0E21"},
		{1e-300, 64, "1.0E-300"},
		{math.MaxFloat64, 64, "1.7976931348623157E308"},
		{2.2250738585072014e-308, 64, "2.2250738585072014E-308"},
		{float64(float32(3.14)), 64, "3.140000104904175"},
		{float64(float32(1.6777216e7)), 32, "1.6777216E7"},
		{float64(float32(1.17549435e-38)), 32, "1.17549435E-38"},
		{math.Ldexp(1, 70), 64, "1.1805916207174113E21"},
		{float64(float32(0.1)), 32, "0.1"},
		{float64(float32(123456789)), 32, "1.23456792E8"},
		{2.490508818111304640e17, 64, "2.49050881811130464E17"},
		{5e-324, 64, "4.9E-324"},
		{math.NaN(), 64, `"NaN"`},
		{math.Inf(-1), 64, `"-Infinity"`},
	} {
		if got := string(AppendFloat(nil, c.f, c.bits)); got != c.want {
			t.Errorf("%v in %d bits: got %s, want %s", c.f, c.bits, got, c.want)
		}
	}
}
