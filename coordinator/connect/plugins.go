package connect

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/rowmesh/rowmesh/services/config"
)

// plugin is a line of the plugin list.
type plugin struct{ class, kind, version string }

var connectorPlugins = []plugin{
	{config.MariaDBClass, "source", config.VersionOf(config.MariaDB)},
	{config.MySQLClass, "source", config.VersionOf(config.MySQL)},
}

// frameworkVersion is the version that comes with Kafka Connect's own plugins.
const frameworkVersion = "4.3.0"

// otherKinds are the kinds of plugins that are listed only if they are asked for, in order.
var otherKinds = []string{config.Transformation, config.Predicate, config.PlainConverter, config.HeaderConverter}

func (h *Handler) plugins(r *request) reply {
	list := slices.Clone(connectorPlugins)
	if only := r.query.Get("connectorsOnly"); only != "" && !strings.EqualFold(only, "true") {
		for _, kind := range otherKinds {
			for _, p := range config.Plugins(kind) {
				list = append(list, plugin{p.Class, kind, p.Version})
			}
		}
	}
	b := []byte{'['}
	for i, p := range list {
		if i > 0 {
			b = append(b, ',')
		}
		if p.version == frameworkVersion {
			p.version = h.cfg.Version
		}
		b = appendText(append(b, '{'), "class", p.class)
		b = appendText(b, "type", p.kind)
		b = append(appendText(b, "version", p.version), '}')
	}
	return document(http.StatusOK, append(b, ']'))
}

// pluginConfig lists the options of a plugin. Those of a connector are its own, then the framework's.
func (h *Handler) pluginConfig(r *request) reply {
	name := r.names[0]
	class, version, options := name, "", []config.Option(nil)
	if flavor, ok := config.FlavorOf(name); ok {
		class, version, options = config.ClassOf(flavor), config.VersionOf(flavor), connectorOptions(flavor)
	} else if p, ok := config.FindPlugin(name); ok {
		class, version, options = p.Class, p.Version, p.Options
	} else if classes := config.AbstractPlugin(name); classes != nil {
		return failure(http.StatusBadRequest, fmt.Sprintf("Plugin %s is one for keys and one for values: ask for %s", name, strings.Join(classes, " or ")))
	} else {
		return failure(http.StatusNotFound, "Unknown plugin "+name+".")
	}
	if v := r.query.Get("version"); v != "" && v != version {
		return failure(http.StatusBadRequest, fmt.Sprintf("Plugin %s not found that matches the version range [%s,%s], available versions: [%s]", class, v, v, version))
	}
	b := []byte{'['}
	for i, o := range options {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendDefinition(b, o)
	}
	return document(http.StatusOK, append(b, ']'))
}

// connectorOptions are a connector's own options, then the framework's. The defaults of converters are the worker's, which a definition does not know.
func connectorOptions(flavor config.Flavor) []config.Option {
	var own, framework []config.Option
	for _, o := range config.Options(flavor) {
		if strings.Contains(o.Name, ".converter") {
			o.Default = nil
		}
		if o.Connect {
			framework = append(framework, o)
		} else {
			own = append(own, o)
		}
	}
	return append(own, framework...)
}

func appendDefinition(b []byte, o config.Option) []byte {
	b = appendText(append(b, '{'), "name", o.Name)
	b = appendText(b, "type", o.Type)
	b = fmt.Append(appendMember(b, "required"), o.Required)
	b = appendOptional(appendMember(b, "default_value"), o.Default)
	b = appendText(b, "importance", o.Importance)
	b = appendText(b, "documentation", o.Doc)
	if b = appendMember(b, "group"); o.Group == "" {
		b = append(b, "null"...)
	} else {
		b = appendString(b, o.Group)
	}
	b = fmt.Append(appendMember(b, "order_in_group"), o.Order)
	b = appendText(b, "width", o.Width)
	b = appendText(b, "display_name", o.Display)
	return append(appendStrings(appendMember(b, "dependents"), o.Dependents), '}')
}

func appendOptional(b []byte, s *string) []byte {
	if s == nil {
		return append(b, "null"...)
	}
	return appendString(b, *s)
}

// validateConfig answers 200 with all problems by option, also where the config is invalid; only a config that is not for the plugin of the path is refused.
func (h *Handler) validateConfig(r *request) reply {
	body, refused := r.readJSON(configForm)
	if refused != nil {
		return *refused
	}
	s, err := body.settings()
	if err != nil {
		return failure(http.StatusBadRequest, err.Error()+"; send "+configForm)
	}
	class, named := s.get("connector.class")
	if named && !strings.HasSuffix(strings.TrimSuffix(class, "Connector"), strings.TrimSuffix(r.names[0], "Connector")) {
		return failure(http.StatusBadRequest, fmt.Sprintf("Included connector type %s does not match request type %s", class, r.names[0]))
	}
	name, _ := s.get("name")
	full, refused := h.unmask(r.Context(), name, s)
	if refused != nil {
		return *refused
	}
	_, res := h.check(r.Context(), full)
	if len(res.Errors) > 0 && res.Errors[0].Alone {
		return failure(http.StatusBadRequest, res.Message())
	}
	flavor, _ := config.FlavorOf(class)
	return document(http.StatusOK, appendValidation(nil, class, flavor, s, res.Errors))
}

// validated is an option in the answer to a validation.
type validated struct {
	config.Option
	value       *string
	recommended []string
}

// validatedOptions lists the framework's options, those of the plugins that the config names, and the connector's own. Values of the last are null, as
// Debezium leaves them.
func validatedOptions(flavor config.Flavor, s settings, problems map[string][]string) []validated {
	var out []validated
	add := func(o config.Option) {
		v := validated{Option: o, recommended: o.Values}
		if o.Connect {
			v.value = parsedValue(o, s, problems[o.Name])
			if !strings.Contains(o.Name, ".converter") {
				v.recommended = nil
			}
		}
		if o.Name == "connector.plugin.version" || strings.HasSuffix(o.Name, ".converter.plugin.version") {
			v.recommended = []string{*o.Default}
		}
		out = append(out, v)
	}
	options := config.Options(flavor)
	own := slices.IndexFunc(options, func(o config.Option) bool { return !o.Connect })
	for _, o := range options[:own] {
		add(o)
	}
	_, cfg, _ := s.split()
	for _, o := range config.PluginOptions(cfg) {
		out = append(out, validated{o, memberValue(o, s, problems[o.Name]), o.Values})
	}
	for _, o := range options[own:] {
		add(o)
	}
	return out
}

// memberValue is what the framework made of the option of a plugin: null where it does not parse, which for a class is that it is not there.
func memberValue(o config.Option, s settings, problems []string) *string {
	v, given := s.get(o.Name)
	if !given {
		return o.Default
	}
	if o.Type != "STRING" && o.Type != "LIST" && len(problems) > 0 {
		return nil
	}
	v = trimBlanks(v)
	return &v
}

// appendValidation appends the answer to a validation.
func appendValidation(b []byte, class string, flavor config.Flavor, s settings, problems []config.Problem) []byte {
	_, cfg, _ := s.split()
	byOption, rest := sortProblems(append(config.Options(flavor), config.PluginOptions(cfg)...), problems)
	options := validatedOptions(flavor, s, byOption)
	b = appendText(append(b, '{'), "name", class)
	b = fmt.Append(appendMember(b, "error_count"), len(problems))
	b = appendStrings(appendMember(b, "groups"), groups(options))
	b = append(appendMember(b, "configs"), '[')
	for _, name := range rest.order {
		b = append(appendMember(append(b, '{'), "definition"), "null"...)
		b = appendValue(appendMember(b, "value"), name, nil, nil, rest.texts[name], true)
		b = append(b, "},"...)
	}
	for i, o := range options {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendDefinition(appendMember(append(b, '{'), "definition"), o.Option)
		b = append(appendValue(appendMember(b, "value"), o.Name, o.value, o.recommended, byOption[o.Name], !o.Hidden), '}')
	}
	return append(b, "]}"...)
}

func groups(options []validated) []string {
	var out []string
	seen := map[string]bool{}
	for _, o := range options {
		if !seen[o.Group] {
			seen[o.Group] = true
			out = append(out, o.Group)
		}
	}
	return out
}

// parsedValue is what the framework made of an option: null where that failed.
func parsedValue(o config.Option, s settings, problems []string) *string {
	v, given := s.get(o.Name)
	switch {
	case given && len(problems) == 0:
		v = trimBlanks(v)
		return &v
	case s.has(o.Name) || o.Required:
		return nil
	}
	return o.Default
}

func appendValue(b []byte, name string, v *string, recommended, problems []string, visible bool) []byte {
	b = appendText(append(b, '{'), "name", name)
	b = appendOptional(appendMember(b, "value"), v)
	b = appendStrings(appendMember(b, "recommended_values"), recommended)
	b = appendStrings(appendMember(b, "errors"), problems)
	return append(fmt.Append(appendMember(b, "visible"), visible), '}')
}

// grouped are texts by option, and the options in order.
type grouped struct {
	order []string
	texts map[string][]string
}

// sortProblems puts each problem under the listed option that it is about: its own, or the one whose member it is ("value.converter" for
// "value.converter.schemas.enable"). Those without one are returned apart.
func sortProblems(options []config.Option, problems []config.Problem) (map[string][]string, grouped) {
	listed := map[string]bool{}
	for _, o := range options {
		listed[o.Name] = true
	}
	byOption, rest := map[string][]string{}, grouped{texts: map[string][]string{}}
	for _, p := range problems {
		name := p.Option
		for name != "" && !listed[name] {
			name = name[:max(strings.LastIndexByte(name, '.'), 0)]
		}
		switch {
		case name != "":
			byOption[name] = append(byOption[name], p.Text)
		default:
			if rest.texts[p.Option] == nil {
				rest.order = append(rest.order, p.Option)
			}
			rest.texts[p.Option] = append(rest.texts[p.Option], p.Text)
		}
	}
	return byOption, rest
}
