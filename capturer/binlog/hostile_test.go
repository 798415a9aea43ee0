package binlog

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

// hostileLog has an event of each kind that carries structure. Checksums are off, so that damage reaches the parsers.
func hostileLog(t testing.TB) *logWriter {
	w := &logWriter{serverID: 7, time: 1, noCRC: true}
	w.fakeRotate("binlog.000001", firstPos)
	w.add(formatDescriptionEvent, append(formatDescription(0), 0, 0, 0, 0))
	w.add(gtidEvent, gtidBody(5, 1, 2))
	w.add(queryEvent, queryBody(9, "d", "BEGIN"))
	w.add(rowsQueryEvent, append([]byte{6}, "insert"...))
	opt := []byte{optSignedness, 1, 0x80, optDefaultCharset, 3, 8, 1, 45, optColumnName, 14, 1, 'a', 1, 'b', 1, 'c', 1, 'd', 1, 'e', 1, 'f', 1, 'g', optSimplePrimaryKey, 1, 0}
	w.add(tableMapEvent, tableMapBody(88, "d", "wide", wideTypes, wideMeta, opt))
	w.add(writeRowsV2, rowsBodyV2(88, 7, [][]byte{ones(7)}, wideImage(1), wideImage(2)))
	w.add(updateRowsV2, rowsBodyV2(88, 7, [][]byte{ones(7), {0x41}}, wideImage(1), append(append([]byte{0}, make([]byte, 8)...), wideImage(1)[len(wideImage(1))-29:]...)))
	w.add(partialUpdateRowsEvent, rowsBodyV2(88, 7, [][]byte{ones(7), {0x40}}, wideImage(1), []byte{1, 1, 0, 9, 0, 0, 0, 0, 3, '$', '.', 'a', 3, 5, 7, 0}))
	w.add(xidEvent, make([]byte, 8))
	w.add(gtidTaggedEvent, []byte{2, 180, 16, 0, 2, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 4, 2, 6, 4, 'a', 'b', 12, 2})
	w.add(transactionPayloadEvent, payloadBody(t, innerEvent(queryEvent, queryBody(9, "d", "BEGIN")), innerEvent(tableMapEvent, narrowMap(1)),
		innerEvent(writeRowsV2, narrowRows(1, 1, 2)), innerEvent(xidEvent, make([]byte, 8))))
	w.add(mariaGtid, append(appendN(nil, 9, 8), 0, 0, 0, 0, mariaPreparedXA, 1, 0, 0, 0, 1, 1, 'a', 'b'))
	w.add(tableMapEvent, narrowMap(1))
	w.add(mariaWriteCompressedV1, append(append(appendN(nil, 1, 6), 1, 0, 1, 1), 0x81, 5, 0x78, 0x9c, 0x63, 0x60, 0x65, 0, 0, 0, 0x06, 0, 0x02))
	w.add(xaPrepareEvent, []byte{1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 'a'})
	w.add(gtidEvent, gtidBody(7, 1, 1))
	w.add(queryEvent, queryBody(9, "", "XA START X'61',X'',1"))
	w.add(queryEvent, queryBody(9, "", "XA ROLLBACK X'61',X'',1"))
	w.add(executeLoadQueryEvent, append(queryBody(9, "", "x"), make([]byte, 20)...))
	w.add(incidentEvent, append([]byte{1, 0, 4}, "lost"...))
	return w
}

// devour reads a log whatever it holds: rows are decoded with the shape that the log itself gives, or a guessed one.
func devour(packets [][]byte) {
	cfg := testConfig()
	cfg.VerifyChecksum = false
	s := newStream(&memory{packets: packets}, cfg)
	for range 1000 {
		ev, err := s.Next()
		if err != nil {
			return
		}
		if ev.Kind != Rows {
			continue
		}
		shapes := []*rowv1.Table{wideShape, twoColumns["t"]}
		if sh, ok := ShapeFromMetadata(ev.Table); ok {
			shapes = append(shapes, sh)
		}
		for _, sh := range shapes {
			if p, err := Compile(ev.Table, sh); err == nil {
				p.Flags(ev)
				for first := 0; ; {
					_, n, done, err := p.Append(nil, ev, first, 100)
					if first += n; done || err != nil {
						break
					}
				}
			}
		}
	}
}

func clonePackets(in [][]byte) [][]byte {
	out := make([][]byte, len(in))
	for i := range in {
		out[i] = bytes.Clone(in[i])
	}
	return out
}

// fixSize makes the header agree with the packet, so that the damage gets further than the first check.
func fixSize(packet []byte) {
	if len(packet) > 13 {
		n := len(packet) - 1
		packet[10], packet[11], packet[12], packet[13] = byte(n), byte(n>>8), byte(n>>16), 0
	}
}

// No cut and no damage makes the reader panic.
func TestHostileBytes(t *testing.T) {
	log := hostileLog(t)
	for i, packet := range log.packets {
		for n := range len(packet) {
			cut := clonePackets(log.packets)
			cut[i] = cut[i][:n]
			fixSize(cut[i])
			devour(cut)
		}
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 20_000 {
		bad := clonePackets(log.packets)
		for range 1 + r.IntN(4) {
			p := bad[2+r.IntN(len(bad)-2)]
			switch at := 1 + headerSize + r.IntN(max(1, len(p)-headerSize-1)); {
			case at >= len(p):
			case r.IntN(2) == 0:
				p[at] ^= 1 << r.IntN(8)
			default:
				p[at] = []byte{0, 0xff, 0x7f, 0x80, 0xfe, 0xfc}[r.IntN(6)]
			}
		}
		devour(bad)
	}
}

func FuzzStream(f *testing.F) {
	for _, p := range hostileLog(f).packets[2:] {
		f.Add(p[5], p[1+headerSize:])
	}
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		w := &logWriter{serverID: 7, noCRC: true}
		w.fakeRotate("binlog.000001", firstPos)
		w.add(formatDescriptionEvent, append(formatDescription(0), 0, 0, 0, 0))
		w.add(gtidEvent, gtidBody(5, 1, 2))
		w.add(queryEvent, queryBody(9, "d", "BEGIN"))
		w.add(tableMapEvent, tableMapBody(88, "d", "wide", wideTypes, wideMeta, nil))
		w.add(eventType(kind), body)
		w.add(writeRowsV2, rowsBodyV2(88, 7, [][]byte{ones(7)}, wideImage(1)))
		w.add(xidEvent, make([]byte, 8))
		devour(w.packets)
	})
}

func FuzzJSON(f *testing.F) {
	f.Add(append([]byte{}, smallDocument...), []byte{0, 3, '$', '.', 'a', 3, 5, 7, 0})
	f.Add([]byte{2, 1, 0, 10, 0, 12, 6, 0, 1, 'x', 0, 0}, []byte{1, 4, '$', '[', '0', ']', 3, 5, 7, 0})
	f.Fuzz(func(t *testing.T, doc, diffs []byte) {
		if out, err := appendJSON(nil, doc); err == nil && len(out) > 400*len(doc)+400 {
			t.Errorf("%d bytes of text from %d", len(out), len(doc))
		}
		appendPatchedJSON(nil, doc, diffs)
	})
}
