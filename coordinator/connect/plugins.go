package connect

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/rowmesh/rowmesh/services/config"
)

// plugin is a line of the plugin list.
type plugin struct{ class, kind, version string }

var connectorPlugins = []plugin{
	{config.MariaDBClass, "source", config.VersionOf(config.MariaDB)},
	{config.MySQLClass, "source", config.VersionOf(config.MySQL)},
}

// converterPlugins lists what the options *.converter may name; they come with Kafka Connect and carry its version.
var converterPlugins = []plugin{
	{"org.apache.kafka.connect.json.JsonConverter", "converter", ""},
	{"org.apache.kafka.connect.storage.SimpleHeaderConverter", "header_converter", ""},
}

func (h *Handler) plugins(r *request) reply {
	list := connectorPlugins
	if only := r.query.Get("connectorsOnly"); only != "" && !strings.EqualFold(only, "true") {
		list = append(list[:len(list):len(list)], converterPlugins...)
	}
	b := []byte{'['}
	for i, p := range list {
		if i > 0 {
			b = append(b, ',')
		}
		if p.version == "" {
			p.version = h.cfg.Version
		}
		b = appendText(append(b, '{'), "class", p.class)
		b = appendText(b, "type", p.kind)
		b = append(appendText(b, "version", p.version), '}')
	}
	return document(http.StatusOK, append(b, ']'))
}

// pluginConfig lists the options of a connector class: its own, then the framework's.
func (h *Handler) pluginConfig(r *request) reply {
	name := r.names[0]
	flavor, ok := config.FlavorOf(name)
	if !ok {
		return failure(http.StatusNotFound, "Unknown plugin "+name+".")
	}
	if v := r.query.Get("version"); v != "" && v != config.VersionOf(flavor) {
		return failure(http.StatusBadRequest, fmt.Sprintf("Plugin %s not found that matches the version range [%s,%s], available versions: [%s]", config.ClassOf(flavor), v, v, config.VersionOf(flavor)))
	}
	b := []byte{'['}
	for _, connect := range []bool{false, true} {
		for _, o := range config.Options(flavor) {
			if o.Connect != connect {
				continue
			}
			if len(b) > 1 {
				b = append(b, ',')
			}
			if strings.Contains(o.Name, ".converter") { // the worker's, which a definition does not know
				o.Default = nil
			}
			b = appendDefinition(b, o)
		}
	}
	return document(http.StatusOK, append(b, ']'))
}

func appendDefinition(b []byte, o config.Option) []byte {
	b = appendText(append(b, '{'), "name", o.Name)
	b = appendText(b, "type", o.Type)
	b = fmt.Append(appendMember(b, "required"), o.Required)
	b = appendOptional(appendMember(b, "default_value"), o.Default)
	b = appendText(b, "importance", o.Importance)
	b = appendText(b, "documentation", o.Doc)
	b = appendText(b, "group", o.Group)
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
	_, res := h.check(r.Context(), s)
	if len(res.Errors) > 0 && res.Errors[0].Alone {
		return failure(http.StatusBadRequest, res.Message())
	}
	flavor, _ := config.FlavorOf(class)
	return document(http.StatusOK, appendValidation(nil, class, flavor, s, res.Errors))
}

// appendValidation appends the answer to a validation. Values of the connector's own options are null, as Debezium leaves them.
func appendValidation(b []byte, class string, flavor config.Flavor, s settings, problems []config.Problem) []byte {
	options := config.Options(flavor)
	byOption, rest := sortProblems(options, problems)
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
		b = appendDefinition(appendMember(append(b, '{'), "definition"), o)
		recommended := o.Values
		var v *string
		if o.Connect {
			v = parsedValue(o, s, byOption[o.Name])
			if !strings.Contains(o.Name, ".converter") {
				recommended = nil
			}
		}
		if strings.HasSuffix(o.Name, "plugin.version") {
			recommended = []string{*o.Default}
		}
		b = append(appendValue(appendMember(b, "value"), o.Name, v, recommended, byOption[o.Name], !o.Hidden), '}')
	}
	return append(b, "]}"...)
}

func groups(options []config.Option) []string {
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
