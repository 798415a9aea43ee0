package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// parser is one run of Parse.
type parser struct {
	name   string
	in     map[string]string // 1.x names already translated
	nulls  map[string]bool
	given  map[string]string // today's name to the name that the user wrote, where they differ
	flavor Flavor
	cat    *catalog
	res    Result
}

// Parse reads a connector's config. name is the connector's; where cfg has no "name", it stands in, and if it is empty too that is an error.
// nulls names the options that were given as null. cfg is only read, and its values may be unresolved secret references.
//
// The connector is nil exactly if the result has errors.
func Parse(name string, cfg map[string]string, nulls ...string) (*Connector, Result) {
	p := &parser{name: name, in: maps.Clone(cfg), nulls: map[string]bool{}, given: map[string]string{}}
	if p.in == nil {
		p.in = map[string]string{}
	}
	for _, n := range nulls {
		p.nulls[n] = true
		delete(p.in, n)
	}
	if _, ok := p.in["name"]; !ok && name != "" && !p.nulls["name"] {
		p.in["name"] = name
	}
	class, ok := p.in["connector.class"]
	if !ok {
		return nil, Result{Errors: []Problem{noClass(p.in, p.nulls)}}
	}
	if p.flavor, ok = FlavorOf(class); !ok {
		return nil, Result{Errors: []Problem{unknownClass(class)}}
	}
	p.cat = catalogs()[p.flavor]
	p.translate()
	p.checkConnect()
	p.checkDebezium()
	p.checkUses()
	if len(p.res.Errors) > 0 {
		return nil, p.res
	}
	c := p.build()
	return c, p.res
}

func (p *parser) warn(option, text string) {
	p.res.Warnings = append(p.res.Warnings, Problem{Option: p.written(option), Text: text})
}

func (p *parser) fail(option, text string) {
	p.res.Errors = append(p.res.Errors, Problem{Option: p.written(option), Text: text})
}

// written returns the name under which the user gave an option.
func (p *parser) written(option string) string {
	if old, ok := p.given[option]; ok {
		return old
	}
	return option
}

// keys returns the names that were given, sorted, so that warnings have one order.
func (p *parser) keys() []string { return slices.Sorted(maps.Keys(p.in)) }

// get returns a value, else the option's default, else "".
func (p *parser) get(name string) string {
	if v, ok := p.in[name]; ok {
		return v
	}
	if o, ok := p.cat.find(name); ok && o.Default != nil {
		return *o.Default
	}
	return ""
}

// word is get for values whose case and surrounding blanks mean nothing.
func (p *parser) word(name string) string { return strings.ToLower(trim(p.get(name))) }

func (p *parser) boolean(name string) bool { return p.word(name) == "true" }

func (p *parser) integer(name string) int64 {
	n, _ := strconv.ParseInt(trim(p.get(name)), 10, 64) // checked before
	return n
}

func (p *parser) patterns(name string) []string {
	out, _ := Patterns(p.in[name]) // checked before
	return out
}

// trim takes away what Java's String.trim does.
func trim(s string) string { return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' }) }

// splitList splits a LIST value as Kafka does: commas with blanks around them; an empty value is an empty list.
func splitList(v string) []string {
	if v = trim(v); v == "" {
		return nil
	}
	out := strings.Split(v, ",")
	for i := range out {
		out[i] = trim(out[i])
	}
	return out
}

// withoutEmpty is splitList without empty elements.
func withoutEmpty(v string) []string {
	return slices.DeleteFunc(splitList(v), func(s string) bool { return s == "" })
}
