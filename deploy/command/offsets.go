package command

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rowmesh/rowmesh/services/errs"
)

// offsetEntry is an offset of a connector as the REST API shows it.
type offsetEntry struct {
	Partition json.RawMessage `json:"partition"`
	Offset    json.RawMessage `json:"offset"`
}

// offsets are the commands on the offsets of a connector.
func (k *connectors) offsets() *cobra.Command {
	c := &cobra.Command{Use: "offsets", Short: "Show, set and reset where a connector goes on"}
	c.AddCommand(k.getOffsets(), k.setOffsets(), k.resetOffsets())
	return c
}

func (k *connectors) getOffsets() *cobra.Command {
	var o output
	c := &cobra.Command{
		Use: "get NAME", Short: "Show a connector's offsets", Args: cobra.ExactArgs(1), ValidArgsFunction: k.names,
		RunE: func(c *cobra.Command, args []string) error {
			a, err := k.open()
			if err != nil {
				return err
			}
			return o.show(c.Context(), c.OutOrStdout(), func(w io.Writer) error {
				var all struct {
					Offsets []offsetEntry `json:"offsets"`
				}
				if err := a.get(c.Context(), connectorPath(args[0], "offsets"), &all); err != nil {
					return err
				}
				t := listing{head: []string{"PARTITION", "OFFSET"}}
				for _, e := range all.Offsets {
					t.row(string(e.Partition), string(e.Partition), string(e.Offset))
				}
				return o.print(w, all, t)
			})
		},
	}
	o.flags(c.Flags(), true)
	return c
}

func (k *connectors) setOffsets() *cobra.Command {
	var file, server, log, gtids string
	var pos int64
	c := &cobra.Command{
		Use: "set NAME", Short: "Set a stopped connector's offsets", Args: cobra.ExactArgs(1), ValidArgsFunction: k.names,
		Long: "Sets offsets from a file that holds what offsets get -o json prints, or one offset from flags. The connector must be stopped.",
		RunE: func(c *cobra.Command, args []string) error {
			a, err := k.open()
			if err != nil {
				return err
			}
			var body []byte
			switch {
			case file != "":
				body, err = readAll(file, c.InOrStdin())
			case log != "":
				if server == "" {
					var cfg map[string]string
					if err := a.get(c.Context(), connectorPath(args[0], "config"), &cfg); err != nil {
						return err
					}
					server = cfg["topic.prefix"]
				}
				at := map[string]any{"file": log, "pos": pos}
				if gtids != "" {
					at["gtids"] = gtids
				}
				body, err = json.Marshal(map[string]any{"offsets": []any{map[string]any{"partition": map[string]string{"server": server}, "offset": at}}})
			default:
				return errs.E(errs.Invalid, "nothing to set: give -f FILE, or --log FILE and --pos N")
			}
			if err != nil {
				return err
			}
			return k.changeOffsets(c, a, http.MethodPatch, args[0], body)
		},
	}
	f := c.Flags()
	f.StringVarP(&file, "file", "f", "", "file with offsets; - reads standard input")
	f.StringVar(&server, "topic-prefix", "", "topic.prefix of the offset (default: the connector's)")
	f.StringVar(&log, "log", "", "binlog file to go on in")
	f.Int64Var(&pos, "pos", 4, "position in it")
	f.StringVar(&gtids, "gtids", "", "GTID set that has been read; it wins over the file where the server has GTIDs")
	c.MarkFlagsMutuallyExclusive("file", "log")
	return c
}

func (k *connectors) resetOffsets() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "reset NAME --yes", Short: "Forget a stopped connector's offsets: it begins with a snapshot", Args: cobra.ExactArgs(1), ValidArgsFunction: k.names,
		RunE: func(c *cobra.Command, args []string) error {
			if !yes && !(isTerminal(c.InOrStdin()) && confirm(c, fmt.Sprintf("Forget all offsets of connector %s?", args[0]))) {
				return errs.E(errs.Invalid, "connector %s would forget where it is and read all its tables again; give --yes if that is wanted", args[0])
			}
			a, err := k.open()
			if err != nil {
				return err
			}
			return k.changeOffsets(c, a, http.MethodDelete, args[0], nil)
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do it without asking")
	return c
}

func (k *connectors) changeOffsets(c *cobra.Command, a *api, method, name string, body []byte) error {
	b, err := a.do(c.Context(), method, connectorPath(name, "offsets"), body)
	if err != nil {
		if answered(err, http.StatusBadRequest) && strings.Contains(err.Error(), "STOPPED") {
			return fmt.Errorf("%w; first: rowmesh connector stop %s --wait", err, name)
		}
		return err
	}
	var done struct{ Message string }
	if err := json.Unmarshal(b, &done); err != nil {
		return err
	}
	fmt.Fprintln(c.OutOrStdout(), done.Message)
	return nil
}
