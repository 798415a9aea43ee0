package command

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// plugins shows what a server has: its connectors, converters, transforms and predicates, with their options.
func plugins() *cobra.Command {
	var k connection
	c := &cobra.Command{Use: "plugins", Short: "Show connectors, converters, transforms and predicates, and their options"}
	k.flags(c.PersistentFlags())
	c.AddCommand(k.listPlugins(), k.describePlugin())
	return c
}

func (k *connection) listPlugins() *cobra.Command {
	var o output
	var kinds []string
	c := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the plugins", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			a, err := k.open()
			if err != nil {
				return err
			}
			var all []struct {
				Class   string `json:"class"`
				Type    string `json:"type"`
				Version string `json:"version"`
			}
			if err := a.get(c.Context(), "/connector-plugins?connectorsOnly=false", &all); err != nil {
				return err
			}
			shown := all[:0]
			t := listing{head: []string{"CLASS", "TYPE", "VERSION"}}
			for _, p := range all {
				if len(kinds) == 0 || strings.Contains(","+strings.Join(kinds, ",")+",", ","+p.Type+",") {
					shown = append(shown, p)
					t.row(p.Class, p.Class, p.Type, p.Version)
				}
			}
			return o.print(c.OutOrStdout(), shown, t)
		},
	}
	o.flags(c.Flags(), false)
	c.Flags().StringSliceVar(&kinds, "type", nil, "only source, transformation, predicate, converter or header_converter")
	return c
}

// definition is an option of a plugin as the REST API shows it.
type definition struct {
	Name       string  `json:"name"`
	Type       string  `json:"type"`
	Required   bool    `json:"required"`
	Default    *string `json:"default_value"`
	Importance string  `json:"importance"`
	Doc        string  `json:"documentation"`
	Group      string  `json:"group"`
}

func (k *connection) describePlugin() *cobra.Command {
	var o output
	c := &cobra.Command{
		Use: "describe CLASS", Short: "Show the options of a plugin", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			a, err := k.open()
			if err != nil {
				return err
			}
			var all []definition
			if err := a.get(c.Context(), "/connector-plugins/"+url.PathEscape(args[0])+"/config", &all); err != nil {
				return err
			}
			t := listing{head: []string{"OPTION", "TYPE", "DEFAULT", "IMPORTANCE", "DOCUMENTATION"}, wide: 4}
			for _, d := range all {
				def := ""
				switch {
				case d.Default != nil:
					def = *d.Default
				case d.Required:
					def = "(required)"
				}
				t.row(d.Name, d.Name, d.Type, fmt.Sprintf("%.40s", def), d.Importance, d.Doc)
			}
			return o.print(c.OutOrStdout(), all, t)
		},
	}
	o.flags(c.Flags(), false)
	return c
}
