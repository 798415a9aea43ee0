package transform

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// options are those of one transform or predicate: what the config gives, else the plugin's defaults.
type options struct {
	prefix string // "transforms.a."
	raw    map[string]string
	plugin config.Plugin
	env    Env
}

func optionsOf(raw map[string]string, prefix string) (options, error) {
	class := strings.TrimSpace(raw[prefix+"type"])
	p, ok := config.FindPlugin(class)
	if !ok {
		return options{}, errs.E(errs.Invalid, "%stype: there is no plugin %q", prefix, class)
	}
	return options{prefix: prefix, raw: raw, plugin: p}, nil
}

// lookup returns an option's value; ok is false where there is neither one nor a default.
func (o options) lookup(name string) (string, bool) {
	if v, ok := o.raw[o.prefix+name]; ok {
		return v, true
	}
	for i := range o.plugin.Options {
		if d := &o.plugin.Options[i]; d.Name == name && d.Default != nil {
			return *d.Default, true
		}
	}
	return "", false
}

// text returns an option's value, empty if it has none.
func (o options) text(name string) string {
	v, _ := o.lookup(name)
	return v
}

// word is text without blanks around it, in lower case: the form in which enumerations are compared.
func (o options) word(name string) string { return strings.ToLower(strings.TrimSpace(o.text(name))) }

func (o options) flag(name string) bool { return o.word(name) == "true" }

// nullDefault is replace.null.with.default, which all that read fields have.
func (o options) nullDefault() bool {
	v, ok := o.lookup("replace.null.with.default")
	return !ok || strings.EqualFold(strings.TrimSpace(v), "true")
}

func (o options) list(name string) []string { return splitList(o.text(name)) }

// number returns an integer; ok is false where the option has no value.
func (o options) number(name string) (n int, ok bool, err error) {
	v, given := o.lookup(name)
	if !given || strings.TrimSpace(v) == "" {
		return 0, false, nil
	}
	n, err = strconv.Atoi(strings.TrimSpace(v))
	if err != nil {
		return 0, false, errs.E(errs.Invalid, "%s%s: %q is no integer", o.prefix, name, v)
	}
	return n, true, nil
}

// pattern compiles a regular expression that must match the whole text; find is the same where it may match a part.
func (o options) pattern(name string) (whole, find *regexp.Regexp, err error) {
	text, err := config.JavaPattern(o.text(name))
	if err == nil {
		if find, err = regexp.Compile(text); err == nil {
			whole, err = regexp.Compile(`^(?:` + text + `)$`)
		}
	}
	if err != nil {
		return nil, nil, errs.E(errs.Invalid, "%s%s: %w", o.prefix, name, err)
	}
	return whole, find, nil
}

// splitList splits at commas as Kafka Connect does; blanks around elements do not count.
func splitList(s string) []string {
	if strings.TrimSpace(s) == "" {
		return nil
	}
	out := strings.Split(strings.TrimSpace(s), ",")
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return out
}
