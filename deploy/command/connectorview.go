package command

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rowmesh/rowmesh/services/config"
)

// taskStatus is a task as the REST API shows it.
type taskStatus struct {
	ID       int    `json:"id"`
	State    string `json:"state"`
	WorkerID string `json:"worker_id"`
	Version  string `json:"version,omitempty"`
	Trace    string `json:"trace,omitempty"`
	Snapshot *struct {
		Table      string `json:"table"`
		Rows       uint64 `json:"rows_done"`
		Estimate   uint64 `json:"rows_estimated"`
		TablesDone uint32 `json:"tables_done"`
		Tables     uint32 `json:"tables"`
	} `json:"snapshot,omitempty"`
}

// connectorStatus is the status of a connector as the REST API shows it.
type connectorStatus struct {
	Name      string `json:"name"`
	Connector struct {
		State    string `json:"state"`
		WorkerID string `json:"worker_id"`
		Version  string `json:"version,omitempty"`
		Trace    string `json:"trace,omitempty"`
	} `json:"connector"`
	Tasks    []taskStatus `json:"tasks"`
	Type     string       `json:"type"`
	Warnings []string     `json:"warnings,omitempty"`
}

// is reports whether a connector and all its tasks are in a state.
func (s connectorStatus) is(state string) bool {
	return s.Connector.State == state && !slices.ContainsFunc(s.Tasks, func(t taskStatus) bool { return t.State != state })
}

// summary says the states in a line, and the first line of why something failed.
func (s connectorStatus) summary() string {
	parts, why := []string{s.Connector.State}, s.Connector.Trace
	for _, t := range s.Tasks {
		parts = append(parts, fmt.Sprintf("task %d %s", t.ID, t.State))
		if why == "" {
			why = t.Trace
		}
	}
	if why != "" {
		line, _, _ := strings.Cut(why, "\n")
		parts = append(parts, line)
	}
	return strings.Join(parts, ", ")
}

// expanded is an element of the list of connectors with its status.
type expanded struct {
	Status connectorStatus `json:"status"`
}

func (k *connectors) list() *cobra.Command {
	var o output
	c := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List connectors with their states", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			a, err := k.open()
			if err != nil {
				return err
			}
			return o.show(c.Context(), c.OutOrStdout(), func(w io.Writer) error {
				var all map[string]expanded
				if err := a.get(c.Context(), "/connectors?expand=status", &all); err != nil {
					return err
				}
				t := listing{head: []string{"NAME", "STATE", "TASKS", "WORKER", "WHY"}, wide: 3}
				statuses := []connectorStatus{}
				for _, n := range slices.Sorted(maps.Keys(all)) {
					s := all[n].Status
					statuses = append(statuses, s)
					var tasks []string
					why, _, _ := strings.Cut(s.Connector.Trace, "\n")
					for _, x := range s.Tasks {
						tasks = append(tasks, fmt.Sprintf("%d %s on %s", x.ID, x.State, x.WorkerID))
						if why == "" {
							why, _, _ = strings.Cut(x.Trace, "\n")
						}
					}
					t.row(n, n, s.Connector.State, strings.Join(tasks, ", "), s.Connector.WorkerID, why)
				}
				return o.print(w, statuses, t)
			})
		},
	}
	o.flags(c.Flags(), true)
	return c
}

// info is a connector as the REST API shows it.
type info struct {
	Name   string            `json:"name"`
	Config map[string]string `json:"config"`
	Tasks  []struct {
		Connector string `json:"connector"`
		Task      int    `json:"task"`
	} `json:"tasks"`
	Type string `json:"type"`
}

// hide hides the secrets of a config that are no references.
func hide(cfg map[string]string) {
	for key, v := range cfg {
		cfg[key] = config.Masked(key, v)
	}
}

func (k *connectors) get() *cobra.Command {
	var o output
	var secrets bool
	c := &cobra.Command{
		Use: "get NAME...", Short: "Show the config of connectors", Args: cobra.MinimumNArgs(1), ValidArgsFunction: k.names,
		RunE: func(c *cobra.Command, names []string) error {
			a, err := k.open()
			if err != nil {
				return err
			}
			t := listing{head: []string{"OPTION", "VALUE"}}
			all := make([]info, len(names))
			for i, name := range names {
				if err := a.get(c.Context(), connectorPath(name), &all[i]); err != nil {
					return err
				}
				if !secrets {
					hide(all[i].Config)
				}
				t.names = append(t.names, name)
				for _, key := range slices.Sorted(maps.Keys(all[i].Config)) {
					t.rows = append(t.rows, []string{key, all[i].Config[key]})
				}
			}
			if len(all) == 1 {
				return o.print(c.OutOrStdout(), all[0], t)
			}
			return o.print(c.OutOrStdout(), all, t)
		},
	}
	c.Flags().BoolVar(&secrets, "secrets", false, "show passwords too")
	o.flags(c.Flags(), false)
	return c
}

func (k *connectors) status() *cobra.Command {
	o := output{}
	c := &cobra.Command{
		Use: "status NAME", Short: "Show a connector's state and that of its tasks", Args: cobra.ExactArgs(1), ValidArgsFunction: k.names,
		RunE: func(c *cobra.Command, args []string) error {
			a, err := k.open()
			if err != nil {
				return err
			}
			return o.show(c.Context(), c.OutOrStdout(), func(w io.Writer) error {
				b, err := a.do(c.Context(), http.MethodGet, connectorPath(args[0], "status"), nil)
				if err != nil {
					return err
				}
				document, err := raw(b)
				if err != nil {
					return err
				}
				return o.print(w, document, listing{names: args})
			})
		},
	}
	o.flags(c.Flags(), true)
	c.Flags().Lookup("output").DefValue, o.format = "json", "json"
	return c
}

// described is all that is known of a connector.
type described struct {
	info
	Status  connectorStatus `json:"status"`
	Topics  []string        `json:"topics"`
	Offsets []offsetEntry   `json:"offsets"`
}

func (k *connectors) describe() *cobra.Command {
	var o output
	c := &cobra.Command{
		Use: "describe NAME", Short: "Show all that is known of a connector: states, reasons, topics, offsets, config", Args: cobra.ExactArgs(1), ValidArgsFunction: k.names,
		RunE: func(c *cobra.Command, args []string) error {
			a, err := k.open()
			if err != nil {
				return err
			}
			return o.show(c.Context(), c.OutOrStdout(), func(w io.Writer) error {
				d, err := describeConnector(c.Context(), a, args[0])
				if err != nil {
					return err
				}
				if o.format == "table" || o.format == "wide" {
					return d.write(w)
				}
				return o.print(w, d, listing{names: args})
			})
		},
	}
	o.flags(c.Flags(), true)
	return c
}

func describeConnector(ctx context.Context, a *api, name string) (described, error) {
	var d described
	var topics map[string]struct{ Topics []string }
	var offsets struct{ Offsets []offsetEntry }
	for path, v := range map[string]any{"": &d.info, "/status": &d.Status, "/topics": &topics, "/offsets": &offsets} {
		if err := a.get(ctx, connectorPath(name)+path, v); err != nil {
			return d, err
		}
	}
	hide(d.Config)
	d.Topics, d.Offsets = topics[name].Topics, offsets.Offsets
	return d, nil
}

// write writes a description for people: what is wrong comes first.
func (d described) write(w io.Writer) error {
	p := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	p("Name:     %s", d.Name)
	p("Type:     %s %s", d.Type, d.Status.Connector.Version)
	p("State:    %s on %s", d.Status.Connector.State, d.Status.Connector.WorkerID)
	indented(w, d.Status.Connector.Trace)
	p("Tasks:")
	for _, t := range d.Status.Tasks {
		p("  %d %s on %s", t.ID, t.State, t.WorkerID)
		if s := t.Snapshot; s != nil {
			p("    snapshot: %d of about %d rows of %s, table %d of %d", s.Rows, s.Estimate, s.Table, s.TablesDone+1, s.Tables)
		}
		indented(w, t.Trace)
	}
	p("Warnings:")
	for _, text := range d.Status.Warnings {
		p("  %s", text)
	}
	p("Topics:")
	for _, t := range d.Topics {
		p("  %s", t)
	}
	p("Offsets:")
	for _, o := range d.Offsets {
		p("  %s  %s", o.Partition, o.Offset)
	}
	p("Config:")
	for _, key := range slices.Sorted(maps.Keys(d.Config)) {
		p("  %s = %s", key, d.Config[key])
	}
	return nil
}

func indented(w io.Writer, text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		fmt.Fprintf(w, "    %s\n", strings.TrimRight(line, "\n"))
	}
}
