package schema

import (
	"strings"
	"unicode/utf8"

	"github.com/rowmesh/rowmesh/services/config"
)

// kind of a token.
type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenWord             // unquoted identifier or keyword
	tokenQuoted           // quoted identifier; text is unquoted
	tokenString           // string literal; text is unquoted with its escapes resolved, raw is as written between the quotes
	tokenNumber           // digits, with sign only where the parser puts one
	tokenHex              // x'..' or 0x..; text is the digits
	tokenBits             // b'..' or 0b..; text is the digits
	tokenPunct            // one character
)

// token is a piece of a statement.
type token struct {
	kind tokenKind
	text string
	raw  string
	// start and end are byte offsets in the statement.
	start, end int
}

// is says whether t is the unquoted keyword (upper case) or the punctuation.
func (t *token) is(keyword string) bool {
	switch t.kind {
	case tokenWord:
		return len(t.text) == len(keyword) && strings.EqualFold(t.text, keyword)
	case tokenPunct:
		return t.text == keyword
	}
	return false
}

// dialect is what changes the meaning of characters.
type dialect struct {
	flavor  config.Flavor
	version int // as in versioned comments: 80036, 101108; 0 is newer than all
	ApplyOptions
}

// maxTokens bounds what one statement may hold: a statement of max_allowed_packet (1 GiB) must not become 100 times as much. The widest table has
// 4096 columns with maybe 20 tokens, a partitioned one 8192 partitions with 15, an ENUM 65535 members with 2: a million is beyond all of them.
const maxTokens = 1 << 20

// tokenizer splits a statement. Comments vanish; what stands in versioned comments that the server ran stays.
type tokenizer struct {
	dialect
	sql string
	pos int
	// versioned is true within /*! ... */ that counts.
	versioned bool
}

// tokenize returns the tokens of sql, the last being tokenEnd. It is total: whatever it cannot read becomes punctuation or runs to the end.
func tokenize(d dialect, sql string) []token {
	z := tokenizer{dialect: d, sql: sql}
	out := make([]token, 0, min(len(sql)/4+4, 4096))
	for {
		t := z.next()
		if t.kind != tokenEnd && len(out) >= maxTokens {
			t = token{kind: tokenEnd, start: t.start, end: t.start}
		}
		out = append(out, t)
		if t.kind == tokenEnd {
			return out
		}
	}
}

func (z *tokenizer) at(i int) byte {
	if i < len(z.sql) {
		return z.sql[i]
	}
	return 0
}

func isSpace(c byte) bool { return c == ' ' || (c >= '\t' && c <= '\r') }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isWordByte: letters, digits, _, $ and all beyond ASCII, as in the manual's "Schema Object Names".
func isWordByte(c byte) bool {
	return c == '_' || c == '$' || c >= utf8.RuneSelf || isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z'
}

func (z *tokenizer) next() token {
	z.skip()
	start := z.pos
	if start >= len(z.sql) {
		return token{kind: tokenEnd, start: len(z.sql), end: len(z.sql)}
	}
	t := token{start: start}
	switch c := z.sql[start]; {
	case c == '`' || c == '"' && z.AnsiQuotes:
		t.kind = tokenQuoted
		t.text, t.raw = z.quoted(c, false)
	case c == '\'' || c == '"':
		t.kind = tokenString
		t.text, t.raw = z.quoted(c, !z.NoBackslashEscapes)
		if c == '"' && z.flavor != config.MariaDB {
			t.raw = strings.ReplaceAll(t.raw, "'", "''") // Debezium's MySQL parser sees it in single quotes
		}
	case (c|0x20 == 'x' || c|0x20 == 'b') && z.at(start+1) == '\'':
		z.pos++
		t.kind = tokenHex
		if c|0x20 == 'b' {
			t.kind = tokenBits
		}
		t.text, _ = z.quoted('\'', false)
	case c|0x20 == 'n' && z.at(start+1) == '\'':
		z.pos++
		t.kind = tokenString
		t.text, t.raw = z.quoted('\'', !z.NoBackslashEscapes)
	case isDigit(c) || c == '.' && isDigit(z.at(start+1)) && !z.afterName(start):
		t.kind, t.text = z.number()
	case isWordByte(c):
		t.kind = tokenWord
		for z.pos < len(z.sql) && isWordByte(z.sql[z.pos]) {
			z.pos++
		}
		t.text = z.sql[start:z.pos]
	default:
		t.kind = tokenPunct
		z.pos++
		t.text = z.sql[start:z.pos]
	}
	t.end = z.pos
	return t
}

// afterName says that the character before i ends a name: the dot of db.1t is no decimal point.
func (z *tokenizer) afterName(i int) bool {
	return i > 0 && (isWordByte(z.sql[i-1]) || z.sql[i-1] == '`' || z.sql[i-1] == '"')
}

// skip passes blanks and comments.
func (z *tokenizer) skip() {
	for z.pos < len(z.sql) {
		c := z.sql[z.pos]
		switch {
		case isSpace(c) || c == 0:
			z.pos++
		case c == '#' || c == '-' && z.at(z.pos+1) == '-' && (z.pos+2 >= len(z.sql) || z.sql[z.pos+2] <= ' '):
			if i := strings.IndexByte(z.sql[z.pos:], '\n'); i >= 0 {
				z.pos += i + 1
			} else {
				z.pos = len(z.sql)
			}
		case c == '/' && z.at(z.pos+1) == '*':
			z.comment()
		case c == '*' && z.at(z.pos+1) == '/' && z.versioned:
			z.versioned = false
			z.pos += 2
		default:
			return
		}
	}
}

// comment passes a comment, or only its head where its body counts.
func (z *tokenizer) comment() {
	p := z.pos + 2
	executable := z.at(p) == '!'
	if z.at(p)|0x20 == 'm' && z.at(p+1) == '!' {
		// MariaDB's own form; MySQL takes it for a plain comment.
		executable = z.flavor == config.MariaDB
		p++
	}
	if executable {
		p++
		n, version := 0, 0
		for n < 6 && isDigit(z.at(p+n)) {
			version = version*10 + int(z.at(p+n)-'0')
			n++
		}
		if n < 5 {
			n, version = 0, 0
		}
		if z.runs(version) {
			z.pos, z.versioned = p+n, true
			return
		}
	}
	// Plain comments do not nest, but one that is skipped for its version may hold plain ones.
	depth := 1
	for z.pos = min(p, len(z.sql)); z.pos < len(z.sql); z.pos++ {
		switch {
		case z.sql[z.pos] == '*' && z.at(z.pos+1) == '/':
			z.pos++
			if depth--; depth == 0 {
				z.pos++
				return
			}
		case executable && z.sql[z.pos] == '/' && z.at(z.pos+1) == '*':
			z.pos++
			depth++
		}
	}
}

// runs says whether the server runs the body of a comment for a version. MariaDB leaves out 5.7 to 9.99, which only MySQL has.
func (z *tokenizer) runs(version int) bool {
	if z.flavor == config.MariaDB && version >= 50700 && version <= 99999 {
		return false
	}
	return z.version == 0 || version <= z.version
}

// quoted reads from the quote at pos to the one that ends it, or to the end. A doubled quote stands for one.
func (z *tokenizer) quoted(quote byte, escapes bool) (text, raw string) {
	start := z.pos + 1
	plain := true
	p := start
	for p < len(z.sql) {
		c := z.sql[p]
		if c == '\\' && escapes {
			plain = false
			p += 2
			continue
		}
		if c == quote {
			if z.at(p+1) != quote {
				break
			}
			plain = false
			p++
		}
		p++
	}
	end := min(p, len(z.sql))
	raw = z.sql[min(start, end):end]
	z.pos = min(p+1, len(z.sql))
	if plain {
		return raw, raw
	}
	return unescape(raw, quote, escapes), raw
}

// unescape resolves doubled quotes and backslashes (manual, "String Literals").
func unescape(raw string, quote byte, escapes bool) string {
	b := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case c == '\\' && escapes && i+1 < len(raw):
			i++
			switch e := raw[i]; e {
			case '0':
				b = append(b, 0)
			case 'b':
				b = append(b, '\b')
			case 'n':
				b = append(b, '\n')
			case 'r':
				b = append(b, '\r')
			case 't':
				b = append(b, '\t')
			case 'Z':
				b = append(b, 26)
			case '%', '_':
				b = append(b, '\\', e)
			default:
				b = append(b, e)
			}
		case c == quote && i+1 < len(raw) && raw[i+1] == quote:
			i++
			b = append(b, c)
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// number reads digits, fraction and exponent, 0x and 0b literals, or a name that begins with digits.
func (z *tokenizer) number() (tokenKind, string) {
	s, p := z.sql, z.pos
	run := func(ok func(byte) bool) {
		for p < len(s) && ok(s[p]) {
			p++
		}
	}
	start := p
	if s[p] == '0' && (z.at(p+1) == 'x' || z.at(p+1) == 'b') {
		isHex := func(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }
		kind, ok := tokenHex, isHex
		if s[p+1] == 'b' {
			kind, ok = tokenBits, func(c byte) bool { return c == '0' || c == '1' }
		}
		p += 2
		run(ok)
		if p > start+2 && !isWordByte(z.at(p)) {
			z.pos = p
			return kind, s[start+2 : p]
		}
		p = start
	}
	run(isDigit)
	if z.at(p) == '.' {
		p++
		run(isDigit)
	}
	if z.at(p)|0x20 == 'e' {
		e := p + 1
		if z.at(e) == '+' || z.at(e) == '-' {
			e++
		}
		if isDigit(z.at(e)) {
			p = e
			run(isDigit)
		}
	}
	if isWordByte(z.at(p)) && !strings.Contains(s[start:p], ".") {
		run(isWordByte)
		z.pos = p
		return tokenWord, s[start:p]
	}
	z.pos = p
	return tokenNumber, s[start:p]
}
