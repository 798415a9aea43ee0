package signal

import (
	"fmt"
	"strings"
)

// CheckExpression reports why a text cannot be one SQL expression; nil if it may be. Whether it is a good one the server says, which gets it between brackets.
func CheckExpression(sql string) error {
	for _, escapes := range []bool{true, false} { // sql_mode=NO_BACKSLASH_ESCAPES says which; neither reading may leave the brackets
		if err := scan(sql, escapes); err != nil {
			return err
		}
	}
	return nil
}

// CheckSelect reports why a text cannot be one SELECT statement.
func CheckSelect(sql string) error {
	if err := CheckExpression(sql); err != nil {
		return err
	}
	word, _, _ := strings.Cut(strings.ToUpper(strings.TrimLeft(sql, " \t\r\n(")), " ")
	word = strings.TrimRight(word, "\t\r\n")
	if i := strings.IndexAny(word, "\t\r\n*`'\"("); i >= 0 {
		word = word[:i]
	}
	if word != "SELECT" && word != "WITH" {
		return fmt.Errorf("the filter of a blocking snapshot is the whole statement, and must begin with SELECT")
	}
	for _, forbidden := range []string{"OUTFILE", "DUMPFILE"} {
		if hasWord(sql, forbidden) {
			return fmt.Errorf("%s writes a file on the server", forbidden)
		}
	}
	return nil
}

// scan goes over quotes, brackets and comments.
func scan(sql string, escapes bool) error {
	depth := 0
	for i := 0; i < len(sql); i++ {
		switch c := sql[i]; {
		case c == 0:
			return fmt.Errorf("it holds a NUL byte")
		case c == '\'' || c == '"' || c == '`':
			end := quotedEnd(sql, i, escapes)
			if end < 0 {
				return fmt.Errorf("the quote %c at %d is not closed", c, i)
			}
			i = end
		case c == ';':
			return fmt.Errorf("it holds a ; at %d: one expression is wanted, not statements", i)
		case c == '#' || strings.HasPrefix(sql[i:], "--") || strings.HasPrefix(sql[i:], "/*") || strings.HasPrefix(sql[i:], "*/"):
			return fmt.Errorf("it holds a comment at %d, which could swallow what follows; leave it out (write a - -1 for a minus before a minus)", i)
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth < 0 {
				return fmt.Errorf("the ) at %d closes nothing", i)
			}
		}
	}
	if depth > 0 {
		return fmt.Errorf("%d ( are not closed", depth)
	}
	return nil
}

// quotedEnd returns the place of the quote that ends what begins at i, -1 if none does. A doubled quote is one of its characters.
func quotedEnd(sql string, i int, escapes bool) int {
	quote := sql[i]
	for p := i + 1; p < len(sql); p++ {
		switch {
		case sql[p] == 0:
			return -1
		case sql[p] == '\\' && escapes && quote != '`':
			p++
		case sql[p] == quote:
			if p+1 < len(sql) && sql[p+1] == quote {
				p++
				continue
			}
			return p
		}
	}
	return -1
}

// hasWord reports whether a word stands in a text outside of quotes, whatever the case.
func hasWord(sql, word string) bool {
	var out strings.Builder
	for i := 0; i < len(sql); i++ {
		c := sql[i]
		if c == '\'' || c == '"' || c == '`' {
			if end := quotedEnd(sql, i, true); end > 0 {
				i, c = end, ' '
			}
		}
		if c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80 {
			out.WriteByte(c)
		} else {
			out.WriteByte(' ')
		}
	}
	for _, w := range strings.Fields(out.String()) {
		if strings.EqualFold(w, word) {
			return true
		}
	}
	return false
}
