package schema

import "strings"

// parser walks the tokens of one statement. It does not check what the server has checked: it takes what shapes a table and passes the rest.
// Once failed, it stands at the end: every loop that stops at the end stops then.
type parser struct {
	dialect
	sql    string
	tokens []token
	pos    int
	// limit is the index of the token that ends the statement: a semicolon or the end.
	limit int
	// near is where it failed; empty while it has not.
	near   string
	failed bool
}

// nearBytes is how much of the statement an error quotes: enough to find the place, short enough for a status line.
const nearBytes = 60

// newParser begins with the first statement of sql.
func newParser(d dialect, sql string) *parser {
	p := &parser{dialect: d, sql: sql, tokens: tokenize(d, sql)}
	p.findLimit()
	return p
}

// findLimit sets limit to the end of the statement at pos.
func (p *parser) findLimit() {
	p.limit = p.pos
	for t := &p.tokens[p.limit]; t.kind != tokenEnd && !(t.kind == tokenPunct && t.text == ";"); t = &p.tokens[p.limit] {
		p.limit++
	}
}

// nextStatement moves behind the semicolon; false at the end.
func (p *parser) nextStatement() bool {
	p.pos = p.limit
	for p.tokens[p.pos].kind != tokenEnd && p.tokens[p.pos].is(";") {
		p.pos++
	}
	p.findLimit()
	return p.tokens[p.pos].kind != tokenEnd
}

var endToken = token{kind: tokenEnd}

// peek returns the token n places ahead.
func (p *parser) peek(n int) *token {
	if p.failed || p.pos+n >= p.limit || p.pos+n < 0 {
		return &endToken
	}
	return &p.tokens[p.pos+n]
}

func (p *parser) cur() *token { return p.peek(0) }

func (p *parser) atEnd() bool { return p.failed || p.pos >= p.limit }

func (p *parser) advance() *token {
	t := p.cur()
	if !p.atEnd() {
		p.pos++
	}
	return t
}

// fail stops the parser at the current token.
func (p *parser) fail() {
	if p.failed {
		return
	}
	at := len(p.sql)
	if p.pos < len(p.tokens) {
		at = p.tokens[min(p.pos, p.limit)].start
	}
	p.near = clip(strings.TrimSpace(p.sql[at:]), nearBytes)
	if p.near == "" {
		p.near = "the end"
	}
	p.failed = true
}

// clip cuts s at a character border.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n] + "..."
}

// accept takes the keywords if all of them come next.
func (p *parser) accept(keywords ...string) bool {
	for i, k := range keywords {
		if !p.peek(i).is(k) {
			return false
		}
	}
	p.pos += len(keywords)
	return true
}

// acceptAny takes one of the keywords and returns it.
func (p *parser) acceptAny(keywords ...string) string {
	for _, k := range keywords {
		if p.accept(k) {
			return k
		}
	}
	return ""
}

// expect fails where the keywords do not come next.
func (p *parser) expect(keywords ...string) {
	if !p.accept(keywords...) {
		p.fail()
	}
}

// isName says whether the current token can be a name.
func (p *parser) isName() bool { k := p.cur().kind; return k == tokenWord || k == tokenQuoted }

// name takes an identifier.
func (p *parser) name() string {
	if !p.isName() {
		p.fail()
		return ""
	}
	return p.advance().text
}

// tableName takes [database.]table; a leading dot means the default database.
func (p *parser) tableName(defaultDB string) (db, table string) {
	db = defaultDB
	if p.accept(".") {
		return db, p.name()
	}
	table = p.name()
	if p.accept(".") {
		db = table
		if t := p.cur(); t.kind == tokenNumber {
			table = p.advance().text
		} else {
			table = p.name()
		}
	}
	return db, table
}

// columnName takes [[database.]table.]column.
func (p *parser) columnName() string {
	n := p.name()
	for p.accept(".") {
		n = p.name()
	}
	return n
}

// ifExists takes IF EXISTS, ifNotExists IF NOT EXISTS.
func (p *parser) ifExists() bool    { return p.accept("IF", "EXISTS") }
func (p *parser) ifNotExists() bool { return p.accept("IF", "NOT", "EXISTS") }

// skipParens passes a parenthesized group if one comes next.
func (p *parser) skipParens() bool {
	if !p.cur().is("(") {
		return false
	}
	depth := 0
	for !p.atEnd() {
		t := p.advance()
		if t.is("(") {
			depth++
		} else if t.is(")") {
			if depth--; depth == 0 {
				return true
			}
		}
	}
	p.fail()
	return true
}

// skipToComma passes everything up to a comma or closing parenthesis of this level.
func (p *parser) skipToComma() {
	for !p.atEnd() && !p.cur().is(",") && !p.cur().is(")") {
		if !p.skipParens() {
			p.advance()
		}
	}
}

// stringText takes one or more adjacent string literals, with their introducer, as one.
func (p *parser) stringText() (text, raw string, ok bool) {
	if p.isIntroducer() {
		p.advance()
	}
	for p.cur().kind == tokenString {
		t := p.advance()
		text, raw, ok = text+t.text, raw+t.raw, true
	}
	return text, raw, ok
}

// isIntroducer: _utf8mb4'...', also before hexadecimal and bit literals.
func (p *parser) isIntroducer() bool {
	t := p.cur()
	if t.kind != tokenWord || t.text[0] != '_' {
		return false
	}
	k := p.peek(1).kind
	return k == tokenString || k == tokenHex || k == tokenBits
}

// charsetName takes the name behind CHARACTER SET or COLLATE: a word, quoted or not, or a string. Lower case.
func (p *parser) charsetName() string {
	if t := p.cur(); t.kind == tokenString || t.kind == tokenWord || t.kind == tokenQuoted {
		return strings.ToLower(p.advance().text)
	}
	p.fail()
	return ""
}

// text returns the statement from token index from up to the token before to, without the comments around.
func (p *parser) textOf(from, to int) string {
	if from >= to {
		return ""
	}
	return p.sql[p.tokens[from].start:p.tokens[to-1].end]
}
