package config

import "strings"

// Literal returns the name that a pattern of a list (see Patterns) is, if it stands for no other. A dot counts as one, as people write it.
func Literal(pattern string) (string, bool) {
	s := strings.TrimSuffix(strings.TrimPrefix(pattern, "(?i)^(?:"), ")$")
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\':
			if i++; i == len(s) || s[i] >= '0' && s[i] <= '9' || s[i] >= 'A' && s[i] <= 'Z' || s[i] >= 'a' && s[i] <= 'z' {
				return "", false
			}
			c = s[i]
		case strings.IndexByte(`*+?()[]{}|^$`, c) >= 0:
			return "", false
		}
		b.WriteByte(c)
	}
	return b.String(), b.Len() > 0
}
