package converter

import (
	"bytes"
	"slices"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/rowmesh/rowmesh/publisher/jsontext"
)

// Schemas are texts, and a registry that is asked for the text that Java's converters write answers with the id that it has for it. So their texts are
// followed to the order of members, which where Java keeps them in a HashMap follows from the names' hash codes.

// hashOf is String.hashCode with the bits that HashMap spreads downward.
func hashOf(s string) uint32 {
	var h uint32
	for _, r := range s {
		if r > 0xFFFF {
			a, b := utf16.EncodeRune(r)
			h = (h*31+uint32(a))*31 + uint32(b)
			continue
		}
		h = h*31 + uint32(r)
	}
	return h ^ h>>16
}

// defaultCapacity is that of a HashMap of which no size was asked.
const defaultCapacity = 16

// inHashOrder sorts members, which are in the order of their insertion, as a HashMap made with a capacity iterates over them: by bucket, and within one
// by insertion. (Buckets of eight and more become trees in Java, where the order differs; it takes eight names that share their low bits.)
func inHashOrder[T any](members []T, capacity int, name func(T) string) []T {
	n := 1
	for n < capacity {
		n *= 2
	}
	for len(members)*4 > n*3 {
		n *= 2
	}
	mask := uint32(n - 1)
	out := slices.Clone(members)
	slices.SortStableFunc(out, func(a, b T) int { return int(hashOf(name(a))&mask) - int(hashOf(name(b))&mask) })
	return out
}

// appendJSONText appends a JSON string as Jackson writes it into a text, where only quotes, backslashes and controls are escaped.
func appendJSONText[T []byte | string](dst []byte, s T) []byte {
	dst = append(dst, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = jsontext.AppendEscape(append(dst, s[start:i]...), c)
		start = i + 1
	}
	return append(append(dst, s[start:]...), '"')
}

// javaUTF8 returns a text as String.getBytes(UTF_8) writes it: halves of characters, which package record keeps as three bytes each, become question
// marks. It is the text itself unless there are such.
func javaUTF8(text []byte) []byte {
	for from := 0; ; {
		i := bytes.IndexByte(text[from:], 0xED) // the first byte of all halves, and of some letters of Hangul
		if i < 0 {
			return text
		}
		i += from
		if i+1 < len(text) && text[i+1] >= 0xA0 {
			return withoutHalves(text)
		}
		from = i + 1
	}
}

func withoutHalves(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		if text[i] == 0xED && i+2 < len(text) && text[i+1] >= 0xA0 {
			out = append(out, '?')
			i += 3
			continue
		}
		_, size := utf8.DecodeRune(text[i:])
		out = append(out, text[i:i+size]...)
		i += size
	}
	return out
}

// scrub makes a name that Avro and Protobuf accept as scrub.invalid.names does: percent-encoded as a form's value, an x before a digit (for Protobuf before an
// underscore too), and an underscore for all else that is not a letter or digit.
func scrub(name string, protobuf bool) string {
	plain := name != ""
	for i := range len(name) {
		plain = plain && isNameByte(name[i])
	}
	if name == "" || plain && !startsBadly(name[0], protobuf) {
		return name
	}
	const hex = "0123456789ABCDEF"
	out := make([]byte, 0, len(name)+8)
	for _, c := range javaUTF8([]byte(name)) {
		switch {
		case isNameByte(c):
			out = append(out, c)
		case c == ' ', c == '-', c == '.', c == '*': // which a form keeps, or writes as a plus
			out = append(out, '_')
		default:
			out = append(out, '_', hex[c>>4], hex[c&15])
		}
	}
	if startsBadly(name[0], protobuf) { // asked of the form, where signs are a percent or a plus
		out = append([]byte{'x'}, out...)
	}
	return string(out)
}

func startsBadly(c byte, protobuf bool) bool { return c >= '0' && c <= '9' || protobuf && c == '_' }

func isNameByte(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_'
}

// isNameRune reports what Java's Avro accepts in names: letters and digits of any script.
func isNameRune(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }
