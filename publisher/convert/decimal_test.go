package convert

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"testing"
)

func TestDecimalText(t *testing.T) {
	for _, c := range []struct {
		unscaled      string
		scale         int
		plain, number string
	}{
		{"0", 0, "0", "0"},
		{"0", 2, "0.00", "0.00"},
		{"-1", 0, "-1", "-1"},
		{"5", 2, "0.05", "0.05"},
		{"-150", 2, "-1.50", "-1.50"},
		{"200000", 5, "2.00000", "2.00000"},
		{"1", 6, "0.000001", "0.000001"},
		{"1", 7, "0.0000001", "1E-7"},
		{"-123", 10, "-0.0000000123", "-1.23E-8"},
		{"99999999999999999999999999999999999999999999999999999999999999999", 30, "99999999999999999999999999999999999.999999999999999999999999999999",
			"99999999999999999999999999999999999.999999999999999999999999999999"},
		{"-18446744073709551616", 0, "-18446744073709551616", "-18446744073709551616"},
		{"1000000000000000000000", 0, "1000000000000000000000", "1000000000000000000000"},
	} {
		n, _ := new(big.Int).SetString(c.unscaled, 10)
		b := twosComplement(n)
		if got := string(appendDecimalPlain(nil, b, c.scale)); got != c.plain {
			t.Errorf("%s scale %d: got %s, want %s", c.unscaled, c.scale, got, c.plain)
		}
		if got := string(appendDecimalNumber(nil, b, c.scale)); got != c.number {
			t.Errorf("%s scale %d as a number: got %s, want %s", c.unscaled, c.scale, got, c.number)
		}
	}
}

// TestDecimalRandom compares with math/big.
func TestDecimalRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(65), nil)
	for range 3000 {
		raw := make([]byte, 1+r.IntN(27))
		for i := range raw {
			raw[i] = byte(r.Uint32())
		}
		n := new(big.Int).SetBytes(raw)
		n.Mod(n, limit)
		if r.IntN(2) == 0 {
			n.Neg(n)
		}
		b := twosComplement(n)
		if got, want := string(appendDecimalPlain(nil, b, 0)), n.String(); got != want {
			t.Fatalf("%x: got %s, want %s", b, got, want)
		}
		back, err := parseDecimal(n.String(), 0)
		if err != nil || !bytes.Equal(back, b) {
			t.Fatalf("%s read as %x (%v), want %x", n, back, err, b)
		}
	}
}

func TestParseDecimalRounds(t *testing.T) {
	for text, want := range map[string]string{"1.5": "1.50", "9.955": "9.96", "-9.955": "-9.96", "1e3": "1000.00", "+7": "7.00"} {
		b, err := parseDecimal(text, 2)
		if got := string(appendDecimalPlain(nil, b, 2)); err != nil || got != want {
			t.Errorf("%s: got %s (%v), want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "1/2", "1e99999", "1e1000000000"} {
		if b, err := parseDecimal(text, 2); err == nil {
			t.Errorf("%q read as %x", text, b)
		}
	}
}

func TestUnsignedDecimal(t *testing.T) {
	for v, want := range map[uint64][]byte{0: {0}, 127: {127}, 128: {0, 128}, 1<<64 - 1: {0, 255, 255, 255, 255, 255, 255, 255, 255}, 1 << 62: {64, 0, 0, 0, 0, 0, 0, 0}} {
		if got := appendUnsigned(nil, v); !bytes.Equal(got, want) {
			t.Errorf("%d: got %v, want %v", v, got, want)
		}
	}
}
