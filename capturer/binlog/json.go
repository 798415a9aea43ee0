package binlog

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"strconv"

	"github.com/rowmesh/rowmesh/services/row"
)

// Types of values in the binary form of JSON (json_binary.h of MySQL).
const (
	jsonSmallObject = 0x00
	jsonLargeObject = 0x01
	jsonSmallArray  = 0x02
	jsonLargeArray  = 0x03
	jsonLiteral     = 0x04
	jsonInt16       = 0x05
	jsonUint16      = 0x06
	jsonInt32       = 0x07
	jsonUint32      = 0x08
	jsonInt64       = 0x09
	jsonUint64      = 0x0a
	jsonDouble      = 0x0b
	jsonString      = 0x0c
	jsonOpaque      = 0x0f
)

// maxJSONDepth: the server refuses documents nested deeper than 100.
const maxJSONDepth = 128

var errJSON = errors.New("malformed binary JSON")

// jsonWriter turns binary JSON into text as Debezium spells it in the stream: no blanks, keys in the order of the binary form, doubles without exponent,
// decimals as numbers, dates and times quoted, other opaque values as base64.
type jsonWriter struct {
	// budget is what a document of its size can still hold: entries and strings do not share bytes, so one that spends more has offsets that make it
	// contain itself.
	budget int
}

// appendJSON appends the text of a document.
func appendJSON(dst, doc []byte) ([]byte, error) {
	if len(doc) == 0 {
		return dst, errJSON
	}
	w := jsonWriter{budget: len(doc)}
	return w.value(dst, doc[0], doc[1:], 0)
}

// value appends the value of a type that begins at the start of b.
func (w *jsonWriter) value(dst []byte, kind byte, b []byte, depth int) ([]byte, error) {
	if w.budget--; w.budget < 0 || depth > maxJSONDepth {
		return dst, errJSON
	}
	switch kind {
	case jsonSmallObject, jsonLargeObject, jsonSmallArray, jsonLargeArray:
		return w.container(dst, kind, b, depth)
	case jsonString:
		s, _, ok := jsonBytes(b)
		if !ok {
			return dst, errJSON
		}
		w.budget -= len(s)
		return appendJSONString(dst, s), nil
	case jsonOpaque:
		return w.opaque(dst, b)
	case jsonLiteral:
		if len(b) < 1 || b[0] > 2 {
			return dst, errJSON
		}
		return append(dst, [3]string{"null", "true", "false"}[b[0]]...), nil
	}
	n := jsonScalarSize(kind)
	if n == 0 || n > len(b) {
		return dst, errJSON
	}
	b = b[:n]
	switch kind {
	case jsonInt16, jsonInt32, jsonInt64:
		return strconv.AppendInt(dst, signed(b), 10), nil
	case jsonDouble:
		return appendJSONDouble(dst, math.Float64frombits(binary.LittleEndian.Uint64(b)))
	}
	return strconv.AppendUint(dst, uintLE(b), 10), nil
}

func jsonScalarSize(kind byte) int {
	switch kind {
	case jsonInt16, jsonUint16:
		return 2
	case jsonInt32, jsonUint32:
		return 4
	case jsonInt64, jsonUint64, jsonDouble:
		return 8
	}
	return 0
}

// jsonContainer is an object or array: number of elements, size in bytes, entries of keys (offset, length) and of values (type, offset or the value itself).
type jsonContainer struct {
	b      []byte
	object bool
	word   int // bytes of an offset: 2 in small containers, 4 in large ones
	count  int
}

func openContainer(kind byte, b []byte) (jsonContainer, bool) {
	c := jsonContainer{b: b, object: kind <= jsonLargeObject, word: 2}
	if kind == jsonLargeObject || kind == jsonLargeArray {
		c.word = 4
	}
	if len(b) < 2*c.word {
		return c, false
	}
	count, size := uintLE(b[:c.word]), uintLE(b[c.word:2*c.word])
	if size > uint64(len(b)) || count > size {
		return c, false
	}
	c.b, c.count = b[:size], int(count)
	return c, c.values()+c.count*(1+c.word) <= len(c.b)
}

// values is where the entries of the values begin.
func (c *jsonContainer) values() int {
	if c.object {
		return 2*c.word + c.count*(c.word+2)
	}
	return 2 * c.word
}

func (c *jsonContainer) key(i int) ([]byte, bool) {
	e := c.b[2*c.word+i*(c.word+2):]
	at, n := uintLE(e[:c.word]), uintLE(e[c.word:c.word+2])
	if at+n > uint64(len(c.b)) {
		return nil, false
	}
	return c.b[at : at+n], true
}

// element returns the type of a value and the bytes that begin with it.
func (c *jsonContainer) element(i int) (kind byte, b []byte, ok bool) {
	e := c.b[c.values()+i*(1+c.word):]
	kind = e[0]
	switch kind {
	case jsonLiteral, jsonInt16, jsonUint16:
		return kind, e[1 : 1+c.word], true
	case jsonInt32, jsonUint32:
		if c.word == 4 {
			return kind, e[1:5], true
		}
	}
	at := uintLE(e[1 : 1+c.word])
	if at > uint64(len(c.b)) {
		return kind, nil, false
	}
	return kind, c.b[at:], true
}

func (w *jsonWriter) container(dst []byte, kind byte, b []byte, depth int) ([]byte, error) {
	c, ok := openContainer(kind, b)
	if !ok {
		return dst, errJSON
	}
	open, shut := byte('['), byte(']')
	if c.object {
		open, shut = '{', '}'
	}
	dst = append(dst, open)
	for i := range c.count {
		if i > 0 {
			dst = append(dst, ',')
		}
		if c.object {
			key, ok := c.key(i)
			if w.budget -= len(key); !ok || w.budget < 0 {
				return dst, errJSON
			}
			dst = append(appendJSONString(dst, key), ':')
		}
		kind, v, ok := c.element(i)
		if !ok {
			return dst, errJSON
		}
		var err error
		if dst, err = w.value(dst, kind, v, depth+1); err != nil {
			return dst, err
		}
	}
	return append(dst, shut), nil
}

// jsonBytes reads a length (7 bits a byte, the lowest first) and that many bytes.
func jsonBytes(b []byte) (v, rest []byte, ok bool) {
	n, m := binary.Uvarint(b[:min(len(b), 5)]) // the length has at most 32 bits
	if m <= 0 || n > uint64(len(b)-m) {
		return nil, nil, false
	}
	end := m + int(n)
	return b[m:end:end], b[end:], true
}

// appendJSONDouble spells a double: plain with at least one digit behind the point from 0.001 to below 10^7, as Java's Double.toString; else as its exact
// decimal expansion.
func appendJSONDouble(dst []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return dst, errJSON
	}
	if a := math.Abs(f); a == 0 || a >= 1e-3 && a < 1e7 {
		at := len(dst)
		dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
		for _, c := range dst[at:] {
			if c == '.' {
				return dst, nil
			}
		}
		return append(dst, ".0"...), nil
	}
	// A double is m * 2^e with an odd m: it has -e digits behind the point.
	const mantissaBits, bias = 52, 1075
	u := math.Float64bits(f)
	exp := int(u >> mantissaBits & 0x7ff)
	m := u & (1<<mantissaBits - 1)
	if exp == 0 {
		exp = 1
	} else {
		m |= 1 << mantissaBits
	}
	e := exp - bias + bits.TrailingZeros64(m)
	return strconv.AppendFloat(dst, f, 'f', max(0, -e), 64), nil
}

const hexDigits = "0123456789abcdef"

// appendJSONString quotes a string; slashes and characters above ASCII stay as they are.
func appendJSONString(dst, s []byte) []byte {
	dst = append(dst, '"')
	from := 0
	for i, c := range s {
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}

// jsonCell decodes a JSON column: a length and the binary form, or a list of differences to the before image.
func (p *Plan) jsonCell(dst, b []byte, i, nulls int, diff, keep bool) (out, rest []byte, err error) {
	v, rest, ok := prefixed(b, int(p.cols[i].size))
	if !ok {
		return dst, b, errShort
	}
	if keep {
		p.scratch.before[i] = v
	}
	switch {
	case diff:
		before := p.scratch.before[i]
		if before == nil {
			return dst, b, errors.New("a partial JSON update without the value that it changes (binlog_row_image is not FULL)")
		}
		p.scratch.text, err = appendPatchedJSON(p.scratch.text[:0], before, v)
	case len(v) == 0:
		// The server writes no bytes where a NOT NULL JSON column was never given a value.
		if p.cols[i].null {
			dst[nulls+i>>3] |= 1 << (i & 7)
			return dst, rest, nil
		}
		p.scratch.text = append(p.scratch.text[:0], "{}"...)
	default:
		p.scratch.text, err = appendJSON(p.scratch.text[:0], v)
	}
	if err != nil {
		return dst, b, err
	}
	dst = row.AppendBytes(dst, p.scratch.text)
	if cap(p.scratch.text) > 1<<20 {
		p.scratch.text = nil // one huge document must not pin its size for good
	}
	return dst, rest, nil
}
