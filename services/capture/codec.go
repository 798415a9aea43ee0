package capture

import (
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

const (
	batchField   = 3  // SubscribeResponse.batch
	payloadField = 26 // Batch.payload
	// splitBytes is the payload from which on a buffer of its own pays; grpc does not count references to smaller ones.
	splitBytes = 2 << 10
)

// codec speaks protobuf, but neither copies the payload of a batch into the message nor out of it.
type codec struct{ pool *Pool }

var _ encoding.CodecV2 = codec{}

// NewCodec returns the codec of the row stream. It handles any protobuf message and names itself "proto": a peer without it notices nothing.
func NewCodec(pool *Pool) encoding.CodecV2 { return codec{pool} }

// ServerOptions are what a grpc.Server needs to serve the row stream without copies.
func ServerOptions(pool *Pool) []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ForceServerCodecV2(NewCodec(pool)), experimental.BufferPool(pool)}
}

// DialOptions are what a connection needs to read the row stream with buffers that are used again.
func DialOptions(pool *Pool) []grpc.DialOption {
	return []grpc.DialOption{experimental.WithBufferPool(pool)}
}

// Name implements encoding.CodecV2.
func (codec) Name() string { return "proto" }

// Marshal implements encoding.CodecV2. It takes the payload out of a batch, and puts it into the pool once grpc has sent it.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("marshal %T: not a protobuf message", v)
	}
	batch := batchOf(m)
	if batch != nil && len(batch.Payload) >= splitBytes {
		return c.marshalBatch(batch)
	}
	buf := c.pool.Get(proto.Size(m))
	out, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend((*buf)[:0], m)
	if err != nil {
		c.pool.Put(buf)
		return nil, err
	}
	if batch != nil {
		payload := batch.Payload
		batch.Payload = nil
		c.pool.Put(&payload)
	}
	*buf = out
	return mem.BufferSlice{mem.NewBuffer(buf, c.pool)}, nil
}

func batchOf(m proto.Message) *rowv1.Batch {
	if r, ok := m.(*capturev1.SubscribeResponse); ok {
		return r.GetBatch()
	}
	return nil
}

// marshalBatch writes SubscribeResponse{batch: b} as a header, which ends in the tag and length of the payload, and the payload itself.
func (c codec) marshalBatch(b *rowv1.Batch) (mem.BufferSlice, error) {
	payload := b.Payload
	b.Payload = nil
	header := proto.Size(b)
	inner := header + protowire.SizeTag(payloadField) + protowire.SizeBytes(len(payload))
	buf := c.pool.Get(protowire.SizeTag(batchField) + protowire.SizeBytes(inner) - len(payload))
	out := protowire.AppendTag((*buf)[:0], batchField, protowire.BytesType)
	out = protowire.AppendVarint(out, uint64(inner))
	out, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(out, b)
	if err != nil {
		c.pool.Put(buf)
		return nil, err
	}
	out = protowire.AppendTag(out, payloadField, protowire.BytesType)
	*buf = protowire.AppendVarint(out, uint64(len(payload)))
	return mem.BufferSlice{mem.NewBuffer(buf, c.pool), mem.NewBuffer(&payload, c.pool)}, nil
}

// received is a message with the buffer that its payload points into. Only the client of this package receives into it.
type received struct {
	response *capturev1.SubscribeResponse
	buffer   mem.Buffer // nil unless response holds a batch with a payload
	bytes    int
}

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	buf := data.MaterializeToBuffer(c.pool)
	defer buf.Free()
	switch v := v.(type) {
	case *received:
		v.bytes = buf.Len()
		v.response = new(capturev1.SubscribeResponse)
		batch, err := aliasBatch(buf.ReadOnlyData())
		if err != nil {
			return err
		}
		if batch == nil {
			return proto.Unmarshal(buf.ReadOnlyData(), v.response)
		}
		v.response.Message = &capturev1.SubscribeResponse_Batch{Batch: batch}
		buf.Ref()
		v.buffer = buf
		return nil
	case proto.Message:
		return proto.Unmarshal(buf.ReadOnlyData(), v)
	}
	return fmt.Errorf("unmarshal into %T: not a protobuf message", v)
}

// aliasBatch reads data as a SubscribeResponse that holds a batch whose payload is its last field, and lets the payload point into data. It returns nil
// for all others, which the caller reads the common way.
func aliasBatch(data []byte) (*rowv1.Batch, error) {
	num, typ, n := protowire.ConsumeTag(data)
	if n < 0 || num != batchField || typ != protowire.BytesType {
		return nil, nil
	}
	inner, m := protowire.ConsumeBytes(data[n:])
	if m < 0 || n+m != len(data) {
		return nil, nil
	}
	for at := 0; at < len(inner); {
		num, typ, n := protowire.ConsumeTag(inner[at:])
		if n < 0 {
			return nil, nil
		}
		m := protowire.ConsumeFieldValue(num, typ, inner[at+n:])
		if m < 0 {
			return nil, nil
		}
		if num == payloadField && typ == protowire.BytesType {
			if at+n+m != len(inner) {
				return nil, nil
			}
			payload, _ := protowire.ConsumeBytes(inner[at+n:])
			b := new(rowv1.Batch)
			if err := proto.Unmarshal(inner[:at], b); err != nil {
				return nil, err
			}
			b.Payload = payload[:len(payload):len(payload)]
			return b, nil
		}
		at += n + m
	}
	return nil, nil
}
