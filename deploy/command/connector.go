package command

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rowmesh/rowmesh/services/errs"
)

// connectors are the commands on connectors. They speak the REST API and nothing else, so they work with any server of it.
type connectors struct {
	connection
	wait    bool
	timeout time.Duration
}

// connector returns the commands.
func connector() *cobra.Command {
	k := &connectors{}
	c := &cobra.Command{Use: "connector", Aliases: []string{"connectors", "c"}, Short: "Create, look at, change and delete connectors"}
	k.connection.flags(c.PersistentFlags())
	c.AddCommand(
		k.create(), k.apply(), k.list(), k.get(), k.status(), k.describe(), k.edit(), k.validate(), k.delete(), k.restart(), k.offsets(),
		k.target("pause", "Pause connectors: their tasks stay and rest", "PAUSED"),
		k.target("resume", "Let paused or stopped connectors go on", "RUNNING"),
		k.target("stop", "Stop connectors: their tasks end, their offsets can be changed", "STOPPED"),
	)
	return c
}

// waits declares the flags of commands that can wait for what they have asked for.
func (k *connectors) waits(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVar(&k.wait, "wait", false, "wait until it is so")
	c.Flags().DurationVar(&k.timeout, "timeout", time.Minute, "how long --wait waits")
	return c
}

// names completes the names of connectors.
func (k *connectors) names(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var all []string
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second) // a shell waits for this
	defer cancel()
	if a, err := k.open(); err != nil || a.get(ctx, "/connectors", &all) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.DeleteFunc(all, func(n string) bool { return slices.Contains(args, n) }), cobra.ShellCompDirectiveNoFileComp
}

func (k *connectors) create() *cobra.Command {
	var files []string
	var state string
	var o output
	c := &cobra.Command{
		Use: "create FILE...", Short: "Create connectors from JSON, YAML or properties files; - reads standard input", Args: cobra.ArbitraryArgs,
		Long: "Creates a connector from each file that holds " + fileForm + ",\na flat config with its \"name\", or properties.\n- reads standard input.",
		RunE: func(c *cobra.Command, args []string) error {
			return k.each(c, append(files, args...), func(a *api, f connectorFile) error {
				if state != "" {
					f.State = state
				}
				b, err := f.body()
				if err != nil {
					return err
				}
				out, err := a.do(c.Context(), http.MethodPost, "/connectors", b)
				if err != nil {
					return err
				}
				return k.created(c, a, &o, f, out, "created")
			})
		},
	}
	c.Flags().StringSliceVarP(&files, "file", "f", nil, "a file; may be given more than once")
	c.Flags().StringVar(&state, "state", "", "first state: RUNNING, PAUSED or STOPPED")
	o.flags(c.Flags(), false)
	return k.waits(c)
}

func (k *connectors) apply() *cobra.Command {
	var files []string
	var o output
	c := &cobra.Command{
		Use: "apply FILE...", Short: "Create connectors, or give those that exist the config of their file", Args: cobra.ArbitraryArgs,
		Long: "Takes the files that create takes. A connector that exists gets the config of its file; one whose config is that already goes on undisturbed.",
		RunE: func(c *cobra.Command, args []string) error {
			return k.each(c, append(files, args...), func(a *api, f connectorFile) error {
				out, err := a.do(c.Context(), http.MethodPut, connectorPath(f.Name, "config"), f.Config)
				if err != nil {
					return err
				}
				return k.created(c, a, &o, f, out, "configured")
			})
		},
	}
	c.Flags().StringSliceVarP(&files, "file", "f", nil, "a file; may be given more than once")
	o.flags(c.Flags(), false)
	return k.waits(c)
}

// each calls f for the connector of each file; all are read before the first is sent.
func (k *connectors) each(c *cobra.Command, files []string, f func(*api, connectorFile) error) error {
	if len(files) == 0 {
		return errs.E(errs.Invalid, "%s wants a file: accepts 1 arg or more, or -f FILE", c.CommandPath())
	}
	all := make([]connectorFile, len(files))
	for i, name := range files {
		var err error
		if all[i], err = readFile(name, c.InOrStdin()); err != nil {
			return err
		}
	}
	a, err := k.open()
	if err != nil {
		return err
	}
	for i, x := range all {
		if err := f(a, x); err != nil {
			return fmt.Errorf("%s the connector of %s: %w", c.Name(), files[i], err)
		}
	}
	return nil
}

// created says what became of a file's connector.
func (k *connectors) created(c *cobra.Command, a *api, o *output, f connectorFile, answer []byte, done string) error {
	if k.wait && !strings.EqualFold(f.State, "STOPPED") && !strings.EqualFold(f.State, "PAUSED") {
		if err := k.await(c.Context(), a, f.Name, running); err != nil {
			return err
		}
	}
	if o.format == "table" || o.format == "wide" {
		fmt.Fprintf(c.OutOrStdout(), "connector %s is %s\n", f.Name, done)
		return nil
	}
	document, err := raw(answer)
	if err != nil {
		return err
	}
	return o.print(c.OutOrStdout(), document, listing{names: []string{f.Name}})
}

// target pauses, resumes or stops.
func (k *connectors) target(verb, short, state string) *cobra.Command {
	return k.waits(&cobra.Command{
		Use: verb + " NAME...", Short: short, Args: cobra.MinimumNArgs(1), ValidArgsFunction: k.names,
		RunE: func(c *cobra.Command, names []string) error {
			return k.eachName(c, names, func(a *api, name string) error {
				if _, err := a.do(c.Context(), http.MethodPut, connectorPath(name, verb), nil); err != nil {
					return err
				}
				if k.wait {
					if err := k.await(c.Context(), a, name, func(s connectorStatus) bool { return s.is(state) }); err != nil {
						return err
					}
				}
				fmt.Fprintf(c.OutOrStdout(), "connector %s is to be %s\n", name, state)
				return nil
			})
		},
	})
}

// eachName calls f for each connector and goes on after a failure, so that one name that is wrong spoils no others.
func (k *connectors) eachName(c *cobra.Command, names []string, f func(a *api, name string) error) error {
	a, err := k.open()
	if err != nil {
		return err
	}
	var failed []string
	for _, name := range names {
		if ferr := f(a, name); ferr != nil {
			if len(names) == 1 || c.Context().Err() != nil {
				return ferr
			}
			failed = append(failed, name)
			fmt.Fprintf(c.ErrOrStderr(), "connector %s: %v\n", name, ferr)
		}
	}
	if failed != nil {
		return fmt.Errorf("%s of %d connectors failed: %s", c.Name(), len(failed), strings.Join(failed, ", "))
	}
	return nil
}

func (k *connectors) restart() *cobra.Command {
	var onlyFailed, noTasks bool
	var tasks []int
	c := &cobra.Command{
		Use: "restart NAME...", Short: "Start connectors again, with their tasks", Args: cobra.MinimumNArgs(1), ValidArgsFunction: k.names,
		RunE: func(c *cobra.Command, names []string) error {
			return k.eachName(c, names, func(a *api, name string) error {
				paths := []string{connectorPath(name, fmt.Sprintf("restart?includeTasks=%t&onlyFailed=%t", !noTasks, onlyFailed))}
				if len(tasks) > 0 {
					paths = nil
				}
				for _, n := range tasks {
					paths = append(paths, connectorPath(name, "tasks", fmt.Sprint(n), "restart"))
				}
				for _, p := range paths {
					if _, err := a.do(c.Context(), http.MethodPost, p, nil); err != nil {
						return err
					}
				}
				if k.wait {
					if err := k.await(c.Context(), a, name, running); err != nil {
						return err
					}
				}
				fmt.Fprintf(c.OutOrStdout(), "connector %s is started again\n", name)
				return nil
			})
		},
	}
	c.Flags().BoolVar(&onlyFailed, "only-failed", false, "only what has failed")
	c.Flags().BoolVar(&noTasks, "no-tasks", false, "not its tasks")
	c.Flags().IntSliceVar(&tasks, "task", nil, "only this task; may be given more than once")
	return k.waits(c)
}

func (k *connectors) delete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME...", Short: "Delete connectors; their offsets and topics stay", Args: cobra.MinimumNArgs(1), ValidArgsFunction: k.names,
		RunE: func(c *cobra.Command, names []string) error {
			return k.eachName(c, names, func(a *api, name string) error {
				if _, err := a.do(c.Context(), http.MethodDelete, connectorPath(name), nil); err != nil {
					return err
				}
				fmt.Fprintf(c.OutOrStdout(), "connector %s is deleted; its offsets and topics stay in Kafka\n", name)
				return nil
			})
		},
	}
}

// awaitEvery is short against what people notice.
const awaitEvery = 200 * time.Millisecond

// pause waits for awaitEvery or the end of ctx, whose error it returns.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(awaitEvery):
		return nil
	}
}

// await waits until a connector's status is good.
func (k *connectors) await(ctx context.Context, a *api, name string, good func(connectorStatus) bool) error {
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	var last connectorStatus
	for {
		err := a.get(ctx, connectorPath(name, "status"), &last)
		switch {
		case err == nil && good(last):
			return nil
		case err != nil && ctx.Err() == nil && !answered(err, http.StatusNotFound, http.StatusConflict):
			return err
		}
		if pause(ctx) != nil {
			return fmt.Errorf("connector %s: not after %s; it is %s", name, k.timeout, last.summary())
		}
	}
}

// running reports whether a connector and all its tasks run.
func running(s connectorStatus) bool { return len(s.Tasks) > 0 && s.is("RUNNING") }

func (k *connectors) edit() *cobra.Command {
	return k.waits(&cobra.Command{
		Use: "edit NAME", Short: "Change a connector's config in $EDITOR", Args: cobra.ExactArgs(1), ValidArgsFunction: k.names,
		Long: "Opens the config in $VISUAL, $EDITOR or vi. It is sent when the editor ends, if it was changed; what the server refuses can be mended.",
		RunE: func(c *cobra.Command, args []string) error {
			a, err := k.open()
			if err != nil {
				return err
			}
			var before map[string]string
			if err := a.get(c.Context(), connectorPath(args[0], "config"), &before); err != nil {
				return err
			}
			after, err := editConfig(c, before)
			if err != nil {
				return err
			}
			if maps.Equal(before, after) {
				fmt.Fprintf(c.OutOrStdout(), "connector %s is unchanged\n", args[0])
				return nil
			}
			b, err := json.Marshal(after)
			if err != nil {
				return err
			}
			if _, err := a.do(c.Context(), http.MethodPut, connectorPath(args[0], "config"), b); err != nil {
				return err
			}
			if k.wait {
				if err := k.await(c.Context(), a, args[0], running); err != nil {
					return err
				}
			}
			fmt.Fprintf(c.OutOrStdout(), "connector %s is configured\n", args[0])
			return nil
		},
	})
}
