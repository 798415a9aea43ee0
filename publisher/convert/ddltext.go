package convert

import "strings"

// token is a word, a quoted thing or one other character of a statement.
type token struct{ start, end int }

// lexer walks over the tokens of a statement. It knows quotes and comments; the delimiters of versioned comments (/*! */) are no tokens, what is
// between them is.
type lexer struct {
	text string
	pos  int
}

// next returns the next token; ok is false at the end.
func (l *lexer) next() (t token, ok bool) {
	for l.pos < len(l.text) {
		rest := l.text[l.pos:]
		switch c := rest[0]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
			l.pos++
		case strings.HasPrefix(rest, "/*!") || strings.HasPrefix(rest, "/*M!"):
			l.pos += strings.IndexByte(rest, '!') + 1
			for l.pos < len(l.text) && l.text[l.pos] >= '0' && l.text[l.pos] <= '9' {
				l.pos++
			}
		case strings.HasPrefix(rest, "*/"):
			l.pos += 2
		case strings.HasPrefix(rest, "/*"):
			l.skipPast("*/", 2)
		case c == '#', strings.HasPrefix(rest, "-- "), strings.HasPrefix(rest, "--\n"), strings.HasPrefix(rest, "--\t"), rest == "--":
			l.skipPast("\n", 1)
		case c == '\'' || c == '"' || c == '`':
			return l.quoted(c), true
		case wordByte(c):
			start := l.pos
			for l.pos < len(l.text) && wordByte(l.text[l.pos]) {
				l.pos++
			}
			return token{start, l.pos}, true
		default:
			l.pos++
			return token{l.pos - 1, l.pos}, true
		}
	}
	return token{}, false
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c >= 0x80
}

// skipPast moves behind the next end, which is looked for from an offset.
func (l *lexer) skipPast(end string, from int) {
	if i := strings.Index(l.text[l.pos+from:], end); i >= 0 {
		l.pos += from + i + len(end)
		return
	}
	l.pos = len(l.text)
}

// quoted reads a quoted token; doubled quotes stay inside, and backslashes escape except in backticks.
func (l *lexer) quoted(quote byte) token {
	start := l.pos
	for l.pos++; l.pos < len(l.text); l.pos++ {
		switch c := l.text[l.pos]; {
		case c == '\\' && quote != '`':
			l.pos++
		case c == quote && l.pos+1 < len(l.text) && l.text[l.pos+1] == quote:
			l.pos++
		case c == quote:
			l.pos++
			return token{start, l.pos}
		}
	}
	l.pos = len(l.text)
	return token{start, l.pos}
}

// statementShape is what schema change events need to know of a statement.
type statementShape struct {
	// text is the statement from its first to its last token.
	text string
	// verb is the statement's leading words, upper case: "RENAME TABLE", "DROP TABLE", "CREATE DATABASE", "CREATE INDEX", ...
	verb string
	// prefix is the text up to the list of tables of RENAME TABLE and DROP TABLE, items the text of each member of the list.
	prefix string
	items  []string
}

// shapeOf reads a statement.
func shapeOf(statement string) statementShape {
	l := lexer{text: statement}
	var tokens []token
	for t, ok := l.next(); ok; t, ok = l.next() {
		tokens = append(tokens, t)
	}
	for len(tokens) > 0 && word(statement, tokens[len(tokens)-1]) == ";" {
		tokens = tokens[:len(tokens)-1]
	}
	if len(tokens) == 0 {
		return statementShape{}
	}
	s := statementShape{text: statement[tokens[0].start:tokens[len(tokens)-1].end]}
	s.verb = verbOf(statement, tokens)
	if s.verb == "RENAME TABLE" || s.verb == "DROP TABLE" {
		s.list(statement, tokens)
	}
	return s
}

func word(statement string, t token) string { return strings.ToUpper(statement[t.start:t.end]) }

// verbOf names the statement: its first word and the kind of object it is about.
func verbOf(statement string, tokens []token) string {
	first := word(statement, tokens[0])
	if first != "CREATE" && first != "DROP" && first != "ALTER" && first != "RENAME" {
		return first
	}
	// OR REPLACE, UNIQUE, TEMPORARY, IGNORE and the like stand in front of the object's kind; five words are more than any of them take.
	for _, t := range tokens[1:min(len(tokens), 6)] {
		switch w := word(statement, t); w {
		case "SCHEMA":
			return first + " DATABASE"
		case "TABLES":
			return first + " TABLE"
		case "TABLE", "DATABASE", "INDEX", "VIEW":
			return first + " " + w
		}
	}
	return first
}

// list splits the tables of RENAME TABLE and DROP TABLE.
func (s *statementShape) list(statement string, tokens []token) {
	i := 0
	for i < len(tokens) && word(statement, tokens[i]) != "TABLE" && word(statement, tokens[i]) != "TABLES" {
		i++
	}
	i++
	for i < len(tokens) && (word(statement, tokens[i]) == "IF" || word(statement, tokens[i]) == "EXISTS") {
		i++
	}
	if i >= len(tokens) {
		return
	}
	s.prefix = statement[tokens[0].start:tokens[i].start]
	first := i
	for ; i <= len(tokens); i++ {
		if i == len(tokens) || word(statement, tokens[i]) == "," {
			if i > first {
				s.items = append(s.items, statement[tokens[first].start:tokens[i-1].end])
			}
			first = i + 1
		}
	}
}
