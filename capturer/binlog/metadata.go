package binlog

import (
	"fmt"
	"strconv"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/charset"
)

// Optional metadata of a table map: type, length-encoded length, value. binlog_row_metadata=MINIMAL writes the first three and the geometry types,
// FULL all of them. Servers before MySQL 8.0.1 and MariaDB 10.5 write none.
const (
	optSignedness            = 1
	optDefaultCharset        = 2
	optColumnCharset         = 3
	optColumnName            = 4
	optSetValues             = 5
	optEnumValues            = 6
	optGeometryType          = 7
	optSimplePrimaryKey      = 8
	optPrimaryKeyWithPrefix  = 9
	optEnumSetDefaultCharset = 10
	optEnumSetColumnCharset  = 11
	optVisibility            = 12
)

// metadata is what Compile needs of the optional metadata; names, members and keys are read on demand (ShapeFromMetadata).
type metadata struct {
	signed     bool     // signedness is known
	unsigned   []bool   // per column
	otherSigns []bool   // the other way to read the bits, where there are two; nil where not
	collations []uint16 // per column; 0 if not known or not text
	geometry   []byte   // per column; 0 if not known
}

func isNumeric(t byte) bool {
	switch columnType(t) {
	case typeTiny, typeShort, typeInt24, typeLong, typeLongLong, typeNewDecimal, typeFloat, typeDouble, typeYear:
		return true
	}
	return false
}

// isCharacter says which columns have an entry in the charset lists: all string types, binary or not, VECTOR among them, and spatial ones where the server is
// MariaDB.
func isCharacter(mariadb bool) func(t byte) bool {
	return func(t byte) bool {
		switch columnType(t) {
		case typeString, typeVarString, typeVarchar, typeBlob, typeBlobCompressed, typeVarcharCompressed, typeVector:
			return true
		case typeGeometry:
			return mariadb
		}
		return false
	}
}

func isEnumSet(t byte) bool { return columnType(t) == typeEnum || columnType(t) == typeSet }

func parseMetadata(opt []byte, cols []ColumnMap, mariadb bool) (metadata, error) {
	isCharacter := isCharacter(mariadb)
	m := metadata{}
	c := cursor{b: opt}
	for len(c.b) > 0 && !c.failed {
		kind := c.u8()
		v := cursor{b: c.lenencBytes()}
		switch kind {
		case optSignedness:
			m.signs(v.b, cols)
		case optDefaultCharset:
			m.defaultCollations(&v, cols, isCharacter)
		case optColumnCharset:
			m.columnCollations(&v, cols, isCharacter)
		case optEnumSetDefaultCharset:
			m.defaultCollations(&v, cols, isEnumSet)
		case optEnumSetColumnCharset:
			m.columnCollations(&v, cols, isEnumSet)
		case optGeometryType:
			m.geometry = make([]byte, len(cols))
			for i := range cols {
				if columnType(cols[i].Type) == typeGeometry && len(v.b) > 0 {
					m.geometry[i] = byte(v.lenenc())
				}
			}
		}
		if v.failed {
			return m, fmt.Errorf("optional metadata %d: %w", kind, errShort)
		}
	}
	return m, c.err()
}

// defaultCollations reads "default, then (index, collation) of those that differ", index counted over the columns that pick accepts.
func (m *metadata) defaultCollations(v *cursor, cols []ColumnMap, pick func(byte) bool) {
	if m.collations == nil {
		m.collations = make([]uint16, len(cols))
	}
	def := uint16(v.lenenc())
	var at []int
	for i := range cols {
		if pick(cols[i].Type) {
			m.collations[i] = def
			at = append(at, i)
		}
	}
	for len(v.b) > 0 && !v.failed {
		i, collation := v.lenenc(), v.lenenc()
		if i >= uint64(len(at)) {
			v.failed = true
			return
		}
		m.collations[at[i]] = uint16(collation)
	}
}

// columnCollations reads one collation for each column that pick accepts.
func (m *metadata) columnCollations(v *cursor, cols []ColumnMap, pick func(byte) bool) {
	if m.collations == nil {
		m.collations = make([]uint16, len(cols))
	}
	for i := range cols {
		if pick(cols[i].Type) && len(v.b) > 0 {
			m.collations[i] = uint16(v.lenenc())
		}
	}
}

func (t *TableMap) collation(i int) uint16 {
	if t.meta.collations == nil {
		return 0
	}
	return t.meta.collations[i]
}

// binaryCollation is the id of the collation "binary" on all servers.
const binaryCollation = 63

// names holds what only FULL metadata has.
type names struct {
	columns    []string
	sets       [][]string
	enums      [][]string
	key        []uint32
	visibility []byte
}

func (t *TableMap) names() (names, error) {
	var n names
	c := cursor{b: t.opt}
	for len(c.b) > 0 && !c.failed {
		kind := c.u8()
		v := cursor{b: c.lenencBytes()}
		switch kind {
		case optColumnName:
			for len(v.b) > 0 && !v.failed {
				n.columns = append(n.columns, string(v.take(int(v.lenenc()))))
			}
		case optSetValues:
			n.sets = members(&v)
		case optEnumValues:
			n.enums = members(&v)
		case optSimplePrimaryKey:
			for len(v.b) > 0 && !v.failed {
				n.key = append(n.key, uint32(v.lenenc()))
			}
		case optPrimaryKeyWithPrefix:
			for len(v.b) > 0 && !v.failed {
				n.key = append(n.key, uint32(v.lenenc()))
				v.lenenc() // the prefix's length
			}
		case optVisibility:
			n.visibility = v.b
		}
		if v.failed {
			return n, fmt.Errorf("table map of %s.%s: optional metadata %d: %w", t.Database, t.Name, kind, errShort)
		}
	}
	return n, c.err()
}

func members(v *cursor) [][]string {
	var all [][]string
	for len(v.b) > 0 && !v.failed {
		list := make([]string, 0, 8)
		for n := v.count(); n > 0 && !v.failed; n-- {
			list = append(list, string(v.lenencBytes()))
		}
		all = append(all, list)
	}
	return all
}

// ShapeFromMetadata makes a table's shape from the log alone, which is possible where the server writes binlog_row_metadata=FULL; false where it does
// not. The log holds no defaults, comments and generation expressions, no unique keys but the primary one, and of MariaDB's types that are stored as
// other types (UUID, INET6, VECTOR) nothing: what the log calls BINARY stays BYTES.
func ShapeFromMetadata(t *TableMap) (*rowv1.Table, bool) {
	n, err := t.names()
	if t.metaErr != nil || err != nil || len(n.columns) != len(t.Columns) || !t.meta.signed {
		return nil, false
	}
	for _, k := range n.key {
		if k >= uint32(len(t.Columns)) {
			return nil, false
		}
	}
	s := &rowv1.Table{Database: t.Database, Table: t.Name, Key: n.key}
	for i := range t.Columns {
		col := t.shapeColumn(i, &n)
		if col == nil {
			return nil, false
		}
		s.Columns = append(s.Columns, col)
	}
	return s, true
}

func (t *TableMap) shapeColumn(i int, n *names) *rowv1.Column {
	m := &t.Columns[i]
	c := &rowv1.Column{Name: n.columns[i], Position: uint32(i + 1), Nullable: m.Nullable, Unsigned: t.meta.unsigned[i]}
	if n.visibility != nil && i/8 < len(n.visibility) {
		c.Invisible = n.visibility[i/8]&(0x80>>(i%8)) == 0
	}
	collation, cs := "", ""
	if id := t.collation(i); id != 0 {
		collation, cs, _ = charset.ByCollation(id)
	}
	c.Kind, c.TypeName = t.shapeKind(i)
	if c.Kind == rowv1.Kind_KIND_UNSPECIFIED {
		return nil
	}
	switch columnType(m.Type) {
	case typeNewDecimal:
		c.Length, c.Scale = u32p(uint32(m.Meta>>8)), u32p(uint32(m.Meta&0xff))
	case typeBit:
		c.Length = u32p(uint32(m.Meta))
	case typeTimestamp2, typeDatetime2, typeTime2:
		if m.Meta > 0 {
			c.Length = u32p(uint32(m.Meta))
		}
	case typeEnum:
		if len(n.enums) == 0 {
			return nil
		}
		c.Members, n.enums = decodeMembers(n.enums[0], cs), n.enums[1:]
	case typeSet:
		if len(n.sets) == 0 {
			return nil
		}
		c.Members, n.sets = decodeMembers(n.sets[0], cs), n.sets[1:]
	case typeString, typeVarchar, typeVarString, typeVarcharCompressed:
		width := uint32(1)
		if w := charset.MaxBytes(cs); w > 0 {
			width = uint32(w)
		}
		c.Length = u32p(uint32(m.Meta) / width)
	}
	if c.Kind == rowv1.Kind_KIND_STRING || isEnumSet(m.Type) {
		c.Charset, c.Collation = cs, collation
	}
	return c
}

func u32p(v uint32) *uint32 { return &v }

func decodeMembers(in []string, cs string) []string {
	dec, ok := charset.Decoder(cs)
	if !ok || dec == nil {
		return in
	}
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = string(dec(nil, []byte(s)))
	}
	return out
}

// shapeKind returns the packed form and the SQL name of a column that only the log describes.
func (t *TableMap) shapeKind(i int) (rowv1.Kind, string) {
	m := &t.Columns[i]
	binary := t.collation(i) == binaryCollation
	text := func(name, binaryName string) (rowv1.Kind, string) {
		if binary {
			return rowv1.Kind_KIND_BYTES, binaryName
		}
		return rowv1.Kind_KIND_STRING, name
	}
	integer := func(name string) (rowv1.Kind, string) {
		if t.meta.unsigned[i] {
			return rowv1.Kind_KIND_UINT, name + " UNSIGNED"
		}
		return rowv1.Kind_KIND_INT, name
	}
	number := func(k rowv1.Kind, name string) (rowv1.Kind, string) {
		if t.meta.unsigned[i] {
			name += " UNSIGNED"
		}
		return k, name
	}
	switch columnType(m.Type) {
	case typeTiny:
		return integer("TINYINT")
	case typeShort:
		return integer("SMALLINT")
	case typeInt24:
		return integer("MEDIUMINT")
	case typeLong:
		return integer("INT")
	case typeLongLong:
		return integer("BIGINT")
	case typeFloat:
		return number(rowv1.Kind_KIND_FLOAT32, "FLOAT")
	case typeDouble:
		return number(rowv1.Kind_KIND_FLOAT64, "DOUBLE")
	case typeNewDecimal:
		return number(rowv1.Kind_KIND_DECIMAL, "DECIMAL")
	case typeTimestamp, typeTimestamp2:
		return rowv1.Kind_KIND_TIMESTAMP, "TIMESTAMP"
	case typeDatetime, typeDatetime2:
		return rowv1.Kind_KIND_DATETIME, "DATETIME"
	case typeTime, typeTime2:
		return rowv1.Kind_KIND_TIME, "TIME"
	case typeDate, typeNewDate:
		return rowv1.Kind_KIND_DATE, "DATE"
	case typeYear:
		return rowv1.Kind_KIND_YEAR, "YEAR"
	case typeBit:
		return rowv1.Kind_KIND_BIT, "BIT"
	case typeEnum:
		return rowv1.Kind_KIND_ENUM, "ENUM"
	case typeSet:
		return rowv1.Kind_KIND_SET, "SET"
	case typeString:
		return text("CHAR", "BINARY")
	case typeVarchar, typeVarString, typeVarcharCompressed:
		return text("VARCHAR", "VARBINARY")
	case typeBlob, typeBlobCompressed:
		return text(blobNames[m.Meta&7][1], blobNames[m.Meta&7][0])
	case typeJSON:
		return rowv1.Kind_KIND_JSON, "JSON"
	case typeVector:
		return rowv1.Kind_KIND_VECTOR, "VECTOR"
	case typeGeometry:
		name := "GEOMETRY"
		if g := t.meta.geometry; g != nil && int(g[i]) < len(geometryNames) {
			name = geometryNames[g[i]]
		}
		return rowv1.Kind_KIND_GEOMETRY, name
	}
	return rowv1.Kind_KIND_UNSPECIFIED, "type " + strconv.Itoa(int(m.Type))
}

// blobNames is indexed by the bytes of the length prefix.
var blobNames = [8][2]string{1: {"TINYBLOB", "TINYTEXT"}, 2: {"BLOB", "TEXT"}, 3: {"MEDIUMBLOB", "MEDIUMTEXT"}, 4: {"LONGBLOB", "LONGTEXT"}}

// geometryNames is indexed by the WKB type.
var geometryNames = [...]string{"GEOMETRY", "POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON", "GEOMETRYCOLLECTION"}
