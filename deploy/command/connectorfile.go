package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// fileForm is what a connector's file holds.
const fileForm = `{"name": "...", "config": {"connector.class": "...", ...}}`

// connectorFile is a connector as a file holds it.
type connectorFile struct {
	Name   string          `json:"name"`
	Config json.RawMessage `json:"config"` // an object, with the order of its options
	State  string          `json:"initial_state,omitempty"`
}

// readFile reads the file of a connector: JSON or YAML of what a create request holds, a flat config with its name in it, or properties, as Kafka Connect's
// standalone worker takes them. - is stdin.
func readFile(name string, stdin io.Reader) (connectorFile, error) {
	var c connectorFile
	b, err := readAll(name, stdin)
	if err != nil {
		return c, err
	}
	if filepath.Ext(name) == ".properties" {
		b, err = propertiesJSON(string(b))
	} else if trimmed := bytes.TrimLeft(b, " \t\r\n\ufeff"); len(trimmed) == 0 || trimmed[0] != '{' {
		if b, err = yaml.YAMLToJSON(b); err != nil {
			return c, errs.E(errs.Invalid, "%s is no connector in JSON, YAML or properties: %w; it holds %s", name, err, fileForm)
		}
	}
	if err != nil {
		return c, err
	}
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	var flat map[string]json.RawMessage
	if err := json.Unmarshal(b, &flat); err != nil {
		return c, errs.E(errs.Invalid, "%s is no connector in JSON: %w; it holds %s", name, err, fileForm)
	}
	if flat["config"] == nil && flat["connector.class"] != nil && flat["name"] != nil {
		return connectorFile{Name: text(flat["name"]), Config: b}, nil
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, errs.E(errs.Invalid, "%s is no connector in JSON: %w; it holds %s", name, err, fileForm)
	}
	if c.Name == "" || c.Config == nil {
		return c, errs.E(errs.Invalid, "%s lacks a name or a config; it holds %s", name, fileForm)
	}
	if config := bytes.TrimSpace(c.Config); config[0] != '{' {
		return c, errs.E(errs.Invalid, "%s is no connector in JSON: its config is no object; it holds %s", name, fileForm)
	}
	return c, nil
}

func readAll(name string, stdin io.Reader) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(stdin)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, errs.E(errs.Invalid, "%w", err)
	}
	return b, nil
}

// text is a JSON string's text, or the value as it stands.
func text(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s
	}
	return string(v)
}

// propertiesJSON turns properties into a JSON object, in their order.
func propertiesJSON(s string) ([]byte, error) {
	list := config.Properties(s)
	last := map[string]int{}
	for i, p := range list {
		last[p.Key] = i
	}
	var b strings.Builder
	b.WriteByte('{')
	for i, p := range list {
		if last[p.Key] != i {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		k, err := json.Marshal(p.Key)
		if err != nil {
			return nil, err
		}
		v, err := json.Marshal(p.Value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s:%s", k, v)
	}
	return []byte(b.String() + "}"), nil
}

// body is what a create request holds.
func (c connectorFile) body() ([]byte, error) {
	if c.State != "" {
		c.State = strings.ToUpper(c.State)
	}
	return json.Marshal(c)
}
