package config

import (
	"fmt"
	"sort"
	"strings"

	"github.com/rowmesh/rowmesh/services/errs"
)

// Problem is what is wrong with one option.
type Problem struct {
	Option string // name as the user gave it; empty where it is about the whole
	Text   string // a sentence that names the option; Kafka Connect's or Debezium's words where those have some
	Alone  bool   // nothing else could be checked; Text is the whole answer
}

// Result is what Parse found besides the connector.
type Result struct {
	Warnings []Problem // the connector works, but not in all as its config says
	Errors   []Problem // it is not created
}

// Message returns the answer for a client: Kafka Connect's, with all errors. Empty without errors.
func (r Result) Message() string {
	switch {
	case len(r.Errors) == 0:
		return ""
	case r.Errors[0].Alone:
		return r.Errors[0].Text
	}
	texts := make([]string, len(r.Errors))
	for i, p := range r.Errors {
		texts[i] = p.Text
	}
	return Message(texts)
}

// Err returns an error of kind Invalid with all errors; nil without.
func (r Result) Err() error {
	if len(r.Errors) == 0 {
		return nil
	}
	return errs.E(errs.Invalid, "%s", r.Message())
}

// Texts returns the texts of the warnings.
func (r Result) Texts() []string {
	var out []string
	for _, w := range r.Warnings {
		out = append(out, w.Text)
	}
	return out
}

// Message lays out problems as Kafka Connect does in its answer to an invalid config. The braces in its last line are literal.
func Message(texts []string) string {
	return fmt.Sprintf("Connector configuration is invalid and contains the following %d error(s):\n%s\nYou can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`",
		len(texts), strings.Join(texts, "\n"))
}

// noClass says that connector.class is missing, with the config as Kafka Connect prints it but for secrets.
func noClass(cfg map[string]string, nulls map[string]bool) Problem {
	keys := make([]string, 0, len(cfg)+len(nulls))
	for k := range cfg {
		keys = append(keys, k)
	}
	for k := range nulls {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for i, k := range keys {
		switch {
		case nulls[k]:
			keys[i] = k + "=null"
		case Secret(k):
			keys[i] = k + "=" + Hidden
		default:
			keys[i] = k + "=" + cfg[k]
		}
	}
	return Problem{"connector.class", "Connector config {" + strings.Join(keys, ", ") + "} contains no connector type", true}
}

// unknownClass says that no plugin has that name. Clients look for the first words.
func unknownClass(class string) Problem {
	var list []string
	for _, f := range []Flavor{MariaDB, MySQL} {
		list = append(list, fmt.Sprintf("PluginDesc{klass=class %[1]s, name='%[1]s', version='%[2]s', encodedVersion=%[2]s, type=source, typeName='source', location='rowmesh'}", ClassOf(f), VersionOf(f)))
	}
	return Problem{"connector.class", "Failed to find any class that implements Connector and which name matches " + class + ", available connectors are: " + strings.Join(list, ", "), true}
}
