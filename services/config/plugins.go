package config

import (
	"bytes"
	_ "embed" // the plugins' definitions
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
)

//go:embed plugins.jsonl
var pluginLines []byte

// Kinds of plugins besides connectors, as Kafka Connect's plugin list names them.
const (
	Transformation  = "transformation"
	Predicate       = "predicate"
	PlainConverter  = "converter"
	HeaderConverter = "header_converter"
)

// ForeignTransform is the class of transforms that run in a process of their own: what rowmesh has for Kafka Connect's plugins.
const ForeignTransform = "rowmesh.transforms.Foreign"

// Plugin is a transform, predicate or converter that Kafka Connect or Debezium ships, with the options that it defines.
type Plugin struct {
	Class   string   `json:"class"`
	Kinds   []string `json:"kinds"`
	Version string   `json:"version"`
	Use     Use      `json:"use"`  // Honoured or Refused
	Next    string   `json:"next"` // where Refused: what to do
	Options []Option `json:"options"`
}

// plugins are in the order of Kafka Connect's plugin list. They do not change once they are read.
var plugins = sync.OnceValue(func() []Plugin {
	var out []Plugin
	for line := range bytes.Lines(pluginLines) {
		var p Plugin
		if err := json.Unmarshal(line, &p); err != nil {
			panic(fmt.Sprintf("plugins.jsonl: %v: %s", err, line))
		}
		out = append(out, p)
	}
	return out
})

// Plugins returns the plugins of a kind that a connector may use. The caller must not change what they point to.
func Plugins(kind string) []Plugin {
	option := map[string]string{Transformation: "transforms", Predicate: "predicates"}[kind]
	if o, ok := Lookup(MySQL, option); ok && o.Use == Refused {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(plugins()), func(p Plugin) bool { return p.Use == Refused || !p.is(kind) })
}

// FindPlugin returns the plugin that a name means, whether it may be used or not: a full class name, its last part, or for a converter that without
// "Converter".
func FindPlugin(name string) (Plugin, bool) {
	all := plugins()
	i := slices.IndexFunc(all, func(p Plugin) bool { return p.named(name) })
	if i < 0 {
		return Plugin{}, false
	}
	return all[i], true
}

// AbstractPlugin returns the classes of a plugin that comes in two, one for keys and one for values, where name is that of neither.
func AbstractPlugin(name string) []string {
	var out []string
	for _, p := range plugins() {
		if base, _, ok := strings.Cut(p.Class, "$"); ok && base == name {
			out = append(out, p.Class)
		}
	}
	return out
}

func (p Plugin) is(kind string) bool { return slices.Contains(p.Kinds, kind) }

func (p Plugin) named(name string) bool {
	short := p.Class[strings.LastIndexByte(p.Class, '.')+1:]
	return name == p.Class || name == short || p.is(PlainConverter) && name == strings.TrimSuffix(short, "Converter")
}

// findPlugin is FindPlugin among those of one kind.
func findPlugin(kind, name string) (Plugin, bool) {
	for _, p := range plugins() {
		if p.is(kind) && p.named(name) {
			return p, true
		}
	}
	return Plugin{}, false
}

// pluginList is an option that lists aliases of plugins, whose members are options of their own.
type pluginList struct {
	option, kind string
	java         string // the interface
	word         string // in documentation
}

var pluginLists = []pluginList{{"transforms", Transformation, "Transformation", "transformation"}, {"predicates", Predicate, "Predicate", "predicate"}}

// PluginOptions returns the definitions that Kafka Connect makes of the lists of plugins in a config: for each alias its type, its version, the options of
// the plugin if there is such a one, and for transforms the predicate.
func PluginOptions(cfg map[string]string) []Option {
	var out []Option
	p := parser{in: cfg}
	for _, l := range pluginLists {
		for _, alias := range p.aliases(l.option) {
			out = append(out, l.definitions(alias, cfg)...)
		}
	}
	return out
}

func (l pluginList) definitions(alias string, cfg map[string]string) []Option {
	prefix, group := l.option+"."+alias+".", l.java+"s: "+alias
	if l.kind == Transformation {
		group = "Transforms: " + alias
	}
	var classes []string
	for _, known := range Plugins(l.kind) {
		classes = append(classes, known.Class)
	}
	plugin, found := findPlugin(l.kind, trim(cfg[prefix+"type"]))
	version := Option{Name: "plugin.version", Type: "STRING", Importance: "HIGH", Width: "LONG", Doc: fmt.Sprintf("Version of the '%s' %s.", alias, l.word), Display: l.java + " version for " + alias}
	if found {
		version.Default, version.Values = &plugin.Version, []string{plugin.Version}
	}
	list := []Option{{
		Name: "type", Type: "CLASS", Required: true, Importance: "HIGH", Width: "LONG", Values: classes,
		Doc: fmt.Sprintf("Class for the '%s' %s.", alias, l.word), Display: fmt.Sprintf("%s type for %s", l.java, alias),
	}, version}
	list = append(list, plugin.Options...)
	if found && l.kind == Transformation {
		no := "false"
		list = append(list,
			Option{Name: "negate", Type: "BOOLEAN", Default: &no, Importance: "MEDIUM", Width: "NONE", Display: "negate", Doc: "Whether the configured predicate should be negated."},
			Option{Name: "predicate", Type: "STRING", Importance: "MEDIUM", Width: "NONE", Display: "predicate", Doc: "The alias of a predicate used to determine whether to apply this transformation."})
	}
	for i := range list {
		list[i].Name, list[i].Group, list[i].Order = prefix+list[i].Name, group, i
		if i > 1 {
			list[i].Values = nil // what they may be is not told
		}
	}
	return list
}
