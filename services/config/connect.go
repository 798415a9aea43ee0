package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// checkConnect does what Kafka Connect's own definition of a source connector checks, in its words and its order: each option is parsed by its
// type, then validated, and a null is an error after the others.
func (p *parser) checkConnect() {
	for _, o := range p.cat.options {
		if !o.Connect {
			continue
		}
		raw, given := p.in[o.Name]
		switch {
		case p.nulls[o.Name]:
			p.validateConnect(o, "null", false)
			p.fail(o.Name, "Null value can not be supplied as the configuration value.")
		case given:
			why := parseConnect(o, raw)
			if why != "" {
				p.invalid(o.Name, raw, why)
			}
			p.validateConnect(o, raw, why == "")
		case o.Required:
			p.fail(o.Name, fmt.Sprintf("Missing required configuration %q which has no default value.", o.Name))
		}
	}
	for _, l := range pluginLists {
		p.checkPlugins(l)
	}
}

func (p *parser) invalid(option, value, why string) {
	p.fail(option, fmt.Sprintf("Invalid value %s for configuration %s: %s", value, option, why))
}

// parseConnect says why a value does not parse as the option's type; empty if it does.
func parseConnect(o *Option, raw string) string {
	v := trim(raw)
	switch o.Type {
	case "INT":
		if _, err := strconv.ParseInt(v, 10, 32); err != nil {
			return "Not a number of type INT"
		}
	case "LONG":
		if _, err := strconv.ParseInt(v, 10, 64); err != nil {
			return "Not a number of type LONG"
		}
	case "BOOLEAN":
		if !strings.EqualFold(v, "true") && !strings.EqualFold(v, "false") {
			return "Expected value to be either true or false"
		}
	}
	return ""
}

// validateConnect runs an option's checks on its raw value; parsed says whether that has the option's type. Kafka validates null where it has not.
func (p *parser) validateConnect(o *Option, raw string, parsed bool) {
	v := trim(raw)
	for _, check := range o.Checks {
		kind, arg, _ := strings.Cut(check, ":")
		least, _ := strconv.ParseInt(arg, 10, 64)
		n, _ := strconv.ParseInt(v, 10, 64)
		switch {
		case kind == "min" && !parsed:
			p.invalid(o.Name, "null", "Value must be non-null")
		case !parsed: // the others let null pass
		case (kind == "min" || kind == "minornull") && n < least:
			p.invalid(o.Name, v, "Value must be at least "+arg)
		case kind == "oneof" && !slices.Contains(o.Values, v):
			p.invalid(o.Name, v, "String must be one of: "+strings.Join(o.Values, ", "))
		case kind == "oneoffold" && !slices.Contains(o.Values, strings.ToUpper(v)):
			p.invalid(o.Name, v, "String must be one of (case insensitive): "+strings.Join(o.Values, ", "))
		case kind == "nonempty" && v == "":
			p.invalid(o.Name, v, "String must be non-empty")
		case kind == "boundary" && strings.EqualFold(v, "connector"):
			p.fail(o.Name, "The connector does not support connector-defined transaction boundaries with the given configuration. Please reconfigure it to use a different transaction boundary definition.")
		case kind == "version":
			p.checkVersion(v)
		case kind == "name":
			p.checkName(v)
		case kind == "aliases":
			p.checkAliases(o.Name, splitList(raw))
		}
	}
	if strings.HasSuffix(o.Name, ".converter") && parsed {
		p.checkConverter(o, v)
	}
}

func (p *parser) checkName(v string) {
	if v == "" {
		p.invalid("name", v, "String may not be empty")
		return
	}
	var codes []string
	for _, r := range v {
		if r < ' ' || r >= 0x7f && r <= 0x9f {
			codes = append(codes, strconv.Itoa(int(r)))
		}
	}
	if codes != nil {
		p.invalid("name", v, "String may not contain control sequences but had the following ASCII chars: "+strings.Join(codes, ", "))
	}
}

// checkVersion refuses a version of the plugin that is not the one spoken: a version alone means exactly that one, "[3.6,4.0)" a range.
func (p *parser) checkVersion(v string) {
	low, high, isRange := strings.Cut(strings.Trim(v, "[]()"), ",")
	if !isRange {
		high = low
	}
	order := func(bound string) int {
		return slices.Compare(versionNumbers(VersionOf(p.flavor)), versionNumbers(bound))
	}
	inside := versionNumbers(v) != nil &&
		(low == "" || order(low) > 0 || order(low) == 0 && !strings.HasPrefix(v, "(")) &&
		(high == "" || order(high) < 0 || order(high) == 0 && !strings.HasSuffix(v, ")"))
	if !inside {
		if !isRange {
			v = "[" + v + "," + v + "]"
		}
		p.fail("connector.plugin.version", fmt.Sprintf("Plugin %s not found that matches the version range %s, available versions: [%s]", ClassOf(p.flavor), v, VersionOf(p.flavor)))
	}
}

// versionNumbers returns the leading numbers of a version; nil if there is none.
func versionNumbers(v string) []int {
	var out []int
	for _, part := range strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(".,[]()", r) }) {
		n, err := strconv.Atoi(part)
		if err != nil {
			break
		}
		out = append(out, n)
	}
	return out
}

func (p *parser) checkAliases(option string, list []string) {
	sorted := slices.Sorted(slices.Values(list))
	if len(slices.Compact(sorted)) != len(list) {
		p.invalid(option, "["+strings.Join(list, ", ")+"]", "Duplicate alias provided.")
	}
}
