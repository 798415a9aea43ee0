// Package command is the rowmesh command line: the roles, all of them in one process, connectors by the REST API, and the row stream.
package command

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/rowmesh/rowmesh/capturer"
	"github.com/rowmesh/rowmesh/coordinator"
	"github.com/rowmesh/rowmesh/publisher"
	"github.com/rowmesh/rowmesh/services/process"
)

// Execute runs the process's command line args until it ends or the process gets SIGINT or SIGTERM, and returns the exit code.
func Execute(args []string) int {
	return process.Command("rowmesh", func(ctx context.Context, _ []string, _ string, logs io.Writer) error { return Run(ctx, args, logs) })
}

// Run runs the command line args until it ends or ctx does. Roles log to logs.
func Run(ctx context.Context, args []string, logs io.Writer) error {
	c := root(logs)
	c.SetArgs(args)
	return c.ExecuteContext(ctx)
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
		standalone(version, logs), connector(), rows(),
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
