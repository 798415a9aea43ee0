package history

import (
	"fmt"
	"strconv"
)

// Column types, as in the servers' field_types.h.
const (
	typeTiny       = 1
	typeShort      = 2
	typeLong       = 3
	typeTimestamp  = 7
	typeLongLong   = 8
	typeInt24      = 9
	typeVarchar    = 15
	typeTimestamp2 = 17
	typeDatetime2  = 18
	typeTime2      = 19
	typeDecimal    = 246
	typeBlob       = 252
	typeString     = 254
)

// metaOf reads a column's metadata.
func (c *cursor) metaOf(typ byte) uint16 {
	switch typ {
	case typeVarchar:
		return uint16(c.uint(2))
	case typeBlob, typeTimestamp2, typeDatetime2, typeTime2, 4, 5, 245, 255: // floats, JSON and geometry have a byte too
		return uint16(c.uint(1))
	case typeString, typeDecimal, 247, 248, 16:
		b := c.bytes(2)
		return uint16(b[0])<<8 | uint16(b[1])
	}
	return 0
}

// rows adds the rows of an event to the transaction.
func (d *decoder) rows(kind byte, c *cursor) error {
	id := c.uint(6)
	c.skip(2)
	if kind >= eventWrite2 {
		c.skip(int(c.uint(2)) - 2)
	}
	t := d.tables[id]
	if c.err != nil {
		return c.err
	}
	if t == nil {
		return fmt.Errorf("rows of table %d, which was not described", id)
	}
	if !d.wanted(t.name) {
		return nil
	}
	if d.txn == nil {
		d.begin("")
	}
	n := int(c.packed())
	if n != len(t.types) {
		return fmt.Errorf("%s has %d columns and rows of %d", t.name, len(t.types), n)
	}
	update, remove := kind == eventUpdate1 || kind == eventUpdate2, kind == eventDelete1 || kind == eventDelete2
	for range 1 + map[bool]int{true: 1}[update] {
		for i, present := range c.bits(n) {
			if !present {
				return fmt.Errorf("%s: column %d is absent; binlog_row_image must be FULL", t.name, i+1)
			}
		}
	}
	for len(c.b) > 0 && c.err == nil {
		r := Row{Table: t.name}
		var err error
		if update || remove {
			if r.Before, err = c.image(t); err != nil {
				return err
			}
		}
		if !remove {
			if r.After, err = c.image(t); err != nil {
				return err
			}
		}
		d.txn.Rows = append(d.txn.Rows, r)
	}
	return c.err
}

// image reads one image of a row.
func (c *cursor) image(t *table) ([]Value, error) {
	null := c.bits(len(t.types))
	out := make([]Value, len(t.types))
	for i, typ := range t.types {
		if c.err != nil {
			return nil, c.err
		}
		if null[i] {
			out[i].Null = true
			continue
		}
		text, err := c.value(typ, t.meta[i])
		if err != nil {
			return nil, fmt.Errorf("%s, column %d: %w", t.name, i+1, err)
		}
		out[i].Text = text
	}
	return out, nil
}

// value reads one value. Integers count as signed: the self-verifying tables have no others.
func (c *cursor) value(typ byte, meta uint16) (string, error) {
	signed := func(bytes int) string {
		shift := 64 - 8*bytes
		return strconv.FormatInt(int64(c.uint(bytes)<<shift)>>shift, 10)
	}
	switch typ {
	case typeTiny:
		return signed(1), nil
	case typeShort:
		return signed(2), nil
	case typeInt24:
		return signed(3), nil
	case typeLong:
		return signed(4), nil
	case typeLongLong:
		return signed(8), nil
	case typeVarchar:
		return c.text(int(meta)), nil
	case typeString:
		// The high byte is the real type with two bits of the length, which is 255 at most for tables of ours.
		if byte(meta>>8) != typeString {
			return "", fmt.Errorf("type %d in a string's place is not known here", meta>>8)
		}
		return c.text(int(meta & 0xff)), nil
	case typeBlob:
		return string(c.bytes(int(c.uint(int(meta))))), nil
	}
	return "", fmt.Errorf("type %d is not known here", typ)
}

// text reads a string whose length takes two bytes where it may be more than 255.
func (c *cursor) text(most int) string {
	width := 1
	if most > 255 {
		width = 2
	}
	return string(c.bytes(int(c.uint(width))))
}

// cursor reads bytes; the first read behind the end sets err, and all others give zeros.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) bytes(n int) []byte {
	if n < 0 || n > len(c.b) {
		if c.err == nil {
			c.err = fmt.Errorf("%d bytes wanted, %d left", n, len(c.b))
		}
		c.b = nil
		return make([]byte, min(max(n, 0), 64))
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) skip(n int) { c.bytes(n) }

// uint reads a little-endian number of up to 8 bytes.
func (c *cursor) uint(n int) uint64 {
	var v uint64
	for i, x := range c.bytes(n) {
		v |= uint64(x) << (8 * i)
	}
	return v
}

// packed reads a length-encoded number.
func (c *cursor) packed() uint64 {
	switch first := c.uint(1); first {
	case 252:
		return c.uint(2)
	case 253:
		return c.uint(3)
	case 254:
		return c.uint(8)
	default:
		return first
	}
}

// bits reads n bits, lowest first.
func (c *cursor) bits(n int) []bool {
	b := c.bytes((n + 7) / 8)
	out := make([]bool, n)
	for i := range out {
		if i/8 < len(b) {
			out[i] = b[i/8]&(1<<(i%8)) != 0
		}
	}
	return out
}
