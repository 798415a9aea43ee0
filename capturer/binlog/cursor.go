package binlog

import (
	"encoding/binary"
	"errors"
	"math"
)

// errShort says that an event ends before its fields do.
var errShort = errors.New("the event is shorter than its fields")

// cursor reads the fields of an event. The first read past the end makes it fail for good; reads after that return zero values.
type cursor struct {
	b      []byte
	failed bool
}

func (c *cursor) take(n int) []byte {
	if c.failed || n < 0 || n > len(c.b) {
		c.failed = true
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) skip(n int) { c.take(n) }

func (c *cursor) u8() byte {
	if v := c.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (c *cursor) u16() uint16 { return uint16(c.uintN(2)) }
func (c *cursor) u32() uint32 { return uint32(c.uintN(4)) }
func (c *cursor) u64() uint64 { return c.uintN(8) }

// uintN reads n bytes, little endian.
func (c *cursor) uintN(n int) uint64 {
	return uintLE(c.take(n))
}

func uintLE(b []byte) uint64 {
	switch len(b) {
	case 8:
		return binary.LittleEndian.Uint64(b)
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	}
	var v uint64
	for i := len(b) - 1; i >= 0; i-- {
		v = v<<8 | uint64(b[i])
	}
	return v
}

func uintBE(b []byte) uint64 {
	var v uint64
	for _, x := range b {
		v = v<<8 | uint64(x)
	}
	return v
}

// lenenc reads a length-encoded integer of the client protocol; NULL (0xfb) and the error mark (0xff) fail.
func (c *cursor) lenenc() uint64 {
	switch n := c.u8(); n {
	case 0xfb, 0xff:
		c.failed = true
		return 0
	case 0xfc:
		return c.uintN(2)
	case 0xfd:
		return c.uintN(3)
	case 0xfe:
		return c.uintN(8)
	default:
		return uint64(n)
	}
}

// count reads a length-encoded number of things that take at least one byte each, so that a hostile count cannot make us allocate.
func (c *cursor) count() int {
	n := c.lenenc()
	if n > uint64(len(c.b)) {
		c.failed = true
		return 0
	}
	return int(n)
}

// lenencBytes reads a length-encoded string.
func (c *cursor) lenencBytes() []byte {
	n := c.lenenc()
	if n > math.MaxInt32 {
		c.failed = true
		return nil
	}
	return c.take(int(n))
}

func (c *cursor) err() error {
	if c.failed {
		return errShort
	}
	return nil
}
