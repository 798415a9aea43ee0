package config

import (
	"strconv"
	"strings"
)

// Property is an entry of a Java properties file.
type Property struct{ Key, Value string }

// Properties reads the text of a Java properties file, in order: comments after # or !, keys and values apart by =, : or blanks, lines that go on after a
// backslash, escapes. What java.util.Properties reads from it is the last of each key.
func Properties(text string) []Property {
	var out []Property
	lines := strings.Split(strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimLeft(lines[i], " \t\f")
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		for goesOn(line) && i+1 < len(lines) {
			i++
			line = line[:len(line)-1] + strings.TrimLeft(lines[i], " \t\f")
		}
		at := separator(line)
		value := strings.TrimLeft(line[at:], " \t\f")
		if value != "" && (value[0] == '=' || value[0] == ':') {
			value = strings.TrimLeft(value[1:], " \t\f")
		}
		out = append(out, Property{unescape(line[:at]), unescape(value)})
	}
	return out
}

// goesOn reports whether a line ends in a backslash that is not itself escaped.
func goesOn(line string) bool {
	n := len(line) - len(strings.TrimRight(line, `\`))
	return n%2 == 1
}

// separator returns where the key of a line ends.
func separator(line string) int {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '=', ':', ' ', '\t', '\f':
			return i
		}
	}
	return len(line)
}

func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if s[i] == 'u' && i+4 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+5], 16, 16); err == nil {
				b.WriteRune(rune(n))
				i += 4
				continue
			}
		}
		if j := strings.IndexByte("ntrf", s[i]); j >= 0 {
			b.WriteByte("\n\t\r\f"[j])
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
