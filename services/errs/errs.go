// Package errs holds the kinds of error that cross a process border, and their gRPC codes.
//
// The set is closed and append-only. A kind says what a caller may do; the text names the thing, the position and the next step.
package errs

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Kind classifies an error.
type Kind string

// Kinds.
const (
	Invalid     Kind = "Invalid"     // the request can never work as it stands
	NotFound    Kind = "NotFound"    // the thing named does not exist
	Exists      Kind = "Exists"      // it exists already
	Stale       Kind = "Stale"       // an older generation or revision spoke
	NotOwner    Kind = "NotOwner"    // somebody else has it
	Busy        Kind = "Busy"        // try again soon
	Unavailable Kind = "Unavailable" // a server that is needed does not answer; try again
	Denied      Kind = "Denied"      // credentials or grants are missing
	Corrupt     Kind = "Corrupt"     // data do not say what they should
	Gap         Kind = "Gap"         // the log no longer holds what is needed
	Unsupported Kind = "Unsupported" // the server or broker cannot do this
	Internal    Kind = "Internal"    // a defect of ours
)

// Error is an error with a kind.
type Error struct {
	Kind Kind
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// E makes an error of a kind; format and args as for fmt.Errorf.
func E(k Kind, format string, args ...any) error { return &Error{k, fmt.Errorf(format, args...)} }

// KindOf returns the kind of the outermost Error in err's chain, that of a gRPC status, or Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	if s, ok := status.FromError(err); ok {
		for k, c := range grpcCodes {
			if c == s.Code() {
				return k
			}
		}
		if s.Code() == codes.DeadlineExceeded || s.Code() == codes.Canceled {
			return Unavailable
		}
	}
	return Internal
}

// grpcCodes is one to one, so that a kind survives the wire.
var grpcCodes = map[Kind]codes.Code{
	Invalid: codes.InvalidArgument, NotFound: codes.NotFound, Exists: codes.AlreadyExists, Stale: codes.Aborted, NotOwner: codes.FailedPrecondition,
	Busy: codes.ResourceExhausted, Unavailable: codes.Unavailable, Denied: codes.PermissionDenied, Corrupt: codes.DataLoss, Gap: codes.OutOfRange,
	Unsupported: codes.Unimplemented, Internal: codes.Internal,
}

// Status returns err as a gRPC status error. A status error stays as it is.
func Status(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.Error(grpcCodes[KindOf(err)], err.Error())
}

// FromStatus turns a gRPC error into an Error of its kind.
func FromStatus(err error) error {
	if err == nil {
		return nil
	}
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	return &Error{KindOf(err), errors.New(s.Message())}
}
