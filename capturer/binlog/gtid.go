package binlog

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/bits"
	"strconv"
)

// gtidInfo is what a GTID event says of the transaction that follows.
type gtidInfo struct {
	sid      string
	gno      uint64
	commitUS uint64
	// MariaDB only.
	flags byte
	xid   string // of a prepared or completed XA transaction
}

// Flags of MariaDB's GTID event (log_event.h, Gtid_log_event).
const (
	mariaStandalone  = 1 << 0 // no BEGIN and COMMIT: the one event that follows is all
	mariaGroupCommit = 1 << 1
	mariaPreparedXA  = 1 << 6
	mariaCompletedXA = 1 << 7
)

// sidCache turns the bytes of a GTID's source into text once: nearly all transactions come from one or two sources.
type sidCache struct {
	last []byte
	text string
	all  map[string]string
}

// maxSIDs bounds the cache; a topology with more sources than that only pays for the text each time.
const maxSIDs = 4096

func (s *sidCache) get(key []byte, text func(key []byte) string) string {
	if bytes.Equal(key, s.last) && s.text != "" {
		return s.text
	}
	t, ok := s.all[string(key)]
	if !ok {
		t = text(key)
		if s.all == nil || len(s.all) >= maxSIDs {
			s.all = map[string]string{}
		}
		s.all[string(key)] = t
	}
	s.last, s.text = append(s.last[:0], key...), t
	return t
}

func uuidText(key []byte) string {
	text := formatUUID(key[:16])
	if len(key) > 16 {
		text += ":" + string(key[16:])
	}
	return text
}

// commitTimeMask: the commit time has 55 bits, the 56th says that the original server's follows.
const commitTimeMask = 1<<55 - 1

// parseGTID reads a GTID event, tagged or not. Layout: flags, uuid, gno, type 2, last committed, sequence number; since MySQL 8.0.1 commit times.
func (s *sidCache) parseGTID(b []byte) (gtidInfo, error) {
	c := cursor{b: b}
	c.skip(1)
	uuid := c.take(16)
	var g gtidInfo
	g.gno = c.u64()
	if c.failed {
		return g, errShort
	}
	g.sid = s.get(uuid, uuidText)
	if len(c.b) >= 1+8+8+7 && c.u8() == 2 {
		c.skip(16)
		g.commitUS = c.uintN(7)
		if g.commitUS > commitTimeMask {
			g.commitUS = c.uintN(7) & commitTimeMask
		}
	}
	return g, c.err()
}

// Fields of a tagged GTID event (mysql::serialization, Gtid_event::define_fields).
const (
	taggedFlags = iota
	taggedUUID
	taggedGNO
	taggedTag
	taggedLastCommitted
	taggedSequenceNumber
	taggedImmediateCommit
	taggedOriginalCommit
)

// parseTaggedGTID reads a GTID event with tag: version, size, number of the last field that may not be ignored, then fields as number and value.
func (s *sidCache) parseTaggedGTID(b []byte) (gtidInfo, error) {
	c := cursor{b: b}
	var g gtidInfo
	var key [16 + 32]byte // a tag has at most 32 characters
	var uuid [16]byte
	n := 16
	c.varlen() // version
	c.varlen() // size
	c.varlen() // last field that may not be ignored
	var immediate, original uint64
	for len(c.b) > 0 && !c.failed {
		switch id := c.varlen(); id {
		case taggedFlags:
			c.varlen()
		case taggedUUID:
			for i := range uuid {
				uuid[i] = byte(c.varlen())
			}
		case taggedGNO:
			g.gno = uint64(c.varlenSigned())
		case taggedTag:
			tag := c.take(int(c.varlen()))
			n = 16 + copy(key[16:], tag)
		case taggedLastCommitted, taggedSequenceNumber:
			c.varlenSigned()
		case taggedImmediateCommit:
			immediate = c.varlen()
		case taggedOriginalCommit:
			original = c.varlen()
		default:
			// The fields after the commit times are of no use here.
			c.b = nil
		}
	}
	if c.failed || g.gno == 0 {
		return g, errShort
	}
	copy(key[:], uuid[:])
	g.sid = s.get(key[:n], uuidText)
	if g.commitUS = original; original == 0 {
		g.commitUS = immediate
	}
	return g, nil
}

// varlen reads mysql::serialization's unsigned integer: as many one bits at the low end of the first byte as bytes follow.
func (c *cursor) varlen() uint64 {
	v, n := c.varlenRaw()
	if n == 9 {
		return v
	}
	return v >> n
}

// varlenSigned reads the signed form: the sign in the lowest bit of the number, a negative value as its complement.
func (c *cursor) varlenSigned() int64 {
	v := c.varlen()
	if v&1 != 0 {
		return -1 - int64(v>>1)
	}
	return int64(v >> 1)
}

func (c *cursor) varlenRaw() (v uint64, n int) {
	if c.failed || len(c.b) == 0 {
		c.failed = true
		return 0, 1
	}
	n = bits.TrailingZeros8(^c.b[0]) + 1
	if n == 9 {
		c.skip(1)
		return c.uintN(8), 9
	}
	return c.uintN(n), n
}

// parseMariaGTID reads MariaDB's GTID event: number, domain, flags, then a commit id or an XA id.
func (s *sidCache) parseMariaGTID(b []byte, serverID uint32) (gtidInfo, error) {
	c := cursor{b: b}
	var g gtidInfo
	g.gno = c.u64()
	domain := c.take(4)
	g.flags = c.u8()
	if c.failed {
		return g, errShort
	}
	key := [8]byte{4: byte(serverID), byte(serverID >> 8), byte(serverID >> 16), byte(serverID >> 24)}
	copy(key[:4], domain)
	g.sid = s.get(key[:], mariaSID)
	if g.flags&(mariaPreparedXA|mariaCompletedXA) == 0 {
		return g, nil
	}
	if g.flags&mariaGroupCommit != 0 {
		c.skip(8)
	}
	format := c.u32()
	gtrid, bqual := int(c.u8()), int(c.u8())
	data := c.take(gtrid + bqual)
	if c.failed {
		return g, errShort
	}
	g.xid = xidText(data[:gtrid], data[gtrid:], format)
	return g, nil
}

func mariaSID(key []byte) string {
	return strconv.FormatUint(uintLE(key[:4]), 10) + "-" + strconv.FormatUint(uintLE(key[4:]), 10)
}

// xidText spells an XA id as the servers do in the log, in lower case: x'gtrid',x'bqual',format.
func xidText(gtrid, bqual []byte, format uint32) string {
	return fmt.Sprintf("x'%s',x'%s',%d", hex.EncodeToString(gtrid), hex.EncodeToString(bqual), format)
}
