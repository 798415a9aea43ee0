package convert

import (
	"strings"
	"testing"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/row"
)

// wideTable is the reference table: bigint key, int, char(120), varchar(60), datetime(3), decimal(12,2), small JSON.
func wideTable() *rowv1.Table {
	n := func(v uint32) *uint32 { return &v }
	return &rowv1.Table{SchemaId: 1, Database: "bench", Table: "wide", Key: []uint32{0}, Columns: []*rowv1.Column{
		{Name: "id", Kind: rowv1.Kind_KIND_INT, TypeName: "BIGINT", Position: 1},
		{Name: "n", Kind: rowv1.Kind_KIND_INT, TypeName: "INT", Position: 2, Nullable: true},
		{Name: "c", Kind: rowv1.Kind_KIND_STRING, TypeName: "CHAR", Length: n(120), Position: 3, Nullable: true},
		{Name: "v", Kind: rowv1.Kind_KIND_STRING, TypeName: "VARCHAR", Length: n(60), Position: 4, Nullable: true},
		{Name: "at", Kind: rowv1.Kind_KIND_DATETIME, TypeName: "DATETIME", Length: n(3), Position: 5, Nullable: true},
		{Name: "price", Kind: rowv1.Kind_KIND_DECIMAL, TypeName: "DECIMAL", Length: n(12), Scale: n(2), Position: 6, Nullable: true},
		{Name: "doc", Kind: rowv1.Kind_KIND_JSON, TypeName: "JSON", Position: 7, Nullable: true},
	}}
}

func wideImage(dst []byte, id, n int64) []byte {
	dst = append(dst, 0)
	dst = row.AppendInt(dst, id)
	dst = row.AppendInt(dst, n)
	dst = row.AppendBytes(dst, "0123456789 the quick brown fox jumps over the lazy dog 0123456789 the quick brown fox jumps over the lazy dog 0123456789")
	dst = row.AppendBytes(dst, "sixty characters of text, more or less, in a varchar column")
	dst = row.AppendDatetime(dst, row.PackDatetime(row.PackDate(2024, 2, 29), 12, 34, 56, uint64(n%1000)*1000))
	dst = row.AppendBytes(dst, []byte{0x0F, 0x42, byte(n)})
	return row.AppendBytes(dst, `{"a":1,"b":"two","c":[1,2,3]}`)
}

// wideBatch is one log event of updates.
func wideBatch(rows int) *rowv1.Batch {
	var payload []byte
	for i := range rows {
		payload = wideImage(payload, int64(i), int64(i))
		payload = wideImage(payload, int64(i), int64(i+1))
	}
	return &rowv1.Batch{
		File: "binlog.000001", GroupSchema: []uint32{1}, GroupOp: []byte{'u'}, GroupFlags: []byte{0}, GroupRows: []uint32{uint32(rows)},
		GroupEnd: []uint32{uint32(len(payload))}, GroupPos: []uint64{123456}, GroupTime: []uint32{1700000000}, GroupTxn: []uint32{0},
		GroupFirstRow: []uint32{0}, Sids: []string{"9130e191-e69b-11f1-9fe4-02fc00000001"}, TxnSid: []uint32{1}, TxnGno: []uint64{575},
		TxnCommitUs: []uint64{1700000000123456}, TxnThread: []uint32{251}, TxnServerId: []uint32{1}, Payload: payload,
	}
}

func benchmarkUpdate(b *testing.B, schemas bool, rows int) {
	cfg := testConfig("bench")
	cfg.KeyConverter.Schemas, cfg.ValueConverter.Schemas = schemas, schemas
	enc, err := New(cfg, Options{RunID: "01a2045e-91e5-7070-af28-40a55e921a1a", Now: func() int64 { return 1_700_000_000_123_456_789 }})
	if err != nil {
		b.Fatal(err)
	}
	if err := enc.AddTable(wideTable()); err != nil {
		b.Fatal(err)
	}
	batch := wideBatch(rows)
	var out Output
	if err := enc.Batch(batch, &out); err != nil { // grows the output
		b.Fatal(err)
	}
	b.SetBytes(int64(len(out.Arena) / rows))
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += rows {
		out.Reset()
		if err := enc.Batch(batch, &out); err != nil {
			b.Fatal(err)
		}
	}
}

// One operation is one row.
func BenchmarkUpdate(b *testing.B)                 { benchmarkUpdate(b, false, 100) }
func BenchmarkUpdateSchemas(b *testing.B)          { benchmarkUpdate(b, true, 100) }
func BenchmarkUpdateSingleRow(b *testing.B)        { benchmarkUpdate(b, false, 1) }
func BenchmarkUpdateSingleRowSchemas(b *testing.B) { benchmarkUpdate(b, true, 1) }

func BenchmarkString(b *testing.B) {
	for name, text := range map[string]string{
		"ascii":    strings.Repeat("the quick brown fox jumps over the lazy dog ", 25),
		"cyrillic": strings.Repeat("съешь ещё этих мягких французских булок ", 15),
		"escapes":  strings.Repeat("{\"a\":\"b\\c\"}\n", 90),
	} {
		b.Run(name, func(b *testing.B) {
			var dst []byte
			in := []byte(text)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				dst = appendString(dst[:0], in)
			}
		})
	}
}
