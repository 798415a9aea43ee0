package signal

import (
	"regexp"
	"slices"

	"github.com/rowmesh/rowmesh/services/config"
)

// Expand returns the tables that a signal means: those that a name or expression matches as a whole, in its order, and a name that matches none as it is. tables are all that
// the connector captures.
func Expand(patterns, tables []string) []string {
	var out []string
	for _, p := range patterns {
		re, err := pattern(p)
		found := false
		for _, t := range tables {
			if t != p && (err != nil || !re.MatchString(t)) {
				continue
			}
			found = true
			if !slices.Contains(out, t) {
				out = append(out, t)
			}
		}
		if !found && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// Condition returns the condition of a table: that of the first that matches its name, whatever the case.
func (e *Execute) Condition(table string) string {
	for _, c := range e.Conditions {
		x, err := config.JavaPattern(c.Table)
		if err != nil {
			continue // refused by Parse
		}
		if re, err := regexp.Compile(`(?i)^(?:` + x + `)$`); err == nil && re.MatchString(table) {
			return c.Filter
		}
	}
	return ""
}

// pattern compiles a regular expression of Java's that must match a whole name. As there, a dot matches any character: "db.t" is a name and an expression at once.
func pattern(p string) (*regexp.Regexp, error) {
	x, err := config.JavaPattern(p)
	if err != nil {
		return nil, err
	}
	return regexp.Compile(`^(?:` + x + `)$`)
}

// Whole is a name or expression of Java's as one of Go's, without anchors; one that is no expression stands for itself.
func Whole(name string) string {
	x, err := config.JavaPattern(name)
	if err != nil {
		return regexp.QuoteMeta(name)
	}
	return x
}
