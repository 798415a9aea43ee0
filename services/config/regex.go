package config

import (
	"fmt"
	"regexp"
	"strings"
)

// Patterns are written in Java's syntax and compiled here by Go's regexp, which knows no backtracking. The two agree on what people write in
// include and exclude lists: literals, classes, groups, alternatives, repetition. toGo walks a pattern once, translates what is spelled
// differently, finds the mistakes that Java finds and words them as Java does (clients show these texts), and refuses what needs
// backtracking: look-around, back references, possessive and atomic groups.

// patternError is a mistake in a pattern.
type patternError struct {
	desc    string
	index   int // -1: unknown
	pattern string
}

// Error is worded as Java's PatternSyntaxException.
func (e *patternError) Error() string {
	s := e.desc
	if e.index >= 0 {
		s += fmt.Sprintf(" near index %d", e.index)
	}
	s += "\n" + e.pattern
	if e.index >= 0 && e.index < len(e.pattern) {
		s += "\n" + strings.Repeat(" ", e.index) + "^"
	}
	return s
}

// SplitPatterns splits a list of patterns at commas. A comma after a backslash belongs to its pattern; blanks around patterns do not; empty ones vanish.
func SplitPatterns(list string) []string {
	var out []string
	var b strings.Builder
	flush := func() {
		if p := trim(b.String()); p != "" {
			out = append(out, p)
		}
		b.Reset()
	}
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '\\' && i+1 < len(list):
			i++
			if list[i] != ',' {
				b.WriteByte('\\')
			}
			b.WriteByte(list[i])
		case c == ',':
			flush()
		default:
			b.WriteByte(c)
		}
	}
	flush()
	return out
}

// Patterns translates a list of Java patterns, split by SplitPatterns, into ones for Go's regexp that match whole names, whatever their case.
func Patterns(list string) ([]string, error) {
	var out []string
	for _, p := range SplitPatterns(list) {
		g, err := toGo(p)
		if err != nil {
			return nil, err
		}
		out = append(out, "(?i)^(?:"+g+")$")
	}
	return out, nil
}

// JavaPattern translates one Java pattern into one for Go's regexp, which matches anywhere.
func JavaPattern(p string) (string, error) { return toGo(p) }

// translator walks a pattern.
type translator struct {
	src   string
	i     int
	depth int  // open groups
	atom  bool // something stands before that can be repeated
	out   strings.Builder
}

// toGo translates one Java pattern.
func toGo(p string) (string, error) {
	t := &translator{src: p}
	for t.i < len(p) {
		if err := t.next(); err != nil {
			return "", err
		}
	}
	if t.depth > 0 {
		return "", &patternError{"Unclosed group", len(p), p}
	}
	if _, err := regexp.Compile(t.out.String()); err != nil {
		return "", &patternError{strings.TrimPrefix(err.Error(), "error parsing regexp: "), -1, p}
	}
	return t.out.String(), nil
}

func (t *translator) fail(desc string, index int) error { return &patternError{desc, index, t.src} }

func (t *translator) refuse(what, next string) error {
	return t.fail(what+" is not supported here ("+next+")", t.i)
}

func (t *translator) emit(s string, atom bool) {
	t.out.WriteString(s)
	t.atom = atom
}

func (t *translator) next() error {
	c := t.src[t.i]
	switch c {
	case '(':
		return t.group()
	case ')':
		if t.depth == 0 {
			if t.i == 0 {
				return t.fail("Unmatched closing ')'", -1)
			}
			return t.fail("Unmatched closing ')'", t.i-1)
		}
		t.depth--
		t.emit(")", true)
	case '|':
		t.emit("|", false)
	case '*', '+', '?':
		if !t.atom {
			return t.fail("Dangling meta character '"+string(c)+"'", t.i)
		}
		return t.repeat(string(c), t.i+1)
	case '{':
		return t.counted()
	case '[':
		return t.class()
	case '\\':
		return t.escape(false)
	default:
		t.emit(t.src[t.i:t.i+1], true)
	}
	t.i++
	return nil
}

// repeat takes a quantifier that ends before end, with what may follow it.
func (t *translator) repeat(q string, end int) error {
	t.i = end
	if t.i < len(t.src) {
		switch t.src[t.i] {
		case '+':
			return t.refuse("a possessive quantifier", "write it without the second +")
		case '?':
			q += "?"
			t.i++
		}
	}
	t.emit(q, false)
	return nil
}

func (t *translator) counted() error {
	end := strings.IndexByte(t.src[t.i:], '}')
	if !t.atom || t.i+1 >= len(t.src) || t.src[t.i+1] < '0' || t.src[t.i+1] > '9' {
		return t.fail("Illegal repetition", -1)
	}
	if end < 0 {
		return t.fail("Unclosed counted closure", len(t.src))
	}
	return t.repeat(t.src[t.i:t.i+end+1], t.i+end+1)
}

func (t *translator) group() error {
	rest := t.src[t.i:]
	const tables = "name what you want in an include list, and what you do not in an exclude list"
	for _, g := range []struct{ prefix, what string }{
		{"(?=", "a look-ahead (?=...)"}, {"(?!", "a negative look-ahead (?!...)"}, {"(?<=", "a look-behind (?<=...)"}, {"(?<!", "a negative look-behind (?<!...)"}, {"(?>", "an atomic group (?>...)"},
	} {
		if strings.HasPrefix(rest, g.prefix) {
			return t.refuse(g.what, tables)
		}
	}
	open := "("
	switch {
	case strings.HasPrefix(rest, "(?<"):
		end := strings.IndexByte(rest, '>')
		if end < 0 {
			return t.fail("named capturing group is missing trailing '>'", len(t.src))
		}
		open = "(?P<" + rest[3:end] + ">"
		t.i += end
	case strings.HasPrefix(rest, "(?"):
		end := strings.IndexAny(rest, ":)")
		if end < 0 {
			return t.fail("Unknown inline modifier", t.i+2)
		}
		if bad := strings.Trim(rest[2:end], "-ismU"); bad != "" {
			return t.fail("Unknown inline modifier", t.i+2)
		}
		open = rest[:end+1]
		t.i += end
		if rest[end] == ')' { // (?i): flags alone, no group
			t.i++
			t.emit(open, false)
			return nil
		}
	}
	t.depth++
	t.i++
	t.emit(open, false)
	return nil
}

// class copies a character class. Go has neither unions nor intersections of classes.
func (t *translator) class() error {
	t.emit("[", false)
	t.i++
	if t.i < len(t.src) && t.src[t.i] == '^' {
		t.emit("^", false)
		t.i++
	}
	for first := true; t.i < len(t.src); first = false {
		switch c := t.src[t.i]; {
		case c == ']' && !first:
			t.emit("]", true)
			t.i++
			return nil
		case c == '[':
			return t.refuse("a class inside a class", "write its characters into the outer one")
		case strings.HasPrefix(t.src[t.i:], "&&"):
			return t.refuse("an intersection of classes (&&)", "write the characters that remain")
		case c == '\\':
			if err := t.escape(true); err != nil {
				return err
			}
		default:
			t.emit(t.src[t.i:t.i+1], false)
			t.i++
		}
	}
	return t.fail("Unclosed character class", len(t.src)-1)
}

// posix maps Java's names of ASCII classes.
var posix = map[string]string{"Alpha": "alpha", "Digit": "digit", "Alnum": "alnum", "Upper": "upper", "Lower": "lower", "Punct": "punct", "Graph": "graph",
	"Print": "print", "Blank": "blank", "Cntrl": "cntrl", "XDigit": "xdigit", "Space": "space", "ASCII": "ascii"}

func (t *translator) escape(inClass bool) error {
	if t.i+1 >= len(t.src) {
		return t.fail("Unescaped trailing backslash", t.i+1)
	}
	c := t.src[t.i+1]
	switch {
	case c == 'p' || c == 'P':
		return t.property(inClass)
	case c == 'Q':
		text, rest, _ := strings.Cut(t.src[t.i+2:], `\E`)
		t.emit(regexp.QuoteMeta(text), text != "")
		t.i = len(t.src) - len(rest)
		return nil
	case c >= '1' && c <= '9' && !inClass:
		return t.refuse("a back reference", "write the text again")
	case c == 'k':
		return t.refuse("a back reference", "write the text again")
	case c == 'h':
		t.class1(inClass, `\t `, `[\t ]`)
	case c == 'R' && !inClass:
		t.emit(`(?:\r\n|[\n\x0b\f\r])`, true)
	case c == 'Z' && !inClass:
		t.emit(`\z`, false)
	case c == 'e':
		t.emit(`\x1b`, true)
	case c == 'u' && t.i+6 <= len(t.src):
		t.emit(`\x{`+t.src[t.i+2:t.i+6]+`}`, true)
		t.i += 4
	case strings.IndexByte("GXNHVK", c) >= 0:
		return t.refuse(`\`+string(c), "write it in another way")
	case strings.IndexByte("bBAz", c) >= 0:
		t.emit(`\`+string(c), false)
	case strings.IndexByte("dDwWsStnrfavx0", c) >= 0:
		t.emit(`\`+string(c), true)
	case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
		return t.fail("Illegal/unsupported escape sequence", t.i+1)
	case c < 0x80:
		t.emit(`\`+string(c), true)
	default: // an escaped letter beyond ASCII is itself
		t.i++
		return nil
	}
	t.i += 2
	return nil
}

func (t *translator) class1(inClass bool, inside, alone string) {
	if inClass {
		t.emit(inside, true)
	} else {
		t.emit(alone, true)
	}
}

// property translates \p{...}.
func (t *translator) property(inClass bool) error {
	rest := t.src[t.i+2:]
	if !strings.HasPrefix(rest, "{") {
		if rest == "" {
			return t.fail("Illegal/unsupported escape sequence", t.i+1)
		}
		t.emit(t.src[t.i:t.i+3], true)
		t.i += 3
		return nil
	}
	end := strings.IndexByte(rest, '}')
	if end < 0 {
		return t.fail("Unclosed character family", len(t.src)-1)
	}
	name, not := strings.TrimPrefix(rest[1:end], "Is"), ""
	if t.src[t.i+1] == 'P' {
		not = "^"
	}
	switch p, ok := posix[name]; {
	case ok:
		t.class1(inClass, "[:"+not+p+":]", "[[:"+not+p+":]]")
	case name == "Alphabetic":
		t.emit(t.src[t.i:t.i+2]+"{L}", true)
	default:
		t.emit(t.src[t.i:t.i+2]+"{"+name+"}", true)
	}
	t.i += 2 + end + 1
	return nil
}
