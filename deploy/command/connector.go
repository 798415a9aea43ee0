package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/rowmesh/rowmesh/services/errs"
)

// connector talks to the REST API, as any client of Kafka Connect does.
func connector() *cobra.Command {
	c := &cobra.Command{Use: "connector", Short: "Create, list, look at and delete connectors"}
	server := c.PersistentFlags().String("server", "http://127.0.0.1:8083", "base URL of the REST API")
	c.AddCommand(
		&cobra.Command{
			Use: "create FILE", Short: "Create a connector from a JSON file; - reads standard input", Args: cobra.ExactArgs(1),
			Long: "Creates a connector from a file that holds " + fileForm + ".\n- reads standard input.",
			RunE: func(c *cobra.Command, args []string) error {
				b, err := readFile(args[0], c.InOrStdin())
				if err != nil {
					return err
				}
				out, err := request(c.Context(), http.MethodPost, *server+"/connectors", b)
				if err != nil {
					return fmt.Errorf("create the connector of %s: %w", args[0], err)
				}
				fmt.Fprintln(c.OutOrStdout(), string(out))
				return nil
			},
		},
		&cobra.Command{
			Use: "list", Short: "List connectors with their states", Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error {
				b, err := request(c.Context(), http.MethodGet, *server+"/connectors?expand=status", nil)
				if err != nil {
					return err
				}
				return printList(c.OutOrStdout(), b)
			},
		},
		&cobra.Command{
			Use: "status NAME", Short: "Show a connector's state and that of its tasks", Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error {
				b, err := request(c.Context(), http.MethodGet, *server+"/connectors/"+url.PathEscape(args[0])+"/status", nil)
				if err != nil {
					return err
				}
				var pretty bytes.Buffer
				if err := json.Indent(&pretty, b, "", "  "); err != nil {
					return err
				}
				fmt.Fprintln(c.OutOrStdout(), pretty.String())
				return nil
			},
		},
		&cobra.Command{
			Use: "delete NAME", Short: "Delete a connector", Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error {
				if _, err := request(c.Context(), http.MethodDelete, *server+"/connectors/"+url.PathEscape(args[0]), nil); err != nil {
					return err
				}
				fmt.Fprintf(c.OutOrStdout(), "connector %s is deleted; its offsets and topics stay in Kafka\n", args[0])
				return nil
			},
		},
	)
	return c
}

// fileForm is what a connector's file holds.
const fileForm = `{"name": "...", "config": {"connector.class": "...", ...}}`

// readFile reads the file of a connector; - is stdin.
func readFile(name string, stdin io.Reader) ([]byte, error) {
	read := func() ([]byte, error) { return os.ReadFile(name) }
	if name == "-" {
		read = func() ([]byte, error) { return io.ReadAll(stdin) }
	}
	b, err := read()
	if err != nil {
		return nil, err
	}
	var c struct {
		Name   string
		Config map[string]json.RawMessage
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, errs.E(errs.Invalid, "%s is no connector in JSON: %w; it holds %s", name, err, fileForm)
	}
	if c.Name == "" || c.Config == nil {
		return nil, errs.E(errs.Invalid, "%s lacks a name or a config; it holds %s", name, fileForm)
	}
	return b, nil
}

// request does a request and returns the body of a 2xx answer; another answer's message is the error.
func request(ctx context.Context, method, url string, body []byte) ([]byte, error) {
	q, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	q.Header.Set("Content-Type", "application/json")
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("no answer from the REST API: %w; is a coordinator there? --server and --rest say where", err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if r.StatusCode/100 == 2 {
		return b, nil
	}
	var e struct{ Message string }
	if json.Unmarshal(b, &e) == nil && e.Message != "" {
		return nil, fmt.Errorf("%s: %s (%s %s)", r.Status, e.Message, method, url)
	}
	return nil, fmt.Errorf("%s %s: %s: %.300s; is that the REST API of a coordinator?", method, url, r.Status, b)
}

func printList(w io.Writer, b []byte) error {
	var all map[string]struct {
		Status struct {
			Connector struct{ State string }
			Tasks     []struct {
				ID       int
				State    string
				WorkerID string `json:"worker_id"`
			}
		}
	}
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	var names []string
	for n := range all {
		names = append(names, n)
	}
	slices.Sort(names)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tSTATE\tTASKS")
	for _, n := range names {
		s := all[n].Status
		var tasks []string
		for _, x := range s.Tasks {
			tasks = append(tasks, fmt.Sprintf("%d %s on %s", x.ID, x.State, x.WorkerID))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", n, s.Connector.State, strings.Join(tasks, ", "))
	}
	return t.Flush()
}
