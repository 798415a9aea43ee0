package binlog

import (
	"encoding/binary"
	"hash/crc32"
	"io"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

// memory is a packet source in memory.
type memory struct {
	packets [][]byte
	at      int
}

func (m *memory) next() ([]byte, error) {
	if m.at >= len(m.packets) {
		return nil, io.EOF
	}
	m.at++
	return m.packets[m.at-1], nil
}

func (m *memory) buffered() bool { return m.at < len(m.packets) }
func (m *memory) Close() error   { return nil }

// logWriter writes events as a server does.
type logWriter struct {
	packets  [][]byte
	pos      uint64
	noCRC    bool
	serverID uint32
	time     uint32
}

// newLog begins a log as a dump of a file does: a made-up rotate, then the format description.
func newLog(file string) *logWriter {
	w := &logWriter{serverID: 7, time: 1_700_000_000}
	w.fakeRotate(file, firstPos)
	w.pos = firstPos
	w.add(formatDescriptionEvent, formatDescription(1))
	return w
}

func (w *logWriter) fakeRotate(file string, pos uint64) {
	body := append(binary.LittleEndian.AppendUint64(nil, pos), file...)
	w.packet(eventBytes(rotateEvent, 0, w.serverID, 0, flagArtificial, body, !w.noCRC))
	w.pos = pos
}

func formatDescription(alg byte) []byte {
	b := binary.LittleEndian.AppendUint16(nil, 4)
	b = append(b, append([]byte("9.7.4"), make([]byte, 45)...)...)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = append(b, headerSize)
	lengths := make([]byte, 41)
	for i := range lengths {
		lengths[i] = 8
	}
	b = append(b, lengths...)
	return append(b, alg)
}

// add appends an event and returns where it stands.
func (w *logWriter) add(kind eventType, body []byte) place {
	size := uint64(headerSize + len(body))
	if !w.noCRC {
		size += checksumBytes
	}
	at := place{w.pos, w.pos + size}
	w.packet(eventBytes(kind, w.time, w.serverID, uint32(at.end), 0, body, !w.noCRC))
	w.pos = at.end
	return at
}

func (w *logWriter) packet(event []byte) { w.packets = append(w.packets, append([]byte{0}, event...)) }

func eventBytes(kind eventType, time, serverID, logPos uint32, flags uint16, body []byte, crc bool) []byte {
	size := headerSize + len(body)
	if crc {
		size += checksumBytes
	}
	b := make([]byte, headerSize, size)
	binary.LittleEndian.PutUint32(b, time)
	b[4] = byte(kind)
	binary.LittleEndian.PutUint32(b[5:], serverID)
	binary.LittleEndian.PutUint32(b[9:], uint32(size))
	binary.LittleEndian.PutUint32(b[13:], logPos)
	binary.LittleEndian.PutUint16(b[17:], flags)
	b = append(b, body...)
	if crc {
		b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	}
	return b
}

var testUUID = []byte{0x9a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

const testSID = "9a010203-0405-0607-0809-0a0b0c0d0e0f"

// gtidBody is a GTID event of MySQL 8 whose transaction committed at a time here, and at another on the original server.
func gtidBody(gno, immediate, original uint64) []byte {
	b := append([]byte{1}, testUUID...)
	b = binary.LittleEndian.AppendUint64(b, gno)
	b = append(b, 2)
	b = append(b, make([]byte, 16)...)
	if original != immediate {
		immediate |= 1 << 55
	}
	b = appendN(b, immediate, 7)
	if original != immediate&commitTimeMask {
		b = appendN(b, original, 7)
	}
	return append(b, 200, 1, 2, 3, 4)
}

func appendN(b []byte, v uint64, n int) []byte {
	for range n {
		b = append(b, byte(v))
		v >>= 8
	}
	return b
}

func queryBody(thread uint32, database, sql string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, thread)
	b = append(b, 0, 0, 0, 0, byte(len(database)), 0, 0, 0, 0)
	b = append(b, database...)
	return append(append(b, 0), sql...)
}

// tableMapBody describes a table: types, metadata of the types, optional metadata.
func tableMapBody(id uint64, database, table string, types, meta, opt []byte) []byte {
	b := appendN(nil, id, 6)
	b = append(b, 1, 0, byte(len(database)))
	b = append(append(b, database...), 0, byte(len(table)))
	b = append(append(b, table...), 0, byte(len(types)))
	b = append(b, types...)
	b = append(append(b, byte(len(meta))), meta...)
	for range (len(types) + 7) / 8 {
		b = append(b, 0xff)
	}
	return append(b, opt...)
}

// rowsBodyV2 is the body of a row event of version 2; bitmaps are those of the columns present.
func rowsBodyV2(id uint64, columns int, bitmaps [][]byte, images ...[]byte) []byte {
	b := appendN(nil, id, 6)
	b = append(b, 1, 0, 2, 0, byte(columns))
	for _, m := range bitmaps {
		b = append(b, m...)
	}
	for _, im := range images {
		b = append(b, im...)
	}
	return b
}

func ones(columns int) []byte {
	b := make([]byte, (columns+7)/8)
	for i := range columns {
		b[i/8] |= 1 << (i % 8)
	}
	return b
}

// The wide table of the benchmarks: bigint key, int, char(120), varchar(60), datetime(3), decimal(12,2), a small JSON document; utf8mb4.
var (
	wideTypes = []byte{byte(typeLongLong), byte(typeLong), byte(typeString), byte(typeVarchar), byte(typeDatetime2), byte(typeNewDecimal), byte(typeJSON)}
	// CHAR(120) has 480 bytes: the two bits above a byte hide, inverted, in the first byte of the metadata.
	wideMeta  = []byte{0xfe ^ 0x10, 0xe0, 240, 0, 3, 12, 2, 4}
	wideShape = &rowv1.Table{Database: "d", Table: "wide", Columns: []*rowv1.Column{
		{Name: "id", Kind: rowv1.Kind_KIND_INT, TypeName: "BIGINT"}, {Name: "n", Kind: rowv1.Kind_KIND_INT, TypeName: "INT"},
		{Name: "c", Kind: rowv1.Kind_KIND_STRING, TypeName: "CHAR", Charset: "utf8mb4"},
		{Name: "v", Kind: rowv1.Kind_KIND_STRING, TypeName: "VARCHAR", Charset: "utf8mb4"},
		{Name: "at", Kind: rowv1.Kind_KIND_DATETIME, TypeName: "DATETIME", Length: u32p(3)},
		{Name: "price", Kind: rowv1.Kind_KIND_DECIMAL, TypeName: "DECIMAL", Length: u32p(12), Scale: u32p(2)},
		{Name: "doc", Kind: rowv1.Kind_KIND_JSON, TypeName: "JSON"},
	}}
	// {"a":1,"b":"xyz"}
	smallDocument = []byte{0, 2, 0, 24, 0, 18, 0, 1, 0, 19, 0, 1, 0, 5, 1, 0, 12, 20, 0, 'a', 'b', 3, 'x', 'y', 'z'}
)

func wideImage(id uint64) []byte {
	b := []byte{0}
	b = appendN(b, id, 8)
	b = appendN(b, id*7, 4)
	b = append(b, 119, 0)
	for i := range 119 {
		b = append(b, byte('a'+i%26))
	}
	b = append(b, 50)
	for i := range 50 {
		b = append(b, byte('A'+i%26))
	}
	b = append(b, 0x99, 0xb2, 0xba, 0xc8, 0xb8, 0x04, 0xce) // 2024-02-29 12:34:56.123 and a half
	b = append(b, 0x80, 0, 0x30, 0x39, 0x02, 0x50)          // 12345.67 is close enough
	b = appendN(b, uint64(len(smallDocument)), 4)
	return append(b, smallDocument...)
}

// wideLog is a log of transactions of one event with so many rows.
func wideLog(transactions, rows int, kind eventType) *logWriter {
	w := newLog("binlog.000001")
	bitmaps := [][]byte{ones(7)}
	if kind == updateRowsV2 {
		bitmaps = append(bitmaps, ones(7))
	}
	id := uint64(0)
	for i := range transactions {
		w.add(gtidEvent, gtidBody(uint64(i+1), 1_700_000_000_000_000, 1_700_000_000_000_000))
		w.add(queryEvent, queryBody(9, "d", "BEGIN"))
		w.add(tableMapEvent, tableMapBody(88, "d", "wide", wideTypes, wideMeta, nil))
		var images [][]byte
		for range rows * len(bitmaps) {
			images = append(images, wideImage(id))
			id++
		}
		w.add(kind, rowsBodyV2(88, 7, bitmaps, images...))
		w.add(xidEvent, make([]byte, 8))
	}
	return w
}
