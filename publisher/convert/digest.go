package convert

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"math"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// digest is the hash of column.mask.hash: of the salt and the value, where the first version takes the value as Java serializes a string, and the
// second as UTF-8.
type digest struct {
	hash hash.Hash
	salt []byte
	v2   bool
	text []byte // scratch
	sum  []byte // scratch
}

// newDigest makes the digest of an algorithm as Java names it.
func newDigest(algorithm, salt string, v2 bool) (*digest, error) {
	var h hash.Hash
	switch strings.ToUpper(algorithm) {
	case "MD5":
		h = md5.New()
	case "SHA", "SHA-1":
		h = sha1.New()
	case "SHA-224":
		h = sha256.New224()
	case "SHA-256":
		h = sha256.New()
	case "SHA-384":
		h = sha512.New384()
	case "SHA-512":
		h = sha512.New()
	case "SHA-512/224":
		h = sha512.New512_224()
	case "SHA-512/256":
		h = sha512.New512_256()
	case "SHA3-224":
		h = sha3.New224()
	case "SHA3-256":
		h = sha3.New256()
	case "SHA3-384":
		h = sha3.New384()
	case "SHA3-512":
		h = sha3.New512()
	default:
		return nil, fmt.Errorf("the hash algorithm %s is not known; use SHA-256", algorithm)
	}
	return &digest{hash: h, salt: []byte(salt), v2: v2}, nil
}

// append appends the digest of a text in lower-case hexadecimal.
func (d *digest) append(dst, text []byte) []byte {
	d.hash.Reset()
	d.hash.Write(d.salt)
	if !d.v2 {
		d.text = appendSerialized(d.text[:0], text)
		text = d.text
	}
	d.hash.Write(text)
	d.sum = d.hash.Sum(d.sum[:0])
	return hex.AppendEncode(dst, d.sum)
}

// appendSerialized appends a string as java.io.ObjectOutputStream does: magic number and version, the tag of a string (0x74 with a 16-bit length,
// 0x7C with a 64-bit one), its length, and its characters in modified UTF-8.
func appendSerialized(dst, text []byte) []byte {
	dst = append(dst, 0xAC, 0xED, 0x00, 0x05)
	n := 0
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		n += modifiedLen(r)
		i += size
	}
	if n <= math.MaxUint16 {
		dst = binary.BigEndian.AppendUint16(append(dst, 0x74), uint16(n))
	} else {
		dst = binary.BigEndian.AppendUint64(append(dst, 0x7C), uint64(n))
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		dst = appendModified(dst, r)
		i += size
	}
	return dst
}

// modifiedLen is the length of a character in modified UTF-8, in which NUL takes two bytes, and each half of a surrogate pair three.
func modifiedLen(r rune) int {
	switch {
	case r == 0:
		return 2
	case r > 0xFFFF:
		return 6
	}
	return utf8.RuneLen(r)
}

func appendModified(dst []byte, r rune) []byte {
	switch {
	case r == 0:
		return append(dst, 0xC0, 0x80)
	case r > 0xFFFF:
		high, low := utf16.EncodeRune(r)
		for _, u := range [2]rune{high, low} {
			dst = append(dst, 0xE0|byte(u>>12), 0x80|byte(u>>6&0x3F), 0x80|byte(u&0x3F))
		}
		return dst
	}
	return utf8.AppendRune(dst, r)
}
