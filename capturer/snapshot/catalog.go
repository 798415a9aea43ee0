package snapshot

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/source"
)

// table is one table of the snapshot.
type table struct {
	database, name string
	rows           bool // its rows are wanted
	rank           int  // place of the include expression that names it
	create         string
	shape          *rowv1.Table // nil if its definition could not be read or understood
	problem        error        // why not
	estimate       uint64       // rows, by the server's statistics
}

func (t *table) id() string { return t.database + "." + t.name }

// chooser decides what the snapshot tells of.
type chooser struct {
	o     Options
	order []*regexp.Regexp
	// data holds snapshot.include.collection.list; empty: all.
	data []*regexp.Regexp
}

func newChooser(o Options) (*chooser, error) {
	c := &chooser{o: o}
	var err error
	if c.order, err = compile("table.include.list", o.Order); err != nil {
		return nil, err
	}
	c.data, err = compile("snapshot.include.collection.list", o.Snapshot.IncludeTables)
	return c, err
}

func compile(option string, list []string) ([]*regexp.Regexp, error) {
	var out []*regexp.Regexp
	for _, s := range list {
		re, err := regexp.Compile("(?i)^(?:" + strings.TrimSpace(s) + ")$")
		if err != nil {
			return nil, errs.E(errs.Invalid, "%s: %q is not a regular expression: %w", option, s, err)
		}
		out = append(out, re)
	}
	return out, nil
}

func (c *chooser) rank(id string) int {
	i := slices.IndexFunc(c.order, func(re *regexp.Regexp) bool { return re.MatchString(id) })
	if i < 0 {
		return len(c.order)
	}
	return i
}

// readsRows says whether a wanted table's rows are read, or its definition alone.
func (c *chooser) readsRows(id string) bool {
	if slices.ContainsFunc(c.o.Snapshot.ExcludeTables, func(name string) bool { return strings.EqualFold(name, id) }) {
		return false
	}
	return len(c.data) == 0 || slices.ContainsFunc(c.data, func(re *regexp.Regexp) bool { return re.MatchString(id) })
}

// choose returns the tables that matter, in name order.
func (c *chooser) choose(all []*table) []*table {
	var out []*table
	for _, t := range all {
		t.rows = c.o.Rows(t.database, t.name)
		if t.rank = c.rank(t.id()); t.rows || c.o.Schemas(t.database, t.name) {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b *table) int { return cmp.Compare(a.id(), b.id()) })
	return out
}

// readingOrder is that of the include expressions, then by name.
func readingOrder(tables []*table) []*table {
	out := slices.Clone(tables)
	slices.SortStableFunc(out, func(a, b *table) int { return cmp.Compare(a.rank, b.rank) })
	return out
}

// listTables lists the base tables that matter. MariaDB calls those that keep their history SYSTEM VERSIONED.
func listTables(ctx context.Context, c *source.Conn, choose *chooser) ([]*table, error) {
	res, err := c.Query(ctx, "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')")
	if err != nil {
		return nil, err
	}
	all := make([]*table, len(res.Rows))
	for i, row := range res.Rows {
		all[i] = &table{database: row[0].Text, name: row[1].Text}
	}
	return choose.choose(all), nil
}

func listDatabases(ctx context.Context, c *source.Conn, tables []*table) ([]Database, error) {
	res, err := c.Query(ctx, "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA ORDER BY SCHEMA_NAME")
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, t := range tables {
		used[t.database] = true
	}
	var out []Database
	for _, row := range res.Rows {
		if used[row[0].Text] {
			out = append(out, Database{row[0].Text, row[1].Text, row[2].Text})
		}
	}
	return out, nil
}

// readDefinitions reads and parses the definition of each table, in a transaction that keeps the tables as they are. A table that is gone by now is dropped from the snapshot; one that
// cannot be read or understood keeps its problem.
func (r *run) readDefinitions(ctx context.Context, c *cut) error {
	if err := c.definitions.Exec(ctx, "START TRANSACTION READ ONLY"); err != nil {
		return err
	}
	kept := c.tables[:0]
	for _, t := range c.tables {
		t.shape, t.problem = nil, nil
		err := r.readDefinition(ctx, c.definitions, t)
		switch code := source.ErrorCode(err); {
		case code == 1146 || code == 1049: // ER_NO_SUCH_TABLE, ER_BAD_DB_ERROR: dropped since it was listed
			continue
		case code == 1205 || code == 1213: // ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK
			return errs.E(errs.Busy, "the snapshot did not get to read the definition of %s within %s (snapshot.lock.timeout.ms): DDL holds the table; the snapshot starts again: %w",
				t.id(), r.lockTimeout(), err)
		case code != 0 && errs.KindOf(err) != errs.Unavailable:
			t.problem = tableProblem(t, err)
		case err != nil:
			return err
		}
		kept = append(kept, t)
	}
	c.tables = kept
	c.want()
	return nil
}

// readDefinition reads one. A statement that uses the table takes its metadata lock; one that returns no row takes it without work.
func (r *run) readDefinition(ctx context.Context, c *source.Conn, t *table) error {
	if err := c.Exec(ctx, "SELECT 1 FROM "+source.QuoteTable(t.database, t.name)+" LIMIT 0"); err != nil {
		switch errs.KindOf(err) {
		case errs.NotFound, errs.Busy, errs.Unavailable:
			return err
		}
		if t.rows {
			return err
		} // of the others the definition is enough
	}
	create, err := showCreate(ctx, c, t)
	if err != nil {
		return err
	}
	t.create = create
	t.shape, t.problem = r.Parse(Defaults{Info: r.info, Database: t.database}, create)
	return nil
}

// want lists the tables whose rows are wanted, in reading order.
func (c *cut) want() {
	c.wanted = nil
	for _, t := range readingOrder(c.tables) {
		if t.rows {
			c.wanted = append(c.wanted, t)
		}
	}
}

func showCreate(ctx context.Context, c *source.Conn, t *table) (string, error) {
	res, err := c.Query(ctx, "SHOW CREATE TABLE "+source.QuoteTable(t.database, t.name))
	if err != nil {
		return "", err
	}
	if len(res.Rows) != 1 || len(res.Columns) < 2 {
		return "", errs.E(errs.Corrupt, "the server does not say how %s was created", t.id())
	}
	return res.Rows[0][1].Text, nil
}

// estimateRows asks for the server's estimates, which progress is measured against. Without them progress has no end in sight; that is no error.
func (r *run) estimateRows(ctx context.Context, c *source.Conn, tables []*table) error {
	byID := map[string]*table{}
	var in []string
	for _, t := range tables {
		if db := source.QuoteText(t.database); !slices.Contains(in, db) {
			in = append(in, db)
		}
		byID[t.id()] = t
	}
	if len(in) == 0 {
		return nil
	}
	if r.info.Flavor == config.MySQL && r.info.Major >= 8 && len(tables) <= fewTables {
		// MySQL 8 keeps its estimates for a day, and may know nothing of what was loaded since.
		if err := c.Exec(ctx, "SET SESSION information_schema_stats_expiry=0"); err != nil && source.ErrorCode(err) == 0 {
			return err
		}
	}
	res, err := c.Query(ctx, "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA IN ("+strings.Join(in, ", ")+")")
	if err != nil {
		return err
	}
	for _, row := range res.Rows {
		if t := byID[row[0].Text+"."+row[1].Text]; t != nil {
			t.estimate, _ = strconv.ParseUint(row[2].Text, 10, 64)
		}
	}
	return nil
}

// fewTables is up to how many tables fresh estimates are asked for: each is opened for it.
const fewTables = 200

// sortByRows orders tables by the server's estimates, if snapshot.tables.order.by.row.count asks for it.
func (r *run) sortByRows(tables []*table) {
	switch r.Snapshot.OrderByRows {
	case capturev1.RowOrder_ROW_ORDER_ASCENDING:
		slices.SortStableFunc(tables, func(a, b *table) int { return cmp.Compare(a.estimate, b.estimate) })
	case capturev1.RowOrder_ROW_ORDER_DESCENDING:
		slices.SortStableFunc(tables, func(a, b *table) int { return cmp.Compare(b.estimate, a.estimate) })
	}
}
