package config

import (
	"fmt"
	"strings"
)

//go:generate go run ./optionpage OPTIONS.md

// Page returns the registry for readers: a table of all options in Markdown.
func Page() string {
	rows, counts := pageRows()
	var b strings.Builder
	b.WriteString("# Options of connectors\n\n" +
		"Made by `go generate ./services/config` from `options.jsonl`, which is also what the REST API and `rowmesh options` go by. Versions: Kafka Connect 4.3, Debezium " +
		strings.TrimSuffix(VersionOf(MySQL), ".Final") + " (MySQL) and " + strings.TrimSuffix(VersionOf(MariaDB), ".Final") + " (MariaDB).\n\n")
	for _, u := range []struct {
		use  Use
		says string
	}{
		{Honoured, "means here what it means there"},
		{Accepted, "has no effect here and needs none; the note says what is instead"},
		{Warned, "has no effect here: a value other than the default is warned about, in the log and in the connector's status"},
		{Refused, "a connector with it is not created, because without it wrong or forbidden data would be sent"},
	} {
		fmt.Fprintf(&b, "- **%s** (%d): %s.\n", u.use, counts[u.use], u.says)
	}
	b.WriteString("\nA name that ends in `*` stands for all with that prefix. An unknown option is warned about by name. Names of earlier versions work, with a warning that says the new one.\n")
	group := ""
	for _, r := range rows {
		if r.group != group {
			group = r.group
			fmt.Fprintf(&b, "\n## %s\n\n| option | type | default | use | what it does |\n|---|---|---|---|---|\n", group)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.name, r.kind, r.def, r.use, r.text)
	}
	return b.String()
}

// pageRow is an option as the page shows it.
type pageRow struct{ group, name, kind, def, use, text string }

// pageRows returns the options of both flavours, in the order of MySQL's definition, and how many there are of each use.
func pageRows() ([]pageRow, map[Use]int) {
	var rows, last []pageRow
	counts := map[Use]int{}
	show := func(o *Option, only string) {
		counts[o.Use]++
		r := pageRow{group: o.Group, name: "`" + o.Name + "`" + only, kind: strings.ToLower(o.Type), use: string(o.Use), text: pageText(o)}
		switch {
		case o.Required:
			r.def = "(required)"
		case o.Default != nil && *o.Default != "":
			r.def = "`" + cell(*o.Default) + "`"
		}
		if o.Unlisted {
			r.group = "Not listed by Kafka Connect"
			last = append(last, r)
			return
		}
		rows = append(rows, r)
	}
	mysql, mariadb := catalogs()[MySQL], catalogs()[MariaDB]
	for _, o := range mysql.options {
		only := ""
		if o.Only == MySQL {
			only = " (MySQL)"
		}
		show(o, only)
	}
	for _, o := range mariadb.options {
		if o.Only == MariaDB {
			show(o, " (MariaDB)")
		}
	}
	return append(byGroup(rows), last...), counts
}

// byGroup brings rows of one group together, groups in the order of their first.
func byGroup(rows []pageRow) []pageRow {
	var order []string
	groups := map[string][]pageRow{}
	for _, r := range rows {
		if groups[r.group] == nil {
			order = append(order, r.group)
		}
		groups[r.group] = append(groups[r.group], r)
	}
	out := rows[:0:0]
	for _, g := range order {
		out = append(out, groups[g]...)
	}
	return out
}

// pageText is the documentation of an option, what is done instead, its values and its earlier names.
func pageText(o *Option) string {
	var parts []string
	if o.Doc != "" {
		parts = append(parts, cell(o.Doc))
	}
	if len(o.Values) > 0 {
		parts = append(parts, "Values: `"+cell(strings.Join(o.Values, "`, `"))+"`.")
	}
	if o.Next != "" {
		parts = append(parts, "*Here: "+cell(o.Next)+".*")
	}
	if o.Note != "" {
		parts = append(parts, "*Here: "+cell(o.Note)+".*")
	}
	if len(o.Formerly) > 0 {
		parts = append(parts, "Formerly `"+strings.Join(o.Formerly, "`, `")+"`.")
	}
	return strings.Join(parts, " ")
}

// cell makes a text fit a cell of a table.
func cell(s string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "\r", " ", "<", "&lt;").Replace(s)
}
