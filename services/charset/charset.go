package charset

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/transform"
)

// Func appends the UTF-8 form of src to dst.
type Func func(dst, src []byte) []byte

type set struct{ maxBytes int }

type collation struct{ name, charset string }

// ByCollation returns the collation and the character set that an id stands for in column definitions and in the log.
func ByCollation(id uint16) (name, cs string, ok bool) {
	c, ok := collations[id]
	return c.name, c.charset, ok
}

// Name brings the spellings of a character set to the one used here: lower case, utf8mb3 for utf8, of a collation its character set.
func Name(cs string) string {
	cs = strings.ToLower(cs)
	if cs == "utf8" {
		return "utf8mb3"
	}
	if _, ok := info[cs]; ok {
		return cs
	}
	// A collation begins with its character set: utf8mb4_0900_ai_ci, utf8_bin.
	if head, _, found := strings.Cut(cs, "_"); found {
		return Name(head)
	}
	return cs
}

// MaxBytes returns how long a character of the character set can be, or 0 if the name is unknown.
func MaxBytes(cs string) int { return info[Name(cs)].maxBytes }

// Decoder returns what turns text of a character set into UTF-8: nil if it is UTF-8 already (or bytes), false if the character set is unknown.
// A Func is for one goroutine: it may hold state between calls.
func Decoder(cs string) (Func, bool) {
	switch cs = Name(cs); cs {
	case "utf8mb4", "utf8mb3", "binary":
		return nil, true
	case "ucs2":
		return decodeUTF16BE(false), true
	case "utf16":
		return decodeUTF16BE(true), true
	case "utf16le":
		return decodeUTF16LE, true
	case "utf32":
		return decodeUTF32, true
	case "sjis", "cp932":
		return multibyte(japanese.ShiftJIS, cs), true
	case "ujis", "eucjpms":
		return multibyte(japanese.EUCJP, cs), true
	case "euckr":
		return multibyte(korean.EUCKR, cs), true
	case "gb2312", "gbk":
		return multibyte(simplifiedchinese.GBK, cs), true
	case "gb18030":
		return multibyte(simplifiedchinese.GB18030, cs), true
	case "big5":
		return multibyte(traditionalchinese.Big5, cs), true
	}
	if high, ok := highHalf[cs]; ok {
		return singleByte(cs, high), true
	}
	return nil, false
}

// singleByte makes a decoder from the upper half of a character set. Runs of ASCII are copied whole.
func singleByte(cs, high string) Func {
	var table [256]string
	for i := range 128 {
		table[i] = string(rune(i))
	}
	i := 128
	for _, r := range high {
		table[i] = string(r)
		i++
	}
	plain := byte(0x80) // bytes below are themselves
	if cs == "swe7" {
		plain = 0x40
		for b, r := range swe7 {
			table[b] = string(r)
		}
	}
	return func(dst, src []byte) []byte {
		for len(src) > 0 {
			n := 0
			for n < len(src) && src[n] < plain {
				n++
			}
			dst, src = append(dst, src[:n]...), src[n:]
			for len(src) > 0 && src[0] >= plain {
				dst, src = append(dst, table[src[0]]...), src[1:]
			}
		}
		return dst
	}
}

// swe7 is ISO 646-SE: national letters in the place of punctuation.
var swe7 = map[byte]rune{'@': 'É', '[': 'Ä', '\\': 'Ö', ']': 'Å', '^': 'Ü', '`': 'é', '{': 'ä', '|': 'ö', '}': 'å', '~': 'ü', 0x7f: utf8.RuneError}

// multibyte makes a decoder from one of golang.org/x/text. Runs of ASCII are copied whole.
func multibyte(e encoding.Encoding, cs string) Func {
	d := e.NewDecoder()
	fix := fixes[cs]
	var one [utf8.UTFMax * 4]byte
	return func(dst, src []byte) []byte {
		for len(src) > 0 {
			n := 0
			for n < len(src) && src[n] < utf8.RuneSelf {
				n++
			}
			dst, src = append(dst, src[:n]...), src[n:]
			if len(src) == 0 {
				break
			}
			if fix != nil {
				if n := charLen(cs, src); n <= len(src) {
					if r, ok := fixed(fix, code(src[:n])); ok {
						dst, src = utf8.AppendRune(dst, r), src[n:]
						continue
					}
				}
			}
			// One character at a time: Transform would be free to stop anywhere in a longer run.
			n = min(charLen(cs, src), len(src))
			d.Reset()
			m, used, err := d.Transform(one[:], src[:n], true)
			if err != nil && err != transform.ErrShortDst || used == 0 {
				dst, src = utf8.AppendRune(dst, utf8.RuneError), src[1:]
				continue
			}
			dst, src = append(dst, one[:m]...), src[used:]
		}
		return dst
	}
}

// charLen returns how many bytes the character at the start of b has. Requires: b[0] >= 0x80.
func charLen(cs string, b []byte) int {
	switch cs {
	case "sjis", "cp932":
		if b[0] >= 0xa1 && b[0] <= 0xdf || b[0] == 0x80 || b[0] == 0xa0 {
			return 1
		}
	case "ujis", "eucjpms":
		if b[0] == 0x8f {
			return 3
		}
	case "gb18030":
		if len(b) > 1 && b[1] >= 0x30 && b[1] <= 0x39 {
			return 4
		}
	}
	return 2
}

// code reads a character's bytes as a number, the first byte the most significant.
func code(b []byte) uint32 {
	var v uint32
	for _, x := range b {
		v = v<<8 | uint32(x)
	}
	return v
}

func decodeUTF16BE(pairs bool) Func {
	return func(dst, src []byte) []byte {
		for len(src) >= 2 {
			r := rune(src[0])<<8 | rune(src[1])
			src = src[2:]
			if pairs && utf16.IsSurrogate(r) && len(src) >= 2 {
				if p := utf16.DecodeRune(r, rune(src[0])<<8|rune(src[1])); p != utf8.RuneError {
					r, src = p, src[2:]
				}
			}
			dst = utf8.AppendRune(dst, r)
		}
		return odd(dst, src)
	}
}

func decodeUTF16LE(dst, src []byte) []byte {
	for len(src) >= 2 {
		r := rune(src[1])<<8 | rune(src[0])
		src = src[2:]
		if utf16.IsSurrogate(r) && len(src) >= 2 {
			if p := utf16.DecodeRune(r, rune(src[1])<<8|rune(src[0])); p != utf8.RuneError {
				r, src = p, src[2:]
			}
		}
		dst = utf8.AppendRune(dst, r)
	}
	return odd(dst, src)
}

func decodeUTF32(dst, src []byte) []byte {
	for len(src) >= 4 {
		dst = utf8.AppendRune(dst, rune(code(src[:4])&0x7fffffff))
		src = src[4:]
	}
	return odd(dst, src)
}

// odd marks a cut character at the end.
func odd(dst, rest []byte) []byte {
	if len(rest) > 0 {
		dst = utf8.AppendRune(dst, utf8.RuneError)
	}
	return dst
}
