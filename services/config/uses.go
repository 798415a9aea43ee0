package config

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// checkUses goes through what was given and says by name what is not honoured: a warning where the events stay right, an error where they would
// not. An option that is set to its default asks for nothing. Refusals wait until all else is right, as the checks that ask servers do.
func (p *parser) checkUses() {
	wrong := len(p.res.Errors) > 0
	for _, name := range p.keys() {
		o, ok := p.cat.find(name)
		switch {
		case !ok && (p.ofValueConverter(name) || p.ofPostProcessor(name)):
		case !ok:
			p.warn(name, fmt.Sprintf("%s is an unknown option and is ignored", name))
		case isDefault(o, p.in[name]):
		case o.Use == Warned:
			p.warn(name, fmt.Sprintf("%s is not honoured: %s", name, o.Next))
		case o.Use == Refused && !wrong:
			p.fail(name, fmt.Sprintf("The '%s' option is not supported: %s", name, o.Next))
		}
	}
	if !wrong {
		p.checkModes()
		p.checkColumnChanges()
		p.checkPluginUses()
	}
	p.checkValueConverters()
	p.checkPostProcessors()
	p.checkTopicCreation()
	p.checkProducer()
	p.checkHistory()
}

func isDefault(o *Option, v string) bool {
	if o.Default == nil {
		return trim(v) == ""
	}
	return strings.EqualFold(trim(v), *o.Default)
}

// checkModes looks at values of honoured options that are valid in Debezium and have no equal here.
func (p *parser) checkModes() {
	for _, name := range []string{"binary.handling.mode", "event.converting.failure.handling.mode"} {
		if o := p.cat.byName[name]; !slices.Contains(o.Values, p.word(name)) {
			p.warn(name, fmt.Sprintf("%s=%s is none of %s: %s is used", name, p.in[name], strings.Join(o.Values, ", "), *o.Default))
		}
	}
	p.checkSnapshot()
	for _, name := range []string{"key.converter", "value.converter", "header.converter"} {
		p.checkSpoken(name)
	}
	p.checkTopicNaming()
	p.checkSignals()
	if trim(p.in["heartbeat.action.query"]) != "" && p.integer("heartbeat.interval.ms") == 0 {
		p.warn("heartbeat.action.query", "heartbeat.action.query is not run without heartbeats: set heartbeat.interval.ms")
	}
	if p.boolean("provide.transaction.metadata") && p.integer("tasks.max") > 1 {
		p.warn("provide.transaction.metadata", "provide.transaction.metadata: each task counts the events of its own tables, and tells begin and end of a transaction for itself; set tasks.max=1 for one count")
	}
	if digits, ok := strings.CutPrefix(p.get("unavailable.value.placeholder"), "hex:"); ok {
		if _, err := hex.DecodeString(digits); err != nil {
			p.problem("unavailable.value.placeholder", fmt.Sprintf("hex:%s is no pairs of hexadecimal digits", digits))
		}
	}
	if port := p.integer("database.port"); port < 1 || port > 65535 {
		p.problem("database.port", fmt.Sprintf("%d is no port; give a number from 1 to 65535", port))
	}
	if id := p.integer("database.server.id"); id > 1<<32-1 {
		p.warn("database.server.id", fmt.Sprintf("database.server.id=%d does not fit the protocol's 32 bits: %d is used; set a smaller one", id, uint32(id)))
	}
}
