package config

import (
	"fmt"
	"slices"
	"strings"
)

// checkPlugins checks the members that Kafka Connect makes of a list of aliases: a type for each that names a plugin of the kind.
func (p *parser) checkPlugins(l pluginList) {
	for _, alias := range p.aliases(l.option) {
		prefix := l.option + "." + alias + "."
		class, ok := p.in[prefix+"type"]
		class = trim(class)
		plugin, found := findPlugin(l.kind, class)
		_, other := FindPlugin(class)
		_, isConnector := FlavorOf(class)
		switch classes := AbstractPlugin(class); {
		case !ok:
			p.fail(prefix+"type", fmt.Sprintf("Missing required configuration %q which has no default value.", prefix+"type"))
		case found:
			p.checkPlugin(prefix, plugin)
		case other || isConnector:
			p.fail(prefix+"type", fmt.Sprintf("Class class %s does not implement the %s interface", class, l.java))
		case classes != nil:
			p.fail(prefix+"type", fmt.Sprintf("This class is abstract and cannot be created. Did you mean %s?", strings.Join(classes, ", ")))
		default:
			p.invalid(prefix+"type", class, "Class "+class+" could not be found.")
		}
	}
}

// aliases returns the aliases of a list, each once.
func (p *parser) aliases(option string) []string {
	var out []string
	for _, a := range splitList(p.in[option]) {
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// checkPlugin checks the options of a plugin, then what every transform has. An option's type is checked under its full name, the rest under the
// name by which the plugin knows it: so do the errors read that clients know.
func (p *parser) checkPlugin(prefix string, plugin Plugin) {
	for i := range plugin.Options {
		o := &plugin.Options[i]
		raw, given := p.in[prefix+o.Name]
		if given {
			if why := parseConnect(o, raw); why != "" {
				p.invalid(prefix+o.Name, raw, why)
				continue
			}
		} else if o.Required {
			p.fail(prefix+o.Name, fmt.Sprintf("Missing required configuration %q which has no default value.", prefix+o.Name))
		}
		if given || o.Required {
			p.checkMember(prefix+o.Name, o, raw, given)
		}
	}
	if plugin.is(Predicate) {
		return
	}
	negate, negated := p.in[prefix+"negate"]
	switch _, ok := p.in[prefix+"predicate"]; {
	case negated && !ok:
		p.fail(prefix+"negate", fmt.Sprintf("Config '%snegate' was provided but there is no config '%spredicate' defining a predicate to be negated.", prefix, prefix))
	case negated && !strings.EqualFold(trim(negate), "true") && !strings.EqualFold(trim(negate), "false"):
		p.invalid(prefix+"negate", negate, "Expected value to be either true or false")
	}
}

// checkMember runs the checks of a plugin's option on its raw value; one that was not given is null.
func (p *parser) checkMember(name string, o *Option, raw string, given bool) {
	v := trim(raw)
	if !given {
		v = "null"
	}
	fail := func(why string) {
		p.fail(name, fmt.Sprintf("Invalid value %s for configuration %s: %s", v, o.Name, why))
	}
	for _, check := range o.Checks {
		switch check {
		case "regex":
			if v == "null" && !given {
				fail("Invalid regex: null")
			} else if _, err := toGo(raw); err != nil {
				fail("Invalid regex: " + err.Error())
			}
		case "oneof":
			if !slices.Contains(o.Values, v) {
				fail("String must be one of: " + strings.Join(o.Values, ", "))
			}
		case "oneoffold":
			if !slices.Contains(o.Values, strings.ToUpper(v)) {
				fail("String must be one of (case insensitive): " + strings.Join(o.Values, ", "))
			}
		case "enum": // Debezium's words
			if given && !slices.Contains(o.Values, strings.ToLower(v)) {
				fail("Value must be one of " + strings.Join(o.Values, ", "))
			}
		case "nonempty":
			if given && v == "" {
				fail("String must be non-empty")
			}
		case "list":
			p.checkNames(name, o.Name, raw, given)
		case "cast":
			p.checkCast(name, raw)
		case "cel":
			if given && !strings.EqualFold(v, "cel") {
				p.fail(name, fmt.Sprintf("The '%s' option is not supported with %s, which needs a Java runtime: set it to cel and write the expression in the Common Expression Language, for example value.op == 'u' && value.after.id > 2", name, v))
			}
		}
	}
}

// checkNames checks a list of names, which may hold none twice and may not be empty.
func (p *parser) checkNames(name, short, raw string, given bool) {
	list := splitList(raw)
	switch sorted := slices.Sorted(slices.Values(list)); {
	case !given:
		p.fail(name, fmt.Sprintf("Configuration '%s' values must not be null.", short))
	case len(list) == 0:
		p.fail(name, fmt.Sprintf("Configuration '%s' must not be empty. Valid values include: any non-empty value", short))
	case len(slices.Compact(sorted)) != len(list):
		p.fail(name, fmt.Sprintf("Configuration '%s' values must not be duplicated.", short))
	}
}

// castTypes are the names of the types of Kafka Connect's schemas.
var castTypes = []string{"INT8", "INT16", "INT32", "INT64", "FLOAT32", "FLOAT64", "BOOLEAN", "STRING", "BYTES", "ARRAY", "MAP", "STRUCT"}

// checkCast checks the spec of Cast: "field:type,..." or one type.
func (p *parser) checkCast(name, raw string) {
	list := splitList(raw)
	if len(list) == 0 {
		p.fail(name, "Must specify at least one field to cast.")
	}
	for _, part := range list {
		word := part[strings.LastIndexByte(part, ':')+1:]
		if upper := strings.ToUpper(trim(word)); !slices.Contains(castTypes, upper) {
			p.fail(name, fmt.Sprintf("Invalid value java.lang.IllegalArgumentException: No enum constant org.apache.kafka.connect.data.Schema.Type.%s for configuration Invalid type found in casting spec: %s", upper, trim(word)))
			return
		}
	}
}

// checkPluginUses refuses the plugins that exist elsewhere and have no equal here.
func (p *parser) checkPluginUses() {
	for _, l := range pluginLists {
		for _, alias := range p.aliases(l.option) {
			name := l.option + "." + alias + ".type"
			if plugin, ok := findPlugin(l.kind, trim(p.in[name])); ok && plugin.Use == Refused {
				p.fail(name, fmt.Sprintf("The '%s' option is not supported with %s: %s", name, plugin.Class, plugin.Next))
			}
		}
	}
}
