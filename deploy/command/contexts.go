package command

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/rowmesh/rowmesh/services/errs"
)

// meshContext is how to reach one mesh. It holds no password: the file is copied around.
type meshContext struct {
	Server       string `json:"server"`
	User         string `json:"user,omitempty"`
	PasswordFile string `json:"password-file,omitempty"`
	CA           string `json:"ca,omitempty"`
}

// contexts are the named meshes of a person.
type contexts struct {
	Current  string                 `json:"current,omitempty"`
	Contexts map[string]meshContext `json:"contexts,omitempty"`
}

// contextsFile is $ROWMESH_CONFIG, else rowmesh/config.yaml in the person's folder for configs; empty where there is none.
func contextsFile() string {
	dir, err := os.UserConfigDir()
	if err != nil {
		return os.Getenv("ROWMESH_CONFIG")
	}
	return cmp.Or(os.Getenv("ROWMESH_CONFIG"), filepath.Join(dir, "rowmesh", "config.yaml"))
}

// readContexts reads the file; one that does not exist holds nothing.
func readContexts() (contexts, error) {
	c := contexts{Contexts: map[string]meshContext{}}
	file := contextsFile()
	if file == "" {
		return c, nil
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, errs.E(errs.Invalid, "contexts: %w", err)
	}
	if err := yaml.UnmarshalStrict(b, &c); err != nil {
		return c, errs.E(errs.Invalid, "contexts in %s: %w", file, err)
	}
	return c, nil
}

func (c contexts) write() error {
	b, err := yaml.Marshal(c)
	if err != nil {
		return err
	}
	file := contextsFile()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	// In one step: two shells may do this at once.
	temporary := file + ".new"
	if err := os.WriteFile(temporary, b, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, file)
}

// contextCommand keeps the contexts.
func contextCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "context", Short: "Keep named meshes, so that commands need no --server",
		Long: "Contexts stand in $ROWMESH_CONFIG, by default in rowmesh/config.yaml in your folder for configs.",
	}
	var o output
	list := &cobra.Command{
		Use: "list", Short: "List the named meshes", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			known, err := readContexts()
			if err != nil {
				return err
			}
			t := listing{head: []string{"CURRENT", "NAME", "SERVER", "USER"}}
			for _, name := range slices.Sorted(maps.Keys(known.Contexts)) {
				current := ""
				if name == known.Current {
					current = "*"
				}
				t.row(name, current, name, known.Contexts[name].Server, known.Contexts[name].User)
			}
			return o.print(c.OutOrStdout(), known, t)
		},
	}
	o.flags(list.Flags(), false)
	var set meshContext
	add := &cobra.Command{
		Use: "set NAME --server URL", Short: "Name a mesh, or change one", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return changeContexts(func(known *contexts) error {
				known.Contexts[args[0]] = set
				known.Current = cmp.Or(known.Current, args[0])
				return nil
			})
		},
	}
	f := add.Flags()
	f.StringVar(&set.Server, "server", "", "base URL of the REST API")
	f.StringVar(&set.User, "user", "", "name of a user of it")
	f.StringVar(&set.PasswordFile, "password-file", "", "file with the user's password")
	f.StringVar(&set.CA, "ca", "", "PEM certificates of the authority that the REST API's certificate comes from")
	add.MarkFlagRequired("server")
	c.AddCommand(list, add,
		&cobra.Command{
			Use: "use NAME", Short: "Make a named mesh the current one", Args: cobra.ExactArgs(1), ValidArgsFunction: completeContexts,
			RunE: func(c *cobra.Command, args []string) error {
				return changeContexts(func(known *contexts) error {
					if _, ok := known.Contexts[args[0]]; !ok {
						return errs.E(errs.Invalid, "context %s is not in %s; rowmesh context list shows what is", args[0], contextsFile())
					}
					known.Current = args[0]
					return nil
				})
			},
		},
		&cobra.Command{
			Use: "delete NAME", Short: "Forget a named mesh", Args: cobra.ExactArgs(1), ValidArgsFunction: completeContexts,
			RunE: func(c *cobra.Command, args []string) error {
				return changeContexts(func(known *contexts) error {
					if _, ok := known.Contexts[args[0]]; !ok {
						return errs.E(errs.Invalid, "context %s is not in %s", args[0], contextsFile())
					}
					delete(known.Contexts, args[0])
					if known.Current == args[0] {
						known.Current = ""
					}
					return nil
				})
			},
		})
	return c
}

func changeContexts(f func(*contexts) error) error {
	known, err := readContexts()
	if err != nil {
		return err
	}
	if contextsFile() == "" {
		return errs.E(errs.Invalid, "there is no folder for configs here; name a file in $ROWMESH_CONFIG")
	}
	if known.Contexts == nil {
		known.Contexts = map[string]meshContext{}
	}
	if err := f(&known); err != nil {
		return err
	}
	if err := known.write(); err != nil {
		return fmt.Errorf("contexts: %w", err)
	}
	return nil
}

func completeContexts(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	known, err := readContexts()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(known.Contexts)), cobra.ShellCompDirectiveNoFileComp
}
