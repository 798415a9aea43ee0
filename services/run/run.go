// Package run holds what a process is made of: components with Run(ctx) error, ended together, and a main that ends on a signal.
package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"golang.org/x/sync/errgroup"
)

// Func is a component: it returns only when all it started has ended, and nil or ctx's error if ctx ended it.
type Func func(ctx context.Context) error

// All runs components until one fails or ctx ends, then waits for all. It returns the first failure; the end of ctx is not one.
func All(ctx context.Context, fs ...Func) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, f := range fs {
		g.Go(func() error { return f(gctx) })
	}
	err := g.Wait()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// Main runs f until it ends or the process gets SIGINT or SIGTERM, and exits: 0 after a clean end, 1 after an error. A second signal ends the
// process at once.
func Main(log *slog.Logger, f Func) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the default action comes back for the second signal
	err := f(ctx)
	stop()
	if err != nil && !errors.Is(err, context.Canceled) {
		log.Error("process ends", "error", err)
		os.Exit(1)
	}
}

// Protect turns a panic in f into an error with its stack, so that one task's defect does not end the process and its other tasks.
func Protect(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}
