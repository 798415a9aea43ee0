package config

import (
	"fmt"
	"maps"
	"strings"
)

// converterKinds are the short names of the converters that are spoken, by class.
var converterKinds = map[string]string{
	"org.apache.kafka.connect.json.JsonConverter":            "json",
	"org.apache.kafka.connect.storage.StringConverter":       "string",
	"org.apache.kafka.connect.storage.SimpleHeaderConverter": "simple",
	"org.apache.kafka.connect.converters.ByteArrayConverter": "bytearray",
	"org.apache.kafka.connect.converters.BooleanConverter":   "boolean",
	"org.apache.kafka.connect.converters.ShortConverter":     "short",
	"org.apache.kafka.connect.converters.IntegerConverter":   "integer",
	"org.apache.kafka.connect.converters.LongConverter":      "long",
	"org.apache.kafka.connect.converters.FloatConverter":     "float",
	"org.apache.kafka.connect.converters.DoubleConverter":    "double",
	"io.debezium.converters.ByteArrayConverter":              "binary",
	"io.debezium.converters.BinaryDataConverter":             "binary",
	"io.debezium.converters.CloudEventsConverter":            "cloudevents",
	"io.confluent.connect.avro.AvroConverter":                "avro",
	"io.confluent.connect.protobuf.ProtobufConverter":        "protobuf",
	"io.confluent.connect.json.JsonSchemaConverter":          "jsonschema",
}

// ConverterClass returns the short name of the converter that a class names: in full, by its last part, or by that without "Converter". Kafka's own
// win over others of the same last part, and those that are spoken over those that are not.
func ConverterClass(class string) (kind string, ok bool) {
	p, ok := findConverter(class)
	if !ok {
		return "", false
	}
	kind, ok = converterKinds[p.Class]
	return kind, ok
}

func findConverter(class string) (Plugin, bool) {
	best, rank := Plugin{}, -1
	for _, p := range plugins() {
		if !p.is(PlainConverter) && !p.is(HeaderConverter) || !p.named(class) && !(p.is(HeaderConverter) && class == strings.TrimSuffix(p.Class[strings.LastIndexByte(p.Class, '.')+1:], "Converter")) {
			continue
		}
		r := 0
		switch {
		case p.Class == class:
			return p, true
		case strings.HasPrefix(p.Class, "org.apache.kafka."):
			r = 2
		case p.Use != Refused:
			r = 1
		}
		if r > rank {
			best, rank = p, r
		}
	}
	return best, rank >= 0
}

// converterClasses returns the classes that an option may name.
func converterClasses(option string) (out []string) {
	kind := PlainConverter
	if option == "header.converter" {
		kind = HeaderConverter
	}
	for _, p := range plugins() {
		if p.is(kind) && p.Use != Refused {
			out = append(out, p.Class)
		}
	}
	return out
}

// checkConverter checks the class that an option names, and the options that the class defines.
func (p *parser) checkConverter(o *Option, class string) {
	plugin, found := findConverter(class)
	kind, role := PlainConverter, "Converter"
	if o.Name == "header.converter" {
		kind, role = HeaderConverter, "HeaderConverter"
	}
	switch _, isTransformation := findPlugin(Transformation, class); {
	case !found && isTransformation, found && !plugin.is(kind):
		p.fail(o.Name, fmt.Sprintf("Class class %s does not implement the %s interface", class, role))
	case !found:
		p.invalid(o.Name, class, "Class "+class+" could not be found.")
	case plugin.Use != Refused: // whose options are not asked about
		p.checkConverterOptions(o.Name+".", plugin)
	}
}

// checkConverterOptions checks a converter's options; errors name them without the converter's prefix.
func (p *parser) checkConverterOptions(prefix string, plugin Plugin) {
	for i := range plugin.Options {
		o := &plugin.Options[i]
		raw, given := p.in[prefix+o.Name]
		switch {
		case o.Name == "converter.type": // which Kafka Connect sets
		case given:
			if why := parseConnect(o, raw); why != "" {
				p.fail(prefix+o.Name, fmt.Sprintf("Invalid value %s for configuration %s: %s", trim(raw), o.Name, why))
				continue
			}
			p.checkMember(prefix+o.Name, o, raw, true)
		case o.Required:
			p.fail(prefix+o.Name, fmt.Sprintf("Missing required configuration %q which has no default value.", o.Name))
		}
	}
}

// checkSpoken tells of a converter that exists elsewhere and is not spoken here, and of options that the converter does not know or that mean nothing here.
func (p *parser) checkSpoken(option string) {
	class, named := p.in[option]
	if !named {
		return
	}
	plugin, found := findConverter(trim(class))
	if !found {
		return
	}
	if _, spoken := converterKinds[plugin.Class]; !spoken {
		p.fail(option, fmt.Sprintf("The '%s' option is not supported with %s: %s", option, plugin.Class, plugin.Next))
		return
	}
	for _, name := range p.keys() {
		rest, ok := strings.CutPrefix(name, option+".")
		if !ok || rest == "plugin.version" || strings.HasPrefix(rest, "delegate.converter.type.") {
			continue
		}
		o, known := plugin.option(rest)
		switch {
		case !known:
			p.warn(name, fmt.Sprintf("%s is no option of %s and is ignored", name, plugin.Class))
		case isDefault(o, p.in[name]):
		case o.Use == Refused:
			p.fail(name, fmt.Sprintf("The '%s' option is not supported: %s", name, o.Next))
		case o.Use == Warned:
			p.warn(name, fmt.Sprintf("%s is not honoured: %s", name, o.Next))
		}
	}
}

// option returns the option that a name means.
func (p Plugin) option(name string) (*Option, bool) {
	for i := range p.Options {
		o := &p.Options[i]
		prefix, open := strings.CutSuffix(o.Name, "*")
		if o.Name == name || open && strings.HasPrefix(name, prefix) && name != prefix {
			return o, true
		}
	}
	return nil, false
}

// converter builds one of the converters. Kafka Connect reads a converter's options only where the connector names the converter's class too; without
// it the worker's converter applies as it is, which is the JsonConverter with schemas.
func (p *parser) converter(option string) Converter {
	class, named := p.in[option]
	if !named {
		for _, k := range p.keys() {
			if strings.HasPrefix(k, option+".") {
				p.warn(k, fmt.Sprintf("%s is ignored unless %s names the converter, as in Kafka Connect: set %s too", k, option, option))
			}
		}
		if option == "header.converter" {
			return NewConverter("simple", nil)
		}
		return NewConverter("json", nil)
	}
	kind, _ := ConverterClass(trim(class))
	options := map[string]string{}
	for k, v := range p.in {
		if name, ok := strings.CutPrefix(k, option+"."); ok {
			options[name] = v
		}
	}
	return NewConverter(kind, options)
}

// NewConverter returns a converter of a kind, as ConverterClass names it, with options by their names without the converter's prefix.
func NewConverter(kind string, options map[string]string) Converter {
	is := func(name string) bool {
		v, given := options[name]
		return !given || strings.EqualFold(trim(v), "true")
	}
	return Converter{Class: kind, Schemas: is("schemas.enable"), NullDefault: is("replace.null.with.default"),
		DecimalText: strings.EqualFold(trim(options["decimal.format"]), "NUMERIC"), Options: maps.Clone(options)}
}

// converterSecret reports whether a name is that of a converter's password.
func converterSecret(name string) bool {
	for _, option := range []string{"key.converter.", "value.converter.", "header.converter."} {
		rest, ok := strings.CutPrefix(name, option)
		if !ok {
			continue
		}
		rest = strings.TrimPrefix(rest, "avro.") // CloudEvents' own converter
		for _, p := range plugins() {
			if o, known := p.option(rest); known && p.is(PlainConverter) && o.Type == "PASSWORD" {
				return true
			}
		}
	}
	return false
}
