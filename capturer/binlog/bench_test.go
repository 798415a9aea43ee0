package binlog

import (
	"bytes"
	"io"
	"testing"

	"github.com/go-mysql-org/go-mysql/replication"
)

// readLog pulls a whole log and decodes its rows; it returns how many there were.
func readLog(tb testing.TB, src packetSource, plan *Plan, dst []byte) (*Plan, []byte, int) {
	s := newStream(src, Config{VerifyChecksum: true}.withDefaults())
	total := 0
	for {
		ev, err := s.Next()
		if err != nil {
			if src.(*memory).at == len(src.(*memory).packets) {
				return plan, dst, total
			}
			tb.Fatal(err)
		}
		if ev.Kind != Rows {
			continue
		}
		if plan == nil || plan.table != ev.Table {
			if plan, err = Compile(ev.Table, wideShape); err != nil {
				tb.Fatal(err)
			}
		}
		out, n, _, err := plan.Append(dst[:0], ev, 0, 0)
		if err != nil {
			tb.Fatal(err)
		}
		dst = out
		total += n
	}
}

// BenchmarkStream is event loop, checksum, decode and pack; the unit is one row.
func BenchmarkStream(b *testing.B) {
	for _, c := range []struct {
		name string
		rows int
		kind eventType
	}{{"insert/rows=24", 24, writeRowsV2}, {"update/rows=12", 12, updateRowsV2}, {"insert/rows=1", 1, writeRowsV2}} {
		b.Run(c.name, func(b *testing.B) {
			log := wideLog(200, c.rows, c.kind)
			var plan *Plan
			dst := make([]byte, 0, 1<<20)
			b.ReportAllocs()
			for n := 0; n < b.N; {
				_, _, rows := readLog(b, &memory{packets: log.packets}, plan, dst)
				n += rows
			}
		})
	}
}

// BenchmarkAppend is decode and pack alone; the unit is one row.
func BenchmarkAppend(b *testing.B) {
	ev, plan := wideEvent(b, 24)
	dst := make([]byte, 0, 1<<20)
	b.ReportAllocs()
	b.SetBytes(int64(len(ev.rows.data) / 24))
	for n := 0; n < b.N; n += 24 {
		if _, _, _, err := plan.Append(dst[:0], ev, 0, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGoMySQL is the same event in go-mysql's decoder, for comparison.
func BenchmarkGoMySQL(b *testing.B) {
	log := wideLog(1, 24, writeRowsV2)
	p := replication.NewBinlogParser()
	var rows []byte
	for _, packet := range log.packets {
		if eventType(packet[1+4]) == writeRowsV2 {
			rows = bytes.Clone(packet[1:])
			rows[headerSize+6] = 0 // without the end of the statement the table map stays
			continue
		}
		if _, err := p.Parse(packet[1:]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for n := 0; n < b.N; n += 24 {
		if _, err := p.Parse(rows); err != nil {
			b.Fatal(err)
		}
	}
}

// wideEvent returns a row event of the wide table and its plan.
func wideEvent(tb testing.TB, rows int) (*Event, *Plan) {
	tb.Helper()
	s := newStream(&memory{packets: wideLog(1, rows, writeRowsV2).packets}, Config{VerifyChecksum: true}.withDefaults())
	for {
		ev, err := s.Next()
		if err != nil {
			tb.Fatal(err)
		}
		if ev.Kind == Rows {
			plan, err := Compile(ev.Table, wideShape)
			if err != nil {
				tb.Fatal(err)
			}
			return ev, plan
		}
	}
}

// A row costs no allocation.
func TestNoAllocations(t *testing.T) {
	ev, plan := wideEvent(t, 24)
	dst := make([]byte, 0, 1<<20)
	if n := testing.AllocsPerRun(100, func() {
		if _, rows, done, err := plan.Append(dst[:0], ev, 0, 0); err != nil || !done || rows != 24 {
			t.Fatal(rows, done, err)
		}
	}); n != 0 {
		t.Errorf("Append: %.2f allocations per event, want 0", n)
	}
	src := &memory{packets: wideLog(50, 10, writeRowsV2).packets}
	s := newStream(src, Config{VerifyChecksum: true}.withDefaults())
	for range 5 {
		if _, err := s.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := s.Next(); err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Next: %.2f allocations per event, want 0", n)
	}
}
