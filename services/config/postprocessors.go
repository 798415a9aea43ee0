package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ReselectClass is the one post processor that Debezium ships.
const ReselectClass = "io.debezium.processors.reselect.ReselectColumnsPostProcessor"

// Reselect is a post processor of ReselectClass: it reads columns of a row from the table again.
type Reselect struct {
	// Include and Exclude are reselect.columns.include.list and .exclude.list: regular expressions on database.table:column, as in the filters.
	Include, Exclude []string
	Unavailable      bool // reselect.unavailable.values: columns that the log does not hold
	Nulls            bool // reselect.null.values: columns that are NULL
	EventKey         bool // reselect.use.event.key: rows are found by the message key, not by the table's
	Fails            bool // reselect.error.handling.mode=fail: a row that cannot be read stops the lane
}

// reselectOptions are the options of a post processor, with their defaults.
var reselectOptions = map[string]string{
	"reselect.columns.include.list": "", "reselect.columns.exclude.list": "", "reselect.unavailable.values": "true", "reselect.null.values": "true",
	"reselect.use.event.key": "false", "reselect.error.handling.mode": "warn",
}

// ofPostProcessor reports whether an option belongs to one of the post.processors option.
func (p *parser) ofPostProcessor(option string) bool {
	for _, name := range withoutEmpty(p.in["post.processors"]) {
		rest, ok := strings.CutPrefix(option, name+".")
		if _, known := reselectOptions[rest]; ok && (known || rest == "type") {
			return true
		}
	}
	return false
}

// checkPostProcessors checks the options of the one that is known, and warns of others, which are Java classes.
func (p *parser) checkPostProcessors() {
	for _, name := range withoutEmpty(p.in["post.processors"]) {
		if class := trim(p.in[name+".type"]); class != ReselectClass {
			p.warn("post.processors", fmt.Sprintf("post.processors: %s (%s.type=%s) is not run: post processors other than %s are Java classes", name, name, class, ReselectClass))
			continue
		}
		for _, option := range slices.Sorted(maps.Keys(reselectOptions)) {
			def, full := reselectOptions[option], name+"."+option
			v, given := p.in[full]
			switch {
			case !given:
			case def == "":
				if _, err := Patterns(v); err != nil {
					p.problem(full, "A comma-separated list of valid regular expressions is expected, but "+err.Error())
				}
			case def == "warn":
				if w := p.word(full); w != "warn" && w != "fail" {
					p.problem(full, "Value must be one of warn, fail")
				}
			default:
				p.problem(full, checkBoolean(v))
			}
		}
		const include, exclude = ".reselect.columns.include.list", ".reselect.columns.exclude.list"
		if trim(p.in[name+include]) != "" && trim(p.in[name+exclude]) != "" {
			p.problem(name+exclude, fmt.Sprintf("%q is already specified", name+include))
		}
	}
}

// reselects reads the post processors that are run, in their order.
func (p *parser) reselects() []Reselect {
	var out []Reselect
	for _, name := range withoutEmpty(p.in["post.processors"]) {
		if trim(p.in[name+".type"]) != ReselectClass {
			continue
		}
		get := func(option string) string {
			if v := strings.ToLower(trim(p.in[name+"."+option])); v != "" {
				return v
			}
			return reselectOptions[option]
		}
		out = append(out, Reselect{
			Include: p.patterns(name + ".reselect.columns.include.list"), Exclude: p.patterns(name + ".reselect.columns.exclude.list"),
			Unavailable: get("reselect.unavailable.values") == "true", Nulls: get("reselect.null.values") == "true",
			EventKey: get("reselect.use.event.key") == "true", Fails: get("reselect.error.handling.mode") == "fail",
		})
	}
	return out
}
