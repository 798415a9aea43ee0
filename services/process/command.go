package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// Version is the module's version as the go command knows it: a tag, a commit, or "devel".
func Version() string {
	i, ok := debug.ReadBuildInfo()
	if !ok || i.Main.Version == "" || i.Main.Version == "(devel)" {
		return "devel"
	}
	return i.Main.Version
}

// Command runs a program's main function with this process's arguments until it ends or the process gets SIGINT or SIGTERM, and returns the exit
// code. A second signal ends the process at once.
func Command(name string, main func(ctx context.Context, args []string, version string, logs io.Writer) error) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the default action comes back for the second signal
	err := main(ctx, os.Args[1:], Version(), os.Stderr)
	if err == nil || errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	return 1
}
