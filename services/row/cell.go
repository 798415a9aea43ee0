package row

import (
	"encoding/binary"
	"errors"
	"fmt"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

// ErrCorrupt says that an image does not follow the layout.
var ErrCorrupt = errors.New("corrupt row image")

// AppendInt appends a zigzag varint (INT, TIMESTAMP, TIME).
func AppendInt(b []byte, v int64) []byte { return binary.AppendUvarint(b, uint64(v)<<1^uint64(v>>63)) }

// AppendUint appends a uvarint (UINT, DATE, YEAR, BIT, ENUM, SET).
func AppendUint(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

// AppendBytes appends a length-prefixed cell.
func AppendBytes[T []byte | string](b []byte, v T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// AppendDatetime appends a DATETIME cell.
func AppendDatetime(b []byte, packed uint64) []byte {
	return binary.LittleEndian.AppendUint64(b, packed)
}

// PackDate packs a date that may be zero or partial, as DATE cells hold it.
func PackDate(year, month, day uint64) uint64 { return (year*13+month)<<5 | day }

// UnpackDate undoes PackDate.
func UnpackDate(v uint64) (year, month, day int) {
	ym := v >> 5
	return int(ym / 13), int(ym % 13), int(v & 31)
}

// PackDatetime packs a date (PackDate), a time of day and microseconds, as DATETIME cells hold it.
func PackDatetime(date, hour, minute, second, micro uint64) uint64 {
	return (date<<17|hour<<12|minute<<6|second)<<24 | micro
}

// UnpackDatetime undoes PackDatetime.
func UnpackDatetime(v uint64) (date uint64, hour, minute, second, micro int) {
	micro = int(v & (1<<24 - 1))
	v >>= 24
	return v >> 17, int(v >> 12 & 31), int(v >> 6 & 63), int(v & 63), micro
}

// Cell is one column of one image.
type Cell struct {
	// Data is the cell without its length prefix; a view into the payload, valid as long as that is. Empty for NULL and absent cells.
	Data []byte
	// Present is false where the image leaves the column out.
	Present bool
	// Null is true for NULL.
	Null bool
}

// Int reads INT, TIMESTAMP and TIME cells.
func (c *Cell) Int() int64 {
	u, _ := binary.Uvarint(c.Data)
	return int64(u>>1) ^ -int64(u&1)
}

// Uint reads UINT, DATE, YEAR, BIT, ENUM and SET cells.
func (c *Cell) Uint() uint64 {
	if len(c.Data) > 0 && c.Data[0] < 0x80 {
		return uint64(c.Data[0])
	}
	u, _ := binary.Uvarint(c.Data)
	return u
}

// Fixed32 reads the bits of FLOAT32 cells.
func (c *Cell) Fixed32() uint32 { return binary.LittleEndian.Uint32(c.Data) }

// Fixed64 reads the bits of FLOAT64 cells, and DATETIME cells.
func (c *Cell) Fixed64() uint64 { return binary.LittleEndian.Uint64(c.Data) }

// width is how a kind's cells are delimited: a positive number of bytes, or one of these.
type width int8

const (
	varintWidth width = -1
	prefixed    width = 0
)

func widthOf(k rowv1.Kind) width {
	switch k {
	case rowv1.Kind_KIND_INT, rowv1.Kind_KIND_TIMESTAMP, rowv1.Kind_KIND_TIME, rowv1.Kind_KIND_UINT, rowv1.Kind_KIND_DATE,
		rowv1.Kind_KIND_YEAR, rowv1.Kind_KIND_BIT, rowv1.Kind_KIND_ENUM, rowv1.Kind_KIND_SET:
		return varintWidth
	case rowv1.Kind_KIND_FLOAT32:
		return 4
	case rowv1.Kind_KIND_FLOAT64, rowv1.Kind_KIND_DATETIME:
		return 8
	case rowv1.Kind_KIND_UUID:
		return 16
	}
	return prefixed
}

// Prefixed says whether cells of a kind carry their length in front.
func Prefixed(k rowv1.Kind) bool { return widthOf(k) == prefixed }

// Layout splits the images of one table version.
type Layout struct{ widths []width }

// NewLayout compiles the layout of a table version.
func NewLayout(columns []*rowv1.Column) *Layout {
	l := &Layout{widths: make([]width, len(columns))}
	for i, c := range columns {
		l.widths[i] = widthOf(c.Kind)
	}
	return l
}

// Split fills cells (one per column) from the image at the start of b and returns what follows it. The cells point into b.
// Errors wrap ErrCorrupt and name the column.
func (l *Layout) Split(cells []Cell, b []byte, partial bool) ([]byte, error) {
	n := len(l.widths)
	cells = cells[:n]
	nb := (n + 7) / 8
	var present []byte
	if partial {
		if len(b) < nb {
			return nil, fmt.Errorf("presence bitmap: %w", ErrCorrupt)
		}
		present, b = b[:nb], b[nb:]
	}
	if len(b) < nb {
		return nil, fmt.Errorf("null bitmap: %w", ErrCorrupt)
	}
	nulls := b[:nb]
	b = b[nb:]
	for i, w := range l.widths {
		c := &cells[i]
		bit := byte(1) << (i & 7)
		if present != nil && present[i>>3]&bit == 0 {
			*c = Cell{}
			continue
		}
		if nulls[i>>3]&bit != 0 {
			*c = Cell{Present: true, Null: true}
			continue
		}
		var size int
		switch w {
		case varintWidth:
			for size < len(b) && b[size] >= 0x80 {
				size++
			}
			size++
			if size > binary.MaxVarintLen64 {
				return nil, fmt.Errorf("column %d: %w", i, ErrCorrupt)
			}
		case prefixed:
			u, m := binary.Uvarint(b)
			if m <= 0 || u > uint64(len(b)-m) {
				return nil, fmt.Errorf("column %d: %w", i, ErrCorrupt)
			}
			b = b[m:]
			size = int(u)
		default:
			size = int(w)
		}
		if size > len(b) {
			return nil, fmt.Errorf("column %d: %w", i, ErrCorrupt)
		}
		*c = Cell{Data: b[:size:size], Present: true}
		b = b[size:]
	}
	return b, nil
}
