package binlog

import (
	"cmp"
	"fmt"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/charset"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
)

// Plan is a column program: it turns the row images of one table version, as one table map describes them, into packed images. It holds scratch memory,
// so one goroutine uses it at a time.
type Plan struct {
	table   *TableMap
	cols    []column
	bitmap  int // bytes of a bitmap over all columns
	json    int // JSON columns of the table
	scratch scratch
}

// scratch is memory that lives from row to row.
type scratch struct {
	text    []byte   // JSON in the making
	inflate inflater // COMPRESSED columns
	before  [][]byte // JSON columns of the before image (views), for JSON diffs
}

// opcode says how a cell is decoded. There is one for each combination of a stored form and a packed form that can be told apart when the plan is made, so
// that the loop over a row decides nothing but this.
type opcode uint8

const (
	opInt opcode = iota // size bytes, little endian, signed
	opUint
	opFloat32
	opFloat32To64
	opFloat64
	opFloat64To32
	opDecimal
	opYear
	opDate
	opDatetime2
	opTimestamp2
	opTime2
	opOldDatetime
	opOldTimestamp
	opOldTime
	opBit
	opUintLE // ENUM, SET: size bytes, little endian
	opCopy8  // length prefix of 1 byte, then bytes as they are
	opCopy16
	opCopyN // length prefix of size bytes
	opPad   // BINARY(n): as opCopy, padded to width
	opText  // length prefix of size bytes, transcoded
	opCompressed
	opJSON
	opUUID
	opInet4
	opInet6
)

// column is one instruction.
type column struct {
	op     opcode
	size   uint8  // bytes of the value, or of its length prefix
	digits uint8  // digits of the fraction: temporal types, DECIMAL
	whole  uint8  // DECIMAL: digits before the point
	width  uint16 // BINARY(n): n
	isJSON bool   // has a bit among the partial bits
	null   bool   // nullable
	text   charset.Func
	name   string
}

// Compile makes the plan for rows that tm describes and whose table has the given shape. The log's type vector must agree with the shape: a shape that
// belongs to another moment of the table is an error that names the column. Where the log says more than types (signedness, character sets, names), that is
// compared too, or followed.
func Compile(tm *TableMap, shape *rowv1.Table) (*Plan, error) {
	name := tm.Database + "." + tm.Name
	if len(tm.Columns) != len(shape.Columns) {
		return nil, errs.E(errs.Corrupt, "table %s: its rows in the log have %d columns, its known shape has %d; the shape is of another moment: "+
			"read the table's schema anew", name, len(tm.Columns), len(shape.Columns))
	}
	n, err := tm.names()
	if err = cmp.Or(tm.metaErr, err); err != nil {
		return nil, errs.E(errs.Corrupt, "table %s: its description in the log cannot be read: %w", name, err)
	}
	p := &Plan{table: tm, cols: make([]column, len(tm.Columns)), bitmap: (len(tm.Columns) + 7) / 8}
	signs := tm.meta.signsFor(tm.Columns, shape)
	for i, c := range shape.Columns {
		if len(n.columns) == len(tm.Columns) && n.columns[i] != c.Name {
			return nil, errs.E(errs.Corrupt, "table %s: column %d is %q in the log and %q in the known shape; the shape is of another moment: "+
				"read the table's schema anew", name, i+1, n.columns[i], c.Name)
		}
		if p.cols[i], err = compileColumn(tm, i, c, signs); err != nil {
			return nil, fmt.Errorf("table %s: column %q: %w", name, c.Name, err)
		}
		if p.cols[i].isJSON {
			p.json++
		}
	}
	p.scratch.before = make([][]byte, len(p.cols))
	return p, nil
}

// Flags says which images of an event carry a presence bitmap: row.PartialBefore, row.PartialAfter.
func (p *Plan) Flags(ev *Event) byte {
	var f byte
	if ev.rows.before != nil && !allPresent(ev.rows.before, len(p.cols)) {
		f |= row.PartialBefore
	}
	if ev.rows.after != nil && !allPresent(ev.rows.after, len(p.cols)) {
		f |= row.PartialAfter
	}
	return f
}

// allPresent says whether the first n bits are set.
func allPresent(bitmap []byte, n int) bool {
	for i := range n / 8 {
		if bitmap[i] != 0xff {
			return false
		}
	}
	if rest := n % 8; rest > 0 {
		mask := byte(1)<<rest - 1
		return bitmap[n/8]&mask == mask
	}
	return true
}

// mismatch is the error of a column whose stored type cannot be what the shape says.
func mismatch(m *ColumnMap, c *rowv1.Column) error {
	return errs.E(errs.Corrupt, "the log holds %s, the known shape says %s (%s); the shape is of another moment: read the table's schema anew",
		columnType(m.Type), c.TypeName, c.Kind)
}

func compileColumn(tm *TableMap, i int, c *rowv1.Column, signs []bool) (column, error) {
	m := &tm.Columns[i]
	out := column{name: c.Name, null: m.Nullable || c.Nullable}
	if tm.meta.signed && isNumeric(m.Type) && columnType(m.Type) != typeYear {
		if unsigned := isUnsigned(c); unsigned != signs[i] {
			return out, errs.E(errs.Corrupt, "unsigned is %t in the log and %t in the known shape; the shape is of another moment: read the table's schema anew",
				signs[i], unsigned)
		}
	}
	kind := rowv1.Kind_KIND_UNSPECIFIED // the one kind that fits; unspecified: checked here
	switch columnType(m.Type) {
	case typeTiny, typeShort, typeInt24, typeLong, typeLongLong:
		out.op, out.size = opInt, intSize(m.Type)
		kind = rowv1.Kind_KIND_INT
		if c.Kind == rowv1.Kind_KIND_UINT {
			out.op, kind = opUint, c.Kind
		}
	case typeFloat:
		out.op, kind = opFloat32, rowv1.Kind_KIND_FLOAT32
		if c.Kind == rowv1.Kind_KIND_FLOAT64 {
			out.op, kind = opFloat32To64, c.Kind
		}
	case typeDouble:
		out.op, kind = opFloat64, rowv1.Kind_KIND_FLOAT64
		if c.Kind == rowv1.Kind_KIND_FLOAT32 { // REAL, where its definition was read as a statement
			out.op, kind = opFloat64To32, c.Kind
		}
	case typeNewDecimal:
		precision, scale := byte(m.Meta>>8), byte(m.Meta)
		if scale > precision || precision > maxDecimalDigits {
			return out, errs.E(errs.Corrupt, "DECIMAL(%d,%d) in the log", precision, scale)
		}
		if c.Scale != nil && *c.Scale != uint32(scale) {
			return out, errs.E(errs.Corrupt, "the log holds a scale of %d, the known shape says %d; the shape is of another moment: read the table's schema anew",
				scale, *c.Scale)
		}
		out.op, out.digits, out.whole, kind = opDecimal, scale, precision-scale, rowv1.Kind_KIND_DECIMAL
	case typeYear:
		out.op, kind = opYear, rowv1.Kind_KIND_YEAR
	case typeBit:
		out.op, out.size, kind = opBit, byte((m.Meta+7)/8), rowv1.Kind_KIND_BIT
		if m.Meta == 0 || m.Meta > 64 {
			return out, errs.E(errs.Corrupt, "BIT(%d) in the log", m.Meta)
		}
	case typeEnum, typeSet:
		out.op, out.size = opUintLE, byte(m.Meta)
		kind = rowv1.Kind_KIND_ENUM
		if columnType(m.Type) == typeSet {
			kind = rowv1.Kind_KIND_SET
		}
		if m.Meta == 0 || m.Meta > 8 {
			return out, errs.E(errs.Corrupt, "%s of %d bytes in the log", columnType(m.Type), m.Meta)
		}
	case typeDate, typeNewDate, typeDatetime, typeDatetime2, typeTimestamp, typeTimestamp2, typeTime, typeTime2:
		return out, compileTemporal(&out, m, c)
	default:
		return out, compileBytes(&out, tm, i, c)
	}
	if c.Kind != kind {
		return out, mismatch(m, c)
	}
	return out, nil
}

func intSize(t byte) uint8 {
	switch columnType(t) {
	case typeTiny:
		return 1
	case typeShort:
		return 2
	case typeInt24:
		return 3
	case typeLong:
		return 4
	}
	return 8
}

func compileTemporal(out *column, m *ColumnMap, c *rowv1.Column) error {
	var kind rowv1.Kind
	fraction := false
	switch columnType(m.Type) {
	case typeDate, typeNewDate:
		out.op, kind = opDate, rowv1.Kind_KIND_DATE
	case typeDatetime:
		out.op, kind = opOldDatetime, rowv1.Kind_KIND_DATETIME
	case typeTimestamp:
		out.op, kind = opOldTimestamp, rowv1.Kind_KIND_TIMESTAMP
	case typeTime:
		out.op, kind = opOldTime, rowv1.Kind_KIND_TIME
	case typeDatetime2:
		out.op, kind, fraction = opDatetime2, rowv1.Kind_KIND_DATETIME, true
	case typeTimestamp2:
		out.op, kind, fraction = opTimestamp2, rowv1.Kind_KIND_TIMESTAMP, true
	case typeTime2:
		out.op, kind, fraction = opTime2, rowv1.Kind_KIND_TIME, true
	}
	if c.Kind != kind {
		return mismatch(m, c)
	}
	if !fraction {
		if kind != rowv1.Kind_KIND_DATE && c.GetLength() > 0 {
			// MariaDB with mysql56_temporal_format=OFF: the log does not say how many bytes such a value has.
			return errs.E(errs.Unsupported, "%s(%d) in MariaDB's old format; set mysql56_temporal_format=ON and rebuild the table (ALTER TABLE ... FORCE)",
				c.TypeName, c.GetLength())
		}
		return nil
	}
	if m.Meta > 6 {
		return errs.E(errs.Corrupt, "%s(%d) in the log", columnType(m.Type), m.Meta)
	}
	if uint32(m.Meta) != c.GetLength() {
		return errs.E(errs.Corrupt, "the log holds %d digits of fractional seconds, the known shape says %d; the shape is of another moment: read the table's "+
			"schema anew", m.Meta, c.GetLength())
	}
	out.digits, out.size = byte(m.Meta), byte(m.Meta+1)/2
	return nil
}

// compileBytes handles all that is stored as a length and bytes.
func compileBytes(out *column, tm *TableMap, i int, c *rowv1.Column) error {
	m := &tm.Columns[i]
	fixed := false
	switch columnType(m.Type) {
	case typeString:
		out.size, fixed = 1, true
		if m.Meta > 255 {
			out.size = 2
		}
	case typeVarchar, typeVarString, typeVarcharCompressed:
		out.size = 1
		if m.Meta > 255 {
			out.size = 2
		}
	case typeBlob, typeBlobCompressed, typeGeometry, typeVector, typeJSON:
		out.size = byte(m.Meta)
		if m.Meta == 0 || m.Meta > 4 {
			return errs.E(errs.Corrupt, "%s with a length of %d bytes in the log", columnType(m.Type), m.Meta)
		}
	default:
		return errs.E(errs.Unsupported, "%s in the log is not known here", columnType(m.Type))
	}
	switch t := columnType(m.Type); {
	case t == typeJSON:
		if c.Kind != rowv1.Kind_KIND_JSON {
			return mismatch(m, c)
		}
		out.op, out.isJSON = opJSON, true
		return nil
	case t == typeGeometry && c.Kind != rowv1.Kind_KIND_GEOMETRY, t == typeVector && c.Kind != rowv1.Kind_KIND_VECTOR:
		return mismatch(m, c)
	}
	switch c.Kind {
	case rowv1.Kind_KIND_STRING, rowv1.Kind_KIND_JSON:
		if fixed && c.Kind == rowv1.Kind_KIND_STRING && (c.TypeName == "INET4" || c.TypeName == "INET6") {
			if out.op = opInet6; c.TypeName == "INET4" {
				out.op = opInet4
			}
			return nil
		}
		if err := compileText(out, tm.collation(i), c); err != nil {
			return err
		}
	case rowv1.Kind_KIND_BYTES:
		if out.op = copyOp(out.size); fixed {
			out.op, out.width = opPad, m.Meta
		}
	case rowv1.Kind_KIND_UUID:
		if !fixed || m.Meta != 16 {
			return mismatch(m, c)
		}
		out.op = opUUID
		return nil
	case rowv1.Kind_KIND_GEOMETRY, rowv1.Kind_KIND_VECTOR:
		out.op = copyOp(out.size)
	default:
		return mismatch(m, c)
	}
	if t := columnType(m.Type); t == typeBlobCompressed || t == typeVarcharCompressed {
		out.op = opCompressed
	}
	return nil
}

func copyOp(size uint8) opcode {
	switch size {
	case 1:
		return opCopy8
	case 2:
		return opCopy16
	}
	return opCopyN
}

// compileText finds the decoder of a text column. What the log says of the character set is followed, since it was written with the row; the shape's counts
// where the log says nothing. A column without either is taken as UTF-8.
func compileText(out *column, collation uint16, c *rowv1.Column) error {
	cs := c.Charset
	if collation != 0 && collation != binaryCollation {
		if _, known, ok := charset.ByCollation(collation); ok {
			cs = known
		}
	}
	out.op = copyOp(out.size)
	if cs == "" {
		return nil
	}
	dec, ok := charset.Decoder(cs)
	if !ok {
		return errs.E(errs.Unsupported, "character set %q is not known here", cs)
	}
	if dec != nil {
		out.op, out.text = opText, dec
	}
	return nil
}
