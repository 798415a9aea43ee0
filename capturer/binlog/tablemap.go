package binlog

import (
	"bytes"
	"fmt"

	"github.com/rowmesh/rowmesh/services/errs"
)

// TableMap is a TABLE_MAP event: how the log describes a table before the rows of a statement. It is immutable, and the same pointer stands for the
// same description, so it may be the key of a map.
type TableMap struct {
	// ID is the number by which row events name the table; the server gives a new one whenever it opens the table anew.
	ID uint64
	// Database and Name are the table's, as the server spells them.
	Database, Name string
	// Columns are the columns as the log describes them.
	Columns []ColumnMap

	raw  []byte // the event's body
	opt  []byte // optional metadata, a view into raw
	meta metadata
	// metaErr: the optional metadata cannot be read. Only who wants the table's rows is told (Compile).
	metaErr error
}

// ColumnMap is a column as the log describes it.
type ColumnMap struct {
	// Type is the type byte (field_types.h); ENUM and SET are resolved from STRING.
	Type byte
	// Meta is the type's metadata: a length, precision<<8|scale, digits of the fraction, or the bytes of a length prefix.
	Meta uint16
	// Nullable is true if the column may be NULL.
	Nullable bool
}

// maxColumns is how many columns a table may have, on MySQL (MAX_FIELDS) and MariaDB. What is read of a table map takes time by columns times bytes.
const maxColumns = 4096

// parseTableMap reads the body of a TABLE_MAP event; it keeps a copy.
func parseTableMap(body []byte, idSize int, mariadb bool) (*TableMap, error) {
	t := &TableMap{raw: bytes.Clone(body)}
	c := cursor{b: t.raw}
	t.ID = c.uintN(idSize)
	c.skip(2) // flags
	t.Database = string(c.take(int(c.u8())))
	c.skip(1)
	// Names of databases and tables have at most 64 characters, but the length prefix of MySQL is length-encoded: the same byte up to 250.
	t.Name = string(c.take(int(c.u8())))
	c.skip(1)
	n := c.count()
	if n > maxColumns {
		return nil, errs.E(errs.Corrupt, "table map of %s.%s: %d columns", t.Database, t.Name, n)
	}
	types := c.take(n)
	meta := cursor{b: c.lenencBytes()}
	nulls := c.take((len(types) + 7) / 8)
	if c.failed {
		return nil, fmt.Errorf("table map: %w", errShort)
	}
	t.opt = c.b
	t.Columns = make([]ColumnMap, len(types))
	for i, b := range types {
		typ, m := readMeta(columnType(b), &meta)
		t.Columns[i] = ColumnMap{Type: byte(typ), Meta: m, Nullable: nulls[i/8]&(1<<(i%8)) != 0}
	}
	if meta.failed {
		return nil, fmt.Errorf("table map of %s.%s: metadata: %w", t.Database, t.Name, errShort)
	}
	t.meta, t.metaErr = parseMetadata(t.opt, t.Columns, mariadb)
	return t, nil
}

// readMeta reads a type's metadata. STRING hides ENUM, SET, and two bits of a length above 255 in its first byte.
func readMeta(t columnType, c *cursor) (columnType, uint16) {
	switch t {
	case typeFloat, typeDouble, typeBlob, typeBlobCompressed, typeGeometry, typeVector, typeJSON, typeTime2, typeDatetime2, typeTimestamp2:
		return t, uint16(c.u8())
	case typeVarchar, typeVarcharCompressed, typeVarString:
		return t, c.u16()
	case typeBit:
		bits, whole := c.u8(), c.u8()
		return t, uint16(whole)*8 + uint16(bits)
	case typeNewDecimal:
		precision := c.u8()
		return t, uint16(precision)<<8 | uint16(c.u8())
	case typeString, typeEnum, typeSet:
		real, n := c.u8(), uint16(c.u8())
		switch columnType(real) {
		case typeEnum, typeSet:
			return columnType(real), n
		}
		if real&0x30 != 0x30 {
			return typeString, n | uint16(real&0x30^0x30)<<4
		}
		return typeString, n
	}
	return t, 0
}
