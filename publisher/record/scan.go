package record

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/rowmesh/rowmesh/services/errs"
)

// maxDepth bounds the nesting of a JSON text; Jackson's own bound.
const maxDepth = 1000

// scanner walks a JSON text. It is lenient where nothing depends on it: what follows is read by a schema, or was written by this program.
type scanner struct {
	src  []byte
	i    int
	slab *Slab
}

func (s *scanner) fail(what string) error {
	return errs.E(errs.Invalid, "JSON text is wrong at byte %d of %d: %s", s.i, len(s.src), what)
}

// blank skips blanks.
func (s *scanner) blank() {
	for s.i < len(s.src) {
		switch s.src[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// peek returns the next byte that is not blank, 0 at the end.
func (s *scanner) peek() byte {
	if s.i < len(s.src) && s.src[s.i] > ' ' {
		return s.src[s.i]
	}
	s.blank()
	if s.i >= len(s.src) {
		return 0
	}
	return s.src[s.i]
}

// take takes c if it is next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.i++
	return true
}

// expect takes c, or fails.
func (s *scanner) expect(c byte) error {
	if s.take(c) {
		return nil
	}
	return s.fail("a '" + string(c) + "' is missing")
}

// word takes a literal.
func (s *scanner) word(w string) bool {
	s.peek()
	return s.literal(w)
}

// text takes a string: a view of the source where nothing is escaped, else from the slab.
func (s *scanner) text() ([]byte, error) {
	if s.peek() != '"' {
		return nil, s.fail("a string is missing")
	}
	s.i++
	start := s.i
	end := bytes.IndexByte(s.src[start:], '"')
	if end < 0 {
		return nil, s.fail("a string does not end")
	}
	end += start
	if escape := bytes.IndexByte(s.src[start:end], '\\'); escape >= 0 {
		s.i = start + escape
		return s.escaped(start)
	}
	s.i = end + 1
	return s.src[start:end:end], nil
}

// literal takes these bytes if they come next, without blanks before them.
func (s *scanner) literal(text string) bool {
	if len(s.src)-s.i < len(text) || string(s.src[s.i:s.i+len(text)]) != text {
		return false
	}
	s.i += len(text)
	return true
}

// escaped takes the rest of a string that has an escape at s.i. It is at most as long as its source.
func (s *scanner) escaped(start int) ([]byte, error) {
	end := s.i
	for end < len(s.src) && s.src[end] != '"' {
		if s.src[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(s.src) {
		return nil, s.fail("a string does not end")
	}
	out := append(s.slab.Bytes(end - start)[:0], s.src[start:s.i]...)
	for s.i < end {
		c := s.src[s.i]
		s.i++
		if c != '\\' {
			out = append(out, c)
			continue
		}
		c = s.src[s.i]
		s.i++
		switch c {
		case 'b':
			out = append(out, '\b')
		case 't':
			out = append(out, '\t')
		case 'n':
			out = append(out, '\n')
		case 'f':
			out = append(out, '\f')
		case 'r':
			out = append(out, '\r')
		case 'u':
			r, err := s.unit()
			if err != nil {
				return nil, err
			}
			if utf16.IsSurrogate(r) && s.i+1 < end && s.src[s.i] == '\\' && s.src[s.i+1] == 'u' {
				s.i += 2
				low, err := s.unit()
				if err != nil {
					return nil, err
				}
				if whole := utf16.DecodeRune(r, low); whole != utf8.RuneError {
					out = utf8.AppendRune(out, whole)
					continue
				}
				out = appendSurrogate(out, r)
				r = low
			}
			if utf16.IsSurrogate(r) {
				out = appendSurrogate(out, r)
				continue
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
		}
	}
	s.i = end + 1
	return out, nil
}

// appendSurrogate appends half of a character, which Java's texts can end in and UTF-8 has no form for, in three bytes as if it had one.
func appendSurrogate(dst []byte, r rune) []byte {
	return append(dst, 0xED, byte(0x80|r>>6&0x3F), byte(0x80|r&0x3F))
}

// unit takes four hexadecimal digits.
func (s *scanner) unit() (rune, error) {
	if s.i+4 > len(s.src) {
		return 0, s.fail("an escape is cut off")
	}
	var r rune
	for range 4 {
		c := s.src[s.i]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, s.fail("an escape has no hexadecimal digits")
		}
		r = r<<4 | rune(c)
		s.i++
	}
	return r, nil
}

// number takes a number's text.
func (s *scanner) number() ([]byte, error) {
	s.peek()
	start := s.i
	for s.i < len(s.src) {
		switch c := s.src[s.i]; {
		case c >= '0' && c <= '9', c == '-', c == '+', c == '.', c == 'e', c == 'E':
			s.i++
			continue
		}
		break
	}
	if s.i == start {
		return nil, s.fail("a number is missing")
	}
	return s.src[start:s.i], nil
}

// integer takes an integer.
func (s *scanner) integer() (int64, error) {
	text, err := s.number()
	if err != nil {
		return 0, err
	}
	negative := text[0] == '-'
	if negative {
		text = text[1:]
	}
	if len(text) == 0 || len(text) > 19 {
		return 0, s.fail("a number is no 64-bit integer")
	}
	var n uint64
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, s.fail("a number is no integer")
		}
		n = n*10 + uint64(c-'0')
	}
	if negative {
		if n > 1<<63 {
			return 0, s.fail("a number is no 64-bit integer")
		}
		return -int64(n), nil
	}
	if n > 1<<63-1 {
		return 0, s.fail("a number is no 64-bit integer")
	}
	return int64(n), nil
}

// skip passes over a value.
func (s *scanner) skip(depth int) error {
	if depth > maxDepth {
		return s.fail("it is nested too deep")
	}
	switch c := s.peek(); c {
	case '"':
		_, err := s.text()
		return err
	case '{', '[':
		shut := c + 2 // ASCII: '{' 0x7B and '}' 0x7D, '[' 0x5B and ']' 0x5D
		s.i++
		if s.take(shut) {
			return nil
		}
		for {
			if c == '{' {
				if _, err := s.text(); err != nil {
					return err
				}
				if err := s.expect(':'); err != nil {
					return err
				}
			}
			if err := s.skip(depth + 1); err != nil {
				return err
			}
			if !s.take(',') {
				return s.expect(shut)
			}
		}
	case 't', 'f', 'n':
		if s.word("true") || s.word("false") || s.word("null") {
			return nil
		}
		return s.fail("a value is missing")
	}
	_, err := s.number()
	return err
}
