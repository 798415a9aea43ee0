package chunk

import "strings"

// Range is a part of a table by its key: behind After, up to and with UpTo. Both hold one literal per column of the key; empty: no bound. Rows whose key is NULL, which
// only a surrogate key has, come before all others.
type Range struct {
	After, UpTo []string
}

// Where spells the range as a condition on the named columns, which the server compares: in the types and collations that the columns have. It is written so that the
// first column alone bounds what is read, since servers find no bounds in a comparison of rows. Empty: all rows.
func (r Range) Where(names []string) string {
	var parts []string
	if len(r.After) > 0 {
		parts = append(parts, behind(names, r.After))
	}
	if len(r.UpTo) > 0 {
		parts = append(parts, upTo(names, r.UpTo))
	}
	return strings.Join(parts, " AND ")
}

// behind is the condition of keys greater than a border.
func behind(names, border []string) string {
	n, l := names[0], border[0]
	if len(names) == 1 {
		if l == Null {
			return n + " IS NOT NULL"
		}
		return n + " > " + l
	}
	return n + " >= " + l + " AND (" + n + " > " + l + " OR (" + n + " = " + l + " AND " + behind(names[1:], border[1:]) + "))"
}

// upTo is the condition of keys up to a border, and it.
func upTo(names, border []string) string {
	n, l := names[0], border[0]
	if len(names) == 1 {
		if l == Null {
			return n + " IS NULL"
		}
		return "(" + n + " <= " + l + " OR " + n + " IS NULL)"
	}
	return n + " <= " + l + " AND (" + n + " < " + l + " OR (" + n + " = " + l + " AND " + upTo(names[1:], border[1:]) + "))"
}
