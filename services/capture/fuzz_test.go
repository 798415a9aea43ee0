package capture

import (
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

// FuzzUnmarshal reads any bytes as a message of the row stream, and must come to what protobuf's own reading comes to.
func FuzzUnmarshal(f *testing.F) {
	token, err := proto.Marshal(&rowv1.ResumeToken{Version: 1, Start: &rowv1.Position{File: "binlog.000001", Pos: 4, Gtids: "0-1-5"}, Event: 2, Row: 3})
	if err != nil {
		f.Fatal(err)
	}
	for _, m := range []*capturev1.SubscribeResponse{
		{Message: &capturev1.SubscribeResponse_Batch{Batch: &rowv1.Batch{Seq: 1, File: "b", GroupOp: []byte("c"), GroupSchema: []uint32{1}, Payload: []byte("payload"),
			Checkpoint: &rowv1.Checkpoint{Token: token, TransactionEnd: true}}}},
		{Message: &capturev1.SubscribeResponse_Batch{Batch: &rowv1.Batch{Seq: 1}}},
		{Message: &capturev1.SubscribeResponse_Gap{Gap: &capturev1.Gap{Reason: "gone"}}},
		{},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		want := new(capturev1.SubscribeResponse)
		wantErr := proto.Unmarshal(data, want)
		r := new(received)
		gotErr := NewCodec(&Pool{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(data)}, r)
		if (wantErr == nil) != (gotErr == nil) {
			t.Fatalf("%x: %v, protobuf says %v", data, gotErr, wantErr)
		}
		if wantErr == nil && !proto.Equal(r.response, want) {
			t.Fatalf("%x: %v, protobuf says %v", data, r.response, want)
		}
	})
}
