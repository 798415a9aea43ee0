package command

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// findings is the error of a command that has done its work and found something wrong; it has an exit code of its own.
type findings struct{ text string }

// Error says what was found.
func (f findings) Error() string { return f.text }

// problem is one thing that is wrong with an option.
type problem struct {
	Option string `json:"option"`
	Text   string `json:"text"`
}

func (k *connectors) validate() *cobra.Command {
	var files []string
	var o output
	c := &cobra.Command{
		Use: "validate FILE...", Short: "Check the configs of files against the servers they name, and create nothing", Args: cobra.ArbitraryArgs,
		Long: "Takes the files that create takes. The exit code is 0 if nothing is wrong, 3 if something is.",
		RunE: func(c *cobra.Command, args []string) error {
			t, all := listing{head: []string{"CONNECTOR", "OPTION", "PROBLEM"}}, map[string][]problem{}
			err := k.each(c, append(files, args...), func(a *api, f connectorFile) error {
				found, err := validateFile(c.Context(), a, f)
				all[f.Name] = append([]problem{}, found...)
				for _, p := range found {
					t.row(f.Name, f.Name, p.Option, p.Text)
				}
				return err
			})
			if err != nil {
				return err
			}
			if err := o.print(c.OutOrStdout(), all, t); err != nil {
				return err
			}
			if len(t.rows) > 0 {
				return findings{fmt.Sprintf("%d problems", len(t.rows))}
			}
			return nil
		},
	}
	c.Flags().StringSliceVarP(&files, "file", "f", nil, "a file; may be given more than once")
	o.flags(c.Flags(), false)
	return c
}

// validateFile asks the server. A config that names no plugin is a finding too: the server refuses it as a whole.
func validateFile(ctx context.Context, a *api, f connectorFile) ([]problem, error) {
	var cfg map[string]any
	if err := json.Unmarshal(f.Config, &cfg); err != nil {
		return nil, errs.E(errs.Invalid, "config of %s: %w", f.Name, err)
	}
	if cfg["name"] == nil {
		cfg["name"] = f.Name
	}
	body, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	class, _ := cfg["connector.class"].(string)
	if class == "" {
		class = config.MySQLClass // the answer says that the class is missing
	}
	b, err := a.do(ctx, http.MethodPut, "/connector-plugins/"+url.PathEscape(class)+"/config/validate", body)
	if answered(err, http.StatusBadRequest, http.StatusInternalServerError) {
		return []problem{{"connector.class", err.Error()}}, nil
	}
	if err != nil {
		return nil, err
	}
	var answer struct {
		Configs []struct {
			Value struct {
				Name   string
				Errors []string
			}
		}
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return nil, err
	}
	var out []problem
	for _, x := range answer.Configs {
		for _, text := range x.Value.Errors {
			out = append(out, problem{x.Value.Name, strings.TrimSpace(text)})
		}
	}
	return out, nil
}
