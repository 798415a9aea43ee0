package schema

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"

	"github.com/rowmesh/rowmesh/services/config"
)

// table is a table while it is changed. A stored version (rowv1.Table) is never changed: it is opened, the copy is changed and sealed.
type table struct {
	database, name string
	charset        charset
	comment        *string
	columns        []*rowv1.Column
	indexes        []index
	key            []string
	// flavor decides how long unique indexes are kept.
	flavor config.Flavor
}

// index is an index with the names of its columns.
//
// Invariant: columns names columns of the table, and is empty if functional.
type index struct {
	name                       string
	columns                    []string
	unique, functional, prefix bool
	hash                       bool
	long                       bool // before the statement, the whole columns made it one
}

// primaryName is what servers call the primary key; no other index may have it.
const primaryName = "PRIMARY"

// open makes a changeable copy of a stored version.
func open(v *rowv1.Table, flavor config.Flavor) *table {
	t := &table{flavor: flavor, database: v.Database, name: v.Table, charset: charset{v.Charset, v.Collation}, comment: v.Comment}
	for _, c := range v.Columns {
		t.columns = append(t.columns, proto.CloneOf(c))
	}
	names := func(at []uint32) []string {
		var out []string
		for _, i := range at {
			if int(i) < len(v.Columns) {
				out = append(out, v.Columns[i].Name)
			}
		}
		return out
	}
	for _, ix := range v.Indexes {
		t.indexes = append(t.indexes, index{name: ix.Name, columns: names(ix.Columns), unique: ix.Unique, functional: ix.Functional, prefix: ix.Prefix,
			hash: ix.Hash})
	}
	t.key = names(v.Key)
	for i := range t.indexes {
		ix := &t.indexes[i]
		ix.long = !ix.prefix && !ix.functional && t.long(ix.columns)
	}
	return t
}

// seal makes a version to store.
func (t *table) seal() *rowv1.Table {
	v := &rowv1.Table{Database: t.database, Table: t.name, Columns: t.columns, Charset: t.charset.name, Collation: t.charset.collation, Comment: t.comment}
	at := func(names []string) []uint32 {
		var out []uint32
		for _, n := range names {
			out = append(out, uint32(t.columnIndex(n)))
		}
		return out
	}
	for i, c := range t.columns {
		c.Position = uint32(i + 1)
	}
	for _, ix := range t.indexes {
		v.Indexes = append(v.Indexes, &rowv1.Index{Name: ix.name, Columns: at(ix.columns), Unique: ix.unique, Functional: ix.functional, Prefix: ix.prefix,
			Hash: ix.hash})
	}
	v.Key = at(t.key)
	return v
}

// columnIndex returns the place of a column, or -1.
func (t *table) columnIndex(name string) int {
	return slices.IndexFunc(t.columns, func(c *rowv1.Column) bool { return strings.EqualFold(c.Name, name) })
}

func (t *table) column(name string) *rowv1.Column {
	if i := t.columnIndex(name); i >= 0 {
		return t.columns[i]
	}
	return nil
}

func (t *table) index(name string) int {
	return slices.IndexFunc(t.indexes, func(ix index) bool { return strings.EqualFold(ix.name, name) })
}

// addIndex adds an index. It fails on a column that the table does not have.
func (t *table) addIndex(def *indexDef) error {
	ix := index{name: def.name, unique: def.unique, functional: def.functional, prefix: def.prefix}
	for _, n := range def.columns {
		c := t.column(n)
		if c == nil {
			return missing("column", n)
		}
		ix.columns = append(ix.columns, c.Name)
	}
	ix.hash = t.flavor == config.MariaDB && ix.unique && !def.primary && !ix.functional && (def.hash || t.long(def.whole))
	switch {
	case def.primary:
		ix.name = primaryName
		if i := t.index(primaryName); i >= 0 {
			t.indexes = slices.Delete(t.indexes, i, i+1)
		}
	case ix.name == "":
		ix.name = t.freeIndexName(ix.columns)
	case def.ifNotExists && t.index(ix.name) >= 0:
		return nil
	}
	t.indexes = append(t.indexes, ix)
	return nil
}

// freeIndexName makes the name that the server makes: that of the first column, with a number from 2 where it is taken.
func (t *table) freeIndexName(columns []string) string {
	base := "functional_index"
	if len(columns) > 0 {
		base = columns[0]
	}
	if t.index(base) < 0 && !strings.EqualFold(base, primaryName) {
		return base
	}
	// The server tries up to 100.
	for n := 2; ; n++ {
		if name := fmt.Sprintf("%s_%d", base, n); t.index(name) < 0 {
			return name
		}
	}
}

// maxKeyBytes is the longest key of InnoDB with pages of 16 KiB. MariaDB keeps a longer unique index as a hash.
const maxKeyBytes = 3072

// long says whether an index on whole columns is longer than a key can be.
func (t *table) long(names []string) bool {
	bytes := 0
	for _, n := range names {
		switch c := t.column(n); {
		case strings.HasSuffix(c.TypeName, "TEXT"), strings.HasSuffix(c.TypeName, "BLOB"), strings.HasPrefix(c.TypeName, "LONG"),
			c.TypeName == "JSON", c.Kind == rowv1.Kind_KIND_GEOMETRY:
			return true
		case c.Kind == rowv1.Kind_KIND_STRING:
			bytes += int(min(c.GetLength(), maxKeyBytes)) * characterBytes(c.Charset)
		case c.Kind == rowv1.Kind_KIND_BYTES:
			bytes += int(min(c.GetLength(), maxKeyBytes))
		}
	}
	return bytes > maxKeyBytes
}

// remade is what becomes of the indexes of a table that a statement copies or changes: MariaDB makes the hash of a unique index on a geometry an index on its first
// bytes, and keeps one as a hash for as long as its columns are too long.
func (t *table) remade() {
	for i := range t.indexes {
		ix := &t.indexes[i]
		isGeometry := func(n string) bool { return t.column(n).Kind == rowv1.Kind_KIND_GEOMETRY }
		if ix.hash && slices.ContainsFunc(ix.columns, isGeometry) {
			ix.hash, ix.prefix = false, true
		} else if t.flavor == config.MariaDB && ix.unique && ix.name != primaryName && !ix.functional && !ix.prefix {
			ix.hash = ix.hash && !ix.long || t.long(ix.columns) // USING HASH stays
		}
	}
	t.placeHashes()
}

// hiddenColumn makes a column that the server keeps for itself.
func hiddenColumn(name, typeName string, kind rowv1.Kind) *rowv1.Column {
	return &rowv1.Column{Name: name, Kind: kind, TypeName: typeName, TypeExpression: typeName, Computed: true, Invisible: true, Hidden: true}
}

func isPeriod(c *rowv1.Column) bool { return c.Hidden && c.Kind == rowv1.Kind_KIND_TIMESTAMP }

func isHash(c *rowv1.Column) bool { return c.Hidden && c.Kind == rowv1.Kind_KIND_UINT }

// addSystemPeriod adds the columns of WITH SYSTEM VERSIONING that the statement does not name, unless the table has them.
func (t *table) addSystemPeriod() {
	if slices.ContainsFunc(t.columns, isPeriod) {
		return
	}
	for _, name := range []string{"row_start", "row_end"} {
		c := hiddenColumn(name, "TIMESTAMP", rowv1.Kind_KIND_TIMESTAMP)
		c.Length = ptr(uint32(6))
		t.columns = append(t.columns, c)
	}
}

// dropSystemPeriod takes them away again.
func (t *table) dropSystemPeriod() { t.columns = slices.DeleteFunc(t.columns, isPeriod) }

// placeHashes gives each index that is kept as a hash its column, behind all others.
func (t *table) placeHashes() {
	t.columns = slices.DeleteFunc(t.columns, isHash)
	n := 0
	for _, ix := range t.indexes {
		if ix.hash {
			n++
			c := hiddenColumn(fmt.Sprintf("DB_ROW_HASH_%d", n), "BIGINT UNSIGNED", rowv1.Kind_KIND_UINT)
			c.Unsigned, c.Nullable = true, true
			t.columns = append(t.columns, c)
		}
	}
}

// finish computes what follows from columns and indexes: the columns of the primary key are NOT NULL, and the key is chosen.
//
// The key changes with the clauses that name one, as in Debezium's model, so that keys of events stay what consumers know: it is the primary key; else
// the key of before, by the names of now, as long as its columns are there, also when the unique index that it came from is dropped; else, of the
// indexes that the statement added (from added on), the first unique one without NULLs. The server puts those on whole columns before those on
// prefixes. A table that loses its primary key has none, whatever other unique indexes it has.
func (t *table) finish(before []string, added int, opts ApplyOptions) {
	t.placeHashes()
	t.key = nil
	if i := t.index(primaryName); i >= 0 {
		for _, n := range t.indexes[i].columns {
			c := t.column(n)
			c.HasDefault = c.HasDefault && c.DefaultExpression != nil
			if c.Nullable && !c.HasDefault && opts.ImplicitTimestamp && c.Kind == rowv1.Kind_KIND_TIMESTAMP {
				c.HasDefault, c.DefaultExpression = true, ptr(zeroTimestamp) // also the first one: that it is NOT NULL is known too late for the current time
			}
			c.Nullable = false
		}
		t.key = slices.Clone(t.indexes[i].columns)
		return
	}
	if len(before) > 0 && t.allNotNull(before) {
		t.key = before
		return
	}
	for _, ix := range t.indexes[min(added, len(t.indexes)):] {
		if !ix.unique || ix.functional || !t.allNotNull(ix.columns) {
			continue
		}
		if !ix.prefix {
			t.key = slices.Clone(ix.columns)
			return
		}
		if t.key == nil {
			t.key = slices.Clone(ix.columns)
		}
	}
}

// check fails on two columns of one name: the server would have refused, so the table is not what we take it for.
func (t *table) check() error {
	seen := make(map[string]bool, len(t.columns))
	for _, c := range t.columns {
		if seen[fold(c.Name)] {
			return fmt.Errorf("column %q would be there twice", c.Name)
		}
		seen[fold(c.Name)] = true
	}
	return nil
}

// allNotNull says that all names are columns that hold no NULL.
func (t *table) allNotNull(names []string) bool {
	for _, n := range names {
		if c := t.column(n); c == nil || c.Nullable {
			return false
		}
	}
	return true
}
