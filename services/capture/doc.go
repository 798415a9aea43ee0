// Package capture is the row stream as Go sees it: the contract (Service), the client that speaks it over gRPC and the server that serves an
// implementation of it. rowmesh/capture/v1/capture_service.proto has the grammar of the messages.
//
//	Service ── Sender ──> NewServer ══ gRPC ══> NewClient ── Stream.Recv ──> subscriber
//	                          ^                     |
//	                          └── Credit, Ack ──────┘
//
// The server guards the contract for every implementation: the first message is an Open and comes within ten seconds, sizes and credit have
// bounds, an older epoch of a consumer never speaks while a newer one is there, batches and DDL messages carry epoch and consecutive numbers, nothing is sent without
// credit. The client checks what the server promises: numbers without a hole, the epoch it asked for.
//
// What is on the wire is plain protobuf, so that any gRPC client can subscribe. Both ends use a codec (NewCodec) that spares copies of
// the payload of a batch: it is sent straight from the buffer it was built in, and read in place on the other side. Hence the two rules of ownership: a
// message given to Sender.Send belongs to the sender, and a batch got from Stream.Recv is valid until Stream.Release.
//
// A message costs as much credit as it has bytes. Opened, Gap and Reset are sent without regard to credit. Clients made here return credit by themselves:
// for batches on Release, for the other messages on receipt.
package capture
