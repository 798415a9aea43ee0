package schema

import (
	"fmt"
	"slices"
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

// apply changes the table as the server does (mysql_prepare_alter_table): the columns of before, without the dropped and with the changed in their
// place; then, in the order of the clauses, the added ones and the moves.
//
// It fails where a clause names what the table does not have: then our table is not the server's.
func (def *alterDef) apply(t *table, p *parser, base charset) error {
	if def.convert != nil {
		t.charset = def.convert.orElse(base)
	}
	columns := t.charset
	if def.options.charset != (charset{}) {
		t.charset = def.options.charset.orElse(t.charset.orElse(base))
	}
	if def.options.comment != nil {
		t.comment = def.options.comment
	}
	hadPrimary := t.index(primaryName) >= 0
	key := t.key
	renamed, err := def.applyColumns(t, p)
	if err != nil {
		return err
	}
	if def.convert != nil {
		t.convert(columns)
	}
	if p.ImplicitTimestamp {
		t.implicitTimestamps()
	}
	added, err := def.applyIndexes(t, renamed)
	if err != nil {
		return err
	}
	t.remade()
	if def.dropVersioning {
		t.dropSystemPeriod()
	}
	if def.addVersioning || def.options.versioning {
		t.addSystemPeriod()
	}
	var keyNow []string
	for _, n := range key {
		if now := renamed[fold(n)]; now != "" {
			keyNow = append(keyNow, now)
		}
	}
	if hadPrimary || len(keyNow) < len(key) {
		keyNow = nil
	}
	if err := t.check(); err != nil {
		return err
	}
	t.finish(keyNow, added, p.ApplyOptions)
	return nil
}

// convert is CONVERT TO CHARACTER SET: all text columns take it, also those that the same statement defines with another.
func (t *table) convert(to charset) {
	for _, c := range t.columns {
		switch {
		case c.Charset == "" || c.Charset == "binary":
		case to.name == "binary" && c.Kind == rowv1.Kind_KIND_STRING:
			// A default is in the bytes of the character set of before from now on; events spell what the statement said.
			c.Kind, c.Charset, c.Collation = rowv1.Kind_KIND_BYTES, "", ""
			c.TypeName = binaryName(c.TypeName)
			c.TypeExpression = c.TypeName
		default:
			c.Charset, c.Collation = to.name, to.collation
		}
	}
}

// binaryName is the type that a text type turns into when the whole table turns binary.
func binaryName(text string) string {
	name := columnTypes[text].binary
	switch {
	case name != "":
		return name
	case text == "JSON": // MariaDB's, a LONGTEXT
		return "LONGBLOB"
	case strings.Contains(text, "VAR"):
		return "VARBINARY"
	}
	return "BINARY"
}

// missing is a clause about something that the table does not have.
func missing(what, name string) error { return fmt.Errorf("no %s %q is known", what, name) }

// applyColumns changes the columns. It returns the names of now by the folded names of before; dropped columns are not in it.
func (def *alterDef) applyColumns(t *table, p *parser) (map[string]string, error) {
	names := make(map[string]string, len(t.columns))
	for _, c := range t.columns {
		names[fold(c.Name)] = c.Name
	}
	for _, d := range def.drops {
		if t.columnIndex(d.name) < 0 && !d.ifExists {
			return nil, missing("column", d.name)
		}
		delete(names, fold(d.name))
	}
	changes := map[string]*columnChange{}
	for i := range def.columns {
		c := &def.columns[i]
		c.def.resolve(t.charset, p.flavor, p.ApplyOptions)
		if c.old == "" {
			continue
		}
		if _, ok := names[fold(c.old)]; !ok {
			if c.ifExists {
				continue
			}
			return nil, missing("column", c.old)
		}
		changes[fold(c.old)] = c
		names[fold(c.old)] = c.def.column.Name
	}
	for _, r := range def.renames {
		if _, ok := names[fold(r.from)]; !ok {
			if r.ifExists {
				continue
			}
			return nil, missing("column", r.from)
		}
		names[fold(r.from)] = r.to
	}
	kept := make([]*rowv1.Column, 0, len(t.columns)+len(def.columns))
	for _, c := range t.columns {
		old := fold(c.Name)
		name, ok := names[old]
		if !ok {
			continue
		}
		if ch := changes[old]; ch != nil {
			c = ch.def.column
		} else {
			c.Name = name
		}
		kept = append(kept, c)
	}
	t.columns = kept
	if err := def.placeColumns(t, changes); err != nil {
		return nil, err
	}
	if err := def.applyDefaults(t, p, names, changes); err != nil {
		return nil, err
	}
	for _, c := range def.columns {
		// An index on a column that is dropped and added again at once stays.
		if name := c.def.column.Name; c.old == "" && names[fold(name)] == "" {
			names[fold(name)] = name
		}
	}
	return names, nil
}

// placeColumns inserts the added columns and moves the others. One that moves stands in its old place until its turn: a column may go behind it there.
func (def *alterDef) placeColumns(t *table, changes map[string]*columnChange) error {
	// Columns of system versioning that the server keeps for itself stay behind all others.
	end := func() int {
		n := len(t.columns)
		for n > 0 && t.columns[n-1].Hidden {
			n--
		}
		return n
	}
	for i := range def.columns {
		c := &def.columns[i]
		switch {
		case c.old != "" && (changes[fold(c.old)] != c || c.place == (place{})):
			continue
		case c.old == "" && t.columnIndex(c.def.column.Name) >= 0:
			if c.ifNotExists {
				continue
			}
			return fmt.Errorf("column %q is known already", c.def.column.Name)
		}
		if i := slices.Index(t.columns, c.def.column); i >= 0 {
			t.columns = slices.Delete(t.columns, i, i+1)
		}
		at := end()
		if c.place.first {
			at = 0
		} else if c.place.after != "" {
			if at = t.columnIndex(c.place.after) + 1; at == 0 {
				return missing("column", c.place.after)
			}
		}
		t.columns = slices.Insert(t.columns, at, c.def.column)
	}
	return nil
}

// applyDefaults is ALTER COLUMN: of a column that the statement leaves alone or renames by its old name, else of one that it defines.
func (def *alterDef) applyDefaults(t *table, p *parser, names map[string]string, changes map[string]*columnChange) error {
	for _, d := range def.defaults {
		c := t.column(d.column)
		if now := names[fold(d.column)]; now != "" && changes[fold(d.column)] == nil {
			c = t.column(now)
		}
		switch {
		case c == nil && d.ifExists:
		case c == nil:
			return missing("column", d.column)
		case d.invisible != nil:
			c.Invisible = *d.invisible
		case d.drop:
			// The column has none from now on, not even NULL; but so says SHOW CREATE TABLE of a TEXT that has the implicit one.
			c.HasDefault, c.DefaultExpression = c.Nullable && !c.Computed, nil
		case c.Computed, c.AutoIncrement && (c.Kind == rowv1.Kind_KIND_INT || c.Kind == rowv1.Kind_KIND_UINT):
			// MariaDB takes a default of generated and AUTO_INCREMENT columns and forgets it.
		default:
			at := p.pos
			p.pos = d.value
			p.defaultValue(&columnDef{column: c})
			p.pos = at
		}
	}
	return nil
}

// applyIndexes changes the indexes; names maps columns of before to those of now. It returns where the added ones begin.
func (def *alterDef) applyIndexes(t *table, names map[string]string) (added int, err error) {
	if def.dropPrimary {
		def.dropIndexes = append(def.dropIndexes, drop{name: primaryName})
	}
	for _, d := range def.dropIndexes {
		// One that is not known is a foreign key's or another constraint.
		if i := t.index(d.name); i >= 0 {
			t.indexes = slices.Delete(t.indexes, i, i+1)
		}
	}
	for _, r := range def.renameIndexes {
		if i := t.index(r.from); i >= 0 {
			t.indexes[i].name = r.to
		}
	}
	kept := t.indexes[:0]
	for _, ix := range t.indexes {
		columns := make([]string, 0, len(ix.columns))
		for _, n := range ix.columns {
			if now := names[fold(n)]; now != "" {
				columns = append(columns, now)
			}
		}
		// An index loses the columns that are dropped, and goes with the last one.
		if ix.columns = columns; len(columns) > 0 || ix.functional {
			kept = append(kept, ix)
		}
	}
	t.indexes = kept
	added = len(kept)
	for _, ix := range def.addIndexes {
		if err := t.addIndex(ix); err != nil {
			return 0, err
		}
	}
	return added, nil
}

// fold is how names of columns and indexes are compared.
func fold(name string) string { return strings.ToLower(name) }
