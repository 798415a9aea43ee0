package chunk

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/row"
)

// Key tells the columns that a table is read by.
type Key struct {
	Columns []int // indexes into the table's columns
}

// lossless are the character sets whose texts come back from the server's answer, which is in UTF-8, as what they were.
var lossless = []string{"utf8mb4", "utf8mb3", "utf8", "ascii", "latin1", "ucs2", "utf16", "utf16le", "utf32"}

// KeyOf returns the key that a table can be read by in chunks, or why there is none: its own, or the named column.
func KeyOf(t *rowv1.Table, surrogate string) (Key, error) {
	var k Key
	if surrogate != "" {
		i := slices.IndexFunc(t.Columns, func(c *rowv1.Column) bool { return strings.EqualFold(c.Name, surrogate) })
		if i < 0 {
			return k, fmt.Errorf("there is no column %s, which is named as its surrogate key", surrogate)
		}
		k.Columns = []int{i}
	} else {
		for _, i := range t.Key {
			k.Columns = append(k.Columns, int(i))
		}
	}
	if len(k.Columns) == 0 {
		return k, fmt.Errorf("it has no primary key, nor a unique key whose columns are all NOT NULL")
	}
	for _, x := range t.Indexes {
		if x.Prefix && surrogate == "" && slices.Equal(x.Columns, t.Key) {
			return k, fmt.Errorf("its key %s covers only the beginning of a column", x.Name)
		}
	}
	for _, i := range k.Columns {
		c := t.Columns[i]
		switch c.Kind {
		case rowv1.Kind_KIND_JSON, rowv1.Kind_KIND_GEOMETRY, rowv1.Kind_KIND_VECTOR, rowv1.Kind_KIND_UNSPECIFIED:
			return k, fmt.Errorf("its key column %s is of type %s", c.Name, c.TypeName)
		case rowv1.Kind_KIND_STRING:
			if c.Charset != "" && !slices.Contains(lossless, c.Charset) {
				return k, fmt.Errorf("its key column %s has character set %s, in which a text is not always told apart from others", c.Name, c.Charset)
			}
		}
	}
	return k, nil
}

// Same says whether a key means the same rows in another version of its table.
func Same(a *rowv1.Table, ka Key, b *rowv1.Table, kb Key) bool {
	if len(ka.Columns) != len(kb.Columns) {
		return false
	}
	for i := range ka.Columns {
		x, y := a.Columns[ka.Columns[i]], b.Columns[kb.Columns[i]]
		if !strings.EqualFold(x.Name, y.Name) || x.Kind != y.Kind || x.Charset != y.Charset || x.Collation != y.Collation || !slices.Equal(x.Members, y.Members) {
			return false
		}
	}
	return true
}

// Append appends the packed key of an image that is split into cells; false if the image lacks a part of it.
func (k Key) Append(dst []byte, cells []row.Cell) ([]byte, bool) {
	for _, i := range k.Columns {
		c := &cells[i]
		if !c.Present {
			return dst, false
		}
		if c.Null {
			dst = append(dst, 0)
			continue
		}
		dst = binary.AppendUvarint(append(dst, 1), uint64(len(c.Data)))
		dst = append(dst, c.Data...)
	}
	return dst, true
}

// Names are the key's columns as SQL quotes them.
func (k Key) Names(t *rowv1.Table) []string {
	var out []string
	for _, i := range k.Columns {
		out = append(out, "`"+strings.ReplaceAll(t.Columns[i].Name, "`", "``")+"`")
	}
	return out
}

// Literals spells the key of an image in SQL.
func (k Key) Literals(t *rowv1.Table, cells []row.Cell) []string {
	out := make([]string, 0, len(k.Columns))
	for _, i := range k.Columns {
		out = append(out, Literal(t.Columns[i], &cells[i]))
	}
	return out
}

// Text spells the key of an image for people, as Debezium prints keys: values joined with commas.
func (k Key) Text(t *rowv1.Table, cells []row.Cell) string {
	var out []string
	for _, i := range k.Columns {
		out = append(out, text(t.Columns[i], &cells[i]))
	}
	return strings.Join(out, ",")
}

// Null is the literal of NULL.
const Null = "NULL"

func text(c *rowv1.Column, cell *row.Cell) string {
	if cell.Null {
		return "null"
	}
	switch c.Kind {
	case rowv1.Kind_KIND_INT:
		return strconv.FormatInt(cell.Int(), 10)
	case rowv1.Kind_KIND_UINT, rowv1.Kind_KIND_YEAR, rowv1.Kind_KIND_BIT:
		return strconv.FormatUint(cell.Uint(), 10)
	case rowv1.Kind_KIND_FLOAT32:
		return strconv.FormatFloat(float64(float32From(cell)), 'g', -1, 32)
	case rowv1.Kind_KIND_FLOAT64:
		return strconv.FormatFloat(float64From(cell), 'g', -1, 64)
	}
	return strings.ToValidUTF8(row.Text(c, cell), "\uFFFD")
}

// Literal spells a value so that the server compares a column with it as with the value itself: in the column's type and collation, without loss.
//
// Texts are hexadecimal, as no session setting changes their meaning. As literals they have the weakest claim on a comparison's collation, so that the column's own
// holds, and the server converts them, once, to its character set.
func Literal(c *rowv1.Column, cell *row.Cell) string {
	if cell.Null || !cell.Present {
		return Null
	}
	switch c.Kind {
	case rowv1.Kind_KIND_INT:
		return strconv.FormatInt(cell.Int(), 10)
	case rowv1.Kind_KIND_UINT, rowv1.Kind_KIND_YEAR, rowv1.Kind_KIND_BIT, rowv1.Kind_KIND_ENUM, rowv1.Kind_KIND_SET:
		return strconv.FormatUint(cell.Uint(), 10)
	case rowv1.Kind_KIND_FLOAT32:
		return strconv.FormatFloat(float64(float32From(cell)), 'e', -1, 64)
	case rowv1.Kind_KIND_FLOAT64:
		return strconv.FormatFloat(float64From(cell), 'e', -1, 64)
	case rowv1.Kind_KIND_DECIMAL:
		return row.Text(c, cell)
	case rowv1.Kind_KIND_STRING:
		if c.Charset == "" { // INET6 and the like: types of their own that a text is converted to
			return quote(string(cell.Data))
		}
		return "_utf8mb4 X'" + hex.EncodeToString(cell.Data) + "'"
	case rowv1.Kind_KIND_BYTES:
		return "X'" + hex.EncodeToString(cell.Data) + "'"
	case rowv1.Kind_KIND_TIMESTAMP:
		return quote(timestampText(cell.Int()))
	}
	return quote(row.Text(c, cell)) // DATE, DATETIME, TIME, UUID
}

func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(s) + "'"
}
