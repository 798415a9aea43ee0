package record

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/rowmesh/rowmesh/services/errs"
)

// maxDecimalDigits bounds the digits that a text may ask for: an exponent of a billion is a short text and a gigabyte of digits. MySQL's DECIMAL has 65.
const maxDecimalDigits = 1000

// ParseDecimal reads a decimal as Java's BigDecimal(String) does: the scale is the number of digits behind the point, less the exponent.
func ParseDecimal(text string) (Value, error) {
	mantissa, exponent, scientific := strings.Cut(strings.ToLower(text), "e")
	shift := 0
	if scientific {
		n, err := strconv.Atoi(exponent)
		if err != nil || n > maxDecimalDigits || n < -maxDecimalDigits {
			return Null, errs.E(errs.Invalid, "%q is no decimal number", text)
		}
		shift = n
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	n, ok := new(big.Int).SetString(whole+fraction, 10)
	if !ok || len(mantissa) > maxDecimalDigits {
		return Null, errs.E(errs.Invalid, "%q is no decimal number", text)
	}
	return DecimalOf(TwosComplement(n), int32(len(fraction)-shift)), nil
}
