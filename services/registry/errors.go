package registry

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/rowmesh/rowmesh/services/errs"
)

// classify gives an error of the etcd client its kind. An error that has one, and nil, stay as they are.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var kinded *errs.Error
	if errors.As(err, &kinded) {
		return err
	}
	switch {
	case errors.Is(err, context.Canceled):
		return err // the caller's own wish
	case errors.Is(err, context.DeadlineExceeded):
		return errs.E(errs.Unavailable, "etcd does not answer; check that it runs and that -etcd names it: %w", err)
	case errors.Is(err, rpctypes.ErrNoSpace):
		return errs.E(errs.Unavailable, "etcd is full; compact and defragment it or raise --quota-backend-bytes, then disarm its NOSPACE alarm: %w", err)
	case errors.Is(err, rpctypes.ErrTooManyRequests):
		return errs.E(errs.Busy, "etcd is overloaded: %w", err)
	case errors.Is(err, rpctypes.ErrRequestTooLarge), code(err) == codes.ResourceExhausted: // the latter from the client, for more than 2 MiB
		return errs.E(errs.Invalid, "record is larger than etcd takes (--max-request-bytes, 1.5 MiB by default): %w", err)
	case errors.Is(err, rpctypes.ErrPermissionDenied), errors.Is(err, rpctypes.ErrAuthFailed), errors.Is(err, rpctypes.ErrUserEmpty),
		errors.Is(err, rpctypes.ErrInvalidAuthToken):
		return errs.E(errs.Denied, "etcd refuses this user; grant it readwrite on the mesh's prefix: %w", err)
	}
	switch code(err) {
	case codes.Unavailable, codes.DeadlineExceeded:
		// No leader, leader changed, connection refused: it comes back by itself or by the operator's hand.
		return errs.E(errs.Unavailable, "etcd does not answer; check that it runs and that -etcd names it: %w", err)
	case codes.Canceled:
		return context.Canceled
	}
	return errs.E(errs.Internal, "etcd: %w", err)
}

// code returns the gRPC code in an etcd client's error, which is either its own type or a status.
func code(err error) codes.Code {
	var own rpctypes.EtcdError
	if errors.As(err, &own) {
		return own.Code()
	}
	return status.Code(err)
}
