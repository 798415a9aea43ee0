package command

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/rowmesh/rowmesh/services/errs"
)

// editConfig lets a person change a config in an editor. What is no config any more can be edited again where somebody is there to do it.
func editConfig(c *cobra.Command, before map[string]string) (map[string]string, error) {
	dir, err := os.MkdirTemp("", "rowmesh-edit-") // readable by its owner only: configs hold passwords
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	b, err := yaml.Marshal(before)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "connector.yaml")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return nil, err
	}
	for {
		if err := openEditor(c, file); err != nil {
			return nil, err
		}
		if b, err = os.ReadFile(file); err != nil {
			return nil, err
		}
		after, err := parseEdited(b)
		if err == nil {
			return after, nil
		}
		fmt.Fprintf(c.ErrOrStderr(), "%v\n", err)
		if !isTerminal(c.InOrStdin()) || !confirm(c, "Edit it again?") {
			return nil, err
		}
	}
}

// parseEdited reads a config from YAML. Numbers and booleans are taken by their text.
func parseEdited(b []byte) (map[string]string, error) {
	var m map[string]any
	if err := yaml.Unmarshal(b, &m); err != nil {
		return nil, errs.E(errs.Invalid, "the edited config is no YAML: %w", err)
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		switch v.(type) {
		case map[string]any, []any:
			return nil, errs.E(errs.Invalid, "the edited config gives %s several values; each option has one", k)
		case nil:
			out[k] = ""
		default:
			out[k] = fmt.Sprint(v)
		}
	}
	return out, nil
}

func openEditor(c *cobra.Command, file string) error {
	editor := "vi"
	for _, name := range []string{"VISUAL", "EDITOR"} {
		if v := os.Getenv(name); v != "" {
			editor = v
			break
		}
	}
	words := strings.Fields(editor)
	e := exec.CommandContext(c.Context(), words[0], append(words[1:], file)...)
	e.Stdin, e.Stdout, e.Stderr = c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr()
	err := e.Run()
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return errs.E(errs.Invalid, "editor %s: %w; name one in $EDITOR", words[0], err)
	}
	if err != nil {
		return fmt.Errorf("editor %s: %w; nothing was changed", words[0], err)
	}
	return nil
}

// confirm asks a person for a yes.
func confirm(c *cobra.Command, question string) bool {
	fmt.Fprintf(c.ErrOrStderr(), "%s [y/N] ", question)
	line, _ := bufio.NewReader(c.InOrStdin()).ReadString('\n')
	return strings.EqualFold(strings.TrimSpace(line), "y") || strings.EqualFold(strings.TrimSpace(line), "yes")
}
