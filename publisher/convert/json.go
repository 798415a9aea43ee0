package convert

import (
	"encoding/base64"
	"encoding/binary"
	"math"

	"github.com/rowmesh/rowmesh/publisher/jsontext"
)

// appendString appends s as a JSON string, quoted.
func appendString[T []byte | string](dst []byte, s T) []byte { return jsontext.AppendString(dst, s) }

// appendEscaped is appendString without the quotes.
func appendEscaped(dst, s []byte) []byte { return jsontext.AppendEscaped(dst, s) }

// appendFloat appends f as Java spells it.
func appendFloat(dst []byte, f float64, bitSize int) []byte {
	return jsontext.AppendFloat(dst, f, bitSize)
}

// appendBase64 appends b as a quoted base64 string with padding.
func appendBase64(dst []byte, enc *base64.Encoding, b []byte) []byte {
	return jsontext.AppendBase64(dst, enc, b)
}

func appendHex(dst, b []byte) []byte {
	const lower = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range b {
		dst = append(dst, lower[c>>4], lower[c&15])
	}
	return append(dst, '"')
}

// appendUUID appends 16 bytes in UUID text form.
func appendUUID(dst, b []byte) []byte {
	const lower = "0123456789abcdef"
	dst = append(dst, '"')
	for i, c := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, lower[c>>4], lower[c&15])
	}
	return append(dst, '"')
}

// appendVector appends little-endian binary32 numbers as an array.
func appendVector(dst, b []byte) []byte {
	dst = append(dst, '[')
	for i := 0; i+4 <= len(b); i += 4 {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendFloat(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(b[i:]))), 32)
	}
	return append(dst, ']')
}
