package config

import (
	"fmt"
	"strconv"
	"strings"
)

// converterClasses are the converters that are spoken, by class.
var converterClasses = map[string]string{
	"org.apache.kafka.connect.json.JsonConverter":            "json",
	"org.apache.kafka.connect.storage.StringConverter":       "string",
	"org.apache.kafka.connect.converters.ByteArrayConverter": "bytearray",
	"org.apache.kafka.connect.storage.SimpleHeaderConverter": "simple",
}

// converterKind returns the short name of a converter's class, and whether it may stand for the option.
func converterKind(option, class string) (kind string, fits bool) {
	for full, k := range converterClasses {
		short := full[strings.LastIndexByte(full, '.')+1:]
		if class == full || class == short || class == strings.TrimSuffix(short, "Converter") {
			return k, (k == "simple") == (option == "header.converter") || option == "header.converter" && k != "bytearray"
		}
	}
	return "", false
}

func (p *parser) checkConverter(o *Option, class string) {
	kind, fits := converterKind(o.Name, class)
	role := "Converter"
	if o.Name == "header.converter" {
		role = "HeaderConverter"
	}
	switch _, isTransformation := findPlugin(Transformation, class); {
	case kind == "" && isTransformation, kind != "" && !fits:
		p.fail(o.Name, fmt.Sprintf("Class class %s does not implement the %s interface", class, role))
	case kind == "":
		p.invalid(o.Name, class, "Class "+class+" could not be found.")
	case kind == "json":
		p.checkJSONConverter(o.Name)
	}
}

// checkJSONConverter checks the options of Kafka's JsonConverter; its errors name them without the converter's prefix.
func (p *parser) checkJSONConverter(option string) {
	value := func(name string) (string, bool) {
		v, ok := p.in[option+"."+name]
		return trim(v), ok
	}
	for _, name := range []string{"schemas.enable", "replace.null.with.default"} {
		if v, ok := value(name); ok && !strings.EqualFold(v, "true") && !strings.EqualFold(v, "false") {
			p.fail(option+"."+name, fmt.Sprintf("Invalid value %s for configuration %s: Expected value to be either true or false", v, name))
		}
	}
	if v, ok := value("schemas.cache.size"); ok {
		if _, err := strconv.ParseInt(v, 10, 32); err != nil {
			p.fail(option+".schemas.cache.size", fmt.Sprintf("Invalid value %s for configuration schemas.cache.size: Not a number of type INT", v))
		}
	}
	if v, ok := value("decimal.format"); ok && !strings.EqualFold(v, "NUMERIC") && !strings.EqualFold(v, "BASE64") {
		p.fail(option+".decimal.format", fmt.Sprintf("Invalid value %s for configuration decimal.format: String must be one of (case insensitive): NUMERIC, BASE64", v))
	}
}

// converter builds one of the converters. Kafka Connect reads a converter's options only where the connector names the converter's class too; without
// it the worker's converter applies as it is, which is the JsonConverter with schemas.
func (p *parser) converter(option string) Converter {
	c := Converter{Class: "json", Schemas: true, NullDefault: true}
	if option == "header.converter" {
		c.Class = "simple"
	}
	class, named := p.in[option]
	if !named {
		for _, k := range p.keys() {
			if strings.HasPrefix(k, option+".") {
				p.warn(k, fmt.Sprintf("%s is ignored unless %s names the converter, as in Kafka Connect: set %s too", k, option, option))
			}
		}
		return c
	}
	if option != "header.converter" {
		c.Class, _ = converterKind(option, trim(class))
	}
	if v, ok := p.in[option+".schemas.enable"]; ok {
		c.Schemas = strings.EqualFold(trim(v), "true")
	}
	if v, ok := p.in[option+".replace.null.with.default"]; ok {
		c.NullDefault = strings.EqualFold(trim(v), "true")
	}
	c.DecimalText = strings.EqualFold(trim(p.in[option+".decimal.format"]), "NUMERIC")
	return c
}
