package command

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// optionRow is an option of connectors with what becomes of it here.
type optionRow struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Default  string   `json:"default"`
	Required bool     `json:"required,omitempty"`
	Use      string   `json:"use"`
	Next     string   `json:"next,omitempty"`
	Formerly []string `json:"formerly,omitempty"`
	Values   []string `json:"values,omitempty"`
	Doc      string   `json:"doc,omitempty"`
}

// options shows the registry of options. It asks no server: this binary's registry is what a mesh of its version goes by.
func options() *cobra.Command {
	var o output
	var mariadb bool
	var use string
	c := &cobra.Command{
		Use: "options [TEXT]", Short: "Show the options of connectors and whether they are honoured", Args: cobra.MaximumNArgs(1),
		Long: "Shows the options whose names or documentation hold TEXT. USE says what becomes of an option: honoured, accepted (it has no effect and needs none),\n" +
			"warned (it has no effect, and the status says so) or refused (a connector with it is not created).",
		RunE: func(c *cobra.Command, args []string) error {
			flavor := config.MySQL
			if mariadb {
				flavor = config.MariaDB
			}
			var shown []optionRow
			t := listing{head: []string{"OPTION", "TYPE", "DEFAULT", "USE", "NOTE", "DOCUMENTATION"}, wide: 5}
			for _, x := range config.AllOptions(flavor) {
				r := optionRow{Name: x.Name, Type: x.Type, Required: x.Required, Use: string(x.Use), Next: x.Next, Formerly: x.Formerly, Values: x.Values, Doc: x.Doc}
				if x.Default != nil {
					r.Default = *x.Default
				}
				if len(args) > 0 && !strings.Contains(strings.ToLower(r.Name+"\n"+r.Doc), strings.ToLower(args[0])) || use != "" && use != r.Use {
					continue
				}
				shown = append(shown, r)
				def := fmt.Sprintf("%.30s", r.Default)
				if r.Required {
					def = "(required)"
				}
				t.row(r.Name, r.Name, r.Type, def, r.Use, r.Next, r.Doc)
			}
			if len(shown) == 0 {
				return errs.E(errs.NotFound, "no option matches %q; rowmesh options shows all", strings.Join(args, " "))
			}
			return o.print(c.OutOrStdout(), shown, t)
		},
	}
	o.flags(c.Flags(), false)
	c.Flags().BoolVar(&mariadb, "mariadb", false, "those of the MariaDB connector (default: of the MySQL connector)")
	c.Flags().StringVar(&use, "use", "", "only honoured, accepted, warned or refused")
	return c
}
