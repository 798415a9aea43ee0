package jsontext

import (
	"encoding/base64"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

const hexUpper = "0123456789ABCDEF"

// AppendString appends s as a JSON string as Jackson writes it: only the quote, the backslash and controls below 0x20 are escaped, other text is
// raw UTF-8, but characters beyond U+FFFF are two escaped surrogates. Bytes that are not UTF-8 become U+FFFD, as Java's decoder makes them.
func AppendString[T []byte | string](dst []byte, s T) []byte {
	dst = append(dst, '"')
	dst = AppendEscaped(dst, []byte(s))
	return append(dst, '"')
}

// closeSpecials is how many plain bytes end the search byte by byte for the next special one: where they come that often, looking at eight bytes at
// once does not pay.
const closeSpecials = 8

// AppendEscaped is AppendString without the quotes.
func AppendEscaped(dst, s []byte) []byte {
	start := 0 // of what is to be copied as it is
	for i := 0; i < len(s); {
		i += plainPrefix(s[i:])
		for plain := 0; i < len(s) && plain < closeSpecials; {
			c := s[i]
			if c < utf8.RuneSelf {
				if c >= 0x20 && c != '"' && c != '\\' {
					i++
					plain++
					continue
				}
				dst = append(dst, s[start:i]...)
				dst = AppendEscape(dst, c)
				i++
				start, plain = i, 0
				continue
			}
			plain = 0
			if size := rawSize(s[i:]); size > 0 {
				i += size
				continue
			}
			dst = append(dst, s[start:i]...)
			r, size := utf8.DecodeRune(s[i:])
			if r > 0xFFFF {
				dst = appendSurrogates(dst, r)
			} else {
				dst = append(dst, "\uFFFD"...)
			}
			i += size
			start = i
		}
	}
	return append(dst, s[start:]...)
}

// rawSize returns the length of the character at the start of s if it has two or three bytes and so is copied as it is; else 0.
func rawSize(s []byte) int {
	c := s[0]
	switch {
	case c < 0xC2 || len(s) < 2 || s[1]&0xC0 != 0x80:
		return 0
	case c < 0xE0:
		return 2
	case c > 0xEF || len(s) < 3 || s[2]&0xC0 != 0x80:
		return 0
	case c == 0xE0 && s[1] < 0xA0, c == 0xED && s[1] >= 0xA0: // overlong forms and surrogates
		return 0
	}
	return 3
}

// plainPrefix returns how many bytes at the start of s are ASCII and need no escape. It looks at eight at a time: a byte below 0x20 borrows into
// its high bit when 0x20 is subtracted, and a byte equal to the quote or the backslash is zero after xor, which borrows when 1 is subtracted. A
// borrow may run on into the next byte, so only the lowest flagged byte is exact, and that is the one that counts.
func plainPrefix(s []byte) int {
	const (
		ones = 0x0101010101010101
		high = 0x8080808080808080
	)
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := binary.LittleEndian.Uint64(s[i:])
		q := w ^ ones*'"'
		b := w ^ ones*'\\'
		if m := (w | (w - ones*0x20) | (q - ones) | (b - ones)) & high; m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	return i
}

// AppendEscape appends the escape of a quote, a backslash or a control below 0x20.
func AppendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\t':
		return append(dst, '\\', 't')
	case '\n':
		return append(dst, '\\', 'n')
	case '\f':
		return append(dst, '\\', 'f')
	case '\r':
		return append(dst, '\\', 'r')
	}
	return append(dst, '\\', 'u', '0', '0', hexUpper[c>>4], hexUpper[c&15])
}

func appendSurrogates(dst []byte, r rune) []byte {
	r -= 0x10000
	for _, u := range [2]rune{0xD800 + r>>10, 0xDC00 + r&0x3FF} {
		dst = append(dst, '\\', 'u', hexUpper[u>>12&15], hexUpper[u>>8&15], hexUpper[u>>4&15], hexUpper[u&15])
	}
	return dst
}

// AppendBase64 appends b as a quoted base64 string with padding.
func AppendBase64(dst []byte, enc *base64.Encoding, b []byte) []byte {
	dst = append(dst, '"')
	dst = enc.AppendEncode(dst, b)
	return append(dst, '"')
}
