package conformance

import (
	"fmt"
	"slices"
	"strings"
)

//go:generate go run ./differences testdata/allow.json DIFFERENCES.md

// Differences returns the page that tells users where records are not those of Debezium: the exceptions of a file, in Markdown, by their reasons.
func Differences(file string) (string, error) {
	all, err := exceptions(file)
	if err != nil {
		return "", err
	}
	byWhy := map[string][]Exception{}
	var whys []string
	for _, e := range all {
		if byWhy[e.Why] == nil {
			whys = append(whys, e.Why)
		}
		byWhy[e.Why] = append(byWhy[e.Why], e)
	}
	slices.SortStableFunc(whys, func(a, b string) int { return len(byWhy[b]) - len(byWhy[a]) })
	var b strings.Builder
	fmt.Fprintf(&b, "# Where events differ from Debezium's\n\n"+
		"Made by `go generate ./integration/conformance` from `testdata/allow.json`. Events are Debezium's, byte for byte, but where Debezium writes a value that the database does\n"+
		"not hold, or its task dies of something that the server accepts. These are all such places in the recorded cases: %d, for %d reasons. Each case is a folder of\n"+
		"`testdata/cases` with its SQL.\n", len(all), len(whys))
	for _, why := range whys {
		fmt.Fprintf(&b, "\n## %s\n\n| case | engine | field | Debezium | rowmesh |\n|---|---|---|---|---|\n", sentence(why))
		list := byWhy[why]
		slices.SortStableFunc(list, func(x, y Exception) int { return strings.Compare(x.Case, y.Case) })
		for _, e := range list {
			theirs, ours := e.spelled()
			engine := e.Engine
			if engine == "" {
				engine = "both"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", e.Case, engine, code(e.Field), theirs, ours)
		}
	}
	return b.String(), nil
}

// spelled says what stands in the recording and what is written in its place.
func (e Exception) spelled() (theirs, ours string) {
	switch {
	case e.Drop:
		return "a record", "none"
	case len(e.More) > 0 || len(e.Maybe) > 0:
		var records []string
		for _, texts := range e.More {
			records = append(records, code(strings.Join(texts, " … ")))
		}
		for _, texts := range e.Maybe {
			records = append(records, "maybe "+code(strings.Join(texts, " … ")))
		}
		return "nothing", strings.Join(records, "<br>")
	}
	return code(e.Theirs), code(e.Ours)
}

// longest is what is shown of a value: what differs is near its beginning.
const longest = 160

// code spells a text as code in a cell of a table.
func code(s string) string {
	if s == "" {
		return ""
	}
	if r := []rune(s); len(r) > longest {
		s = string(r[:longest]) + "…"
	}
	s = strings.NewReplacer("\n", " ", "|", "\\|").Replace(s)
	if strings.Contains(s, "`") {
		return "`` " + s + " ``"
	}
	return "`" + s + "`"
}

// sentence makes a reason a heading.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
