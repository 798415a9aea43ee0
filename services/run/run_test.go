package run

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestAllReturnsFirstFailureAndEndsTheOthers(t *testing.T) {
	boom := errors.New("boom")
	ended := false
	err := All(t.Context(),
		func(context.Context) error { return boom },
		func(ctx context.Context) error { <-ctx.Done(); ended = true; return ctx.Err() })
	if !errors.Is(err, boom) || !ended {
		t.Fatalf("got %v, ended %v", err, ended)
	}
}

func TestAllEndOfContextIsNoFailure(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := All(ctx, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }); err != nil {
		t.Fatal(err)
	}
}

func TestProtectTurnsPanicIntoError(t *testing.T) {
	err := Protect(func() error { panic("odd row") })
	if err == nil || !strings.Contains(err.Error(), "odd row") {
		t.Fatalf("got %v", err)
	}
}
