// Package capture is the row stream as Go sees it: the contract (Service), the client that speaks it over gRPC and the server that serves an
// implementation of it. rowmesh/capture/v1/capture_service.proto has the grammar and proto/README.md the conversation.
package capture
