package source

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// namesShown bounds the columns that a text lists: enough to see what was meant.
const namesShown = 20

// CheckNames returns what is wrong with the tables and columns that a connector's options name: columns that their tables do not have, and more tables
// than guardrail.collections.max. Only what is named in full is looked up, and a table that does not exist yet is no mistake.
func CheckNames(ctx context.Context, c *Conn, cfg *config.Connector) ([]Problem, error) {
	problems, err := checkColumns(ctx, c, cfg)
	if err != nil || cfg.TablesMax <= 0 {
		return problems, err
	}
	n, err := countTables(ctx, c, cfg)
	if err != nil || n <= cfg.TablesMax {
		return problems, err
	}
	return append(problems, Problem{Option: "guardrail.collections.max", Kind: errs.Invalid, Warning: !cfg.TablesMaxFails, Text: fmt.Sprintf(
		"Guardrail limit exceeded: %d tables are captured and guardrail.collections.max allows %d; choose fewer with table.include.list, or raise the limit", n, cfg.TablesMax)}), nil
}

// named is a column that an option names.
type named struct{ option, value, table, column string }

// namedColumns returns the columns that are named in full: database.table.column.
func namedColumns(cfg *config.Connector) (out []named) {
	for _, p := range cfg.IncludeColumns {
		name, ok := config.Literal(p)
		if i := strings.LastIndexByte(name, '.'); ok && i > 0 && strings.Contains(name[:i], ".") {
			out = append(out, named{"column.include.list", name, name[:i], name[i+1:]})
		}
	}
	for _, k := range cfg.MessageKeyColumns {
		if table, ok := config.Literal(k.Table); ok && strings.Contains(table, ".") {
			for _, column := range k.Columns {
				out = append(out, named{"message.key.columns", table + ":" + strings.Join(k.Columns, ","), table, column})
			}
		}
	}
	return out
}

func checkColumns(ctx context.Context, c *Conn, cfg *config.Connector) ([]Problem, error) {
	var problems []Problem
	known := map[string][]string{}
	for _, n := range namedColumns(cfg) {
		columns, ok := known[n.table]
		if !ok {
			var err error
			if columns, err = columnsOf(ctx, c, n.table); err != nil {
				return nil, err
			}
			known[n.table] = columns
		}
		if len(columns) == 0 || slices.ContainsFunc(columns, func(x string) bool { return matches(n.column, x) }) {
			continue
		}
		more := ""
		if len(columns) > namesShown {
			columns, more = columns[:namesShown], ", ..."
		}
		problems = append(problems, Problem{Option: n.option, Kind: errs.Invalid,
			Text: fmt.Sprintf("%s names column %s, which table %s does not have; it has %s%s", n.value, n.column, n.table, strings.Join(columns, ", "), more)})
	}
	return problems, nil
}

// matches says whether a column is the one that an option names; in a key it may be a pattern.
func matches(name, column string) bool {
	if strings.EqualFold(name, column) {
		return true
	}
	list, err := config.Patterns(strings.ReplaceAll(name, ",", `\,`))
	if err != nil || len(list) != 1 {
		return false
	}
	ok, err := regexp.MatchString(list[0], column)
	return ok && err == nil
}

// columnsOf returns the columns of a table that is written database.table; nil if there is none.
func columnsOf(ctx context.Context, c *Conn, table string) (out []string, err error) {
	res, err := c.Query(ctx, "SELECT COLUMN_NAME AS n FROM information_schema.COLUMNS WHERE CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) = "+QuoteText(table)+" ORDER BY ORDINAL_POSITION")
	if err != nil {
		return nil, err
	}
	for i := range res.Rows {
		out = append(out, res.Get(i, "n"))
	}
	return out, nil
}

// countTables returns how many tables a connector captures.
func countTables(ctx context.Context, c *Conn, cfg *config.Connector) (n int, err error) {
	var lists [4][]*regexp.Regexp
	for i, list := range [][]string{cfg.IncludeDatabases, cfg.ExcludeDatabases, cfg.IncludeTables, cfg.ExcludeTables} {
		for _, p := range list {
			re, err := regexp.Compile(p)
			if err != nil {
				return 0, errs.E(errs.Invalid, "pattern %s: %w", p, err)
			}
			lists[i] = append(lists[i], re)
		}
	}
	selects := func(include, exclude []*regexp.Regexp, name string) bool {
		match := func(re *regexp.Regexp) bool { return re.MatchString(name) }
		return (len(include) == 0 || slices.ContainsFunc(include, match)) && !slices.ContainsFunc(exclude, match)
	}
	query := "SELECT TABLE_SCHEMA AS db, TABLE_NAME AS t FROM information_schema.TABLES WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')"
	if cfg.IgnoreBuiltin {
		query += " AND TABLE_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')"
	}
	res, err := c.Query(ctx, query)
	if err != nil {
		return 0, err
	}
	for i := range res.Rows {
		db := res.Get(i, "db")
		if selects(lists[0], lists[1], db) && selects(lists[2], lists[3], db+"."+res.Get(i, "t")) {
			n++
		}
	}
	return n, nil
}
