// Package command is the rowmesh command line: the roles, all of them in one process, connectors by the REST API, and the row stream.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/rowmesh/rowmesh/capturer"
	"github.com/rowmesh/rowmesh/coordinator"
	"github.com/rowmesh/rowmesh/publisher"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/process"
)

// Exit codes.
const (
	exitFailed   = 1 // what was asked for could not be done
	exitUsage    = 2 // the command line, a file or a config is wrong
	exitFindings = 3 // the work is done and has found something wrong
)

// Execute runs the process's command line args until it ends or the process gets SIGINT or SIGTERM, and returns the exit code.
func Execute(args []string) int {
	code := exitFailed
	ended := process.Command("rowmesh", func(ctx context.Context, _ []string, _ string, logs io.Writer) error {
		err := Run(ctx, args, logs)
		code = exitCode(err)
		return err
	})
	if ended == 0 {
		return 0
	}
	return code
}

func exitCode(err error) int {
	switch {
	case errors.As(err, new(findings)):
		return exitFindings
	case errors.As(err, new(usage)), errs.KindOf(err) == errs.Invalid, answered(err, http.StatusBadRequest):
		return exitUsage
	}
	return exitFailed
}

// usage is an error of the command line itself.
type usage struct{ error }

// Unwrap returns the error.
func (u usage) Unwrap() error { return u.error }

// Run runs the command line args until it ends or ctx does. Roles log to logs.
func Run(ctx context.Context, args []string, logs io.Writer) error {
	c, began := root(logs), false
	each(c, func(c *cobra.Command) {
		if c.HasParent() && c.HasSubCommands() && !c.Runnable() { // cobra takes a wrong subcommand for a wish for help
			c.Args, c.RunE = cobra.NoArgs, func(c *cobra.Command, _ []string) error { return c.Help() }
		}
		if f := c.RunE; f != nil {
			c.RunE = func(c *cobra.Command, args []string) error {
				began = true
				return f(c, args)
			}
		}
	})
	c.SetArgs(args)
	err := c.ExecuteContext(ctx)
	if err != nil && !began { // cobra refused it
		return usage{err}
	}
	return err
}

// each calls f for a command and all below it.
func each(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		each(sub, f)
	}
}

func root(logs io.Writer) *cobra.Command {
	c := &cobra.Command{
		Use:           "rowmesh",
		Short:         "Change data capture from MySQL and MariaDB to Kafka",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	version := process.Version()
	c.AddCommand(
		role("coordinator", "Keep the connectors, assign their work, serve the REST API", func(ctx context.Context, args []string) error {
			return coordinator.Main(ctx, args, version, logs)
		}),
		role("capturer", "Read binlogs and stream rows", func(ctx context.Context, args []string) error {
			return capturer.Main(ctx, args, version, logs)
		}),
		role("publisher", "Write rows to Kafka", func(ctx context.Context, args []string) error {
			return publisher.Main(ctx, args, version, logs)
		}),
		standalone(version, logs), workerCommand(version, logs), connector(), snapshot(), deadLetterCommand(logs), options(), plugins(), contextCommand(), migrate(), rows(),
		&cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs, Run: func(c *cobra.Command, _ []string) {
			fmt.Fprintln(c.OutOrStdout(), "rowmesh", version)
		}},
	)
	return c
}

// role is a subcommand whose flags are the role's own: rowmesh coordinator -help.
func role(name, short string, main func(ctx context.Context, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: name + " [flags]", Short: short, DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error { return main(c.Context(), args) },
	}
}
