package capture_test

import (
	"context"
	"testing"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/capture/capturetest"
	"github.com/rowmesh/rowmesh/services/row"
)

// wide is a table like the one that the performance goals are stated on: seven columns, about 325 packed bytes a row.
var wide = []*rowv1.Column{
	{Kind: rowv1.Kind_KIND_INT}, {Kind: rowv1.Kind_KIND_INT}, {Kind: rowv1.Kind_KIND_STRING}, {Kind: rowv1.Kind_KIND_STRING},
	{Kind: rowv1.Kind_KIND_DATETIME}, {Kind: rowv1.Kind_KIND_DECIMAL}, {Kind: rowv1.Kind_KIND_JSON},
}

func appendWide(b []byte, id int64) []byte {
	b = append(b, 0)
	b = row.AppendInt(b, id)
	b = row.AppendInt(b, id*7)
	b = row.AppendBytes(b, make([]byte, 120))
	b = row.AppendBytes(b, make([]byte, 60))
	b = row.AppendDatetime(b, uint64(id))
	b = row.AppendBytes(b, []byte{1, 2, 3, 4})
	return row.AppendBytes(b, make([]byte, 115))
}

// BenchmarkStream measures both ends of the stream together, every cell touched: the copy that stands for decoding into the payload included.
func BenchmarkStream(b *testing.B) {
	var payload []byte
	rows := 0
	for len(payload) < capture.DefaultBatchBytes {
		payload = appendWide(payload, int64(rows))
		rows++
	}
	pool := capture.NewPool()
	c := capturetest.ServePool(b, service{f: func(ctx context.Context, open *capturev1.Open, out capture.Sender) error {
		for {
			const groups = 8
			m := &rowv1.Batch{File: "binlog.000001", Payload: append(pool.Payload(len(payload)), payload...), Checkpoint: &rowv1.Checkpoint{Token: make([]byte, 80)}}
			for i := range groups {
				n := rows / groups
				if i == groups-1 {
					n = rows - n*(groups-1)
				}
				m.GroupSchema, m.GroupOp, m.GroupFlags = append(m.GroupSchema, 1), append(m.GroupOp, 'c'), append(m.GroupFlags, 0)
				m.GroupRows, m.GroupEnd = append(m.GroupRows, uint32(n)), append(m.GroupEnd, uint32(len(payload)))
				m.GroupPos, m.GroupTxn = append(m.GroupPos, 1<<30), append(m.GroupTxn, 0)
			}
			if err := out.Send(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Batch{Batch: m}}); err != nil {
				return err
			}
		}
	}}, pool)
	s, err := c.Subscribe(b.Context(), &capturev1.Open{Source: "s", Start: latest()})
	if err != nil {
		b.Fatal(err)
	}
	lay, cells := row.NewLayout(wide), make([]row.Cell, len(wide))
	b.ReportAllocs()
	b.SetBytes(int64(len(payload) / rows))
	b.ResetTimer()
	for n := 0; n < b.N; {
		m, err := s.Recv()
		if err != nil {
			b.Fatal(err)
		}
		rest := m.GetBatch().Payload
		for len(rest) > 0 && n < b.N {
			if rest, err = lay.Split(cells, rest, false); err != nil {
				b.Fatal(err)
			}
			n++
		}
		s.Release(m)
	}
	b.StopTimer()
	s.Close()
}
