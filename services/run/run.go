// Package run holds what a process is made of: components with Run(ctx) error, ended together.
package run

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

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

// Protect turns a panic in f into an error with its stack, so that one task's defect does not end the process and its other tasks.
func Protect(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}
