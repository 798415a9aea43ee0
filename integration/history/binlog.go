package history

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// Txn is one committed transaction of the log.
type Txn struct {
	// GTID is "uuid:n" or "domain-server-n"; empty without.
	GTID string
	// File and the offsets of its first byte and of the byte behind it.
	File       string
	Start, End uint64
	Rows       []Row
}

// Row is one row change.
type Row struct {
	// Table is database.table.
	Table string
	// Before and After are the images as text, one value a column; nil where the operation has none.
	Before, After []Value
}

// Value is a value as text.
type Value struct {
	Text string
	Null bool
}

// Event types, as in the servers' log_event.h.
const (
	eventQuery       = 2
	eventRotate      = 4
	eventFormat      = 15
	eventXID         = 16
	eventTableMap    = 19
	eventWrite1      = 23
	eventUpdate1     = 24
	eventDelete1     = 25
	eventIncident    = 26
	eventWrite2      = 30
	eventUpdate2     = 31
	eventDelete2     = 32
	eventGTID        = 33
	eventAnonymous   = 34
	eventXAPrepare   = 38
	eventPartial     = 39
	eventPayload     = 40
	eventTaggedGTID  = 42
	eventMariaGTID   = 162
	eventMariaPacked = 165 // 165 to 168 are compressed
)

// headerBytes is the length of an event header in version 4 of the format.
const headerBytes = 19

// maxEventBytes bounds what one event may take: max_allowed_packet is 1 GiB at most.
const maxEventBytes = 1 << 30

// Log calls f for each transaction of log files in order. Tables that wanted says no to are not decoded. It stops at the first error.
func Log(files []string, wanted func(table string) bool, f func(t *Txn) error) error {
	for _, name := range files {
		if err := logFile(name, wanted, f); err != nil {
			return fmt.Errorf("log file %s: %w", filepath.Base(name), err)
		}
	}
	return nil
}

func logFile(path string, wanted func(string) bool, f func(*Txn) error) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	return decode(in, filepath.Base(path), wanted, f)
}

// decoder reads one file.
type decoder struct {
	file     string
	wanted   func(string) bool
	emit     func(*Txn) error
	checksum bool
	tables   map[uint64]*table
	txn      *Txn
	at       uint64 // of the event
	end      uint64
}

// table is a TABLE_MAP.
type table struct {
	name  string
	types []byte
	meta  []uint16
}

func decode(in io.Reader, file string, wanted func(string) bool, emit func(*Txn) error) error {
	r := &countingReader{r: in}
	magic := make([]byte, 4)
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != "\xfebin" {
		return fmt.Errorf("it does not begin as a log does (%x): %v", magic, err)
	}
	d := &decoder{file: file, wanted: wanted, emit: emit, tables: map[uint64]*table{}}
	header := make([]byte, headerBytes)
	for {
		d.at = r.n
		if _, err := io.ReadFull(r, header); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("event at %d: %w", d.at, err)
		}
		size := binary.LittleEndian.Uint32(header[9:])
		if size < headerBytes || size > maxEventBytes {
			return fmt.Errorf("event at %d has %d bytes", d.at, size)
		}
		body := make([]byte, size-headerBytes)
		if _, err := io.ReadFull(r, body); err == io.ErrUnexpectedEOF || err == io.EOF {
			return nil // the server is still writing it
		} else if err != nil {
			return fmt.Errorf("event at %d: %w", d.at, err)
		}
		d.end = r.n
		if err := d.event(header[4], header, body); err != nil {
			return fmt.Errorf("event at %d, type %d: %w", d.at, header[4], err)
		}
	}
}

type countingReader struct {
	r io.Reader
	n uint64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += uint64(n)
	return n, err
}

// event takes one event.
func (d *decoder) event(kind byte, header, body []byte) error {
	if kind == eventFormat {
		return d.format(body)
	}
	if d.checksum {
		if len(body) < 4 {
			return fmt.Errorf("no room for its checksum")
		}
		sum := crc32.Update(crc32.ChecksumIEEE(header), crc32.IEEETable, body[:len(body)-4])
		if want := binary.LittleEndian.Uint32(body[len(body)-4:]); sum != want {
			return fmt.Errorf("checksum %x, want %x", sum, want)
		}
		body = body[:len(body)-4]
	}
	c := &cursor{b: body}
	switch kind {
	case eventGTID:
		c.skip(1)
		sid, gno := c.bytes(16), c.uint(8)
		d.begin(fmt.Sprintf("%x-%x-%x-%x-%x:%d", sid[0:4], sid[4:6], sid[6:8], sid[8:10], sid[10:16], gno))
	case eventMariaGTID:
		gno, domain := c.uint(8), c.uint(4)
		d.begin(fmt.Sprintf("%d-%d-%d", domain, binary.LittleEndian.Uint32(header[5:]), gno))
	case eventAnonymous, eventTaggedGTID:
		d.begin("")
	case eventQuery:
		return d.query(c)
	case eventXID:
		return d.commit()
	case eventTableMap:
		d.tableMap(c)
	case eventWrite1, eventWrite2, eventUpdate1, eventUpdate2, eventDelete1, eventDelete2:
		return d.rows(kind, c)
	case eventXAPrepare, eventPartial, eventPayload, eventIncident, eventMariaPacked, eventMariaPacked + 1, eventMariaPacked + 2, eventMariaPacked + 3:
		return fmt.Errorf("this decoder does not know such events")
	}
	return c.err
}

// format learns whether events have checksums: the byte before the last four of this event, which always has room for one.
func (d *decoder) format(body []byte) error {
	if len(body) < 2+50+4+1+5 || binary.LittleEndian.Uint16(body) != 4 {
		return fmt.Errorf("format version %x", body[:min(2, len(body))])
	}
	switch alg := body[len(body)-5]; alg {
	case 0:
	case 1:
		d.checksum = true
	default:
		return fmt.Errorf("checksum algorithm %d", alg)
	}
	return nil
}

func (d *decoder) begin(gtid string) {
	d.txn = &Txn{GTID: gtid, File: d.file, Start: d.at}
	clear(d.tables)
}

// query is BEGIN, COMMIT of a table without transactions, or a statement that is a transaction of its own.
func (d *decoder) query(c *cursor) error {
	c.skip(8)
	database, status := int(c.uint(1)), 0
	c.skip(2)
	status = int(c.uint(2))
	c.skip(status + database + 1)
	if c.err != nil {
		return c.err
	}
	switch text := string(c.b); text {
	case "BEGIN":
		if d.txn == nil {
			d.begin("")
		}
		return nil
	case "COMMIT":
		return d.commit()
	case "ROLLBACK":
		d.txn = nil
		return nil
	}
	if d.txn != nil && len(d.txn.Rows) > 0 {
		return nil // a savepoint, say
	}
	return d.commit()
}

func (d *decoder) commit() error {
	t := d.txn
	if t == nil {
		return nil
	}
	d.txn = nil
	t.End = d.end
	return d.emit(t)
}

func (d *decoder) tableMap(c *cursor) {
	id := c.uint(6)
	c.skip(2)
	database := string(c.bytes(int(c.uint(1))))
	c.skip(1)
	name := string(c.bytes(int(c.uint(1))))
	c.skip(1)
	t := &table{name: database + "." + name, types: bytes.Clone(c.bytes(int(c.packed())))}
	meta := &cursor{b: c.bytes(int(c.packed()))}
	for _, typ := range t.types {
		t.meta = append(t.meta, meta.metaOf(typ))
	}
	if c.err == nil {
		c.err = meta.err
	}
	d.tables[id] = t
}
