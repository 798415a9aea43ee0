package capture

import (
	"context"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
)

// Service is what a capturer implements and NewServer serves.
type Service interface {
	// Subscribe sends what open asks for until ctx ends, the subscription ends by its grammar (nil), or an error. Errors have a kind (services/errs).
	Subscribe(ctx context.Context, open *capturev1.Open, out Sender) error
	// Describe describes a source.
	Describe(ctx context.Context, req *capturev1.DescribeSourceRequest) (*capturev1.DescribeSourceResponse, error)
}

// Definer is a Service that takes the shapes of tables from others. NewServer finds out.
type Definer interface {
	// Define replays the statements of all the requests that next returns, the first of which names source and place; next ends with io.EOF.
	Define(ctx context.Context, next func() (*capturev1.DefineTablesRequest, error)) (*capturev1.DefineTablesResponse, error)
}

// Sender takes the messages of one subscription. One goroutine uses it.
type Sender interface {
	// Send hands a message over; it and all it refers to belong to the sender afterwards. It blocks while the subscriber has no credit, and fails
	// when the stream is gone. The sender sets epoch and seq of batches and DDL messages.
	Send(m *capturev1.SubscribeResponse) error
	// Acked returns the highest acknowledged seq.
	Acked() uint64
}

// Commander is a Sender whose subscriber can start and steer snapshots.
type Commander interface {
	// Commands returns what the subscriber asks for, in order. Whoever serves a stream that reads the log takes them; a few wait.
	Commands() <-chan *capturev1.SnapshotCommand
}
