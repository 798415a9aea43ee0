package config

import (
	"bytes"
	_ "embed" // the registry's data
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"sync"
)

// VersionOf returns the version of Debezium's connector whose options, events and offsets are spoken; status and plugin lists show it.
func VersionOf(f Flavor) string {
	if f == MariaDB {
		return "3.5.0.Final"
	}
	return "3.6.1.Final"
}

// Classes that a connector may name.
const (
	MySQLClass   = "io.debezium.connector.mysql.MySqlConnector"
	MariaDBClass = "io.debezium.connector.mariadb.MariaDbConnector"
)

//go:embed options.jsonl
var optionLines []byte

// Use says what becomes of an option.
type Use string

// Uses.
const (
	Honoured Use = "honoured" // means here what it means there
	Accepted Use = "accepted" // has no effect here and needs none: JVM, JDBC and queue tuning
	Warned   Use = "warned"   // has no effect here though it should; a value other than the default is warned about
	Refused  Use = "refused"  // ignoring it would send wrong or forbidden data; a connector with it is not created
)

// Option describes one option as Kafka Connect describes it to its clients, and says what is done with it.
type Option struct {
	Name       string   `json:"name"` // a name that ends in "*" stands for all names with that prefix
	Type       string   `json:"type"` // Kafka's ConfigDef type: STRING, INT, LONG, BOOLEAN, LIST, CLASS, PASSWORD
	Default    *string  `json:"default"`
	Required   bool     `json:"required"`
	Importance string   `json:"importance"`
	Group      string   `json:"group"`
	Order      int      `json:"order"` // in the group, from 1
	Width      string   `json:"width"`
	Display    string   `json:"display"`
	Doc        string   `json:"doc"`
	Dependents []string `json:"dependents"`
	Values     []string `json:"values"` // valid values in the order in which errors list them
	Hidden     bool     `json:"hidden"` // forms do not show it
	Unlisted   bool     `json:"unlisted"`

	Connect  bool     `json:"connect"` // an option of the framework, checked in its words
	Checks   []string `json:"checks"`  // names of checks beyond the type's, in order
	Use      Use      `json:"use"`
	Next     string   `json:"next"`     // where Warned or Refused: what happens instead, or what to do
	Note     string   `json:"note"`     // where Honoured: what a user should know of it here
	Formerly []string `json:"formerly"` // names in Debezium 1.x
	Only     Flavor   `json:"only"`     // empty: both

	MariaDB *struct { // what differs there
		Default *string  `json:"default"`
		Width   string   `json:"width"`
		Doc     string   `json:"doc"`
		Values  []string `json:"values"`
	} `json:"mariadb"`
}

// catalog is the registry of one flavour. It does not change once it is made.
type catalog struct {
	options  []*Option          // in definition order, which is the order of errors
	byName   map[string]*Option // without those that end in "*"
	prefixes []*Option          // those that end in "*", longest first
	formerly map[string]string  // 1.x name, "*" at the end for prefixes, to the name now
}

var catalogs = sync.OnceValue(func() map[Flavor]*catalog {
	return map[Flavor]*catalog{MySQL: newCatalog(MySQL), MariaDB: newCatalog(MariaDB)}
})

func newCatalog(f Flavor) *catalog {
	c := &catalog{byName: map[string]*Option{}, formerly: map[string]string{}}
	order := map[string]int{}
	for line := range bytes.Lines(optionLines) {
		o := &Option{}
		if err := json.Unmarshal(line, o); err != nil {
			panic(fmt.Sprintf("options.jsonl: %v: %s", err, line))
		}
		if o.Only != "" && o.Only != f {
			continue
		}
		if f == MariaDB {
			o.asMariaDB(order)
		}
		if strings.HasSuffix(o.Name, ".converter") {
			o.Values = converterClasses(o.Name)
		}
		c.add(o)
	}
	sort.SliceStable(c.prefixes, func(i, j int) bool { return len(c.prefixes[i].Name) > len(c.prefixes[j].Name) })
	return c
}

func (c *catalog) add(o *Option) {
	c.options = append(c.options, o)
	if strings.HasSuffix(o.Name, "*") {
		c.prefixes = append(c.prefixes, o)
	} else {
		c.byName[o.Name] = o
	}
	for _, old := range o.Formerly {
		c.formerly[old] = o.Name
	}
}

// asMariaDB applies what differs there. Its definition lacks some options, so the others move up in their groups.
func (o *Option) asMariaDB(order map[string]int) {
	if o.Group == "MySQL" {
		o.Group = "MariaDB"
	}
	if !o.Connect && !o.Unlisted {
		order[o.Group]++
		o.Order = order[o.Group]
	}
	if m := o.MariaDB; m != nil {
		if m.Default != nil {
			o.Default = m.Default
		}
		if m.Width != "" {
			o.Width = m.Width
		}
		if m.Doc != "" {
			o.Doc = m.Doc
		}
		if m.Values != nil {
			o.Values = m.Values
		}
	}
}

// find returns the option that a name of a config means.
func (c *catalog) find(name string) (*Option, bool) {
	if o, ok := c.byName[name]; ok {
		return o, true
	}
	for _, o := range c.prefixes {
		if prefix := strings.TrimSuffix(o.Name, "*"); strings.HasPrefix(name, prefix) && name != prefix {
			return o, true
		}
	}
	return nil, false
}

// now returns today's name of a 1.x name.
func (c *catalog) now(name string) (string, bool) {
	if n, ok := c.formerly[name]; ok {
		return n, true
	}
	for old, n := range c.formerly {
		prefix, isPrefix := strings.CutSuffix(old, "*")
		if rest, ok := strings.CutPrefix(name, prefix); isPrefix && ok && rest != "" {
			return strings.TrimSuffix(n, "*") + rest, true
		}
	}
	return "", false
}

// Options returns the options that a connector of the flavour defines, in definition order: what Kafka Connect lists as the configuration
// of the plugin. The caller must not change what they point to.
func Options(f Flavor) []Option {
	var out []Option
	for _, o := range catalogs()[f].options {
		if !o.Unlisted {
			out = append(out, *o)
		}
	}
	return out
}

// AllOptions returns all that a config for the flavour may hold: beside Options those that Kafka Connect does not list. Names that end in "*" stand for all
// with that prefix. The caller must not change what they point to.
func AllOptions(f Flavor) []Option {
	var out []Option
	for _, o := range catalogs()[f].options {
		out = append(out, *o)
	}
	return out
}

// Lookup returns the option that a name means for the flavour; names that share a prefix option ("producer.override.acks") return that.
func Lookup(f Flavor, name string) (Option, bool) {
	o, ok := catalogs()[f].find(name)
	if !ok {
		return Option{}, false
	}
	return *o, true
}

// FlavorOf returns the flavour of a connector class: a full name, its last part, or that without "Connector", as Kafka Connect resolves it.
func FlavorOf(class string) (Flavor, bool) {
	switch class {
	case MySQLClass, "MySqlConnector", "MySql":
		return MySQL, true
	case MariaDBClass, "MariaDbConnector", "MariaDb":
		return MariaDB, true
	}
	return "", false
}

// ClassOf returns the full class name of a flavour.
func ClassOf(f Flavor) string {
	if f == MariaDB {
		return MariaDBClass
	}
	return MySQLClass
}

// Hidden stands for a secret where a config is shown, as Kafka prints passwords.
const Hidden = "[hidden]"

// Secret reports whether the value of a name must not be shown: passwords by type, others by the words in their name, as Debezium masks them.
func Secret(name string) bool {
	for _, f := range []Flavor{MySQL, MariaDB} {
		if o, ok := catalogs()[f].find(name); ok && o.Type == "PASSWORD" {
			return true
		}
	}
	if converterSecret(name) {
		return true
	}
	n := strings.ToLower(name)
	for _, word := range []string{"secret", "password", "passwd", "token", "jaas", "credential", "auth.user.info", "connectionstring", "connection.string", "salt", "private.key", ".key.pem"} {
		if strings.Contains(n, word) {
			return true
		}
	}
	return false
}
