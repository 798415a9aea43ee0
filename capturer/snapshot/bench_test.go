package snapshot

import (
	"strings"
	"testing"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/source"
)

// wide is the reference table of the benchmarks: bigint key, int, char(120), varchar(60), datetime(3), decimal(12,2), small JSON.
func wide() *rowv1.Table {
	return &rowv1.Table{Columns: []*rowv1.Column{
		column(rowv1.Kind_KIND_INT, "BIGINT"), column(rowv1.Kind_KIND_INT, "INT"), column(rowv1.Kind_KIND_STRING, "CHAR", 120), column(rowv1.Kind_KIND_STRING, "VARCHAR", 60),
		column(rowv1.Kind_KIND_DATETIME, "DATETIME", 3), column(rowv1.Kind_KIND_DECIMAL, "DECIMAL", 12, 2), column(rowv1.Kind_KIND_JSON, "JSON")}}
}

// BenchmarkAppendRow packs a wide row from the protocol's text.
func BenchmarkAppendRow(b *testing.B) {
	p, err := newPlan(wide(), nil, false)
	if err != nil {
		b.Fatal(err)
	}
	raw := textRow("123456789", "42", strings.Repeat("c", 119), strings.Repeat("v", 40), "2024-06-01 12:34:56.789", "1234567.89", `{"a": 1, "b": [1, 2, 3], "c": "text"}`)
	dst := make([]byte, 0, 256<<10)
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if len(dst) > 250<<10 {
			dst = dst[:0]
		}
		if dst, err = p.appendRow(dst, raw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRun reads 128 Ki wide rows of a real server on one connection, with and without TLS.
func BenchmarkRun(b *testing.B) {
	for _, v := range servers {
		for _, mode := range []source.TLSMode{source.TLSDisabled, source.TLSPreferred} {
			b.Run(strings.TrimPrefix(v, "ROWMESH_TEST_")+"/tls="+string(mode), func(b *testing.B) {
				f := newFixture(b, v)
				f.exec("CREATE TABLE t (id bigint PRIMARY KEY AUTO_INCREMENT, n int, c char(120), v varchar(60), at datetime(3), amount decimal(12,2), j json)")
				f.exec(`INSERT INTO t (n, c, v, at, amount, j) VALUES (42, REPEAT('c', 119), REPEAT('v', 40), '2024-06-01 12:34:56.789', 1234567.89, '{"a": 1, "b": [1, 2, 3], "c": "text"}')`)
				for range 17 {
					f.exec("INSERT INTO t (n, c, v, at, amount, j) SELECT n, c, v, at, amount, j FROM t")
				}
				rows := 0
				b.ReportAllocs()
				for b.Loop() {
					o := f.options()
					o.Source.TLS = mode
					res, err := Run(b.Context(), o, func(*capturev1.SubscribeResponse) error { return nil })
					if err != nil {
						b.Fatal(err)
					}
					rows += int(res.Rows)
				}
				b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}
